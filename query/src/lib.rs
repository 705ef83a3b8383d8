//! InfluxQL over `store`.

mod result;

pub use result::{Gone, Level, Message, Series, Sink, Value};

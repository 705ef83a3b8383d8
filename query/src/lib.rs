//! InfluxQL over `store`.
//!
//! A parsed statement comes in, pieces of a result go to a [`Sink`]. What a statement means is
//! defined here and nowhere else, by an executor that is plain on purpose: it takes one row at a time
//! and follows InfluxDB 1.x to the letter, error texts included. It stays as the oracle for anything
//! faster.
//!
//! What always holds:
//! * Nothing here knows of HTTP, of an output format or of an asynchronous runtime.
//! * A result is handed over as it is made; a query that is cancelled stops within a few hundred rows.
//! * What a client wrote is refused with an error, never with a panic.

mod block;
mod context;
mod delete;
mod error;
mod executor;
mod introspection;
mod lower;
mod meter;
mod paths;
mod patience;
mod predicate;
mod regex;
mod result;
mod scalar;
mod select;
mod show;
mod tasks;
mod value;

pub use block::{Block, Cells, Written};
pub use context::{Context, Extensions, Limits};
pub use error::Error;
pub use executor::Executor;
pub use introspection::{Diagnostic, Introspection, Statistic};
pub use paths::{Path, Paths};
pub use patience::Patience;
pub use result::{Gone, Level, Message, Series, Sink, Value};
pub use select::Follower;
pub use tasks::{Running, SlowQuery, Task, TaskLimits, TaskStats, Tasks};

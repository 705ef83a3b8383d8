//! The embedded time-series store.

mod rows;

pub use rows::{Bitmap, Column, Rows, Strings, Validity, Values};

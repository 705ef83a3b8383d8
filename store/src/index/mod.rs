//! The series index of one database: which series exist, and which carry a tag.
//!
//! Two halves with different rules of visibility. The [`SeriesTable`] maps keys to dense ids and
//! is extended under the commit lock, before the batch that needs the ids is durable; writers
//! alone look at it by key. The [`Postings`] answer readers, and get a series only when its
//! first row is applied, which is after the WAL has it. So a series that never became durable
//! was never seen, and taking it back is cutting the table's tail.

mod postings;
mod segment;
mod table;

pub(crate) use postings::Postings;
pub(crate) use segment::{read_segment, write_segment};
pub(crate) use table::SeriesTable;

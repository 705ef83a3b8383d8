//! The series index of one database: which series exist, and which carry a tag.
//!
//! In memory it is one [`SeriesTable`]: keys to dense ids for writers, and sets of ids by measurement
//! and tag for readers. It is extended under the commit lock, before the batch that needs the ids is
//! durable; what readers ask is always about series that have rows in some shards, so they see a
//! series only when its first row is applied, which is after the WAL has it. On disk it is a few
//! segments, written at each flush and merged as they come.
//!
//! ```text
//! table ─ records ─ dictionary (tag pairs)      segment ─ blocks
//!           │            │
//!         postings: measurement → series,  pair → series
//! ```

mod aliases;
mod arena;
mod dictionary;
mod limits;
mod load;
mod lookup;
mod places;
mod postings;
mod segment;
mod segments;
mod sets;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use limits::{LimitExceeded, Limits};
pub(crate) use lookup::{each_value, value_places, with_fitting_value};
pub(crate) use segment::{SegmentRead, read_segment, write_segment};
#[cfg(any(test, fuzzing))]
pub(crate) use segment::{read_segment_file, write_segment_file};
pub(crate) use segments::{Plan, Segments};
pub(crate) use table::SeriesTable;

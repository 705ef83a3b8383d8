//! Block files: the immutable files that hold a shard's data.
//!
//! A file holds rows of one shard, sorted by measurement, series id and time. The rows of a
//! measurement form one sequence, cut into *chunks* of at most [`CHUNK_ROWS_MAX`] rows and those
//! into *pages* of 1,080 to 2,160; short series share a page, long ones take many. Each column
//! (the times, and every field) learns its encoding once for a chunk and can then be decoded page
//! by page, so that one series' field over a short time costs a page of times and one of values.
//!
//! What always holds:
//!
//! - A file is never changed once [`BlockWriter::finish`] has returned. Sequences, not names, say
//!   which of two files is newer.
//! - Every byte is under a CRC32C, and no piece is decoded before its checksum fits. A damaged
//!   file answers [`BlockError::Corrupt`] or the right rows.
//! - Nothing in a file makes the reader allocate more than the file's own length or the bounds
//!   below allow.
//! - Times within a series are strictly ascending; a field that a row does not have takes no
//!   value, and a column without any value in a chunk takes two bytes.
//!
//! # Bytes
//!
//! `varint`, `zigzag` and the encodings of columns are those of `tandem-codec`; fixed integers are
//! little-endian. `⟨…⟩` is a *piece*: bytes followed by their CRC32C (4 bytes); lengths of pieces
//! include it. Pieces follow one another without gaps, so that lengths alone say where each is.
//!
//! ```text
//! file         magic "tandemB", version 0x01
//!              for each measurement, ascending by name: chunk …, ⟨directory page⟩ …
//!              ⟨footer⟩
//!              trailer: u64 footer length, magic "tandemB", version 0x01, u32 CRC32C of these
//! chunk        for each column: ⟨page⟩ …; for each column: ⟨column head⟩; ⟨chunk head⟩
//!              The times are column 0, then the fields as declared. A column without a value
//!              has no pages and no head.
//! page         of times: encoded times
//!              of a field: mask, encoded values of the rows that have one
//! column head  varint length, codec metadata (strings, booleans: none)
//!              for each page: varint length of its piece; 0 when no row has a value
//!              for each segment of the chunk head: statistics
//! statistics   varint rows without value; nothing more if that is all rows. Else
//!              varint ns from the segment's first row to the first value's,
//!              varint ns from the last value's to the segment's last row, then
//!              integer, unsigned: min (zigzag / varint); varint of first - min, last - min,
//!              max - min and sum - min × count (wrapping)
//!              float: 0x00 when a value is NaN or infinite, else 0x01, u64 bits of the sum,
//!              min, max, first, last. Each of these: byte d ≤ 3, zigzag n for n / 10^d,
//!              or 0xff, 8 bytes
//!              string, boolean: nothing
//! chunk head   varint pages; for each: varint rows, zigzag time of its first row (as difference to
//!              the page before's last), zigzag time of its last (to its first)
//!              varint segments; for each: varint rows between the segment before (or the chunk's
//!              start) and this one, varint rows, zigzag first time, zigzag length in ns, both as
//!              difference to the segment before. A segment is a series' rows within a page, where
//!              they are at least 128.
//!              for each column: varint length of its pages, varint length of its head
//! directory    for each of at most 256 series: varint id - id before - 1 (the first: 0), zigzag
//! page         rows, zigzag first time, zigzag length in ns, all three as difference to the
//!              series before
//! footer       varint shard, byte level, varint min and max sequence, zigzag min and max time,
//!              varint rows, values, series, measurements; for each measurement
//!                varint length, name; varint fields, for each: varint length, name, byte type
//!                varint length, series ids as a portable Roaring bitmap
//!                varint chunks, for each: varint length, length of its head, rows
//!                varint directory pages, for each: varint length, first id, series, rows
//! ```
//!
//! Differences wrap. The first of a list differs from 0.

mod cache;
mod chunk;
mod column;
mod damaged;
mod directory;
mod error;
mod footer;
mod handles;
mod head;
mod layout;
mod piece;
mod reader;
mod statistics;
mod usage;
mod verify;
mod writer;

pub(crate) use cache::BlockCache;
pub(crate) use error::BlockError;
pub(crate) use handles::Handles;
pub use reader::PageRows;
pub(crate) use reader::{BlockFile, SeriesReader};
pub use statistics::{Figures, Statistics, Summary};
pub(crate) use tandem_codec::Effort;
pub(crate) use usage::MeasurementUsage;
pub(crate) use writer::{BlockWriter, Header};

/// The first bytes of a file and the last but four, the version last.
const MAGIC: [u8; 8] = *b"tandemB\x01";
/// Bytes after the footer.
const TRAILER_LEN: usize = 8 + MAGIC.len() + 4;

/// Rows of a page at most: six hours of a point every 10 s, so that such a day is four even pages.
const PAGE_ROWS_MAX: usize = 2160;
/// Rows of a page at least, where there are more to come.
const PAGE_ROWS_MIN: usize = PAGE_ROWS_MAX / 2;
/// Bytes of strings in a page, all columns together, unless one row has more.
const PAGE_STRING_BYTES_MAX: usize = 1 << 20;
/// Rows of a chunk at most.
const CHUNK_ROWS_MAX: usize = 128 << 10;
/// Values of a chunk at most, as long as a page fits: bounds the writer's memory.
const CHUNK_VALUES_MAX: usize = 2 << 20;
/// A chunk ends once its strings take so many bytes.
const CHUNK_STRING_BYTES_MAX: usize = 16 << 20;
/// Bytes of one string at most.
const STRING_BYTES_MAX: usize = 64 << 20;
/// A series' rows within a page have statistics from so many on.
const STATISTICS_ROWS_MIN: usize = 128;
/// Series of a directory page at most.
const DIRECTORY_SERIES_MAX: usize = 256;

#[cfg(test)]
mod tests;

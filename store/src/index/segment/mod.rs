//! Index segments: a range of series ids and their keys, on disk.
//!
//! All segments of a database together cover the ids that were given out, without gaps or overlaps;
//! an id in a segment's range that the segment does not hold is used up. A segment is written whole,
//! synced and renamed before the manifest names it, and never changed; what was removed meanwhile
//! goes when a later one takes its place.
//!
//! It is a row of blocks of about 64 KiB, each complete in itself: its pairs are told at their first
//! use, and a series that has the pair of the one before it in the same place says so in one byte.
//! So a damaged block takes only its own series with it, and a writer needs the table for a moment
//! at a time.
//!
//! ```text
//! file    := magic "tndmsix2", block*
//! block   := length u32, crc32c of length and content u32, content
//! content := 1, first id, end id, series, pairs: uint             the first block; the last two are guesses
//!          | 2, series*                                           any number of them
//!          | 3, series uint                                       the last block: how many came
//! series  := id uint (less the id before in this block), measurement, tags uint, tag*
//! measurement := 0, escaped name bytes | n + 1: the n-th of this block
//! tag     := 0, shared uint, rest bytes: `key=value` with its escapes, shared with the new one before
//!          | 1: that of the series before in the same place
//!          | n + 2: the n-th of this block
//! ```
//!
//! Integers are LEB128 varints, `u32` little-endian.

mod decode;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub(super) use read::Part;
#[cfg(any(test, fuzzing))]
pub(crate) use read::read_segment_file;
pub(crate) use read::{SegmentRead, read_segment};
pub(crate) use write::write_segment;
#[cfg(any(test, fuzzing))]
pub(crate) use write::write_segment_file;

const MAGIC: &[u8; 8] = b"tndmsix2";
/// A block is closed when its content reaches this.
const BLOCK_BYTES: usize = 64 << 10;
/// A block is closed too when its tags, each once, come to this.
const BLOCK_TEXT_BYTES: usize = 1 << 20;
/// A block is longer than [`BLOCK_BYTES`] by at most one series; this bounds what a damaged length can
/// ask for.
const BLOCK_BYTES_MAX: usize = 1 << 20;
/// Length and checksum of a block.
const BLOCK_HEADER_BYTES: usize = 8;
/// Tags of a series: a key has at most 65,535 bytes.
const TAGS_MAX: usize = 1 << 15;
/// Bytes of a tag, as of a key.
const TAG_BYTES_MAX: usize = u16::MAX as usize;

const KIND_FIRST: u8 = 1;
const KIND_SERIES: u8 = 2;
const KIND_LAST: u8 = 3;

fn block_crc(len: [u8; 4], content: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&len), content)
}

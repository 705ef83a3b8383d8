//! One segmented, checksummed record log: the store's WAL and manifest, the relay's hinted
//! handoff, the agent's spool, the catalog's log of operations.
//!
//! A log is a directory of segment files. Records get consecutive sequence numbers, are staged in
//! memory by [`Log::append`] and become durable together, one write and one `fdatasync` for all
//! that wait, in [`Log::commit`]. [`Log::open`] visits every record that survived, once and in
//! order; [`Log::reader`] follows the log while others append; [`Log::cut_below`] frees the old end.
//! [`Cursor`] keeps a durable position beside a log.
//!
//! # What always holds
//!
//! - A record whose `commit` returned `Ok` is found by every later `open`, unless the disk damages
//!   it; then that is reported and the records around it still come.
//! - What `open` finds beyond that is a run of the records staged next, without a hole.
//! - A group is written only when everything before it is durable, and a segment is begun only then.
//!   So only the end of the last segment can be torn, and each frame proves what came before it.
//! - Nothing is written behind bytes of unknown state: they are cut off, and the cut is synced, first.
//! - A failed sync stops the log for good; a failed write (a full disk) fails the records it concerned
//!   and all staged behind them, and gives their numbers out again.
//!
//! # Bytes
//!
//! All integers are little-endian, all checksums CRC-32C.
//!
//! Sequences and indexes are below 2^62; a header that says more is none.
//!
//! A segment is the file `<index>-<salt>.seg`, both as lower-case hex of 16 and 8 digits. The index
//! counts up by one; the salt is random. It starts every header's checksum, so that bytes left
//! over from another segment never pass for records of this one; it stands in the name too, so
//! that a damaged segment header does not cost the records behind it.
//!
//! ```text
//! segment header, 48 bytes
//!  0   8  magic "tndmslog"
//!  8   2  format version, 1
//! 10   2  flags: 1 where the file had been another segment's, so that bytes of that may lie behind the end
//! 12   4  salt
//! 16   8  segment index
//! 24   8  first sequence: that of the first record, if there is one
//! 32   8  previous end: the log's next sequence when this segment was begun; all below was durable.
//!         Less than the first sequence only where numbers were skipped on purpose.
//! 40   4  record_bytes_max in force when it was written
//! 44   4  checksum of bytes 0..44, started with the salt
//!
//! frame: a header of 32 bytes, then the record; one behind the other to the end of the file
//!  0   4  marker f7 'r' 'e' 'c', to find the next frame behind damage
//!  4   4  length of the record
//!  8   8  sequence
//! 16   4  how many records back the durable end is: when this was written, all below it were durable.
//!         It is the first record of the group that was written and synced together.
//! 20   4  checksum of the header before this one: that of the frame, or else of the segment
//! 24   4  checksum of the record
//! 28   4  checksum of bytes 0..28, started with the salt
//! 32   .  the record
//! ```
//!
//! # Recovery
//!
//! Bytes that are no valid frame of the expected sequence are *damage* when a later valid frame, or
//! the header of a later segment, carries a durable end above that sequence: the record had been
//! synced. Otherwise they are a *torn tail*: the file is cut there. A valid frame that does not refer to the header
//! before it is left over from a group that failed, and ends the log like a torn one. Damage is reported
//! ([`Corruption`]), the segment gets a second name ending in `.damaged` that outlives
//! [`Log::cut_below`], and the scan goes on at the next marker that begins a valid frame. A damaged
//! last segment is never written again: the log goes on in a new one.
//!
//! A segment name that holds no complete header and no more bytes than one is a crash while it
//! was begun, and is removed. A gap in the indexes is a lost segment and reported. What a reopened log
//! hands out as durable is first made so: the last group is written once more in place and synced,
//! because after a failed sync the system may show bytes that the disk never got.
//!
//! Blocks of a segment that cannot be read are damage too, wherever they lie: what was in them is lost (or kept with
//! the `.damaged` name, for better days), and the rest is visited. Numbers that the lost bytes may have had are not given out again.
//! What cannot be opened at all, as for lack of a permission, stops the opening.
//!
//! # Files written again
//!
//! With [`Options::spare_segments_max`], a segment that is cut becomes `<index>-<salt>.spare` instead of being removed, and
//! a new segment is begun in such a file: its header is written and synced first, then it gets its name. Behind the
//! new segment's end lie frames of older ones. They have another salt and lower numbers, so they are neither records nor proof;
//! and where the expected frame is not there, the end is torn only if a frame header of the segment's own lies behind.
//! A damaged segment's file is not written again, for it has a second name.

// The bytes, from the inside out.
mod frame;
mod scan;
mod segment;
mod spare;
// Writing.
mod commit;
mod group;
mod log;
mod options;
mod stats;
mod writer;
// Reading back.
mod peek;
mod quarantine;
mod reader;
mod recovery;
mod report;
mod walk;
// Beside the log.
mod cursor;
mod dir;
mod error;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;

pub use cursor::Cursor;
pub use error::{Error, UserError};
pub use group::Ticket;
pub use log::Log;
pub use options::Options;
pub use peek::{Peek, PeekSegment, peek};
pub use reader::Reader;
pub use report::{Corruption, Damage, Recovery, TornTail};
pub use stats::{LogStats, SYNC_BOUNDS};

/// The number of a record in its log, counted up by one.
pub type Sequence = u64;

/// Above all numbers of records and indexes of segments, so that they can be counted on from without a look. No log
/// comes there by itself.
const NUMBER_END: u64 = 1 << 62;

/// What is called with each record when a log is opened, in order. An error stops the opening.
pub type Visitor<'a> = dyn FnMut(Sequence, &[u8]) -> Result<(), UserError> + 'a;

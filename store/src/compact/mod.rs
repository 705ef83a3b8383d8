//! Compaction: many small files of a shard into few that are larger and smaller in sum.
//!
//! [`policy`] says what is due, [`merger`] makes one file of several, and the [`Compactor`] does
//! one thing after the other, in a thread of its own or for whoever asks.
//!
//! What always holds:
//!
//! - One record of the manifest replaces the inputs by the result. A crash before it leaves the
//!   inputs and a file that nothing names; one behind it leaves the result, and inputs that nothing
//!   names. The next start removes what nothing names.
//! - The result says what tombstones it was made with, so that none is applied to what it does not
//!   concern, and each goes when no file needs it.
//! - No row is lost to a damaged file: an input that cannot be read as a whole stays where it is,
//!   is reported, and the others are merged around it.
//! - An input keeps its name until its last reader is gone.
//! - It gives way: its thread has a low priority and a bound on bytes per second, and nothing
//!   begins that might fill the disk. When it falls behind, flushes wait for it.

mod limiter;
mod merger;
mod policy;
mod stats;
mod thread;
mod worker;

pub use stats::CompactionStats;
pub(crate) use stats::Counters;
pub(crate) use thread::CompactionThread;
pub(crate) use worker::Compactor;

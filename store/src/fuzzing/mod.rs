//! What the fuzz targets in `store/fuzz` call: each decoder of the store's files, given any bytes.
//!
//! A function panics where a promise is broken: whatever the bytes are, they are refused or taken, and
//! what is taken can be read as a whole, and comes back the same when it is written again. Files begin
//! as good ones in which the input says what to change, so that no seeds are needed to come to their
//! inner parts. For the same end, builds for fuzzing (`cfg(fuzzing)`) do not compare the checksums of
//! block files, index segments and lists of backups; no other build does without.

mod block;
mod bytes;
mod index;
mod patch;
mod records;
#[cfg(test)]
mod tests;

pub use block::{block, block_samples};
pub(crate) use bytes::Bytes;
pub use index::{index, index_samples};
pub use records::{list, manifest, wal};

//! How a log is kept.

use std::time::Duration;

use crate::Sequence;

/// How a log is kept. Only `record_bytes_max` reaches the disk (with each segment), so all of it
/// may differ from one open to the next.
#[derive(Clone, Debug)]
pub struct Options {
    /// A group that would grow the segment past this begins a new one. A segment is longer only
    /// where a single group is.
    pub segment_bytes_max: u64,
    /// The longest record that `append` takes.
    pub record_bytes_max: u32,
    /// Staged bytes at which `append` writes, or waits for the one who does, before it takes more.
    pub pending_bytes_max: usize,
    /// The lowest sequence to give out: an empty log begins with it, an older one skips to it.
    pub first_sequence: Sequence,
    /// How long a commit waits for others to join it (InfluxDB's `wal-fsync-delay`).
    pub commit_delay: Duration,
    /// Files of cut segments that are kept to be written again, which halves the time of a sync; the
    /// others are removed. Each is about as long as a segment can be.
    pub spare_segments_max: usize,
    /// Reserve the space of a whole segment when it is begun, so that a full disk shows there.
    pub reserve: bool,
}

impl Options {
    /// Default of `segment_bytes_max`.
    pub const SEGMENT_BYTES_MAX: u64 = 64 << 20;
    /// Default of `record_bytes_max`.
    pub const RECORD_BYTES_MAX: u32 = 64 << 20;
    /// Default of `pending_bytes_max`.
    pub const PENDING_BYTES_MAX: usize = 16 << 20;
}

impl Default for Options {
    fn default() -> Self {
        Options {
            segment_bytes_max: Self::SEGMENT_BYTES_MAX,
            record_bytes_max: Self::RECORD_BYTES_MAX,
            pending_bytes_max: Self::PENDING_BYTES_MAX,
            first_sequence: 1,
            commit_delay: Duration::ZERO,
            spare_segments_max: 0,
            reserve: false,
        }
    }
}

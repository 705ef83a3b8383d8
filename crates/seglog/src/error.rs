//! What can go wrong with a log. Errors are cheap to clone, because one failed write is told to
//! everyone whose record it carried.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Sequence;

/// An error of the code that a log calls: a visitor or an encoder.
pub type UserError = Box<dyn std::error::Error + Send + Sync>;

/// Why an operation on a log or a cursor failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The file system refused. Of a failed commit nothing may be assumed but that the record is not
    /// acknowledged: it may still be found after a crash, until something is appended in its place.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried, to be read before the path.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the file system said.
        source: Arc<io::Error>,
    },

    /// The directory's lock is held, by another process or by this one.
    #[error("the log in {} is in use", dir.display())]
    Locked {
        /// The log's directory.
        dir: PathBuf,
    },

    /// A sync failed, so nothing is known of what the disk holds of the last group; the log takes no more
    /// records. Opening it again finds out.
    #[error("the log in {} stopped at a failed sync", dir.display())]
    Failed {
        /// The log's directory.
        dir: PathBuf,
        /// The sync that failed.
        source: Arc<Error>,
    },

    /// A record is longer than `Options::record_bytes_max`. Nothing was staged.
    #[error("a record of {bytes} bytes is longer than the {bytes_max} allowed")]
    TooLarge {
        /// Its length.
        bytes: usize,
        /// The longest one allowed.
        bytes_max: u32,
    },

    /// Records that were once durable cannot be read.
    #[error("{}: damaged at byte {offset}, records {}..{} are lost", file.display(), sequences.start, sequences.end)]
    Corrupt {
        /// The damaged file.
        file: PathBuf,
        /// Where the damage begins.
        offset: u64,
        /// The records concerned; empty where no record is known to be lost.
        sequences: Range<Sequence>,
    },

    /// A file was written by a version of the format that this one does not know.
    #[error("{}: format version {found} is not known here; use the release that wrote it", file.display())]
    Version {
        /// The file.
        file: PathBuf,
        /// The version it names.
        found: u16,
    },

    /// Two files claim to be the same segment; which one is right cannot be told.
    #[error("{} and {} are the same segment; move the wrong one away", first.display(), second.display())]
    Twins {
        /// One file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },

    /// The visitor refused a record, so the log was not opened.
    #[error("record {sequence} was refused")]
    Visit {
        /// The record.
        sequence: Sequence,
        /// What the visitor said.
        source: Arc<dyn std::error::Error + Send + Sync>,
    },

    /// The encoder gave up. Nothing was staged.
    #[error("a record was not encoded")]
    Encode {
        /// What the encoder said.
        source: Arc<dyn std::error::Error + Send + Sync>,
    },

    /// The thread that wrote for all panicked, or an encoder removed bytes that were not its own.
    #[error("records staged in the log in {} were lost by a fault of the program", dir.display())]
    Broken {
        /// The log's directory.
        dir: PathBuf,
    },

    /// A cursor was asked to go back.
    #[error("{}: a cursor at {current} cannot go back to {asked}", path.display())]
    Backwards {
        /// The cursor's file.
        path: PathBuf,
        /// Where it is.
        current: u64,
        /// Where it was asked to be.
        asked: u64,
    },
}

impl Error {
    /// True when there was no space left: worth another try once there is.
    #[must_use]
    pub fn is_storage_full(&self) -> bool {
        match self {
            Error::Io { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            ),
            _ => false,
        }
    }

    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Error::Io {
            action,
            path: path.to_owned(),
            source: Arc::new(source),
        }
    }
}

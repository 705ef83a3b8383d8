//! What can go wrong, in InfluxDB's words where InfluxDB has words for it.

use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why the store could not do what was asked. `Display` is what a client is told.
#[derive(Debug, Error)]
pub enum StoreError {
    /// No database of this name.
    #[error("database not found: {0}")]
    DatabaseNotFound(String),
    /// No retention policy of this name.
    #[error("retention policy not found: {0}")]
    PolicyNotFound(String),
    /// Refused, with InfluxDB's reason.
    #[error("{0}")]
    Refused(String),
    /// The store takes no change any more: an earlier sync failed, or it is closed.
    #[error("store is read-only: {0}")]
    ReadOnly(String),
    /// The file system reports an error; nothing was changed unless the text says so.
    #[error("{action} {}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: std::io::Error,
    },
    /// The log (WAL or manifest) reports an error.
    #[error("{action}")]
    Log {
        /// What was being done.
        action: &'static str,
        /// What the log said.
        #[source]
        source: tandem_seglog::Error,
    },
    /// A block file reports an error.
    #[error(transparent)]
    Block(#[from] crate::block::BlockError),
    /// A file holds what it cannot hold.
    #[error("{} is damaged at byte {offset}: {what}", file.display())]
    Corrupt {
        /// The file.
        file: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// A compaction was not begun because its result might fill the disk.
    #[error(
        "no space left on device: {free_bytes} bytes are free, compaction needs {needed_bytes}"
    )]
    NoSpace {
        /// What is free.
        free_bytes: u64,
        /// What would be needed, with what is kept back for flushes.
        needed_bytes: u64,
    },
    /// Another process uses the directory.
    #[error("{} is in use by another process; stop it, or choose another data directory", .0.display())]
    InUse(PathBuf),
    /// A restore into the directory did not come to its end.
    #[error("{} holds a restore that did not come to its end; run `tandem restore` again, or remove the directory", .0.display())]
    Restoring(PathBuf),
    /// The directory is a backup, which a store would change.
    #[error("{dir} is a backup; make a store of it with `tandem restore {dir} --data-dir NEW`, and start that", dir = .0.display())]
    IsBackup(PathBuf),
    /// The directory is that of an InfluxDB.
    #[error("{} holds the data of an InfluxDB or of another program, which is left as it is; give another --data-dir, and bring the data with `influx_inspect export` and `tandem import` (docs/moving.md)", .0.display())]
    IsInfluxDb(PathBuf),
}

impl StoreError {
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    /// True when there was no space left: worth another try once there is.
    #[must_use]
    pub fn is_storage_full(&self) -> bool {
        match self {
            Self::Io { source, .. } | Self::Block(crate::block::BlockError::Io { source, .. }) => {
                matches!(
                    source.kind(),
                    std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
                )
            }
            Self::Log { source, .. } => source.is_storage_full(),
            _ => false,
        }
    }

    /// The error for data files in `dir` of which no manifest tells.
    pub(crate) fn without_manifest(dir: &Path) -> Self {
        Self::Corrupt {
            file: dir.join("manifest"),
            offset: 0,
            what: "the manifest is empty and there are data files; restore it from a backup",
        }
    }

    pub(crate) fn log(action: &'static str) -> impl FnOnce(tandem_seglog::Error) -> Self {
        move |source| Self::Log { action, source }
    }
}

/// Why a write was not, or not wholly, stored. `Display` is what a client is told.
#[derive(Debug, Error)]
pub enum WriteError {
    /// No database of this name; nothing was stored.
    #[error("database not found: {0:?}")]
    DatabaseNotFound(String),
    /// No retention policy of this name; nothing was stored.
    #[error("retention policy not found: {0}")]
    PolicyNotFound(String),
    /// No line could be parsed; nothing was stored. One line for each bad line of the body.
    #[error("{0}")]
    Unparsable(String),
    /// The good points are stored, durable and readable; the others are not.
    #[error("{message}")]
    Partial {
        /// The complete text.
        message: String,
        /// How many points were stored.
        points: u64,
        /// How many points were dropped after parsing.
        dropped: u64,
    },
    /// Memory for writes is used up; nothing was stored; worth trying again.
    #[error("{0}")]
    Overloaded(String),
    /// The request needs more memory than all writes may have; nothing was stored; worth splitting.
    #[error("{0}")]
    TooLarge(String),
    /// The disk is full; nothing was stored; worth trying again when there is space.
    #[error("{0}")]
    Full(String),
    /// The store takes no writes any more; nothing was stored.
    #[error("{0}")]
    ReadOnly(String),
    /// Something else failed; the points may or may not be stored.
    #[error("{0}")]
    Store(#[from] StoreError),
}

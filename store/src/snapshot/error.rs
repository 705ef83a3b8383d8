//! Why a backup or a restore did not come to be. Each text says what to do next.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::error::StoreError;
use crate::store_id::UniqueId;

/// See the module's head. On any of these the target is as it was before, or not there.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// The directory holds no store.
    #[error("{} holds no store: it has no manifest; give the directory of one store (`tandem up` keeps two, DIR/primary and DIR/backup)", .0.display())]
    NotAStore(PathBuf),
    /// The directory holds no backup.
    #[error("{} is no backup: it has no file BACKUP; give a directory that `tandem backup` made", .0.display())]
    NotABackup(PathBuf),
    /// The backup's list cannot be what was written.
    #[error("{}: {what}; use another backup", file.display())]
    BadList {
        /// The list.
        file: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// The place where something is to be made is taken.
    #[error("{} is there already; nothing is overwritten, give a directory that is not there yet", .0.display())]
    Exists(PathBuf),
    /// A store is to be made where other things are.
    #[error("{} is not empty; restore into an empty directory, or add a database under another name with --database OLD --as NEW", .0.display())]
    NotEmpty(PathBuf),
    /// A file of a backup is not what it was.
    #[error("{} is damaged: {what}; nothing was restored, use another backup", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A file of an incremental backup is in another one that is not at hand.
    #[error(
        "{file} is in the backup {holder}, made at {place}, which is not at hand; put that backup there or beside this one, or name its directory with --chain"
    )]
    MissingLink {
        /// The file.
        file: String,
        /// The backup that holds it.
        holder: UniqueId,
        /// Where it was when the incremental backup was made.
        place: String,
    },
    /// The base of an incremental backup does not serve.
    #[error("{} cannot be the base: {what}", base.display())]
    BadBase {
        /// The base.
        base: PathBuf,
        /// Why not.
        what: &'static str,
    },
    /// What is to be backed up or restored does not exist.
    #[error("{0}")]
    NotThere(String),
    /// The store changed faster than it could be copied.
    #[error("the store in {} kept changing while it was copied; try again at a quieter time", .0.display())]
    Busy(PathBuf),
    /// The file system reports an error.
    #[error("{action} {}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: io::Error,
    },
    /// The store reports an error.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SnapshotError {
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}

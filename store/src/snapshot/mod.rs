//! Backups of a store, and stores out of backups.
//!
//! A backup is a directory with the layout of a store's, the list `BACKUP` beside it: block files and index
//! segments under a second name (they never change) or copied, the needed part of the WAL copied, the manifest written
//! anew. It is made while the store is written to, and without its help. An incremental backup has those
//! files that an earlier one does not have, and refers to that one for the rest.

mod adopt;
mod backup;
mod chain;
mod error;
mod list;
mod log;
mod restore;
mod selection;
mod tree;

pub use adopt::restore_database;
pub use backup::{BackupOptions, BackupReport, backup};
pub use error::SnapshotError;
pub use list::{BackupList, ListedFile};
pub use restore::{RestoreOptions, RestoreReport, restore};
pub use selection::Selection;

pub(crate) use list::LIST_FILE;
pub(crate) use log::{CATALOG_LOG_DIR, log_options};
pub(crate) use restore::{RESTORING_FILE, check_list};
pub(crate) use selection::{dirs_and_files, is_store};

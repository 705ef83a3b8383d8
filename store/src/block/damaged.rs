//! Which files were found to be damaged while they were read.
//!
//! Damage is no reason to give up a file: what is good in it still answers, and who needs what is not
//! gets an error that names the file. Here it is counted, and said once for each file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::BlockError;

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Damaged {
    reads: AtomicU64,
    files: Mutex<BTreeSet<PathBuf>>,
}

impl Damaged {
    /// Notes that a read of `file` failed, and passes the error on.
    pub(super) fn noted(&self, file: &Path, error: BlockError) -> BlockError {
        self.reads.fetch_add(1, Ordering::Relaxed);
        if self.files().insert(file.to_owned()) {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a block file cannot be read; what needs it fails, and the rest answers"
            );
        }
        error
    }

    /// Forgets a file that is not used any more.
    pub(super) fn forget(&self, file: &Path) {
        self.files().remove(file);
    }

    /// How many reads failed.
    pub(crate) fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// The files, by name.
    pub(crate) fn list(&self) -> Vec<PathBuf> {
        self.files().iter().cloned().collect()
    }

    fn files(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

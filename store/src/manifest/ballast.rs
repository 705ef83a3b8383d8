//! A file that only takes up space, to be given up when the disk is full.
//!
//! What the store has is deleted and dropped by writing to the manifest, and that has to work on a
//! full disk: it is how space is made. Other processes fill disks too, so keeping some bytes free is
//! not enough. The ballast is removed when the manifest finds no space, and made again when there
//! is some. A clean stop removes it, so that a store at rest is as small as its data.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tandem_vfs::Vfs;

/// What one change of the manifest takes at most, but for deletions of very many scattered series.
const BALLAST_BYTES: usize = 1 << 20;

/// See the module's head.
#[derive(Debug)]
pub(super) struct Ballast {
    vfs: Arc<dyn Vfs>,
    path: PathBuf,
}

impl Ballast {
    /// The ballast of the store whose manifest is in `manifest_dir`.
    pub(super) fn beside(vfs: Arc<dyn Vfs>, manifest_dir: &Path) -> Self {
        Self {
            vfs,
            path: manifest_dir.with_file_name("ballast"),
        }
    }

    /// Makes it, unless it is there or would take what is to be left free.
    pub(super) fn make(&self, free_bytes_min: u64) -> io::Result<()> {
        let dir = self.path.parent().unwrap_or(&self.path);
        let needed = free_bytes_min.saturating_add(2 * BALLAST_BYTES as u64);
        if self.vfs.exists(&self.path) || self.vfs.available_bytes(dir)? < needed {
            return Ok(());
        }
        let file = self.vfs.create_new(&self.path)?;
        // No zeros, for which a file system may keep nothing. It need not survive a crash: the next
        // start makes it again.
        let written = file.write_all_at(&vec![0x5a; BALLAST_BYTES], 0);
        if written.is_err() {
            self.release();
        }
        written
    }

    /// Gives it up; true when that made space.
    pub(super) fn release(&self) -> bool {
        self.vfs.exists(&self.path) && self.vfs.remove_file(&self.path).is_ok()
    }
}

//! Spare segments: files of segments that were cut, kept to be written again.
//!
//! A write into a file whose blocks were written before changes no metadata of the file system, so that a sync
//! of it is one write of the disk and no journal commit besides: half the time, measured on ext4. Reserved
//! blocks do not help: the first write of each still has to note that it is written.
//!
//! A spare is called `<index>-<salt>.spare` after the segment that it was, and means nothing to recovery. It gets its name by
//! a rename, and that is durable before the file is touched again; it gets the header of its new segment, synced, before it gets the
//! new name. So a segment's name never stands for a file without that segment's header, and what
//! lies behind the new segment's end has another salt and lower numbers.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tandem_vfs::Vfs;

use crate::segment::{HEADER_BYTES, SegmentHeader, SegmentId};

/// The spare files of a log.
#[derive(Debug)]
pub(crate) struct Spares {
    count_max: usize,
    list: Mutex<VecDeque<PathBuf>>,
}

impl Spares {
    /// Keeps those of the spares in the directory that can be used, and removes the others.
    pub(crate) fn open(
        vfs: &dyn Vfs,
        dir: &Path,
        count_max: usize,
        segments: &[SegmentId],
    ) -> io::Result<Self> {
        let mut list = VecDeque::new();
        let mut names = vfs.read_dir(dir)?;
        names.retain(|name| SegmentId::parse_spare(name).is_some());
        names.sort_unstable();
        for name in names {
            let path = dir.join(name);
            if list.len() < count_max && is_apart(vfs, &path, segments) {
                list.push_back(path);
            } else if let Err(e) = vfs.remove_file(&path) {
                // It stays as it is: no segment, and no spare either.
                if e.kind() != io::ErrorKind::NotFound {
                    break;
                }
            }
        }
        Ok(Spares {
            count_max,
            list: Mutex::new(list),
        })
    }

    /// Whether one more would be kept.
    pub(crate) fn have_room(&self) -> bool {
        self.list().len() < self.count_max
    }

    /// Takes up a file that has its spare name for good.
    pub(crate) fn add(&self, path: PathBuf) {
        self.list().push_back(path);
    }

    /// Hands out a file to be written again.
    pub(crate) fn take(&self) -> Option<PathBuf> {
        self.list().pop_front()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.list().len()
    }

    fn list(&self) -> MutexGuard<'_, VecDeque<PathBuf>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the file is no segment's as well: it could be under a file system that renames in two steps.
fn is_apart(vfs: &dyn Vfs, path: &Path, segments: &[SegmentId]) -> bool {
    let mut head = [0; HEADER_BYTES as usize];
    let read = vfs
        .open_read(path)
        .and_then(|file| file.read_exact_at(&mut head, 0));
    read.is_ok() && !segments.contains(&SegmentHeader::id_in(&head))
}

//! Open files, a bounded number of them.
//!
//! A store may have more block files than a process may have open. A [`Handle`] stands for one
//! that is opened when it is first read; [`Handles`] closes those that were not read lately.
//! A closed one is opened again by name, so a file that is to go keeps its name until the last
//! [`Handle`] of it is gone ([`Handle::remove_when_dropped`]).

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tandem_vfs::{File, Vfs};

use super::BlockError;
use super::damaged::Damaged;

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Handles {
    vfs: Arc<dyn Vfs>,
    open_max: usize,
    /// Those that are open, the one to be closed next first.
    open: Mutex<VecDeque<Arc<Slot>>>,
    removals_pending: AtomicUsize,
    /// Those that could not be read.
    pub(crate) damaged: Damaged,
}

#[derive(Debug, Default)]
struct Slot {
    file: Mutex<Option<Arc<dyn File>>>,
    /// Read since it was last looked at.
    used: AtomicBool,
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Option<Arc<dyn File>>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handles {
    /// How many files a store keeps open; each reader may hold one more while it reads. Two stores of
    /// one process stay below half of the 1,024 files that systems allow by default.
    pub(crate) const OPEN_MAX: usize = 256;

    /// Keeps at most `open_max` files open.
    pub(crate) fn new(vfs: Arc<dyn Vfs>, open_max: usize) -> Self {
        Self {
            vfs,
            open_max,
            open: Mutex::default(),
            removals_pending: AtomicUsize::new(0),
            damaged: Damaged::default(),
        }
    }

    /// How many files wait for their last reader to be removed.
    pub(crate) fn removals_pending(&self) -> usize {
        self.removals_pending.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Slot>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn opened(&self, slot: &Arc<Slot>) {
        let mut open = self.lock();
        open.push_back(Arc::clone(slot));
        // Those that were read lately get a second chance, once each.
        let mut chances = open.len();
        while open.len() > self.open_max
            && let Some(oldest) = open.pop_front()
        {
            if oldest.used.swap(false, Ordering::AcqRel) && chances > 0 {
                chances -= 1;
                open.push_back(oldest);
            } else {
                oldest.lock().take();
            }
        }
    }

    fn closed(&self, slot: &Arc<Slot>) {
        if slot.lock().take().is_some() {
            self.lock().retain(|other| !Arc::ptr_eq(other, slot));
        }
    }
}

/// A file to be read, open or not.
#[derive(Debug)]
pub(crate) struct Handle {
    handles: Arc<Handles>,
    path: PathBuf,
    slot: Arc<Slot>,
    remove: AtomicBool,
}

impl Handle {
    /// Stands for the file `path`; opens nothing yet.
    pub(crate) fn new(handles: &Arc<Handles>, path: &Path) -> Self {
        Self {
            handles: Arc::clone(handles),
            path: path.to_owned(),
            slot: Arc::default(),
            remove: AtomicBool::new(false),
        }
    }

    /// Stands for `file`, which is open, and of which `path` is the name.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn opened(handles: &Arc<Handles>, path: &Path, file: Arc<dyn File>) -> Self {
        let handle = Self::new(handles, path);
        *handle.slot.lock() = Some(file);
        handle
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Notes that it could not be read, and passes the error on.
    pub(super) fn noted(&self, error: BlockError) -> BlockError {
        self.handles.damaged.noted(&self.path, error)
    }

    /// The file, opened if it is not.
    pub(crate) fn get(&self) -> io::Result<Arc<dyn File>> {
        self.slot.used.store(true, Ordering::Release);
        let file = {
            let mut slot = self.slot.lock();
            if let Some(file) = &*slot {
                return Ok(Arc::clone(file));
            }
            let file = self.handles.vfs.open_read(&self.path)?;
            *slot = Some(Arc::clone(&file));
            file
        };
        self.handles.opened(&self.slot);
        Ok(file)
    }

    /// Removes the file once this is dropped. To be called when the manifest does not name it any
    /// more: should the process end before, the next start removes it.
    pub(crate) fn remove_when_dropped(&self) {
        if !self.remove.swap(true, Ordering::AcqRel) {
            self.handles.removals_pending.fetch_add(1, Ordering::AcqRel);
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.handles.closed(&self.slot);
        self.handles.damaged.forget(&self.path);
        if self.remove.load(Ordering::Acquire) {
            let removed = self.handles.vfs.remove_file(&self.path);
            self.handles.removals_pending.fetch_sub(1, Ordering::AcqRel);
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(file = %self.path.display(), %error, "cannot remove a file that is not needed; the next start does");
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tandem_testkit::SimFs;

    use super::*;

    fn files(count: usize, open_max: usize) -> (SimFs, Arc<Handles>, Vec<Handle>) {
        let fs = SimFs::new(1);
        fs.create_dir_all(Path::new("/d")).unwrap();
        let handles = Arc::new(Handles::new(Arc::new(fs.clone()), open_max));
        let made = (0..count).map(|at| {
            let path = PathBuf::from(format!("/d/{at}"));
            let file = fs.create_new(&path).unwrap();
            file.write_all_at(&[at as u8], 0).unwrap();
            Handle::new(&handles, &path)
        });
        let made = made.collect();
        (fs, handles, made)
    }

    fn byte(handle: &Handle) -> u8 {
        let mut byte = [0];
        handle.get().unwrap().read_exact_at(&mut byte, 0).unwrap();
        byte[0]
    }

    #[test]
    fn many_files_are_read_through_few_that_are_open() {
        let (_fs, handles, made) = files(50, 4);
        for round in 0..3 {
            for (at, handle) in made.iter().enumerate() {
                assert_eq!(usize::from(byte(handle)), at, "round {round}");
                assert!(handles.lock().len() <= 4);
            }
        }
        let open = made.iter().filter(|handle| handle.slot.lock().is_some());
        assert_eq!(open.count(), 4);
        drop(made);
        assert!(handles.lock().is_empty());
    }

    #[test]
    fn what_is_read_often_stays_open() {
        let (fs, _handles, made) = files(50, 4);
        for handle in &made {
            byte(handle);
            byte(&made[0]);
        }
        let before = fs.calls();
        byte(&made[0]);
        assert_eq!(fs.calls() - before, 1, "one read, nothing opened");
    }

    #[test]
    fn a_file_keeps_its_name_until_its_last_reader_is_gone() {
        let (fs, handles, mut made) = files(2, 1);
        byte(&made[0]);
        made[0].remove_when_dropped();
        made[0].remove_when_dropped();
        assert_eq!(handles.removals_pending(), 1);
        // Closed by this one, and opened again.
        byte(&made[1]);
        assert_eq!(byte(&made[0]), 0);
        made.remove(0);
        assert_eq!(handles.removals_pending(), 0);
        assert!(!fs.exists(Path::new("/d/0")));
        assert!(fs.exists(Path::new("/d/1")));
    }
}

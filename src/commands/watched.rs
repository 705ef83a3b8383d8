//! The real file system, with what goes through it counted for a [`Progress`]: bytes that are read, bytes that are
//! written into new files, and the sizes of files that are linked instead of copied.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tandem_vfs::{DirLock, File, RealFs, Vfs};

use super::progress::Progress;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    /// What is read.
    Reads,
    /// What a copy gets: written or linked.
    Copies,
}

/// See the module's head.
#[derive(Debug)]
pub(super) struct Watched {
    progress: Progress,
    count: Count,
}

impl Watched {
    pub(super) fn over(progress: &Progress, count: Count) -> Arc<dyn Vfs> {
        Arc::new(Self {
            progress: progress.clone(),
            count,
        })
    }

    fn file(&self, file: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(WatchedFile {
            file,
            progress: self.progress.clone(),
            count: self.count,
        })
    }
}

/// Bytes of all files below `dir`, as far as they can be looked at.
pub(super) fn bytes_below(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return 0;
    };
    let of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => bytes_below(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    entries.filter_map(Result::ok).map(of).sum()
}

#[derive(Debug)]
struct WatchedFile {
    file: Arc<dyn File>,
    progress: Progress,
    count: Count,
}

impl File for WatchedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let read = self.file.read_at(buf, offset)?;
        if self.count == Count::Reads {
            self.progress.add(read as u64);
        }
        Ok(read)
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(buf, offset)?;
        if self.count == Count::Copies {
            self.progress.add(buf.len() as u64);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        self.file.reserve(len)
    }
}

impl Vfs for Watched {
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(self.file(RealFs.create_new(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(self.file(RealFs.open(path)?))
    }

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(self.file(RealFs.open_read(path)?))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        RealFs.create_dir_all(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<String>> {
        RealFs.read_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealFs.rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealFs.hard_link(from, to)?;
        if self.count == Count::Copies {
            self.progress
                .add(std::fs::metadata(to).map_or(0, |meta| meta.len()));
        }
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        RealFs.remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        RealFs.remove_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        RealFs.sync_dir(path)
    }

    fn lock_dir(&self, path: &Path) -> io::Result<Box<dyn DirLock>> {
        RealFs.lock_dir(path)
    }

    fn available_bytes(&self, path: &Path) -> io::Result<u64> {
        RealFs.available_bytes(path)
    }

    fn exists(&self, path: &Path) -> bool {
        RealFs.exists(path)
    }
}

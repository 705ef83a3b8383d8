//! A file system in memory: one directory, everything durable at once.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tandem_vfs::{DirLock, File, Vfs};

#[derive(Debug, Default)]
pub struct Memory(Mutex<BTreeMap<PathBuf, Arc<Bytes>>>);

#[derive(Debug, Default)]
pub struct Bytes(Mutex<Vec<u8>>);

#[derive(Debug)]
struct NoLock;

impl DirLock for NoLock {}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn place(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(io::Error::other)
}

impl Memory {
    pub fn put(&self, path: PathBuf, bytes: Vec<u8>) {
        lock(&self.0).insert(path, Arc::new(Bytes(Mutex::new(bytes))));
    }

    fn find(&self, path: &Path) -> io::Result<Arc<Bytes>> {
        let found = lock(&self.0).get(path).cloned();
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl File for Bytes {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = lock(&self.0);
        let rest = bytes.get(place(offset)?..).unwrap_or_default();
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let mut bytes = lock(&self.0);
        let start = place(offset)?;
        let end = start + buf.len();
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[start..end].copy_from_slice(buf);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(lock(&self.0).len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        lock(&self.0).resize(place(len)?, 0);
        Ok(())
    }

    fn reserve(&self, _: u64) -> io::Result<()> {
        Ok(())
    }
}

impl Vfs for Memory {
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        if self.exists(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.put(path.to_owned(), Vec::new());
        self.open(path)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(self.find(path)?)
    }

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(self.find(path)?)
    }

    fn create_dir_all(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn read_dir(&self, dir: &Path) -> io::Result<Vec<String>> {
        let files = lock(&self.0);
        let names = files.keys().filter_map(|path| path.strip_prefix(dir).ok());
        Ok(names
            .map(|name| name.to_string_lossy().into_owned())
            .collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let file = self.find(from)?;
        let mut files = lock(&self.0);
        files.remove(from);
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        if self.exists(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = self.find(from)?;
        lock(&self.0).insert(to.to_owned(), file);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let removed = lock(&self.0).remove(path);
        removed
            .map(drop)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn remove_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock_dir(&self, _: &Path) -> io::Result<Box<dyn DirLock>> {
        Ok(Box::new(NoLock))
    }

    fn available_bytes(&self, _: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }

    fn exists(&self, path: &Path) -> bool {
        lock(&self.0).contains_key(path)
    }
}

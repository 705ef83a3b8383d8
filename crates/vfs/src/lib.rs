//! Where the world enters: files, clock and randomness as values that a test can replace.
//!
//! Every file that must survive a crash is reached through [`Vfs`], so that tests can run the
//! same code on a simulated file system that loses, tears and reorders what was not synced.
//!
//! # Durability contract
//!
//! - Bytes written through [`File::write_all_at`] survive power loss after [`File::sync_data`] returned
//!   `Ok`. Before that any subset of them may survive.
//! - A file made, renamed, linked or removed keeps that state over power loss after [`Vfs::sync_dir`]
//!   of its directory returned `Ok`. Before that either state may be found.
//! - After a failed `sync_data` nothing may be assumed of what was written since the last good
//!   one, and calling it again proves nothing: kernels mark the pages clean.

mod clock;
mod random;
mod real;

use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::sync::Arc;

pub use clock::{Clock, SystemClock};
pub use random::random_u64;
pub use real::RealFs;

/// An open file. All access is positional, so a file can be shared between threads.
pub trait File: Debug + Send + Sync {
    /// Reads up to `buf.len()` bytes at `offset`; fewer only at the end of the file.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `buf` at `offset`, growing the file where needed. On an error any part may
    /// have been written.
    ///
    /// # Errors
    /// Whatever the file system reports; `StorageFull` when there is no space.
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()>;

    /// Makes everything written so far durable (`fdatasync`), the file's length included.
    ///
    /// # Errors
    /// Whatever the file system reports. Must never be retried: see the module's head.
    fn sync_data(&self) -> io::Result<()>;

    /// The length in bytes.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn len(&self) -> io::Result<u64>;

    /// Cuts or extends (with zeros) to `len` bytes.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Reserves space so that the file can grow to `len` bytes, without changing its length.
    /// A file system that cannot is no error.
    ///
    /// # Errors
    /// `StorageFull` when there is no space.
    fn reserve(&self, len: u64) -> io::Result<()>;

    /// True when the length is zero.
    ///
    /// # Errors
    /// As [`File::len`].
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Reads exactly `buf.len()` bytes at `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file ends before.
    fn read_exact_at(&self, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buf.is_empty() {
            match self.read_at(buf, offset)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => {
                    buf = &mut buf[n..];
                    offset += n as u64;
                }
            }
        }
        Ok(())
    }
}

/// Holds the exclusive lock of a directory until it is dropped.
pub trait DirLock: Debug + Send + Sync {}

/// A file system.
pub trait Vfs: Debug + Send + Sync {
    /// Makes a new file for reading and writing; the name must be free.
    ///
    /// # Errors
    /// `AlreadyExists`, or whatever the file system reports.
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// Opens a file that exists for reading and writing.
    ///
    /// # Errors
    /// `NotFound`, or whatever the file system reports.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// Opens a file that exists for reading only.
    ///
    /// # Errors
    /// `NotFound`, or whatever the file system reports.
    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// Makes a directory and those above it. Each new entry is durable once the directory that
    /// holds it has been synced.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;

    /// The names in a directory, in any order.
    ///
    /// # Errors
    /// `NotFound`, or whatever the file system reports.
    fn read_dir(&self, path: &Path) -> io::Result<Vec<String>>;

    /// Renames a file, replacing what has the new name.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file a second name.
    ///
    /// # Errors
    /// `CrossesDevices` when the two are on different devices, or whatever the file system reports.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// `NotFound`, or whatever the file system reports.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty directory.
    ///
    /// # Errors
    /// `DirectoryNotEmpty`, `NotFound`, or whatever the file system reports.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;

    /// Makes the entries of a directory durable.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Takes the exclusive lock of a directory (the file `LOCK` in it), without waiting.
    ///
    /// # Errors
    /// `WouldBlock` when another process, or this one, holds it.
    fn lock_dir(&self, path: &Path) -> io::Result<Box<dyn DirLock>>;

    /// Bytes that an ordinary user can still write on the file system of `path`.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn available_bytes(&self, path: &Path) -> io::Result<u64>;

    /// True when there is a file or directory of this name.
    fn exists(&self, path: &Path) -> bool;
}

//! A directory tree while it is being made: files linked or copied into it, each directory made once and
//! synced at the end.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use tandem_vfs::{File, Vfs};

use super::error::SnapshotError;

/// Bytes read at once.
const COPY_BYTES: usize = 1 << 20;

/// See the module's head.
#[derive(Debug)]
pub(super) struct Tree<'a> {
    vfs: &'a dyn Vfs,
    root: PathBuf,
    dirs: BTreeSet<PathBuf>,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) len_bytes: u64,
    pub(super) crc32c: u32,
}

impl<'a> Tree<'a> {
    /// A tree below `root`, which is made where it is missing.
    pub(super) fn new(vfs: &'a dyn Vfs, root: &Path) -> Result<Self, SnapshotError> {
        let mut tree = Self {
            vfs,
            root: root.into(),
            dirs: BTreeSet::new(),
        };
        tree.make_dir("")?;
        Ok(tree)
    }

    /// Makes a directory, `path` below the root, and those above it.
    pub(super) fn make_dir(&mut self, path: &str) -> Result<(), SnapshotError> {
        let dir = self.root.join(path);
        if !self.dirs.contains(&dir) {
            self.vfs
                .create_dir_all(&dir)
                .map_err(SnapshotError::io("make directory", &dir))?;
            let mut at = dir.as_path();
            while at.starts_with(&self.root) {
                self.dirs.insert(at.into());
                match at.parent() {
                    Some(parent) => at = parent,
                    None => break,
                }
            }
        }
        Ok(())
    }

    /// Puts the file `from` at `path` below the root: as a second name where `link` says so and the file
    /// system can, else as a durable copy.
    pub(super) fn place(
        &mut self,
        from: &Path,
        path: &str,
        link: bool,
    ) -> Result<Content, SnapshotError> {
        let to = self.root.join(path);
        if let Some((dir, _)) = path.rsplit_once('/') {
            self.make_dir(dir)?;
        }
        if link {
            match self.vfs.hard_link(from, &to) {
                Ok(()) => return content(self.vfs, &to),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    return Err(SnapshotError::io("link", from)(e));
                }
                // Another device, another owner, a file system without links: a copy serves as well.
                Err(_) => {}
            }
        }
        let source = self
            .vfs
            .open_read(from)
            .map_err(SnapshotError::io("open", from))?;
        let written = || {
            let file = self.vfs.create_new(&to)?;
            let content = read_all(&*source, |bytes, offset| file.write_all_at(bytes, offset))?;
            file.sync_data()?;
            Ok(content)
        };
        written().map_err(SnapshotError::io("copy to", &to))
    }

    /// Removes a file that was placed.
    pub(super) fn remove(&self, path: &str) -> Result<(), SnapshotError> {
        let path = self.root.join(path);
        self.vfs
            .remove_file(&path)
            .map_err(SnapshotError::io("remove", &path))
    }

    /// Makes all directories of the tree durable, and the entry of its root.
    pub(super) fn sync(&self) -> Result<(), SnapshotError> {
        for dir in self.dirs.iter().rev() {
            self.vfs
                .sync_dir(dir)
                .map_err(SnapshotError::io("sync directory", dir))?;
        }
        sync_parent(self.vfs, &self.root)
    }
}

/// Makes the entry of `path` durable.
pub(super) fn sync_parent(vfs: &dyn Vfs, path: &Path) -> Result<(), SnapshotError> {
    let parent = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return Ok(()),
    };
    vfs.sync_dir(parent)
        .map_err(SnapshotError::io("sync directory", parent))
}

/// What the file `path` holds.
pub(super) fn content(vfs: &dyn Vfs, path: &Path) -> Result<Content, SnapshotError> {
    let read = || read_all(&*vfs.open_read(path)?, |_, _| Ok(()));
    read().map_err(SnapshotError::io("read", path))
}

/// Hands all of a file to `visit`, piece by piece.
fn read_all(
    file: &dyn File,
    mut visit: impl FnMut(&[u8], u64) -> io::Result<()>,
) -> io::Result<Content> {
    let mut buf = vec![0; COPY_BYTES];
    let mut content = Content {
        len_bytes: 0,
        crc32c: 0,
    };
    loop {
        let held = file.read_at(&mut buf, content.len_bytes)?;
        let bytes = buf.get(..held).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(content);
        }
        visit(bytes, content.len_bytes)?;
        content.crc32c = crc32c::crc32c_append(content.crc32c, bytes);
        content.len_bytes += held as u64;
    }
}

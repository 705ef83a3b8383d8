//! The bytes of a directory tree, counted as `du` counts them.
//!
//! The apparent size (`du -sb`) is the sum of the lengths of all files and of the directories themselves. The
//! allocated size (`du -s --block-size=1`) is what the file system has set aside: whole blocks, and space reserved for
//! files that are to grow. A file with several names is counted once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Apparent and allocated bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bytes {
    pub(super) files: u64,
    pub(super) apparent: u64,
    pub(super) allocated: u64,
}

/// What a store's directory takes, by kind.
#[derive(Debug, Default)]
pub(super) struct Usage {
    pub(super) kinds: BTreeMap<Kind, Bytes>,
}

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Blocks,
    Index,
    Wal,
    Spares,
    Manifest,
    Catalog,
    Ballast,
    Other,
    Directories,
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Blocks => "block files",
            Self::Index => "series index",
            Self::Wal => "WAL",
            Self::Spares => "WAL, spare files",
            Self::Manifest => "manifest",
            Self::Catalog => "catalog",
            Self::Ballast => "held for a full disk",
            Self::Other => "other files",
            Self::Directories => "directories",
        }
    }

    fn of(path: &Path, root: &Path) -> Self {
        let name = path.extension().and_then(|e| e.to_str()).unwrap_or("");
        let below = path.strip_prefix(root).unwrap_or(path);
        match name {
            _ if below.starts_with("catalog") => Self::Catalog,
            _ if below == Path::new("ballast") => Self::Ballast,
            "blk" => Self::Blocks,
            "sidx" => Self::Index,
            "seg" if below.starts_with("wal") => Self::Wal,
            "spare" if below.starts_with("wal") => Self::Spares,
            "seg" if below.starts_with("manifest") => Self::Manifest,
            _ => Self::Other,
        }
    }
}

impl Usage {
    /// Counts everything below `root`, itself included. What goes away meanwhile is not counted.
    pub(super) fn of(root: &Path) -> io::Result<Self> {
        let mut usage = Self::default();
        let mut seen = BTreeSet::new();
        let mut open = vec![root.to_path_buf()];
        while let Some(path) = open.pop() {
            let metadata = match fs::symlink_metadata(&path) {
                Err(e) if e.kind() == io::ErrorKind::NotFound && path != root => continue,
                metadata => metadata?,
            };
            if !seen.insert((metadata.dev(), metadata.ino())) {
                continue;
            }
            let kind = if metadata.is_dir() {
                match fs::read_dir(&path) {
                    Ok(entries) => {
                        for entry in entries {
                            open.push(entry?.path());
                        }
                    }
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                    Err(e) => return Err(e),
                }
                Kind::Directories
            } else {
                Kind::of(&path, root)
            };
            let bytes = usage.kinds.entry(kind).or_default();
            bytes.files += 1;
            bytes.apparent += metadata.len();
            bytes.allocated += metadata.blocks() * 512;
        }
        Ok(usage)
    }

    pub(super) fn total(&self) -> Bytes {
        let mut total = Bytes::default();
        for bytes in self.kinds.values() {
            total.files += bytes.files;
            total.apparent += bytes.apparent;
            total.allocated += bytes.allocated;
        }
        total
    }
}

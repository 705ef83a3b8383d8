//! What a directory takes.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Sums over the files of a directory tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) files: u64,
    /// Lengths of the files.
    pub(crate) bytes: u64,
    /// What the file system has set aside for them, as `du` counts.
    pub(crate) allocated_bytes: u64,
}

/// What the files below `dir` take.
pub(crate) fn size(dir: &Path) -> std::io::Result<Size> {
    let mut size = Size::default();
    let mut pending = vec![dir.to_owned()];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let about = entry.metadata()?;
            if about.is_dir() {
                pending.push(entry.path());
            } else {
                size.files += 1;
                size.bytes += about.len();
                size.allocated_bytes += about.blocks() * 512;
            }
        }
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_all_depths_count() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::write(dir.path().join("a/b/c"), [1; 100]).unwrap();
        fs::write(dir.path().join("d"), [1; 11]).unwrap();
        let size = size(dir.path()).unwrap();
        assert_eq!((size.files, size.bytes), (2, 111));
    }
}

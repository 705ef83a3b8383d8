//! Directories that are still there after a power loss.

use std::io;
use std::path::Path;

use tandem_vfs::Vfs;

/// Makes `dir` and what is missing above it, each entry synced in the directory that holds it.
pub(crate) fn create_durable(vfs: &dyn Vfs, dir: &Path) -> io::Result<()> {
    if !vfs.exists(dir) {
        if let Some(above) = parent(dir)
            && !vfs.exists(above)
        {
            create_durable(vfs, above)?;
        }
        vfs.create_dir_all(dir)?;
    }
    // Also where it stood already: whoever made it may have been killed before this line.
    match parent(dir) {
        Some(above) => vfs.sync_dir(above),
        None => Ok(()),
    }
}

/// The directory that holds the entry of `path`; none for a root.
pub(crate) fn parent(path: &Path) -> Option<&Path> {
    match path.parent() {
        Some(above) if above.as_os_str().is_empty() => Some(Path::new(".")),
        above => above,
    }
}

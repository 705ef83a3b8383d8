//! Keeps damaged bytes for whoever wants to save more of them than the log can.

use std::io;
use std::path::{Path, PathBuf};

use tandem_vfs::Vfs;

/// Bytes copied at once where a link cannot be made.
const COPY_BYTES: usize = 1 << 20;

/// Keeps the bytes of a damaged segment under a second name, as a link or else a copy. What cannot be kept is no
/// reason not to open: the segment itself stays until it is cut.
pub(crate) fn keep(vfs: &dyn Vfs, dir: &Path, path: &Path) -> Option<PathBuf> {
    let kept = kept_path(path);
    let linked = match vfs.hard_link(path, &kept) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(_) => copy(vfs, path, &kept),
        Ok(()) => Ok(()),
    };
    linked.and_then(|()| vfs.sync_dir(dir)).ok()?;
    Some(kept)
}

/// The second name of a damaged segment.
pub(crate) fn kept_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".damaged");
    PathBuf::from(name)
}

fn copy(vfs: &dyn Vfs, from: &Path, to: &Path) -> io::Result<()> {
    let source = vfs.open_read(from)?;
    let target = vfs.create_new(to)?;
    let mut buf = vec![0; COPY_BYTES];
    let mut offset = 0;
    let copied = loop {
        let result = match source.read_at(&mut buf, offset) {
            Ok(0) => break target.sync_data(),
            Ok(n) => target
                .write_all_at(buf.get(..n).unwrap_or_default(), offset)
                .map(|()| n as u64),
            Err(e) => Err(e),
        };
        match result {
            Ok(n) => offset += n,
            Err(e) => break Err(e),
        }
    };
    if copied.is_err() {
        // A part of a copy is worth nothing and would pass for the whole at the next open.
        let _ = vfs.remove_file(to);
    }
    copied
}

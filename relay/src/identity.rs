//! Whose a queue is: a directory named as the backend, with a UUID in it that the cursor repeats.

use std::io;
use std::path::Path;

use tandem_vfs::Vfs;
use tracing::warn;
use uuid::Uuid;

use crate::queue::QueueError;

/// Names the queues below `data_dir` that belong to none of `names`. They are left alone.
pub(crate) fn warn_of_strangers(vfs: &dyn Vfs, data_dir: &Path, names: &[&str]) {
    for found in vfs.read_dir(data_dir).unwrap_or_default() {
        let is_queue = vfs.exists(&data_dir.join(&found).join("id"));
        if is_queue && !names.contains(&found.as_str()) {
            warn!(queue = %found, "no backend has this name; its queue is kept and not drained");
        }
    }
}

/// The UUID of the queue in `dir`, a directory in `data_dir`. Both are made where they are missing;
/// all of it is durable on `Ok`.
pub(crate) fn identity(vfs: &dyn Vfs, data_dir: &Path, dir: &Path) -> Result<String, QueueError> {
    make_dir(vfs, data_dir)?;
    make_dir(vfs, dir)?;
    restrict(dir);
    let path = dir.join("id");
    if vfs.exists(&path) {
        let file = vfs.open_read(&path).map_err(io_error("open", &path))?;
        let mut text = [0; 64];
        let held = file
            .read_at(&mut text, 0)
            .map_err(io_error("read", &path))?;
        let text = String::from_utf8_lossy(text.get(..held).unwrap_or_default());
        return match Uuid::parse_str(text.trim()) {
            Ok(id) => Ok(id.to_string()),
            Err(e) => Err(io_error("understand", &path)(io::Error::other(e))),
        };
    }
    let id = Uuid::new_v4().to_string();
    let fresh = dir.join("id.new");
    if vfs.exists(&fresh) {
        vfs.remove_file(&fresh)
            .map_err(io_error("remove", &fresh))?;
    }
    let file = vfs.create_new(&fresh).map_err(io_error("make", &fresh))?;
    file.write_all_at(format!("{id}\n").as_bytes(), 0)
        .and_then(|()| file.sync_data())
        .map_err(io_error("write", &fresh))?;
    vfs.rename(&fresh, &path)
        .and_then(|()| vfs.sync_dir(dir))
        .map_err(io_error("rename", &fresh))?;
    Ok(id)
}

/// Makes a directory and what is missing above it; the entry of each is synced. That of one that
/// stands already, too: whoever made it may have been killed before that.
pub(crate) fn make_dir(vfs: &dyn Vfs, dir: &Path) -> Result<(), QueueError> {
    let above = match dir.parent() {
        Some(above) if above.as_os_str().is_empty() => Some(Path::new(".")),
        above => above,
    };
    if !vfs.exists(dir) {
        if let Some(above) = above.filter(|above| !vfs.exists(above)) {
            make_dir(vfs, above)?;
        }
        vfs.create_dir_all(dir).map_err(io_error("make", dir))?;
    }
    above.map_or(Ok(()), |above| {
        vfs.sync_dir(above).map_err(io_error("sync", above))
    })
}

/// Hints hold passwords: only the owner may look. A file system without such rights is no error.
fn restrict(dir: &Path) {
    use std::os::unix::fs::PermissionsExt;
    if dir.exists() {
        let rights = std::fs::Permissions::from_mode(0o700);
        if let Err(error) = std::fs::set_permissions(dir, rights) {
            warn!(dir = %dir.display(), %error, "cannot close the queue's directory to others");
        }
    }
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> QueueError {
    let path = path.to_owned();
    move |source| QueueError::Io {
        action,
        path,
        source,
    }
}

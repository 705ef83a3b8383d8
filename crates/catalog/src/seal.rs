//! The seal of the view: proof that its files are those that sled wrote and closed.
//!
//! sled may panic on bytes that it did not write, and this program ends at a panic. So sled opens a view only
//! with a seal that vouches for every byte of it: `view.seal`, written after sled has closed, names each file with its
//! length and checksum, and the number of the last operation. It is taken away before sled opens the
//! view. After a crash there is no seal, or an old one that does not match what was written since;
//! then the view is built again. So the seal needs no sync, and neither does the view. A seal that names a later
//! operation than the log has stays: every operation was durable in the log before the view took it, so no crash
//! leaves that, and whoever starts again is to be told again.
//!
//! ```text
//! tandem-view 1 <last operation> <checksum of the records up to it, 8 hex digits>
//! <crc32c, 8 hex digits> <bytes> <path below the view>     one line a file, sorted by path
//! seal <crc32c of the lines before, 8 hex digits>
//! ```

use std::fmt::Write;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

use crate::place::Place;

/// How many files of a view are sealed at most; sled makes a handful.
const FILES_MAX: usize = 10_000;
/// How deep they may lie; sled has one directory below its own.
const DEPTH_MAX: usize = 4;
/// The longest seal that is read.
const SEAL_BYTES_MAX: u64 = 4 << 20;

/// The text of the seal of the view in `dir`, which is at `place` of the log.
///
/// # Errors
/// When a file cannot be read.
pub(crate) fn text(dir: &Path, place: Place) -> io::Result<String> {
    let mut files = Vec::new();
    list(dir, "", DEPTH_MAX, &mut files)?;
    files.sort_unstable();
    let mut text = format!("tandem-view 1 {} {:08x}\n", place.last, place.chain);
    for file in files {
        let (crc, bytes) = checksum(&dir.join(&file))?;
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{crc:08x} {bytes} {file}");
    }
    let crc = crc32c::crc32c(text.as_bytes());
    let _ = writeln!(text, "seal {crc:08x}");
    Ok(text)
}

/// Reads the seal at `path`; `None` when there is none.
///
/// # Errors
/// When it is there and cannot be read.
pub(crate) fn read(path: &Path) -> io::Result<Option<String>> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(SEAL_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// The place that a seal names; `None` for what is no seal, or a damaged one.
pub(crate) fn place(text: &str) -> Option<Place> {
    let end = text.strip_suffix('\n')?.rfind('\n')? + 1;
    let (lines, seal) = text.split_at_checked(end)?;
    let crc = seal.strip_prefix("seal ")?.trim_end();
    if u32::from_str_radix(crc, 16).ok()? != crc32c::crc32c(lines.as_bytes()) {
        return None;
    }
    let (head, _) = text.split_once('\n')?;
    let (last, chain) = head.strip_prefix("tandem-view 1 ")?.split_once(' ')?;
    Some(Place {
        last: last.parse().ok()?,
        chain: u32::from_str_radix(chain, 16).ok()?,
    })
}

/// The files below `dir`, as paths from it with `/`.
fn list(dir: &Path, prefix: &str, depth: usize, files: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_str().ok_or(io::ErrorKind::InvalidData)?;
        let kind = entry.file_type()?;
        let path = format!("{prefix}{name}");
        if kind.is_file() && files.len() < FILES_MAX {
            files.push(path);
        } else if kind.is_dir() && depth > 0 {
            list(&entry.path(), &format!("{path}/"), depth - 1, files)?;
        } else {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    Ok(())
}

fn checksum(path: &Path) -> io::Result<(u32, u64)> {
    let mut file = fs::File::open(path)?;
    let mut buffer = vec![0; 64 << 10];
    let (mut crc, mut bytes) = (0, 0);
    loop {
        let read = file.read(&mut buffer)?;
        let Some(chunk) = buffer.get(..read).filter(|chunk| !chunk.is_empty()) else {
            return Ok((crc, bytes));
        };
        crc = crc32c::crc32c_append(crc, chunk);
        bytes += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_changes_with_every_file() {
        let dir = tempfile::tempdir().unwrap();
        let view = dir.path();
        fs::create_dir(view.join("blobs")).unwrap();
        fs::write(view.join("db"), b"abc").unwrap();
        let here = Place { last: 7, chain: 9 };
        let first = text(view, here).unwrap();
        assert_eq!(place(&first), Some(here));
        assert_eq!(text(view, here).unwrap(), first);
        assert_ne!(text(view, Place { last: 8, ..here }).unwrap(), first);
        fs::write(view.join("db"), b"abd").unwrap();
        assert_ne!(text(view, here).unwrap(), first);
        fs::write(view.join("db"), b"abc").unwrap();
        fs::write(view.join("blobs/1"), b"").unwrap();
        assert_ne!(text(view, here).unwrap(), first);
    }

    #[test]
    fn a_damaged_seal_names_no_operation() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("db"), b"abc").unwrap();
        let good = text(dir.path(), Place { last: 7, chain: 9 }).unwrap();
        for at in 0..good.len() - 1 {
            let mut bad = good.clone().into_bytes();
            bad[at] ^= 1;
            let bad = String::from_utf8_lossy(&bad).into_owned();
            assert_eq!(place(&bad), None, "{bad:?}");
        }
        for end in 0..good.len() - 1 {
            assert_eq!(place(&good[..end]), None);
        }
    }

    #[test]
    fn what_is_no_seal_names_no_operation() {
        for bad in [
            "",
            "tandem-view 2 1\n",
            "tandem-view 1 x 00000000\n",
            "tandem-view 1 1\n",
            "tandem-view 1 1 00000000",
        ] {
            assert_eq!(place(bad), None, "{bad:?}");
        }
    }
}

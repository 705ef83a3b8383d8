//! The list of a backup: the file `BACKUP`, written last, so that a directory that has it is whole.
//!
//! ```text
//! tandem backup 1
//! id 0123456789abcdef0123456789abcdef
//! store 0123456789abcdef0123456789abcdef      the store's number; zeros where it had none
//! made 1770000000000000000                    nanoseconds since 1970
//! base <id> <path>                            a backup that holds files of this one; any number
//! file <crc> <bytes> <holder> <path>          8 hex digits, a number, `-` or the id of a base
//! end <crc>                                   of all bytes before this line
//! ```
//!
//! Checksums are CRC-32C. Paths of files are relative to the backup's directory, that of a base to
//! the directory that the backup lies in.

use std::path::{Path, PathBuf};

use tandem_vfs::Vfs;

use super::error::SnapshotError;
use crate::store_id::UniqueId;

/// The list's name.
pub(crate) const LIST_FILE: &str = "BACKUP";
/// What it is called until it is whole.
const LIST_FILE_TEMPORARY: &str = "BACKUP.tmp";
/// A list of 10 million files stays under it.
const LIST_BYTES_MAX: u64 = 2 << 30;
const VERSION_LINE: &str = "tandem backup 1";

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupList {
    /// The backup's own number.
    pub id: UniqueId,
    /// The store that it was made of.
    pub store: Option<UniqueId>,
    /// When, in nanoseconds since 1970.
    pub made_ns: i64,
    /// The backups that hold files of this one, and where they were; none for a full backup.
    pub bases: Vec<(UniqueId, String)>,
    /// All files of the store's copy.
    pub files: Vec<ListedFile>,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedFile {
    /// Where it is, relative to the directory of the backup that holds it.
    pub path: String,
    /// Its length in bytes.
    pub len_bytes: u64,
    /// Its CRC-32C.
    pub crc32c: u32,
    /// The backup that holds it; `None` for this one.
    pub holder: Option<UniqueId>,
}

impl BackupList {
    pub(crate) fn encode(&self) -> String {
        let mut out = format!("{VERSION_LINE}\nid {}\n", self.id);
        let store = self
            .store
            .map_or_else(|| "0".repeat(32), |id| id.to_string());
        out.push_str(&format!("store {store}\nmade {}\n", self.made_ns));
        for (id, place) in &self.bases {
            out.push_str(&format!("base {id} {place}\n"));
        }
        for file in &self.files {
            let holder = file.holder.map_or_else(|| "-".into(), |id| id.to_string());
            out.push_str(&format!(
                "file {:08x} {} {holder} {}\n",
                file.crc32c, file.len_bytes, file.path
            ));
        }
        let crc = crc32c::crc32c(out.as_bytes());
        out.push_str(&format!("end {crc:08x}\n"));
        out
    }

    pub(crate) fn decode(text: &str) -> Result<Self, &'static str> {
        const MALFORMED: &str = "the list is malformed";
        let rest = text.strip_suffix('\n').ok_or("the list is cut short")?;
        let (body, end) = rest
            .rsplit_once('\n')
            .and_then(|(body, last)| Some((body, last.strip_prefix("end ")?)))
            .ok_or("the list is cut short")?;
        let whole = text.get(..=body.len()).ok_or(MALFORMED)?;
        let crc = u32::from_str_radix(end, 16).map_err(|_| MALFORMED)?;
        // A build for fuzzing takes any, to come behind it.
        if crc32c::crc32c(whole.as_bytes()) != crc && !cfg!(fuzzing) {
            return Err("the list's checksum does not fit");
        }
        let mut lines = body.split('\n');
        if lines.next() != Some(VERSION_LINE) {
            return Err("a list of another version; use the release that wrote it");
        }
        let mut field = |name: &str| {
            let line = lines.next().and_then(|line| line.strip_prefix(name));
            line.ok_or(MALFORMED)
        };
        let id = UniqueId::parse(field("id ")?).ok_or(MALFORMED)?;
        let store = UniqueId::parse(field("store ")?).ok_or(MALFORMED)?;
        let made_ns = field("made ")?.parse().map_err(|_| MALFORMED)?;
        let mut list = Self {
            id,
            store: Some(store).filter(|id| !id.is_zero()),
            made_ns,
            bases: Vec::new(),
            files: Vec::new(),
        };
        for line in lines {
            match line.split_once(' ') {
                Some(("base", rest)) => {
                    let (id, place) = rest.split_once(' ').ok_or(MALFORMED)?;
                    let id = UniqueId::parse(id).ok_or(MALFORMED)?;
                    list.bases.push((id, place.into()));
                }
                Some(("file", rest)) => {
                    let file = ListedFile::decode(rest).ok_or(MALFORMED)?;
                    if file
                        .holder
                        .is_some_and(|id| !list.bases.iter().any(|(base, _)| *base == id))
                    {
                        return Err(MALFORMED);
                    }
                    list.files.push(file);
                }
                _ => return Err(MALFORMED),
            }
        }
        Ok(list)
    }

    /// Writes the list into a backup whose other files are durable; with it, the backup is whole.
    pub(super) fn write(&self, vfs: &dyn Vfs, dir: &Path) -> Result<(), SnapshotError> {
        let temporary = dir.join(LIST_FILE_TEMPORARY);
        let path = dir.join(LIST_FILE);
        let written = || {
            let file = vfs.create_new(&temporary)?;
            file.write_all_at(self.encode().as_bytes(), 0)?;
            file.sync_data()?;
            vfs.rename(&temporary, &path)?;
            vfs.sync_dir(dir)
        };
        written().map_err(SnapshotError::io("write", &path))
    }

    /// Takes the list away from the full backup in `dir`, which may be opened as a store then, and is no backup any more.
    ///
    /// # Errors
    /// [`SnapshotError::Io`]; the list may be there still.
    pub fn remove(vfs: &dyn Vfs, dir: &Path) -> Result<(), SnapshotError> {
        let path = dir.join(LIST_FILE);
        vfs.remove_file(&path)
            .map_err(SnapshotError::io("remove", &path))
    }

    /// Reads the list of the backup in `dir`.
    ///
    /// # Errors
    /// [`SnapshotError::NotABackup`], [`SnapshotError::BadList`], [`SnapshotError::Io`].
    pub fn read(vfs: &dyn Vfs, dir: &Path) -> Result<Self, SnapshotError> {
        let path = dir.join(LIST_FILE);
        if !vfs.exists(&path) {
            return Err(SnapshotError::NotABackup(dir.into()));
        }
        let bad = |what| SnapshotError::BadList {
            file: path.clone(),
            what,
        };
        let read = || {
            let file = vfs.open_read(&path)?;
            let len = file.len()?.min(LIST_BYTES_MAX);
            let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
            file.read_exact_at(&mut bytes, 0)?;
            std::io::Result::Ok(bytes)
        };
        let bytes = read().map_err(SnapshotError::io("read", &path))?;
        let text = std::str::from_utf8(&bytes).map_err(|_| bad("the list is not text"))?;
        Self::decode(text).map_err(bad)
    }

    /// Bytes of all files, and of those that this backup itself holds.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        let all = self.files.iter().map(|file| file.len_bytes).sum();
        let own = self.files.iter().filter(|file| file.holder.is_none());
        (all, own.map(|file| file.len_bytes).sum())
    }
}

impl ListedFile {
    fn decode(text: &str) -> Option<Self> {
        let mut words = text.splitn(4, ' ');
        let crc32c = u32::from_str_radix(words.next()?, 16).ok()?;
        let len_bytes = words.next()?.parse().ok()?;
        let holder = match words.next()? {
            "-" => None,
            id => Some(UniqueId::parse(id)?),
        };
        let path = words.next()?;
        // Nothing outside of the directory, whatever the list says.
        let is_inside = Path::new(path)
            .components()
            .all(|part| matches!(part, std::path::Component::Normal(_)));
        (is_inside && !path.is_empty()).then(|| Self {
            path: path.into(),
            len_bytes,
            crc32c,
            holder,
        })
    }

    /// Its place in the directory of its holder.
    pub(super) fn in_dir(&self, dir: &Path) -> PathBuf {
        dir.join(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> BackupList {
        let base = UniqueId::random();
        let file = |path: &str, holder| ListedFile {
            path: path.into(),
            len_bytes: 7,
            crc32c: 0xabc,
            holder,
        };
        BackupList {
            id: UniqueId::random(),
            store: Some(UniqueId::random()),
            made_ns: -5,
            bases: vec![(base, "a place with spaces".into())],
            files: vec![
                file("data/0/1/0000000000000001.blk", None),
                file("data/0/index/2.sidx", Some(base)),
            ],
        }
    }

    #[test]
    fn a_list_is_read_back_and_every_change_is_noticed() {
        let list = list();
        let text = list.encode();
        assert_eq!(BackupList::decode(&text), Ok(list));
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            if let Ok(changed) = std::str::from_utf8(&bytes) {
                assert!(BackupList::decode(changed).is_err(), "byte {at}");
            }
            assert!(BackupList::decode(&text[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        for path in ["/etc/passwd", "../x", "a/../../x", ""] {
            assert_eq!(ListedFile::decode(&format!("00000000 1 - {path}")), None);
        }
        assert!(ListedFile::decode("00000000 1 - data/0/x").is_some());
    }
}

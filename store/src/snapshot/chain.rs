//! Where the backups are that an incremental one refers to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tandem_vfs::Vfs;

use super::error::SnapshotError;
use super::list::{BackupList, ListedFile};
use crate::store_id::UniqueId;

/// A backup with those that hold its files.
#[derive(Debug)]
pub(super) struct Chain {
    dir: PathBuf,
    pub(super) list: BackupList,
    holders: BTreeMap<UniqueId, PathBuf>,
    /// The place of each file in the list, by its path.
    by_path: BTreeMap<String, usize>,
}

impl Chain {
    /// Reads the backup in `dir` and looks for the backups that it refers to: where they were, beside it, and in
    /// `more`. One that is not found is no error yet.
    pub(super) fn read(vfs: &dyn Vfs, dir: &Path, more: &[PathBuf]) -> Result<Self, SnapshotError> {
        let list = BackupList::read(vfs, dir)?;
        let mut holders = BTreeMap::new();
        if !list.bases.is_empty() {
            let beside = beside(dir);
            let mut candidates: Vec<PathBuf> = more.to_vec();
            candidates.extend(list.bases.iter().map(|(_, place)| beside.join(place)));
            if let Ok(names) = vfs.read_dir(&beside) {
                candidates.extend(names.iter().map(|name| beside.join(name)));
            }
            for candidate in candidates {
                if let Ok(found) = BackupList::read(vfs, &candidate)
                    && list.bases.iter().any(|(id, _)| *id == found.id)
                {
                    holders.entry(found.id).or_insert(candidate);
                }
            }
        }
        let files = list.files.iter().enumerate();
        Ok(Self {
            dir: dir.into(),
            by_path: files.map(|(at, file)| (file.path.clone(), at)).collect(),
            list,
            holders,
        })
    }

    /// The file of the store's copy that has this path.
    pub(super) fn file(&self, path: &str) -> Option<&ListedFile> {
        self.list.files.get(*self.by_path.get(path)?)
    }

    /// Where a file of the list is.
    pub(super) fn find(&self, file: &ListedFile) -> Result<PathBuf, SnapshotError> {
        let Some(holder) = file.holder else {
            return Ok(file.in_dir(&self.dir));
        };
        match self.holders.get(&holder) {
            Some(dir) => Ok(file.in_dir(dir)),
            None => Err(SnapshotError::MissingLink {
                file: file.path.clone(),
                holder,
                place: self.place_of(holder),
            }),
        }
    }

    /// Where the backup `holder` was when the list was written.
    fn place_of(&self, holder: UniqueId) -> String {
        let mut bases = self.list.bases.iter();
        bases
            .find(|(id, _)| *id == holder)
            .map_or_else(String::new, |(_, place)| place.clone())
    }

    /// How a backup that is to be made at `target` names the place of `holder`, which is this backup or one that it
    /// refers to.
    pub(super) fn place_for(&self, holder: UniqueId, target: &Path) -> String {
        let dir = match self.holders.get(&holder) {
            Some(dir) => dir.clone(),
            None if holder == self.list.id => self.dir.clone(),
            None => return self.place_of(holder),
        };
        if beside(&dir) == beside(target)
            && let Some(name) = dir.file_name()
        {
            return name.to_string_lossy().into_owned();
        }
        dir.to_string_lossy().into_owned()
    }
}

/// The directory that `dir` lies in.
fn beside(dir: &Path) -> PathBuf {
    match dir.parent() {
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) => parent.into(),
        None => dir.into(),
    }
}

//! Which store a directory is: a random number in the file `store-id`, made when a store is first
//! opened and never changed.
//!
//! Files of one store are told by their ids; an incremental backup relies on it that an id never
//! stands for two contents. A copy made by hand has the number of its original, so copies are made
//! with a backup and a restore: a restored store gets a number of its own.
//!
//! ```text
//! file := 32 hex digits, newline
//! ```

use std::fmt;
use std::io;
use std::path::Path;

use tandem_vfs::{Vfs, random_u64};

use crate::error::StoreError;

/// The file's name in the data directory.
pub(crate) const STORE_ID_FILE: &str = "store-id";
const FILE_BYTES: usize = 33;

/// A number that no other store, or no other backup, has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UniqueId(u128);

impl UniqueId {
    pub(crate) fn random() -> Self {
        Self(u128::from(random_u64()) << 64 | u128::from(random_u64()))
    }

    pub(crate) const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Reads 32 hex digits.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_hex = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        is_hex
            .then(|| u128::from_str_radix(text, 16).ok())?
            .map(Self)
    }
}

impl fmt::Display for UniqueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The number of the store in `dir`; `None` where it has none yet, or one that cannot be read.
pub(crate) fn read_store_id(vfs: &dyn Vfs, dir: &Path) -> Option<UniqueId> {
    let file = vfs.open_read(&dir.join(STORE_ID_FILE)).ok()?;
    let mut bytes = [0; FILE_BYTES];
    file.read_exact_at(&mut bytes, 0).ok()?;
    let text = std::str::from_utf8(&bytes).ok()?;
    UniqueId::parse(text.strip_suffix('\n')?)
}

/// Gives the store in `dir` a number, durably, unless it has one.
pub(crate) fn ensure_store_id(vfs: &dyn Vfs, dir: &Path) -> Result<(), StoreError> {
    if read_store_id(vfs, dir).is_some() {
        return Ok(());
    }
    let path = dir.join(STORE_ID_FILE);
    let temporary = dir.join("store-id.tmp");
    let written = || -> io::Result<()> {
        if vfs.exists(&temporary) {
            vfs.remove_file(&temporary)?;
        }
        let file = vfs.create_new(&temporary)?;
        file.write_all_at(format!("{}\n", UniqueId::random()).as_bytes(), 0)?;
        file.sync_data()?;
        vfs.rename(&temporary, &path)?;
        vfs.sync_dir(dir)
    };
    written().map_err(StoreError::io("write", &path))
}

#[cfg(test)]
mod tests {
    use tandem_testkit::SimFs;

    use super::*;

    #[test]
    fn a_store_keeps_its_number_and_a_torn_one_is_made_anew() {
        let fs = SimFs::new(1);
        let dir = Path::new("/d");
        fs.create_dir_all(dir).unwrap();
        assert_eq!(read_store_id(&fs, dir), None);
        ensure_store_id(&fs, dir).unwrap();
        let first = read_store_id(&fs, dir).unwrap();
        ensure_store_id(&fs, dir).unwrap();
        assert_eq!(read_store_id(&fs, dir), Some(first));
        let file = fs.open(&dir.join(STORE_ID_FILE)).unwrap();
        file.set_len(5).unwrap();
        assert_eq!(read_store_id(&fs, dir), None);
        ensure_store_id(&fs, dir).unwrap();
        assert_ne!(read_store_id(&fs, dir), Some(first));
    }
}

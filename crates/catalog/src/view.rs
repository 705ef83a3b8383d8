//! The view: the entries in a sled tree, to be asked.
//!
//! Nothing here is the truth. What is asked is what the log says, because the view is built from the log
//! or is sealed with the number of the log's last record, and takes each further operation
//! after the log has it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::CatalogError;
use crate::place::Place;
use crate::record::{Edit, Op};
use crate::report::ViewFound;
use crate::seal;
use crate::wire::Reader;
use sled::{Batch, IVec};
use tandem_seglog::Sequence;

/// Under this key stand the format version and the place in the log.
const HEAD_KEY: &[u8] = &[0];
const VERSION: u32 = 1;
/// What sled may keep in memory.
const CACHE_BYTES: u64 = 8 << 20;
/// Entries that are put into a new view at once.
const BUILD_BATCH: usize = 1024;

/// How often, and after which pauses, closing looks whether sled has ended: 2 s at most.
const CLOSE_TRIES: u32 = 2000;
const CLOSE_PAUSE: Duration = Duration::from_millis(1);

/// Why a view is not used.
#[derive(Debug)]
pub(crate) enum Misfit {
    /// It is to be built again.
    Rebuild(ViewFound),
    /// It was closed with this record, and the log ends before.
    Later(Sequence),
}

/// A view that is open. Dropped, it is closed and sealed. `Debug` shows none of its entries.
pub(crate) struct View {
    dir: PathBuf,
    seal: PathBuf,
    /// Gone once it is closed.
    db: Option<sled::Db>,
}

impl View {
    /// Opens the view in `dir` if it is sealed at `place`, or at its number alone when what the log said up to there
    /// is not known (`by_number`); else tells why there is none. The seal is taken away, unless
    /// the view has what the log has not.
    pub(crate) fn open(
        dir: &Path,
        place: Place,
        by_number: bool,
    ) -> Result<Result<Self, Misfit>, CatalogError> {
        let seal = dir.with_extension("seal");
        let sealed = seal::read(&seal).map_err(file_error("read", &seal))?;
        let Some(sealed) = sealed else {
            return Ok(Err(Misfit::Rebuild(ViewFound::Missing)));
        };
        let own = seal::place(&sealed);
        if let Some(own) = own.filter(|own| own.last > place.last) {
            return Ok(Err(Misfit::Later(own.last)));
        }
        fs::remove_file(&seal).map_err(file_error("take away", &seal))?;
        let rebuild = |found| Ok(Err(Misfit::Rebuild(found)));
        let Some(own) = own else {
            return rebuild(ViewFound::Damaged);
        };
        if own.last < place.last {
            return rebuild(ViewFound::Older);
        }
        if own != place && !by_number {
            return rebuild(ViewFound::Foreign);
        }
        match seal::text(dir, own) {
            Ok(text) if text == sealed => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return rebuild(ViewFound::Missing);
            }
            Ok(_) | Err(_) => return rebuild(ViewFound::Damaged),
        }
        let view = Self::start(dir, seal)?;
        Ok(if view.place()? == Some(own) {
            Ok(view)
        } else {
            Err(Misfit::Rebuild(ViewFound::Damaged))
        })
    }

    /// Makes a new view in `dir`, in the place of any other.
    pub(crate) fn build(
        dir: &Path,
        place: Place,
        entries: &BTreeMap<Vec<u8>, Vec<u8>>,
    ) -> Result<Self, CatalogError> {
        match fs::remove_dir_all(dir) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(file_error("remove", dir)(error)),
        }
        let view = Self::start(dir, dir.with_extension("seal"))?;
        let mut batch = Batch::default();
        for (at, (key, value)) in entries.iter().enumerate() {
            batch.insert(key.as_slice(), value.as_slice());
            if at % BUILD_BATCH == BUILD_BATCH - 1 {
                view.put(std::mem::take(&mut batch))?;
            }
        }
        batch.insert(HEAD_KEY, head(place));
        view.put(batch)?;
        Ok(view)
    }

    fn start(dir: &Path, seal: PathBuf) -> Result<Self, CatalogError> {
        let config = sled::Config::new()
            .path(dir)
            .cache_capacity(CACHE_BYTES)
            // Nothing depends on its being on disk, so no thread has to see to it.
            .flush_every_ms(None);
        let db = config.open().map_err(sled_error("open", dir))?;
        Ok(Self {
            dir: dir.to_owned(),
            seal,
            db: Some(db),
        })
    }

    /// Takes what an operation changes, which brings the log to `place`.
    pub(crate) fn apply(&self, place: Place, op: &Op) -> Result<(), CatalogError> {
        let mut batch = Batch::default();
        for edit in &op.edits {
            match edit {
                Edit::Put(key, value) => batch.insert(key.as_slice(), value.as_slice()),
                Edit::Remove(key) => batch.remove(key.as_slice()),
                // A snapshot changes nothing of what the view holds.
                Edit::Clear => {}
            }
        }
        batch.insert(HEAD_KEY, head(place));
        self.put(batch)
    }

    /// The value of an entry.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<IVec>, CatalogError> {
        self.db()?.get(key).map_err(sled_error("read", &self.dir))
    }

    /// The entries whose keys begin with `prefix`, in the order of their keys.
    pub(crate) fn scan(
        &self,
        prefix: &[u8],
    ) -> Result<impl Iterator<Item = Result<(IVec, IVec), CatalogError>>, CatalogError> {
        let found = self.db()?.scan_prefix(prefix);
        let not_head =
            |pair: &Result<(IVec, IVec), _>| !matches!(pair, Ok((key, _)) if key == HEAD_KEY);
        Ok(found
            .map(|pair| pair.map_err(sled_error("read", &self.dir)))
            .filter(not_head))
    }

    /// The error for an entry that cannot be read.
    pub(crate) fn malformed(&self) -> CatalogError {
        CatalogError::Entry {
            path: self.dir.clone(),
        }
    }

    /// The place in the log after the last operation.
    pub(crate) fn place(&self) -> Result<Option<Place>, CatalogError> {
        let Some(head) = self.get(HEAD_KEY)? else {
            return Ok(None);
        };
        let place = head.strip_prefix(&VERSION.to_le_bytes());
        Ok(place.and_then(|place| Place::decode(&mut Reader::new(place)).ok()))
    }

    fn put(&self, batch: Batch) -> Result<(), CatalogError> {
        self.db()?
            .apply_batch(batch)
            .map_err(sled_error("change", &self.dir))
    }

    fn db(&self) -> Result<&sled::Db, CatalogError> {
        self.db.as_ref().ok_or(CatalogError::Stopped)
    }

    /// Closes sled, then seals what it has written. Without a seal the view is built again, so nothing
    /// is lost when this fails.
    fn close(&mut self) -> Option<()> {
        let place = self.place().ok()??;
        let db = self.db.take()?;
        db.flush().ok()?;
        drop(db);
        wait_for_sled(&self.dir)?;
        let text = seal::text(&self.dir, place).ok()?;
        let new = self.seal.with_extension("seal.new");
        fs::write(&new, text).ok()?;
        fs::rename(&new, &self.seal).ok()
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View")
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.close();
    }
}

/// Returns when sled's threads have let go of its file, or gives up. Dropping the tree leaves the last of
/// them a moment to end in; what they write then must be under the seal.
fn wait_for_sled(dir: &Path) -> Option<()> {
    let file = fs::File::open(dir.join("db")).ok()?;
    for _ in 0..CLOSE_TRIES {
        match file.try_lock() {
            Ok(()) => return Some(()),
            Err(fs::TryLockError::WouldBlock) => std::thread::sleep(CLOSE_PAUSE),
            Err(fs::TryLockError::Error(_)) => return None,
        }
    }
    None
}

fn head(place: Place) -> Vec<u8> {
    [&VERSION.to_le_bytes()[..], &place.encode()].concat()
}

fn file_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CatalogError {
    let path = path.to_owned();
    move |source| CatalogError::ViewFile {
        action,
        path,
        source,
    }
}

fn sled_error(action: &'static str, dir: &Path) -> impl FnOnce(sled::Error) -> CatalogError {
    let path = dir.to_owned();
    move |source| CatalogError::View {
        action,
        path,
        source,
    }
}

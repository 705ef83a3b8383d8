//! A durable position: how far a log has been worked off.
//!
//! The file has two slots, 4,096 bytes apart so that they never share a sector. Each `store` writes the slot that
//! does not hold the present value and syncs, so that a crash leaves the old value or the new one. The file is made
//! under another name and renamed, so that one without a valid slot is damaged and not new.
//!
//! ```text
//! slot, at 0 and at 4096
//!  0   8  magic "tndmcurs"
//!  8   8  generation, counted up by one; the valid slot with the higher one counts
//! 16   8  value
//! 24   4  length of the payload, at most 480
//! 28   4  checksum of bytes 0..28 and of the payload
//! 32   .  the payload
//! ```

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tandem_vfs::{File, Vfs};

use crate::{Error, dir};

const MAGIC: [u8; 8] = *b"tndmcurs";
const HEADER_BYTES: usize = 32;
const SLOT_DISTANCE_BYTES: u64 = 4096;

/// A durable number that only grows, with a few bytes beside it.
pub struct Cursor {
    file: Arc<dyn File>,
    path: PathBuf,
    slot: Slot,
    failed: Option<Error>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Slot {
    generation: u64,
    value: u64,
    payload: Vec<u8>,
}

impl Cursor {
    /// The longest payload.
    pub const PAYLOAD_BYTES_MAX: usize = 480;

    /// Opens the cursor in the file `path`; where there is none it is made, with the value 0. The directory must be there.
    /// On `Ok` the value is durable.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when neither slot is valid, [`Error::Io`].
    pub fn open(vfs: &dyn Vfs, path: &Path) -> Result<Cursor, Error> {
        match vfs.open(path) {
            Ok(file) => Self::read(vfs, path, file),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Self::make(vfs, path),
            Err(e) => Err(Error::io("open", path, e)),
        }
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.slot.value
    }

    /// The bytes stored with the value; empty at first.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.slot.payload
    }

    /// Stores a value, which must not be lower than the present one, and keeps the payload. Durable on `Ok`.
    ///
    /// # Errors
    /// As [`Cursor::store_with`].
    pub fn store(&mut self, value: u64) -> Result<(), Error> {
        let payload = self.slot.payload.clone();
        self.store_with(value, &payload)
    }

    /// Stores a value, which must not be lower than the present one, and a payload. Durable on `Ok`. Nothing is written
    /// when both are what they were.
    ///
    /// # Errors
    /// [`Error::Backwards`], [`Error::TooLarge`]: nothing happened. [`Error::Io`]: the present value stays, but a
    /// later open may find either; after a failed sync every later call gives [`Error::Failed`].
    pub fn store_with(&mut self, value: u64, payload: &[u8]) -> Result<(), Error> {
        if let Some(e) = &self.failed {
            return Err(Error::Failed {
                dir: self.path.clone(),
                source: Arc::new(e.clone()),
            });
        }
        let slot = self.next(value, payload)?;
        if value == self.slot.value && payload == self.slot.payload {
            return Ok(());
        }
        self.write(slot)
    }

    /// As [`Cursor::store`], into a new file that takes the place of the old one: the way on after a failed sync,
    /// which no later sync of the old file makes good. Durable on `Ok`; `vfs` must be the one that it was opened in.
    ///
    /// # Errors
    /// [`Error::Backwards`]: nothing happened. [`Error::Io`]: a later open may find either value, and this can be
    /// called again.
    pub fn store_anew(&mut self, vfs: &dyn Vfs, value: u64) -> Result<(), Error> {
        let slot = self.next(value, &self.slot.payload)?;
        *self = Self::put(vfs, &self.path, slot)?;
        Ok(())
    }

    /// The slot behind the present one.
    fn next(&self, value: u64, payload: &[u8]) -> Result<Slot, Error> {
        if value < self.slot.value {
            return Err(Error::Backwards {
                path: self.path.clone(),
                current: self.slot.value,
                asked: value,
            });
        }
        Ok(Slot {
            generation: self.slot.generation + 1,
            value,
            payload: payload.to_owned(),
        })
    }

    fn write(&mut self, slot: Slot) -> Result<(), Error> {
        let bytes = slot.encode()?;
        self.file
            .write_all_at(&bytes, slot.offset())
            .map_err(|e| Error::io("write", &self.path, e))?;
        if let Err(e) = self.file.sync_data() {
            let error = Error::io("sync", &self.path, e);
            self.failed = Some(error.clone());
            return Err(error);
        }
        self.slot = slot;
        Ok(())
    }

    fn read(vfs: &dyn Vfs, path: &Path, file: Arc<dyn File>) -> Result<Cursor, Error> {
        let mut best: Option<Slot> = None;
        for at in [0, SLOT_DISTANCE_BYTES] {
            let mut bytes = [0; HEADER_BYTES + Self::PAYLOAD_BYTES_MAX];
            let held = file
                .read_at(&mut bytes, at)
                .map_err(|e| Error::io("read", path, e))?;
            let slot = Slot::decode(bytes.get(..held).unwrap_or_default())
                .filter(|slot| slot.offset() == at);
            best = match (best, slot) {
                (Some(best), Some(slot)) if best.generation >= slot.generation => Some(best),
                (best, None) => best,
                (_, slot) => slot,
            };
        }
        let Some(slot) = best else {
            return Err(Error::Corrupt {
                file: path.to_owned(),
                offset: 0,
                sequences: 0..0,
            });
        };
        let mut cursor = Cursor {
            file,
            path: path.to_owned(),
            slot: slot.clone(),
            failed: None,
        };
        // What is read here may never have reached the disk, if a sync failed before: store it once more.
        cursor.write(Slot {
            generation: slot.generation + 1,
            ..slot
        })?;
        sync_entry(vfs, path)?;
        Ok(cursor)
    }

    fn make(vfs: &dyn Vfs, path: &Path) -> Result<Cursor, Error> {
        Self::put(vfs, path, Slot::default())
    }

    /// Puts a new file with this slot in the place of what is there.
    fn put(vfs: &dyn Vfs, path: &Path, slot: Slot) -> Result<Cursor, Error> {
        let mut name = path.as_os_str().to_owned();
        name.push(".new");
        let made = PathBuf::from(name);
        match vfs.remove_file(&made) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io("remove", &made, e));
            }
            _ => {}
        }
        let file = vfs
            .create_new(&made)
            .map_err(|e| Error::io("make", &made, e))?;
        let mut cursor = Cursor {
            file,
            path: path.to_owned(),
            slot: Slot::default(),
            failed: None,
        };
        cursor.write(slot)?;
        vfs.rename(&made, path)
            .map_err(|e| Error::io("rename to", path, e))?;
        sync_entry(vfs, path)?;
        Ok(cursor)
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursor")
            .field("path", &self.path)
            .field("value", &self.slot.value)
            .finish_non_exhaustive()
    }
}

impl Slot {
    fn offset(&self) -> u64 {
        self.generation % 2 * SLOT_DISTANCE_BYTES
    }

    fn encode(&self) -> Result<Vec<u8>, Error> {
        let length = u32::try_from(self.payload.len())
            .ok()
            .filter(|length| *length as usize <= Cursor::PAYLOAD_BYTES_MAX)
            .ok_or(Error::TooLarge {
                bytes: self.payload.len(),
                bytes_max: Cursor::PAYLOAD_BYTES_MAX as u32,
            })?;
        let mut bytes = Vec::with_capacity(HEADER_BYTES + self.payload.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&self.generation.to_le_bytes());
        bytes.extend_from_slice(&self.value.to_le_bytes());
        bytes.extend_from_slice(&length.to_le_bytes());
        let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes), &self.payload);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes.extend_from_slice(&self.payload);
        Ok(bytes)
    }

    fn decode(bytes: &[u8]) -> Option<Slot> {
        let (head, rest) = bytes.split_first_chunk::<28>()?;
        let (crc, rest) = rest.split_first_chunk::<4>()?;
        let (magic, fields) = head.split_first_chunk::<8>()?;
        let (generation, fields) = fields.split_first_chunk::<8>()?;
        let (value, fields) = fields.split_first_chunk::<8>()?;
        let length = u32::from_le_bytes(*fields.first_chunk::<4>()?);
        let payload = rest.get(..length as usize)?;
        let found = crc32c::crc32c_append(crc32c::crc32c(head), payload);
        (*magic == MAGIC && found == u32::from_le_bytes(*crc)).then(|| Slot {
            generation: u64::from_le_bytes(*generation),
            value: u64::from_le_bytes(*value),
            payload: payload.to_owned(),
        })
    }
}

fn sync_entry(vfs: &dyn Vfs, path: &Path) -> Result<(), Error> {
    match dir::parent(path) {
        Some(above) => vfs.sync_dir(above).map_err(|e| Error::io("sync", above, e)),
        None => Ok(()),
    }
}

//! Index segments: the series that became known between two flushes, on disk.
//!
//! A segment holds the series `first .. first + count` of one database in the order of their
//! ids, so that reading all segments in order gives back the table. It is written whole, synced
//! and renamed before the manifest names it, and never changed.
//!
//! ```text
//! file    := magic "tndmsix1", body, crc32c of magic and body (u32 le)
//! body    := first uint, count uint, key*
//! key     := shared uint (bytes in common with the key before), rest length + bytes
//! ```
//!
//! Integers are LEB128 varints. A hole (an id that recovery found no key for) is an empty key.

use std::path::Path;

use tandem_model::SeriesId;
use tandem_vfs::Vfs;

use super::SeriesTable;
use crate::error::StoreError;
use crate::wire::{Malformed, Reader, put_bytes, put_uint};

const MAGIC: &[u8; 8] = b"tndmsix1";
/// A file of 4 billion keys cannot be; this bounds what a damaged length can ask for.
const FILE_BYTES_MAX: u64 = 16 << 30;
/// Magic and checksum.
const FILE_BYTES_MIN: u64 = 12;

/// Writes the series `first .. first + count` of `table` to `path`, durably but for the entry of
/// the directory, which is the caller's to sync.
pub(crate) fn write_segment(
    vfs: &dyn Vfs,
    path: &Path,
    table: &SeriesTable,
    first: u32,
    count: u32,
) -> Result<(), StoreError> {
    let mut out = MAGIC.to_vec();
    put_uint(&mut out, first.into());
    put_uint(&mut out, count.into());
    let mut last: &[u8] = b"";
    for id in first..first + count {
        let key = table.key(SeriesId(id));
        let shared = key.iter().zip(last).take_while(|(a, b)| a == b).count();
        put_uint(&mut out, shared as u64);
        put_bytes(&mut out, &key[shared..]);
        last = key;
    }
    let crc = crc32c::crc32c(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    let file = vfs
        .create_new(path)
        .map_err(StoreError::io("make index segment", path))?;
    file.write_all_at(&out, 0)
        .map_err(StoreError::io("write index segment", path))?;
    file.sync_data()
        .map_err(StoreError::io("sync index segment", path))
}

/// Reads a segment into `table` and shows each key to `visit`.
pub(crate) fn read_segment(
    vfs: &dyn Vfs,
    path: &Path,
    table: &mut SeriesTable,
    mut visit: impl FnMut(SeriesId, &[u8]),
) -> Result<(), StoreError> {
    let corrupt = |offset, what| StoreError::Corrupt {
        file: path.into(),
        offset,
        what,
    };
    let file = vfs
        .open_read(path)
        .map_err(StoreError::io("open index segment", path))?;
    let len = file
        .len()
        .map_err(StoreError::io("read index segment", path))?;
    if !(FILE_BYTES_MIN..=FILE_BYTES_MAX).contains(&len) {
        return Err(corrupt(0, "impossible length"));
    }
    let mut bytes = vec![0; usize::try_from(len).map_err(|_| corrupt(0, "impossible length"))?];
    file.read_exact_at(&mut bytes, 0)
        .map_err(StoreError::io("read index segment", path))?;
    let (content, crc) = bytes.split_at(bytes.len() - 4);
    if crc32c::crc32c(content).to_le_bytes() != crc {
        return Err(corrupt(len - 4, "checksum does not match"));
    }
    let Some(body) = content.strip_prefix(MAGIC) else {
        return Err(corrupt(0, "not an index segment"));
    };
    let mut read = || -> Result<(), Malformed> {
        let mut r = Reader::new(body);
        let (first, count) = (r.uint32()?, r.uint32()?);
        let mut key = Vec::new();
        for id in first..first.checked_add(count).ok_or(Malformed)? {
            let shared = usize::try_from(r.uint()?).map_err(|_| Malformed)?;
            if shared > key.len() {
                return Err(Malformed);
            }
            key.truncate(shared);
            key.extend_from_slice(r.bytes()?);
            if key.len() > usize::from(u16::MAX) {
                return Err(Malformed);
            }
            if !key.is_empty() {
                table.insert_at(SeriesId(id), &key);
                visit(SeriesId(id), &key);
            }
        }
        if r.is_empty() { Ok(()) } else { Err(Malformed) }
    };
    read().map_err(|Malformed| corrupt(8, "malformed although its checksum matches"))
}

#[cfg(test)]
mod tests {
    use tandem_testkit::SimFs;

    use super::*;

    #[test]
    fn a_segment_gives_back_its_series_and_damage_is_an_error() {
        let fs = SimFs::new(1);
        fs.create_dir_all(Path::new("/d")).unwrap();
        let mut table = SeriesTable::default();
        for key in ["cpu,host=a", "cpu,host=b", "mem,host=a"] {
            table.insert(key.as_bytes());
        }
        let path = Path::new("/d/a.sidx");
        write_segment(&fs, path, &table, 1, 2).unwrap();
        let mut back = SeriesTable::default();
        let mut seen = Vec::new();
        read_segment(&fs, path, &mut back, |id, key| {
            seen.push((id.0, key.to_vec()));
        })
        .unwrap();
        assert_eq!(
            seen,
            [(1, b"cpu,host=b".to_vec()), (2, b"mem,host=a".to_vec())]
        );
        assert_eq!(back.find(b"mem,host=a"), Some(SeriesId(2)));

        let file = fs.open(path).unwrap();
        for offset in 0..file.len().unwrap() {
            let mut byte = [0];
            file.read_exact_at(&mut byte, offset).unwrap();
            file.write_all_at(&[byte[0] ^ 0x10], offset).unwrap();
            read_segment(&fs, path, &mut SeriesTable::default(), |_, _| ()).unwrap_err();
            file.write_all_at(&byte, offset).unwrap();
        }
    }
}

//! Hints that failed and may be found after a restart all the same.
//!
//! A hint whose sync failed was promised to nobody, and its client sends the batch again, perhaps to a backend that is
//! live by then. The record may be in the file nevertheless: a later start would deliver it behind what came after it.
//! A log that has stopped can take no cancel. So the number from which on its records are void is put into a file of its
//! own, `doubt`, before anything may overtake them; the next start cancels those records in the log, and then takes
//! the number back.
//!
//! The file is a cursor (`tandem_seglog::Cursor`): its value is the number, and its payload says whether it still counts.

use std::path::Path;

use tandem_seglog::{Cursor, Error, Sequence};
use tandem_vfs::Vfs;

const NAME: &str = "doubt";
const COUNTS: &[u8] = b"void";
const TAKEN_BACK: &[u8] = b"";

/// From which number on the records of the log in `dir` are void, if any are.
pub(crate) fn void_from(vfs: &dyn Vfs, dir: &Path) -> Result<Option<Sequence>, Error> {
    let path = dir.join(NAME);
    if !vfs.exists(&path) {
        return Ok(None);
    }
    let cursor = Cursor::open(vfs, &path)?;
    Ok((cursor.payload() == COUNTS).then_some(cursor.value()))
}

/// Says that all records from `sequence` on are void; durable on `Ok`.
pub(crate) fn declare_void(vfs: &dyn Vfs, dir: &Path, sequence: Sequence) -> Result<(), Error> {
    store(vfs, dir, sequence, COUNTS)
}

/// Says that none is any more; durable on `Ok`.
pub(crate) fn take_back(vfs: &dyn Vfs, dir: &Path, sequence: Sequence) -> Result<(), Error> {
    store(vfs, dir, sequence, TAKEN_BACK)
}

fn store(vfs: &dyn Vfs, dir: &Path, sequence: Sequence, payload: &[u8]) -> Result<(), Error> {
    Cursor::open(vfs, &dir.join(NAME))?.store_with(sequence, payload)
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use tandem_testkit::SimFs;

    use super::*;

    #[test]
    fn it_counts_until_it_is_taken_back_whatever_call_fails() {
        let dir = Path::new("/");
        for call in 0..20 {
            let fs = SimFs::new(call);
            assert_eq!(void_from(&fs, dir).unwrap(), None);
            fs.fail_after(call, ErrorKind::Other);
            let declared = declare_void(&fs, dir, 7);
            fs.calm();
            let fs = fs.crash(call);
            if declared.is_ok() {
                assert_eq!(void_from(&fs, dir).unwrap(), Some(7), "call {call}");
            }
            declare_void(&fs, dir, 7).unwrap();
            take_back(&fs, dir, 7).unwrap();
            let fs = fs.crash(call);
            assert_eq!(void_from(&fs, dir).unwrap(), None, "call {call}");
            declare_void(&fs, dir, 9).unwrap();
            assert_eq!(void_from(&fs, dir).unwrap(), Some(9), "call {call}");
        }
    }
}

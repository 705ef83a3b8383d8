//! Dead letters: batches that a backend refused for good and that nobody else would tell of, with
//! what it said.
//!
//! ```text
//!  0  8  when it was refused, ns since 1970
//!  8  4  length of the reason
//! 12  .  the reason, then a hint as in `hint`
//! ```

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use tandem_seglog::{Log, Sequence, UserError};
use tandem_vfs::Vfs;

use crate::backlog::options;
use crate::batch::Head;
use crate::hint::{self, BadRecord};
use crate::queue::QueueError;

const HEADER_BYTES: usize = 12;

/// See the module's head.
#[derive(Debug)]
pub(crate) struct DeadLetters {
    log: Log,
    bytes_max: u64,
}

/// A dead letter, decoded; the hint stays where it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Letter<'a> {
    pub(crate) at_ns: i64,
    pub(crate) reason: String,
    /// A record as in `hint`.
    pub(crate) hint: &'a [u8],
}

impl DeadLetters {
    /// Opens the log in `dir`, making it where there is none. Blocks.
    pub(crate) fn open(vfs: &Arc<dyn Vfs>, dir: &Path, bytes_max: u64) -> Result<Self, QueueError> {
        let opened = Log::open(vfs.clone(), dir, options(bytes_max, 1), &mut |_, _| Ok(()));
        let (log, _) = opened?;
        Ok(Self { log, bytes_max })
    }

    /// Keeps a batch; durable on `Ok`. False when there is no room. Blocks.
    pub(crate) fn bury(
        &self,
        head: &Head,
        body: &[Bytes],
        reason: &str,
        now_ns: i64,
    ) -> Result<bool, tandem_seglog::Error> {
        let mut record = now_ns.to_le_bytes().to_vec();
        // Answers are bounded far below 4 GiB.
        record.extend_from_slice(&(reason.len() as u32).to_le_bytes());
        record.extend_from_slice(reason.as_bytes());
        hint::encode_head(head, false, &mut record);
        let bytes: usize = body.iter().map(Bytes::len).sum();
        if self.log.bytes_total() + (record.len() + bytes) as u64 > self.bytes_max {
            return Ok(false);
        }
        let mut parts = vec![&record[..]];
        parts.extend(body.iter().map(|slice| &slice[..]));
        let ticket = self.log.append(&parts)?;
        self.log.commit(&ticket).map(|()| true)
    }

    /// Hands every letter to `sort`, oldest first; those for which it says true are taken out, the
    /// others stay. Durable on `Ok`; after a crash in between all are there, some of them twice.
    /// Blocks.
    pub(crate) fn take_out(
        &self,
        vfs: &dyn Vfs,
        dir: &Path,
        sort: &mut dyn FnMut(&Letter<'_>) -> Result<bool, tandem_seglog::Error>,
    ) -> Result<u64, QueueError> {
        self.log.rotate()?;
        let end = self.log.next_sequence();
        let mut taken = 0;
        let mut visit = |sequence: Sequence, record: &[u8]| -> Result<(), UserError> {
            let Ok(letter) = decode(record) else {
                return Ok(());
            };
            if sequence >= end {
                return Ok(());
            }
            if sort(&letter)? {
                taken += 1;
            } else {
                self.log.append(&[record])?;
            }
            Ok(())
        };
        tandem_seglog::peek(vfs, dir, &options(self.bytes_max, 1), &mut visit)?;
        self.log.commit_all()?;
        self.log.cut_below(end)?;
        Ok(taken)
    }

    /// Bytes on disk; 0 while there is no letter, although the log's segment has a head.
    pub(crate) fn bytes_total(&self) -> u64 {
        match self.log.first_sequence() == self.log.next_sequence() {
            true => 0,
            false => self.log.bytes_total(),
        }
    }
}

/// Decodes a record of the dead letters.
pub(crate) fn decode(record: &[u8]) -> Result<Letter<'_>, BadRecord> {
    let (header, rest) = record.split_at_checked(HEADER_BYTES).ok_or(BadRecord)?;
    let (at_ns, length) = header.split_at_checked(8).ok_or(BadRecord)?;
    let at_ns = i64::from_le_bytes(at_ns.try_into().map_err(|_| BadRecord)?);
    let length = u32::from_le_bytes(length.try_into().map_err(|_| BadRecord)?);
    let (reason, hint) = rest.split_at_checked(length as usize).ok_or(BadRecord)?;
    Ok(Letter {
        at_ns,
        reason: String::from_utf8_lossy(reason).into_owned(),
        hint,
    })
}

#[cfg(test)]
mod tests {
    use tandem_testkit::SimFs;

    use super::*;

    #[test]
    fn a_letter_comes_back_and_the_bound_holds() {
        let fs = SimFs::new(1);
        let vfs: Arc<dyn Vfs> = Arc::new(fs);
        let dead = DeadLetters::open(&vfs, Path::new("/dead"), 4096).unwrap();
        let head = Head {
            query: "db=d".into(),
            lines: 1,
            ..Head::default()
        };
        let body = [Bytes::from_static(b"m v"), Bytes::from_static(b"=1 7")];
        let mut buried = 0;
        while dead.bury(&head, &body, "400 no", 5).unwrap() {
            buried += 1;
            assert!(buried < 100, "there is no bound");
        }
        drop(dead);
        let mut seen = 0;
        let mut visit = |_, record: &[u8]| {
            let letter = decode(record).unwrap();
            assert_eq!((letter.at_ns, letter.reason.as_str()), (5, "400 no"));
            assert!(letter.hint.ends_with(b"m v=1 7"));
            for end in 0..record.len() - letter.hint.len() {
                assert_eq!(decode(&record[..end]), Err(BadRecord));
            }
            seen += 1;
            Ok(())
        };
        Log::open(vfs, Path::new("/dead"), options(4096, 1), &mut visit).unwrap();
        assert!(buried > 10 && seen == buried);
    }
}

//! What is handed from the gatherer to the sender, and what the spool keeps: the lines of one
//! tick.
//!
//! In the spool, all integers little-endian:
//!
//! ```text
//!  0  1  format version, 1
//!  1  4  number of lines
//!  5  8  time of the tick, nanoseconds since 1970
//! 13  .  the lines, to the end of the record
//! ```

use std::sync::Arc;

use bytes::Bytes;

use crate::counters::Counters;

const VERSION: u8 = 1;
const HEADER_BYTES: usize = 13;

/// The lines of one tick.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) lines: u64,
    pub(crate) time_ns: i64,
    pub(crate) body: Bytes,
    held: Held,
}

/// Has a record count as held in memory as long as one of its clones is there.
#[derive(Clone, Debug, Default)]
struct Held {
    _holding: Option<Arc<Holding>>,
}

#[derive(Debug)]
struct Holding {
    bytes: usize,
    counters: Arc<Counters>,
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.counters.release(self.bytes);
    }
}

/// Records are equal by what they say.
impl PartialEq for Held {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Held {}

impl Record {
    pub(crate) fn new(lines: u64, time_ns: i64, body: Bytes) -> Self {
        Self {
            lines,
            time_ns,
            body,
            held: Held::default(),
        }
    }

    /// Counts what it takes of memory, until it and its clones are dropped.
    pub(crate) fn hold(&mut self, counters: &Arc<Counters>) {
        let bytes = self.body.len();
        counters.hold(bytes);
        let counters = Arc::clone(counters);
        let holding = Arc::new(Holding { bytes, counters });
        self.held = Held {
            _holding: Some(holding),
        };
    }

    /// What stands before the body in the spool.
    pub(crate) fn header(&self) -> [u8; HEADER_BYTES] {
        let mut header = [VERSION; HEADER_BYTES];
        let lines = u32::try_from(self.lines).unwrap_or(u32::MAX);
        header[1..5].copy_from_slice(&lines.to_le_bytes());
        header[5..].copy_from_slice(&self.time_ns.to_le_bytes());
        header
    }

    /// `None` when `bytes` is no record of a known version.
    pub(crate) fn decode(bytes: Vec<u8>) -> Option<Self> {
        let (lines, time_ns) = Self::decode_header(&bytes)?;
        let body = Bytes::from(bytes).slice(HEADER_BYTES..);
        Some(Self::new(lines, time_ns, body))
    }

    /// The number of lines and the time.
    pub(crate) fn decode_header(bytes: &[u8]) -> Option<(u64, i64)> {
        let (&version, rest) = bytes.split_first()?;
        let (lines, rest) = rest.split_first_chunk()?;
        let (time_ns, _) = rest.split_first_chunk()?;
        (version == VERSION).then(|| {
            (
                u32::from_le_bytes(*lines).into(),
                i64::from_le_bytes(*time_ns),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_back_and_nothing_else_does() {
        let record = Record::new(70_000, -3, Bytes::from_static(b"a b=1 2\n"));
        let mut bytes = record.header().to_vec();
        bytes.extend_from_slice(&record.body);
        assert_eq!(Record::decode(bytes.clone()), Some(record));
        assert_eq!(Record::decode(bytes[..12].to_vec()), None);
        bytes[0] = 2;
        assert_eq!(Record::decode(bytes), None);
        assert_eq!(Record::decode(Vec::new()), None);
    }

    #[test]
    fn it_is_held_until_its_last_clone_is_gone() {
        let counters = Arc::new(Counters::default());
        let mut record = Record::new(1, 0, Bytes::from_static(b"12345"));
        record.hold(&counters);
        let clone = record.clone();
        drop(record);
        assert_eq!(counters.read().held_bytes, 5);
        drop(clone);
        let accounts = counters.read();
        assert_eq!((accounts.held_bytes, accounts.held_bytes_most), (0, 5));
    }
}

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

use bytes::Bytes;

const VERSION: u8 = 1;
const HEADER_BYTES: usize = 13;

/// The lines of one tick.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) lines: u64,
    pub(crate) time_ns: i64,
    pub(crate) body: Bytes,
}

impl Record {
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
        Some(Self {
            lines,
            time_ns,
            body: Bytes::from(bytes).slice(HEADER_BYTES..),
        })
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
        let record = Record {
            lines: 70_000,
            time_ns: -3,
            body: Bytes::from_static(b"a b=1 2\n"),
        };
        let mut bytes = record.header().to_vec();
        bytes.extend_from_slice(&record.body);
        assert_eq!(Record::decode(bytes.clone()), Some(record));
        assert_eq!(Record::decode(bytes[..12].to_vec()), None);
        bytes[0] = 2;
        assert_eq!(Record::decode(bytes), None);
        assert_eq!(Record::decode(Vec::new()), None);
    }
}

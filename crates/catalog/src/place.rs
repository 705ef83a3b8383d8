//! A place in the log: which record was the last, and what had been said up to it.
//!
//! The number alone would not do: two logs that were restored from different backups may have come to the
//! same number by different ways.

use tandem_seglog::Sequence;

use crate::record;
use crate::wire::{Malformed, Reader};

/// Where the log is after a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// The number of the record; 0 before the first.
    pub(crate) last: Sequence,
    /// CRC-32C over all records from the last snapshot on, or from the first record.
    pub(crate) chain: u32,
}

impl Place {
    /// The place after one more record.
    pub(crate) fn after(self, sequence: Sequence, record: &[u8]) -> Self {
        let before = if record::is_snapshot(record) {
            0
        } else {
            self.chain
        };
        Self {
            last: sequence,
            chain: crc32c::crc32c_append(before, record),
        }
    }

    pub(crate) fn encode(self) -> Vec<u8> {
        [&self.last.to_le_bytes()[..], &self.chain.to_le_bytes()].concat()
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            last: reader.u64()?,
            chain: reader.u32()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_depends_on_every_record_since_the_snapshot() {
        let start = Place::default();
        let there = start.after(1, b"\x02a").after(2, b"\x02b");
        assert_ne!(there, start.after(1, b"\x02x").after(2, b"\x02b"));
        assert_ne!(there, start.after(1, b"\x02a").after(2, b"\x02x"));
        let snapshot = record::snapshot(std::iter::empty::<(&[u8], &[u8])>());
        assert_eq!(there.after(3, &snapshot), start.after(3, &snapshot));
        let mut reader = Reader::new(&there.encode()).rest().to_vec();
        assert_eq!(Place::decode(&mut Reader::new(&reader)), Ok(there));
        reader.pop();
        assert_eq!(Place::decode(&mut Reader::new(&reader)), Err(Malformed));
    }
}

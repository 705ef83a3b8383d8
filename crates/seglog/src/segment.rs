//! The segment: its name, its header, and what a log remembers of it. The byte map is in the
//! crate's head.

use std::path::{Path, PathBuf};

use crate::{NUMBER_END, Sequence};

/// Length of a segment's header.
pub(crate) const HEADER_BYTES: u64 = 48;

/// The format that this release writes.
pub(crate) const VERSION: u16 = 1;

/// Flag of a segment whose file had been another one's.
const RECYCLED: u16 = 1;

const MAGIC: [u8; 8] = *b"tndmslog";

/// Which segment: what its name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SegmentId {
    pub(crate) index: u64,
    pub(crate) salt: u32,
}

impl SegmentId {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::parse_stem(name.strip_suffix(".seg")?)
    }

    /// The segment that a spare file was.
    pub(crate) fn parse_spare(name: &str) -> Option<Self> {
        Self::parse_stem(name.strip_suffix(".spare")?)
    }

    fn parse_stem(stem: &str) -> Option<Self> {
        let (index, salt) = stem.split_once('-')?;
        let hex = |text: &str, digits: usize| {
            let plain = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            (plain && text.len() == digits).then(|| u64::from_str_radix(text, 16).ok())?
        };
        Some(SegmentId {
            index: hex(index, 16).filter(|index| *index < NUMBER_END)?,
            salt: u32::try_from(hex(salt, 8)?).ok()?,
        })
    }

    pub(crate) fn path(&self, dir: &Path) -> PathBuf {
        dir.join(format!("{:016x}-{:08x}.seg", self.index, self.salt))
    }

    /// Where the file goes when the segment is cut and the file is kept.
    pub(crate) fn spare_path(&self, dir: &Path) -> PathBuf {
        dir.join(format!("{:016x}-{:08x}.spare", self.index, self.salt))
    }
}

/// A segment's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) id: SegmentId,
    pub(crate) first_sequence: Sequence,
    pub(crate) previous_end: Sequence,
    pub(crate) record_bytes_max: u32,
    /// Bytes of an earlier segment may lie behind the end.
    pub(crate) is_recycled: bool,
}

/// What the first bytes of a segment are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// A whole header of this segment.
    Header(SegmentHeader),
    /// A whole header of a version that is not known here.
    Version(u16),
    /// Not a header of this segment.
    Bad,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES as usize] {
        let mut bytes = [0; HEADER_BYTES as usize];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        let flags = if self.is_recycled { RECYCLED } else { 0 };
        bytes[10..12].copy_from_slice(&flags.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.id.salt.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.id.index.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.first_sequence.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.previous_end.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.record_bytes_max.to_le_bytes());
        let crc = crc32c::crc32c_append(self.id.salt, &bytes[..44]);
        bytes[44..48].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The checksum that the first frame refers to.
    pub(crate) fn crc(&self) -> u32 {
        let [.., a, b, c, d] = self.encode();
        u32::from_le_bytes([a, b, c, d])
    }

    /// Which segment these bytes would be the header of.
    pub(crate) fn id_in(bytes: &[u8; HEADER_BYTES as usize]) -> SegmentId {
        let u32_at = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        SegmentId {
            index: u64::from(u32_at(16)) | u64::from(u32_at(20)) << 32,
            salt: u32_at(12),
        }
    }

    /// Reads the first bytes of the segment that is called `id`.
    pub(crate) fn decode(bytes: &[u8], id: SegmentId) -> Opening {
        let Some(bytes) = bytes.first_chunk::<{ HEADER_BYTES as usize }>() else {
            return Opening::Bad;
        };
        let u32_at = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        let found = Self::id_in(bytes);
        let crc = crc32c::crc32c_append(found.salt, &bytes[..44]);
        if bytes[..8] != MAGIC || crc != u32_at(44) {
            return Opening::Bad;
        }
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        if version != VERSION {
            return Opening::Version(version);
        }
        let (first_sequence, previous_end) = (u64_at(24), u64_at(32));
        if found != id || previous_end > first_sequence || first_sequence > NUMBER_END {
            return Opening::Bad;
        }
        Opening::Header(SegmentHeader {
            id,
            first_sequence,
            previous_end,
            record_bytes_max: u32_at(40),
            is_recycled: u16::from_le_bytes([bytes[10], bytes[11]]) & RECYCLED != 0,
        })
    }
}

/// What an open log knows of one of its segments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) id: SegmentId,
    pub(crate) first_sequence: Sequence,
    pub(crate) previous_end: Sequence,
    /// Up to here the file is durable and belongs to the log.
    pub(crate) bytes: u64,
    /// The longest record it may hold.
    pub(crate) record_bytes_max: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: SegmentId = SegmentId {
        index: 0x1f,
        salt: 0x0abc_def0,
    };

    fn header() -> SegmentHeader {
        SegmentHeader {
            id: ID,
            first_sequence: 100,
            previous_end: 90,
            record_bytes_max: 1 << 20,
            is_recycled: true,
        }
    }

    #[test]
    fn names_are_read_back_and_only_those() {
        let path = ID.path(Path::new("d"));
        assert_eq!(path, Path::new("d/000000000000001f-0abcdef0.seg"));
        assert_eq!(SegmentId::parse("000000000000001f-0abcdef0.seg"), Some(ID));
        for name in [
            "LOCK",
            "000000000000001f-0abcdef0.seg.damaged",
            "000000000000001F-0abcdef0.seg",
            "00000000000001f-0abcdef0.seg",
            "000000000000001f0abcdef0.seg",
            "+00000000000001f-0abcdef0.seg",
            "4000000000000000-0abcdef0.seg",
        ] {
            assert_eq!(SegmentId::parse(name), None, "{name}");
        }
    }

    #[test]
    fn every_changed_bit_of_a_header_is_noticed() {
        let bytes = header().encode();
        assert_eq!(SegmentHeader::decode(&bytes, ID), Opening::Header(header()));
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::decode(&bad, ID), Opening::Bad, "bit {bit}");
        }
        assert_eq!(SegmentHeader::decode(&bytes[..47], ID), Opening::Bad);
    }

    #[test]
    fn the_header_of_another_segment_is_not_this_ones() {
        let other = SegmentId { index: 0x20, ..ID };
        assert_eq!(
            SegmentHeader::decode(&header().encode(), other),
            Opening::Bad
        );
    }

    /// Counting on from them would come to the end of 64 bits.
    #[test]
    fn numbers_that_cannot_be_are_damage() {
        let last = SegmentHeader {
            first_sequence: NUMBER_END,
            previous_end: NUMBER_END,
            ..header()
        };
        assert_eq!(
            SegmentHeader::decode(&last.encode(), ID),
            Opening::Header(last)
        );
        for (first_sequence, previous_end) in [(NUMBER_END + 1, 5), (5, u64::MAX), (5, 6)] {
            let beyond = SegmentHeader {
                first_sequence,
                previous_end,
                ..header()
            };
            assert_eq!(SegmentHeader::decode(&beyond.encode(), ID), Opening::Bad);
        }
    }

    #[test]
    fn a_later_version_is_told_apart_from_damage() {
        let mut bytes = header().encode();
        bytes[8] = 2;
        let crc = crc32c::crc32c_append(ID.salt, &bytes[..44]);
        bytes[44..48].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(SegmentHeader::decode(&bytes, ID), Opening::Version(2));
    }
}

//! The frame: one record with its header. The byte map is in the crate's head.
//!
//! A frame is staged without its salt, its durable end and the link to the frame before, which only the
//! one who writes knows ([`seal`] fills them in); the record's own checksum is taken outside any lock.

use crate::{NUMBER_END, Sequence};

/// Begins every frame. Its first byte occurs in no UTF-8 text.
pub(crate) const MARKER: [u8; 4] = [0xf7, b'r', b'e', b'c'];

/// Length of a frame's header.
pub(crate) const HEADER_BYTES: usize = 32;

/// A frame's header, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) length: u32,
    pub(crate) sequence: Sequence,
    /// When the frame was written, all records below this were durable.
    pub(crate) durable_end: Sequence,
    /// The checksum of the header before: of a frame, or of the segment.
    pub(crate) previous_crc: u32,
    pub(crate) record_crc: u32,
}

impl FrameHeader {
    /// The header as it is written in a segment of this salt.
    pub(crate) fn encode(&self, salt: u32) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..4].copy_from_slice(&MARKER);
        bytes[4..8].copy_from_slice(&self.length.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.behind_durable().to_le_bytes());
        bytes[20..24].copy_from_slice(&self.previous_crc.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.record_crc.to_le_bytes());
        let crc = crc32c::crc32c_append(salt, &bytes[..28]);
        bytes[28..32].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header in these bytes and its checksum, if it was written in a segment of this salt.
    pub(crate) fn decode(bytes: &[u8], salt: u32) -> Option<(Self, u32)> {
        let bytes: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
        if bytes[0..4] != MARKER {
            return None;
        }
        let crc = u32_at(bytes, 28);
        if crc32c::crc32c_append(salt, &bytes[..28]) != crc {
            return None;
        }
        let sequence = u64_at(bytes, 8);
        let header = FrameHeader {
            length: u32_at(bytes, 4),
            sequence,
            durable_end: sequence.checked_sub(u64::from(u32_at(bytes, 16)))?,
            previous_crc: u32_at(bytes, 20),
            record_crc: u32_at(bytes, 24),
        };
        (sequence < NUMBER_END).then_some((header, crc))
    }

    /// How many records of its group come before it. A group has fewer than 2^32, because its bytes are bounded.
    fn behind_durable(&self) -> u32 {
        u32::try_from(self.sequence.saturating_sub(self.durable_end)).unwrap_or(u32::MAX)
    }

    /// Bytes of the whole frame.
    pub(crate) fn frame_bytes(&self) -> u64 {
        HEADER_BYTES as u64 + u64::from(self.length)
    }
}

/// Checksum of a record given in parts.
pub(crate) fn record_crc(parts: &[&[u8]]) -> u32 {
    parts
        .iter()
        .fold(0, |crc, part| crc32c::crc32c_append(crc, part))
}

/// Gives each staged frame in `frames` its durable end, its link to the header before it, and its salted
/// checksum. Returns the last header's checksum.
pub(crate) fn seal(
    mut frames: &mut [u8],
    salt: u32,
    durable_end: Sequence,
    mut previous_crc: u32,
) -> u32 {
    while let Some((header, rest)) = frames.split_first_chunk_mut::<HEADER_BYTES>() {
        let length = u32_at(header, 4);
        *header = FrameHeader {
            length,
            sequence: u64_at(header, 8),
            durable_end,
            previous_crc,
            record_crc: u32_at(header, 24),
        }
        .encode(salt);
        previous_crc = u32_at(header, 28);
        frames = rest.get_mut(length as usize..).unwrap_or_default();
    }
    previous_crc
}

fn u32_at(bytes: &[u8; HEADER_BYTES], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8; HEADER_BYTES], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn staged(sequence: Sequence, record: &[u8]) -> Vec<u8> {
        let header = FrameHeader {
            length: u32::try_from(record.len()).unwrap(),
            sequence,
            durable_end: sequence,
            previous_crc: 0,
            record_crc: record_crc(&[record]),
        };
        [&header.encode(0)[..], record].concat()
    }

    #[test]
    fn sealing_fills_in_every_frame() {
        let mut group = [staged(7, b"one"), staged(8, b""), staged(9, b"three")].concat();
        let last_crc = seal(&mut group, 0xdead_beef, 7, 0x1234);
        let mut rest = &group[..];
        let mut previous_crc = 0x1234;
        for (sequence, record) in [(7, &b"one"[..]), (8, b""), (9, b"three")] {
            let (header, crc) = FrameHeader::decode(rest, 0xdead_beef).unwrap();
            assert_eq!(header.sequence, sequence);
            assert_eq!(header.durable_end, 7);
            assert_eq!(header.previous_crc, previous_crc);
            previous_crc = crc;
            let body = &rest[HEADER_BYTES..][..record.len()];
            assert_eq!(body, record);
            assert_eq!(header.record_crc, record_crc(&[record]));
            rest = &rest[HEADER_BYTES + record.len()..];
        }
        assert!(rest.is_empty());
        assert_eq!(last_crc, previous_crc);
    }

    #[test]
    fn another_salt_never_passes() {
        let bytes = staged(1, b"x");
        for bit in 0..32 {
            assert_eq!(FrameHeader::decode(&bytes, 1 << bit), None);
        }
        assert!(FrameHeader::decode(&bytes, 0).is_some());
    }

    #[test]
    fn every_changed_bit_of_a_header_is_noticed() {
        let bytes = staged(3, b"x");
        for bit in 0..HEADER_BYTES * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(FrameHeader::decode(&bad, 0), None, "bit {bit}");
        }
        assert_eq!(FrameHeader::decode(&bytes[..31], 0), None);
    }

    /// Counting on from it would come to the end of 64 bits.
    #[test]
    fn a_number_that_no_log_reaches_is_no_header() {
        let sequence = |bytes: &[u8]| FrameHeader::decode(bytes, 0).map(|(h, _)| h.sequence);
        assert_eq!(sequence(&staged(NUMBER_END - 1, b"")), Some(NUMBER_END - 1));
        assert_eq!(sequence(&staged(NUMBER_END, b"")), None);
        assert_eq!(sequence(&staged(u64::MAX, b"")), None);
    }

    #[test]
    fn parts_have_the_checksum_of_the_whole() {
        assert_eq!(record_crc(&[b"ab", b"", b"c"]), crc32c::crc32c(b"abc"));
    }
}

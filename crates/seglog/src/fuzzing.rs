//! The parts of a log as they are written, with checksums that fit, for the fuzz target in `fuzz`: so that
//! any log can be made, and not only such as are refused at once.

use crate::Sequence;
use crate::frame::{FrameHeader, record_crc};
use crate::segment::{SegmentHeader, SegmentId};

/// The file name of a segment.
#[must_use]
pub fn segment_name(index: u64, salt: u32) -> String {
    let path = SegmentId { index, salt }.path(std::path::Path::new(""));
    path.to_string_lossy().into_owned()
}

/// A segment's header, and the checksum that its first frame refers to.
#[must_use]
pub fn segment_header(
    (index, salt): (u64, u32),
    first_sequence: Sequence,
    previous_end: Sequence,
    record_bytes_max: u32,
    is_recycled: bool,
) -> (Vec<u8>, u32) {
    let header = SegmentHeader {
        id: SegmentId { index, salt },
        first_sequence,
        previous_end,
        record_bytes_max,
        is_recycled,
    };
    (header.encode().to_vec(), header.crc())
}

/// A frame with its record, and the checksum that the next frame refers to.
#[must_use]
pub fn frame(
    salt: u32,
    sequence: Sequence,
    durable_end: Sequence,
    previous_crc: u32,
    record: &[u8],
) -> (Vec<u8>, u32) {
    let header = FrameHeader {
        length: u32::try_from(record.len()).unwrap_or(u32::MAX),
        sequence,
        durable_end,
        previous_crc,
        record_crc: record_crc(&[record]),
    };
    let header = header.encode(salt);
    let [.., a, b, c, d] = header;
    let crc = u32::from_le_bytes([a, b, c, d]);
    ([&header[..], record].concat(), crc)
}

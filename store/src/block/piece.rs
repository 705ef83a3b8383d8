//! Pieces: what is read at once, under one checksum.

use super::error::Damage;

/// Bytes that a checksum takes at the end of a piece.
pub(super) const CRC_LEN: usize = 4;

/// Appends the checksum of what `out` holds from `start` on.
pub(super) fn seal(out: &mut Vec<u8>, start: usize) {
    let crc = crc32c::crc32c(&out[start..]);
    out.extend_from_slice(&crc.to_le_bytes());
}

/// The bytes of a piece without its checksum, which fits.
///
/// A build for fuzzing takes any: else nothing behind the checksum would be reached.
pub(super) fn open(piece: &[u8]) -> Result<&[u8], Damage> {
    let fits = |body: &[u8], crc: &[u8; CRC_LEN]| {
        cfg!(fuzzing) || crc32c::crc32c(body) == u32::from_le_bytes(*crc)
    };
    match piece.split_last_chunk::<CRC_LEN>() {
        Some((body, crc)) if fits(body, crc) => Ok(body),
        _ => Err(Damage::new("checksum does not fit")),
    }
}

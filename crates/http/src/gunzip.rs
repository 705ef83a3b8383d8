//! Inflating a gzip body within a bound, so that a small body cannot fill the memory.

use std::io::{self, BufRead, Read};

use bytes::{Buf, Bytes};
use flate2::bufread::MultiGzDecoder;

use crate::BodyError;

/// Guess of how far line protocol shrinks, for the first allocation.
const RATIO_GUESS: usize = 6;

/// Inflates a gzip stream of one or several members that lies in `chunks`.
///
/// Busy on the processor for about 2 ms a megabyte of output: call it off the event loop when the
/// body may be large.
///
/// # Errors
/// [`BodyError::TooLarge`] as soon as more than `bytes_max` bytes would come out,
/// [`BodyError::Gzip`] for anything that is not a complete gzip stream, trailing bytes included.
pub fn gunzip(chunks: &[Bytes], bytes_max: usize) -> Result<Vec<u8>, BodyError> {
    let compressed: usize = chunks.iter().map(Bytes::len).sum();
    let mut out = Vec::with_capacity(compressed.saturating_mul(RATIO_GUESS).min(bytes_max));
    inflate(Chain { chunks, offset: 0 }, bytes_max, &mut out)?;
    Ok(out)
}

/// As [`gunzip`], for a stream in one piece, and behind what is in `out`.
///
/// # Errors
/// See [`gunzip`]; `out` may then hold part of what came out.
pub fn gunzip_into(stream: &[u8], bytes_max: usize, out: &mut Vec<u8>) -> Result<(), BodyError> {
    inflate(stream, bytes_max, out)
}

fn inflate(stream: impl BufRead, bytes_max: usize, out: &mut Vec<u8>) -> Result<(), BodyError> {
    let mut decoder = MultiGzDecoder::new(stream).take(bytes_max as u64 + 1);
    let length = decoder.read_to_end(out).map_err(BodyError::Gzip)?;
    if length > bytes_max {
        return Err(BodyError::TooLarge { bytes_max });
    }
    Ok(())
}

/// Reads slices one after another.
struct Chain<'a> {
    chunks: &'a [Bytes],
    offset: usize,
}

impl Read for Chain<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut available = self.fill_buf()?;
        let taken = available.len().min(buf.len());
        available.copy_to_slice(&mut buf[..taken]);
        self.consume(taken);
        Ok(taken)
    }
}

impl BufRead for Chain<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while let Some((first, rest)) = self.chunks.split_first() {
            if self.offset < first.len() {
                return Ok(&first[self.offset..]);
            }
            self.chunks = rest;
            self.offset = 0;
        }
        Ok(&[])
    }

    fn consume(&mut self, amount: usize) {
        self.offset += amount;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn pieces(bytes: &[u8], size: usize) -> Vec<Bytes> {
        bytes.chunks(size).map(Bytes::copy_from_slice).collect()
    }

    #[test]
    fn members_and_pieces_are_joined() {
        let mut stream = gzip(b"cpu v=1\n");
        stream.extend(gzip(b"mem v=2\n"));
        for size in [1, 7, 1000] {
            assert_eq!(
                gunzip(&pieces(&stream, size), 100).unwrap(),
                b"cpu v=1\nmem v=2\n"
            );
        }
    }

    #[test]
    fn one_piece_goes_behind_what_is_there() {
        let mut out = b"before ".to_vec();
        gunzip_into(&gzip(b"cpu v=1"), 7, &mut out).unwrap();
        assert_eq!(out, b"before cpu v=1");
        assert!(gunzip_into(&gzip(b"cpu v=12"), 7, &mut out).is_err());
    }

    #[test]
    fn a_bomb_is_stopped_at_the_bound() {
        let bomb = gzip(&vec![0; 10 << 20]);
        assert!(bomb.len() < 100_000);
        assert!(matches!(
            gunzip(&pieces(&bomb, 4096), 1 << 20),
            Err(BodyError::TooLarge {
                bytes_max: 1_048_576
            })
        ));
    }

    #[test]
    fn exactly_the_bound_is_let_through() {
        assert_eq!(gunzip(&pieces(&gzip(b"12345"), 9), 5).unwrap(), b"12345");
        assert!(gunzip(&pieces(&gzip(b"123456"), 9), 5).is_err());
    }

    #[test]
    fn torn_changed_and_followed_streams_are_refused() {
        let stream = gzip(b"cpu v=1\n");
        let mut changed = stream.clone();
        let last = changed.len() - 5;
        changed[last] ^= 1;
        let mut followed = stream.clone();
        followed.extend(b"junk");
        for bad in [&stream[..stream.len() - 1], &changed, &followed, b"plain"] {
            assert!(
                matches!(gunzip(&pieces(bad, 1000), 100), Err(BodyError::Gzip(_))),
                "{bad:?}"
            );
        }
    }
}

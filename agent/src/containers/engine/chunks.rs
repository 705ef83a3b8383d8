//! The body of an HTTP/1.1 answer out of bytes that come in any pieces.

/// Longest line that announces a chunk.
const HEAD_BYTES_MAX: usize = 256;

/// How the end of a body is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes are still to come.
    Length(u64),
    /// Chunks.
    Chunked(Chunk),
    /// To the end of the connection.
    UntilClose,
}

/// What is expected next in a body of chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Chunk {
    /// The line with a length, of which this has come.
    Head(Vec<u8>),
    /// So many bytes of data.
    Data(u64),
    /// The line break behind the data, of which so many bytes have come.
    Break,
    /// What stands behind the last chunk; this much of its current line has come.
    Trailer(Vec<u8>),
    Over,
}

/// The bytes are no such body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadFraming;

impl Framing {
    /// A body in chunks.
    pub(super) fn chunked() -> Self {
        Self::Chunked(Chunk::Head(Vec::new()))
    }

    /// Whether the body is complete.
    pub(super) fn is_over(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunk::Over))
    }

    /// Whether the end of the connection may end it.
    pub(super) fn may_close(&self) -> bool {
        self.is_over() || *self == Self::UntilClose
    }

    /// Appends the body's part of `bytes` to `out`.
    pub(super) fn feed(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> Result<(), BadFraming> {
        match self {
            Self::UntilClose => out.extend_from_slice(bytes),
            Self::Length(left) => {
                take(&mut bytes, left, out);
            }
            Self::Chunked(chunk) => {
                while !bytes.is_empty() && *chunk != Chunk::Over {
                    chunk.feed(&mut bytes, out)?;
                }
            }
        }
        Ok(())
    }
}

/// Moves at most `left` bytes over.
fn take(bytes: &mut &[u8], left: &mut u64, out: &mut Vec<u8>) {
    let length = usize::try_from(*left)
        .unwrap_or(usize::MAX)
        .min(bytes.len());
    let (taken, rest) = bytes.split_at(length);
    out.extend_from_slice(taken);
    *bytes = rest;
    *left -= length as u64;
}

/// Appends to `line` up to the end of it; true when it is there.
fn take_line(bytes: &mut &[u8], line: &mut Vec<u8>) -> Result<bool, BadFraming> {
    let end = memchr::memchr(b'\n', bytes);
    let (taken, rest) = bytes.split_at(end.map_or(bytes.len(), |at| at + 1));
    line.extend_from_slice(taken);
    *bytes = rest;
    if line.len() > HEAD_BYTES_MAX {
        return Err(BadFraming);
    }
    Ok(end.is_some())
}

impl Chunk {
    fn feed(&mut self, bytes: &mut &[u8], out: &mut Vec<u8>) -> Result<(), BadFraming> {
        match self {
            Self::Head(line) => {
                if take_line(bytes, line)? {
                    let digits = line.split(|&byte| byte == b';').next().unwrap_or_default();
                    let length = crate::text::hexadecimal(digits.trim_ascii());
                    *self = match length.ok_or(BadFraming)? {
                        0 => Self::Trailer(Vec::new()),
                        length => Self::Data(length),
                    };
                }
            }
            Self::Data(left) => {
                take(bytes, left, out);
                if *left == 0 {
                    *self = Self::Break;
                }
            }
            Self::Break => {
                let (&first, rest) = bytes.split_first().ok_or(BadFraming)?;
                *bytes = rest;
                match first {
                    b'\r' => {}
                    b'\n' => *self = Self::Head(Vec::new()),
                    _ => return Err(BadFraming),
                }
            }
            Self::Trailer(line) => {
                if take_line(bytes, line)? {
                    if line.trim_ascii().is_empty() {
                        *self = Self::Over;
                    } else {
                        line.clear();
                    }
                }
            }
            Self::Over => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_may_be_cut_anywhere() {
        let text = b"5\r\nhello\r\n1;ext=1\r\n,\r\nA\r\n0123456789\r\n0\r\nX: y\r\n\r\n";
        for cut in 0..text.len() {
            let mut framing = Framing::chunked();
            let mut out = Vec::new();
            let (first, second) = text.split_at(cut);
            framing.feed(first, &mut out).unwrap();
            framing.feed(second, &mut out).unwrap();
            assert!(framing.is_over(), "{cut}");
            assert_eq!(out, b"hello,0123456789", "{cut}");
        }
    }

    #[test]
    fn lengths_and_ends() {
        let mut framing = Framing::Length(3);
        let mut out = Vec::new();
        framing.feed(b"ab", &mut out).unwrap();
        assert!(!framing.is_over() && !framing.may_close());
        framing.feed(b"cd", &mut out).unwrap();
        assert!(framing.is_over());
        assert_eq!(out, b"abc");
        assert!(Framing::UntilClose.may_close() && !Framing::chunked().may_close());
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        for bad in [&b"x\r\n"[..], b"-1\r\n", b"\r\n", b"1\r\nab", &[b'1'; 300]] {
            let result = Framing::chunked().feed(bad, &mut Vec::new());
            assert_eq!(result, Err(BadFraming), "{}", bad.escape_ascii());
        }
    }
}

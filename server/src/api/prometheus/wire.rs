//! Protobuf as far as Prometheus needs it: fields of a message one after another, and a writer.

use thiserror::Error;

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum Broken {
    #[error("unexpected EOF")]
    End,
    #[error("proto: integer overflow")]
    Overflow,
    #[error("proto: illegal wireType {0}")]
    WireType(u64),
    #[error("proto: illegal tag 0")]
    Tag,
}

/// A field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

impl<'a> Value<'a> {
    /// A message, string or list of bytes; empty where it is none of them.
    pub(super) fn bytes(self) -> &'a [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            _ => &[],
        }
    }

    /// An `int64`.
    pub(super) fn integer(self) -> i64 {
        match self {
            Self::Varint(value) => value.cast_signed(),
            _ => 0,
        }
    }

    /// A `double`.
    pub(super) fn double(self) -> f64 {
        match self {
            Self::Fixed64(bits) => f64::from_bits(bits),
            _ => 0.0,
        }
    }
}

/// Hands each field of a message to `take`, with its number.
pub(super) fn each<'a, E: From<Broken>>(
    message: &'a [u8],
    mut take: impl FnMut(u64, Value<'a>) -> Result<(), E>,
) -> Result<(), E> {
    let mut rest = message;
    while !rest.is_empty() {
        let key = varint(&mut rest)?;
        let number = key >> 3;
        if number == 0 {
            return Err(Broken::Tag.into());
        }
        let value = match key & 7 {
            0 => Value::Varint(varint(&mut rest)?),
            1 => Value::Fixed64(u64::from_le_bytes(fixed(&mut rest)?)),
            2 => {
                let length = varint(&mut rest)?;
                let length = usize::try_from(length).map_err(|_| Broken::End)?;
                let (bytes, tail) = rest.split_at_checked(length).ok_or(Broken::End)?;
                rest = tail;
                Value::Bytes(bytes)
            }
            5 => Value::Fixed32(u32::from_le_bytes(fixed(&mut rest)?)),
            other => return Err(Broken::WireType(other).into()),
        };
        take(number, value)?;
    }
    Ok(())
}

fn fixed<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Broken> {
    let (bytes, tail) = rest.split_first_chunk::<N>().ok_or(Broken::End)?;
    *rest = tail;
    Ok(*bytes)
}

fn varint(rest: &mut &[u8]) -> Result<u64, Broken> {
    let mut value = 0;
    for at in 0..10 {
        let (&byte, tail) = rest.split_first().ok_or(Broken::End)?;
        *rest = tail;
        value |= u64::from(byte & 0x7f) << (at * 7);
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(Broken::Overflow)
}

/// Appends a varint field.
pub(super) fn put_integer(out: &mut Vec<u8>, number: u64, value: i64) {
    put_varint(out, number << 3);
    put_varint(out, value.cast_unsigned());
}

/// Appends a `double`.
pub(super) fn put_double(out: &mut Vec<u8>, number: u64, value: f64) {
    put_varint(out, number << 3 | 1);
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

/// Appends a message, a string or bytes.
pub(super) fn put_bytes(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    put_varint(out, number << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(message: &[u8]) -> Result<Vec<(u64, Value<'_>)>, Broken> {
        let mut found = Vec::new();
        each(message, |number, value| {
            found.push((number, value));
            Ok::<(), Broken>(())
        })
        .map(|()| found)
    }

    #[test]
    fn what_is_put_is_read() {
        let mut out = Vec::new();
        put_integer(&mut out, 1, -1);
        put_double(&mut out, 2, 1.5);
        put_bytes(&mut out, 300, b"ab");
        let found = fields(&out).unwrap();
        assert_eq!(found[0].1.integer(), -1);
        assert!((found[1].1.double() - 1.5).abs() < f64::EPSILON);
        assert_eq!(found[2], (300, Value::Bytes(b"ab")));
        for at in 1..out.len() {
            // A cut may fall between two fields; then the fields before it are read.
            assert!(
                fields(&out[..at]).is_ok_and(|found| found.len() < 3)
                    || fields(&out[..at]).is_err()
            );
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for (bytes, error) in [
            (&[0x0a][..], Broken::End),
            (&[0x0a, 5, 1], Broken::End),
            (&[0x09, 1], Broken::End),
            (&[0x0d, 1], Broken::End),
            (&[0x00], Broken::Tag),
            (&[0x0b], Broken::WireType(3)),
            (&[0xff; 11], Broken::Overflow),
            (
                &[
                    0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,
                ],
                Broken::End,
            ),
        ] {
            assert_eq!(fields(bytes), Err(error), "{bytes:?}");
        }
    }
}

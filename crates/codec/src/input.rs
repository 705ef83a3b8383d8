//! Bytes being read, front to back, and the integers that they are made of.

use crate::CodecError;

/// What is left to read of some bytes. Every method takes from the front and answers
/// [`CodecError::Short`] when there is too little.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    bytes: &'a [u8],
    what: &'static str,
}

impl<'a> Input<'a> {
    /// Reads `bytes`; `what` names them in errors.
    #[must_use]
    pub const fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { bytes, what }
    }

    /// The error that says that these bytes end too early.
    #[must_use]
    pub const fn short(&self) -> CodecError {
        CodecError::Short(self.what)
    }

    /// How many bytes are left.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// True when nothing is left.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes all that is left.
    #[must_use]
    pub const fn rest(self) -> &'a [u8] {
        self.bytes
    }

    /// # Errors
    /// When something is left.
    pub fn end(self) -> Result<(), CodecError> {
        if self.bytes.is_empty() {
            Ok(())
        } else {
            Err(CodecError::Malformed("bytes are left over"))
        }
    }

    /// Takes `len` bytes.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], CodecError> {
        let (head, tail) = self.bytes.split_at_checked(len).ok_or(self.short())?;
        self.bytes = tail;
        Ok(head)
    }

    /// Takes `N` bytes.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let (head, tail) = self.bytes.split_first_chunk::<N>().ok_or(self.short())?;
        self.bytes = tail;
        Ok(*head)
    }

    /// Takes one byte.
    ///
    /// # Errors
    /// When none is left.
    pub fn u8(&mut self) -> Result<u8, CodecError> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Takes four bytes.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn u32(&mut self) -> Result<u32, CodecError> {
        self.array().map(u32::from_le_bytes)
    }

    /// Takes eight bytes.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn u64(&mut self) -> Result<u64, CodecError> {
        self.array().map(u64::from_le_bytes)
    }

    /// Takes a varint.
    ///
    /// # Errors
    /// When it does not end, or is longer than 64 bits.
    pub fn varint(&mut self) -> Result<u64, CodecError> {
        let mut value = 0;
        for (at, &byte) in self.bytes.iter().enumerate().take(10) {
            if at == 9 && byte > 1 {
                return Err(CodecError::Malformed("varint of more than 64 bits"));
            }
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                self.bytes = &self.bytes[at + 1..];
                return Ok(value);
            }
        }
        Err(self.short())
    }

    /// Takes a varint that is to be used as a length or count.
    ///
    /// # Errors
    /// As [`Input::varint`], and when it passes `max`.
    pub fn count(&mut self, max: usize) -> Result<usize, CodecError> {
        usize::try_from(self.varint()?)
            .ok()
            .filter(|&count| count <= max)
            .ok_or(CodecError::Malformed("count out of bounds"))
    }

    /// Takes a zigzag varint.
    ///
    /// # Errors
    /// As [`Input::varint`].
    pub fn zigzag(&mut self) -> Result<i64, CodecError> {
        let n = self.varint()?;
        Ok((n >> 1).cast_signed() ^ -(n & 1).cast_signed())
    }
}

/// Appends `value` as a varint: one byte below 128, ten at most.
pub fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// Appends `value` as a zigzag varint: one byte from -64 to 63.
pub fn write_zigzag(value: i64, out: &mut Vec<u8>) {
    write_varint(((value << 1) ^ (value >> 63)).cast_unsigned(), out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn integers_round_trip(n in any::<u64>(), shift in 0..64_u32) {
            let n = n >> shift;
            let mut out = Vec::new();
            write_varint(n, &mut out);
            write_zigzag(n.cast_signed(), &mut out);
            let mut input = Input::new(&out, "test");
            prop_assert_eq!(input.varint().unwrap(), n);
            prop_assert_eq!(input.zigzag().unwrap(), n.cast_signed());
            prop_assert!(input.end().is_ok());
        }
    }

    #[test]
    fn endless_and_oversized_varints_are_refused() {
        assert!(Input::new(&[0x80; 9], "test").varint().is_err());
        assert!(Input::new(&[0xff; 20], "test").varint().is_err());
        let mut max = vec![0xff; 9];
        max.push(1);
        assert_eq!(Input::new(&max, "test").varint().unwrap(), u64::MAX);
        assert!(Input::new(&[], "test").varint().is_err());
    }
}

//! Rows in columns: what the engine hands to queries, and what flush and merge move about.
//!
//! A [`Rows`] holds rows of one series in order of time. Every column has as many entries as
//! there are times; where a row has no value for a field the entry is arbitrary and the column's
//! [`Validity`] says so. "Null" means not written, never "written as null".

use std::ops::Range;

use tandem_model::{FieldType, FieldValue};

/// Rows of one series: strictly ascending times unless the reader was asked for descending ones,
/// and one column for each field that was asked for, in the same order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// Nanoseconds, one for each row.
    pub times_ns: Vec<i64>,
    /// One for each field asked for; `None` where no row here has a value for it.
    pub columns: Vec<Option<Column>>,
}

impl Rows {
    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.times_ns.len()
    }

    /// True when there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.times_ns.is_empty()
    }
}

/// One field's values over some rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// As many entries as there are rows.
    pub values: Values,
    /// Which entries were written.
    pub validity: Validity,
}

impl Column {
    /// The value of row `row`; `None` when it was not written. Panics past the end.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<FieldValue<'_>> {
        self.validity.is_valid(row).then(|| self.values.get(row))
    }
}

/// The values of a column, by type.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Doubles, bit-exact.
    Float(Vec<f64>),
    /// Signed integers.
    Integer(Vec<i64>),
    /// Unsigned integers.
    Unsigned(Vec<u64>),
    /// Byte strings.
    String(Strings),
    /// Booleans.
    Boolean(Vec<bool>),
}

impl Values {
    /// An empty column of this type.
    #[must_use]
    pub fn new(field_type: FieldType) -> Self {
        match field_type {
            FieldType::Float => Self::Float(Vec::new()),
            FieldType::Integer => Self::Integer(Vec::new()),
            FieldType::Unsigned => Self::Unsigned(Vec::new()),
            FieldType::String => Self::String(Strings::default()),
            FieldType::Boolean => Self::Boolean(Vec::new()),
        }
    }

    /// The type of the values.
    #[must_use]
    pub const fn field_type(&self) -> FieldType {
        match self {
            Self::Float(_) => FieldType::Float,
            Self::Integer(_) => FieldType::Integer,
            Self::Unsigned(_) => FieldType::Unsigned,
            Self::String(_) => FieldType::String,
            Self::Boolean(_) => FieldType::Boolean,
        }
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Float(v) => v.len(),
            Self::Integer(v) => v.len(),
            Self::Unsigned(v) => v.len(),
            Self::String(v) => v.len(),
            Self::Boolean(v) => v.len(),
        }
    }

    /// True when there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entry at `row`, whether it was written or not. Panics past the end.
    #[must_use]
    pub fn get(&self, row: usize) -> FieldValue<'_> {
        match self {
            Self::Float(v) => FieldValue::Float(v[row]),
            Self::Integer(v) => FieldValue::Integer(v[row]),
            Self::Unsigned(v) => FieldValue::Unsigned(v[row]),
            Self::String(v) => FieldValue::String(v.get(row)),
            Self::Boolean(v) => FieldValue::Boolean(v[row]),
        }
    }

    /// Appends `value`; a value of another type is an error of the caller and panics.
    pub fn push(&mut self, value: FieldValue<'_>) {
        match (self, value) {
            (Self::Float(v), FieldValue::Float(x)) => v.push(x),
            (Self::Integer(v), FieldValue::Integer(x)) => v.push(x),
            (Self::Unsigned(v), FieldValue::Unsigned(x)) => v.push(x),
            (Self::String(v), FieldValue::String(x)) => v.push(x),
            (Self::Boolean(v), FieldValue::Boolean(x)) => v.push(x),
            (values, value) => panic!("{value:?} pushed to a {} column", values.field_type()),
        }
    }

    /// Makes room for `entries` more.
    pub(crate) fn reserve(&mut self, entries: usize) {
        match self {
            Self::Float(v) => v.reserve(entries),
            Self::Integer(v) => v.reserve(entries),
            Self::Unsigned(v) => v.reserve(entries),
            Self::String(v) => v.ends.reserve(entries),
            Self::Boolean(v) => v.reserve(entries),
        }
    }

    /// Appends entries `entries` of `from`; another type is an error of the caller and panics.
    pub(crate) fn extend_from(&mut self, from: &Self, entries: Range<usize>) {
        match (self, from) {
            (Self::Float(to), Self::Float(from)) => to.extend_from_slice(&from[entries]),
            (Self::Integer(to), Self::Integer(from)) => to.extend_from_slice(&from[entries]),
            (Self::Unsigned(to), Self::Unsigned(from)) => to.extend_from_slice(&from[entries]),
            (Self::Boolean(to), Self::Boolean(from)) => to.extend_from_slice(&from[entries]),
            (Self::String(to), Self::String(from)) => to.extend_from(from, entries),
            (to, from) => panic!("{} appended to {}", from.field_type(), to.field_type()),
        }
    }

    /// Appends an entry that stands for "not written".
    pub fn push_null(&mut self) {
        match self {
            Self::Float(v) => v.push(0.0),
            Self::Integer(v) => v.push(0),
            Self::Unsigned(v) => v.push(0),
            Self::String(v) => v.push(b""),
            Self::Boolean(v) => v.push(false),
        }
    }
}

/// Byte strings, end to end in one buffer of at most 4 GiB.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Strings {
    ends: Vec<u32>,
    bytes: Vec<u8>,
}

impl Strings {
    /// How many strings there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The string at `at`. Panics past the end.
    #[must_use]
    pub fn get(&self, at: usize) -> &[u8] {
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.bytes[start as usize..self.ends[at] as usize]
    }

    /// Appends one string. Panics when the buffer would pass 4 GiB.
    pub fn push(&mut self, string: &[u8]) {
        self.bytes.extend_from_slice(string);
        let end = u32::try_from(self.bytes.len()).expect("strings of one column stay under 4 GiB");
        self.ends.push(end);
    }

    /// Appends strings `entries` of `from`. Panics when the buffer would pass 4 GiB.
    pub(crate) fn extend_from(&mut self, from: &Self, entries: Range<usize>) {
        if entries.is_empty() {
            return;
        }
        let start = match entries.start {
            0 => 0,
            start => from.ends[start - 1],
        };
        let ends = &from.ends[entries];
        let end = ends.last().copied().unwrap_or(start);
        let base = self.bytes.len();
        self.bytes
            .extend_from_slice(&from.bytes[start as usize..end as usize]);
        u32::try_from(self.bytes.len()).expect("strings of one column stay under 4 GiB");
        self.ends
            .extend(ends.iter().map(|end| base as u32 + (end - start)));
    }

    /// Each string in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|at| self.get(at))
    }
}

/// Which entries of a column were written.
#[derive(Clone, Debug, PartialEq)]
pub enum Validity {
    /// Every one.
    All,
    /// Those whose bit is set.
    Some(Bitmap),
}

impl Validity {
    /// True when entry `row` was written.
    #[must_use]
    pub fn is_valid(&self, row: usize) -> bool {
        match self {
            Self::All => true,
            Self::Some(bits) => bits.get(row),
        }
    }
}

/// A growing row of bits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bitmap {
    words: Vec<u64>,
    len: usize,
}

impl Bitmap {
    /// `len` bits, all `bit`.
    #[must_use]
    pub fn filled(len: usize, bit: bool) -> Self {
        let mut words = vec![if bit { u64::MAX } else { 0 }; len.div_ceil(64)];
        if let Some(last) = words.last_mut()
            && bit
            && !len.is_multiple_of(64)
        {
            *last = (1 << (len % 64)) - 1;
        }
        Self { words, len }
    }

    /// How many bits there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// True when there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bit `at`. Panics past the end.
    #[must_use]
    pub fn get(&self, at: usize) -> bool {
        assert!(at < self.len, "bit {at} of {}", self.len);
        self.words[at / 64] >> (at % 64) & 1 == 1
    }

    /// Sets bit `at`. Panics past the end.
    pub fn set(&mut self, at: usize, bit: bool) {
        assert!(at < self.len, "bit {at} of {}", self.len);
        let mask = 1 << (at % 64);
        if bit {
            self.words[at / 64] |= mask;
        } else {
            self.words[at / 64] &= !mask;
        }
    }

    /// Appends one bit.
    pub fn push(&mut self, bit: bool) {
        if self.len.is_multiple_of(64) {
            self.words.push(0);
        }
        self.len += 1;
        self.set(self.len - 1, bit);
    }

    /// Appends `count` bits, all `bit`.
    pub(crate) fn extend_filled(&mut self, count: usize, bit: bool) {
        let end = self.len + count;
        let first_whole = end.min(self.len.next_multiple_of(64));
        for _ in self.len..first_whole {
            self.push(bit);
        }
        self.words
            .resize(end.div_ceil(64), if bit { u64::MAX } else { 0 });
        self.len = end;
        if let Some(last) = self.words.last_mut()
            && !end.is_multiple_of(64)
        {
            *last &= (1 << (end % 64)) - 1;
        }
    }

    /// How many bits are set.
    #[must_use]
    pub fn count_ones(&self) -> usize {
        self.words.iter().map(|w| w.count_ones() as usize).sum()
    }

    /// The bits in words, lowest first; bits past the end are zero.
    #[must_use]
    pub fn words(&self) -> &[u64] {
        &self.words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bitmaps_hold_what_was_pushed() {
        let mut bits = Bitmap::default();
        for i in 0..200 {
            bits.push(i % 3 == 0);
        }
        assert!((0..200).all(|i| bits.get(i) == (i % 3 == 0)));
        assert_eq!(bits.count_ones(), 67);
        assert_eq!(Bitmap::filled(130, true).count_ones(), 130);
    }

    #[test]
    fn bits_are_filled_from_anywhere_to_anywhere() {
        for start in [0, 1, 63, 64, 65, 127] {
            for count in [0, 1, 2, 62, 63, 64, 65, 200] {
                let mut bits = Bitmap::filled(start, false);
                bits.extend_filled(count, true);
                bits.extend_filled(3, false);
                bits.push(true);
                assert_eq!(bits.len(), start + count + 4);
                assert_eq!(bits.count_ones(), count + 1, "{start} {count}");
                assert!((start..start + count).all(|at| bits.get(at)));
                assert!(bits.get(start + count + 3));
            }
        }
    }

    #[test]
    fn strings_hold_what_was_pushed() {
        let mut strings = Strings::default();
        for s in ["", "a", "", "bcd"] {
            strings.push(s.as_bytes());
        }
        let all: Vec<&[u8]> = strings.iter().collect();
        assert_eq!(all, [b"".as_slice(), b"a", b"", b"bcd"]);
        let mut more = Strings::default();
        more.push(b"x");
        more.extend_from(&strings, 1..1);
        more.extend_from(&strings, 1..4);
        more.extend_from(&strings, 0..1);
        let all: Vec<&[u8]> = more.iter().collect();
        assert_eq!(all, [b"x".as_slice(), b"a", b"", b"bcd", b""]);
    }
}

//! What the next line of a series will most likely look like, and the quick way through such a line.
//!
//! Clients write the same fields in the same order time after time. A [`Pattern`] holds names and types of
//! such a line; [`Line::read_as`] compares instead of searching, and reads each value as what it must be.
//! It takes nothing that pulling field by field would not take, and reads the same from it; whatever
//! looks different is left to that way.

use tandem_model::FieldType;

use crate::key::MAX_KEY_BYTES;
use crate::line::{Line, time_of};
use crate::number::{parse_float, parse_integer};
use crate::value::{Value, parse_value};

/// Names and types of the fields of a line, in written order.
#[derive(Clone, Debug)]
pub struct Pattern {
    fields: Box<[Expected]>,
    /// Of the longest name.
    name_bytes_max: usize,
}

#[derive(Clone, Debug)]
struct Expected {
    /// The name as written and the `=` behind it; from the second field on with the comma before it.
    text: Box<[u8]>,
    /// The first bytes of `text`, and a mask of those that it has.
    head: u128,
    head_mask: u128,
    /// The last bytes of `text`, where it is longer than `head` and not longer than both.
    tail: Option<u128>,
    field_type: FieldType,
}

const WORD_BYTES: usize = size_of::<u128>();

impl Pattern {
    /// Of fields as [`Line::next_field`] gave them: names as written, and types. `None` when there are none.
    pub fn new<'a>(fields: impl IntoIterator<Item = (&'a [u8], FieldType)>) -> Option<Self> {
        let mut expected: Vec<Expected> = Vec::new();
        let mut name_bytes_max = 0;
        for (name, field_type) in fields {
            let comma: &[u8] = if expected.is_empty() { b"" } else { b"," };
            expected.push(Expected::new(
                [comma, name, b"="].concat().into(),
                field_type,
            ));
            name_bytes_max = name_bytes_max.max(name.len());
        }
        (!expected.is_empty()).then(|| Self {
            fields: expected.into(),
            name_bytes_max,
        })
    }
}

impl Expected {
    fn new(text: Box<[u8]>, field_type: FieldType) -> Self {
        let (mut head, mut head_mask) = ([0; WORD_BYTES], [0; WORD_BYTES]);
        for ((byte, mask), &wanted) in head.iter_mut().zip(&mut head_mask).zip(&*text) {
            (*byte, *mask) = (wanted, 0xff);
        }
        let tail = text.last_chunk().filter(|_| text.len() <= 2 * WORD_BYTES);
        Self {
            head: u128::from_le_bytes(head),
            head_mask: u128::from_le_bytes(head_mask),
            tail: tail.map(|bytes| u128::from_le_bytes(*bytes)),
            text,
            field_type,
        }
    }

    /// What follows `self.text` in `line`, if it starts with that.
    #[inline]
    fn strip<'a>(&self, line: &'a [u8]) -> Option<&'a [u8]> {
        let (text, rest) = line.split_at_checked(self.text.len())?;
        let same = match line.first_chunk::<WORD_BYTES>() {
            Some(head) => {
                let head = u128::from_le_bytes(*head);
                (head ^ self.head) & self.head_mask == 0
                    && match (self.tail, text.last_chunk::<WORD_BYTES>()) {
                        (Some(wanted), Some(tail)) => u128::from_le_bytes(*tail) == wanted,
                        (_, None) => true,
                        (None, Some(_)) => *text == *self.text,
                    }
            }
            None => *text == *self.text,
        };
        same.then_some(rest)
    }
}

impl<'a> Line<'a> {
    /// Reads all fields and the time of a line of which nothing has been pulled yet, if it looks as `pattern`
    /// says. `put` gets the number of each field and its value and may stop by `false`.
    ///
    /// Returns the time in nanoseconds, if the line has one, or `None` when the line has to be pulled field by
    /// field: it looks different, is malformed, or was stopped. What `put` got is then to be forgotten.
    #[inline]
    pub fn read_as(
        &self,
        pattern: &Pattern,
        mut put: impl FnMut(usize, Value<'a>) -> bool,
    ) -> Option<Option<i64>> {
        let (key, mut rest) = self.key_and_fields();
        // The same bound as for fields that are pulled.
        if key.len() + 4 + pattern.name_bytes_max > MAX_KEY_BYTES {
            return None;
        }
        for (number, field) in pattern.fields.iter().enumerate() {
            rest = field.strip(rest)?;
            let (value, len) = match field.field_type {
                FieldType::Integer => {
                    let (value, len) = parse_integer(rest)?;
                    (Value::Integer(value), len)
                }
                FieldType::Float => {
                    let (value, len) = parse_float(rest)?;
                    (Value::Float(value), len)
                }
                other => {
                    let (value, len) = parse_value(rest, self.options().unsigned)?;
                    if value.field_type() != other {
                        return None;
                    }
                    (value, len)
                }
            };
            rest = rest.get(len..)?;
            if !put(number, value) {
                return None;
            }
        }
        match rest.first() {
            Some(b' ') | None => time_of(rest, self.options().precision).ok(),
            Some(_) => None,
        }
    }
}

#[cfg(test)]
#[path = "pattern/tests.rs"]
mod tests;

//! An operation, as one record of the log: edits that happen together.

use crate::entry::{Kind, take_key};
use crate::wire::{Malformed, Reader, put_str};

const CLEAR: u8 = 0;
const PUT: u8 = 1;
const REMOVE: u8 = 2;

/// One change of the entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Edit {
    /// Forget all entries.
    Clear,
    /// Add an entry or replace it: key, value.
    Put(Vec<u8>, Vec<u8>),
    /// Take an entry away: key.
    Remove(Vec<u8>),
}

/// Edits that happen as a whole or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Op {
    pub(crate) edits: Vec<Edit>,
}

impl Op {
    pub(crate) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.edits.push(Edit::Put(key, value));
    }

    pub(crate) fn remove(&mut self, key: Vec<u8>) {
        self.edits.push(Edit::Remove(key));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for edit in &self.edits {
            match edit {
                Edit::Clear => out.push(CLEAR),
                Edit::Put(key, value) => put(&mut out, key, value),
                Edit::Remove(key) => {
                    out.push(REMOVE);
                    out.extend_from_slice(key);
                }
            }
        }
        out
    }

    pub(crate) fn decode(record: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(record);
        let mut op = Self::default();
        while !reader.is_empty() {
            let edit = match reader.u8()? {
                CLEAR => Edit::Clear,
                PUT => {
                    let (kind, key) = take_key(&mut reader)?;
                    let value = take_value(kind, &mut reader)?;
                    Edit::Put(key.to_vec(), value.to_vec())
                }
                REMOVE => Edit::Remove(take_key(&mut reader)?.1.to_vec()),
                _ => return Err(Malformed),
            };
            op.edits.push(edit);
        }
        Ok(op)
    }
}

/// Whether a record begins with a clean sheet.
pub(crate) fn is_snapshot(record: &[u8]) -> bool {
    record.first() == Some(&CLEAR)
}

/// A snapshot: everything anew.
pub(crate) fn snapshot<K: AsRef<[u8]>, V: AsRef<[u8]>>(
    entries: impl Iterator<Item = (K, V)>,
) -> Vec<u8> {
    let mut out = vec![CLEAR];
    for (key, value) in entries {
        put(&mut out, key.as_ref(), value.as_ref());
    }
    out
}

fn put(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    out.push(PUT);
    out.extend_from_slice(key);
    out.extend_from_slice(value);
}

/// Reads the value of an entry of this kind from the front, and gives its bytes.
pub(crate) fn take_value<'a>(kind: Kind, reader: &mut Reader<'a>) -> Result<&'a [u8], Malformed> {
    let whole = reader.rest();
    match kind {
        Kind::User => {
            reader.take(8 + 1)?;
            reader.str()?;
        }
        Kind::Grant => {
            reader.take(8 + 1)?;
        }
        Kind::Query => {
            reader.take(8)?;
            reader.str()?;
        }
        Kind::Run => {
            reader.take(8)?;
        }
        Kind::Subscription => {
            reader.take(8 + 1)?;
            for _ in 0..reader.u32()? {
                reader.str()?;
            }
        }
    }
    let len = whole.len() - reader.rest().len();
    whole.get(..len).ok_or(Malformed)
}

/// A list of strings, as [`take_value`] skips it.
pub(crate) fn put_strings(out: &mut Vec<u8>, strings: &[String]) {
    let count = u32::try_from(strings.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&count.to_le_bytes());
    for text in strings {
        put_str(out, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Op {
        let mut op = Op {
            edits: vec![Edit::Clear],
        };
        let mut user = vec![7, 0, 0, 0, 0, 0, 0, 0, 1];
        put_str(&mut user, "hash");
        op.put(Kind::User.key(&["root"]), user);
        op.put(
            Kind::Grant.key(&["bob", "db0"]),
            vec![8, 0, 0, 0, 0, 0, 0, 0, 3],
        );
        op.remove(Kind::Query.key(&["db0", "q"]));
        let mut subscription = vec![9, 0, 0, 0, 0, 0, 0, 0, 0];
        put_strings(&mut subscription, &["udp://h:1".into(), "udp://h:2".into()]);
        op.put(Kind::Subscription.key(&["db0", "rp", "s"]), subscription);
        op
    }

    #[test]
    fn the_bytes_are_these() {
        let mut op = Op::default();
        op.put(
            Kind::Grant.key(&["bob", "db0"]),
            vec![8, 0, 0, 0, 0, 0, 0, 0, 3],
        );
        op.remove(Kind::User.key(&["a"]));
        assert_eq!(
            op.encode(),
            b"\x01g\x03\0\0\0bob\x03\0\0\0db0\x08\0\0\0\0\0\0\0\x03\x02u\x01\0\0\0a"
        );
    }

    #[test]
    fn what_is_written_is_read() {
        let op = sample();
        assert_eq!(Op::decode(&op.encode()), Ok(op));
        let entries = [(Kind::Run.key(&["d", "q"]), vec![1, 2, 3, 4, 5, 6, 7, 8])];
        let written = snapshot(entries.clone().into_iter());
        let [(key, value)] = entries;
        assert_eq!(
            Op::decode(&written).unwrap().edits,
            [Edit::Clear, Edit::Put(key, value)]
        );
    }

    #[test]
    fn bytes_that_are_no_record_are_refused_or_are_another_record() {
        let bytes = sample().encode();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                if let Ok(op) = Op::decode(&changed) {
                    assert_eq!(op.encode(), changed);
                }
            }
            if let Ok(op) = Op::decode(&bytes[..at]) {
                assert_eq!(op.encode(), &bytes[..at]);
            }
        }
    }
}

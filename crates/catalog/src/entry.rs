//! Keys of entries, and the prefixes under which they are listed.
//!
//! A key is its kind and the names that it is found by, each with its length before it, so that no name
//! can reach into the next one and a prefix of whole names lists exactly what has those names.

use crate::wire::{Malformed, Reader, put_str};

/// What an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// A user, by name.
    User = b'u',
    /// What a user may do, by user and database.
    Grant = b'g',
    /// A continuous query, by database and name.
    Query = b'q',
    /// Up to where a continuous query has run, by database and name.
    Run = b'r',
    /// A subscription, by database, retention policy and name.
    Subscription = b's',
}

impl Kind {
    const ALL: [Self; 5] = [
        Self::User,
        Self::Grant,
        Self::Query,
        Self::Run,
        Self::Subscription,
    ];

    /// How many names its keys have.
    const fn names(self) -> usize {
        match self {
            Self::User => 1,
            Self::Grant | Self::Query | Self::Run => 2,
            Self::Subscription => 3,
        }
    }

    /// The key made of these names, or the prefix of all keys that begin with them.
    pub(crate) fn key(self, names: &[&str]) -> Vec<u8> {
        let mut key = vec![self as u8];
        for name in names {
            put_str(&mut key, name);
        }
        key
    }
}

/// Reads one key from the front, and gives its kind and its bytes.
pub(crate) fn take_key<'a>(reader: &mut Reader<'a>) -> Result<(Kind, &'a [u8]), Malformed> {
    let whole = reader.rest();
    let kind = reader.u8()?;
    let kind = Kind::ALL.into_iter().find(|known| *known as u8 == kind);
    let kind = kind.ok_or(Malformed)?;
    for _ in 0..kind.names() {
        reader.str()?;
    }
    let len = whole.len() - reader.rest().len();
    Ok((kind, whole.get(..len).ok_or(Malformed)?))
}

/// The names in a key of this kind.
pub(crate) fn names(key: &[u8]) -> Result<Vec<&str>, Malformed> {
    let mut reader = Reader::new(key);
    reader.u8()?;
    let mut names = Vec::with_capacity(3);
    while !reader.is_empty() {
        names.push(reader.str()?);
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_reaches_into_the_next() {
        assert_ne!(Kind::Grant.key(&["ab", "c"]), Kind::Grant.key(&["a", "bc"]));
        let key = Kind::Subscription.key(&["db", "", "a\0b"]);
        assert_eq!(names(&key), Ok(vec!["db", "", "a\0b"]));
        let prefix = Kind::Grant.key(&["a"]);
        assert!(Kind::Grant.key(&["a", "x"]).starts_with(&prefix));
        assert!(!Kind::Grant.key(&["ab", "x"]).starts_with(&prefix));
    }

    #[test]
    fn keys_that_are_none_are_refused() {
        let key = Kind::Grant.key(&["user", "db"]);
        for len in 0..key.len() {
            assert_eq!(
                take_key(&mut Reader::new(&key[..len])).err(),
                Some(Malformed)
            );
        }
        assert!(take_key(&mut Reader::new(&key)).is_ok());
        assert!(take_key(&mut Reader::new(b"x\0\0\0\0")).is_err());
        assert!(take_key(&mut Reader::new(b"u\x01\0\0\0\xff")).is_err());
    }
}

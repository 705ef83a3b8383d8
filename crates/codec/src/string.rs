//! Byte strings.
//!
//! ```text
//! 0x30 varint length, bytes        every string; the count may not be 0
//! 0x31 plain                       varint length × count, then all bytes
//! 0x32 dictionary                  byte entries - 1, varint length × entries, their bytes,
//!                                  byte index × count
//! 0x33 varint length, zstd frame   the body of 0x31, compressed
//! 0x34 varint length, zstd frame   the body of 0x32, compressed
//! ```

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::{CodecError, Effort, Input, write_varint};

const CONSTANT: u8 = 0x30;
const PLAIN: u8 = 0x31;
const DICTIONARY: u8 = 0x32;
/// Added to the id of a body that zstd compressed.
const COMPRESSED: u8 = 2;

const DICTIONARY_ENTRIES_MAX: usize = 256;
/// Bodies below this many bytes are not worth a zstd frame.
const ZSTD_LEN_MIN: usize = 48;

/// Appends a page.
pub fn encode(strings: &[&[u8]], effort: Effort, out: &mut Vec<u8>) {
    if let [first, rest @ ..] = strings
        && rest.iter().all(|string| string == first)
    {
        out.push(CONSTANT);
        write_varint(first.len() as u64, out);
        return out.extend_from_slice(first);
    }
    let (id, body) = match dictionary(strings) {
        Some(body) => (DICTIONARY, body),
        None => (PLAIN, plain(strings.iter().copied())),
    };
    let compressed = (body.len() >= ZSTD_LEN_MIN)
        .then(|| zstd::bulk::compress(&body, effort.zstd_level()).ok())
        .flatten()
        .filter(|compressed| compressed.len() + 3 < body.len());
    match compressed {
        Some(compressed) => {
            out.push(id + COMPRESSED);
            write_varint(body.len() as u64, out);
            out.extend_from_slice(&compressed);
        }
        None => {
            out.push(id);
            out.extend_from_slice(&body);
        }
    }
}

fn plain<'a>(strings: impl Iterator<Item = &'a [u8]> + Clone) -> Vec<u8> {
    let mut body = Vec::new();
    for string in strings.clone() {
        write_varint(string.len() as u64, &mut body);
    }
    for string in strings {
        body.extend_from_slice(string);
    }
    body
}

/// The body with a dictionary; `None` when there are too many different strings, or nearly all
/// are.
fn dictionary(strings: &[&[u8]]) -> Option<Vec<u8>> {
    let mut entries = Vec::new();
    let mut places = HashMap::new();
    let mut indexes = Vec::with_capacity(strings.len());
    for &string in strings {
        let index = match places.entry(string) {
            Entry::Occupied(place) => *place.get(),
            Entry::Vacant(_) if entries.len() == DICTIONARY_ENTRIES_MAX => return None,
            Entry::Vacant(place) => {
                entries.push(string);
                *place.insert(u8::try_from(entries.len() - 1).ok()?)
            }
        };
        indexes.push(index);
    }
    if entries.is_empty() || entries.len() * 2 > strings.len() {
        return None;
    }
    let mut body = vec![u8::try_from(entries.len() - 1).ok()?];
    body.append(&mut plain(entries.iter().copied()));
    body.append(&mut indexes);
    Some(body)
}

/// Hands the `count` strings of a page to `sink`, in order. They take at most `bytes_max` bytes
/// together, as do the working buffers. On an error `sink` may have got some of them.
///
/// # Errors
/// When the bytes are no such page, or its strings are longer than `bytes_max`.
pub fn decode(
    bytes: &[u8],
    count: usize,
    bytes_max: usize,
    mut sink: impl FnMut(&[u8]),
) -> Result<(), CodecError> {
    let mut input = Input::new(bytes, "page of strings");
    let id = input.u8()?;
    let inflated;
    let mut body = input;
    if id == PLAIN + COMPRESSED || id == DICTIONARY + COMPRESSED {
        // Beside the strings a body holds ten bytes of length for each at most.
        let len = input.count(bytes_max.saturating_add(count.saturating_mul(11) + 1))?;
        inflated = zstd::bulk::decompress(input.rest(), len).map_err(CodecError::Zstd)?;
        if inflated.len() != len {
            return Err(CodecError::Malformed("strings inflate to another length"));
        }
        body = Input::new(&inflated, "page of strings");
    }
    let mut left = bytes_max;
    let mut hand_out = |string: &[u8]| {
        left = left
            .checked_sub(string.len())
            .ok_or(CodecError::Malformed("strings too long"))?;
        sink(string);
        Ok(())
    };
    match id {
        CONSTANT => {
            if count == 0 {
                return Err(CodecError::Malformed("string in an empty page"));
            }
            let len = body.count(body.len())?;
            let string = body.take(len)?;
            body.end()?;
            (0..count).try_for_each(|_| hand_out(string))
        }
        PLAIN | 0x33 => {
            read_plain(&mut body, count)?
                .into_iter()
                .try_for_each(hand_out)?;
            body.end()
        }
        DICTIONARY | 0x34 => {
            let entries = usize::from(body.u8()?) + 1;
            let entries = read_plain(&mut body, entries)?;
            for &index in body.take(count)? {
                let string = entries.get(usize::from(index));
                hand_out(string.ok_or(CodecError::Malformed("no such dictionary entry"))?)?;
            }
            body.end()
        }
        id => Err(CodecError::UnknownEncoding {
            what: "strings",
            id,
        }),
    }
}

fn read_plain<'a>(body: &mut Input<'a>, count: usize) -> Result<Vec<&'a [u8]>, CodecError> {
    if count > body.len() {
        return Err(body.short());
    }
    let mut lens = *body;
    for _ in 0..count {
        body.varint()?;
    }
    let mut strings = Vec::with_capacity(count);
    for _ in 0..count {
        let len = lens.count(body.len())?;
        strings.push(body.take(len)?);
    }
    Ok(strings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode_all(bytes: &[u8], count: usize, max: usize) -> Result<Vec<Vec<u8>>, CodecError> {
        let mut strings = Vec::new();
        decode(bytes, count, max, |string| strings.push(string.to_vec()))?;
        Ok(strings)
    }

    fn check(strings: &[&[u8]]) -> usize {
        let total = strings.iter().map(|string| string.len()).sum();
        for effort in [Effort::Hot, Effort::Cold] {
            let mut bytes = Vec::new();
            encode(strings, effort, &mut bytes);
            assert_eq!(decode_all(&bytes, strings.len(), total).unwrap(), strings);
            if total > 0 {
                assert!(decode_all(&bytes, strings.len(), total - 1).is_err());
            }
        }
        let mut bytes = Vec::new();
        encode(strings, Effort::Cold, &mut bytes);
        bytes.len()
    }

    proptest! {
        #[test]
        fn any_strings(
            strings in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 0..300),
        ) {
            let strings: Vec<&[u8]> = strings.iter().map(Vec::as_slice).collect();
            check(&strings);
        }

        #[test]
        fn few_different_strings(
            words in proptest::collection::vec("[a-z]{0,40}", 1..9),
            picks in proptest::collection::vec(any::<proptest::sample::Index>(), 0..500),
        ) {
            let strings: Vec<&[u8]> = picks.iter().map(|pick| pick.get(&words).as_bytes()).collect();
            check(&strings);
        }

        #[test]
        fn any_bytes_are_refused_or_taken(
            bytes in proptest::collection::vec(any::<u8>(), 0..60),
            id in 0x2f..0x36_u8,
            count in 0..50_usize,
        ) {
            let bytes = [vec![id], bytes].concat();
            if let Ok(strings) = decode_all(&bytes, count, 100) {
                prop_assert_eq!(strings.len(), count);
                prop_assert!(strings.iter().map(Vec::len).sum::<usize>() <= 100);
            }
        }

        #[test]
        fn damaged_pages_are_refused_or_taken(
            words in proptest::collection::vec("[a-c]{0,9}", 20..200),
            at: proptest::sample::Index,
            flip in 1..=u8::MAX,
        ) {
            let strings: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
            let mut bytes = Vec::new();
            encode(&strings, Effort::Hot, &mut bytes);
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            let _ = decode_all(&bytes, strings.len(), 2_000);
        }
    }

    #[test]
    fn an_empty_page_round_trips() {
        check(&[]);
    }

    #[test]
    fn repeated_strings_are_small() {
        assert!(check(&[b"running".as_slice(); 2048]) <= 10);
        let states: Vec<&[u8]> = (0..2048)
            .map(|at| {
                if at % 500 < 490 {
                    b"running".as_slice()
                } else {
                    b"restarting"
                }
            })
            .collect();
        assert!(check(&states) <= 120, "{}", check(&states));
    }

    #[test]
    fn a_small_page_cannot_ask_for_much() {
        let body = zstd::bulk::compress(&vec![0; 1 << 24], 1).unwrap();
        let mut bytes = vec![PLAIN + COMPRESSED];
        write_varint(1 << 24, &mut bytes);
        bytes.extend_from_slice(&body);
        assert!(decode_all(&bytes, 100, 1000).is_err());
    }
}

//! Masks: which rows of a page have a value.
//!
//! ```text
//! 0x40                       every row
//! 0x41 byte × ⌈rows / 8⌉     bitmap, lowest bit first, bits past the end zero
//! 0x42 varint …              lengths of alternating runs, written first (the first may be 0,
//!                            no other), until the rows are full
//! ```

use crate::{CodecError, Input, write_varint};

const ALL: u8 = 0x40;
const BITMAP: u8 = 0x41;
const RUNS: u8 = 0x42;

/// Appends the mask of `rows` rows. `words` holds the bits, lowest first; those past `rows` are
/// not looked at. Panics when `words` holds fewer.
pub fn encode(words: &[u64], rows: usize, out: &mut Vec<u8>) {
    if first_run(words, rows, 0, true) == rows {
        return out.push(ALL);
    }
    let start = out.len();
    out.push(RUNS);
    let bitmap_len = rows.div_ceil(8);
    for run in runs(words, rows) {
        write_varint(run as u64, out);
        if out.len() - start > bitmap_len {
            out.truncate(start);
            return encode_bitmap(BITMAP, words, rows, out);
        }
    }
}

/// Takes the mask of `rows` rows from the front of `input`: its words, lowest bit first, or
/// `None` when every row is written.
///
/// # Errors
/// When the bytes are no such mask.
pub fn decode(input: &mut Input<'_>, rows: usize) -> Result<Option<Vec<u64>>, CodecError> {
    match input.u8()? {
        ALL => Ok(None),
        BITMAP => decode_bitmap(input, rows).map(Some),
        RUNS => decode_runs(input, rows).map(Some),
        id => Err(CodecError::UnknownEncoding { what: "mask", id }),
    }
}

pub(crate) fn encode_bitmap(id: u8, words: &[u64], rows: usize, out: &mut Vec<u8>) {
    out.push(id);
    let bytes = words.iter().flat_map(|word| word.to_le_bytes());
    out.extend(bytes.take(rows.div_ceil(8)));
    if let (Some(last), 1..) = (out.last_mut(), rows % 8) {
        *last &= (1 << (rows % 8)) - 1;
    }
}

pub(crate) fn decode_bitmap(input: &mut Input<'_>, rows: usize) -> Result<Vec<u64>, CodecError> {
    let bytes = input.take(rows.div_ceil(8))?;
    if let (Some(last), 1..) = (bytes.last(), rows % 8)
        && last >> (rows % 8) != 0
    {
        return Err(CodecError::Malformed("bits past the end of a bitmap"));
    }
    let mut words = vec![0; rows.div_ceil(64)];
    for (at, &byte) in bytes.iter().enumerate() {
        words[at / 8] |= u64::from(byte) << (at % 8 * 8);
    }
    Ok(words)
}

/// Takes alternating run lengths, set first.
pub(crate) fn decode_runs(input: &mut Input<'_>, rows: usize) -> Result<Vec<u64>, CodecError> {
    let mut words = vec![0; rows.div_ceil(64)];
    let (mut row, mut bit) = (0, true);
    loop {
        let run = input.count(rows - row)?;
        if run == 0 && row > 0 {
            return Err(CodecError::Malformed("empty run"));
        }
        if bit {
            set_range(&mut words, row, row + run);
        }
        row += run;
        bit = !bit;
        if row == rows {
            return Ok(words);
        }
    }
}

/// The lengths of alternating runs, set first.
pub(crate) fn runs(words: &[u64], rows: usize) -> impl Iterator<Item = usize> {
    let mut next = Some((0, true));
    std::iter::from_fn(move || {
        let (row, bit) = next?;
        let run = first_run(words, rows, row, bit);
        next = (row + run < rows).then_some((row + run, !bit));
        Some(run)
    })
}

/// How many bits from `row` on equal `bit`.
fn first_run(words: &[u64], rows: usize, row: usize, bit: bool) -> usize {
    let mut at = row;
    while at < rows {
        let word = if bit { !words[at / 64] } else { words[at / 64] };
        let differs = word >> (at % 64);
        if differs != 0 {
            at += differs.trailing_zeros() as usize;
            break;
        }
        at = (at / 64 + 1) * 64;
    }
    at.min(rows) - row
}

/// Sets bits `start..end`.
fn set_range(words: &mut [u64], start: usize, end: usize) {
    let mut at = start;
    while at < end {
        let stop = ((at / 64 + 1) * 64).min(end);
        let len = stop - at;
        let ones = if len == 64 { u64::MAX } else { (1 << len) - 1 };
        words[at / 64] |= ones << (at % 64);
        at = stop;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words_of(bits: &[bool]) -> Vec<u64> {
        let mut words = vec![0; bits.len().div_ceil(64)];
        for (at, _) in bits.iter().enumerate().filter(|(_, bit)| **bit) {
            words[at / 64] |= 1 << (at % 64);
        }
        words
    }

    fn check(bits: &[bool]) -> usize {
        let words = words_of(bits);
        let mut out = Vec::new();
        encode(&words, bits.len(), &mut out);
        let mut input = Input::new(&out, "test");
        let back = decode(&mut input, bits.len()).unwrap();
        assert!(input.is_empty());
        let all = bits.iter().all(|bit| *bit);
        assert_eq!(back, (!all).then_some(words));
        out.len()
    }

    proptest! {
        #[test]
        fn any_bits_round_trip(bits in proptest::collection::vec(any::<bool>(), 0..300)) {
            check(&bits);
        }

        #[test]
        fn runs_round_trip(lens in proptest::collection::vec(1..200_usize, 0..20), first: bool) {
            let bits: Vec<bool> = lens
                .iter()
                .enumerate()
                .flat_map(|(at, len)| std::iter::repeat_n(first ^ (at % 2 == 1), *len))
                .collect();
            check(&bits);
        }

        #[test]
        fn any_bytes_are_refused_or_taken(
            bytes in proptest::collection::vec(any::<u8>(), 0..40),
            id in 0x40..0x44_u8,
            rows in 0..200_usize,
        ) {
            let bytes = [vec![id], bytes].concat();
            if let Ok(Some(words)) = decode(&mut Input::new(&bytes, "test"), rows) {
                prop_assert_eq!(words.len(), rows.div_ceil(64));
                if !rows.is_multiple_of(64) {
                    prop_assert_eq!(words[rows / 64] >> (rows % 64), 0);
                }
            }
        }
    }

    #[test]
    fn uniform_masks_cost_next_to_nothing() {
        assert_eq!(check(&[true; 2048]), 1);
        assert!(check(&[false; 2048]) <= 4);
        let mut halves = [true; 2048];
        halves[1000..].fill(false);
        assert!(check(&halves) <= 5);
        let alternating: Vec<bool> = (0..2048).map(|at| at % 2 == 0).collect();
        assert_eq!(check(&alternating), 1 + 256);
    }
}

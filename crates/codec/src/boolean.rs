//! Booleans.
//!
//! ```text
//! 0x20                        all false
//! 0x21                        all true
//! 0x22 byte × ⌈count / 8⌉     bitmap, lowest bit first, bits past the end zero
//! 0x23 varint …               lengths of alternating runs, true first (the first may be 0, no
//!                             other), until the count is full
//! ```

use crate::{CodecError, Input, mask, write_varint};

const ALL_FALSE: u8 = 0x20;
const ALL_TRUE: u8 = 0x21;
const BITMAP: u8 = 0x22;
const RUNS: u8 = 0x23;

/// Appends a page.
pub fn encode(values: &[bool], out: &mut Vec<u8>) {
    if !values.contains(&true) {
        return out.push(ALL_FALSE);
    }
    if !values.contains(&false) {
        return out.push(ALL_TRUE);
    }
    let mut words = vec![0_u64; values.len().div_ceil(64)];
    for (at, &value) in values.iter().enumerate() {
        words[at / 64] |= u64::from(value) << (at % 64);
    }
    let start = out.len();
    out.push(RUNS);
    for run in mask::runs(&words, values.len()) {
        write_varint(run as u64, out);
        if out.len() - start > values.len().div_ceil(8) {
            out.truncate(start);
            return mask::encode_bitmap(BITMAP, &words, values.len(), out);
        }
    }
}

/// Appends the `count` values of a page to `out`, which is left as it was on an error.
///
/// # Errors
/// When the bytes are no such page.
pub fn decode(bytes: &[u8], count: usize, out: &mut Vec<bool>) -> Result<(), CodecError> {
    let mut input = Input::new(bytes, "page of booleans");
    let words = match input.u8()? {
        ALL_FALSE => None,
        ALL_TRUE => {
            input.end()?;
            out.resize(out.len() + count, true);
            return Ok(());
        }
        BITMAP => Some(mask::decode_bitmap(&mut input, count)?),
        RUNS => Some(mask::decode_runs(&mut input, count)?),
        id => {
            let what = "booleans";
            return Err(CodecError::UnknownEncoding { what, id });
        }
    };
    input.end()?;
    match words {
        None => out.resize(out.len() + count, false),
        Some(words) => out.extend((0..count).map(|at| words[at / 64] >> (at % 64) & 1 == 1)),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(values: &[bool]) -> usize {
        let mut bytes = Vec::new();
        encode(values, &mut bytes);
        let mut back = vec![true];
        decode(&bytes, values.len(), &mut back).unwrap();
        assert_eq!(&back[1..], values);
        bytes.len()
    }

    proptest! {
        #[test]
        fn any_values_round_trip(values in proptest::collection::vec(any::<bool>(), 0..300)) {
            check(&values);
        }

        #[test]
        fn any_bytes_are_refused_or_taken(
            bytes in proptest::collection::vec(any::<u8>(), 0..40),
            id in 0x1f..0x25_u8,
            count in 0..200_usize,
        ) {
            let bytes = [vec![id], bytes].concat();
            let mut out = Vec::new();
            let ok = decode(&bytes, count, &mut out).is_ok();
            prop_assert_eq!(out.len(), if ok { count } else { 0 });
        }
    }

    #[test]
    fn the_smallest_encoding_is_taken() {
        assert_eq!(check(&[true; 1000]), 1);
        assert_eq!(check(&[false; 1000]), 1);
        let mut once = [false; 2000];
        once[77] = true;
        assert!(check(&once) <= 6);
        let alternating: Vec<bool> = (0..800).map(|at| at % 2 == 0).collect();
        assert_eq!(check(&alternating), 101);
    }
}

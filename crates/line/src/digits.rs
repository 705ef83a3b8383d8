//! Runs of decimal digits, eight bytes at a time.
//!
//! Most numbers of a line have two to eight digits, and how many differs from one to the next. A loop
//! over bytes mispredicts its end nearly every time; here eight bytes are looked at as one word, and only
//! longer runs take a branch. The byte-wise loop is kept for ends of lines, and as the oracle in tests.

const ZEROS: u64 = u64::from_le_bytes([b'0'; 8]);
/// Added to a digit's value, stays below 128; added to 10 or more, does not.
const TO_TOP_BIT: u64 = u64::from_le_bytes([0x76; 8]);
const TOP_BITS: u64 = u64::from_le_bytes([0x80; 8]);
const POWERS_OF_TEN: [u64; 9] = [
    1,
    10,
    100,
    1_000,
    10_000,
    100_000,
    1_000_000,
    10_000_000,
    100_000_000,
];

/// Reads digits at `at` onto `mantissa`, which wraps when there are too many; gives it and the
/// position of the first other byte.
#[inline]
pub(crate) fn digits(text: &[u8], mut at: usize, mut mantissa: u64) -> (u64, usize) {
    while let Some(eight) = text.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let (value, count) = leading(u64::from_le_bytes(*eight));
        mantissa = mantissa
            .wrapping_mul(POWERS_OF_TEN[count])
            .wrapping_add(value);
        at += count;
        if count < 8 {
            return (mantissa, at);
        }
    }
    bytewise(text, at, mantissa)
}

/// Value and number of the digits that eight bytes, little-endian, start with.
#[inline]
fn leading(bytes: u64) -> (u64, usize) {
    let values = bytes ^ ZEROS;
    // A byte that is no digit may carry into those behind it, which do not count.
    let others = (values.wrapping_add(TO_TOP_BIT) | values) & TOP_BITS;
    let bits = others.trailing_zeros() & !7;
    // Zeros come before, so that the last digit is in the last byte. Shifted in two steps, since 64 is too far.
    let values = values << ((64 - bits) / 2) << ((64 - bits).div_ceil(2));
    // Neighbours become numbers of two digits, these of four, these of eight.
    let pairs = values.wrapping_mul(10).wrapping_add(values >> 8);
    let (low, high) = (
        pairs & 0x0000_00FF_0000_00FF,
        pairs >> 16 & 0x0000_00FF_0000_00FF,
    );
    let value = low
        .wrapping_mul(100 + (1_000_000 << 32))
        .wrapping_add(high.wrapping_mul(1 + (10_000 << 32)))
        >> 32;
    (value, bits as usize / 8)
}

/// The same as [`digits`], byte after byte.
#[inline]
fn bytewise(text: &[u8], mut at: usize, mut mantissa: u64) -> (u64, usize) {
    while let Some(byte) = text.get(at) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
        at += 1;
    }
    (mantissa, at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn any_byte_may_end_a_run_of_any_length() {
        for count in 0..=8 {
            for end in 0..=u8::MAX {
                let mut text = *b"9081726354";
                text[count] = end;
                for before in [0, 7] {
                    assert_eq!(
                        digits(&text, 0, before),
                        bytewise(&text, 0, before),
                        "{count} {end}"
                    );
                }
            }
        }
    }

    proptest! {
        #[test]
        fn both_ways_agree(text in "[0-9]{0,22}[^0-9]{0,2}[0-9]{0,9}", at in 0_usize..4, mantissa: u64) {
            let text = text.as_bytes();
            prop_assert_eq!(digits(text, at, mantissa), bytewise(text, at, mantissa));
        }

        #[test]
        fn both_ways_agree_on_noise(text: Vec<u8>, at in 0_usize..4) {
            prop_assert_eq!(digits(&text, at, 0), bytewise(&text, at, 0));
        }
    }
}

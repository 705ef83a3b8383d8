//! Any bytes to every decoder: an error, or as many values as were asked for; and what the encoders
//! make of any values comes back bit for bit. Pages that were encoded and then damaged go to the
//! decoders too, so that no seeds are needed to come to the inner parts.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use tandem_codec::{Effort, Input, boolean, mask, number, string, time};

/// More than a page ever has.
const ROWS_MAX: usize = 2_500;
const STRING_BYTES_MAX: usize = 1 << 16;

fuzz_target!(|data: &[u8]| {
    let [kind, low, high, meta_len, rest @ ..] = data else {
        return;
    };
    let count = usize::from(u16::from_le_bytes([*low, *high])) % ROWS_MAX;
    let (meta, page) = rest.split_at(usize::from(*meta_len).min(rest.len()));
    let effort = if kind & 0x80 == 0 {
        Effort::Hot
    } else {
        Effort::Cold
    };
    match kind % 10 {
        0 => decode_numbers::<f64>(meta, page, count),
        1 => decode_numbers::<i64>(meta, page, count),
        2 => decode_numbers::<u64>(meta, page, count),
        3 => decode_times(meta, page, count),
        4 => {
            let mut out = Vec::new();
            let done = boolean::decode(page, count, &mut out);
            assert!(done.is_err() || out.len() == count);
        }
        5 => {
            let (mut strings, mut bytes) = (0, 0);
            let done = string::decode(page, count, STRING_BYTES_MAX, |s| {
                strings += 1;
                bytes += s.len();
            });
            assert!(done.is_err() || strings == count);
            assert!(bytes <= STRING_BYTES_MAX);
        }
        6 => {
            let mut input = Input::new(page, "mask");
            if let Ok(Some(words)) = mask::decode(&mut input, count) {
                assert_eq!(words.len(), count.div_ceil(64));
            }
        }
        7 => round_trip_floats(&words(rest), effort, [*low, *high, *meta_len]),
        8 => round_trip_times(&words(rest), effort, [*low, *high, *meta_len]),
        _ => round_trip_others(rest, effort),
    }
});

fn decode_numbers<T: number::Number>(meta: &[u8], page: &[u8], count: usize) {
    let Ok(decoder) = number::Decoder::<T>::new(meta) else {
        return;
    };
    let mut out = Vec::new();
    let done = with_scratch(|scratch| decoder.read_page(page, count, scratch, &mut out));
    assert_eq!(out.len(), if done.is_ok() { count } else { 0 });
}

fn decode_times(meta: &[u8], page: &[u8], count: usize) {
    let Ok(decoder) = time::Decoder::new(meta) else {
        return;
    };
    let mut out = Vec::new();
    let done = with_scratch(|scratch| decoder.read_page(page, count, scratch, &mut out));
    assert_eq!(out.len(), if done.is_ok() { count } else { 0 });
}

fn words(data: &[u8]) -> Vec<u64> {
    let whole = data.chunks_exact(8);
    whole
        .map(|bytes| {
            bytes
                .iter()
                .fold(0, |word, byte| word << 8 | u64::from(*byte))
        })
        .take(ROWS_MAX)
        .collect()
}

fn round_trip_floats(words: &[u64], effort: Effort, damage: [u8; 3]) {
    let floats: Vec<f64> = words.iter().map(|bits| f64::from_bits(*bits)).collect();
    let counts = halves(floats.len());
    let mut encoder = number::Encoder::new(&floats, &counts, effort);
    let mut meta = Vec::new();
    encoder.write_meta(&mut meta);
    let decoder = number::Decoder::<f64>::new(&meta).expect("what was encoded");
    let mut back: Vec<f64> = Vec::new();
    for (page, count) in counts.iter().enumerate() {
        let mut bytes = Vec::new();
        encoder.write_page(page, &mut bytes);
        with_scratch(|scratch| decoder.read_page(&bytes, *count, scratch, &mut back))
            .expect("what was encoded");
        decode_numbers::<f64>(&damaged(&meta, damage), &bytes, *count);
        decode_numbers::<f64>(&meta, &damaged(&bytes, damage), *count);
    }
    let bits: Vec<u64> = back.iter().map(|value| value.to_bits()).collect();
    assert_eq!(bits, words);
}

fn round_trip_times(words: &[u64], effort: Effort, damage: [u8; 3]) {
    let times: Vec<i64> = words.iter().map(|word| *word as i64).collect();
    let counts = halves(times.len());
    let mut encoder = time::Encoder::new(&times, &counts, effort);
    let mut meta = Vec::new();
    encoder.write_meta(&mut meta);
    let decoder = time::Decoder::new(&meta).expect("what was encoded");
    let mut back = Vec::new();
    for (page, count) in counts.iter().enumerate() {
        let mut bytes = Vec::new();
        encoder.write_page(page, &mut bytes);
        with_scratch(|scratch| decoder.read_page(&bytes, *count, scratch, &mut back))
            .expect("what was encoded");
        decode_times(&damaged(&meta, damage), &bytes, *count);
        decode_times(&meta, &damaged(&bytes, damage), *count);
    }
    assert_eq!(back, times);
}

/// The pages of so many values.
fn halves(values: usize) -> [usize; 2] {
    [values / 2, values - values / 2]
}

/// The working memory of decoding, used again as readers do.
fn with_scratch<T>(work: impl FnOnce(&mut number::Scratch) -> T) -> T {
    thread_local! {
        static SCRATCH: RefCell<number::Scratch> = RefCell::default();
    }
    SCRATCH.with_borrow_mut(work)
}

/// `bytes` with one of them changed.
fn damaged(bytes: &[u8], [low, high, change]: [u8; 3]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = usize::from(u16::from_le_bytes([low, high])) % bytes.len().max(1);
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= change;
    }
    bytes
}

fn round_trip_others(data: &[u8], effort: Effort) {
    let flags: Vec<bool> = data
        .iter()
        .take(ROWS_MAX)
        .map(|byte| byte & 1 == 1)
        .collect();
    let mut bytes = Vec::new();
    boolean::encode(&flags, &mut bytes);
    let mut back = Vec::new();
    boolean::decode(&bytes, flags.len(), &mut back).expect("what was encoded");
    assert_eq!(back, flags);

    let strings: Vec<&[u8]> = data.split(|byte| *byte == b' ').take(ROWS_MAX).collect();
    let mut bytes = Vec::new();
    string::encode(&strings, effort, &mut bytes);
    let mut back: Vec<Vec<u8>> = Vec::new();
    string::decode(&bytes, strings.len(), 1 << 20, |s| back.push(s.to_vec()))
        .expect("what was encoded");
    assert_eq!(back, strings);
}

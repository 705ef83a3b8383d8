//! Numbers of every kind come back bit for bit, and damage is an error.

use super::*;
use proptest::prelude::*;

/// Encodes, decodes in reverse order of pages, compares bits; the bytes of metadata and pages.
fn check<T: Number>(values: &[T], counts: &[usize], effort: Effort) -> usize {
    let mut encoder = Encoder::new(values, counts, effort);
    let mut meta = Vec::new();
    encoder.write_meta(&mut meta);
    let decoder = Decoder::<T>::new(&meta).unwrap();
    let mut scratch = Scratch::default();
    let mut len = meta.len();
    for (at, page) in split(values, counts).into_iter().enumerate().rev() {
        let mut bytes = Vec::new();
        encoder.write_page(at, &mut bytes);
        let mut back = vec![T::default()];
        decoder
            .read_page(&bytes, page.len(), &mut scratch, &mut back)
            .unwrap();
        assert_eq!(back.len(), page.len() + 1);
        assert!(back[1..].iter().zip(page).all(|(a, b)| a.same(*b)));
        len += bytes.len();
    }
    len
}

fn counts(len: usize, page: usize) -> Vec<usize> {
    let mut counts = vec![page; len / page];
    if !len.is_multiple_of(page) {
        counts.push(len % page);
    }
    counts
}

fn effort() -> impl Strategy<Value = Effort> {
    prop_oneof![Just(Effort::Hot), Just(Effort::Cold)]
}

proptest! {
    #[test]
    fn any_integers(
        values in proptest::collection::vec(any::<i64>(), 0..600),
        page in 1..200_usize,
        effort in effort(),
    ) {
        check(&values, &counts(values.len(), page), effort);
    }

    #[test]
    fn small_unsigned(
        values in proptest::collection::vec(0..100_u64, 0..600),
        base: u64,
        page in 1..200_usize,
        effort in effort(),
    ) {
        let values: Vec<u64> = values.iter().map(|v| base.wrapping_add(*v)).collect();
        check(&values, &counts(values.len(), page), effort);
    }

    #[test]
    fn any_bits_as_floats(
        bits in proptest::collection::vec(any::<u64>(), 0..600),
        page in 1..200_usize,
        effort in effort(),
    ) {
        let values: Vec<f64> = bits.into_iter().map(f64::from_bits).collect();
        check(&values, &counts(values.len(), page), effort);
    }

    #[test]
    fn decimal_floats_among_odd_ones(
        cents in proptest::collection::vec((-20_000..20_000_i32, 0..40_u8), 0..600),
        page in 1..200_usize,
        effort in effort(),
    ) {
        let odd = [-0.0, 0.0, f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY,
            f64::MIN_POSITIVE / 2.0, f64::MAX, f64::from_bits(0x7ff0_0000_0000_0001)];
        let values: Vec<f64> = cents
            .into_iter()
            .map(|(cents, pick)| {
                odd.get(usize::from(pick)).copied().unwrap_or(f64::from(cents) / 100.0)
            })
            .collect();
        check(&values, &counts(values.len(), page), effort);
    }

    #[test]
    fn any_bytes_are_refused_or_taken(
        meta in proptest::collection::vec(any::<u8>(), 0..80),
        page in proptest::collection::vec(any::<u8>(), 0..80),
        id in 0..5_u8,
        count in 0..600_usize,
    ) {
        let meta = [vec![META_PCO, 4], meta].concat();
        let page = [vec![id], page].concat();
        let mut out = Vec::new();
        for meta in [vec![META_NONE], meta] {
            if let Ok(decoder) = Decoder::<f64>::new(&meta) {
                let ok = decoder.read_page(&page, count, &mut Scratch::default(), &mut out).is_ok();
                prop_assert_eq!(out.len(), if ok { count } else { 0 });
                out.clear();
            }
        }
    }

    /// Bytes that are nearly right get deeper into a decoder than random ones.
    #[test]
    fn damaged_bytes_are_refused_or_taken(
        walk in proptest::collection::vec(-3..4_i64, 60..400),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
        in_meta: bool,
        cut in proptest::option::of(any::<proptest::sample::Index>()),
        count in 0..500_usize,
    ) {
        let values: Vec<i64> = walk.iter().scan(0, |at, step| { *at += step; Some(*at) }).collect();
        let mut encoder = Encoder::new(&values, &[values.len()], Effort::Hot);
        let (mut meta, mut page) = (Vec::new(), Vec::new());
        encoder.write_meta(&mut meta);
        encoder.write_page(0, &mut page);
        let target = if in_meta { &mut meta } else { &mut page };
        for (at, byte) in damage {
            let at = at.index(target.len());
            target[at] ^= byte;
        }
        if let Some(cut) = cut {
            target.truncate(cut.index(target.len()));
        }
        if let Ok(decoder) = Decoder::<i64>::new(&meta) {
            let mut out = Vec::new();
            for count in [count, values.len()] {
                out.clear();
                let ok = decoder.read_page(&page, count, &mut Scratch::default(), &mut out).is_ok();
                prop_assert_eq!(out.len(), if ok { count } else { 0 });
            }
        }
    }
}

#[test]
fn constant_columns_cost_next_to_nothing() {
    let counts = [2048; 10];
    assert!(check(&[42_i64; 20_480], &counts, Effort::Hot) <= 1 + 10 * 3);
    assert!(check(&[f64::NAN; 20_480], &counts, Effort::Hot) <= 1 + 10 * 9);
    assert!(check(&[u64::MAX; 20_480], &counts, Effort::Hot) <= 1 + 10 * 2);
}

#[test]
fn constant_pages_between_others() {
    let mut values = vec![7_i64; 300];
    values[100..200].copy_from_slice(&(0..100).map(|n| n * n % 37).collect::<Vec<_>>());
    check(&values, &[100, 100, 100], Effort::Cold);
    check(&values, &[0, 100, 100, 0, 100], Effort::Cold);
}

#[test]
fn few_values_have_no_metadata() {
    assert!(check(&[1_i64, 2, 3, 5], &[4], Effort::Cold) <= 6);
}

#[test]
fn random_walks_are_small() {
    let mut state = 1_u64;
    let mut at = 50_i64;
    let walk: Vec<i64> = (0..20_480)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            at += [0, 0, 1, -1][(state >> 62) as usize];
            at
        })
        .collect();
    let len = check(&walk, &[2048; 10], Effort::Cold);
    assert!(len < 20_480 / 4, "{len} bytes");
}

#[test]
fn a_dictionary_is_refused_before_it_is_allocated() {
    let mut meta = vec![META_PCO];
    FileCompressor::default().write_header(&mut meta).unwrap();
    meta.extend([PCO_MODE_DICTIONARY | 0xf0, 0xff, 0xff, 0x1f, 0, 0]);
    assert!(matches!(
        Decoder::<i64>::new(&meta),
        Err(CodecError::Malformed("pco dictionary mode"))
    ));
}

//! Bytes that were written once decode for ever; those of our own encodings are also written the
//! same way, because the byte maps in the documentation say so.

use tandem_codec::number::{self, Scratch};
use tandem_codec::{Effort, Input, boolean, mask, string, time};

#[test]
fn times() {
    let mut encoder = time::Encoder::new(&[10, 20, 30, 5, 15], &[5], Effort::Cold);
    let (mut meta, mut page) = (Vec::new(), Vec::new());
    encoder.write_meta(&mut meta);
    encoder.write_page(0, &mut page);
    assert_eq!(meta, [0x00]);
    // Two runs: 3 from 10 by 10; 2 from 5 by 10.
    assert_eq!(page, [0x10, 2, 20, 20, 6, 9, 0, 1]);
}

#[test]
fn masks() {
    let check = |words: &[u64], rows, expected: &[u8]| {
        let mut out = Vec::new();
        mask::encode(words, rows, &mut out);
        assert_eq!(out, expected);
        assert!(mask::decode(&mut Input::new(&out, "mask"), rows).is_ok());
    };
    check(&[u64::MAX], 40, &[0x40]);
    check(&[0b1010_0101], 10, &[0x41, 0b1010_0101, 0]);
    check(&[0b1111], 40, &[0x42, 4, 36]);
    check(&[!0b1111], 40, &[0x42, 0, 4, 36]);
}

#[test]
fn booleans() {
    let check = |values: &[bool], expected: &[u8]| {
        let mut out = Vec::new();
        boolean::encode(values, &mut out);
        assert_eq!(out, expected);
    };
    check(&[false; 9], &[0x20]);
    check(&[true; 9], &[0x21]);
    check(&[true, false, true], &[0x22, 0b101]);
    let mut late = [false; 300];
    late[299] = true;
    check(&late, &[0x23, 0, 0xab, 2, 1]);
}

#[test]
fn strings() {
    let check = |strings: &[&[u8]], expected: &[u8]| {
        let mut out = Vec::new();
        string::encode(strings, Effort::Cold, &mut out);
        assert_eq!(out, expected);
    };
    check(&[b"up", b"up"], b"\x30\x02up");
    check(&[b"up", b"", b"down"], b"\x31\x02\x00\x04updown");
    check(
        &[b"b", b"aa", b"b", b"b"],
        b"\x32\x01\x01\x02baa\x00\x01\x00\x00",
    );
    // "abc" sixty-four times and one "d", as zstd wrote it.
    let frame = include_bytes!("golden/strings.zst");
    let mut found = Vec::new();
    string::decode(frame, 65, 1000, |string| found.push(string.to_vec())).unwrap();
    let mut expected = vec![b"abc".to_vec(); 64];
    expected.push(b"d".to_vec());
    assert_eq!(found, expected);
}

#[test]
fn plain_numbers() {
    let mut page = Vec::new();
    number::Encoder::new(&[7_i64, 7], &[2], Effort::Hot).write_page(0, &mut page);
    assert_eq!(page, [0x01, 14]);
    page.clear();
    number::Encoder::new(&[7_u64, 5], &[2], Effort::Hot).write_page(0, &mut page);
    assert_eq!(page, [0x02, 14, 3]);
    page.clear();
    number::Encoder::new(&[1.0, -0.0], &[2], Effort::Hot).write_page(0, &mut page);
    assert_eq!(
        page,
        [
            0x02, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0x80
        ]
    );
}

/// What the files hold: 200 numbers on two pages.
fn numbers() -> Vec<i64> {
    (0..200).map(|n| n * n % 97 + n * 1000).collect()
}

#[test]
fn pco_integers() {
    let meta = include_bytes!("golden/integers.meta");
    let pages = [
        &include_bytes!("golden/integers.page0")[..],
        include_bytes!("golden/integers.page1"),
    ];
    let decoder = number::Decoder::<i64>::new(meta).unwrap();
    let mut found = Vec::new();
    for (page, count) in pages.into_iter().zip([150, 50]) {
        decoder
            .read_page(page, count, &mut Scratch::default(), &mut found)
            .unwrap();
    }
    assert_eq!(found, numbers());
}

#[test]
fn pco_floats() {
    let meta = include_bytes!("golden/floats.meta");
    let page = include_bytes!("golden/floats.page0");
    let decoder = number::Decoder::<f64>::new(meta).unwrap();
    let mut found = Vec::new();
    decoder
        .read_page(page, 200, &mut Scratch::default(), &mut found)
        .unwrap();
    let expected = numbers().into_iter().map(|n| n as f64 / 100.0);
    assert!(
        found
            .iter()
            .map(|v| v.to_bits())
            .eq(expected.map(f64::to_bits))
    );
}

//! The targets hold for noise, in builds that compare checksums too.

use tandem_testkit::Rng;

use super::{block, block_samples, index, index_samples, list, manifest, wal};

#[test]
fn targets_take_noise() {
    let (blocks, segments) = (block_samples(), index_samples());
    let mut rng = Rng::new(5);
    for round in 0..300_u16 {
        let mut input = rng.bytes(usize::from(round));
        for which in [0xfd, 0xfe, 0xff, round as u8 % 8] {
            if let Some(first) = input.first_mut() {
                *first = which;
            }
            block(&blocks, &input);
            index(&segments, &input);
        }
        wal(&input);
        manifest(&input);
        list(&input);
    }
}

#[test]
fn samples_are_whole() {
    for sample in 0..block_samples().len() as u8 {
        block(&block_samples(), &[sample]);
    }
    for sample in 0..index_samples().len() as u8 {
        index(&index_samples(), &[sample]);
    }
}

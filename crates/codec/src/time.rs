//! Timestamps: one page after another of nanoseconds, in any order, usually evenly spaced.
//!
//! ```text
//! chunk metadata   that of integers
//! page             0x10 varint runs, then for each
//!                       zigzag start, zigzag step, zigzag rows
//!                  0x02, 0x03: as integers
//! ```
//!
//! A run is a row of times with one step between them, so that a page costs a few bytes whether it
//! holds one series or many that begin together. Each of the three is the difference to the run
//! before (wrapping; the first: to 0). Steps may be zero or negative.

use crate::number::{self, Decoder as NumberDecoder, Encoder as NumberEncoder, Scratch};
use crate::{CodecError, Effort, Input, write_varint, write_zigzag};

const RUNS: u8 = 0x10;

/// A page is written as runs when they take at most a byte for so many rows.
const ROWS_PER_RUN_BYTE_MIN: usize = 8;

/// Encodes the pages of one chunk.
#[derive(Debug)]
pub struct Encoder<'a> {
    pages: Vec<Page>,
    numbers: NumberEncoder<'a, i64>,
}

#[derive(Debug)]
enum Page {
    Runs(Vec<u8>),
    /// The place among the pages that are written as integers.
    Numbers(usize),
}

impl<'a> Encoder<'a> {
    /// Learns the chunk whose pages hold `counts` times each, which together are `times_ns`: at
    /// most 2^24 of them. Panics when they are not.
    #[must_use]
    pub fn new(times_ns: &'a [i64], counts: &[usize], effort: Effort) -> Self {
        let mut pages = Vec::with_capacity(counts.len());
        let mut others = Vec::new();
        for page in number::split(times_ns, counts) {
            pages.push(match runs(page) {
                Some(bytes) => Page::Runs(bytes),
                None => {
                    others.push(page);
                    Page::Numbers(others.len() - 1)
                }
            });
        }
        let numbers = NumberEncoder::of_pages(others, effort);
        Self { pages, numbers }
    }

    /// Appends the chunk's metadata.
    pub fn write_meta(&self, out: &mut Vec<u8>) {
        self.numbers.write_meta(out);
    }

    /// Appends page `page`. Panics when there is none.
    pub fn write_page(&mut self, page: usize, out: &mut Vec<u8>) {
        match &self.pages[page] {
            Page::Runs(bytes) => out.extend_from_slice(bytes),
            Page::Numbers(place) => self.numbers.write_page(*place, out),
        }
    }
}

/// The page as runs; `None` when they would take too many bytes.
fn runs(times_ns: &[i64]) -> Option<Vec<u8>> {
    let len_max = 24 + times_ns.len() / ROWS_PER_RUN_BYTE_MIN;
    let mut body = Vec::new();
    let mut count = 0;
    let (mut start_before, mut step_before, mut rows_before) = (0_i64, 0_i64, 0_i64);
    let mut rest = times_ns;
    while let [start, tail @ ..] = rest {
        let (mut step, mut rows) = (0, 1);
        if let [second, ..] = tail {
            step = second.wrapping_sub(*start);
            let even = rest
                .windows(2)
                .take_while(|w| w[1].wrapping_sub(w[0]) == step);
            rows = even.count() + 1;
        }
        let rows_signed = i64::try_from(rows).ok()?;
        write_zigzag(start.wrapping_sub(start_before), &mut body);
        write_zigzag(step.wrapping_sub(step_before), &mut body);
        write_zigzag(rows_signed.wrapping_sub(rows_before), &mut body);
        (start_before, step_before, rows_before) = (*start, step, rows_signed);
        count += 1;
        rest = &rest[rows..];
        if body.len() > len_max {
            return None;
        }
    }
    let mut bytes = vec![RUNS];
    write_varint(count, &mut bytes);
    bytes.extend_from_slice(&body);
    Some(bytes)
}

/// Decodes the pages of one chunk, in any order, from any thread.
#[derive(Debug)]
pub struct Decoder {
    numbers: NumberDecoder<i64>,
}

impl Decoder {
    /// Reads a chunk's metadata.
    ///
    /// # Errors
    /// When the bytes are no such metadata.
    pub fn new(meta: &[u8]) -> Result<Self, CodecError> {
        let numbers = NumberDecoder::new(meta)?;
        Ok(Self { numbers })
    }

    /// About how much memory the decoder takes.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.numbers.heap_bytes()
    }

    /// Appends the `count` times of a page to `out`, which is left as it was on an error.
    ///
    /// # Errors
    /// When the bytes are no such page of this chunk.
    pub fn read_page(
        &self,
        bytes: &[u8],
        count: usize,
        scratch: &mut Scratch,
        out: &mut Vec<i64>,
    ) -> Result<(), CodecError> {
        match bytes.split_first() {
            Some((&RUNS, body)) => {
                let start = out.len();
                let result = read_runs(body, count, out);
                if result.is_err() {
                    out.truncate(start);
                }
                result
            }
            _ => self.numbers.read_page(bytes, count, scratch, out),
        }
    }
}

fn read_runs(body: &[u8], count: usize, out: &mut Vec<i64>) -> Result<(), CodecError> {
    let mut input = Input::new(body, "page of times");
    let (mut start, mut step, mut rows) = (0_i64, 0_i64, 0_i64);
    let mut left = count;
    for _ in 0..input.count(count)? {
        start = start.wrapping_add(input.zigzag()?);
        step = step.wrapping_add(input.zigzag()?);
        rows = rows.wrapping_add(input.zigzag()?);
        let run = usize::try_from(rows)
            .ok()
            .filter(|run| (1..=left).contains(run))
            .ok_or(CodecError::Malformed("run of times out of bounds"))?;
        left -= run;
        let mut time = start;
        for _ in 0..run {
            out.push(time);
            time = time.wrapping_add(step);
        }
    }
    if left > 0 {
        return Err(CodecError::Malformed("runs of times end too early"));
    }
    input.end()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: i64 = 1_000_000_000;
    const START: i64 = 1_700_000_000 * SECOND;

    fn check(times: &[i64], counts: &[usize]) -> usize {
        let mut encoder = Encoder::new(times, counts, Effort::Cold);
        let mut meta = Vec::new();
        encoder.write_meta(&mut meta);
        let decoder = Decoder::new(&meta).unwrap();
        let mut len = meta.len();
        let mut back = Vec::new();
        for (at, &count) in counts.iter().enumerate() {
            let mut bytes = Vec::new();
            encoder.write_page(at, &mut bytes);
            decoder
                .read_page(&bytes, count, &mut Scratch::default(), &mut back)
                .unwrap();
            len += bytes.len();
        }
        assert_eq!(back, times);
        len
    }

    proptest! {
        #[test]
        fn any_times(times in proptest::collection::vec(any::<i64>(), 1..300)) {
            check(&times, &[times.len()]);
        }

        #[test]
        fn jittered_times_with_gaps(
            steps in proptest::collection::vec((0..3_i64, 0..1_000_000_i64, any::<bool>()), 1..500),
        ) {
            let times: Vec<i64> = steps
                .iter()
                .scan(START, |at, (skip, jitter, jump)| {
                    *at += (1 + skip) * 10 * SECOND;
                    Some(*at + if *jump { *jitter } else { 0 })
                })
                .collect();
            let half = times.len() / 2;
            check(&times, &[half, times.len() - half]);
        }

        #[test]
        fn any_bytes_are_refused_or_taken(
            body in proptest::collection::vec(any::<u8>(), 0..60),
            count in 0..600_usize,
        ) {
            let page = [vec![RUNS], body].concat();
            let decoder = Decoder::new(&[0]).unwrap();
            let mut out = Vec::new();
            let ok = decoder.read_page(&page, count, &mut Scratch::default(), &mut out).is_ok();
            prop_assert_eq!(out.len(), if ok { count } else { 0 });
        }
    }

    #[test]
    fn even_steps_cost_nothing_per_row() {
        let times: Vec<i64> = (0..8192).map(|n| START + n * 10 * SECOND).collect();
        assert!(check(&times, &[2048; 4]) <= 1 + 4 * 20);
    }

    #[test]
    fn many_series_that_begin_together_share_a_page_for_a_few_bytes() {
        let series = (0..5).flat_map(|_| (0..360).map(|n| START + n * 10 * SECOND));
        let times: Vec<i64> = series.collect();
        assert!(check(&times, &[1800]) <= 60);
        assert!(check(&vec![START; 2000], &[2000]) <= 20);
    }

    #[test]
    fn the_ends_of_time_round_trip() {
        check(&[i64::MIN, i64::MAX, 0, i64::MIN, -1], &[5]);
        check(&[i64::MIN, i64::MAX], &[1, 1]);
        check(&[], &[0]);
    }
}

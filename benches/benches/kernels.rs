//! The inner loops alone, on one thread, under divan: parse, codecs, index look-ups, group-by, JSON.
//!
//! `cargo xtask bench kernels`. They tell where the time of a figure goes that the other benchmarks measure from
//! outside; no goal hangs on them. Loads are those of the other benchmarks.

use std::hint::black_box;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use tandem_benches::generate::{Numbers, START_NS, Shape};
use tandem_benches::paths::{self, Chunk, PAGES, Question, STEP_NS, write_numbers, write_times};
use tandem_benches::random::Random;
use tandem_codec::{Effort, boolean, number, string, time};
use tandem_server::json_answer;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROWS: usize = PAGES[0] + PAGES[1];
const HOST_COUNT: u32 = 100;
const MANY_HOSTS: Shape = Shape::Cpu {
    hosts: 4_000,
    numbers: Numbers::Integers,
};
const HOSTS: Shape = hosts(Numbers::Integers);

const fn hosts(numbers: Numbers) -> Shape {
    Shape::Cpu {
        hosts: HOST_COUNT,
        numbers,
    }
}

fn main() {
    divan::main();
}

/// A body of line protocol into names and values, each line as the one before it looked.
#[divan::bench(args = [HOSTS, hosts(Numbers::TwoDecimals), hosts(Numbers::Full), Shape::Fleet])]
fn parse(bencher: Bencher<'_, '_>, shape: Shape) {
    let mut body = Vec::new();
    let values = shape.generator().body(&mut body);
    let mut pattern = None;
    bencher
        .counter(BytesCount::of_slice(&body))
        .counter(ItemsCount::new(values))
        .bench_local(|| paths::parse(&body, &mut pattern).expect("the load is line protocol"));
}

fn integers() -> Vec<i64> {
    paths::columns().1
}

fn decimals() -> Vec<f64> {
    paths::columns().2
}

fn full() -> Vec<f64> {
    let mut random = Random::new(7);
    (0..ROWS).map(|_| random.normal()).collect()
}

fn decoded<T: number::Number>((meta, pages): &Chunk, scratch: &mut number::Scratch) -> Vec<T> {
    let decoder = number::Decoder::<T>::new(meta).expect("its own metadata");
    let mut values = Vec::with_capacity(ROWS);
    for (page, count) in pages.iter().zip(PAGES) {
        let read = decoder.read_page(page, count, scratch, &mut values);
        read.expect("its own page");
    }
    values
}

#[derive(Clone, Copy, Debug)]
enum Column {
    Integers,
    Decimals,
    Full,
}

const COLUMNS: [Column; 3] = [Column::Integers, Column::Decimals, Column::Full];

fn encode<T: number::Number>(bencher: Bencher<'_, '_>, values: &[T], effort: Effort) {
    bencher
        .counter(ItemsCount::new(ROWS))
        .bench_local(|| write_numbers(values, effort));
}

/// As at a flush.
#[divan::bench(args = COLUMNS)]
fn encode_hot(bencher: Bencher<'_, '_>, column: Column) {
    match column {
        Column::Integers => encode(bencher, &integers(), Effort::Hot),
        Column::Decimals => encode(bencher, &decimals(), Effort::Hot),
        Column::Full => encode(bencher, &full(), Effort::Hot),
    }
}

/// As at a compaction.
#[divan::bench(args = COLUMNS)]
fn encode_cold(bencher: Bencher<'_, '_>, column: Column) {
    match column {
        Column::Integers => encode(bencher, &integers(), Effort::Cold),
        Column::Decimals => encode(bencher, &decimals(), Effort::Cold),
        Column::Full => encode(bencher, &full(), Effort::Cold),
    }
}

fn decode<T: number::Number>(bencher: Bencher<'_, '_>, values: &[T]) {
    let chunk = write_numbers(values, Effort::Cold);
    let mut scratch = number::Scratch::default();
    bencher
        .counter(ItemsCount::new(ROWS))
        .bench_local(|| decoded::<T>(&chunk, &mut scratch));
}

/// What a compaction wrote.
#[divan::bench(args = COLUMNS)]
fn decode_cold(bencher: Bencher<'_, '_>, column: Column) {
    match column {
        Column::Integers => decode(bencher, &integers()),
        Column::Decimals => decode(bencher, &decimals()),
        Column::Full => decode(bencher, &full()),
    }
}

/// Regular times, and such of which one in 97 is late.
fn times_ns(is_regular: bool) -> Vec<i64> {
    match is_regular {
        true => (0..ROWS as i64).map(|at| START_NS + at * STEP_NS).collect(),
        false => paths::columns().0,
    }
}

#[divan::bench(args = [true, false])]
fn encode_times(bencher: Bencher<'_, '_>, is_regular: bool) {
    let times_ns = times_ns(is_regular);
    bencher
        .counter(ItemsCount::new(ROWS))
        .bench_local(|| write_times(&times_ns));
}

#[divan::bench(args = [true, false])]
fn decode_times(bencher: Bencher<'_, '_>, is_regular: bool) {
    let (meta, pages) = write_times(&times_ns(is_regular));
    let mut scratch = number::Scratch::default();
    bencher.counter(ItemsCount::new(ROWS)).bench_local(|| {
        let decoder = time::Decoder::new(&meta).expect("its own metadata");
        let mut times_ns = Vec::with_capacity(ROWS);
        for (page, count) in pages.iter().zip(PAGES) {
            let read = decoder.read_page(page, count, &mut scratch, &mut times_ns);
            read.expect("its own page");
        }
        times_ns
    });
}

fn strings() -> Vec<Vec<u8>> {
    let mut random = Random::new(7);
    let one = |_| format!("container_{} is up", random.below(3_000)).into_bytes();
    (0..PAGES[0]).map(one).collect()
}

#[divan::bench]
fn encode_strings(bencher: Bencher<'_, '_>) {
    let strings = strings();
    let strings: Vec<&[u8]> = strings.iter().map(Vec::as_slice).collect();
    bencher
        .counter(ItemsCount::new(strings.len()))
        .bench_local(|| {
            let mut page = Vec::new();
            string::encode(&strings, Effort::Hot, &mut page);
            page
        });
}

#[divan::bench]
fn decode_strings(bencher: Bencher<'_, '_>) {
    let strings = strings();
    let strings: Vec<&[u8]> = strings.iter().map(Vec::as_slice).collect();
    let mut page = Vec::new();
    string::encode(&strings, Effort::Hot, &mut page);
    bencher
        .counter(ItemsCount::new(strings.len()))
        .bench_local(|| {
            let read = string::decode(&page, strings.len(), 1 << 20, |text| {
                black_box(text);
            });
            read.expect("its own page");
        });
}

#[divan::bench]
fn decode_booleans(bencher: Bencher<'_, '_>) {
    let mut random = Random::new(7);
    let values: Vec<bool> = (0..PAGES[0]).map(|_| random.below(3) == 0).collect();
    let mut page = Vec::new();
    boolean::encode(&values, &mut page);
    bencher
        .counter(ItemsCount::new(values.len()))
        .bench_local(|| {
            let mut values = Vec::with_capacity(PAGES[0]);
            boolean::decode(&page, PAGES[0], &mut values).expect("its own page");
            values
        });
}

/// Asks, over and over; items are rows of the result.
fn ask(bencher: Bencher<'_, '_>, shape: Shape, bodies: usize, text: &str) {
    let dir = tempfile::tempdir().expect("a directory for the store");
    let question = Question::new(dir.path(), shape, bodies, text).expect("a store");
    let rows = question.count().expect("rows");
    bencher
        .counter(ItemsCount::new(rows))
        .bench_local(|| question.count().expect("rows"));
}

/// Series among four thousand: by a value, by a pattern, by what they are not, and all values of a tag.
#[divan::bench(args = [
    "SHOW SERIES FROM cpu WHERE hostname = 'host_77'",
    r"SHOW SERIES FROM cpu WHERE hostname =~ /^host_1\d+$/",
    "SHOW SERIES FROM cpu WHERE region != 'us-west-1' AND hostname =~ /7$/",
    "SHOW TAG VALUES FROM cpu WITH KEY = hostname",
])]
fn index(bencher: Bencher<'_, '_>, text: &str) {
    ask(bencher, MANY_HOSTS, 1, text);
}

/// Windows of one host, windows of a hundred, the newest values of each.
#[divan::bench(args = [
    "SELECT max(usage_user) FROM cpu WHERE hostname = 'host_3' GROUP BY time(1m)",
    "SELECT mean(usage_user), mean(usage_system) FROM cpu GROUP BY time(10m), hostname",
    "SELECT percentile(usage_user, 95) FROM cpu GROUP BY time(10m)",
    "SELECT last(*) FROM cpu GROUP BY hostname",
])]
fn group_by(bencher: Bencher<'_, '_>, text: &str) {
    // A bound below, so that `now()` is none above.
    let text = text.replace(
        " GROUP",
        &format!(" {} time >= {START_NS} GROUP", joint(text)),
    );
    ask(bencher, HOSTS, 40, &text);
}

fn joint(text: &str) -> &'static str {
    if text.contains("WHERE") {
        "AND"
    } else {
        "WHERE"
    }
}

const ROWS_OF_A_HOST: &str = "SELECT * FROM cpu WHERE hostname = 'host_3'";

/// Rows from block files, looked at and thrown away.
#[divan::bench]
fn rows(bencher: Bencher<'_, '_>) {
    ask(bencher, HOSTS, 20, ROWS_OF_A_HOST);
}

/// The same rows as the API's JSON: what this takes beyond them is the writing.
#[divan::bench]
fn rows_json(bencher: Bencher<'_, '_>) {
    let dir = tempfile::tempdir().expect("a directory for the store");
    let question = Question::new(dir.path(), HOSTS, 20, ROWS_OF_A_HOST).expect("a store");
    let rows = question.count().expect("rows");
    let answer = || {
        let answer = json_answer(|sink| question.ask(sink).expect("rows"));
        answer.expect("a small answer")
    };
    bencher
        .counter(BytesCount::of_slice(&answer()))
        .counter(ItemsCount::new(rows))
        .bench_local(answer);
}

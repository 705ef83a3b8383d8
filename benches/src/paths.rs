//! Paths: small fixed pieces of the work that a relay-fed store does all day.
//!
//! Each takes some tens of millions of instructions: long enough that a lazy table more or less is
//! lost in it, short enough that all together take a minute under callgrind.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use tandem_codec::{Effort, number, time};
use tandem_influxql::ast::Statement;
use tandem_influxql::{Params, parse_statement};
use tandem_line::{Line, ParseOptions, Pattern};
use tandem_model::Precision;
use tandem_query::{Block, Context, Executor, Gone, Message, Series, Sink};
use tandem_store::{Options, Store, WriteRequest};
use tandem_vfs::RealFs;

use crate::generate::{Generator, Numbers, START_NS, Shape};
use crate::random::Random;

/// In the order in which they are counted.
pub const NAMES: [&str; 11] = [
    "line-integers",
    "line-floats",
    "line-strings",
    "codec-write",
    "codec-read",
    "store-write",
    "index-regex",
    "query-windows",
    "query-groups",
    "query-last",
    "query-rows",
];
/// What one path repeats; everything that it needs is ready.
pub type Work = Box<dyn FnMut() -> anyhow::Result<()>>;

const DATABASE: &str = "telegraf";
const HOUR_NS: i64 = 3_600_000_000_000;
/// Rows of a chunk for the codecs: two pages as block files have them.
pub const PAGES: [usize; 2] = [2_160, 2_160];
/// Between two rows of a column.
pub const STEP_NS: i64 = 10_000_000_000;
/// As many as 100 hosts send in about half an hour.
const BODIES: usize = 4;

/// Everything that the path `name` needs; its files lie in `dir`.
///
/// # Errors
/// When there is no such path, or its store cannot be made.
pub fn prepare(name: &str, dir: &Path) -> anyhow::Result<Work> {
    let cpu = |numbers| Shape::Cpu {
        hosts: 100,
        numbers,
    };
    Ok(match name {
        "line-integers" => lines(cpu(Numbers::Integers)),
        "line-floats" => lines(cpu(Numbers::Full)),
        "line-strings" => lines(Shape::Fleet),
        "codec-write" => codec_write(),
        "codec-read" => codec_read()?,
        "store-write" => store_write(dir)?,
        "index-regex" => query(
            dir,
            Shape::Cpu {
                hosts: 4_000,
                numbers: Numbers::Integers,
            },
            1,
            r"SHOW SERIES FROM cpu WHERE hostname =~ /^host_1\d+$/ AND region != 'us-west-1'",
        )?,
        "query-windows" => query(
            dir,
            cpu(Numbers::Integers),
            40,
            &format!(
                "SELECT max(usage_user) FROM cpu WHERE hostname = 'host_3' AND time >= {START_NS} \
                 AND time < {} GROUP BY time(1m)",
                START_NS + HOUR_NS
            ),
        )?,
        "query-groups" => query(
            dir,
            cpu(Numbers::Integers),
            40,
            &format!(
                "SELECT mean(usage_user), mean(usage_system) FROM cpu WHERE time >= {START_NS} \
                 AND time < {} GROUP BY time(10m), hostname",
                START_NS + HOUR_NS
            ),
        )?,
        "query-last" => query(
            dir,
            cpu(Numbers::Integers),
            40,
            "SELECT last(*) FROM cpu GROUP BY hostname",
        )?,
        "query-rows" => query(
            dir,
            cpu(Numbers::Integers),
            8,
            "SELECT * FROM cpu WHERE hostname =~ /^host_1.$/",
        )?,
        other => bail!("no path {other}"),
    })
}

fn bodies(shape: Shape, count: usize) -> Vec<Vec<u8>> {
    let mut generator: Generator = shape.generator();
    let body = |_| {
        let mut body = Vec::new();
        generator.body(&mut body);
        body
    };
    (0..count).map(body).collect()
}

fn lines(shape: Shape) -> Work {
    let bodies = bodies(shape, BODIES);
    let mut pattern: Option<Pattern> = None;
    Box::new(move || bodies.iter().try_for_each(|body| parse(body, &mut pattern)))
}

/// Reads every line as the one before it looked.
///
/// # Errors
/// Where a line is not line protocol.
pub fn parse(body: &[u8], pattern: &mut Option<Pattern>) -> anyhow::Result<()> {
    for raw in tandem_line::lines(body) {
        let mut line = Line::parse(raw, ParseOptions::default())
            .map_err(|error| anyhow::anyhow!("{error}"))?;
        let guess = pattern.as_ref();
        let read = guess.and_then(|pattern| {
            line.read_as(pattern, |_, value| {
                black_box(value);
                true
            })
        });
        if black_box(read).is_some() {
            continue;
        }
        let mut fields = Vec::new();
        loop {
            match line.next_field() {
                Ok(Some(field)) => fields.push((field.name, field.value.field_type())),
                Ok(None) => break,
                Err(error) => bail!("{error}"),
            }
        }
        *pattern = Pattern::new(fields);
    }
    Ok(())
}

/// Regular times with some that are late, integers and floats of two decimals that walk.
pub fn columns() -> (Vec<i64>, Vec<i64>, Vec<f64>) {
    let mut random = Random::new(7);
    let rows = PAGES.iter().sum::<usize>() as i64;
    let mut walk = 5_000;
    let mut walked = || {
        walk += (random.next_u64() % 201) as i64 - 100;
        walk
    };
    let integers: Vec<i64> = (0..rows).map(|_| walked() / 100).collect();
    let floats = (0..rows).map(|_| walked() as f64 / 100.0).collect();
    let late = |at: i64| if at % 97 == 0 { 3 } else { 0 };
    let times = (0..rows).map(|at| START_NS + at * STEP_NS + late(at));
    (times.collect(), integers, floats)
}

/// A chunk as it lies in a block file: metadata, then pages.
pub type Chunk = (Vec<u8>, Vec<Vec<u8>>);

fn chunk(meta: Vec<u8>, mut write_page: impl FnMut(usize, &mut Vec<u8>)) -> Chunk {
    let page = |at| {
        let mut page = Vec::new();
        write_page(at, &mut page);
        page
    };
    (meta, (0..PAGES.len()).map(page).collect())
}

/// A column of [`PAGES`] numbers as a chunk.
pub fn write_numbers<T: number::Number>(values: &[T], effort: Effort) -> Chunk {
    let mut encoder = number::Encoder::new(values, &PAGES, effort);
    let mut meta = Vec::new();
    encoder.write_meta(&mut meta);
    chunk(meta, |at, page| encoder.write_page(at, page))
}

/// A column of [`PAGES`] times as a chunk.
pub fn write_times(times_ns: &[i64]) -> Chunk {
    let mut encoder = time::Encoder::new(times_ns, &PAGES, Effort::Hot);
    let mut meta = Vec::new();
    encoder.write_meta(&mut meta);
    chunk(meta, |at, page| encoder.write_page(at, page))
}

fn codec_write() -> Work {
    let (times, integers, floats) = columns();
    Box::new(move || {
        for effort in [Effort::Hot, Effort::Cold] {
            black_box(write_numbers(&integers, effort));
            black_box(write_numbers(&floats, effort));
        }
        black_box(write_times(&times));
        Ok(())
    })
}

fn read_numbers<T: number::Number>((meta, pages): &Chunk) -> anyhow::Result<Vec<T>> {
    let decoder = number::Decoder::<T>::new(meta)?;
    let mut scratch = number::Scratch::default();
    let mut values = Vec::new();
    for (page, count) in pages.iter().zip(PAGES) {
        decoder.read_page(page, count, &mut scratch, &mut values)?;
    }
    Ok(values)
}

fn codec_read() -> anyhow::Result<Work> {
    const TIMES: usize = 20;
    let (_, integers, floats) = columns();
    let whole = write_numbers(&integers, Effort::Cold);
    let broken = write_numbers(&floats, Effort::Cold);
    anyhow::ensure!(read_numbers::<i64>(&whole)? == integers);
    Ok(Box::new(move || {
        for _ in 0..TIMES {
            black_box(read_numbers::<i64>(&whole)?);
            black_box(read_numbers::<f64>(&broken)?);
        }
        Ok(())
    }))
}

fn open(dir: &Path) -> anyhow::Result<Arc<Store>> {
    // Nothing happens behind the back of what is counted.
    let options = Options {
        background: false,
        ..Options::default()
    };
    let store = Store::open(Arc::new(RealFs), &dir.join("data"), options)?;
    store.create_database(DATABASE, None)?;
    Ok(Arc::new(store))
}

const REQUEST: WriteRequest<'static> = WriteRequest {
    database: DATABASE,
    retention_policy: None,
    precision: Precision::Nanosecond,
    now_ns: 0,
};

fn store_write(dir: &Path) -> anyhow::Result<Work> {
    let store = open(dir)?;
    let shape = Shape::Cpu {
        hosts: 100,
        numbers: Numbers::Integers,
    };
    let mut rest = bodies(shape, 2 * BODIES).into_iter();
    Ok(Box::new(move || {
        for body in rest.by_ref().take(BODIES) {
            store.write(&REQUEST, &body)?;
        }
        Ok(())
    }))
}

/// Takes a result and counts its rows.
#[derive(Default)]
struct Rows(usize);

impl Sink for Rows {
    fn series(&mut self, series: Series) -> Result<(), Gone> {
        self.0 += series.values.len();
        black_box(series);
        Ok(())
    }

    fn block(&mut self, head: &Series, block: &Block<'_>) -> Result<(), Gone> {
        self.0 += block.len();
        black_box((head, block));
        Ok(())
    }

    fn message(&mut self, _: Message) {}
}

/// A statement, and a store with block files that it is asked of.
#[derive(Debug)]
pub struct Question {
    executor: Executor,
    statement: Statement,
    context: Context,
}

impl Question {
    /// `text`, to be asked of `count` bodies of a load.
    ///
    /// # Errors
    /// When the store cannot be made, or the text is no statement.
    pub fn new(dir: &Path, shape: Shape, count: usize, text: &str) -> anyhow::Result<Self> {
        let store = open(dir)?;
        for body in bodies(shape, count) {
            store.write(&REQUEST, &body)?;
        }
        store.flush()?;
        let statement =
            parse_statement(text, &Params::default()).with_context(|| format!("read {text}"))?;
        let context = Context {
            database: Some(DATABASE.into()),
            now_ns: START_NS + 2 * HOUR_NS,
            ..Context::default()
        };
        Ok(Self {
            executor: Executor::new(store),
            statement,
            context,
        })
    }

    /// Hands the result over.
    ///
    /// # Errors
    /// The statement's own.
    pub fn ask(&self, sink: &mut dyn Sink) -> anyhow::Result<()> {
        Ok(self
            .executor
            .execute(&self.statement, &self.context, sink)?)
    }

    /// Counts the rows of the result.
    ///
    /// # Errors
    /// The statement's own, and when there is no row.
    pub fn count(&self) -> anyhow::Result<usize> {
        let mut rows = Rows::default();
        self.ask(&mut rows)?;
        anyhow::ensure!(rows.0 > 0, "no rows");
        Ok(rows.0)
    }
}

fn query(dir: &Path, shape: Shape, count: usize, text: &str) -> anyhow::Result<Work> {
    let question = Question::new(dir, shape, count, text)?;
    Ok(Box::new(move || question.count().map(drop)))
}

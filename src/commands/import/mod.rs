//! `tandem import`
//!
//! Lines are sent in batches, in the order of the file. What the store refuses is narrowed down to the line, which is
//! told with its number; the rest of its batch is stored. A file can be imported again, wholly or in
//! part: the same points are stored once more under the same times.

mod reader;
mod target;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use flate2::bufread::MultiGzDecoder;
use tandem_influxql::Params;
use tandem_influxql::ast::Statement;

use self::reader::{Item, Reader};
use self::target::{Outcome, Place, Target};
use super::progress::{Progress, Unit};
use super::text;

/// Lines in one write.
const BATCH_LINES_MAX: usize = 5000;
/// Bytes in one write, unless a single line has more.
const BATCH_BYTES_MAX: usize = 4 << 20;
/// How many refused lines and statements are told.
const TOLD_MAX: u64 = 100;
/// How many writes are spent on finding out which lines were refused.
const SEARCH_WRITES_MAX: u64 = 2000;
/// What a gzip file starts with.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Options of `tandem import`. With --data-dir the lines go to that stopped store, otherwise to a server.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Exports, as they are or compressed with gzip; - is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The server to write to, http://[USER:PASSWORD@]HOST:PORT [default: http://127.0.0.1:8086]
    #[arg(long, alias = "host", value_name = "URL")]
    url: Option<String>,
    /// Where lines go for which the file names no database
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// Where lines go for which the file names no retention policy [default: the default one]
    #[arg(long, value_name = "NAME")]
    retention_policy: Option<String>,
    /// The unit of the times: n, u, ms, s, m or h
    #[arg(long, value_name = "UNIT", default_value = "n")]
    precision: String,
    /// Points per second at most; 0 for as many as can be
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    pps: u64,
    /// Leave out the points before this line of the first file: to go on where an import broke off
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    from_line: u64,
}

/// Writes one file to a server. An empty name of a database is none.
pub(super) fn run_one(
    path: &Path,
    url: &str,
    database: &str,
    precision: &str,
    pps: u64,
) -> anyhow::Result<()> {
    let args = ImportArgs {
        files: vec![path.to_owned()],
        url: Some(url.to_owned()),
        database: Some(database.to_owned()).filter(|name| !name.is_empty()),
        retention_policy: None,
        precision: precision.to_owned(),
        pps,
        from_line: 1,
    };
    run(&args, None)
}

pub(super) fn run(args: &ImportArgs, data_dir: Option<&Path>) -> anyhow::Result<()> {
    let precision = tandem_model::Precision::parse_v1(&args.precision)
        .with_context(|| format!("--precision {:?}: give n, u, ms, s, m or h", args.precision))?;
    let target = match (&args.url, data_dir) {
        (Some(_), Some(_)) => bail!("--url and --data-dir are two targets; give one of them"),
        (None, Some(dir)) => {
            super::check_store_dir(dir)?;
            Target::store(dir)?
        }
        (url, None) => Target::server(url.as_deref().unwrap_or("http://127.0.0.1:8086"))?,
    };
    let bytes = |path: &PathBuf| std::fs::metadata(path).map_or(0, |meta| meta.len());
    let bytes = args.files.iter().map(bytes).sum();
    let (progress, drawing) = Progress::begin("import", bytes, Unit::Bytes);
    let mut import = Import {
        target,
        place: Place {
            database: args.database.clone(),
            retention_policy: args.retention_policy.clone(),
            precision,
        },
        batch: Batch::default(),
        file: String::new(),
        done: Done::default(),
        pps: args.pps,
        start: Instant::now(),
        progress,
    };
    let mut from_line = args.from_line;
    for path in &args.files {
        import.place.database.clone_from(&args.database);
        import
            .place
            .retention_policy
            .clone_from(&args.retention_policy);
        import.file = path.display().to_string();
        if let Err(error) = import.file(path, from_line) {
            let line = import.batch.lines.first().map_or(1, |line| line.number);
            // Of a file that could not even be opened there is nothing to tell.
            if line > 1 {
                eprintln!(
                    "tandem: everything before line {line} of {} is stored; go on with --from-line {line}",
                    import.file
                );
            }
            return Err(error);
        }
        from_line = 1;
    }
    import.target.finish()?;
    drop(drawing);
    let done = import.done;
    eprintln!(
        "{} points stored, {} refused; statements: {} done, {} failed; {:.1} s",
        text::count(done.stored),
        text::count(done.refused),
        text::count(done.statements),
        text::count(done.failed),
        import.start.elapsed().as_secs_f64()
    );
    if done.refused + done.failed > 0 {
        bail!("not everything was taken; see above");
    }
    Ok(())
}

/// What has come of it so far.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    stored: u64,
    refused: u64,
    statements: u64,
    failed: u64,
    told: u64,
    searched: u64,
}

/// A file whose bytes are counted as they are read.
struct Counted {
    input: File,
    progress: Progress,
}

impl Read for Counted {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buf)?;
        self.progress.add(read as u64);
        Ok(read)
    }
}

/// Lines that go together.
#[derive(Debug, Default)]
struct Batch {
    bytes: Vec<u8>,
    lines: Vec<BatchLine>,
}

/// Where a line is in the file, and where it ends in the batch.
#[derive(Clone, Copy, Debug)]
struct BatchLine {
    number: u64,
    end: usize,
}

struct Import {
    target: Target,
    place: Place,
    batch: Batch,
    /// The file's name, for what is told.
    file: String,
    done: Done,
    pps: u64,
    start: Instant,
    progress: Progress,
}

impl Import {
    fn file(&mut self, path: &Path, from_line: u64) -> anyhow::Result<()> {
        let read = || format!("read {}", path.display());
        let input: Box<dyn Read> = if path == Path::new("-") {
            Box::new(io::stdin().lock())
        } else {
            Box::new(Counted {
                input: File::open(path).with_context(read)?,
                progress: self.progress.clone(),
            })
        };
        let mut input = BufReader::with_capacity(1 << 20, input);
        let head = input.fill_buf().with_context(read)?;
        let input: Box<dyn Read> = if head.starts_with(&GZIP_MAGIC) {
            Box::new(MultiGzDecoder::new(input))
        } else {
            Box::new(input)
        };
        let mut reader = Reader::new(input);
        while let Some((number, item)) = reader.next().with_context(read)? {
            match item {
                Item::Statement(text) => {
                    let text = text.to_owned();
                    self.flush()?;
                    self.statement(number, &text)?;
                }
                Item::Database(name) => {
                    let name = name.to_owned();
                    self.flush()?;
                    self.place.database = Some(name);
                    self.place.retention_policy = None;
                }
                Item::Policy(name) => {
                    let name = name.to_owned();
                    self.flush()?;
                    self.place.retention_policy = Some(name);
                }
                Item::Line(_) if number < from_line => {}
                Item::Line(line) => {
                    let len = line.len() + 1;
                    let batch = &mut self.batch;
                    if batch.lines.len() >= BATCH_LINES_MAX
                        || !batch.lines.is_empty() && batch.bytes.len() + len > BATCH_BYTES_MAX
                    {
                        let line = line.to_vec();
                        self.flush()?;
                        self.batch.push(number, &line);
                    } else {
                        batch.push(number, line);
                    }
                }
            }
        }
        self.flush()
    }

    /// Runs a statement of the file's `# DDL`; only such as make or change what points need.
    fn statement(&mut self, number: u64, text: &str) -> anyhow::Result<()> {
        let parsed = tandem_influxql::parse_statement(text, &Params::default());
        let outcome = match parsed {
            Ok(
                statement @ (Statement::CreateDatabase(_)
                | Statement::CreateRetentionPolicy(_)
                | Statement::AlterRetentionPolicy(_)),
            ) => self.target.statement(text, &statement)?,
            Ok(_) => Err(
                "an import makes databases and retention policies and runs nothing else".to_owned(),
            ),
            Err(error) => Err(error.to_string()),
        };
        match outcome {
            Ok(()) => self.done.statements += 1,
            Err(what) => {
                self.done.failed += 1;
                self.tell(number, &format!("{text}: {what}"));
            }
        }
        Ok(())
    }

    /// Sends what has been gathered. On an error the batch is as it was, and none of it is known to be stored.
    fn flush(&mut self) -> anyhow::Result<()> {
        if self.batch.lines.is_empty() {
            return Ok(());
        }
        let lines = std::mem::take(&mut self.batch.lines);
        let bytes = std::mem::take(&mut self.batch.bytes);
        let sent = self.send(&bytes, 0, &lines);
        self.batch = Batch { bytes, lines };
        sent?;
        self.batch.bytes.clear();
        self.batch.lines.clear();
        self.throttle();
        Ok(())
    }

    /// Sends lines; `start` is where the first one begins. Those that are refused are looked for by halving.
    fn send(&mut self, bytes: &[u8], start: usize, lines: &[BatchLine]) -> anyhow::Result<()> {
        let Some(last) = lines.last() else {
            return Ok(());
        };
        let body = bytes.get(start..last.end).unwrap_or_default();
        let count = lines.len() as u64;
        let what = match self.target.write(&self.place, body)? {
            Outcome::Stored => {
                self.done.stored += count;
                return Ok(());
            }
            Outcome::Refused(what) => what,
        };
        if let [line] = lines {
            self.done.refused += 1;
            self.tell(line.number, &what);
            return Ok(());
        }
        if self.done.told >= TOLD_MAX || self.done.searched >= SEARCH_WRITES_MAX {
            // The good ones are stored; how many that is, the answer may tell.
            let refused = refused_count(&what).min(count);
            self.done.refused += refused;
            self.done.stored += count - refused;
            return Ok(());
        }
        self.done.searched += 2;
        let (first, second) = lines.split_at(lines.len() / 2);
        let middle = first.last().map_or(start, |line| line.end);
        self.send(bytes, start, first)?;
        self.send(bytes, middle, second)
    }

    fn tell(&mut self, line: u64, what: &str) {
        self.done.told += 1;
        if self.done.told <= TOLD_MAX {
            let what: String = what.chars().take(500).collect();
            self.progress
                .aside(|| eprintln!("{}: line {line}: {what}", self.file));
        }
        if self.done.told == TOLD_MAX {
            self.progress
                .aside(|| eprintln!("further refused lines are counted and not told"));
        }
    }

    /// Waits where points go faster than they may.
    fn throttle(&mut self) {
        let done = self.done.stored + self.done.refused;
        if self.pps > 0 {
            let due = Duration::from_secs_f64(done as f64 / self.pps as f64);
            std::thread::sleep(due.saturating_sub(self.start.elapsed()));
        }
    }
}

impl Batch {
    fn push(&mut self, number: u64, line: &[u8]) {
        self.bytes.extend_from_slice(line);
        self.bytes.push(b'\n');
        let end = self.bytes.len();
        self.lines.push(BatchLine { number, end });
    }
}

/// How many points an answer says were refused: `dropped=N`, or one for each line of it.
fn refused_count(answer: &str) -> u64 {
    let told = answer.rsplit_once("dropped=").and_then(|(_, rest)| {
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse().ok()
    });
    match told {
        Some(count) if count > 0 => count,
        _ => answer.matches("unable to parse").count().max(1) as u64,
    }
}

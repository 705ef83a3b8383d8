//! What flushes and compaction cost and save, one load after the other:
//! `cargo run --release -p tandem-store --example compaction [SHAPE [HOURS]]`,
//! or `… files [COUNT]`.
//!
//! For each load it prints the processor time of writing, flushing and compacting, and how many
//! bytes a value takes in the whole data directory once the store is settled and stopped.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tandem_model::{Precision, SeriesId, TimeRange};
use tandem_store::{Options, Order, PolicyChoice, PolicySpec, Store, StoreError, WriteRequest};
use tandem_vfs::RealFs;

const START_S: i64 = 1_451_606_400;
const STEP_S: i64 = 10;
const FIELDS: usize = 10;

/// Name, hosts, hours.
const SHAPES: [(&str, usize, i64); 5] = [
    ("integers", 100, 24),
    ("short", 4_000, 1),
    ("cents", 100, 6),
    ("full", 100, 6),
    ("strings", 400, 6),
];

const REQUEST: WriteRequest<'static> = WriteRequest {
    database: "db",
    retention_policy: None,
    precision: Precision::Second,
    now_ns: 0,
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let wanted = arguments.next();
    let hours: Option<i64> = arguments.next().map(|text| text.parse()).transpose()?;
    if wanted.as_deref() == Some("files") {
        return many_files(hours.unwrap_or(10_000));
    }
    for (shape, hosts, usual) in SHAPES {
        if wanted.as_ref().is_none_or(|wanted| wanted == shape) {
            run(shape, hosts, hours.unwrap_or(usual))?;
        }
    }
    Ok(())
}

fn run(shape: &str, hosts: usize, hours: i64) -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let options = Options {
        background: false,
        memtable_bytes_max: 1 << 30,
        ..Options::default()
    };
    let store = Store::open(Arc::new(RealFs), dir.path(), options)?;
    store.create_database("db", None)?;
    let mut load = Load::new(shape, hosts);
    let (mut points, mut writing, mut flushing) = (0_u64, 0.0, 0.0);
    let steps = hours * 3600 / STEP_S;
    for step in 0..steps {
        for body in load.step(step) {
            let before = cpu_s()?;
            points += store.write(&REQUEST, body.as_bytes())?.points;
            writing += cpu_s()? - before;
        }
        // As often as a store with the usual memory would.
        if (step + 1) * hosts as i64 % 1_400_000 < hosts as i64 {
            flushing += timed("flush", || store.flush())?;
        }
    }
    flushing += timed("flush", || store.flush())?;
    let compacting = timed("compact", || store.compact())?;
    let stats = store.compaction_stats();
    let first = timed("read", || read(&store))?;
    let second = timed("read", || read(&store))?;
    store.close()?;
    drop(store);

    let values = points * FIELDS as u64;
    let rate = |seconds: f64| values as f64 / seconds.max(1e-9) / 1e6;
    println!(
        "{shape}: {hosts} hosts, {hours} h, {:.1} M values",
        values as f64 / 1e6
    );
    println!(
        "  write {:.1}, flush {:.1}, compact {:.1}, all {:.2} M values/s of processor time",
        rate(writing),
        rate(flushing),
        rate(compacting),
        rate(writing + flushing + compacting)
    );
    println!(
        "  read {:.1}, and with the cache {:.1} M values/s of processor time",
        rate(first),
        rate(second)
    );
    println!(
        "  flushed {} bytes, merged {} in {} merges, amplification {:.2}",
        stats.flush_bytes,
        stats.level_bytes + stats.cold_bytes,
        stats.merges,
        stats.write_amplification()
    );
    let mut files = Vec::new();
    list(dir.path(), &mut files)?;
    let total: u64 = files.iter().map(|(_, bytes)| bytes).sum();
    println!(
        "  {total} bytes on disk, {:.4} per value",
        total as f64 / values as f64
    );
    files.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    for (name, bytes) in files.iter().take(6) {
        println!("    {bytes:>12} {name}");
    }
    Ok(())
}

/// Reads everything, series after series.
fn read(store: &Store) -> Result<(), StoreError> {
    let view = store.view("db", PolicyChoice::Default, TimeRange::ALL)?;
    for name in view.measurements() {
        let fields = view.fields(&name);
        let names: Vec<&[u8]> = fields.iter().map(|(name, _)| name.as_slice()).collect();
        for id in view.series(&name) {
            let mut reader = view.read(SeriesId(id), &names, TimeRange::ALL, Order::Ascending);
            while let Some(rows) = reader.next()? {
                std::hint::black_box(rows);
            }
        }
    }
    Ok(())
}

/// Many shards of one small file each: what opening them takes.
fn many_files(shards: i64) -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let options = Options {
        background: false,
        ..Options::default()
    };
    let fs = Arc::new(RealFs);
    let store = Store::open(fs.clone(), dir.path(), options.clone())?;
    let hour = PolicySpec {
        shard_duration_ns: Some(3_600_000_000_000),
        ..PolicySpec::default()
    };
    store.create_database("db", Some(&hour))?;
    let mut load = Load::new("integers", 20);
    for shard in 0..shards {
        for body in load.step(shard * 360) {
            store.write(&REQUEST, body.as_bytes())?;
        }
    }
    store.close()?;
    drop(store);
    let before = Instant::now();
    let store = Store::open(fs, dir.path(), options)?;
    println!(
        "{shards} files: opened in {:.3} s, {:.1} MiB resident",
        before.elapsed().as_secs_f64(),
        resident_mib()?
    );
    let before = Instant::now();
    read(&store)?;
    println!("  read whole in {:.3} s", before.elapsed().as_secs_f64());
    let before = Instant::now();
    store.compact()?;
    println!("  compacted in {:.3} s", before.elapsed().as_secs_f64());
    Ok(())
}

/// Memory of the process.
fn resident_mib() -> Result<f64, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/self/statm")?;
    let pages = text.split(' ').nth(1).unwrap_or_default();
    Ok(pages.parse::<u64>()? as f64 * 4096.0 / 1048576.0)
}

/// Every file below `dir`, with the bytes that it takes.
fn list(dir: &Path, files: &mut Vec<(String, u64)>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            list(&entry.path(), files)?;
        } else {
            files.push((entry.path().display().to_string(), entry.metadata()?.len()));
        }
    }
    Ok(())
}

/// Seconds of processor time that `action` takes, in a thread of this name so that profilers tell them
/// apart.
fn timed<E: Error + Send + 'static>(
    name: &str,
    action: impl FnOnce() -> Result<(), E> + Send,
) -> Result<f64, Box<dyn Error>> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name(name.into());
        let running = thread.spawn_scoped(scope, || {
            let done = action();
            done.map(|()| cpu_s().unwrap_or(f64::NAN))
        })?;
        let done = running.join().map_err(|_| "it panicked")?;
        Ok(done?)
    })
}

/// Seconds that this thread was on a processor.
fn cpu_s() -> Result<f64, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let ns: u64 = text.split(' ').next().unwrap_or_default().parse()?;
    Ok(Duration::from_nanos(ns).as_secs_f64())
}

/// Lines of hosts whose fields walk at random.
struct Load {
    shape: String,
    tags: Vec<String>,
    walks: Vec<f64>,
    noise: u64,
}

impl Load {
    fn new(shape: &str, hosts: usize) -> Self {
        let tags = (0..hosts).map(|host| {
            format!(
                "cpu,arch=x{},datacenter=dc-{},hostname=host_{host},os=Ubuntu{},rack={},region=r-{},service={},service_environment={},service_version={},team=t{}",
                host % 2, host % 9, host % 3, host % 100, host % 5, host % 20, host % 3, host % 2, host % 4
            )
        });
        Self {
            shape: shape.into(),
            tags: tags.collect(),
            walks: (0..hosts * FIELDS).map(|at| (at % 100) as f64).collect(),
            noise: 1,
        }
    }

    fn next(&mut self) -> u64 {
        self.noise = self.noise.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.noise ^ (self.noise >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Nearly normal: the sum of twelve uniform numbers.
    fn normal(&mut self) -> f64 {
        let mut sum = 0;
        for _ in 0..3 {
            let bits = self.next();
            sum += (0..4).map(|at| bits >> (16 * at) & 0xffff).sum::<u64>();
        }
        (sum as f64 - 6.0 * 65_535.0) / 65_535.0
    }

    /// The bodies of one time.
    fn step(&mut self, step: i64) -> Vec<String> {
        let mut bodies = vec![String::new()];
        for host in 0..self.tags.len() {
            if host % 5_000 == 4_999 {
                bodies.push(String::new());
            }
            let mut line = self.tags[host].clone();
            for field in 0..FIELDS {
                let moved = self.walks[host * FIELDS + field] + self.normal();
                let value = moved.clamp(0.0, 100.0);
                self.walks[host * FIELDS + field] = value;
                line.push(if field == 0 { ' ' } else { ',' });
                let _ = match self.shape.as_str() {
                    "cents" => write!(line, "usage_{field}={value:.2}"),
                    "full" => write!(line, "usage_{field}={value}"),
                    "strings" if field < 3 => {
                        let state =
                            ["running", "paused", "exited", "restarting"][value as usize / 30];
                        write!(line, "state_{field}=\"{state}\"")
                    }
                    "strings" if field == 3 => {
                        write!(
                            line,
                            "image=\"registry.local/team/service-{}:1.{}.{}\"",
                            host % 60,
                            host % 7,
                            value as u64 / 40
                        )
                    }
                    _ => write!(line, "usage_{field}={}i", value as i64),
                };
            }
            let body = bodies.len() - 1;
            let _ = writeln!(bodies[body], "{line} {}", START_S + step * STEP_S);
        }
        bodies
    }
}

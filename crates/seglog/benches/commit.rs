//! What a durable record costs: writers that append and commit, in fresh files and in files written again.
//!
//! `cargo bench -p tandem-seglog [-- DIR]` prints a line for each case: records and bytes a second, records in a
//! sync, the processor's time for a record, and how long a commit took. `DIR` should lie on the disk that is asked about; by
//! default it is below the target folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tandem_seglog::{Log, Options};
use tandem_vfs::RealFs;

/// Bytes that a case writes, at most.
const CASE_BYTES: usize = 192 << 20;
/// How long a case runs, at most.
const CASE_TIME: Duration = Duration::from_secs(3);

fn main() {
    let dir = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let dir = dir.map_or_else(
        || PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("commit"),
        PathBuf::from,
    );
    println!(
        "writers  record  files   records/s     MB/s  records/sync  cpu us/record   p50 ms   p99 ms"
    );
    for record_bytes in [400, 40_000, 400_000] {
        for writers in [1, 2, 8] {
            for recycle in [false, true] {
                case(&dir, writers, record_bytes, recycle);
            }
        }
    }
}

fn case(dir: &Path, writers: usize, record_bytes: usize, recycle: bool) {
    let _ = std::fs::remove_dir_all(dir);
    let options = Options {
        segment_bytes_max: 32 << 20,
        spare_segments_max: if recycle { 4 } else { 0 },
        ..Options::default()
    };
    let (log, _) = Log::open(Arc::new(RealFs), dir, options, &mut |_, _| Ok(())).expect("opens");
    if recycle {
        // Files to be written again.
        for _ in 0..5 {
            for _ in 0..8 {
                log.append(&[&vec![0; 4 << 20]]).expect("appends");
                log.commit_all().expect("commits");
            }
            log.rotate().expect("rotates");
        }
        log.cut_below(log.next_sequence()).expect("cuts");
    }
    let first = log.next_sequence();
    let syncs_before = log.stats().syncs;
    let cpu_before = cpu_time();
    let begun = Instant::now();
    let mut waits: Vec<Duration> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..writers)
            .map(|_| scope.spawn(|| write(&log, record_bytes, CASE_BYTES / writers, begun)))
            .collect();
        let waits = threads
            .into_iter()
            .flat_map(|t| t.join().expect("no panic"));
        waits.collect()
    });
    let took = begun.elapsed();
    let cpu = cpu_time() - cpu_before;
    waits.sort_unstable();
    let records = (log.next_sequence() - first) as f64;
    let syncs = (log.stats().syncs - syncs_before).max(1) as f64;
    let ms = |at: usize| waits.get(at).map_or(0.0, |w| w.as_secs_f64() * 1e3);
    println!(
        "{writers:7}  {record_bytes:6}  {:6} {:10.0} {:8.1}  {:12.1}  {:13.2}  {:7.3}  {:7.3}",
        if recycle { "again" } else { "fresh" },
        records / took.as_secs_f64(),
        records * record_bytes as f64 / took.as_secs_f64() / 1e6,
        records / syncs,
        cpu.as_secs_f64() * 1e6 / records,
        ms(waits.len() / 2),
        ms(waits.len() * 99 / 100),
    );
    drop(log);
    let _ = std::fs::remove_dir_all(dir);
}

fn write(log: &Log, record_bytes: usize, bytes_max: usize, begun: Instant) -> Vec<Duration> {
    let record = vec![0x5a; record_bytes];
    let mut waits = Vec::new();
    let mut written = 0;
    while written < bytes_max && begun.elapsed() < CASE_TIME {
        let at = Instant::now();
        let ticket = log
            .append_with(|_, out| {
                out.extend_from_slice(&record);
                Ok(())
            })
            .expect("appends");
        log.commit(&ticket).expect("commits");
        waits.push(at.elapsed());
        written += record_bytes;
        if log.segments() > 3 {
            log.cut_below(ticket.sequence()).expect("cuts");
        }
    }
    waits
}

/// Processor time of this process.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Fields 14 and 15, in hundredths of a second; the second field is the name, in brackets.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks * 10)
}

//! `diskio`: what each block device read and wrote since boot, and how busy it was since the last
//! gather.
//!
//! Sources: `/proc/diskstats` and `/sys/block/<name>/wwid`
//! (`influxdata/telegraf plugins/inputs/diskio/diskio.go`). A device whose numbers are all zero is
//! left out. `io_await`, `io_svctm` and `io_util` need two samples and are absent when a counter
//! went back.

use super::source::{Source, SourceError, Troubles, trim_newline};
use super::{Collector, Moment};
use crate::batch::Batch;
use crate::roots::Roots;
use crate::text;

/// The kernel counts sectors of this size on every device.
const SECTOR_BYTES: u64 = 512;

/// The collector of `diskio`.
#[derive(Debug, Default)]
pub(crate) struct DiskIo {
    table: Source,
    value: Source,
    devices: Vec<Device>,
    /// Monotonic time of the last gather; `None` before the first.
    last_ns: Option<u64>,
    generation: u64,
}

/// What is remembered of a device from one gather to the next.
#[derive(Debug)]
struct Device {
    name: Box<[u8]>,
    wwid: Box<[u8]>,
    counters: Counters,
    /// The gather that last saw it.
    generation: u64,
}

/// One row, in the order of the file's columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counters {
    reads: u64,
    merged_reads: u64,
    read_sectors: u64,
    read_time_ms: u64,
    writes: u64,
    merged_writes: u64,
    write_sectors: u64,
    write_time_ms: u64,
    in_progress: u64,
    io_time_ms: u64,
    weighted_io_time_ms: u64,
}

impl Counters {
    /// Cuts `major minor name numbers...`; later kernels append columns that are not used.
    fn parse(row: &[u8]) -> Option<(&[u8], Self)> {
        let mut words = text::words(row).skip(2);
        let name = words.next()?;
        let mut next = || words.next().and_then(text::unsigned);
        let counters = Self {
            reads: next()?,
            merged_reads: next()?,
            read_sectors: next()?,
            read_time_ms: next()?,
            writes: next()?,
            merged_writes: next()?,
            write_sectors: next()?,
            write_time_ms: next()?,
            in_progress: next()?,
            io_time_ms: next()?,
            weighted_io_time_ms: next()?,
        };
        Some((name, counters))
    }

    /// What happened since `last`; `None` when a counter went back.
    fn since(&self, last: &Self) -> Option<Activity> {
        let operations = self.reads.checked_sub(last.reads)? as f64
            + self.writes.checked_sub(last.writes)? as f64;
        let waited_ms = self.read_time_ms.checked_sub(last.read_time_ms)? as f64
            + self.write_time_ms.checked_sub(last.write_time_ms)? as f64;
        let busy_ms = self.io_time_ms.checked_sub(last.io_time_ms)? as f64;
        Some(Activity {
            operations,
            waited_ms,
            busy_ms,
        })
    }
}

/// The difference of two samples.
#[derive(Clone, Copy, Debug)]
struct Activity {
    operations: f64,
    waited_ms: f64,
    busy_ms: f64,
}

fn emit(device: &Device, activity: Option<Activity>, wall_ms: u64, out: &mut Batch) {
    let now = &device.counters;
    let mut line = out
        .line("diskio")
        .tag("name", &device.name)
        .tag("wwid", &device.wwid)
        .unsigned("reads", now.reads)
        .unsigned("merged_reads", now.merged_reads)
        .unsigned("read_bytes", now.read_sectors.saturating_mul(SECTOR_BYTES))
        .unsigned("read_time", now.read_time_ms)
        .unsigned("writes", now.writes)
        .unsigned("merged_writes", now.merged_writes)
        .unsigned(
            "write_bytes",
            now.write_sectors.saturating_mul(SECTOR_BYTES),
        )
        .unsigned("write_time", now.write_time_ms)
        .unsigned("iops_in_progress", now.in_progress)
        .unsigned("io_time", now.io_time_ms)
        .unsigned("weighted_io_time", now.weighted_io_time_ms);
    if let Some(activity) = activity {
        if activity.operations > 0.0 {
            line = line
                .float("io_await", activity.waited_ms / activity.operations)
                .float("io_svctm", activity.busy_ms / activity.operations);
        }
        if wall_ms > 0 {
            line = line.float("io_util", 100.0 * activity.busy_ms / wall_ms as f64);
        }
    }
    line.finish();
}

/// The identifier of a disk, empty where it has none or is not a whole disk.
fn wwid(roots: &Roots, name: &[u8], value: &mut Source) -> Box<[u8]> {
    let path = std::str::from_utf8(name)
        .ok()
        .filter(|name| !name.contains('/'))
        .map(|name| roots.sys("block").join(name).join("wwid"));
    let text = path.and_then(|path| value.read_optional(&path));
    trim_newline(text.unwrap_or_default()).into()
}

impl Collector for DiskIo {
    fn name(&self) -> &'static str {
        "diskio"
    }

    fn gather(&mut self, roots: &Roots, at: Moment, out: &mut Batch) -> Result<(), Troubles> {
        let mut troubles = Troubles::default();
        let path = roots.proc("diskstats");
        let Some(table) = troubles.note(self.table.read(&path)) else {
            return troubles.into_result();
        };
        let wall_ns = self
            .last_ns
            .map_or(0, |last| at.monotonic_ns.saturating_sub(last));
        self.last_ns = Some(at.monotonic_ns);
        self.generation += 1;
        for row in text::lines(table) {
            let Some((name, counters)) = Counters::parse(row) else {
                troubles.add(SourceError::strange(&path, row));
                continue;
            };
            if counters == Counters::default() {
                continue;
            }
            let known = self.devices.iter_mut().find(|device| *device.name == *name);
            match known {
                Some(device) => {
                    let activity = counters.since(&device.counters);
                    device.counters = counters;
                    device.generation = self.generation;
                    emit(device, activity, wall_ns / 1_000_000, out);
                }
                None => {
                    let device = Device {
                        name: name.into(),
                        wwid: wwid(roots, name, &mut self.value),
                        counters,
                        generation: self.generation,
                    };
                    emit(&device, None, 0, out);
                    self.devices.push(device);
                }
            }
        }
        // A device that comes back under an old name is another one.
        self.devices
            .retain(|device| device.generation == self.generation);
        troubles.into_result()
    }
}

//! `diskio`: what each block device read and wrote since boot, and how busy it was since the last
//! gather.
//!
//! Sources: `/proc/diskstats` and `/sys/block/<name>/wwid`
//! (`influxdata/telegraf plugins/inputs/diskio/diskio.go`). A device whose numbers are all zero is
//! left out. `io_await`, `io_svctm` and `io_util` need two samples and are absent when a counter
//! went back.
//!
//! What udev knows (`udev.rs`) is read where options ask for it: once for each device, and again when
//! udev has changed it.

use std::path::Path;
use std::time::SystemTime;

use super::source::{Source, SourceError, Troubles, trim_newline};
use super::udev::{self, Property, Udev};
use super::{Collector, Moment};
use crate::batch::Batch;
use crate::glob;
use crate::roots::Roots;
use crate::text;

/// The kernel counts sectors of this size on every device.
const SECTOR_BYTES: u64 = 512;

/// What `diskio` emits; the default is that of Telegraf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskIoOptions {
    /// Patterns of devices: `sda`, `nvme*`, or one of their further names, `disk/by-id/*`; none for all.
    pub devices: Vec<String>,
    /// Properties that udev knows of a device and that are tags.
    pub device_tags: Vec<String>,
    /// What devices are called: the first of which udev knows all properties, `$ID_FS_LABEL` for one;
    /// else what the kernel calls them.
    pub name_templates: Vec<String>,
    /// No tag `serial`.
    pub skip_serial_number: bool,
}

impl Default for DiskIoOptions {
    fn default() -> Self {
        Self {
            devices: Vec::new(),
            device_tags: Vec::new(),
            name_templates: Vec::new(),
            skip_serial_number: true,
        }
    }
}

impl DiskIoOptions {
    fn need_udev(&self) -> bool {
        !self.devices.is_empty()
            || !self.device_tags.is_empty()
            || !self.name_templates.is_empty()
            || !self.skip_serial_number
    }
}

/// The collector of `diskio`.
#[derive(Debug)]
pub(crate) struct DiskIo {
    options: DiskIoOptions,
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
    /// What options make of it; as plain as it can be without any.
    looks: Looks,
    counters: Counters,
    /// The gather that last saw it.
    generation: u64,
}

/// How a device shows.
#[derive(Debug)]
struct Looks {
    is_wanted: bool,
    /// In the place of the kernel's name.
    name: Option<Box<[u8]>>,
    tags: Vec<Property>,
    /// When udev last changed what they were made of.
    changed_at: Option<SystemTime>,
}

impl Looks {
    const PLAIN: Self = Self {
        is_wanted: true,
        name: None,
        tags: Vec::new(),
        changed_at: None,
    };
}

/// A row of the table: whose it is, and its numbers.
#[derive(Clone, Copy, Debug)]
struct Row<'a> {
    major: u64,
    minor: u64,
    name: &'a [u8],
    counters: Counters,
}

/// The numbers of one row, in the order of the file's columns.
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
    fn parse(row: &[u8]) -> Option<Row<'_>> {
        let mut words = text::words(row);
        let major = text::unsigned(words.next()?)?;
        let minor = text::unsigned(words.next()?)?;
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
        Some(Row {
            major,
            minor,
            name,
            counters,
        })
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
    let (now, looks) = (&device.counters, &device.looks);
    if !looks.is_wanted {
        return;
    }
    let mut line = out
        .line("diskio")
        .tag("name", looks.name.as_ref().unwrap_or(&device.name))
        .tag("wwid", &device.wwid);
    for (key, value) in &looks.tags {
        line = line.tag(key, value);
    }
    line = line
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

/// Whether one of `patterns` means the device: by the kernel's name, by one of udev's, or as a link in `/dev`.
fn is_meant(patterns: &[String], row: Row<'_>, udev: &Udev, roots: &Roots) -> bool {
    let names = || std::iter::once(row.name).chain(udev.links.iter().map(|link| &**link));
    patterns.is_empty()
        || patterns.iter().any(|pattern| {
            let short = pattern.strip_prefix("/dev/").unwrap_or(pattern);
            let is_link_to_it = || {
                let target = std::fs::canonicalize(roots.dev(short)).ok();
                let name = target.as_deref().and_then(Path::file_name);
                name.is_some_and(|name| name.as_encoded_bytes() == row.name)
            };
            names().any(|name| glob::matches(short, name)) || is_link_to_it()
        })
}

/// The serial number, of udev or else of the driver; `unknown` where neither says any.
fn serial(row: Row<'_>, udev: &Udev, roots: &Roots, value: &mut Source) -> Box<[u8]> {
    let of_udev = udev.property(b"ID_SERIAL");
    let mut text: Vec<u8> = of_udev.unwrap_or_default().into();
    if text.is_empty() {
        // A partition has none itself; minor 0 is the disk.
        let device = roots.sys(format!("dev/block/{}:0/device", row.major));
        let model = value
            .read_optional(&device.join("model"))
            .map(<[u8]>::to_vec);
        let number = value.read_optional(&device.join("serial"));
        if let (Some(model), Some(number)) = (model, number) {
            text = [model.trim_ascii(), number.trim_ascii()].join(&b'_');
        }
    }
    text.retain(|byte| !matches!(byte, b'\n' | b'\r'));
    match text.trim_ascii() {
        b"" => Box::from(&b"unknown"[..]),
        text => text.into(),
    }
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

impl DiskIo {
    pub(crate) fn new(options: DiskIoOptions) -> Self {
        Self {
            options,
            table: Source::default(),
            value: Source::default(),
            devices: Vec::new(),
            last_ns: None,
            generation: 0,
        }
    }
}

/// How a device shows, made anew where udev has changed what it knows since `last`.
fn looks(
    options: &DiskIoOptions,
    row: Row<'_>,
    last: Option<&Looks>,
    roots: &Roots,
    value: &mut Source,
) -> Option<Looks> {
    if !options.need_udev() {
        return last.is_none().then_some(Looks::PLAIN);
    }
    let path = udev::path(roots, row.major, row.minor);
    let changed_at = udev::changed_at(&path);
    if last.is_some_and(|last| last.changed_at == changed_at) {
        return None;
    }
    let udev = Udev::read(&path, value);
    let filled = options
        .name_templates
        .iter()
        .find_map(|template| udev.fill(template).filter(|name| !name.is_empty()));
    let tag = |key: &String| Some((key.as_bytes().into(), udev.property(key.as_bytes())?));
    let mut tags: Vec<Property> = options.device_tags.iter().filter_map(tag).collect();
    if !options.skip_serial_number {
        tags.push((Box::from(&b"serial"[..]), serial(row, &udev, roots, value)));
    }
    Some(Looks {
        is_wanted: is_meant(&options.devices, row, &udev, roots),
        name: filled.map(Into::into),
        tags,
        changed_at,
    })
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
            let Some(row) = Counters::parse(row) else {
                troubles.add(SourceError::strange(&path, row));
                continue;
            };
            let Row { name, counters, .. } = row;
            if counters == Counters::default() {
                continue;
            }
            let known = self.devices.iter_mut().find(|device| *device.name == *name);
            let last = known.as_deref().map(|device| &device.looks);
            let looks = looks(&self.options, row, last, roots, &mut self.value);
            match known {
                Some(device) => {
                    if let Some(looks) = looks {
                        device.looks = looks;
                    }
                    let activity = counters.since(&device.counters);
                    device.counters = counters;
                    device.generation = self.generation;
                    emit(device, activity, wall_ns / 1_000_000, out);
                }
                None => {
                    let device = Device {
                        name: name.into(),
                        wwid: wwid(roots, name, &mut self.value),
                        looks: looks.unwrap_or(Looks::PLAIN),
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

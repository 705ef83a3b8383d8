//! `processes`: how many processes are in which state, and how many threads they have.
//!
//! Source: `/proc/<pid>/stat` of each process (`influxdata/telegraf
//! plugins/inputs/processes/processes_notwindows.go`). A process that ends between the listing
//! and the reading is not counted and is no trouble. `parked` appears only when a process is in
//! that state; Telegraf then always says 1, here it is the number.

use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Dir, Mode, OFlags};
use rustix::io::Errno;

use super::source::{SourceError, Troubles};
use super::{Collector, Moment};
use crate::batch::Batch;
use crate::roots::Roots;
use crate::text;

/// What is read of one process: the fields up to the number of threads are far shorter, a name is
/// 64 bytes at most.
const STAT_BYTES_READ: usize = 1024;

/// The collector of `processes`.
#[derive(Debug)]
pub(crate) struct Processes {
    relative_path: Vec<u8>,
    stat: Box<[u8; STAT_BYTES_READ]>,
}

#[derive(Debug, Default)]
struct Counts {
    blocked: u64,
    zombies: u64,
    stopped: u64,
    running: u64,
    sleeping: u64,
    total: u64,
    dead: u64,
    paging: u64,
    total_threads: u64,
    idle: u64,
    parked: u64,
}

impl Counts {
    /// Counts one process; `None` when `stat` is not what the kernel documents.
    fn add(&mut self, stat: &[u8]) -> Option<()> {
        // The name in brackets may hold anything, brackets and newlines included.
        let name_end = memchr::memrchr(b')', stat)?;
        let mut words = text::words(stat.get(name_end + 1..)?);
        let state = words.next()?;
        self.total += 1;
        match state {
            b"R" => self.running += 1,
            b"S" => self.sleeping += 1,
            b"D" => self.blocked += 1,
            b"Z" => self.zombies += 1,
            b"X" => self.dead += 1,
            b"T" | b"t" => self.stopped += 1,
            b"W" => self.paging += 1,
            b"I" => self.idle += 1,
            b"P" => self.parked += 1,
            _ => {}
        }
        /// Fields between the state and the number of threads (`proc_pid_stat(5)`: 3 and 20).
        const FIELDS_BETWEEN: usize = 16;
        self.total_threads += words.nth(FIELDS_BETWEEN).and_then(text::unsigned)?;
        Some(())
    }
}

impl Processes {
    pub(crate) fn new() -> Self {
        Self {
            relative_path: Vec::new(),
            stat: Box::new([0; STAT_BYTES_READ]),
        }
    }

    /// The start of `<pid>/stat` under `proc`.
    fn read_stat(&mut self, proc: &OwnedFd, pid: &CStr) -> Result<&[u8], Errno> {
        self.relative_path.clear();
        self.relative_path.extend_from_slice(pid.to_bytes());
        self.relative_path.extend_from_slice(b"/stat\0");
        let path = CStr::from_bytes_with_nul(&self.relative_path).map_err(|_| Errno::INVAL)?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(proc, path, flags, Mode::empty())?;
        let read = rustix::io::read(&file, &mut self.stat[..])?;
        Ok(self.stat.get(..read).unwrap_or_default())
    }

    fn count(&mut self, roots: &Roots, troubles: &mut Troubles) -> Result<Counts, SourceError> {
        let path = roots.proc("");
        let failed = |errno: Errno| SourceError::Read {
            path: path.clone(),
            source: io::Error::from(errno),
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let proc = rustix::fs::open(&path, flags, Mode::empty()).map_err(failed)?;
        let mut listing = Dir::read_from(&proc).map_err(failed)?;
        let mut counts = Counts::default();
        while let Some(entry) = listing.read() {
            let entry = entry.map_err(failed)?;
            let pid = entry.file_name();
            if text::unsigned(pid.to_bytes()).is_none() {
                continue;
            }
            let place = || path.join(pid.to_string_lossy().as_ref()).join("stat");
            match self.read_stat(&proc, pid) {
                Ok(stat) => {
                    if counts.add(stat).is_none() {
                        troubles.add(SourceError::strange(&place(), stat));
                    }
                }
                Err(Errno::NOENT | Errno::SRCH) => {}
                Err(errno) => troubles.add(SourceError::Read {
                    path: place(),
                    source: errno.into(),
                }),
            }
        }
        Ok(counts)
    }
}

impl Collector for Processes {
    fn name(&self) -> &'static str {
        "processes"
    }

    fn gather(&mut self, roots: &Roots, _at: Moment, out: &mut Batch) -> Result<(), Troubles> {
        let mut troubles = Troubles::default();
        let counts = self.count(roots, &mut troubles);
        if let Some(counts) = troubles.note(counts) {
            let mut line = out
                .line("processes")
                .unsigned("blocked", counts.blocked)
                .unsigned("zombies", counts.zombies)
                .unsigned("stopped", counts.stopped)
                .unsigned("running", counts.running)
                .unsigned("sleeping", counts.sleeping)
                .unsigned("total", counts.total)
                // Telegraf counts here on other systems; on Linux it is always 0.
                .unsigned("unknown", 0)
                .unsigned("dead", counts.dead)
                .unsigned("paging", counts.paging)
                .unsigned("total_threads", counts.total_threads)
                .unsigned("idle", counts.idle);
            if counts.parked != 0 {
                line = line.unsigned("parked", counts.parked);
            }
            line.finish();
        }
        troubles.into_result()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_mislead() {
        let mut counts = Counts::default();
        let stat = b"7 (a) S 1 (b\n) D 1 7 7 0 -1 64 0 0 0 0 1 2 3 4 20 0 5 0 31 0 0";
        counts.add(stat).unwrap();
        assert_eq!((counts.blocked, counts.sleeping), (1, 0));
        assert_eq!((counts.total, counts.total_threads), (1, 5));
    }

    #[test]
    fn a_cut_line_counts_as_far_as_it_goes() {
        let mut counts = Counts::default();
        assert_eq!(counts.add(b"7 (a) Z 1 2"), None);
        assert_eq!((counts.zombies, counts.total), (1, 1));
        assert_eq!(counts.add(b"7 (a"), None);
        assert_eq!(counts.add(b""), None);
        assert_eq!(counts.add(b")"), None);
        assert_eq!(counts.total, 1);
    }
}

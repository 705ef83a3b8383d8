//! The records that wait on disk while no relay answers.
//!
//! A log of records in `spool/` and the position up to which it was sent in `spool.cursor`, both
//! below the data directory. What was put in survives the end of the process and of the host. It
//! comes out in order, at least once: after a crash the records that were on their way are sent
//! again, which changes nothing in the stores.
//!
//! The bytes on disk stay below a limit: the oldest records make room, and are counted. An empty
//! spool takes next to nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tandem_seglog::{Cursor, Log, Options, Reader, Sequence};
use tandem_vfs::Vfs;
use thiserror::Error;
use tracing::{error, warn};

use crate::counters::{Counters, Fate};
use crate::record::Record;

/// Space is freed segment by segment, so that they are a small part of the limit, within bounds.
const SEGMENTS_PER_LIMIT: u64 = 16;
const SEGMENT_BYTES_MIN: u64 = 64 << 10;
const SEGMENT_BYTES_MAX: u64 = 4 << 20;
/// How long the lock of an agent that was just killed is waited for: the kernel gives it back when the last
/// thread is gone, and one that waits for a disk takes its time.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
const LOCK_PAUSE: Duration = Duration::from_millis(20);
/// What an empty spool may keep on disk.
const EMPTY_BYTES_MAX: u64 = 16 << 10;

/// Why a record is not in the spool.
#[derive(Debug, Error)]
pub(crate) enum SpoolError {
    #[error("the disk has only {} MiB left", available_bytes >> 20)]
    NoSpace { available_bytes: u64 },
    #[error("it is full")]
    Full,
    #[error("{0}")]
    Log(#[from] tandem_seglog::Error),
}

/// The spool of one agent.
#[derive(Debug)]
pub(crate) struct Spool {
    vfs: Arc<dyn Vfs>,
    data_dir: PathBuf,
    log: Log,
    cursor: Cursor,
    reader: Reader,
    /// Read and not yet settled, in order; [`Spool::peek`] hands these out.
    ahead: Vec<(Sequence, Record)>,
    /// Lines that the log holds from the cursor on.
    lines: u64,
    bytes_max: u64,
    counters: Arc<Counters>,
}

impl Spool {
    /// Opens the spool in `data_dir`, which is made if missing. What is found there counts as
    /// recovered.
    ///
    /// # Errors
    /// Where the directory cannot be used, or another agent does and goes on to do so.
    pub(crate) fn open(
        vfs: &Arc<dyn Vfs>,
        data_dir: &Path,
        bytes_max: u64,
        counters: Arc<Counters>,
    ) -> Result<Self, tandem_seglog::Error> {
        Self::open_within(LOCK_PATIENCE, vfs, data_dir, bytes_max, counters)
    }

    fn open_within(
        lock_patience: Duration,
        vfs: &Arc<dyn Vfs>,
        data_dir: &Path,
        bytes_max: u64,
        counters: Arc<Counters>,
    ) -> Result<Self, tandem_seglog::Error> {
        let deadline = Instant::now() + lock_patience;
        let options = Options {
            segment_bytes_max: (bytes_max / SEGMENTS_PER_LIMIT)
                .clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX),
            ..Options::default()
        };
        // The cursor's directory must exist, and the log makes its own: so the log comes first.
        // Lines are noted by record, because the cursor is not known yet.
        let mut found: Vec<(Sequence, u64)> = Vec::new();
        let mut open_log = |options: Options| {
            found.clear();
            let dir = data_dir.join("spool");
            Log::open(Arc::clone(vfs), &dir, options, &mut |sequence, bytes| {
                let lines = Record::decode_header(bytes).map_or(0, |(lines, _)| lines);
                found.push((sequence, lines));
                Ok(())
            })
        };
        let (mut log, mut recovery) = loop {
            match open_log(options.clone()) {
                Err(tandem_seglog::Error::Locked { .. }) if Instant::now() < deadline => {
                    std::thread::sleep(LOCK_PAUSE);
                }
                other => break other?,
            }
        };
        let cursor = Cursor::open(&**vfs, &data_dir.join("spool.cursor"))?;
        if cursor.value() > log.next_sequence() {
            // Someone removed the log alone: new records must not look as if they had been sent.
            drop(log);
            let first_sequence = cursor.value();
            (log, recovery) = open_log(Options {
                first_sequence,
                ..options
            })?;
        }
        for corruption in &recovery.corruptions {
            error!("spool damaged: {corruption}");
        }
        let waiting = |(sequence, _): &&(Sequence, u64)| *sequence >= cursor.value();
        let lines: u64 = found.iter().filter(waiting).map(|(_, lines)| lines).sum();
        counters.change(|accounts| {
            accounts.recovered += lines;
            accounts.buffered += lines;
        });
        let mut spool = Self {
            vfs: Arc::clone(vfs),
            data_dir: data_dir.to_path_buf(),
            reader: log.reader(cursor.value()),
            log,
            cursor,
            ahead: Vec::new(),
            lines,
            bytes_max,
            counters,
        };
        spool.shrink()?;
        Ok(spool)
    }

    /// Whether everything was sent.
    pub(crate) fn is_empty(&self) -> bool {
        self.cursor.value() >= self.log.next_sequence() || self.lines == 0
    }

    /// Lines that wait here.
    #[cfg(test)]
    pub(crate) fn lines(&self) -> u64 {
        self.lines
    }

    /// Has another limit from now on.
    pub(crate) fn set_bytes_max(&mut self, bytes_max: u64) {
        self.bytes_max = bytes_max;
    }

    /// Appends a record, which is durable on `Ok`, and makes room for it where needed. A disk with
    /// less than `free_bytes_min` left is not filled further: others need it, too.
    ///
    /// # Errors
    /// When it could not be written; then it is not here.
    pub(crate) fn append(
        &mut self,
        record: &Record,
        free_bytes_min: u64,
    ) -> Result<(), SpoolError> {
        // Where nobody can tell, the write itself will.
        let available_bytes = self.vfs.available_bytes(&self.data_dir).unwrap_or(u64::MAX);
        if free_bytes_min > 0 && available_bytes < free_bytes_min {
            return Err(SpoolError::NoSpace { available_bytes });
        }
        self.make_room(record.body.len() as u64)?;
        let ticket = self.log.append(&[&record.header(), &record.body])?;
        self.log.commit(&ticket)?;
        self.lines += record.lines;
        Ok(())
    }

    /// As [`Spool::append`], but drops nothing to make room: records on their way must stay where they are.
    ///
    /// # Errors
    /// Also when there is no room.
    pub(crate) fn append_in_room(
        &mut self,
        record: &Record,
        free_bytes_min: u64,
    ) -> Result<(), SpoolError> {
        let bytes = self
            .log
            .bytes_total()
            .saturating_add(record.body.len() as u64);
        if bytes > self.bytes_max {
            return Err(SpoolError::Full);
        }
        self.append(record, free_bytes_min)
    }

    /// The oldest records, at most `bytes_max` of them but at least one, as long as there are any.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub(crate) fn peek(
        &mut self,
        bytes_max: usize,
    ) -> Result<impl Iterator<Item = &Record> + Clone, tandem_seglog::Error> {
        let mut bytes: usize = self.ahead.iter().map(|(_, record)| record.body.len()).sum();
        while self.ahead.is_empty() || bytes < bytes_max {
            let Some((sequence, record)) = self.read_next()? else {
                break;
            };
            bytes += record.body.len();
            self.ahead.push((sequence, record));
        }
        let mut bytes_left = bytes_max;
        let fitting = self
            .ahead
            .iter()
            .enumerate()
            .take_while(move |(at, (_, record))| {
                let fits = record.body.len() <= bytes_left;
                bytes_left = bytes_left.saturating_sub(record.body.len());
                *at == 0 || fits
            });
        Ok(fitting.map(|(_, (_, record))| record))
    }

    /// Takes the first `records` of those last peeked at out for good.
    ///
    /// # Errors
    /// When the position could not be stored: after a crash they may be sent again.
    pub(crate) fn settle(&mut self, records: usize) -> Result<(), tandem_seglog::Error> {
        let mut end = self.cursor.value();
        for (sequence, record) in self.ahead.drain(..records.min(self.ahead.len())) {
            self.lines = self.lines.saturating_sub(record.lines);
            end = sequence + 1;
        }
        self.advance(end)?;
        self.log.cut_below(end)?;
        self.shrink()
    }

    /// Stores the position, at least `position`. A cursor whose sync failed takes no more; a new one takes its place, or
    /// nothing would count as sent before the next start.
    fn advance(&mut self, position: Sequence) -> Result<(), tandem_seglog::Error> {
        let position = position.max(self.cursor.value());
        let stored = self.cursor.store(position);
        stored.or_else(|_| self.cursor.store_anew(&*self.vfs, position))
    }

    /// Drops records from before `oldest_ns`, and counts them.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub(crate) fn expire(&mut self, oldest_ns: i64) -> Result<(), tandem_seglog::Error> {
        let (mut lines, mut is_any) = (0, false);
        while !self.is_empty() {
            let first = self
                .peek(1)?
                .next()
                .map(|record| (record.time_ns, record.lines));
            let Some((_, more)) = first.filter(|(time_ns, _)| *time_ns < oldest_ns) else {
                break;
            };
            self.settle(1)?;
            (lines, is_any) = (lines + more, true);
        }
        if is_any {
            self.counters.settle(lines, Fate::Dropped);
            warn!(lines, "spooled lines were too old and dropped");
        }
        Ok(())
    }

    /// The next readable record; damage is logged and passed over.
    fn read_next(&mut self) -> Result<Option<(Sequence, Record)>, tandem_seglog::Error> {
        loop {
            match self.reader.next() {
                Ok(Some((sequence, bytes))) => match Record::decode(bytes) {
                    Some(mut record) => {
                        record.hold(&self.counters);
                        return Ok(Some((sequence, record)));
                    }
                    None => warn!(sequence, "a spooled record of another version is left out"),
                },
                Ok(None) => {
                    // All was read: lines still missing lay in damaged records.
                    let ahead: u64 = self.ahead.iter().map(|(_, record)| record.lines).sum();
                    let lost = self.lines.saturating_sub(ahead);
                    self.lines = ahead;
                    self.counters.settle(lost, Fate::Dropped);
                    return Ok(None);
                }
                Err(damage @ tandem_seglog::Error::Corrupt { .. }) => error!("spool: {damage}"),
                Err(other) => return Err(other),
            }
        }
    }

    /// Drops the oldest records until `bytes` more keep within the limit.
    fn make_room(&mut self, bytes: u64) -> Result<(), tandem_seglog::Error> {
        let mut dropped = 0;
        while self.log.bytes_total().saturating_add(bytes) > self.bytes_max {
            let oldest = if self.ahead.is_empty() {
                self.read_next()?
            } else {
                Some(self.ahead.remove(0))
            };
            let Some((sequence, record)) = oldest else {
                // Only what was sent already is left.
                self.log.rotate()?;
                self.log.cut_below(self.log.next_sequence())?;
                break;
            };
            if self.log.segments() == 1 {
                self.log.rotate()?;
            }
            self.lines = self.lines.saturating_sub(record.lines);
            self.counters.settle(record.lines, Fate::Dropped);
            dropped += record.lines;
            self.log.cut_below(sequence + 1)?;
        }
        if dropped > 0 {
            let oldest = self.ahead.first().map(|(sequence, _)| *sequence);
            let position = oldest.unwrap_or_else(|| self.reader.position());
            self.advance(position)?;
            warn!(
                lines = dropped,
                "the spool is full: the oldest lines were dropped"
            );
        }
        Ok(())
    }

    /// Gives the disk space of an empty spool back.
    fn shrink(&mut self) -> Result<(), tandem_seglog::Error> {
        if self.is_empty() && self.log.bytes_total() > EMPTY_BYTES_MAX {
            self.log.rotate()?;
            self.log.cut_below(self.log.next_sequence())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

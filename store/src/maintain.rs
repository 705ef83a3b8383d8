//! Work in the background: flushes when memory, age or the WAL's length ask for one, enforces
//! retention, makes shards that will be needed soon, and removes the files of what was dropped or deleted.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tandem_seglog::Sequence;

use crate::commit::Committer;
use crate::compact::{CompactionThread, Compactor};
use crate::core::Core;
use crate::error::StoreError;
use crate::flush::{Flush, freeze};
use crate::precreate::precreate;
use crate::purge::purge;
use crate::reclaim::reclaim;
use crate::thread;

/// How often the thread looks at age and WAL when nobody wakes it.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often shards that will be needed soon are looked for.
const PRECREATE_EVERY: Duration = Duration::from_secs(60);
/// How often series of which nothing is left are looked for when nobody says that there may be some.
const RECLAIM_EVERY: Duration = Duration::from_secs(60);
/// How long a flush waits at most for compaction that is behind.
const BEHIND_WAIT_MAX: Duration = Duration::from_secs(10);
/// A WAL of fewer bytes is not cut to make space.
const WAL_REST_BYTES: u64 = 64 << 10;
/// How long after a failed flush the next one is tried.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Flushes, one at a time, whoever asks.
#[derive(Debug)]
pub(crate) struct Flusher {
    core: Arc<Core>,
    committer: Arc<Committer>,
    /// Up to where memtables were frozen by a flush that failed, to be written out again.
    pending: Mutex<Option<Sequence>>,
}

impl Flusher {
    pub(crate) fn new(core: Arc<Core>, committer: Arc<Committer>) -> Self {
        Self {
            core,
            committer,
            pending: Mutex::default(),
        }
    }

    /// Writes everything that is applied into files and cuts the WAL.
    pub(crate) fn flush(&self) -> Result<(), StoreError> {
        self.try_flush().inspect_err(|error| {
            if error.is_storage_full() {
                self.release_spares();
            }
        })
    }

    fn try_flush(&self) -> Result<(), StoreError> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(through) = *pending {
            self.write_out(through)?;
            *pending = None;
        }
        let through = self.committer.between_applies(|applied| {
            freeze(&self.core, applied);
            applied
        });
        *pending = Some(through);
        self.write_out(through)?;
        *pending = None;
        Ok(())
    }

    fn write_out(&self, through: Sequence) -> Result<(), StoreError> {
        let begun = Instant::now();
        let written = Flush::gather(&self.core, through).write_out(&self.core);
        self.core.writes.flushed(begun.elapsed(), written.is_ok());
        self.finish(written?);
        Ok(())
    }

    /// Frees the WAL. What cannot be cut now is cut after the next flush: only space is lost.
    fn finish(&self, wal_needed_from: Sequence) {
        let wal = self.committer.wal();
        // The last segment is never cut, and no write will end it where none is taken.
        let rotated = match self.is_disk_full() {
            true => wal.rotate(),
            false => Ok(()),
        };
        if let Err(error) = rotated.and_then(|()| wal.cut_below(wal_needed_from)) {
            tracing::warn!(error = chain(&error), "cannot cut the WAL now");
        }
        self.core.budget.freed();
    }

    /// Whether writes are refused because of it.
    fn is_disk_full(&self) -> bool {
        let free = self.core.vfs.available_bytes(&self.core.dir);
        free.is_ok_and(|free| free < self.core.options.free_bytes_min)
    }

    /// Whether the disk is full and a flush would free what the WAL has of it. What it keeps to be written
    /// again is given back here.
    fn could_make_space(&self) -> bool {
        let wal = self.committer.wal();
        let is_full =
            (wal.spares() > 0 || wal.bytes_total() > WAL_REST_BYTES) && self.is_disk_full();
        if is_full {
            self.release_spares();
        }
        is_full && wal.bytes_total() > WAL_REST_BYTES
    }

    fn release_spares(&self) {
        let wal = self.committer.wal();
        if wal.spares() > 0
            && wal.check().is_ok()
            && let Err(error) = wal.release_spares()
        {
            tracing::warn!(
                error = chain(&error),
                "cannot remove spare files of the WAL now"
            );
        }
    }

    fn is_due(&self, oldest: Option<Instant>) -> bool {
        let options = &self.core.options;
        self.core.memtable_bytes() >= self.core.budget.writes_max() / 2
            || self.committer.wal().bytes_total() >= options.wal_bytes_max
            || oldest.is_some_and(|since| since.elapsed() >= options.flush_age_max)
    }
}

/// The background thread; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Maintenance {
    signal: Arc<Signal>,
    thread: Option<JoinHandle<()>>,
    compaction: Arc<CompactionThread>,
}

#[derive(Debug, Default)]
struct Signal {
    state: Mutex<Wanted>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Wanted {
    stop: bool,
    look: bool,
}

impl Signal {
    fn lock(&self) -> MutexGuard<'_, Wanted> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Maintenance {
    pub(crate) fn start(
        core: Arc<Core>,
        flusher: Arc<Flusher>,
        compactor: Arc<Compactor>,
    ) -> std::io::Result<Self> {
        let compaction = Arc::new(CompactionThread::start(compactor)?);
        let signal = Arc::new(Signal::default());
        let (theirs, then) = (Arc::clone(&signal), Arc::clone(&compaction));
        let thread = thread::spawn("store-maintain", move || {
            run(&theirs, &core, &flusher, &then);
        })?;
        Ok(Self {
            signal,
            thread: Some(thread),
            compaction,
        })
    }

    /// Has the thread look now.
    pub(crate) fn wake(&self) {
        self.signal.lock().look = true;
        self.signal.changed.notify_all();
    }
}

impl Drop for Maintenance {
    fn drop(&mut self) {
        self.signal.lock().stop = true;
        self.signal.changed.notify_all();
        self.compaction.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store's background thread panicked");
        }
    }
}

fn run(signal: &Signal, core: &Core, flusher: &Flusher, compaction: &CompactionThread) {
    let mut oldest = None;
    let mut not_before: Option<Instant> = None;
    let mut retention_due: Option<Instant> = None;
    let mut precreated: Option<Instant> = None;
    let mut reclaimed = Instant::now();
    loop {
        {
            let mut wanted = signal
                .changed
                .wait_timeout_while(signal.lock(), LOOK_EVERY, |w| !w.stop && !w.look)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            if wanted.stop {
                return;
            }
            wanted.look = false;
        }
        if retention_due.is_none_or(|at| Instant::now() >= at) {
            if let Err(error) = core.enforce_retention() {
                tracing::error!(
                    error = chain(&error),
                    "cannot drop shards past their retention now"
                );
            }
            retention_due = Instant::now().checked_add(core.options.retention_check_interval);
        }
        if precreated.is_none_or(|at| at.elapsed() >= PRECREATE_EVERY) {
            if let Err(error) = precreate(core) {
                // Its first row makes it, or is told why that cannot be.
                tracing::warn!(error = chain(&error), "cannot make the next shard now");
            }
            precreated = Some(Instant::now());
        }
        if let Err(error) = purge(core) {
            tracing::warn!(error = chain(&error), "cannot remove deleted files now");
        }
        flusher.committer.forget();
        core.remove_garbage();
        let is_wanted = flusher.could_make_space();
        core.keep_ballast();
        if core.take_series_gone() || reclaimed.elapsed() >= RECLAIM_EVERY {
            reclaim(core, &flusher.committer);
            reclaimed = Instant::now();
        }
        core.weigh_index();
        if core.memtable_bytes() == 0 {
            oldest = None;
        } else {
            oldest.get_or_insert_with(Instant::now);
        }
        let is_due = is_wanted || flusher.is_due(oldest);
        if !is_due || not_before.is_some_and(|at| Instant::now() < at) {
            continue;
        }
        compaction.wait_while_behind(BEHIND_WAIT_MAX);
        match flusher.flush() {
            Ok(()) => {
                compaction.wake();
                oldest = None;
                not_before = None;
            }
            Err(error) => {
                tracing::error!(
                    error = chain(&error),
                    "flush failed; what it holds stays in memory and in the WAL, and it is tried again"
                );
                not_before = Some(Instant::now() + RETRY_AFTER);
            }
        }
    }
}

/// An error with its sources, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        source = error.source();
    }
    text
}

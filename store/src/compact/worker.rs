//! Does what the policy says, one merge at a time.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tandem_codec::Effort;
use tandem_model::{ShardId, TimeRange};

use super::limiter::Limiter;
use super::merger::{MergeError, merge_files};
use super::policy::{Candidate, Choice, LEVEL_SETTLED, choose_between, choose_smallest, is_cold};
use super::stats::{CompactionStats, Counters};
use crate::block::{BlockError, BlockFile, BlockWriter, Header};
use crate::core::Core;
use crate::error::StoreError;
use crate::manifest::{Edit, FileRecord};
use crate::shard::{Shard, ShardFile};
use crate::tombstone::Tombstone;

/// A shard with so many files of level 0 has compaction behind: flushes wait.
const FILES_BEHIND: usize = 100;
/// What a merge leaves free that is to make space.
const SCARCE_BYTES_MIN: u64 = 1 << 20;
/// How long a file that the system could not read is left alone.
const BARRED_AFTER_IO: Duration = Duration::from_secs(600);
/// How often it is said that a merge waits for free space, which is looked for each second.
const SAY_FULL_EVERY_NS: i64 = 600_000_000_000;

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Compactor {
    core: Arc<Core>,
    /// Held for one merge.
    merging: Mutex<()>,
    watch: Mutex<Watch>,
    stopping: AtomicBool,
}

/// What is known of shards and files beside what they hold.
#[derive(Debug, Default)]
struct Watch {
    /// The newest sequence in a shard's files, and when it was first seen there.
    newest: HashMap<ShardId, (u64, i64)>,
    /// Files that could not be merged, with their names, and until when they are left alone.
    barred: BTreeMap<u64, (PathBuf, i64)>,
    /// When it was last said that a merge waits for free space.
    said_full_ns: Option<i64>,
}

impl Watch {
    /// True when it is time to say that a merge waits for free space.
    fn may_say_full(&mut self, now_ns: i64) -> bool {
        let again_ns = |said_ns: i64| said_ns.saturating_add(SAY_FULL_EVERY_NS);
        let is_new = self
            .said_full_ns
            .is_none_or(|said_ns| now_ns < said_ns || now_ns >= again_ns(said_ns));
        if is_new {
            self.said_full_ns = Some(now_ns);
        }
        is_new
    }
}

/// Who asks for a merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// The thread: what is due now, at its pace.
    Background,
    /// The thread where there is no space for that: one file of which much is deleted, and which is smaller
    /// afterwards.
    Scarce,
    /// A caller that waits: everything, as fast as it goes.
    Settle,
}

/// How a merge ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The shard's files are others now, or one is left alone from now on.
    Changed,
    /// There is nothing more to do here now.
    Done,
}

/// A merge that was begun.
struct Job<'a> {
    shard: &'a Shard,
    inputs: Vec<Arc<ShardFile>>,
    tombstones: Vec<Arc<Tombstone>>,
    record: FileRecord,
    level: u8,
    effort: Effort,
}

impl Compactor {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self {
            core,
            merging: Mutex::default(),
            watch: Mutex::default(),
            stopping: AtomicBool::new(false),
        }
    }

    /// Makes a merge under way, and those that would begin, end soon.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Merges until nothing is due in any shard, as if no more writes were to come. A shard that
    /// gets writes meanwhile may have something due again when this returns.
    pub(crate) fn settle(&self) -> Result<(), StoreError> {
        for shard in self.shards() {
            while self.step(&shard, Mode::Settle)? == Outcome::Changed {}
        }
        Ok(())
    }

    /// Merges what is due now; `true` when all that can be done is. Ends early when
    /// `is_wanted_elsewhere` says so after a merge, so that a shard with many new files is not kept
    /// waiting by many that are cold.
    pub(crate) fn run_due(
        &self,
        is_wanted_elsewhere: &dyn Fn() -> bool,
    ) -> Result<bool, StoreError> {
        self.forget_what_is_gone();
        let mut due: Vec<(usize, Arc<Shard>)> = Vec::new();
        for shard in self.shards() {
            if self.choose(&shard, Mode::Background).1 != Choice::Nothing {
                due.push((new_files(&shard), shard));
            }
        }
        due.sort_by_key(|(files, _)| std::cmp::Reverse(*files));
        for (_, shard) in due {
            while self.step(&shard, Mode::Background)? == Outcome::Changed {
                if is_wanted_elsewhere() || self.is_stopping() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// True when a shard has so many new files that writing more of them should wait.
    pub(crate) fn is_behind(&self) -> bool {
        self.shards()
            .iter()
            .any(|shard| new_files(shard) >= FILES_BEHIND)
    }

    pub(crate) fn stats(&self) -> CompactionStats {
        let barred = self
            .watch()
            .barred
            .values()
            .map(|(path, _)| path.clone())
            .collect();
        CompactionStats {
            removals_pending: self.core.handles.removals_pending() as u64,
            damaged: barred,
            ..self.core.counters.snapshot()
        }
    }

    fn shards(&self) -> Vec<Arc<Shard>> {
        let databases = self.core.databases();
        let shards = databases.iter().flat_map(|database| {
            let policies = database.policies();
            policies.all_shards().cloned().collect::<Vec<_>>()
        });
        shards.collect()
    }

    fn forget_what_is_gone(&self) {
        let shards = self.shards();
        let ids: Vec<ShardId> = shards.iter().map(|shard| shard.id).collect();
        let mut watch = self.watch();
        if watch.newest.len() > 2 * ids.len() {
            watch.newest.retain(|id, _| ids.contains(id));
        }
        if !watch.barred.is_empty() {
            let files = shards.iter().flat_map(|shard| {
                let data = shard.data();
                data.files.iter().map(|f| f.record.id).collect::<Vec<_>>()
            });
            let files: Vec<u64> = files.collect();
            watch.barred.retain(|id, _| files.contains(id));
        }
    }

    /// What is to be done with a shard, and the files that it is about.
    fn choose(&self, shard: &Shard, mode: Mode) -> (Vec<Arc<ShardFile>>, Choice) {
        let now_ns = self.core.options.clock.now_ns();
        let (files, lost, tombstones, waits) = {
            let data = shard.data();
            if data.dropped || data.files.is_empty() {
                return (Vec::new(), Choice::Nothing);
            }
            let waits = !data.active.is_empty() || !data.frozen.is_empty();
            let (files, lost) = (data.files.clone(), data.lost.clone());
            (files, lost, data.tombstones.clone(), waits)
        };
        let mut watch = self.watch();
        let newest = files.last().map_or(0, |file| file.record.max_sequence);
        let seen = watch.newest.entry(shard.id).or_insert((newest, now_ns));
        if seen.0 < newest || seen.1 > now_ns {
            *seen = (newest, now_ns);
        }
        let quiet_ns = now_ns.saturating_sub(seen.1);
        let quiet = Duration::from_nanos(quiet_ns.unsigned_abs());
        let cold_after = self.core.options.cold_after;
        let is_cold =
            mode == Mode::Settle || (!waits && is_cold(shard.range, now_ns, quiet, cold_after));
        let candidates: Vec<Candidate> = files
            .iter()
            .map(|file| Candidate {
                level: file.meta().level,
                len_bytes: file.record.len_bytes,
                hidden_percent: hidden_percent(file, &tombstones),
                barred: watch
                    .barred
                    .get(&file.record.id)
                    .is_some_and(|(_, until_ns)| now_ns < *until_ns),
            })
            .collect();
        drop(watch);
        let order = |record: &FileRecord| (record.max_sequence, record.id);
        let gaps = lost
            .iter()
            .map(|lost| files.partition_point(|file| order(&file.record) < order(lost)));
        let choice = match mode {
            Mode::Scarce => choose_smallest(&candidates),
            _ => choose_between(&candidates, gaps, is_cold),
        };
        (files, choice)
    }

    /// Does one merge in a shard, if one is due.
    fn step(&self, shard: &Shard, mode: Mode) -> Result<Outcome, StoreError> {
        let _one = self.merging.lock().unwrap_or_else(PoisonError::into_inner);
        self.step_alone(shard, mode)
    }

    fn step_alone(&self, shard: &Shard, mode: Mode) -> Result<Outcome, StoreError> {
        let (files, choice) = self.choose(shard, mode);
        let Choice::Merge {
            files: at,
            level,
            effort,
        } = choice
        else {
            return Ok(Outcome::Done);
        };
        // Where it takes no changes, each attempt would leave a file behind.
        self.core.manifest().check()?;
        let inputs = files[at].to_vec();
        match self.begin(shard, inputs, level, effort) {
            Some(job) => self.run(job, mode),
            None => Ok(Outcome::Done),
        }
    }

    /// Does a merge.
    fn run(&self, job: Job<'_>, mode: Mode) -> Result<Outcome, StoreError> {
        if let Err(error) = self.check_space(&job, mode) {
            Counters::add(&self.core.counters.no_space, 1);
            return match mode {
                Mode::Background => self.step_alone(job.shard, Mode::Scarce),
                Mode::Scarce => {
                    let now_ns = self.core.options.clock.now_ns();
                    if self.watch().may_say_full(now_ns) {
                        tracing::warn!(%error, "a compaction waits for free space");
                    }
                    Ok(Outcome::Done)
                }
                Mode::Settle => Err(error),
            };
        }
        let path = job.shard.dir.join(job.record.name());
        let temporary = path.with_extension("tmp");
        let written = self.write(&job, &temporary, mode);
        let outcome = match written {
            Ok(len_bytes) => return self.finish(job, len_bytes, &temporary, &path),
            Err(MergeError::Stopped) => Ok(Outcome::Done),
            Err(MergeError::Input { at, error }) => {
                self.bar(&job.inputs[at], &error);
                Ok(Outcome::Changed)
            }
            Err(MergeError::Types { at }) => {
                let file = &job.inputs[at];
                let error = BlockError::Refused {
                    file: file.path().to_owned(),
                    what: "a field has another type than in newer files of the shard",
                };
                self.bar(file, &error);
                Ok(Outcome::Changed)
            }
            // Its directory may be gone already.
            Err(MergeError::Output(_)) if job.shard.data().dropped => Ok(Outcome::Done),
            Err(MergeError::Output(error)) => {
                Counters::add(&self.core.counters.failures, 1);
                Err(error.into())
            }
        };
        self.core.discard(&[temporary]);
        outcome
    }

    /// Fixes what a merge is about; `None` when the shard is gone.
    fn begin<'a>(
        &self,
        shard: &'a Shard,
        inputs: Vec<Arc<ShardFile>>,
        level: u8,
        effort: Effort,
    ) -> Option<Job<'a>> {
        let id = self.core.manifest().reserve_file_id();
        let tombstones = {
            let data = shard.data();
            if data.dropped {
                return None;
            }
            data.tombstones.clone()
        };
        let purged = inputs.iter().map(|file| file.record.purged_below);
        let purged = purged.chain(tombstones.last().map(|t| t.id + 1));
        let record = FileRecord {
            id,
            len_bytes: 0,
            min_sequence: inputs.first()?.record.min_sequence,
            max_sequence: inputs.last()?.record.max_sequence,
            purged_below: purged.max().unwrap_or(0),
        };
        Some(Job {
            shard,
            inputs,
            tombstones,
            record,
            level,
            effort,
        })
    }

    /// Refuses a merge whose result might fill the disk. Where space is scarce only what is not in files yet has a
    /// claim on what is free: were there a reserve, no deletion would ever end the scarcity.
    fn check_space(&self, job: &Job<'_>, mode: Mode) -> Result<(), StoreError> {
        let expected = job.inputs.iter().map(|file| {
            let hidden = u64::from(hidden_percent(file, &job.tombstones));
            file.record.len_bytes / 100 * (100 - hidden)
        });
        let usual = self.core.options.free_bytes_min.saturating_mul(2);
        let reserve = match mode {
            Mode::Scarce => usual.min(self.core.memtable_bytes() as u64 + SCARCE_BYTES_MIN),
            Mode::Background | Mode::Settle => usual,
        };
        let needed_bytes = expected.sum::<u64>().saturating_add(reserve);
        match self.core.vfs.available_bytes(&self.core.dir) {
            Ok(free_bytes) if free_bytes < needed_bytes => Err(StoreError::NoSpace {
                free_bytes,
                needed_bytes,
            }),
            _ => Ok(()),
        }
    }

    /// Writes the result under a temporary name, durably; its length in bytes, or `None` when
    /// nothing is left.
    fn write(
        &self,
        job: &Job<'_>,
        temporary: &Path,
        mode: Mode,
    ) -> Result<Option<u64>, MergeError> {
        let header = Header {
            shard: job.shard.id,
            level: job.level,
            min_seq: job.record.min_sequence,
            max_seq: job.record.max_sequence,
        };
        let mut writer = BlockWriter::create(&*self.core.vfs, temporary, header, job.effort)
            .map_err(MergeError::Output)?;
        let rate = match mode {
            Mode::Background | Mode::Scarce => self.core.options.compaction_bytes_per_s,
            Mode::Settle => 0,
        };
        let mut limiter = Limiter::new(rate, Instant::now());
        let mut progress = |bytes| {
            // Files that pile up are the greater evil.
            let wait = match new_files(job.shard) < FILES_BEHIND {
                true => limiter.pass(bytes, Instant::now()),
                false => Duration::ZERO,
            };
            self.rest(wait);
            !self.is_stopping() && !job.shard.data().dropped
        };
        merge_files(&job.inputs, &job.tombstones, &mut writer, &mut progress)?;
        let meta = writer.finish().map_err(MergeError::Output)?;
        Ok((meta.rows > 0).then_some(meta.len_bytes))
    }

    /// Sleeps, but wakes up to be stopped.
    fn rest(&self, wait: Duration) {
        let until = Instant::now() + wait;
        while !self.is_stopping()
            && let Some(left) = until.checked_duration_since(Instant::now())
            && !left.is_zero()
        {
            std::thread::sleep(left.min(Duration::from_millis(50)));
        }
    }

    /// Gives the result its name and makes it take the place of the inputs.
    fn finish(
        &self,
        mut job: Job<'_>,
        len_bytes: Option<u64>,
        temporary: &Path,
        path: &Path,
    ) -> Result<Outcome, StoreError> {
        let added = match len_bytes {
            None => {
                self.core.discard(&[temporary.to_owned()]);
                None
            }
            Some(len_bytes) => {
                job.record.len_bytes = len_bytes;
                let opened = self.name_and_open(&job, temporary, path);
                let file = opened.inspect_err(|_| {
                    Counters::add(&self.core.counters.failures, 1);
                    self.core.discard(&[temporary.to_owned(), path.to_owned()]);
                })?;
                Some(Arc::new(file))
            }
        };
        let replaced = self.commit(&job, added.as_ref())?;
        if !replaced {
            self.core.discard(&[path.to_owned()]);
            return Ok(Outcome::Changed);
        }
        let counters = &self.core.counters;
        let read = job.inputs.iter().map(|file| file.record.len_bytes).sum();
        let written = if job.level >= LEVEL_SETTLED {
            &counters.cold_bytes
        } else {
            &counters.level_bytes
        };
        Counters::add(&counters.merges, 1);
        Counters::add(&counters.read_bytes, read);
        Counters::add(written, job.record.len_bytes);
        for file in &job.inputs {
            file.remove_when_dropped();
        }
        Ok(Outcome::Changed)
    }

    fn name_and_open(
        &self,
        job: &Job<'_>,
        temporary: &Path,
        path: &Path,
    ) -> Result<ShardFile, StoreError> {
        let (vfs, dir) = (&self.core.vfs, &job.shard.dir);
        vfs.rename(temporary, path)
            .map_err(StoreError::io("rename block file", path))?;
        vfs.sync_dir(dir)
            .map_err(StoreError::io("sync directory", dir))?;
        let block = BlockFile::open(&self.core.handles, path)?;
        Ok(ShardFile {
            record: job.record,
            block: block.with_cache(Arc::clone(&self.core.cache)),
        })
    }

    /// Puts `added` in the place of the inputs, durably and for all readers; `false` when they are
    /// not there any more, or when a deletion came that the result would escape.
    fn commit(&self, job: &Job<'_>, added: Option<&Arc<ShardFile>>) -> Result<bool, StoreError> {
        let mut manifest = self.core.manifest();
        let removed: Vec<u64> = job.inputs.iter().map(|file| file.record.id).collect();
        if !manifest.state().shards.contains_key(&job.shard.id) {
            return Ok(false);
        }
        let start = {
            let data = job.shard.data();
            let ids: Vec<u64> = data.files.iter().map(|file| file.record.id).collect();
            let start = ids.windows(removed.len()).position(|ids| ids == removed);
            let escapes = |t: &Arc<Tombstone>| {
                t.id >= job.record.purged_below && t.sequence < job.record.max_sequence
            };
            match start {
                Some(start) if !data.dropped && !data.tombstones.iter().any(escapes) => start,
                _ => return Ok(false),
            }
        };
        let edit = Edit::ReplaceFiles {
            shard: job.shard.id,
            removed,
            added: added.map(|file| file.record).into_iter().collect(),
        };
        let made = added.map(|file| file.path().to_owned());
        self.core
            .commit_files(&mut manifest, &[edit], made.as_slice())?;
        let mut data = job.shard.data_mut();
        let end = start + job.inputs.len();
        data.files.splice(start..end, added.cloned());
        Ok(true)
    }

    /// Leaves a file alone from now on.
    fn bar(&self, file: &ShardFile, error: &BlockError) {
        Counters::add(&self.core.counters.failures, 1);
        tracing::error!(
            %error,
            "block file cannot be read as a whole; it stays as it is, and others are merged without it"
        );
        let until_ns = match error {
            BlockError::Io { .. } => {
                let wait_ns = i64::try_from(BARRED_AFTER_IO.as_nanos()).unwrap_or(i64::MAX);
                self.core.options.clock.now_ns().saturating_add(wait_ns)
            }
            _ => i64::MAX,
        };
        self.watch()
            .barred
            .insert(file.record.id, (file.path().to_owned(), until_ns));
    }
}

/// How many files of a shard were not merged yet.
fn new_files(shard: &Shard) -> usize {
    let data = shard.data();
    let files = data.files.iter().rev();
    files.take_while(|file| file.meta().level == 0).count()
}

/// About how many of a hundred rows of a file are hidden; at least 1 when some may be.
fn hidden_percent(file: &ShardFile, tombstones: &[Arc<Tombstone>]) -> u8 {
    let mut percent = 0.0;
    let range = file.meta().range;
    for tombstone in tombstones.iter().filter(|t| t.concerns(file.age())) {
        let both = tombstone.range.intersect(&range);
        if both.is_empty() {
            continue;
        }
        let series: u64 = file
            .measurements()
            .iter()
            .map(|measurement| measurement.series.intersection_len(&tombstone.series))
            .sum();
        let of_series = series as f64 / file.meta().series.max(1) as f64;
        percent += 100.0 * of_series * (length(both) / length(range));
    }
    if percent > 0.0 {
        percent.clamp(1.0, 100.0) as u8
    } else {
        0
    }
}

fn length(range: TimeRange) -> f64 {
    range.max_ns as f64 - range.min_ns as f64 + 1.0
}

#[cfg(test)]
mod tests;

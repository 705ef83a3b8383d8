//! From a parsed batch to rows that are durable and readable: stage, commit, apply.
//!
//! - *Stage*, under the commit lock: check types, give ids to new series, write one WAL record
//!   into the log's buffer. The order of staging is the order of sequences, and that order alone
//!   decides which of two writes wins.
//! - *Commit*: wait until the log has synced the record, together with others (group commit).
//! - *Apply*, in the order of sequences: put the rows into the memtables and let readers see the
//!   new series. So nothing is readable before it is durable, and nothing is acknowledged before
//!   it is readable.
//!
//! When the log fails a group it fails everything staged behind it too, and gives the numbers
//! out again. The effects of staging (ids, types) of those batches are then taken back, newest
//! first, before anything else is staged.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use tandem_model::{SeriesId, ShardId};
use tandem_seglog::{Log, Sequence, Ticket};

use crate::batch::{Batch, SeriesRef, Spares};
use crate::database::Database;
use crate::error::{StoreError, WriteError};
use crate::frame::Frame;
use crate::index::{LimitExceeded, Limits};
use crate::refusal::Conflict;
use crate::shard::{NotAccepted, Shard};

/// What a batch is told that another one's failure took down.
const BUILT_ON_A_FAILURE: &str = "engine: a write before this one failed; try again";

/// Orders writes. See the module's head.
#[derive(Debug)]
pub(crate) struct Committer {
    wal: Log,
    staging: Mutex<Staging>,
    /// Every record up to this one is applied.
    applied: Mutex<Sequence>,
    turn: Condvar,
    spares: Spares,
}

#[derive(Debug)]
struct Staging {
    closed: bool,
    last: Sequence,
    /// What to take back when a record fails, oldest first. Applied ones are forgotten.
    effects: VecDeque<Effects>,
}

#[derive(Debug)]
struct Effects {
    sequence: Sequence,
    database: Arc<Database>,
    /// Length of the series table before.
    series_before: u32,
    /// Fields that got their type, with their measurement.
    fields: Vec<NewFields>,
}

/// Shard, measurement, and the names of the fields.
type NewFields = (Arc<Shard>, Arc<[u8]>, Vec<Arc<[u8]>>);

impl Effects {
    fn take_back(self) {
        for (shard, measurement, fields) in self.fields {
            shard.types().take_back(&measurement, &fields);
        }
        self.database.table_mut().truncate(self.series_before);
    }
}

/// Rows of a batch by the shard that they go to.
pub(crate) type Groups = Vec<(Arc<Shard>, Vec<u32>)>;

/// A batch that has its place in the order of writes.
#[derive(Debug)]
pub(crate) struct Staged {
    ticket: Ticket,
    database: Arc<Database>,
    batch: Batch,
    groups: Groups,
    new_series: Vec<SeriesId>,
}

impl Staged {
    /// How many rows the batch has.
    pub(crate) fn rows(&self) -> u64 {
        self.batch.rows.len() as u64
    }

    /// How many values these rows have.
    pub(crate) fn values(&self) -> u64 {
        let rows = self.batch.rows.iter();
        let fields = |template: u32| self.batch.templates[template as usize].fields.len() as u64;
        rows.map(|row| fields(row.template)).sum()
    }
}

/// Points that staging refused.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refused {
    pub(crate) dropped: u64,
    /// Those of them that are of series, or have tag values or fields, beyond the limits.
    pub(crate) limited: u64,
    /// Why the first of these could not be made.
    pub(crate) limit: Option<String>,
    /// The first point with fields of another type.
    pub(crate) conflict: Option<Conflict>,
}

impl Refused {
    /// Counts a row; says whether it stays.
    fn count(&mut self, verdict: Verdict) -> bool {
        self.dropped += u64::from(verdict != Verdict::Good);
        self.limited += u64::from(verdict == Verdict::BeyondLimit);
        verdict == Verdict::Good
    }
}

impl Committer {
    /// Goes on after the last record of `wal`, all of which are applied.
    pub(crate) fn new(wal: Log) -> Self {
        let last = wal.next_sequence() - 1;
        Self {
            wal,
            staging: Mutex::new(Staging {
                closed: false,
                last,
                effects: VecDeque::new(),
            }),
            applied: Mutex::new(last),
            turn: Condvar::new(),
            spares: Spares::default(),
        }
    }

    /// Batches to parse into.
    pub(crate) const fn spares(&self) -> &Spares {
        &self.spares
    }

    pub(crate) const fn wal(&self) -> &Log {
        &self.wal
    }

    /// Runs `action` with the sequence up to which everything is applied, while nothing more is.
    pub(crate) fn between_applies<T>(&self, action: impl FnOnce(Sequence) -> T) -> T {
        let applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
        action(*applied)
    }

    /// Makes sure that no record is found after a restart that was said to have failed.
    pub(crate) fn settle_end(&self) -> Result<(), StoreError> {
        self.wal.settle_end().map_err(|error| match error {
            e @ tandem_seglog::Error::Failed { .. } => StoreError::ReadOnly(format!("engine: {e}")),
            e => StoreError::log("cut WAL")(e),
        })
    }

    /// Stages nothing more, and returns when all that was staged is applied or has failed.
    pub(crate) fn close(&self) {
        self.exclusive(|staging, _| staging.closed = true);
    }

    /// Runs `action` with the last sequence while nothing is staged and everything that was is
    /// applied, or has failed and is taken back. It must not write.
    pub(crate) fn alone<T>(&self, action: impl FnOnce(Sequence) -> T) -> T {
        self.exclusive(|_, applied| action(applied))
    }

    fn exclusive<T>(&self, action: impl FnOnce(&mut Staging, Sequence) -> T) -> T {
        let mut staging = self.staging.lock().unwrap_or_else(PoisonError::into_inner);
        let mut applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
        // A record that fails is not announced, so this looks again from time to time.
        while *applied + 1 < self.wal.next_sequence() {
            let waited = self.turn.wait_timeout(applied, Duration::from_millis(10));
            applied = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        self.take_back_failed(&mut staging);
        action(&mut staging, *applied)
    }

    /// Checks, numbers and stages a batch; `None` when no point of it can be stored.
    pub(crate) fn stage(
        &self,
        database: &Arc<Database>,
        mut batch: Batch,
        generation: u64,
        shards: &[Arc<Shard>],
    ) -> Result<(Option<Staged>, Refused), WriteError> {
        let mut staging = self.staging.lock().unwrap_or_else(PoisonError::into_inner);
        if staging.closed {
            return Err(WriteError::ReadOnly("engine is closed".into()));
        }
        if database.table().generation() != generation {
            // Series that the batch was parsed against were taken back since.
            return Err(WriteError::Overloaded(BUILT_ON_A_FAILURE.into()));
        }
        self.forget_applied(&mut staging);
        let mut effects = Effects {
            sequence: staging.last + 1,
            database: Arc::clone(database),
            series_before: database.table().len(),
            fields: Vec::new(),
        };
        let mut refused = check_fields(&mut batch, shards, database.limits, &mut effects);
        if batch.rows.is_empty() {
            return Ok((None, refused));
        }
        let new_series = resolve_series(database, &mut batch, &mut refused);
        if batch.rows.is_empty() {
            effects.take_back();
            return Ok((None, refused));
        }
        let groups = group_by_shard(&batch, shards);
        let ticket = match self.append(&effects, &batch, &groups, &new_series) {
            Ok(ticket) => ticket,
            Err(error) => {
                effects.take_back();
                self.take_back_failed(&mut staging);
                return Err(write_error(error));
            }
        };
        staging.last = ticket.sequence();
        staging.effects.push_back(effects);
        let database = Arc::clone(database);
        Ok((
            Some(Staged {
                ticket,
                database,
                batch,
                groups,
                new_series: new_series.into_iter().map(|(id, _)| id).collect(),
            }),
            refused,
        ))
    }

    fn append(
        &self,
        effects: &Effects,
        batch: &Batch,
        groups: &Groups,
        new_series: &[(SeriesId, Box<[u8]>)],
    ) -> Result<Ticket, tandem_seglog::Error> {
        let new_series: Vec<(SeriesId, &[u8])> =
            new_series.iter().map(|(id, key)| (*id, &**key)).collect();
        let groups: Vec<(ShardId, &[u32])> = groups
            .iter()
            .map(|(shard, rows)| (shard.id, rows.as_slice()))
            .collect();
        self.wal.append_with(|sequence, out| {
            if sequence != effects.sequence {
                // Records before this one have failed since, and this one builds on them.
                return Err("records before this one failed".into());
            }
            Frame {
                database: effects.database.id,
                new_series: &new_series,
                batch,
                groups: &groups,
            }
            .encode(out);
            Ok(())
        })
    }

    /// Lets go of what would be needed to take back records that are applied: it holds on to shards
    /// and databases, which may have been dropped since.
    pub(crate) fn forget(&self) {
        let mut staging = self.staging.lock().unwrap_or_else(PoisonError::into_inner);
        self.forget_applied(&mut staging);
    }

    fn forget_applied(&self, staging: &mut Staging) {
        let applied = self.between_applies(|applied| applied);
        while staging
            .effects
            .front()
            .is_some_and(|e| e.sequence <= applied)
        {
            staging.effects.pop_front();
        }
    }

    /// Takes back the effects of all records whose numbers the log gives out again.
    fn take_back_failed(&self, staging: &mut Staging) {
        let next = self.wal.next_sequence();
        while let Some(effects) = staging.effects.pop_back_if(|e| e.sequence >= next) {
            effects.take_back();
        }
        staging.last = next - 1;
    }

    /// Makes a staged batch durable and readable.
    pub(crate) fn commit(&self, staged: Staged) -> Result<(), WriteError> {
        if let Err(error) = self.wal.commit(&staged.ticket) {
            let mut staging = self.staging.lock().unwrap_or_else(PoisonError::into_inner);
            self.take_back_failed(&mut staging);
            return Err(write_error(error));
        }
        let sequence = staged.ticket.sequence();
        let mut applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
        while *applied + 1 != sequence {
            applied = self
                .turn
                .wait(applied)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let new_series = staged.new_series.iter().copied();
        apply(&staged.database, &staged.batch, &staged.groups, new_series);
        *applied = sequence;
        drop(applied);
        self.turn.notify_all();
        self.spares.put(staged.batch);
        Ok(())
    }
}

/// Puts the rows of a durable batch where readers find them.
pub(crate) fn apply(
    database: &Database,
    batch: &Batch,
    groups: &Groups,
    new_series: impl Iterator<Item = SeriesId>,
) {
    let end = new_series.map(|id| id.0.saturating_add(1)).max();
    database.raise_applied_series(end.unwrap_or(0));
    for (shard, rows) in groups {
        let mut data = shard.data_mut();
        let data = &mut *data;
        if data.dropped {
            continue;
        }
        let before = data.active.bytes();
        let mut newest_ns = i64::MIN;
        for &at in rows {
            let row = &batch.rows[at as usize];
            let SeriesRef::Known(series) = row.series else {
                continue;
            };
            let template = &batch.templates[row.template as usize];
            let first = data.active.insert(
                series,
                template,
                row.time_ns,
                batch.words(row),
                &batch.strings,
            );
            if first {
                data.series.insert(series.0);
            }
            newest_ns = newest_ns.max(row.time_ns);
        }
        data.newest_ns = data.newest_ns.max(Some(newest_ns));
        database
            .memtable_bytes
            .fetch_add(data.active.bytes() - before, Ordering::AcqRel);
    }
}

/// What becomes of the rows of a template in a shard.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Good,
    OfAnotherType,
    BeyondLimit,
}

/// Drops the rows whose fields have another type already or are beyond the limit, and fixes the types of new fields.
fn check_fields(
    batch: &mut Batch,
    shards: &[Arc<Shard>],
    limits: Limits,
    effects: &mut Effects,
) -> Refused {
    let mut verdicts: HashMap<(u32, u32), Verdict, RandomState> = HashMap::default();
    let mut last: Option<((u32, u32), Verdict)> = None;
    let mut refused = Refused::default();
    let templates_of = &batch.templates;
    let mut row_number = 0;
    batch.rows.retain(|row| {
        let place = (row.shard, row.template);
        row_number += 1;
        if let Some((_, verdict)) = last.filter(|(at, _)| *at == place) {
            return refused.count(verdict);
        }
        let verdict = *verdicts.entry(place).or_insert_with(|| {
            let (shard, template) = (
                &shards[row.shard as usize],
                &templates_of[row.template as usize],
            );
            match shard.types().accept(template, limits) {
                Ok(fields) => {
                    if !fields.is_empty() {
                        effects.fields.push((
                            Arc::clone(shard),
                            Arc::clone(&template.measurement),
                            fields,
                        ));
                    }
                    Verdict::Good
                }
                Err(NotAccepted::TooMany) => {
                    let LimitExceeded(text) = limits.fields_exceeded(&template.measurement);
                    refused.limit.get_or_insert(text);
                    Verdict::BeyondLimit
                }
                Err(NotAccepted::Types(fields)) => {
                    refused.conflict.get_or_insert_with(|| Conflict {
                        row: row_number - 1,
                        template: Arc::clone(template),
                        fields,
                    });
                    Verdict::OfAnotherType
                }
            }
        });
        last = Some((place, verdict));
        refused.count(verdict)
    });
    refused
}

/// Gives every row its series id, and drops those whose series the limits do not let be made; returns
/// the series that are new.
fn resolve_series(
    database: &Database,
    batch: &mut Batch,
    refused: &mut Refused,
) -> Vec<(SeriesId, Box<[u8]>)> {
    let mut new_series = Vec::new();
    if batch.unknown.is_empty() && batch.aliases.is_empty() {
        return new_series;
    }
    let mut table = database.table_mut();
    for (raw, id) in batch.aliases.drain(..) {
        table.alias(&raw, id);
    }
    // For each key whether it was asked for, and its series if it has one.
    let mut ids: Vec<Option<Option<SeriesId>>> = vec![None; batch.unknown.len()];
    let unknown = &batch.unknown;
    batch.rows.retain_mut(|row| {
        let SeriesRef::Unknown(at) = row.series else {
            return true;
        };
        let id = *ids[at as usize].get_or_insert_with(|| {
            let key = &unknown[at as usize];
            let id = match table.find(&key.canonical) {
                Some(id) => id,
                None => match table.insert_within(&key.canonical, database.limits) {
                    Ok(id) => {
                        new_series.push((id, key.canonical.clone()));
                        id
                    }
                    Err(LimitExceeded(text)) => {
                        refused.limit.get_or_insert(text);
                        return None;
                    }
                },
            };
            if key.raw != key.canonical {
                table.alias(&key.raw, id);
            }
            Some(id)
        });
        match id {
            Some(id) => row.series = SeriesRef::Known(id),
            None => {
                refused.dropped += 1;
                refused.limited += 1;
            }
        }
        id.is_some()
    });
    new_series
}

fn group_by_shard(batch: &Batch, shards: &[Arc<Shard>]) -> Groups {
    let mut groups: Groups = shards
        .iter()
        .map(|shard| (Arc::clone(shard), Vec::new()))
        .collect();
    for (at, row) in (0_u32..).zip(&batch.rows) {
        groups[row.shard as usize].1.push(at);
    }
    groups.retain(|(_, rows)| !rows.is_empty());
    groups
}

fn write_error(error: tandem_seglog::Error) -> WriteError {
    match error {
        e if e.is_storage_full() => {
            WriteError::Full(format!("engine: no space left on device: {e}"))
        }
        // Not this batch's fault: it had been staged upon one that failed.
        tandem_seglog::Error::Encode { .. } => WriteError::Overloaded(BUILT_ON_A_FAILURE.into()),
        e @ tandem_seglog::Error::Failed { .. } => WriteError::ReadOnly(format!("engine: {e}")),
        e => StoreError::log("write to WAL")(e).into(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use tandem_line::ParseOptions;
    use tandem_model::{DatabaseId, TimeRange};
    use tandem_seglog::Options;
    use tandem_testkit::SimFs;

    use super::*;
    use crate::parse::parse;

    struct Bed {
        fs: SimFs,
        committer: Committer,
        database: Arc<Database>,
        shards: [Arc<Shard>; 1],
    }

    impl Bed {
        fn parse(&self, body: &str) -> (Batch, u64) {
            let (table, schemas) = (self.database.table(), &self.database.schemas);
            let parsed = parse(&table, schemas, body.as_bytes(), ParseOptions::default(), 0);
            (parsed.batch, parsed.generation)
        }

        fn stage(&self, (batch, generation): (Batch, u64)) -> Result<Staged, WriteError> {
            let staged = self
                .committer
                .stage(&self.database, batch, generation, &self.shards)?;
            Ok(staged.0.unwrap())
        }
    }

    /// A batch may be parsed while a series that it finds is not durable yet. When that series is
    /// taken back its id goes to another one, and the batch's rows must not go with it.
    #[test]
    fn a_batch_parsed_against_series_that_were_taken_back_is_refused() {
        let fs = SimFs::new(1);
        let vfs = Arc::new(fs.clone());
        let (wal, _) = Log::open(vfs, Path::new("/wal"), Options::default(), &mut |_, _| {
            Ok(())
        })
        .unwrap();
        let limits = Limits::default();
        let room = Arc::new(crate::schema::SchemaRoom::new(1 << 20));
        let database = Database::new(DatabaseId(0), "db".into(), PathBuf::new(), limits, room);
        let bed = Bed {
            fs,
            committer: Committer::new(wal),
            database: Arc::new(database),
            shards: [Arc::new(Shard::new(
                ShardId(0),
                TimeRange::ALL,
                PathBuf::new(),
            ))],
        };
        let first = bed.stage(bed.parse("m,k=1 v=1i 1")).unwrap();
        let second = bed.parse("m,k=1 v=2i 2");
        assert!(
            second.0.unknown.is_empty(),
            "the series is found before it is durable"
        );
        bed.fs.fail_after(0, std::io::ErrorKind::StorageFull);
        bed.committer.commit(first).unwrap_err();
        let third = bed.stage(bed.parse("m,k=3 v=3i 3")).unwrap();
        assert_eq!(
            third.new_series[0],
            SeriesId(0),
            "the id is given out again"
        );
        bed.committer.commit(third).unwrap();
        let error = bed.stage(second).unwrap_err();
        assert!(matches!(error, WriteError::Overloaded(_)), "{error:?}");
        let again = bed.stage(bed.parse("m,k=1 v=2i 2")).unwrap();
        assert_eq!(again.new_series[0], SeriesId(1));
        bed.committer.commit(again).unwrap();
    }
}

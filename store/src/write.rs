//! Writing: a body of lines into rows that are durable and readable.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tandem_line::ParseOptions;
use tandem_model::{Precision, TimeRange};

use crate::batch::Row;
use crate::budget::{HeldWrite, NoRoom};
use crate::database::{Database, PolicyChoice};
use crate::error::{StoreError, WriteError};
use crate::parse::{ErrorTexts, Parsed, Shapes, parse_into};
use crate::policy::{RetentionPolicy, shard_bounds};
use crate::refusal::Drops;
use crate::shard::Shard;
use crate::stats::Refusal;
use crate::store::Store;

/// Where the points of a write go.
#[derive(Clone, Copy, Debug)]
pub struct WriteRequest<'a> {
    /// Must exist.
    pub database: &'a str,
    /// The default one when `None`.
    pub retention_policy: Option<&'a str>,
    /// The unit of the times in the body.
    pub precision: Precision,
    /// The time of lines that have none, to be cut to `precision`.
    pub now_ns: i64,
}

/// What a write stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Points, all of them durable and readable.
    pub points: u64,
}

/// Room in the memory for writes, held until this is dropped. For who makes a body before it is
/// written, as by inflating it.
#[derive(Debug)]
pub struct BodyRoom(HeldWrite);

impl Store {
    /// Stores the points of `body`, line protocol. When `Ok`, and for the points that
    /// [`WriteError::Partial`] counts, they survive power loss and every later read sees them.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn write(&self, request: &WriteRequest<'_>, body: &[u8]) -> Result<Written, WriteError> {
        self.counted(body, self.write_body(request, body, None))
    }

    /// As [`Store::write`], of a body for which there is room already.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn write_in(
        &self,
        room: BodyRoom,
        request: &WriteRequest<'_>,
        body: &[u8],
    ) -> Result<Written, WriteError> {
        self.counted(body, self.write_body(request, body, Some(room.0)))
    }

    fn counted(
        &self,
        body: &[u8],
        written: Result<Written, WriteError>,
    ) -> Result<Written, WriteError> {
        let counters = &self.core.writes;
        counters.body(body.len());
        let reason = match &written {
            Ok(_) | Err(WriteError::Partial { .. } | WriteError::Unparsable(_)) => return written,
            Err(WriteError::Overloaded(_) | WriteError::TooLarge(_)) => Refusal::Overloaded,
            Err(WriteError::Full(_)) => Refusal::Full,
            Err(WriteError::ReadOnly(_)) => Refusal::ReadOnly,
            Err(_) => Refusal::Error,
        };
        counters.refused(reason, 1);
        written
    }

    fn write_body(
        &self,
        request: &WriteRequest<'_>,
        body: &[u8],
        room: Option<HeldWrite>,
    ) -> Result<Written, WriteError> {
        self.check()?;
        let counters = &self.core.writes;
        let database = self
            .core
            .database(request.database)
            .ok_or_else(|| WriteError::DatabaseNotFound(request.database.into()))?;
        let choice = request.retention_policy.filter(|p| !p.is_empty());
        let choice = choice.map_or(PolicyChoice::Default, PolicyChoice::Named);
        let policies = database.policies();
        let policy = policies.list.find(choice);
        let policy = policy.map(|found| found[0].clone());
        drop(policies);
        // The body itself, and rows of about its length.
        let mut room = match room {
            Some(mut room) => {
                room.set(body.len().saturating_mul(2));
                room
            }
            None => self.hold(body.len().saturating_mul(2))?,
        };
        let ids = database.using_ids();
        let options = ParseOptions {
            precision: request.precision,
            unsigned: self.core.options.unsigned,
        };
        let mut no_room = None;
        let mut grow = |bytes| {
            let grown = room.grow(bytes, self.core.memtable_bytes());
            no_room = grown.err();
            no_room.is_none()
        };
        let mut parsed = parse_into(
            self.committer.spares().take(),
            &database.table(),
            &database.schemas,
            body,
            options,
            Shapes::new(&mut grow),
            (database.limits, request.now_ns),
        );
        match no_room {
            None => {}
            Some(NoRoom::Now { used, max }) => {
                self.wake();
                return Err(overloaded(used, max));
            }
            Some(NoRoom::Ever { max }) => {
                return Err(WriteError::TooLarge(format!(
                    "engine: the shapes of the lines of this request take more than the memory for writes ({max}): split it"
                )));
            }
        }
        room.set(body.len() + parsed.batch.bytes());
        counters.refused(Refusal::Unparsable, parsed.errors.count());
        counters.refused(Refusal::Limit, parsed.dropped);
        let policy = match policy {
            Ok(policy) => policy,
            // That nothing can be parsed is told first, as by InfluxDB.
            Err(_) if parsed.is_unparsable() => {
                return Err(WriteError::Unparsable(parsed.errors.into_text()));
            }
            Err(StoreError::PolicyNotFound(name)) => return Err(WriteError::PolicyNotFound(name)),
            Err(error) => return Err(error.into()),
        };
        let expired = self.drop_expired(&database, &policy, &mut parsed, request.now_ns);
        counters.refused(Refusal::Retention, expired);
        let shards = self.assign_shards(&database, &policy, &mut parsed)?;
        let Parsed {
            batch,
            generation,
            errors,
            dropped,
            limit,
            is_out_of_room: _,
            bad_name,
        } = parsed;
        let mut drops = Drops {
            dropped,
            limit,
            bad_name,
            expired,
            ..Drops::default()
        };
        let mut points = 0;
        // The series are let go before the thread is woken: who ends it may be waiting for it, and it for them.
        if batch.rows.is_empty() {
            drop(ids);
        } else {
            let (staged, by_store) = self
                .committer
                .stage(&database, batch, generation, &shards)?;
            drop(ids);
            counters.refused(Refusal::FieldType, by_store.dropped - by_store.limited);
            counters.refused(Refusal::Limit, by_store.limited);
            drops.dropped += by_store.dropped;
            drops.limit = drops.limit.or(by_store.limit);
            drops.conflict = by_store.conflict;
            if let Some(staged) = staged {
                points = staged.rows();
                let values = staged.values();
                self.committer.commit(staged)?;
                counters.stored(points, values);
            }
        }
        drop(room);
        if self.core.memtable_bytes() >= self.core.budget.writes_max() / 2 {
            self.wake();
        }
        outcome(points, drops.dropped, drops.reason(body, options), errors)
    }

    /// Takes the room that a body of so many bytes will need, before it is made: for [`Store::write_in`].
    ///
    /// # Errors
    /// [`WriteError::Overloaded`] when there is none in time.
    pub fn room_for_body(&self, bytes: usize) -> Result<BodyRoom, WriteError> {
        self.hold(bytes.saturating_mul(2))
            .inspect_err(|_| self.core.writes.refused(Refusal::Overloaded, 1))
            .map(BodyRoom)
    }

    /// Waits while the memory for writes is used up.
    fn hold(&self, bytes: usize) -> Result<HeldWrite, WriteError> {
        let options = &self.core.options;
        let make_room = || {
            if options.background {
                self.wake();
            } else if let Err(error) = self.flush() {
                tracing::warn!(%error, "cannot flush to make room for a write");
            }
        };
        let held = self.core.budget.hold_write(
            bytes,
            options.overload_wait,
            &|| self.core.memtable_bytes(),
            &make_room,
        );
        held.map_err(|(used, max)| overloaded(used, max))
    }

    /// Drops the rows that the policy would not keep; returns how many. A clock that retention does not
    /// believe is not believed here either, unless the policy has no rows that speak against it.
    fn drop_expired(
        &self,
        database: &Database,
        policy: &RetentionPolicy,
        parsed: &mut Parsed,
        now_ns: i64,
    ) -> u64 {
        let rows = &mut parsed.batch.rows;
        let oldest_ns = |as_of_ns: i64| as_of_ns.saturating_sub(policy.duration_ns);
        if policy.duration_ns == 0 || rows.iter().all(|row| row.time_ns >= oldest_ns(now_ns)) {
            return 0;
        }
        let has_rows = {
            let policies = database.policies();
            let mut shards = policies.shards_in(&policy.name, TimeRange::ALL);
            shards.any(|shard| shard.newest_ns().is_some())
        };
        let as_of_ns = if has_rows {
            self.core.expiry_time(now_ns)
        } else {
            now_ns
        };
        let before = rows.len();
        // As by InfluxDB, a shard that is there for another point of the request takes older ones too.
        let shard = |row: &Row| shard_bounds(row.time_ns, policy.shard_duration_ns).0;
        let is_old = |row: &Row| row.time_ns < oldest_ns(as_of_ns);
        let young: HashSet<i64> = rows.iter().filter(|row| !is_old(row)).map(shard).collect();
        let is_expired = |row: &Row| is_old(row) && !young.contains(&shard(row));
        if let Some(bad) = &mut parsed.bad_name {
            let earlier = rows.iter().take(bad.rows_before);
            bad.rows_before = earlier.filter(|row| !is_expired(row)).count();
        }
        rows.retain(|row| !is_expired(row));
        let dropped = (before - rows.len()) as u64;
        parsed.dropped += dropped;
        dropped
    }

    /// Finds or makes the shard of each row and notes its place in the returned list.
    fn assign_shards(
        &self,
        database: &Database,
        policy: &RetentionPolicy,
        parsed: &mut Parsed,
    ) -> Result<Vec<Arc<Shard>>, WriteError> {
        let mut shards: Vec<Arc<Shard>> = Vec::new();
        let mut places: HashMap<u64, u32> = HashMap::new();
        let mut last: Option<(TimeRange, u32)> = None;
        let rows = &mut parsed.batch.rows;
        for at in 0..rows.len() {
            let time_ns = rows[at].time_ns;
            if let Some((range, place)) = last
                && range.contains(time_ns)
            {
                rows[at].shard = place;
                continue;
            }
            let later = rows[at..].iter().map(|row| row.time_ns);
            let shard = self.core.shard_for(database, policy, time_ns, later)?;
            let place = *places.entry(shard.id.0).or_insert_with(|| {
                shards.push(Arc::clone(&shard));
                shards.len() as u32 - 1
            });
            rows[at].shard = place;
            last = Some((shard.range, place));
        }
        Ok(shards)
    }
}

/// In InfluxDB's words.
fn overloaded(used: usize, max: usize) -> WriteError {
    WriteError::Overloaded(format!(
        "engine: cache-max-memory-size exceeded: ({used}/{max})"
    ))
}

/// InfluxDB's answer: what the store refused, for this reason, is told before what did not parse.
fn outcome(
    points: u64,
    dropped: u64,
    reason: Option<String>,
    errors: ErrorTexts,
) -> Result<Written, WriteError> {
    let reason = match (reason, errors.is_empty()) {
        (Some(reason), _) => reason,
        (None, true) => return Ok(Written { points }),
        (None, false) if points == 0 => return Err(WriteError::Unparsable(errors.into_text())),
        (None, false) => errors.into_text(),
    };
    Err(WriteError::Partial {
        message: format!("partial write: {reason} dropped={dropped}"),
        points,
        dropped,
    })
}

//! Writes, and what is known of their outcome before they are made.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tandem_model::{FieldType, Precision, TimeRange};
use tandem_store::{Store, WriteError, WriteRequest, Written};
use tandem_vfs::Clock;

use super::Life;
use crate::history::Answer;
use crate::model::{Effect, Policy};
use crate::observe::observe;
use crate::op::Write;
use crate::point::measurement_of;

/// The field that is written with several types.
const MANY_TYPES: &str = "t";
/// 1970-01-01 after Go's zero time, from which shards are counted.
const GO_ZERO_NS: i128 = 62_135_596_800_000_000_000;

/// What a write will do if it is done.
struct Foretold {
    body: String,
    effect: Effect,
    accepted: u64,
    refused: u64,
}

impl Life {
    pub(super) fn write(&mut self, write: &Write) -> Result<(), String> {
        let Some(foretold) = self.foretell(write, true) else {
            return self.write_nowhere(write);
        };
        if foretold.body.is_empty() {
            return Ok(());
        }
        let written = send(self.store(), write, &foretold.body, self.clock.now_ns());
        let answer = self.judge(&foretold, &written)?;
        if foretold.accepted > 0 {
            self.history.add(foretold.effect, answer);
        }
        Ok(())
    }

    /// Writes to what is not there.
    fn write_nowhere(&mut self, write: &Write) -> Result<(), String> {
        let written = send(self.store(), write, "m v=1i 1", self.clock.now_ns());
        match written {
            Err(WriteError::DatabaseNotFound(_) | WriteError::PolicyNotFound(_)) => Ok(()),
            Err(_) if self.may_fail() => Ok(()),
            other => Err(format!("written to {}: {other:?}", write.target)),
        }
    }

    /// Several writes at once; while the first waits for its sync the others come too.
    pub(super) fn write_together(&mut self, writes: &[Write]) -> Result<(), String> {
        let mut foretold = Vec::new();
        for write in writes {
            if let Some(known) = self.foretell(write, false)
                && known.accepted > 0
            {
                foretold.push((write, known));
            }
        }
        let (now_ns, store, fs) = (self.clock.now_ns(), self.store(), &self.fs);
        let (begun, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        fs.hold_syncs();
        let outcomes: Vec<Result<Written, WriteError>> = thread::scope(|scope| {
            let writers: Vec<_> = foretold
                .iter()
                .map(|(write, known)| {
                    let (begun, done) = (&begun, &done);
                    scope.spawn(move || {
                        begun.fetch_add(1, Ordering::SeqCst);
                        let written = send(store, write, &known.body, now_ns);
                        done.fetch_add(1, Ordering::SeqCst);
                        written
                    })
                })
                .collect();
            let waits = || {
                let all = begun.load(Ordering::SeqCst) == writers.len();
                all && (fs.held_syncs() > 0 || done.load(Ordering::SeqCst) > 0)
            };
            while !waits() && done.load(Ordering::SeqCst) < writers.len() {
                thread::yield_now();
            }
            (0..20).for_each(|_| thread::yield_now());
            fs.release_syncs();
            let joined = writers.into_iter().map(|writer| writer.join());
            joined.map(|w| w.expect("a writer's panic")).collect()
        });
        let mut round = Vec::new();
        for ((_, known), written) in foretold.into_iter().zip(outcomes) {
            if let Err(WriteError::Overloaded(_)) = written {
                // All together are too much at once, or one failed on which this was built. It says
                // that nothing was stored, and is held to that.
                continue;
            }
            let answer = self.judge(&known, &written)?;
            round.push((known.effect, answer));
        }
        if self.fs.is_off() {
            self.history.add_round(round);
            return Ok(());
        }
        self.fs.calm();
        let seen = observe(self.store(), self.listed())?;
        if self.history.add_round_seen(round, &seen) {
            Ok(())
        } else {
            Err(format!(
                "written together; acknowledged before against found:\n{}",
                self.history.live().differences(&seen)
            ))
        }
    }

    /// Holds the store's answer against what was foretold.
    fn judge(
        &mut self,
        foretold: &Foretold,
        written: &Result<Written, WriteError>,
    ) -> Result<Answer, String> {
        let answered = match written {
            Ok(written) => (written.points, 0),
            Err(WriteError::Partial {
                points, dropped, ..
            }) => (*points, *dropped),
            Err(_) if self.may_fail() => {
                self.tally.unknown += u64::from(foretold.accepted > 0);
                return Ok(Answer::Unknown);
            }
            Err(error) => return Err(format!("write: {error:?}")),
        };
        if answered != (foretold.accepted, foretold.refused) {
            return Err(format!(
                "the answer is {written:?}, not {} stored and {} refused",
                foretold.accepted, foretold.refused
            ));
        }
        self.tally.points += foretold.accepted;
        Ok(Answer::Done)
    }

    /// What a write will do; `None` where its database or policy is not there. Points whose fate
    /// cannot be told are left out, those with changing types where they are not wanted too.
    fn foretell(&mut self, write: &Write, with_many_types: bool) -> Option<Foretold> {
        let (database, policy_name) = (write.target.database(), write.target.policy());
        let policy = self.history.live().policy(&database, &policy_name)?;
        let oldest_ns = match policy.duration_ns {
            0 => i64::MIN,
            duration_ns => self.clock.now_ns() - duration_ns,
        };
        let mut fixed: BTreeMap<(String, i64), FieldType> = BTreeMap::new();
        let (mut accepted, mut sent) = (Vec::new(), Vec::new());
        for point in &write.points {
            if point.time_ns < oldest_ns {
                sent.push(point);
                continue;
            }
            if let Some(value) = point.fields.get(MANY_TYPES) {
                if !with_many_types {
                    continue;
                }
                let shard = shard_of(point.time_ns, policy.shard_duration_ns);
                let place = (point.measurement().to_owned(), shard.min_ns);
                let given = value.field_type();
                let key = (
                    database.clone(),
                    policy_name.clone(),
                    place.0.clone(),
                    place.1,
                );
                let visible = visible_type(policy, &place.0, shard);
                let known = visible.or_else(|| fixed.get(&place).copied());
                let ever = self.given_types.entry(key).or_default();
                if known.is_none() && ever.iter().any(|t| *t != given) {
                    // Whether the type of rows deleted since still stands is not told.
                    continue;
                }
                ever.insert(given);
                if known.is_some_and(|t| t != given) {
                    sent.push(point);
                    continue;
                }
                fixed.insert(place, given);
            }
            sent.push(point);
            accepted.push(point.clone());
        }
        let body: Vec<String> = sent.iter().map(ToString::to_string).collect();
        Some(Foretold {
            body: body.join("\n"),
            accepted: accepted.len() as u64,
            refused: (sent.len() - accepted.len()) as u64,
            effect: Effect::Write {
                database,
                policy: policy_name,
                points: Arc::new(accepted),
            },
        })
    }
}

fn send(store: &Store, write: &Write, body: &str, now_ns: i64) -> Result<Written, WriteError> {
    let policy = write.target.policy();
    let request = WriteRequest {
        database: &write.target.database(),
        retention_policy: Some(&policy),
        precision: Precision::Nanosecond,
        now_ns,
    };
    store.write(&request, body.as_bytes())
}

/// The shard that holds a time.
fn shard_of(time_ns: i64, shard_duration_ns: i64) -> TimeRange {
    let since_zero = i128::from(time_ns) + GO_ZERO_NS;
    let into = since_zero.rem_euclid(i128::from(shard_duration_ns)) as i64;
    TimeRange::new(time_ns - into, time_ns - into + shard_duration_ns - 1)
}

/// The type of the changing field that some row of a measurement in a shard has.
fn visible_type(policy: &Policy, measurement: &str, shard: TimeRange) -> Option<FieldType> {
    let mut series = policy.series.iter();
    series.find_map(|(key, rows)| {
        let rows = (measurement_of(key) == measurement).then_some(rows)?;
        let mut inside = rows.range(shard.min_ns..=shard.max_ns);
        inside.find_map(|(_, row)| Some(row.get(MANY_TYPES)?.field_type()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::{HOUR_NS, START_NS};

    #[test]
    fn shards_of_an_hour_begin_with_it() {
        let shard = shard_of(START_NS + 5, HOUR_NS);
        assert_eq!(shard, TimeRange::new(START_NS, START_NS + HOUR_NS - 1));
        assert_eq!(shard_of(START_NS - 1, HOUR_NS).max_ns, START_NS - 1);
    }
}

//! What may be found after a restart, given what was acknowledged and what was not.
//!
//! An operation that was acknowledged is there. One that failed or was under way when the power
//! went may be there or not, whole, at its place in the order; a write that failed may also take
//! effect after a later delete, as a request that timed out may be applied late. Operations that
//! ran at the same time have an order that nobody knows before the result is seen.

use crate::model::{Effect, Model};

/// Operations that failed or were under way, kept open at one time; each doubles what may be found.
const OPEN_MAX: usize = 6;

/// Whether an operation's answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It said that all is done.
    Done,
    /// It failed, or the power went first: it may be found done.
    Unknown,
}

/// Operations that ran at the same time; one alone is the rule.
type Round = Vec<(Effect, Answer)>;

/// See the module's head.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// What was certain when the first of `rounds` began.
    base: Model,
    /// Since then, in order. Empty while all is certain.
    rounds: Vec<Round>,
    /// What a reader should see now: everything acknowledged, nothing else.
    live: Model,
}

impl History {
    /// A history that begins with what is known to be there.
    #[must_use]
    pub fn of(model: Model) -> Self {
        Self {
            base: model.clone(),
            rounds: Vec::new(),
            live: model,
        }
    }

    /// What a reader should see now.
    #[must_use]
    pub const fn live(&self) -> &Model {
        &self.live
    }

    /// True when no more operations of unknown outcome should be added before a restart.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.unknown() >= OPEN_MAX
    }

    fn unknown(&self) -> usize {
        let all = self.rounds.iter().flatten();
        all.filter(|(_, answer)| *answer == Answer::Unknown).count()
    }

    /// Notes an operation that ran alone.
    pub fn add(&mut self, effect: Effect, answer: Answer) {
        if answer == Answer::Done {
            let before = (!effect.is_write() && !effect.takes_rows()).then(|| self.live.clone());
            self.live.apply(&effect);
            self.settle_before(&effect);
            if before.is_some_and(|before| before == self.live) {
                // Made what was there already: it has no place in the order.
                return;
            }
            if self.rounds.is_empty() {
                self.base.apply(&effect);
                return;
            }
        }
        self.rounds.push(vec![(effect, answer)]);
    }

    /// A log that failed at a record takes no more, or takes back what failed: what it
    /// acknowledges later proves that the failed record will not be found. Databases and policies
    /// are in the manifest's log, points in the other; a store whose manifest failed takes no
    /// points either.
    fn settle_before(&mut self, acknowledged: &Effect) {
        let disproved = |effect: &Effect| acknowledged.is_write() || !effect.is_write();
        for round in &mut self.rounds {
            round.retain(|(effect, answer)| *answer == Answer::Done || !disproved(effect));
        }
        self.rounds.retain(|round| !round.is_empty());
        self.fold();
    }

    /// Moves what is certain at the beginning into the base.
    fn fold(&mut self) {
        let certain = |round: &Round| matches!(round.as_slice(), [(_, Answer::Done)]);
        let count = self.rounds.iter().take_while(|r| certain(r)).count();
        for (effect, _) in self.rounds.drain(..count).flatten() {
            self.base.apply(&effect);
        }
    }

    /// Notes operations that ran at the same time, after which a reader saw `seen`; false when
    /// no order of those acknowledged explains that.
    #[must_use]
    pub fn add_round_seen(&mut self, round: Round, seen: &Model) -> bool {
        let (done, unknown): (Round, Round) = round.into_iter().partition(|r| r.1 == Answer::Done);
        let ordered = orders(done.len()).into_iter().find(|order| {
            let mut model = self.live.clone();
            order.iter().for_each(|&at| model.apply(&done[at].0));
            model == *seen
        });
        let Some(ordered) = ordered else {
            return false;
        };
        for at in ordered {
            self.add(done[at].0.clone(), Answer::Done);
        }
        for (effect, answer) in unknown {
            self.add(effect, answer);
        }
        true
    }

    /// Notes operations that ran at the same time, after which nobody looked.
    pub fn add_round(&mut self, round: Round) {
        self.rounds.push(round);
    }

    /// Whether `found` may be there after a restart.
    #[must_use]
    pub fn allows(&self, found: &Model) -> bool {
        explains(&self.base, &self.rounds, found)
    }

    /// What is there when all that is unknown did not happen: to tell differences from.
    #[must_use]
    pub fn least(&self) -> Model {
        let mut model = self.base.clone();
        let all = self.rounds.iter().flatten();
        for (effect, _) in all.filter(|(_, answer)| *answer == Answer::Done) {
            model.apply(effect);
        }
        model
    }
}

/// Whether some choice and order leads from `model` through `rounds` to `found`. All done is tried
/// first, nothing done next-to-last: one of the two is the usual outcome.
fn explains(model: &Model, rounds: &[Round], found: &Model) -> bool {
    let Some((round, rest)) = rounds.split_first() else {
        return model == found;
    };
    let unknown: Vec<usize> = (0..round.len())
        .filter(|&at| round[at].1 == Answer::Unknown)
        .collect();
    for mask in (0..1_u32 << unknown.len()).rev() {
        let chosen: Vec<usize> = (0..round.len())
            .filter(|at| match unknown.iter().position(|u| u == at) {
                Some(bit) => mask >> bit & 1 == 1,
                None => true,
            })
            .collect();
        for order in orders(chosen.len()) {
            let mut next = model.clone();
            for at in order {
                next.apply(&round[chosen[at]].0);
            }
            if explains(&next, rest, found) {
                return true;
            }
        }
    }
    // Late: behind the next deletion, if only other such writes stand between.
    let unknown_write =
        |round: &Round| matches!(round.as_slice(), [(e, Answer::Unknown)] if e.is_write());
    let between = rest.iter().take_while(|round| unknown_write(round)).count();
    let is_deletion = |round: &Round| round.iter().all(|(effect, _)| effect.is_delete());
    if !unknown_write(round) || !rest.get(between).is_some_and(is_deletion) {
        return false;
    }
    let mut late = rest.to_vec();
    late.insert(between + 1, round.clone());
    explains(model, &late, found)
}

/// Every order of `count` things; few, or it takes for ever.
fn orders(count: usize) -> Vec<Vec<usize>> {
    let mut all: Vec<Vec<usize>> = vec![Vec::new()];
    for next in 0..count {
        all = all
            .iter()
            .flat_map(|order| {
                (0..=order.len()).map(move |place| {
                    let mut longer = order.clone();
                    longer.insert(place, next);
                    longer
                })
            })
            .collect();
    }
    all
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tandem_model::TimeRange;

    use super::*;
    use crate::point::{Point, Value};

    fn write(value: i64) -> Effect {
        Effect::Write {
            database: "db".into(),
            policy: "p".into(),
            points: Arc::new(vec![Point {
                series: "m".into(),
                fields: [("v".into(), Value::Integer(value))].into(),
                time_ns: 1,
            }]),
        }
    }

    fn fresh() -> Model {
        let mut model = Model::default();
        model.apply(&Effect::CreateDatabase {
            name: "db".into(),
            policy: "p".into(),
            shard_duration_ns: 1,
        });
        model
    }

    fn with(values: &[i64]) -> Model {
        let mut model = fresh();
        values.iter().for_each(|v| model.apply(&write(*v)));
        model
    }

    /// The shard held nothing but rows of a write that failed, which may be found, but not in it.
    #[test]
    fn a_shard_that_was_dropped_takes_rows_of_a_write_that_failed_with_it() {
        let at = |time_ns| Point {
            series: "m".into(),
            fields: [("v".into(), Value::Integer(time_ns))].into(),
            time_ns,
        };
        let write = |times: &[i64]| Effect::Write {
            database: "db".into(),
            policy: "p".into(),
            points: Arc::new(times.iter().map(|time| at(*time)).collect()),
        };
        let with = |times: &[i64]| {
            let mut model = fresh();
            model.apply(&write(times));
            model
        };
        let mut history = History::of(fresh());
        history.add(write(&[1, 20]), Answer::Unknown);
        let drop = Effect::DropRange {
            database: "db".into(),
            policy: "p".into(),
            range: TimeRange::new(0, 9),
        };
        history.add(drop, Answer::Done);
        assert!(history.allows(&fresh()) && history.allows(&with(&[20])));
        assert!(!history.allows(&with(&[1, 20])) && !history.allows(&with(&[1])));
    }

    #[test]
    fn what_was_acknowledged_must_be_there_and_what_was_not_may_be() {
        let mut history = History::of(fresh());
        history.add(write(1), Answer::Done);
        history.add(write(2), Answer::Unknown);
        assert_eq!(history.live(), &with(&[1]));
        assert!(history.allows(&with(&[1])) && history.allows(&with(&[2])));
        assert!(!history.allows(&with(&[])) && !history.allows(&with(&[3])));
        // A drop of the manifest says nothing about the write-ahead log.
        history.add(
            Effect::DropMeasurement("db".into(), "x".into()),
            Answer::Done,
        );
        assert!(history.allows(&with(&[1])) && history.allows(&with(&[2])));
        // A later write does.
        history.add(write(3), Answer::Done);
        assert!(history.allows(&with(&[3])));
        assert!(!history.allows(&with(&[2])) && !history.allows(&with(&[1])));
    }

    #[test]
    fn a_delete_before_an_unknown_write_leaves_it_and_one_after_takes_it() {
        let delete = || Effect::DropMeasurement("db".into(), "m".into());
        let mut before = History::of(with(&[1]));
        before.add(delete(), Answer::Done);
        before.add(write(2), Answer::Unknown);
        assert!(before.allows(&with(&[2])) && before.allows(&fresh()));
        assert!(!before.allows(&with(&[1])));
        let mut after = History::of(with(&[1]));
        after.add(write(2), Answer::Unknown);
        after.add(delete(), Answer::Done);
        assert!(
            after.allows(&fresh()),
            "the write did not happen, or before the delete"
        );
        assert!(after.allows(&with(&[2])), "the write was late");
        assert!(!after.allows(&with(&[1])));
        let mut two = History::of(with(&[1]));
        two.add(write(2), Answer::Unknown);
        two.add(write(3), Answer::Unknown);
        two.add(delete(), Answer::Done);
        let again = Effect::CreateDatabase {
            name: "db".into(),
            policy: "p".into(),
            shard_duration_ns: 1,
        };
        two.add(again, Answer::Done);
        two.add(delete(), Answer::Done);
        assert!([2, 3].iter().all(|value| two.allows(&with(&[*value]))));
        after.add(Effect::DropDatabase("db".into()), Answer::Done);
        assert!(after.allows(&Model::default()) && !after.allows(&with(&[2])));
    }

    #[test]
    fn what_ran_together_has_any_order_until_it_is_seen() {
        let round = || vec![(write(1), Answer::Done), (write(2), Answer::Done)];
        let mut unseen = History::of(fresh());
        unseen.add_round(round());
        assert!(unseen.allows(&with(&[1])) && unseen.allows(&with(&[2])));
        assert!(!unseen.allows(&fresh()));
        let mut seen = History::of(fresh());
        assert!(!seen.clone().add_round_seen(round(), &fresh()));
        assert!(seen.add_round_seen(round(), &with(&[1])));
        assert!(seen.allows(&with(&[1])) && !seen.allows(&with(&[2])));
    }
}

//! What a store should hold, as plain maps, and what each operation does to them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tandem_model::TimeRange;

use crate::point::{Point, Row, measurement_of};

/// Rows of one series by time.
pub type Rows = BTreeMap<i64, Row>;

/// All databases by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    /// By name.
    pub databases: BTreeMap<String, Database>,
}

/// One database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Database {
    /// By name.
    pub policies: BTreeMap<String, Policy>,
    /// Name of the default policy; it may be dropped.
    pub default_policy: Option<String>,
}

/// One retention policy with its rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// 0 is for ever.
    pub duration_ns: i64,
    /// Length of a shard.
    pub shard_duration_ns: i64,
    /// By series key; a series without rows is not in it.
    pub series: BTreeMap<String, Rows>,
}

/// What an operation does, whole or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Makes a database with its default policy.
    CreateDatabase {
        /// The database.
        name: String,
        /// Of its default policy.
        policy: String,
        /// Of that policy.
        shard_duration_ns: i64,
    },
    /// Removes a database with all that is in it.
    DropDatabase(String),
    /// Makes or changes a policy.
    PutPolicy {
        /// In this database.
        database: String,
        /// The policy.
        name: String,
        /// 0 is for ever.
        duration_ns: i64,
        /// Length of a shard.
        shard_duration_ns: i64,
        /// Makes it the default.
        default: bool,
    },
    /// Removes a policy with all that is in it.
    DropPolicy(String, String),
    /// Stores points, in their order.
    Write {
        /// To this database.
        database: String,
        /// And policy.
        policy: String,
        /// In order: the later wins, field by field.
        points: Arc<Vec<Point>>,
    },
    /// Removes rows of some series in all policies.
    Delete {
        /// From this database.
        database: String,
        /// Keys.
        series: BTreeSet<String>,
        /// Both ends inside.
        range: TimeRange,
    },
    /// Removes all rows of a measurement in all policies.
    DropMeasurement(String, String),
    /// Removes a policy's rows in a range of time: a shard.
    DropRange {
        /// In this database.
        database: String,
        /// In this policy.
        policy: String,
        /// Both ends inside.
        range: TimeRange,
    },
    /// Several, all or none.
    All(Vec<Effect>),
}

impl Effect {
    /// True for what goes through the write-ahead log.
    #[must_use]
    pub const fn is_write(&self) -> bool {
        matches!(self, Self::Write { .. })
    }

    /// True for what takes rows away; of a write that failed, too, which a reader does not see before.
    #[must_use]
    pub const fn takes_rows(&self) -> bool {
        self.is_delete() || matches!(self, Self::DropRange { .. } | Self::All(_))
    }

    /// True for what removes rows by what they are.
    #[must_use]
    pub const fn is_delete(&self) -> bool {
        matches!(self, Self::Delete { .. } | Self::DropMeasurement(..))
    }
}

impl Model {
    /// Does to the model what `effect` says. What concerns something that is not there does
    /// nothing.
    pub fn apply(&mut self, effect: &Effect) {
        match effect {
            Effect::CreateDatabase {
                name,
                policy,
                shard_duration_ns,
            } => {
                self.databases.entry(name.clone()).or_insert_with(|| {
                    let made = Policy {
                        shard_duration_ns: *shard_duration_ns,
                        ..Policy::default()
                    };
                    Database {
                        policies: [(policy.clone(), made)].into(),
                        default_policy: Some(policy.clone()),
                    }
                });
            }
            Effect::DropDatabase(name) => {
                self.databases.remove(name);
            }
            Effect::PutPolicy {
                database,
                name,
                duration_ns,
                shard_duration_ns,
                default,
            } => {
                if let Some(database) = self.databases.get_mut(database) {
                    let policy = database.policies.entry(name.clone()).or_default();
                    policy.duration_ns = *duration_ns;
                    policy.shard_duration_ns = *shard_duration_ns;
                    if *default {
                        database.default_policy = Some(name.clone());
                    }
                }
            }
            Effect::DropPolicy(database, name) => {
                if let Some(database) = self.databases.get_mut(database) {
                    database.policies.remove(name);
                }
            }
            Effect::Write {
                database,
                policy,
                points,
            } => {
                if let Some(policy) = self.policy_mut(database, policy) {
                    for point in points.iter() {
                        policy.put(point);
                    }
                }
            }
            Effect::Delete {
                database,
                series,
                range,
            } => self.remove(database, |key| series.contains(key), *range),
            Effect::DropMeasurement(database, measurement) => {
                self.remove(
                    database,
                    |key| measurement_of(key) == measurement,
                    TimeRange::ALL,
                );
            }
            Effect::DropRange {
                database,
                policy,
                range,
            } => {
                if let Some(policy) = self.policy_mut(database, policy) {
                    policy.remove(|_| true, *range);
                }
            }
            Effect::All(effects) => effects.iter().for_each(|effect| self.apply(effect)),
        }
    }

    /// A policy of a database.
    #[must_use]
    pub fn policy(&self, database: &str, policy: &str) -> Option<&Policy> {
        self.databases.get(database)?.policies.get(policy)
    }

    fn policy_mut(&mut self, database: &str, policy: &str) -> Option<&mut Policy> {
        self.databases.get_mut(database)?.policies.get_mut(policy)
    }

    fn remove(&mut self, database: &str, chosen: impl Fn(&str) -> bool, range: TimeRange) {
        let policies = self.databases.get_mut(database);
        for policy in policies.into_iter().flat_map(|d| d.policies.values_mut()) {
            policy.remove(&chosen, range);
        }
    }

    /// How many rows there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        let policies = self.databases.values().flat_map(|d| d.policies.values());
        let series = policies.flat_map(|p| p.series.values());
        series.map(BTreeMap::len).sum()
    }

    /// The first few differences to `other`, one a line: what is here and not there, and the other
    /// way round.
    #[must_use]
    pub fn differences(&self, other: &Self) -> String {
        let (ours, theirs) = (self.lines(), other.lines());
        let missing = ours.difference(&theirs).map(|line| format!("- {line}"));
        let extra = theirs.difference(&ours).map(|line| format!("+ {line}"));
        let lines: Vec<String> = missing.take(8).chain(extra.take(8)).collect();
        lines.join("\n")
    }

    fn lines(&self) -> BTreeSet<String> {
        let mut lines = BTreeSet::new();
        for (name, database) in &self.databases {
            let default = database.default_policy.as_deref().unwrap_or("none");
            lines.insert(format!("{name}, default {default}"));
            for (policy_name, policy) in &database.policies {
                let (duration_ns, shard_ns) = (policy.duration_ns, policy.shard_duration_ns);
                lines.insert(format!("{name}.{policy_name} {duration_ns} {shard_ns}"));
                for (series, rows) in &policy.series {
                    lines.extend(rows.iter().map(|(time_ns, fields)| {
                        let point = Point {
                            series: series.clone(),
                            fields: fields.clone(),
                            time_ns: *time_ns,
                        };
                        format!("{name}.{policy_name} {point}")
                    }));
                }
            }
        }
        lines
    }
}

impl Policy {
    fn put(&mut self, point: &Point) {
        let rows = self.series.entry(point.series.clone()).or_default();
        let row = rows.entry(point.time_ns).or_default();
        row.extend(point.fields.iter().map(|(n, v)| (n.clone(), v.clone())));
    }

    fn remove(&mut self, chosen: impl Fn(&str) -> bool, range: TimeRange) {
        self.series.retain(|key, rows| {
            if chosen(key) {
                rows.retain(|time_ns, _| !range.contains(*time_ns));
            }
            !rows.is_empty()
        });
    }

    /// The rows of a series in a range.
    pub fn rows_in(&self, series: &str, range: TimeRange) -> impl Iterator<Item = (&i64, &Row)> {
        let rows = self.series.get(series).into_iter().flatten();
        rows.filter(move |(time_ns, _)| range.contains(**time_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::point::Value;

    fn point(series: &str, field: &str, value: i64, time_ns: i64) -> Point {
        Point {
            series: series.into(),
            fields: [(field.into(), Value::Integer(value))].into(),
            time_ns,
        }
    }

    fn write(points: Vec<Point>) -> Effect {
        Effect::Write {
            database: "db".into(),
            policy: "p".into(),
            points: Arc::new(points),
        }
    }

    #[test]
    fn the_later_field_wins_and_deletes_take_whole_rows() {
        let mut model = Model::default();
        model.apply(&write(vec![point("m", "a", 1, 1)]));
        assert_eq!(model, Model::default(), "no database, no points");
        model.apply(&Effect::CreateDatabase {
            name: "db".into(),
            policy: "p".into(),
            shard_duration_ns: 10,
        });
        model.apply(&write(vec![
            point("m", "a", 1, 1),
            point("m", "b", 2, 1),
            point("m", "a", 3, 1),
            point("m,x=y", "a", 4, 2),
        ]));
        let row = &model.policy("db", "p").expect("a policy").series["m"][&1];
        assert_eq!(
            row.values().collect::<Vec<_>>(),
            [&Value::Integer(3), &Value::Integer(2)]
        );
        assert_eq!(model.rows(), 2);
        model.apply(&Effect::Delete {
            database: "db".into(),
            series: ["m".into()].into(),
            range: TimeRange::new(1, 1),
        });
        assert_eq!(model.rows(), 1);
        let mut other = model.clone();
        other.apply(&Effect::DropMeasurement("db".into(), "m".into()));
        assert_eq!(model.differences(&other), "- db.p m,x=y a=4i 2");
        assert_eq!(other.rows(), 0);
    }
}

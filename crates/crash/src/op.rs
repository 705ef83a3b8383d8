//! The steps of a life, and how they are told to people.

use std::fmt;
use std::io;

use tandem_model::TimeRange;

use crate::point::Point;

/// A database and, for what is about one, a policy; by number, so that a step means something
/// whatever became of the steps before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// `db0`, `db1`, …
    pub database: u8,
    /// `rp0` is made with the database and is its default policy; others are made later.
    pub policy: u8,
}

impl Target {
    /// The database's name.
    #[must_use]
    pub fn database(&self) -> String {
        format!("db{}", self.database)
    }

    /// The policy's name.
    #[must_use]
    pub fn policy(&self) -> String {
        format!("rp{}", self.policy)
    }
}

/// One request to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Where to.
    pub target: Target,
    /// What; those whose types cannot be foretold are left out when it is run.
    pub points: Vec<Point>,
}

/// What is done to a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Writes a batch.
    Write(Write),
    /// Writes several batches from as many threads.
    Together(Vec<Write>),
    /// `CREATE DATABASE`
    CreateDatabase(Target),
    /// `DROP DATABASE`
    DropDatabase(Target),
    /// `CREATE RETENTION POLICY`, kept for so many hours, 0 for ever.
    CreatePolicy(Target, u16),
    /// `DROP RETENTION POLICY`
    DropPolicy(Target),
    /// `DELETE FROM measurement WHERE tag = … AND time …`: series whose key holds `part`.
    Delete {
        /// In this database, all policies.
        target: Target,
        /// What the keys of the series hold.
        part: String,
        /// Both ends inside.
        range: TimeRange,
    },
    /// `DROP SERIES`: those whose key holds the text.
    DropSeries(Target, String),
    /// `DROP MEASUREMENT`
    DropMeasurement(Target, String),
    /// `DROP SHARD`: the one of this number among those that there are.
    DropShard(u8),
    /// Drops the shards that are past their retention.
    Retention,
    /// Turns the clock forward by so many hours.
    Hours(u16),
    /// Writes memtables into files.
    Flush,
    /// Merges files.
    Compact,
    /// Reads a range in one order and the other.
    Read(Target, TimeRange),
    /// Opens the store again: after a clean stop, or as it is.
    Reopen {
        /// Whether it is closed first.
        clean: bool,
    },
    /// Leaves so many bytes of disk free, or lifts that.
    Room(Option<u32>),
}

/// The power goes while an operation runs, or right after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// So many calls of the file system after its beginning.
    pub calls: u64,
    /// What is left of what was not synced.
    pub seed: u64,
    /// The power goes again while the store is opened, so many calls after that begins.
    pub again: Option<u64>,
}

/// A call of the file system fails while an operation runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// So many calls after its beginning.
    pub calls: u64,
    /// How.
    pub kind: io::ErrorKind,
}

/// An operation and what happens to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What is done.
    pub op: Op,
    /// A failing call.
    pub fault: Option<Fault>,
    /// The power goes.
    pub cut: Option<Cut>,
    /// Whether all is read and compared afterwards, without a cut too.
    pub look: bool,
}

impl From<Op> for Step {
    fn from(op: Op) -> Self {
        Self {
            op,
            fault: None,
            cut: None,
            look: false,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.op)?;
        if let Some(fault) = self.fault {
            write!(f, "; call {} fails: {:?}", fault.calls, fault.kind)?;
        }
        if let Some(cut) = self.cut {
            write!(f, "; power off at call {}, crash {}", cut.calls, cut.seed)?;
            if let Some(calls) = cut.again {
                write!(f, ", again at call {calls} of the opening")?;
            }
        }
        if self.look {
            write!(f, "; look")?;
        }
        Ok(())
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(write) => write!(f, "write {write}"),
            Self::Together(writes) => {
                write!(f, "write together")?;
                writes.iter().try_for_each(|write| write!(f, " | {write}"))
            }
            Self::CreateDatabase(t) => write!(f, "create database {}", t.database()),
            Self::DropDatabase(t) => write!(f, "drop database {}", t.database()),
            Self::CreatePolicy(t, hours) => write!(f, "create policy {t} for {hours} h"),
            Self::DropPolicy(t) => write!(f, "drop policy {t}"),
            Self::Delete {
                target,
                part,
                range,
            } => write!(
                f,
                "delete from {} where key has {part:?}, time {}..={}",
                target.database(),
                range.min_ns,
                range.max_ns
            ),
            Self::DropSeries(t, part) => {
                write!(
                    f,
                    "drop series from {} where key has {part:?}",
                    t.database()
                )
            }
            Self::DropMeasurement(t, name) => {
                write!(f, "drop measurement {name} from {}", t.database())
            }
            Self::DropShard(nth) => write!(f, "drop shard, number {nth} of all"),
            Self::Retention => write!(f, "retention"),
            Self::Hours(hours) => write!(f, "{hours} hours pass"),
            Self::Flush => write!(f, "flush"),
            Self::Compact => write!(f, "compact"),
            Self::Read(t, range) => write!(f, "read {t}, {}..={}", range.min_ns, range.max_ns),
            Self::Reopen { clean: true } => write!(f, "close and open"),
            Self::Reopen { clean: false } => write!(f, "abandon and open"),
            Self::Room(Some(bytes)) => write!(f, "{bytes} bytes are free"),
            Self::Room(None) => write!(f, "the disk has room"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.database(), self.policy())
    }
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.target)?;
        for (at, point) in self.points.iter().enumerate() {
            if at == 6 {
                return write!(f, " and {} more", self.points.len() - at);
            }
            write!(f, " [{point}]")?;
        }
        Ok(())
    }
}

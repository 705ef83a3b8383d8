//! Databases, retention policies, and the removal of data.

use super::{Expr, Source};

/// `CREATE DATABASE name [WITH …]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateDatabase {
    /// The database.
    pub name: String,
    /// `WITH …`: its default retention policy; `None` takes the server's defaults.
    pub policy: Option<RetentionPolicySpec>,
}

/// The options of the default retention policy of a new database; `None` takes the server's
/// default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetentionPolicySpec {
    /// `NAME`
    pub name: Option<String>,
    /// `DURATION` in nanoseconds; 0 keeps for ever.
    pub duration_ns: Option<i64>,
    /// `REPLICATION`, at least 1.
    pub replication: Option<u32>,
    /// `SHARD DURATION` in nanoseconds; 0 leaves it to the server.
    pub shard_duration_ns: Option<i64>,
}

/// `CREATE RETENTION POLICY name ON database DURATION d REPLICATION n [SHARD DURATION d] [DEFAULT]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateRetentionPolicy {
    /// The policy.
    pub name: String,
    /// Its database.
    pub database: String,
    /// `DURATION` in nanoseconds; 0 (`INF`) keeps for ever.
    pub duration_ns: i64,
    /// `REPLICATION`, at least 1.
    pub replication: u32,
    /// `SHARD DURATION` in nanoseconds; `None` or 0 leaves it to the server.
    pub shard_duration_ns: Option<i64>,
    /// Make it the default of its database.
    pub default: bool,
}

/// `ALTER RETENTION POLICY name ON database …`, with at least one option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterRetentionPolicy {
    /// The policy.
    pub name: String,
    /// Its database.
    pub database: String,
    /// `DURATION` in nanoseconds; 0 (`INF`) keeps for ever; `None` leaves it as it is.
    pub duration_ns: Option<i64>,
    /// `REPLICATION`, at least 1; `None` leaves it as it is.
    pub replication: Option<u32>,
    /// `SHARD DURATION` in nanoseconds; 0 leaves it to the server, `None` as it is.
    pub shard_duration_ns: Option<i64>,
    /// Make it the default of its database.
    pub default: bool,
}

/// `DROP RETENTION POLICY name ON database`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropRetentionPolicy {
    /// The policy.
    pub name: String,
    /// Its database.
    pub database: String,
}

/// `DELETE [FROM …] [WHERE …]`, with at least one of them.
///
/// Sources have no database and no retention policy: it works on the database of the request and
/// on all policies.
#[derive(Clone, Debug, PartialEq)]
pub struct Delete {
    /// Measurements only; empty means all.
    pub sources: Vec<Source>,
    /// On tags and `time`.
    pub condition: Option<Expr>,
}

/// `DROP SERIES [FROM …] [WHERE …]`, with at least one of them. Sources as in [`Delete`].
#[derive(Clone, Debug, PartialEq)]
pub struct DropSeries {
    /// Measurements only; empty means all.
    pub sources: Vec<Source>,
    /// On tags.
    pub condition: Option<Expr>,
}

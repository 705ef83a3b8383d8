//! Continuous queries and subscriptions.

use super::SelectStatement;

/// `CREATE CONTINUOUS QUERY name ON database [RESAMPLE [EVERY d] [FOR d]] BEGIN SELECT … END`
#[derive(Clone, Debug, PartialEq)]
pub struct CreateContinuousQuery {
    /// The continuous query.
    pub name: String,
    /// Its database.
    pub database: String,
    /// `EVERY` in nanoseconds.
    pub resample_every_ns: Option<i64>,
    /// `FOR` in nanoseconds, not below the `GROUP BY time(…)` interval.
    pub resample_for_ns: Option<i64>,
    /// What it runs. It has an `into` and, when it calls functions, a `GROUP BY time(…)`.
    pub source: Box<SelectStatement>,
}

/// `DROP CONTINUOUS QUERY name ON database`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropContinuousQuery {
    /// The continuous query.
    pub name: String,
    /// Its database.
    pub database: String,
}

/// How writes are spread over the destinations of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DestinationMode {
    /// Each write goes to all.
    All,
    /// Each write goes to one, in turn.
    Any,
}

/// `CREATE SUBSCRIPTION name ON database.policy DESTINATIONS {ALL | ANY} 'url', …`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateSubscription {
    /// The subscription.
    pub name: String,
    /// Its database.
    pub database: String,
    /// Its retention policy.
    pub retention_policy: String,
    /// `ALL` or `ANY`.
    pub mode: DestinationMode,
    /// URLs as written; never empty.
    pub destinations: Vec<String>,
}

/// `DROP SUBSCRIPTION name ON database.policy`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropSubscription {
    /// The subscription.
    pub name: String,
    /// Its database.
    pub database: String,
    /// Its retention policy.
    pub retention_policy: String,
}

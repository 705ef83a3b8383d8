//! The `SHOW` statements that have options.

use super::{Expr, Measurement, OrderBy, Source};

/// `SHOW {SERIES | MEASUREMENT | TAG KEY | FIELD KEY} [EXACT] CARDINALITY …`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShowCardinality {
    /// Count instead of estimating.
    pub exact: bool,
    /// `ON`; `None` is the database of the request.
    pub database: Option<String>,
    /// `FROM`; may be empty.
    pub sources: Vec<Source>,
    /// `WHERE`
    pub condition: Option<Expr>,
    /// `GROUP BY`; may be empty.
    pub dimensions: Vec<Expr>,
    /// 0 is no limit.
    pub limit: u64,
    /// Rows to leave out first.
    pub offset: u64,
}

/// `SHOW SERIES …`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShowSeries {
    /// `ON`; `None` is the database of the request.
    pub database: Option<String>,
    /// `FROM`; may be empty.
    pub sources: Vec<Source>,
    /// `WHERE`
    pub condition: Option<Expr>,
    /// `ORDER BY`
    pub order_by: Option<OrderBy>,
    /// 0 is no limit.
    pub limit: u64,
    /// Rows to leave out first.
    pub offset: u64,
}

/// A name, or `*` for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameOrAll {
    /// One.
    Name(String),
    /// `*`
    All,
}

/// `SHOW MEASUREMENTS …`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShowMeasurements {
    /// `ON db`; `None` is the database of the request.
    pub database: Option<NameOrAll>,
    /// `ON db.rp`; `None` leaves the policy out of account.
    pub retention_policy: Option<NameOrAll>,
    /// `WITH MEASUREMENT = name` or `=~ /regex/`. Its database and retention policy are usually
    /// not given.
    pub with_measurement: Option<Measurement>,
    /// `WHERE`
    pub condition: Option<Expr>,
    /// `ORDER BY`
    pub order_by: Option<OrderBy>,
    /// 0 is no limit.
    pub limit: u64,
    /// Rows to leave out first.
    pub offset: u64,
}

/// `WITH KEY …`: which tag keys are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyFilter {
    /// `= key`
    Equal(String),
    /// `!= key`
    NotEqual(String),
    /// `=~ /regex/`
    Match(String),
    /// `!~ /regex/`
    NotMatch(String),
    /// `IN (key, …)`; never empty.
    In(Vec<String>),
}

/// `SHOW TAG KEYS …`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShowTagKeys {
    /// `ON`; `None` is the database of the request.
    pub database: Option<String>,
    /// `FROM`; may be empty.
    pub sources: Vec<Source>,
    /// `WITH KEY`
    pub with_key: Option<KeyFilter>,
    /// `WHERE`
    pub condition: Option<Expr>,
    /// `ORDER BY`
    pub order_by: Option<OrderBy>,
    /// Rows per measurement; 0 is no limit.
    pub limit: u64,
    /// Rows of each measurement to leave out first.
    pub offset: u64,
    /// Measurements; 0 is no limit.
    pub slimit: u64,
    /// Measurements to leave out first.
    pub soffset: u64,
}

/// `SHOW TAG VALUES …`
#[derive(Clone, Debug, PartialEq)]
pub struct ShowTagValues {
    /// `ON`; `None` is the database of the request.
    pub database: Option<String>,
    /// `FROM`; may be empty.
    pub sources: Vec<Source>,
    /// `WITH KEY`
    pub with_key: KeyFilter,
    /// `WHERE`
    pub condition: Option<Expr>,
    /// `ORDER BY`
    pub order_by: Option<OrderBy>,
    /// Rows per measurement; 0 is no limit.
    pub limit: u64,
    /// Rows of each measurement to leave out first.
    pub offset: u64,
}

/// `SHOW TAG VALUES [EXACT] CARDINALITY …`
#[derive(Clone, Debug, PartialEq)]
pub struct ShowTagValuesCardinality {
    /// Count instead of estimating.
    pub exact: bool,
    /// `ON`; `None` is the database of the request.
    pub database: Option<String>,
    /// `FROM`; may be empty.
    pub sources: Vec<Source>,
    /// `WITH KEY`
    pub with_key: KeyFilter,
    /// `WHERE`
    pub condition: Option<Expr>,
    /// `GROUP BY`; may be empty.
    pub dimensions: Vec<Expr>,
    /// 0 is no limit.
    pub limit: u64,
    /// Rows to leave out first.
    pub offset: u64,
}

/// `SHOW FIELD KEYS …`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShowFieldKeys {
    /// `ON`; `None` is the database of the request.
    pub database: Option<String>,
    /// `FROM`; may be empty.
    pub sources: Vec<Source>,
    /// `ORDER BY`
    pub order_by: Option<OrderBy>,
    /// Rows per measurement; 0 is no limit.
    pub limit: u64,
    /// Rows of each measurement to leave out first.
    pub offset: u64,
}

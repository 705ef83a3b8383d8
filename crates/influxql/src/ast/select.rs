//! `SELECT` and `EXPLAIN`.

use super::{Expr, Measurement, Source};

/// `SELECT … [INTO …] FROM … [WHERE …] [GROUP BY …] [fill(…)] [ORDER BY …] [LIMIT …] [OFFSET …]
/// [SLIMIT …] [SOFFSET …] [tz(…)]`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SelectStatement {
    /// What is selected; never empty.
    pub fields: Vec<Field>,
    /// Where the result is written to instead of being returned.
    pub into: Option<Measurement>,
    /// What is read; never empty.
    pub sources: Vec<Source>,
    /// The `WHERE` clause, its comparisons with `time` included.
    pub condition: Option<Expr>,
    /// The `GROUP BY` clause: references, wildcards, regular expressions and `time(…)` calls, and
    /// whatever else was written there, which the executor refuses.
    pub dimensions: Vec<Expr>,
    /// What empty windows hold.
    pub fill: Fill,
    /// The `ORDER BY` clause.
    pub order_by: Option<OrderBy>,
    /// Rows per series; 0 is no limit.
    pub limit: u64,
    /// Rows of each series to leave out first.
    pub offset: u64,
    /// Series; 0 is no limit.
    pub slimit: u64,
    /// Series to leave out first.
    pub soffset: u64,
    /// The name of a time zone that exists; `None` is UTC.
    pub time_zone: Option<String>,
}

/// One selected expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// What is computed; a regular expression or wildcard stands for several fields.
    pub expr: Expr,
    /// The name after `AS`.
    pub alias: Option<String>,
}

/// The `fill(…)` option.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Fill {
    /// `fill(null)`, and when there is no `fill(…)`.
    #[default]
    Null,
    /// `fill(none)`
    None,
    /// `fill(5)`
    Number(FillValue),
    /// `fill(previous)`
    Previous,
    /// `fill(linear)`
    Linear,
}

/// The number of a `fill(…)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FillValue {
    /// Written without a decimal point.
    Integer(i64),
    /// Written with one.
    Float(f64),
}

/// `ORDER BY [time] [ASC | DESC]`: time is all that InfluxQL can order by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderBy {
    /// False when only `ASC` or `DESC` was written.
    pub time_named: bool,
    /// True for `DESC`.
    pub descending: bool,
}

/// `EXPLAIN [ANALYZE] [VERBOSE] SELECT …`
#[derive(Clone, Debug, PartialEq)]
pub struct Explain {
    /// Run the statement and report what it took.
    pub analyze: bool,
    /// Report more.
    pub verbose: bool,
    /// The statement.
    pub statement: Box<SelectStatement>,
}

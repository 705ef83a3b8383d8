//! What a statement is run with.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::paths::Paths;
use crate::patience::Patience;
use crate::tasks::Task;

/// The request around a statement.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// Where unqualified names are looked up.
    pub database: Option<String>,
    /// The retention policy of unqualified measurements; `None` is the default one.
    pub retention_policy: Option<String>,
    /// What `now()` is, in nanoseconds since the epoch.
    pub now_ns: i64,
    /// True for a `GET`: a statement that changes something still runs, and a warning goes with it.
    pub read_only: bool,
    /// Set to end the statement: it stops within a few hundred rows with "query interrupted".
    pub cancel: Arc<AtomicBool>,
    /// The query in the list of those that run; it ends the statement when it was killed or took too long.
    pub task: Option<Arc<Task>>,
    /// How long it may take here; only for a statement that changes nothing.
    pub patience: Option<Arc<Patience>>,
    /// What one statement may take.
    pub limits: Limits,
    /// What goes beyond InfluxDB; off by default.
    pub extensions: Extensions,
    /// Which ways it may be run, and which it was.
    pub paths: Paths,
}

/// What one statement may take; 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Points that a `SELECT` may read (`max-select-point`).
    pub points_max: u64,
    /// Series that a `SELECT` may read (`max-select-series`).
    pub series_max: usize,
    /// Windows that a `SELECT` may make (`max-select-buckets`).
    pub buckets_max: usize,
    /// Bytes that one statement may hold (`each-query-bytes-max`); without it, as many as all queries
    /// together may.
    pub bytes_max: usize,
}

/// What goes beyond InfluxDB; each makes statements mean something else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// `fill(previous)` of an outermost statement in ascending order begins with the last window before the
    /// range that holds anything, however long ago that is. A series without a point in the range is
    /// filled too.
    pub fill_previous_looks_back: bool,
}

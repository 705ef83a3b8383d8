//! Why a statement failed, in InfluxDB's words where InfluxDB has words for it.

use tandem_influxql::condition::{ConditionError, TimeError};
use tandem_store::{OutOfMemory, StoreError, WriteError};
use thiserror::Error;

use crate::result::Gone;

/// Why a statement failed. `Display` is what a client is told.
#[derive(Debug, Error)]
pub enum Error {
    /// The statement cannot mean anything, or asks for what is not there. The text is InfluxDB's.
    #[error("{0}")]
    Refused(String),
    /// A condition on tags that the index cannot answer. The statements after it still run, see
    /// [`Error::ends_request`].
    #[error("{0}")]
    TagCondition(String),
    /// The statement is good and this server cannot run it.
    #[error("{0} is not supported yet")]
    Unsupported(String),
    /// Neither the statement nor the request names a database.
    #[error("database name required")]
    DatabaseRequired,
    /// The query was killed, or its client went away.
    #[error("query interrupted")]
    Interrupted,
    /// The query took longer than `query-timeout`.
    #[error("query-timeout limit exceeded")]
    Timeout,
    /// More queries at once than `max-concurrent-queries`.
    #[error("max-concurrent-queries limit exceeded({running}, {max})")]
    QueriesLimit {
        /// How many run.
        running: usize,
        /// The limit.
        max: usize,
    },
    /// The store is going down.
    #[error("query engine shutdown")]
    Closed,
    /// One statement would hold more memory than `each-query-bytes-max`.
    #[error("each-query-bytes-max limit exceeded: ({found}/{max})")]
    QueryBytesLimit {
        /// Bytes that it would hold.
        found: usize,
        /// The limit.
        max: usize,
    },
    /// All queries together would hold more memory than `query-bytes-max`.
    #[error("query-bytes-max limit exceeded: ({found}/{max})")]
    QueriesBytesLimit {
        /// Bytes that they would hold.
        found: usize,
        /// The limit.
        max: usize,
    },
    /// More series than `max-select-series`.
    #[error("max-select-series limit exceeded: ({found}/{max})")]
    SeriesLimit {
        /// How many there are.
        found: usize,
        /// The limit.
        max: usize,
    },
    /// More windows than `max-select-buckets`.
    #[error("max-select-buckets limit exceeded: ({found}/{max})")]
    BucketsLimit {
        /// How many there are.
        found: u64,
        /// The limit.
        max: usize,
    },
    /// More points than `max-select-point`.
    #[error("max-select-point limit exceeed: ({found}/{max})")]
    PointsLimit {
        /// How many were read.
        found: u64,
        /// The limit.
        max: u64,
    },
    /// A condition that means nothing.
    #[error(transparent)]
    Condition(#[from] ConditionError),
    /// A time that is none.
    #[error(transparent)]
    Time(#[from] TimeError),
    /// The result of `SELECT … INTO` could not be written; a part of it may have been.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The store reports an error.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Error {
    /// A refusal with InfluxDB's text.
    pub(crate) fn refused(text: impl Into<String>) -> Self {
        Self::Refused(text.into())
    }

    /// A refusal of a condition on tags.
    pub(crate) fn tag_condition(text: impl Into<String>) -> Self {
        Self::TagCondition(text.into())
    }

    /// Whether the statements behind the one that failed are not executed. As in InfluxDB, what its index finds
    /// wrong is told as the statement's result, and the next one goes on.
    #[must_use]
    pub const fn ends_request(&self) -> bool {
        !matches!(self, Self::TagCondition(_))
    }
}

impl From<OutOfMemory> for Error {
    fn from(error: OutOfMemory) -> Self {
        Self::QueriesBytesLimit {
            found: error.held_bytes.saturating_add(error.asked_bytes),
            max: error.bytes_max,
        }
    }
}

impl From<Gone> for Error {
    fn from(_: Gone) -> Self {
        Self::Interrupted
    }
}

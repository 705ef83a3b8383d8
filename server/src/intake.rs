//! Where points enter the store that do not come over the HTTP API, and what follows a write, whichever way
//! its points came.

use std::sync::Arc;

use tandem_model::Precision;
use tandem_store::{Store, StoreError, WriteError, WriteRequest};

use crate::statements::Runner;
use crate::subscriptions::Feed;

/// Into the store, and on to who has subscribed.
#[derive(Clone, Debug)]
pub(crate) struct Intake {
    store: Arc<Store>,
    runner: Arc<Runner>,
    feed: Feed,
}

/// Points of a write that were stored, and those that were not although others were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) stored: u64,
    pub(crate) dropped: u64,
}

impl Intake {
    pub(crate) fn new(store: Arc<Store>, runner: Arc<Runner>, feed: Feed) -> Self {
        Self {
            store,
            runner,
            feed,
        }
    }

    /// Writes `lines`, each with its time in nanoseconds. Makes the database when it is not there. Blocks.
    ///
    /// # Errors
    /// When nothing was stored.
    pub(crate) fn write(
        &self,
        database: &str,
        policy: Option<&str>,
        lines: &[u8],
    ) -> Result<Taken, WriteError> {
        let request = WriteRequest {
            database,
            retention_policy: policy,
            precision: Precision::Nanosecond,
            now_ns: 0,
        };
        let mut written = self.store.write(&request, lines);
        if let Err(WriteError::DatabaseNotFound(_)) = &written {
            self.runner
                .make_database(database)
                .map_err(|error| StoreError::Refused(error.to_string()))?;
            written = self.store.write(&request, lines);
        }
        let taken = match written {
            Ok(written) => Taken {
                stored: written.points,
                dropped: 0,
            },
            Err(WriteError::Partial {
                points, dropped, ..
            }) => Taken {
                stored: points,
                dropped,
            },
            Err(error) => return Err(error),
        };
        self.feed.offer(&request, lines);
        Ok(taken)
    }
}

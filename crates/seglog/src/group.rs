//! The group: records that are written and synced together, and the ticket to one of them.

use std::sync::{Arc, OnceLock};

use crate::{Error, Sequence};

/// The outcome that all records of a group share, set once.
#[derive(Debug, Default)]
pub(crate) struct Group {
    outcome: OnceLock<Result<(), Error>>,
}

impl Group {
    /// Tells everyone; the first word counts.
    pub(crate) fn settle(&self, outcome: Result<(), Error>) {
        // A second word is the echo of the first: the group was failed while it was being written.
        let _ = self.outcome.set(outcome);
    }

    pub(crate) fn outcome(&self) -> Option<Result<(), Error>> {
        self.outcome.get().cloned()
    }
}

/// A staged record, to be made durable by `Log::commit`. It belongs to the group that the record was
/// staged in: when that group fails, so does every commit of it, even after the number of the record
/// was given out again.
#[derive(Clone, Debug)]
pub struct Ticket {
    pub(crate) sequence: Sequence,
    pub(crate) group: Arc<Group>,
}

impl Ticket {
    /// The record's number.
    #[must_use]
    pub fn sequence(&self) -> Sequence {
        self.sequence
    }
}

//! What is known of single hints beside what their records say: which must not be sent yet, and
//! which not at all.

use std::collections::{HashMap, HashSet};

use tandem_http::Answer;
use tandem_seglog::Sequence;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// When a hint may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settle {
    /// Its live write has no answer yet.
    InFlight,
    /// Its live write broke off and may be applied until then.
    At(Instant),
    /// At once.
    Now,
}

impl Settle {
    /// Whether the hint may be dealt with.
    pub(crate) fn is_past(self, now: Instant) -> bool {
        match self {
            Self::InFlight => false,
            Self::At(at) => at <= now,
            Self::Now => true,
        }
    }
}

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// Hints that must wait, and the staging they came from: numbers are given out again when a
    /// commit fails.
    unsettled: HashMap<Sequence, (u64, Settle)>,
    /// Hints that must not be sent.
    cancelled: HashSet<Sequence>,
    stagings: u64,
    /// Who waits for what the backend says to a hint, and its staging: statements have results.
    results: HashMap<Sequence, (u64, oneshot::Sender<Answer>)>,
}

impl Marks {
    /// A hint was found in the log that must not be sent before then.
    pub(crate) fn recovered(&mut self, sequence: Sequence, at: Instant) {
        self.unsettled.insert(sequence, (0, Settle::At(at)));
    }

    /// A hint is about to be staged under this number; gives the number of the staging.
    pub(crate) fn staged(&mut self, sequence: Sequence, settle: Settle) -> u64 {
        self.stagings += 1;
        // A number that a failed staging had before may carry that one's marks.
        self.forget(sequence);
        if settle != Settle::Now {
            self.unsettled.insert(sequence, (self.stagings, settle));
        }
        self.stagings
    }

    /// A staging did not become durable.
    pub(crate) fn unstaged(&mut self, sequence: Sequence, staging: u64) {
        let marked = self.unsettled.get(&sequence);
        if marked.is_some_and(|(id, _)| *id == staging) {
            self.unsettled.remove(&sequence);
        }
        let waited_for = self.results.get(&sequence);
        if waited_for.is_some_and(|(id, _)| *id == staging) {
            self.results.remove(&sequence);
        }
    }

    /// The live write of a hint has come to an end.
    pub(crate) fn settle(&mut self, sequence: Sequence, settle: Settle) {
        if settle == Settle::Now {
            self.unsettled.remove(&sequence);
        } else if let Some((_, current)) = self.unsettled.get_mut(&sequence) {
            *current = settle;
        }
    }

    /// A hint is not to be sent. Unless its live write has `landed`, that still has to settle.
    pub(crate) fn cancel(&mut self, sequence: Sequence, landed: bool) {
        self.cancelled.insert(sequence);
        if landed {
            self.unsettled.remove(&sequence);
        }
    }

    /// When a hint may be dealt with, and whether it is to be sent then.
    pub(crate) fn due(&self, sequence: Sequence) -> (Settle, bool) {
        let settle = self.unsettled.get(&sequence);
        (
            settle.map_or(Settle::Now, |(_, settle)| *settle),
            !self.cancelled.contains(&sequence),
        )
    }

    /// Whether every hint may be dealt with now, as far as it is known.
    pub(crate) fn all_are_settled(&self) -> bool {
        self.unsettled.is_empty()
    }

    /// A hint is passed.
    pub(crate) fn forget(&mut self, sequence: Sequence) {
        self.unsettled.remove(&sequence);
        self.cancelled.remove(&sequence);
        self.results.remove(&sequence);
    }

    /// Somebody waits for the answer to this hint, which was staged last.
    pub(crate) fn expects(&mut self, sequence: Sequence, result: oneshot::Sender<Answer>) {
        self.results.insert(sequence, (self.stagings, result));
    }

    /// Who waits for the answer to this hint, from now on elsewhere.
    pub(crate) fn take_expectation(
        &mut self,
        sequence: Sequence,
    ) -> Option<oneshot::Sender<Answer>> {
        self.results.remove(&sequence).map(|(_, result)| result)
    }

    /// The backend has answered.
    pub(crate) fn answered(&mut self, sequence: Sequence, answer: Answer) {
        if let Some(result) = self.take_expectation(sequence) {
            // Whoever asked may have gone.
            let _ = result.send(answer);
        }
    }
}

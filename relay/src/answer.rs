//! What the client is told, and what becomes of each backend's copy, for every mix of outcomes.
//!
//! | outcome | meaning |
//! |---|---|
//! | stored | the backend confirmed all of it |
//! | partial | the backend stored the good lines and said what it dropped |
//! | hinted | not confirmed; fsynced in the backend's log |
//! | hold | refused for a reason that an operator can mend (no database, no right) |
//! | dead | refused for good (malformed, too large) |
//! | failed | neither confirmed nor in the log, which is full or broken |
//!
//! Order does not matter, but that among equals the first backend's answer is passed on:
//!
//! | one backend | the other | the client gets | copies |
//! |---|---|---|---|
//! | stored | stored | 204 | |
//! | stored | partial | the partial answer | |
//! | stored | hinted | 204 | hint delivered later |
//! | stored | hold | 204 | the refused copy goes to that backend's log, and waits there for the operator |
//! | stored | dead | the refusal | the refused copy is dropped: the client knows |
//! | stored | failed | 503 | |
//! | partial | partial | the first's answer | |
//! | partial | hinted | the partial answer | hint delivered later |
//! | partial | hold | the partial answer | as stored + hold |
//! | partial | dead | the refusal | |
//! | partial | failed | 503 | |
//! | hinted | hinted | 204 | both delivered later |
//! | hinted | hold | the refusal | the hint is cancelled: it would wait in its log for a refusal of its own |
//! | hinted | dead | the refusal | the hint is cancelled |
//! | hinted | failed | 503 | hint delivered later |
//! | hold | hold | the first's refusal | |
//! | hold | dead | the first's refusal | |
//! | hold | failed | the refusal | |
//! | dead | dead | the first's refusal | |
//! | dead | failed | the refusal | |
//! | failed | failed | 503 | |
//!
//! With more than two backends the same questions are asked of all, in this order: did any accept
//! it; if none did, did any refuse it; did any fail.

/// What became of a batch at one backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Stored,
    Partial,
    Hinted,
    Hold,
    Dead,
    Failed,
}

/// What the client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// 204.
    NoContent,
    /// What the backend with this index said.
    Pass(usize),
    /// 503.
    Unavailable,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) reply: Reply,
    /// Copies that were refused with `Hold` go to the log; if that fails, the reply is 503.
    pub(crate) keep_held: bool,
    /// Hints are cancelled.
    pub(crate) cancel_hints: bool,
}

/// Decides. The order of `outcomes` is that of the backends.
pub(crate) fn decide(outcomes: &[Outcome]) -> Decision {
    let first = |wanted: &[Outcome]| outcomes.iter().position(|outcome| wanted.contains(outcome));
    let plain = |reply| Decision {
        reply,
        keep_held: false,
        cancel_hints: false,
    };
    if first(&[Outcome::Stored, Outcome::Partial]).is_none() {
        return match first(&[Outcome::Hold, Outcome::Dead]) {
            Some(refusal) => Decision {
                cancel_hints: true,
                ..plain(Reply::Pass(refusal))
            },
            None if first(&[Outcome::Failed]).is_some() => plain(Reply::Unavailable),
            None => plain(Reply::NoContent),
        };
    }
    if first(&[Outcome::Failed]).is_some() {
        return plain(Reply::Unavailable);
    }
    if let Some(refusal) = first(&[Outcome::Dead]) {
        return plain(Reply::Pass(refusal));
    }
    Decision {
        keep_held: true,
        ..plain(first(&[Outcome::Partial]).map_or(Reply::NoContent, Reply::Pass))
    }
}

#[cfg(test)]
mod tests {
    use super::Outcome::*;
    use super::*;

    /// The rows of the table in the module's head, in its order: outcomes, which of the two is
    /// passed on, whether held copies are kept, whether hints are cancelled.
    const TABLE: [(Outcome, Outcome, Reply, bool, bool); 21] = [
        (Stored, Stored, Reply::NoContent, true, false),
        (Stored, Partial, Reply::Pass(1), true, false),
        (Stored, Hinted, Reply::NoContent, true, false),
        (Stored, Hold, Reply::NoContent, true, false),
        (Stored, Dead, Reply::Pass(1), false, false),
        (Stored, Failed, Reply::Unavailable, false, false),
        (Partial, Partial, Reply::Pass(0), true, false),
        (Partial, Hinted, Reply::Pass(0), true, false),
        (Partial, Hold, Reply::Pass(0), true, false),
        (Partial, Dead, Reply::Pass(1), false, false),
        (Partial, Failed, Reply::Unavailable, false, false),
        (Hinted, Hinted, Reply::NoContent, false, false),
        (Hinted, Hold, Reply::Pass(1), false, true),
        (Hinted, Dead, Reply::Pass(1), false, true),
        (Hinted, Failed, Reply::Unavailable, false, false),
        (Hold, Hold, Reply::Pass(0), false, true),
        (Hold, Dead, Reply::Pass(0), false, true),
        (Hold, Failed, Reply::Pass(0), false, true),
        (Dead, Dead, Reply::Pass(0), false, true),
        (Dead, Failed, Reply::Pass(0), false, true),
        (Failed, Failed, Reply::Unavailable, false, false),
    ];

    #[test]
    fn every_row_of_the_table_holds_in_both_orders() {
        for (one, other, reply, keep_held, cancel_hints) in TABLE {
            let want = |reply| Decision {
                reply,
                keep_held,
                cancel_hints,
            };
            assert_eq!(decide(&[one, other]), want(reply), "{one:?} {other:?}");
            let mirrored = match reply {
                Reply::Pass(index) if one != other && !(one == Hold && other == Dead) => {
                    Reply::Pass(1 - index)
                }
                reply => reply,
            };
            assert_eq!(decide(&[other, one]), want(mirrored), "{other:?} {one:?}");
        }
    }

    #[test]
    fn one_backend_alone_is_passed_through() {
        assert_eq!(decide(&[Stored]).reply, Reply::NoContent);
        assert_eq!(decide(&[Hinted]).reply, Reply::NoContent);
        assert_eq!(decide(&[Partial]).reply, Reply::Pass(0));
        assert_eq!(decide(&[Hold]).reply, Reply::Pass(0));
        assert_eq!(decide(&[Dead]).reply, Reply::Pass(0));
        assert_eq!(decide(&[Failed]).reply, Reply::Unavailable);
    }

    #[test]
    fn of_three_one_that_failed_makes_it_503() {
        assert_eq!(decide(&[Stored, Hold, Failed]).reply, Reply::Unavailable);
        assert_eq!(decide(&[Stored, Hinted, Hinted]).reply, Reply::NoContent);
    }
}

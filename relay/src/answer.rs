//! What the client is told, and what becomes of each backend's copy, for every mix of outcomes.
//!
//! | outcome | meaning |
//! |---|---|
//! | stored | the backend confirmed all of it |
//! | partial | the backend stored the good lines and said what it dropped |
//! | hinted | not confirmed; fsynced in the backend's log, or its loss counted as the operator chose |
//! | hold | refused for a reason that an operator can mend, or too large in one piece |
//! | dead | refused for good (malformed) |
//! | failed | neither confirmed nor in the log, which is full or broken |
//!
//! Order does not matter, but that among equals the first backend's answer is passed on:
//!
//! | one backend | the other | the client gets | copies |
//! |---|---|---|---|
//! | stored | stored | 204 | |
//! | stored | partial | the partial answer | the dropped lines' copy goes to the dead letters |
//! | stored | hinted | 204 | hint delivered later |
//! | stored | hold | 204 | the refused copy goes to that backend's log, and waits there for the operator |
//! | stored | dead | the refusal | the refused copy goes to the dead letters |
//! | stored | failed | 503 | |
//! | partial | partial | the first's answer | |
//! | partial | hinted | the partial answer | hint delivered later |
//! | partial | hold | the partial answer | as stored + hold |
//! | partial | dead | the refusal | as stored + dead |
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
//! it; if none did, did any refuse it; did any fail. A backend that does not want the batch has no
//! say.
//!
//! A request may ask for another level of `consistency`; then failed backends count as absent while
//! one is left, and 204 becomes 503 unless enough have confirmed (stored or partial): `any` 0, `one`
//! 1, `quorum` more than half, `all` all. Hints stay, so that the stores end equal.

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

/// How many backends must have confirmed, as a request asks for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Level {
    /// Each has confirmed it, or has it in its log.
    #[default]
    Kept,
    Any,
    One,
    Quorum,
    All,
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
    /// 503: too few have confirmed.
    TooFew { confirmed: usize, wanted: usize },
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) reply: Reply,
    /// Copies that were refused with `Hold` go to the log; if that fails, the reply is 503.
    pub(crate) keep_held: bool,
    /// Copies that were refused with `Dead` go to the dead letters.
    pub(crate) bury_dead: bool,
    /// Copies of which a part was refused go to the dead letters.
    pub(crate) bury_partial: bool,
    /// Hints are cancelled.
    pub(crate) cancel_hints: bool,
}

impl Level {
    /// Reads the parameter `consistency`.
    pub(crate) fn parse(text: Option<&str>) -> Option<Self> {
        Some(match text {
            None | Some("") => Self::Kept,
            Some(text) if text.eq_ignore_ascii_case("any") => Self::Any,
            Some(text) if text.eq_ignore_ascii_case("one") => Self::One,
            Some(text) if text.eq_ignore_ascii_case("quorum") => Self::Quorum,
            Some(text) if text.eq_ignore_ascii_case("all") => Self::All,
            Some(_) => return None,
        })
    }

    /// How many of so many backends must have confirmed.
    pub(crate) const fn wanted(self, backends: usize) -> usize {
        match self {
            Self::Kept | Self::Any => 0,
            Self::One => 1,
            Self::Quorum => backends / 2 + 1,
            Self::All => backends,
        }
    }
}

/// Decides. The order of `outcomes` is that of the backends.
pub(crate) fn decide(outcomes: &[Outcome], level: Level) -> Decision {
    let found = |wanted: &[Outcome]| outcomes.iter().position(|outcome| wanted.contains(outcome));
    let plain = |reply| Decision {
        reply,
        keep_held: false,
        bury_dead: false,
        bury_partial: false,
        cancel_hints: false,
    };
    let failed = found(&[Outcome::Failed]).is_some()
        && (level == Level::Kept || outcomes.iter().all(|outcome| *outcome == Outcome::Failed));
    let confirmed = [Outcome::Stored, Outcome::Partial];
    let wanted = level.wanted(outcomes.len());
    let count = outcomes
        .iter()
        .filter(|outcome| confirmed.contains(outcome))
        .count();
    let no_content = if count < wanted {
        Reply::TooFew {
            confirmed: count,
            wanted,
        }
    } else {
        Reply::NoContent
    };
    if found(&confirmed).is_none() {
        return match found(&[Outcome::Hold, Outcome::Dead]) {
            Some(refusal) => Decision {
                cancel_hints: true,
                ..plain(Reply::Pass(refusal))
            },
            None if failed => plain(Reply::Unavailable),
            None => plain(no_content),
        };
    }
    if failed {
        return plain(Reply::Unavailable);
    }
    let agreed = !outcomes.contains(&Outcome::Stored);
    let reply = match found(&[Outcome::Dead]).or(found(&[Outcome::Partial])) {
        Some(index) => Reply::Pass(index),
        None => no_content,
    };
    Decision {
        keep_held: true,
        bury_dead: true,
        bury_partial: !agreed,
        ..plain(reply)
    }
}

#[cfg(test)]
mod tests {
    use super::Outcome::*;
    use super::*;

    /// What becomes of the copies.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Copies {
        /// Held and dead ones are kept; partial ones too.
        Kept,
        /// Held and dead ones are kept; partial ones are not, for all agree.
        KeptButPartial,
        Left,
        Cancelled,
    }

    /// The rows of the table in the module's head, in its order: outcomes, which of the two is
    /// passed on, what becomes of the copies.
    const TABLE: [(Outcome, Outcome, Reply, Copies); 21] = [
        (Stored, Stored, Reply::NoContent, Copies::Kept),
        (Stored, Partial, Reply::Pass(1), Copies::Kept),
        (Stored, Hinted, Reply::NoContent, Copies::Kept),
        (Stored, Hold, Reply::NoContent, Copies::Kept),
        (Stored, Dead, Reply::Pass(1), Copies::Kept),
        (Stored, Failed, Reply::Unavailable, Copies::Left),
        (Partial, Partial, Reply::Pass(0), Copies::KeptButPartial),
        (Partial, Hinted, Reply::Pass(0), Copies::KeptButPartial),
        (Partial, Hold, Reply::Pass(0), Copies::KeptButPartial),
        (Partial, Dead, Reply::Pass(1), Copies::KeptButPartial),
        (Partial, Failed, Reply::Unavailable, Copies::Left),
        (Hinted, Hinted, Reply::NoContent, Copies::Left),
        (Hinted, Hold, Reply::Pass(1), Copies::Cancelled),
        (Hinted, Dead, Reply::Pass(1), Copies::Cancelled),
        (Hinted, Failed, Reply::Unavailable, Copies::Left),
        (Hold, Hold, Reply::Pass(0), Copies::Cancelled),
        (Hold, Dead, Reply::Pass(0), Copies::Cancelled),
        (Hold, Failed, Reply::Pass(0), Copies::Cancelled),
        (Dead, Dead, Reply::Pass(0), Copies::Cancelled),
        (Dead, Failed, Reply::Pass(0), Copies::Cancelled),
        (Failed, Failed, Reply::Unavailable, Copies::Left),
    ];

    #[test]
    fn every_row_of_the_table_holds_in_both_orders() {
        for (one, other, reply, copies) in TABLE {
            let kept = matches!(copies, Copies::Kept | Copies::KeptButPartial);
            let want = |reply| Decision {
                reply,
                keep_held: kept,
                bury_dead: kept,
                bury_partial: copies == Copies::Kept,
                cancel_hints: copies == Copies::Cancelled,
            };
            let decided = decide(&[one, other], Level::Kept);
            assert_eq!(decided, want(reply), "{one:?} {other:?}");
            let mirrored = match reply {
                Reply::Pass(index) if one != other && !(one == Hold && other == Dead) => {
                    Reply::Pass(1 - index)
                }
                reply => reply,
            };
            let decided = decide(&[other, one], Level::Kept);
            assert_eq!(decided, want(mirrored), "{other:?} {one:?}");
        }
    }

    #[test]
    fn one_backend_alone_is_passed_through() {
        let reply = |outcome| decide(&[outcome], Level::Kept).reply;
        assert_eq!(reply(Stored), Reply::NoContent);
        assert_eq!(reply(Hinted), Reply::NoContent);
        assert_eq!(reply(Partial), Reply::Pass(0));
        assert_eq!(reply(Hold), Reply::Pass(0));
        assert_eq!(reply(Dead), Reply::Pass(0));
        assert_eq!(reply(Failed), Reply::Unavailable);
    }

    #[test]
    fn of_three_one_that_failed_makes_it_503() {
        let reply = |outcomes: &[Outcome]| decide(outcomes, Level::Kept).reply;
        assert_eq!(reply(&[Stored, Hold, Failed]), Reply::Unavailable);
        assert_eq!(reply(&[Stored, Hinted, Hinted]), Reply::NoContent);
    }

    #[test]
    fn a_level_asks_for_so_many_that_confirmed() {
        let too_few = |confirmed, wanted| Reply::TooFew { confirmed, wanted };
        for (level, outcomes, want) in [
            (Level::Any, [Hinted, Hinted, Failed], Reply::NoContent),
            (Level::Any, [Failed, Failed, Failed], Reply::Unavailable),
            (Level::One, [Stored, Failed, Failed], Reply::NoContent),
            (Level::One, [Hinted, Hinted, Hinted], too_few(0, 1)),
            (Level::One, [Hinted, Dead, Hinted], Reply::Pass(1)),
            (Level::Quorum, [Stored, Partial, Failed], Reply::Pass(1)),
            (Level::Quorum, [Stored, Stored, Hold], Reply::NoContent),
            (Level::Quorum, [Stored, Hinted, Hinted], too_few(1, 2)),
            (Level::All, [Stored, Stored, Stored], Reply::NoContent),
            (Level::All, [Stored, Stored, Hinted], too_few(2, 3)),
        ] {
            assert_eq!(
                decide(&outcomes, level).reply,
                want,
                "{level:?} {outcomes:?}"
            );
        }
        assert!(
            decide(&[Stored, Hold], Level::All).keep_held,
            "the copy is kept all the same"
        );
    }

    #[test]
    fn levels_are_read_in_any_case_and_others_refused() {
        assert_eq!(Level::parse(None), Some(Level::Kept));
        assert_eq!(Level::parse(Some("ALL")), Some(Level::All));
        assert_eq!(Level::parse(Some("most")), None);
    }
}

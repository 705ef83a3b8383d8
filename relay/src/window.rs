//! The hints that a drainer has read and not passed, in the order of the log.
//!
//! They may end in another order: a hint goes as soon as nothing before it has to come first
//! ([`Scope::follows`]). The cursor follows the first that has not ended.

use std::collections::VecDeque;
use std::time::Duration;

use tandem_seglog::Sequence;
use tokio::time::Instant;

use crate::backlog::Passed;
use crate::batch::Head;
use crate::lane::Ahead;
use crate::parcel::Parcel;
use crate::scope::Scope;

/// Hints in a window.
const HINTS_MAX: usize = 2_048;
/// Bytes of them; a single larger one is taken, too.
const BYTES_MAX: u64 = 6 << 20;

/// A hint.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) sequence: Sequence,
    pub(crate) head: Head,
    /// Of its record.
    pub(crate) bytes: u64,
    pub(crate) state: State,
    /// Not to be sent before.
    pub(crate) not_before: Option<Instant>,
    /// It was sent, broke off, and may be applied until then.
    pub(crate) ghost_until: Option<Instant>,
    /// How long it waits after the next refusal.
    pub(crate) pause: Duration,
}

/// What is being done with a hint.
#[derive(Debug)]
pub(crate) enum State {
    Waiting(Parcel),
    Flying,
    /// It needs no more dealing with.
    Done,
    /// Another backlog has it.
    Moved,
}

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Window {
    items: VecDeque<Item>,
    bytes: u64,
}

impl Window {
    pub(crate) fn has_room(&self) -> bool {
        self.items.len() < HINTS_MAX && self.bytes < BYTES_MAX
    }

    /// How many records, and bytes, may still be read.
    pub(crate) fn room(&self) -> (usize, u64) {
        (
            HINTS_MAX.saturating_sub(self.items.len()),
            BYTES_MAX.saturating_sub(self.bytes),
        )
    }

    pub(crate) fn push(&mut self, item: Item) {
        self.bytes += item.bytes;
        self.items.push_back(item);
    }

    pub(crate) fn front(&self) -> Option<&Item> {
        self.items.front()
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn at(&mut self, index: usize) -> Option<&mut Item> {
        self.items.get_mut(index)
    }

    /// The hint with this number.
    pub(crate) fn find(&mut self, sequence: Sequence) -> Option<&mut Item> {
        let at = self.items.partition_point(|item| item.sequence < sequence);
        self.items
            .get_mut(at)
            .filter(|item| item.sequence == sequence)
    }

    /// Takes out the first ones that have ended.
    pub(crate) fn pass(&mut self, passed: &mut Vec<Passed>) {
        while let Some(item) = self.items.front() {
            let scope: Option<Scope> = match item.state {
                State::Done => Some(item.head.scope),
                State::Moved => None,
                State::Waiting(_) | State::Flying => return,
            };
            passed.push(Passed {
                sequence: item.sequence,
                scope,
                bytes: item.bytes,
            });
            self.bytes -= item.bytes;
            self.items.pop_front();
        }
    }
}

impl Item {
    /// Puts what comes next behind it, if it has not ended.
    pub(crate) fn stand_in_the_way(&self, ahead: &mut Ahead) {
        if matches!(self.state, State::Waiting(_) | State::Flying) {
            ahead.add(&self.head.scope);
        }
    }

    /// Takes the parcel out, to send it.
    pub(crate) fn take_off(&mut self) -> Option<Parcel> {
        match std::mem::replace(&mut self.state, State::Flying) {
            State::Waiting(parcel) => Some(parcel),
            other => {
                self.state = other;
                None
            }
        }
    }

    /// What it would send: for who drops it or moves it.
    pub(crate) fn parcel(&self) -> Option<&Parcel> {
        match &self.state {
            State::Waiting(parcel) => Some(parcel),
            State::Flying | State::Done | State::Moved => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn item(sequence: Sequence) -> Item {
        Item {
            sequence,
            head: Head::default(),
            bytes: 10,
            state: State::Waiting(Parcel::new(Head::default(), Bytes::new())),
            not_before: None,
            ghost_until: None,
            pause: Duration::ZERO,
        }
    }

    #[test]
    fn only_the_first_that_have_ended_are_passed() {
        let mut window = Window::default();
        for sequence in [3, 5, 6] {
            window.push(item(sequence));
        }
        let mut passed = Vec::new();
        window.find(5).unwrap().state = State::Done;
        assert!(window.find(4).is_none());
        window.pass(&mut passed);
        assert!(passed.is_empty());
        window.find(3).unwrap().state = State::Moved;
        window.pass(&mut passed);
        let numbers: Vec<_> = passed
            .iter()
            .map(|p| (p.sequence, p.scope.is_some()))
            .collect();
        assert_eq!(numbers, [(3, false), (5, true)]);
        assert_eq!(window.front().unwrap().sequence, 6);
        assert_eq!(window.bytes, 10);
    }
}

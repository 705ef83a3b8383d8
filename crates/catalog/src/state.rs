//! What the log says, while it is read at a start: all entries, and whether all of it was there.

use std::collections::BTreeMap;

use tandem_seglog::{Corruption, Sequence};

use crate::place::Place;
use crate::record::{Edit, Op};

/// The entries after the records that were read.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) entries: BTreeMap<Vec<u8>, Vec<u8>>,
    /// After the last record that was read.
    pub(crate) place: Place,
    /// The first record that was read.
    first: Option<Sequence>,
    /// The last record that began with a clean sheet.
    snapshot: Option<Sequence>,
    /// The last record says nothing but that those before it are durable.
    pub(crate) is_proven: bool,
}

impl State {
    pub(crate) fn apply(&mut self, sequence: Sequence, record: &[u8], op: Op) {
        self.place = self.place.after(sequence, record);
        self.first.get_or_insert(sequence);
        self.is_proven = op.is_empty();
        for edit in op.edits {
            match edit {
                Edit::Clear => {
                    self.entries.clear();
                    self.snapshot = Some(sequence);
                }
                Edit::Put(key, value) => {
                    self.entries.insert(key, value);
                }
                Edit::Remove(key) => {
                    self.entries.remove(&key);
                }
            }
        }
    }

    /// True when nothing that counts was lost of a log whose next record is `next`. What stood before the last
    /// snapshot does not count; what is behind it does, and without one everything from record 1.
    pub(crate) fn is_whole(&self, next: Sequence, corruptions: &[Corruption]) -> bool {
        let begun = match (self.snapshot, self.first) {
            (Some(snapshot), _) => snapshot,
            (None, Some(1)) => 0,
            (None, None) if next == 1 => 0,
            (None, _) => return false,
        };
        corruptions
            .iter()
            .all(|one| one.sequences.is_empty() || one.sequences.end <= begun)
    }
}

/// What an entry counts for in [`crate::Options::state_bytes_max`].
pub(crate) fn entry_bytes(key: &[u8], value: &[u8]) -> u64 {
    (key.len() + value.len()) as u64
}

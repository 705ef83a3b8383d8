//! A set of series ids for each tag pair, small where it is small.
//!
//! Most pairs of a churning fleet (a container's id, a pod's name) are carried by one series or a
//! few, and a handful by very many. One id lies in the pair's slot itself, a few in a sorted
//! array, and more in a Roaring bitmap.

use roaring::RoaringBitmap;

use super::arena::Blocks;

/// Series ids are below this, so that a slot can say more than an id.
pub(super) const ID_END: u32 = 0xf000_0000;
/// A slot of no id.
const EMPTY: u32 = u32::MAX;
/// Ids of an array, before it becomes a bitmap.
const FEW_MAX: usize = 32;

#[derive(Debug)]
enum Set {
    Few(Vec<u32>),
    Many(RoaringBitmap),
}

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Sets {
    /// By pair: an id, [`EMPTY`], or [`ID_END`] and the place in `sets`.
    slots: Blocks<u32>,
    sets: Vec<Set>,
    free: Vec<u32>,
}

/// The ids of one pair.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ids<'a> {
    Few(&'a [u32]),
    Many(&'a RoaringBitmap),
}

impl Ids<'_> {
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Few(ids) => ids.is_empty(),
            Self::Many(ids) => ids.is_empty(),
        }
    }

    pub(super) fn intersects(&self, other: &RoaringBitmap) -> bool {
        match self {
            Self::Few(ids) => ids.iter().any(|id| other.contains(*id)),
            Self::Many(ids) => !ids.is_disjoint(other),
        }
    }

    /// Those that are also in `other`.
    pub(super) fn intersection(&self, other: &RoaringBitmap) -> RoaringBitmap {
        match self {
            Self::Few(ids) => {
                let shared = ids.iter().copied().filter(|id| other.contains(*id));
                shared.collect()
            }
            Self::Many(ids) => *ids & other,
        }
    }

    /// Adds those that are also in `other` to a union under way: small sets to `few`.
    pub(super) fn add_to(
        &self,
        other: &RoaringBitmap,
        few: &mut Vec<u32>,
        many: &mut RoaringBitmap,
    ) {
        match self {
            Self::Few(ids) => few.extend(ids.iter().filter(|id| other.contains(**id))),
            Self::Many(ids) => *many |= *ids & other,
        }
    }
}

impl Sets {
    /// Makes the slot of the next pair.
    pub(super) fn push_empty(&mut self) {
        self.slots.push(EMPTY);
    }

    /// The ids of a pair.
    pub(super) fn get(&self, pair: u32) -> Ids<'_> {
        let slot = self.slots.get(pair);
        if *slot == EMPTY {
            return Ids::Few(&[]);
        }
        if *slot < ID_END {
            return Ids::Few(std::slice::from_ref(slot));
        }
        match &self.sets[(slot - ID_END) as usize] {
            Set::Few(ids) => Ids::Few(ids),
            Set::Many(ids) => Ids::Many(ids),
        }
    }

    pub(super) fn insert(&mut self, pair: u32, id: u32) {
        let slot = *self.slots.get(pair);
        if slot == EMPTY {
            *self.slots.get_mut(pair) = id;
        } else if slot < ID_END {
            if slot != id {
                let set = Set::Few(vec![slot.min(id), slot.max(id)]);
                *self.slots.get_mut(pair) = ID_END + self.keep(set);
            }
        } else {
            let set = &mut self.sets[(slot - ID_END) as usize];
            match set {
                Set::Few(ids) => {
                    if let Err(at) = ids.binary_search(&id) {
                        ids.insert(at, id);
                    }
                    if ids.len() > FEW_MAX {
                        *set = Set::Many(ids.iter().copied().collect());
                    }
                }
                Set::Many(ids) => {
                    ids.insert(id);
                }
            }
        }
    }

    fn keep(&mut self, set: Set) -> u32 {
        if let Some(at) = self.free.pop() {
            self.sets[at as usize] = set;
            return at;
        }
        self.sets.push(set);
        (self.sets.len() - 1) as u32
    }

    pub(super) fn remove(&mut self, pair: u32, id: u32) {
        let slot = *self.slots.get(pair);
        if slot == EMPTY {
            return;
        }
        if slot < ID_END {
            if slot == id {
                *self.slots.get_mut(pair) = EMPTY;
            }
            return;
        }
        let set = &mut self.sets[(slot - ID_END) as usize];
        let left = match set {
            Set::Few(ids) => {
                if let Ok(at) = ids.binary_search(&id) {
                    ids.remove(at);
                }
                ids.len() as u64
            }
            Set::Many(ids) => {
                ids.remove(id);
                ids.len()
            }
        };
        if left <= 1 {
            let only = match set {
                Set::Few(ids) => ids.first().copied(),
                Set::Many(ids) => ids.min(),
            };
            *set = Set::Few(Vec::new());
            self.free.push(slot - ID_END);
            *self.slots.get_mut(pair) = only.unwrap_or(EMPTY);
        }
    }

    /// Bytes taken from the allocator, near enough.
    pub(super) fn heap_bytes(&self) -> usize {
        let sets = self.sets.iter().map(|set| match set {
            Set::Few(ids) => ids.capacity() * 4,
            Set::Many(ids) => {
                let statistics = ids.statistics();
                (statistics.n_bytes_array_containers
                    + statistics.n_bytes_bitset_containers
                    + statistics.n_bytes_run_containers) as usize
                    + statistics.n_containers as usize * 40
            }
        });
        self.slots.heap_bytes() + self.sets.capacity() * size_of::<Set>() + sets.sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sets_of_any_size_hold_what_was_put_in(
            steps in prop::collection::vec((any::<bool>(), 0_u32..3, 0_u32..90), 0..500),
        ) {
            let mut sets = Sets::default();
            (0..3).for_each(|_| sets.push_empty());
            let mut model = [BTreeSet::new(), BTreeSet::new(), BTreeSet::new()];
            let odd: RoaringBitmap = (0..90).filter(|id| id % 2 == 1).collect();
            for (insert, pair, id) in steps {
                if insert {
                    sets.insert(pair, id);
                    model[pair as usize].insert(id);
                } else {
                    sets.remove(pair, id);
                    model[pair as usize].remove(&id);
                }
                let expected: RoaringBitmap = model[pair as usize].iter().copied().collect();
                let expected_odd = &expected & &odd;
                let got = sets.get(pair);
                prop_assert_eq!(got.is_empty(), expected.is_empty());
                prop_assert_eq!(got.intersects(&odd), !expected_odd.is_empty());
                prop_assert_eq!(&got.intersection(&odd), &expected_odd);
                let (mut few, mut many) = (Vec::new(), RoaringBitmap::new());
                got.add_to(&odd, &mut few, &mut many);
                many.extend(few);
                prop_assert_eq!(many, expected_odd);
            }
            prop_assert!(sets.heap_bytes() > 0);
        }
    }
}

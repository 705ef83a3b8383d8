//! Names in the order in which they come, each once: the fields that are read of a measurement.
//!
//! Most statements name a few, which are looked through faster than they are hashed. `SELECT *` of a table of thousands of
//! fields names all of them, for each group.

use std::collections::HashMap;
use std::ops::Deref;

/// As many are looked through.
const FEW: usize = 32;

/// See the module's head.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    list: Vec<Vec<u8>>,
    /// Of all of them, once there are more than a few.
    places: HashMap<Vec<u8>, usize>,
}

impl Names {
    /// The place of a name, which is put behind the others if it is new.
    pub(crate) fn place(&mut self, name: &[u8]) -> usize {
        let next = self.list.len();
        if next <= FEW {
            let mut list = self.list.iter();
            if let Some(known) = list.position(|other| other == name) {
                return known;
            }
        } else {
            if self.places.is_empty() {
                self.places = self.list.iter().cloned().zip(0..).collect();
            }
            if let Some(known) = self.places.get(name) {
                return *known;
            }
            self.places.insert(name.to_vec(), next);
        }
        self.list.push(name.to_vec());
        next
    }
}

impl Deref for Names {
    type Target = Vec<Vec<u8>>;

    fn deref(&self) -> &Self::Target {
        &self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_places_however_many_there_are() {
        let mut names = Names::default();
        for _ in 0..2 {
            for number in 0..3 * FEW {
                assert_eq!(names.place(format!("f{number}").as_bytes()), number);
                assert_eq!(names.place(b"f0"), 0);
            }
        }
        assert_eq!(names.len(), 3 * FEW);
        assert_eq!(names[FEW + 1], format!("f{}", FEW + 1).as_bytes());
    }
}

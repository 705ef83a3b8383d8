//! Randomness for names and salts. What must be repeatable takes a seed instead.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

/// A random number that nobody needs to guess: keys of the standard hasher, seeded by the
/// operating system once a thread and different at each call. Not for secrets.
#[must_use]
pub fn random_u64() -> u64 {
    RandomState::new().build_hasher().finish()
}

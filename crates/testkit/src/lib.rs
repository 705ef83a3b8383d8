//! What tests put in the place of the world: a file system that loses what was not synced and fails on demand
//! ([`SimFs`]), a clock that is turned by hand ([`ManualClock`]), and repeatable randomness ([`Rng`]).
//!
//! Only tests depend on this crate. Everything in it is decided by seeds, so a failure can be run again.

mod clock;
mod rng;
mod simfs;

pub use clock::ManualClock;
pub use rng::Rng;
pub use simfs::{Lie, Op, SimFs};

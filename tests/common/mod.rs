//! The binary `tandem` as others see it: processes, HTTP, and nothing from inside.
//!
//! Every process started here is killed by its id when its handle is dropped, also when a test
//! fails. Waiting is always for a condition, with a deadline that leaves room for a busy machine.

#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod cluster;
pub(crate) mod http;
pub(crate) mod influxd;
pub(crate) mod loader;
pub(crate) mod process;
pub(crate) mod steady;
pub(crate) mod tool;

use std::{
    thread,
    time::{Duration, Instant},
};

/// A start, or an answer after an outage. After a broken write nothing in its lanes moves until
/// the relay's write timeout (10 s) is over.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at what is awaited.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// The first `Some` of `look` within `limit`; a panic that tells `what` was awaited otherwise.
#[track_caller]
pub(crate) fn await_some<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        thread::sleep(LOOK_INTERVAL);
    }
}

/// Waits until `look` is true, for `limit` at most.
#[track_caller]
pub(crate) fn await_true(what: &str, limit: Duration, mut look: impl FnMut() -> bool) {
    await_some(what, limit, || look().then_some(()));
}

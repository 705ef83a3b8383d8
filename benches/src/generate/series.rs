//! Many series of one field each, a point a minute: what an index and a memtable cost per series.

use super::{START_NS, put_number};
use crate::random::Random;

const STEP_NS: i64 = 60_000_000_000;
/// Instances of one service.
const INSTANCES: u32 = 1_000;

/// See the module's head.
#[derive(Debug)]
pub(super) struct Series {
    random: Random,
    count: u32,
    next: u32,
    time_ns: i64,
}

impl Series {
    /// Of at least one series.
    pub(super) fn new(count: u32) -> Self {
        Self {
            random: Random::new(u64::from(count)),
            count,
            next: 0,
            time_ns: START_NS,
        }
    }

    /// Appends a line; returns how many values it has.
    pub(super) fn line(&mut self, out: &mut Vec<u8>) -> u64 {
        out.extend_from_slice(b"requests,instance=i");
        put_number(out, self.next);
        out.extend_from_slice(b",service=s");
        put_number(out, self.next / INSTANCES);
        out.extend_from_slice(b" served=");
        put_number(out, self.random.below(1_000));
        out.extend_from_slice(b"i ");
        put_number(out, self.time_ns);
        out.push(b'\n');
        self.next += 1;
        if self.next == self.count {
            self.next = 0;
            self.time_ns += STEP_NS;
        }
        1
    }
}

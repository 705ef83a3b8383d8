//! What a relay does as its clients, its backends and its disk see it; one claim a file. One program,
//! because each takes its time to be linked.

mod contract;
mod disk;
mod fan_out;
mod held;
mod influxd;
mod listen;
mod outage;
mod poison;
mod queue;
mod slow;
mod soak;
mod support;

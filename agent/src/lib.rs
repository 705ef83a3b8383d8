//! The monitoring agent: measures this host as Telegraf does and sends the lines to a relay.

mod batch;
mod collect;
mod roots;
mod text;

pub use batch::{Batch, Line, Tags};
pub use collect::{
    Collector, Collectors, CpuOptions, DiskOptions, MemOptions, MemUsed, Moment, NetOptions,
    SourceError, Troubles,
};
pub use roots::Roots;

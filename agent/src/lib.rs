//! The monitoring agent: measures this host as Telegraf does, and brings every line to a relay.
//!
//! ```text
//! collectors ─> gatherer ─> inbox ─> sender ─> relay
//!  (one file each)  (aligned ticks)     │  ^
//!                                       v  │   only while no relay answers
//!                                       spool
//! ```
//!
//! What always holds:
//! - Names, tags, types and formulas are Telegraf's; a dashboard made for it stays filled.
//! - Nothing that hangs (a dead mount, a slow file, a relay) delays a tick of anything else.
//! - Memory is bounded, and so is the spool; what is given up is counted ([`Accounts`]).
//! - What was spooled survives `kill -9`. Once a relay answers again, what is new goes out first, and the
//!   spool behind it in order.
//!
//! [`Agent::start`] runs it; [`test`] and [`once`] are its one-shot forms.

mod agent;
mod batch;
mod collect;
mod config;
mod containers;
mod counters;
mod gather;
mod glob;
mod governor;
mod guard;
mod hostname;
mod inbox;
mod record;
mod roots;
mod schedule;
mod sender;
mod shape;
mod spool;
pub mod telegraf;
mod text;
mod throttle;
mod uplink;
mod usage;
mod verdict;
mod window;

pub use agent::{Agent, AgentError, World, once, test};
pub use collect::{
    CgroupOptions, Collectors, ConntrackOptions, CpuOptions, DiskIoOptions, DiskOptions,
    DockerOptions, InternalOptions, InterruptsOptions, KernelOptions, MemOptions, MemUsed,
    NetOptions, NstatOptions, TempFormat, TempOptions, Timing,
};
pub use config::{Config, Hostname, Output, Sampling};
pub use counters::Accounts;
pub use glob::Filter;
pub use governor::Budget;
pub use roots::Roots;
pub use shape::Shape;

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
//! - What was spooled survives `kill -9` and is sent, in order, before anything newer.
//!
//! [`Agent::start`] runs it; [`test`] and [`once`] are its one-shot forms.

mod agent;
mod batch;
mod collect;
mod config;
mod counters;
mod gather;
mod hostname;
mod inbox;
mod record;
mod roots;
mod schedule;
mod sender;
mod spool;
mod text;
mod throttle;
mod uplink;
mod verdict;

pub use agent::{Agent, AgentError, World, once, test};
pub use collect::{Collectors, CpuOptions, DiskOptions, MemOptions, MemUsed, NetOptions};
pub use config::{Config, Hostname, Output};
pub use counters::Accounts;
pub use roots::Roots;

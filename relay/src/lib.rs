//! The relay: takes line protocol and brings every batch to every backend, or to that backend's
//! log on disk, before it says 204.
//!
//! ```text
//!                    ┌─▶ lanes ─▶ wire ──────────────▶ primary
//! POST /write ─ scan ┤      └──▶ log ─▶ drainer ─▶ wire ─▲
//!             (times,│
//!              lanes)└─▶ lanes ─▶ wire ──────────────▶ backup
//!                           └──▶ log ─▶ drainer ─▶ wire ─▲
//! ```
//!
//! What always holds:
//! - 204 means that each backend has confirmed the batch, or that it is fsynced in its log. While
//!   all are well, nothing is written to disk.
//! - The bytes that came in go out, the same to all: nothing is parsed, and lines without a time
//!   get one, the same one for a request, as slices between those of the body.
//! - Batches that share a series reach a backend in the order in which they came, live, spilled or
//!   drained; statements that destroy something keep their place between them.
//! - What a backend refuses until an operator mends something waits apart (`held`): other databases
//!   go on.
//! - A slow backend costs a client one fsync. A failing one costs the others nothing.
//! - Nothing is dropped in silence: what a backend refuses for good after its client had a 204 lies
//!   among its dead letters.
//! - Every queue, body and wait has a bound, and no log line holds a password.
//!
//! A write that breaks off may still be applied by the backend, so whatever shares a lane with it
//! waits for [`Config::write_timeout`]. After a relay that was killed everything goes through the
//! log for so long, for nobody knows which writes were under way.

// What comes in.
mod api;
mod join;
mod query;
mod rate;
mod receive;
mod service;
mod udp;
mod unix;
// What goes out, and what the client is told.
mod answer;
mod backend;
mod batch;
mod buffers;
mod lane;
mod route;
mod scope;
mod verdict;
mod write;
// What is kept on disk.
mod backlog;
mod dead;
mod doubt;
mod gap;
mod held;
mod hint;
mod identity;
mod marks;
mod off_loop;
mod queue;
// How that is delivered.
mod bundle;
mod drain;
mod parcel;
mod seam;
mod stride;
mod window;
// The whole.
mod compare;
mod config;
mod metrics;
mod metronome;
pub mod offline;
mod relay;
pub mod repair;
mod report;

pub use compare::Divergence;
pub use config::{BackendConfig, CompareConfig, Config, Overflow, Route, UdpConfig};
pub use gap::Gap;
pub use queue::QueueError;
pub use relay::{Relay, StartError};
pub use report::{BackendStatus, Condition, HeldStatus};

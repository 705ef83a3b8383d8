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
//!   drained.
//! - A slow backend costs a client one fsync. A failing one costs the others nothing.
//! - Nothing is dropped in silence: what a backend refuses for good after its client had a 204 lies
//!   among its dead letters.
//! - Every queue, body and wait has a bound, and no log line holds a password.
//!
//! A write that breaks off may still be applied by the backend, so whatever shares a lane with it
//! waits for [`Config::write_timeout`]. That is not known of writes that were under way when the
//! relay itself was killed; only those with a hint are waited for at the next start.

mod answer;
mod backend;
mod batch;
mod config;
mod drain;
mod hint;
mod identity;
mod lane;
mod queue;
mod receive;
mod relay;
mod report;
mod service;
mod verdict;

pub use config::{BackendConfig, Config};
pub use queue::QueueError;
pub use relay::{Relay, StartError};
pub use report::{BackendStatus, Condition};

//! A store's network side: the API of InfluxDB 1.x on 8086 and 8087, and the browser page on 8083 and
//! 8084 with the same API beside it, and listeners for other protocols where they are asked for.
//!
//! What always holds:
//! * An answer of 204 to a write means that the points are durable and readable.
//! * Whatever a client sends, what it can make this room hold has a maximum ([`Config`]); beyond it
//!   the answer is 413 or 503, never a silent drop.
//! * The store and the query executor block; they run on threads that may, and the event loop only
//!   moves bytes.
//! * Texts, key order and number formats are InfluxDB's, byte for byte.

mod api;
mod auth;
mod buffers;
mod config;
mod continuous;
mod counters;
mod intake;
mod listen;
mod metrics;
mod monitor;
mod neighbours;
mod output;
pub mod page;
mod parts;
mod server;
mod sources;
mod stamped;
mod statements;
mod statistics;
mod subscriptions;
mod throttle;

pub use auth::{AuthConfig, hash_password};
pub use config::Config;
pub use counters::{Counter, Counters};
pub use listen::{
    BatchConfig, CollectdAuthError, CollectdConfig, CollectdSecurity, CollectdTypesError,
    GraphiteConfig, GraphiteTransport, Input, InputConfig, InputError, InputKind, MultiValue,
    OpenTsdbConfig, TemplateError, UdpConfig,
};
pub use monitor::MonitorConfig;
pub use neighbours::NeighboursConfig;
pub use output::json_answer;
pub use server::{Listeners, Server};
pub use subscriptions::SubscriptionConfig;

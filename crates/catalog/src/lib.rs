//! Durable small state outside the data path: users, what they are granted, continuous queries,
//! subscriptions.
//!
//! A log of operations (`tandem-seglog`) is the truth; a sled tree holds the view that is queried.
//! Each operation is one record, so it happens as a whole or not at all, and is fsynced before it
//! is acknowledged or seen. The view knows the number of its last operation. What does not fit the log is
//! thrown away and built again from it: a view that is missing, older or damaged. One that is newer tells that
//! the log has lost its end.
//!
//! ```text
//! operation ─ record ─ log (fsync) ─ view ─ answer
//!                       └─ replay at the start, when the view does not fit
//! ```
//!
//! What always holds:
//! * An operation that returned `Ok` is found after any crash; one that failed has changed nothing
//!   that can be asked for until the next start.
//! * All file access of the log goes through `tandem_vfs`. The view's files are sled's own, and
//!   nothing depends on their surviving.
//! * sled never opens bytes that it did not write whole: a seal beside the view (`seal`)
//!   vouches for every file of it, and without one the view is built again.
//! * All entries together are bounded ([`Options::state_bytes_max`]), and so are the log, which is
//!   compacted by a snapshot, and the time and memory of a start.
//! * No password hash shows in `Debug`.
//! * Operations that the log has lost to damage are never guessed: a catalog that may have forgotten
//!   a REVOKE does not open, unless a view that fits still knows everything. Nor does one whose log ends before what
//!   the view was closed with, or is gone while there is a view.
//!
//! # Bytes
//!
//! Integers are little-endian; a string is a `u32` length and UTF-8.
//!
//! ```text
//! record of the log: edits, one behind the other; none only prove that the record before is durable
//!   0 clear                   forget all entries; begins a snapshot
//!   1 put, key, value         add the entry, or replace it
//!   2 remove, key             take the entry away
//!
//! key: its kind (one byte), then strings          value
//!   'u' user                                      u64 created, u8 admin, password hash
//!   'g' user, database                            u64 created, u8 privilege: 0 none, 1 READ, 2 WRITE, 3 ALL
//!   'q' database, name                            u64 created, text of the continuous query
//!   'r' database, name                            i64 end of the last window that was run, in ns
//!   's' database, policy, name                    u64 created, u8 mode: 0 ALL, 1 ANY, u32 count, URLs
//! ```
//!
//! `created` is the number of the operation that made the entry: listings come in that order.
//!
//! The view holds the same keys and values, and under the key `0` a `u32` format version, 1, the `u64`
//! number of its last operation, and the `u32` CRC-32C of all records from the last snapshot to there.

// The bytes, from the inside out.
mod entry;
mod place;
mod record;
mod state;
mod wire;
// The view.
mod seal;
mod view;
// The catalog, one file a noun.
mod catalog;
mod continuous;
mod databases;
mod subscriptions;
mod users;
// Beside it.
mod error;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod options;
mod report;

pub use catalog::Catalog;
pub use continuous::ContinuousQuery;
pub use error::CatalogError;
pub use options::Options;
pub use report::{OpenReport, ViewFound};
pub use subscriptions::{Mode, Subscription};
pub use users::{Granted, User};

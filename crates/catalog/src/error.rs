//! What can go wrong with a catalog.

use std::io;
use std::path::PathBuf;

use tandem_seglog::{Corruption, Sequence};
use thiserror::Error;

/// Why an operation on a catalog failed. Where InfluxDB has words for it, `Display` gives them.
#[derive(Debug, Error)]
pub enum CatalogError {
    /// A user must have a name.
    #[error("username required")]
    NameRequired,
    /// There is another user of this name.
    #[error("user already exists")]
    UserExists,
    /// There is no such user.
    #[error("user not found")]
    UserNotFound,
    /// There is another continuous query of this name.
    #[error("continuous query already exists")]
    ContinuousQueryExists,
    /// There is another subscription of this name.
    #[error("subscription already exists")]
    SubscriptionExists,
    /// There is no such subscription.
    #[error("subscription not found")]
    SubscriptionNotFound,

    /// A name or a text is longer than allowed. Nothing was changed.
    #[error("{what} of {bytes} bytes is longer than the {bytes_max} allowed")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// Its length.
        bytes: usize,
        /// The longest one allowed.
        bytes_max: usize,
    },
    /// All entries together would take more than [`crate::Options::state_bytes_max`]. Nothing was changed.
    #[error(
        "the catalog of users, continuous queries and subscriptions is full ({bytes_max} bytes); drop what is not needed"
    )]
    Full {
        /// The bound.
        bytes_max: u64,
    },

    /// The log refused. The operation is not acknowledged, and is not seen before the next start.
    #[error("cannot {action} of users, continuous queries and subscriptions")]
    Log {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: tandem_seglog::Error,
    },
    /// The log has lost operations, and no view knows them.
    #[error("{}; users and grants cannot be told any more: restore {} from a backup, or move it away to begin without users", first(.corruptions, .dir), dir.display())]
    Damaged {
        /// The directory of the catalog.
        dir: PathBuf,
        /// The damage; empty where the beginning of the log is gone.
        corruptions: Vec<Corruption>,
    },
    /// The log ends before what the view was closed with, or is gone although there is a view: operations that were
    /// acknowledged are lost. Nothing was changed.
    #[error("{}: {}; users and grants cannot be told any more: restore {} from a backup, or move it away to begin without users (to go on with what the log still says, remove view and view.seal from it)", dir.join("log").display(), end(*last, *known), dir.display())]
    Shortened {
        /// The directory of the catalog.
        dir: PathBuf,
        /// The last record of the log.
        last: Sequence,
        /// The last record that the view had; `None` where it was not closed.
        known: Option<Sequence>,
    },
    /// A record of the log means nothing, although its checksum is right.
    #[error("record {sequence} of the log in {} means nothing to this release", dir.display())]
    Record {
        /// The directory of the log.
        dir: PathBuf,
        /// The record.
        sequence: Sequence,
    },

    /// A file of the view, or its directory, cannot be made or removed.
    #[error("cannot {action} {}", path.display())]
    ViewFile {
        /// What was tried, to be read before the path.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// sled failed. It is built again at the next start.
    #[error("cannot {action} the view in {}", path.display())]
    View {
        /// What was tried, to be read before the path.
        action: &'static str,
        /// Its directory.
        path: PathBuf,
        /// What sled said.
        source: sled::Error,
    },
    /// The view holds what this release cannot read. It is built again at the next start.
    #[error("an entry of the view in {} cannot be read", path.display())]
    Entry {
        /// Its directory.
        path: PathBuf,
    },
    /// The view missed an operation, so it is asked no more: a right that was taken away might
    /// still be in it. It is built again at the next start.
    #[error("the catalog stopped when its view failed; start the store again")]
    Stopped,
}

fn end(last: Sequence, known: Option<Sequence>) -> String {
    match known {
        Some(known) => format!(
            "the log ends with record {last}, and record {known} is known to have been there"
        ),
        None => "the log is gone".to_owned(),
    }
}

fn first(corruptions: &[Corruption], dir: &std::path::Path) -> String {
    match corruptions.iter().find(|one| !one.sequences.is_empty()) {
        Some(corruption) => corruption.to_string(),
        None => format!("{}: the log's first records are lost", dir.display()),
    }
}

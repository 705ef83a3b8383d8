//! What can go wrong with a block file.

use std::io;
use std::path::{Path, PathBuf};

use tandem_codec::CodecError;

/// Why a block file could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum BlockError {
    /// The file system failed. After a failed write or sync the file is worthless.
    #[error("{action} block file {}", file.display())]
    Io {
        /// What was being done: `create`, `write`, `sync`, `read`.
        action: &'static str,
        /// Which file.
        file: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// The bytes are not what a writer wrote. The rest of the file may still be read.
    #[error("block file {} is damaged at byte {offset}: {what}", file.display())]
    Corrupt {
        /// Which file.
        file: PathBuf,
        /// Where the damaged piece begins.
        offset: u64,
        /// What is wrong with it.
        what: &'static str,
        /// What the decoder said, if it came so far.
        source: Option<CodecError>,
    },
    /// A later version wrote it.
    #[error("block file {} has format version {version}, this program reads version 1", file.display())]
    Version {
        /// Which file.
        file: PathBuf,
        /// Its version.
        version: u8,
    },
    /// The caller of the writer broke its contract; the file is worthless.
    #[error("rows do not fit the block file {}: {what}", file.display())]
    Refused {
        /// Which file.
        file: PathBuf,
        /// What was wrong with them.
        what: &'static str,
    },
}

/// What is wrong with a piece, before file and offset are known.
#[derive(Debug)]
pub(super) struct Damage {
    pub(super) what: &'static str,
    pub(super) source: Option<CodecError>,
}

impl Damage {
    pub(super) const fn new(what: &'static str) -> Self {
        Self { what, source: None }
    }

    pub(super) fn at(self, file: &Path, offset: u64) -> BlockError {
        BlockError::Corrupt {
            file: file.to_owned(),
            offset,
            what: self.what,
            source: self.source,
        }
    }
}

impl From<CodecError> for Damage {
    fn from(source: CodecError) -> Self {
        Self {
            what: "a piece does not decode",
            source: Some(source),
        }
    }
}

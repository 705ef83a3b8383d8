//! What is wrong with bytes that do not decode.

/// Why bytes were refused. They are not what an encoder of this crate wrote.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// They end too early.
    #[error("{0} ends too early")]
    Short(&'static str),
    /// They contradict themselves or what the caller knows.
    #[error("{0}")]
    Malformed(&'static str),
    /// The first byte names no encoding of this kind of column.
    #[error("{what} in an unknown encoding {id:#04x}")]
    UnknownEncoding {
        /// The kind of column.
        what: &'static str,
        /// The byte found.
        id: u8,
    },
    /// pco refused them.
    #[error("numbers do not decode")]
    Pco(#[source] pco::errors::PcoError),
    /// zstd refused them.
    #[error("strings do not decompress")]
    Zstd(#[source] std::io::Error),
}

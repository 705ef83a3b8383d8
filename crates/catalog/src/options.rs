//! The bounds of a catalog.

/// The bounds of a catalog, with documented defaults.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes of all entries together (keys and values); an operation that would pass it is refused with
    /// [`crate::CatalogError::Full`]. The start needs a few times this in memory.
    pub state_bytes_max: u64,
    /// Bytes of one name: of a user, database, retention policy, continuous query or subscription.
    pub name_bytes_max: usize,
    /// Bytes of one continuous query's text, or of all destinations of one subscription.
    pub text_bytes_max: usize,
    /// The log is compacted when it is longer than this and than four times the entries.
    pub log_bytes_min: u64,
}

impl Options {
    /// Default of [`Options::state_bytes_max`]: room for about 100,000 users or grants.
    pub const STATE_BYTES_MAX: u64 = 16 << 20;
    /// Default of [`Options::name_bytes_max`].
    pub const NAME_BYTES_MAX: usize = 1024;
    /// Default of [`Options::text_bytes_max`].
    pub const TEXT_BYTES_MAX: usize = 64 << 10;
    /// Default of [`Options::log_bytes_min`].
    pub const LOG_BYTES_MIN: u64 = 1 << 20;
}

impl Default for Options {
    fn default() -> Self {
        Self {
            state_bytes_max: Self::STATE_BYTES_MAX,
            name_bytes_max: Self::NAME_BYTES_MAX,
            text_bytes_max: Self::TEXT_BYTES_MAX,
            log_bytes_min: Self::LOG_BYTES_MIN,
        }
    }
}

//! Newtypes of the ids that the engine gives out.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $repr:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $repr);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// One database of a store. Never used again within one data directory, so that a database
    /// dropped and made anew under the same name is another one.
    DatabaseId, u32
}

id! {
    /// One series of one database: dense, from 0, in the order of first appearance.
    SeriesId, u32
}

id! {
    /// One shard (a time partition of a retention policy) of a store. Never used again.
    ShardId, u64
}

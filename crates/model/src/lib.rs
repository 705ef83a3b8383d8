//! The vocabulary that every room shares: ids, time, field values, series keys.
//!
//! Nothing here allocates on a hot path, touches a file or knows a format on disk. Names
//! (measurement, tag key, tag value, field key) are raw bytes, as InfluxDB 1.x takes them:
//! they are usually UTF-8 and never required to be. Only output makes text of them.

mod field;
mod id;
mod key;
mod time;

pub use field::{FieldType, FieldValue};
pub use id::{DatabaseId, SeriesId, ShardId};
pub use key::{
    EscapedTag, EscapedTags, KeyError, SeriesKey, TagIter, escape_measurement, escape_tag, key_len,
    split_escaped, split_measurement, unescape_tag,
};
pub use time::{MAX_TIME_NS, MIN_TIME_NS, Precision, TimeRange};

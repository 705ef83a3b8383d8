//! What a shard is, told to those who look at the store from outside.

use tandem_model::{ShardId, TimeRange};

use super::Shard;
use crate::policy::{RetentionPolicy, start_s};

/// One shard, as `SHOW SHARDS` and `tandem inspect` show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardInfo {
    /// Unique within the store.
    pub id: ShardId,
    /// The name of its database.
    pub database: String,
    /// The name of its retention policy.
    pub policy: String,
    /// First and last nanosecond inside.
    pub range: TimeRange,
    /// The second in which its partition of time begins. That of the first shard of all time begins
    /// before any time that a row can have.
    pub start_s: i64,
    /// When the last of its rows passes the policy's duration, in nanoseconds; `None` when the policy
    /// keeps data for ever.
    pub expires_ns: Option<i64>,
    /// How many block files it has.
    pub files: usize,
    /// Bytes of its block files.
    pub file_bytes: u64,
    /// Bytes of its rows in memory.
    pub memtable_bytes: usize,
    /// How many series have rows in it.
    pub series: u64,
    /// How many deletions its files still carry.
    pub tombstones: usize,
}

impl Shard {
    /// What there is to tell of a shard of this policy.
    pub(crate) fn info(&self, database: &str, policy: &RetentionPolicy) -> ShardInfo {
        let data = self.data();
        let frozen = data.frozen.iter().map(|frozen| frozen.table.bytes());
        ShardInfo {
            id: self.id,
            database: database.into(),
            policy: policy.name.clone(),
            range: self.range,
            start_s: start_s(self.range, policy.shard_duration_ns),
            expires_ns: policy.expires_ns(self.range.max_ns),
            files: data.files.len(),
            file_bytes: data.files.iter().map(|file| file.record.len_bytes).sum(),
            memtable_bytes: frozen.sum::<usize>() + data.active.bytes(),
            series: data.series.len(),
            tombstones: data.tombstones.len(),
        }
    }
}

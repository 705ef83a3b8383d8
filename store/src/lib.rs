//! The embedded time-series store: durable, small, bounded.
//!
//! A write is parsed into a batch ([`mod@batch`] has no names any more, only ids and words), staged
//! in the WAL's buffer, synced with its neighbours, and put into the memtables of its shards. A
//! flush writes the memtables into immutable block files. A query looks through a [`View`]: the
//! series index says which series there are, and each is read from block files and memtables
//! merged.
//!
//! Everything is synchronous and reaches files through `tandem_vfs` alone.
//!
//! ```text
//! body ─ parse ─ stage ─ WAL ─ apply ─ memtable ─ flush ─ block files
//!                  │                      │                  │
//!               series table           postings ──── view ───┘
//! ```

mod batch;
mod block;
mod budget;
mod commit;
mod compact;
mod core;
mod database;
mod delete;
mod error;
mod export;
mod flush;
mod frame;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod in_memory;
mod index;
mod inspect;
mod maintain;
mod manifest;
mod memtable;
mod merge;
mod open;
mod options;
mod parse;
mod policies;
mod policy;
mod precreate;
mod purge;
mod reclaim;
mod refusal;
mod retention;
mod rows;
mod scan;
mod schema;
mod shard;
mod site;
mod slices;
mod snapshot;
mod stats;
mod store;
mod store_id;
mod thread;
mod tombstone;
mod unknown;
mod verify;
mod view;
mod wire;
mod write;

pub use block::{Figures, PageRows, Statistics, Summary};
pub use budget::{MemoryStats, OutOfMemory, QueryMemory};
pub use compact::CompactionStats;
pub use database::PolicyChoice;
pub use error::{StoreError, WriteError};
pub use export::{ExportError, ExportRequest, Exported, export};
pub use in_memory::in_memory;
pub use inspect::{ColumnUse, DatabaseUse, Inspection, MeasurementUse, ShardUse, WalUse, inspect};
pub use open::OpenReport;
pub use options::Options;
pub use policy::{
    DEFAULT_POLICY_NAME, POLICY_DURATION_NS_MIN, PolicyChange, PolicySpec, RetentionPolicy,
    default_shard_duration_ns,
};
pub use rows::{Bitmap, Column, Rows, Strings, Validity, Values};
pub use scan::{Batch, ColumnSlice, Flow, Segment, ValuesSlice, Visitor};
pub use shard::ShardInfo;
pub use snapshot::{
    BackupList, BackupOptions, BackupReport, ListedFile, RestoreOptions, RestoreReport, Selection,
    SnapshotError, backup, restore, restore_database,
};
pub use stats::{FlushStats, LevelStats, Refusal, StoreStats, WalStats, WriteStats};
pub use store::Store;
pub use store_id::UniqueId;
pub use tandem_seglog::{LogStats, SYNC_BOUNDS};
pub use verify::{Finding, VerifyReport, verify};
pub use view::{Order, ReadCost, SeriesReader, View};
pub use write::{BodyRoom, WriteRequest, Written};

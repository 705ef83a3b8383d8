//! What deletions let go at once: files all of whose rows are hidden, and tombstones that hide nothing
//! any more. Neither needs a file to be read or written; rows beside others go with compaction.

use std::sync::Arc;

use roaring::RoaringBitmap;
use tandem_model::SeriesId;

use crate::core::Core;
use crate::error::StoreError;
use crate::manifest::Edit;
use crate::shard::{Shard, ShardData, ShardFile};
use crate::tombstone::Tombstone;

/// Removes such files and tombstones of all shards with one change of the manifest. Returns how many
/// files went.
pub(crate) fn purge(core: &Core) -> Result<usize, StoreError> {
    let mut marked = Vec::new();
    for database in core.databases() {
        let policies = database.policies();
        let shards = policies.all_shards();
        marked.extend(shards.filter(|s| !s.data().tombstones.is_empty()).cloned());
    }
    if marked.is_empty() {
        return Ok(0);
    }
    // Under its lock no file and no tombstone comes or goes, but for files of a flush.
    let mut manifest = core.manifest();
    let mut edits = Vec::new();
    let mut freed: Vec<Freed> = Vec::new();
    for shard in marked {
        let data = shard.data();
        if data.dropped {
            continue;
        }
        let free = Freed::of(&data);
        drop(data);
        if !free.files.is_empty() {
            edits.push(Edit::ReplaceFiles {
                shard: shard.id,
                removed: free.files.iter().map(|file| file.record.id).collect(),
                added: Vec::new(),
            });
        }
        if !free.tombstones.is_empty() {
            edits.push(Edit::DropTombstones {
                shard: shard.id,
                ids: free.tombstones.clone(),
            });
        }
        freed.push(Freed {
            shard: Some(shard),
            ..free
        });
    }
    if edits.is_empty() {
        return Ok(0);
    }
    manifest.commit(&edits)?;
    let mut files = 0;
    for free in freed {
        let Some(shard) = free.shard else { continue };
        let mut data = shard.data_mut();
        data.files
            .retain(|file| free.files.iter().all(|gone| !Arc::ptr_eq(gone, file)));
        data.tombstones
            .retain(|tombstone| !free.tombstones.contains(&tombstone.id));
        files += free.files.len();
        for file in &free.files {
            file.remove_when_dropped();
        }
    }
    Ok(files)
}

/// What a shard can do without.
#[derive(Default)]
struct Freed {
    shard: Option<Arc<Shard>>,
    files: Vec<Arc<ShardFile>>,
    /// Their ids.
    tombstones: Vec<u64>,
}

impl Freed {
    fn of(data: &ShardData) -> Self {
        let (hidden, shown): (Vec<_>, Vec<_>) = data
            .files
            .iter()
            .cloned()
            .partition(|file| is_hidden(file, &data.tombstones));
        let is_needed = |tombstone: &Tombstone| {
            shown.iter().any(|file| may_hide(tombstone, file))
                // What is in them cannot be seen now.
                || data.lost.iter().any(|lost| tombstone.concerns(lost.age()))
                || data.frozen.iter().any(|frozen| {
                    tombstone.concerns(frozen.age())
                        && frozen
                            .table
                            .series_ids()
                            .any(|SeriesId(id)| tombstone.series.contains(id))
                })
        };
        let tombstones = data
            .tombstones
            .iter()
            .filter(|tombstone| !is_needed(tombstone))
            .map(|tombstone| tombstone.id)
            .collect();
        Self {
            shard: None,
            files: hidden,
            tombstones,
        }
    }
}

/// True when tombstones that cover all of the file's time name all of its series.
fn is_hidden(file: &ShardFile, tombstones: &[Arc<Tombstone>]) -> bool {
    let range = file.meta().range;
    let covers = |t: &&Arc<Tombstone>| {
        t.concerns(file.age()) && t.range.intersect(&range) == range && !range.is_empty()
    };
    let named = tombstones
        .iter()
        .filter(covers)
        .fold(RoaringBitmap::new(), |named, t| named | &t.series);
    !named.is_empty()
        && file
            .measurements()
            .iter()
            .all(|measurement| measurement.series.is_subset(&named))
}

/// True when rows of the file may be hidden by the tombstone.
fn may_hide(tombstone: &Tombstone, file: &ShardFile) -> bool {
    tombstone.concerns(file.age())
        && tombstone.range.overlaps(&file.meta().range)
        && file
            .measurements()
            .iter()
            .any(|measurement| !measurement.series.is_disjoint(&tombstone.series))
}

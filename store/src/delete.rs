//! Deletions of series, as a whole or in a range of time.
//!
//! A deletion takes its place in the order of writes, rotates the memtables that it concerns,
//! makes one [`Tombstone`] true with one manifest record, and shows it to readers; see the head
//! of that module. It writes no data, so it is as fast in a large store as in a small one, and a
//! full disk or failing flushes do not stop it. The space comes back later, by compaction.
//!
//! Series of which nothing is left in a shard leave the shard, and a measurement that loses its
//! last series in a shard forgets the types of its fields there.

use std::collections::BTreeMap;
use std::sync::Arc;

use roaring::RoaringBitmap;
use tandem_model::{SeriesId, TimeRange};
use tandem_seglog::Sequence;

use crate::commit::Committer;
use crate::core::Core;
use crate::database::Database;
use crate::error::StoreError;
use crate::manifest::Edit;
use crate::shard::Shard;
use crate::tombstone::Tombstone;

/// Deletes what `choose` gives of the series that have rows in `range`, in all retention policies.
/// It chooses while nothing is written.
///
/// On `Err` the rows may be found deleted after a restart; until then they are there, as long as
/// the manifest did not take the deletion. Refused while the WAL may still hold, behind its end, rows of a
/// write that failed: after a restart they would be back, younger than the deletion.
pub(crate) fn delete(
    core: &Core,
    committer: &Committer,
    database: &Arc<Database>,
    choose: impl FnOnce(&RoaringBitmap) -> RoaringBitmap,
    range: TimeRange,
) -> Result<(), StoreError> {
    let marked = committer.alone(|applied| {
        committer.settle_end()?;
        mark(core, database, choose, range, applied)
    })?;
    let Some((tombstone, shards)) = marked else {
        return Ok(());
    };
    // What is left is found out while others write, for it may have to be read.
    let gone: Vec<(Arc<Shard>, RoaringBitmap)> = shards
        .into_iter()
        .map(|shard| {
            let gone = shard.hidden_by(&tombstone);
            (shard, gone)
        })
        .collect();
    committer.alone(|_| {
        for (shard, gone) in gone {
            forget(database, &shard, gone, tombstone.sequence);
        }
    });
    core.note_series_gone();
    Ok(())
}

type Marked = (Arc<Tombstone>, Vec<Arc<Shard>>);

fn mark(
    core: &Core,
    database: &Arc<Database>,
    choose: impl FnOnce(&RoaringBitmap) -> RoaringBitmap,
    range: TimeRange,
    applied: Sequence,
) -> Result<Option<Marked>, StoreError> {
    let mut manifest = core.manifest();
    manifest.check()?;
    let mut shards: Vec<Arc<Shard>> = database
        .policies()
        .all_shards()
        .filter(|shard| shard.range.overlaps(&range))
        .cloned()
        .collect();
    let mut present = Database::series_of(&shards);
    if shards.iter().any(|shard| !shard.data().lost.is_empty()) {
        // Any series may have rows in a file that is lost now and restored later.
        let table = database.table();
        present.extend(table.ids_in(0..table.len()).map(|id| id.0));
    }
    let series = choose(&present);
    shards.retain(|shard| {
        let data = shard.data();
        let may_have = !data.lost.is_empty() && !series.is_empty();
        !data.dropped && (may_have || !data.series.is_disjoint(&series))
    });
    if shards.is_empty() {
        return Ok(None);
    }
    for shard in &shards {
        shard.data_mut().rotate(applied);
    }
    let tombstone = Arc::new(Tombstone {
        id: manifest.reserve_file_id(),
        sequence: applied,
        series,
        range,
    });
    let mut edits = vec![Edit::AddTombstone {
        database: database.id,
        shards: shards.iter().map(|shard| shard.id).collect(),
        tombstone: Arc::clone(&tombstone),
    }];
    let flushed_to = manifest.state().flushed_to;
    let covered: Vec<Vec<u64>> = shards
        .iter()
        .map(|shard| covered(shard, &tombstone, flushed_to))
        .collect();
    for (shard, ids) in shards.iter().zip(&covered) {
        if !ids.is_empty() {
            edits.push(Edit::DropTombstones {
                shard: shard.id,
                ids: ids.clone(),
            });
        }
    }
    manifest.commit(&edits)?;
    for (shard, ids) in shards.iter().zip(covered) {
        let mut data = shard.data_mut();
        data.tombstones.retain(|t| !ids.contains(&t.id));
        data.tombstones.push(Arc::clone(&tombstone));
    }
    Ok(Some((tombstone, shards)))
}

/// The tombstones of a shard that a newer one makes needless, so that deleting the same again and again
/// costs nothing. The WAL's replay must not need them either: between them and the newer one a
/// measurement may have changed its types.
fn covered(shard: &Shard, newer: &Tombstone, flushed_to: Sequence) -> Vec<u64> {
    let data = shard.data();
    let is_covered = |t: &&Arc<Tombstone>| {
        let range = t.range.intersect(&shard.range);
        t.sequence <= flushed_to
            && newer.range.intersect(&range) == range
            && t.series.is_subset(&newer.series)
    };
    let covered = data.tombstones.iter().filter(is_covered);
    covered.map(|t| t.id).collect()
}

/// Takes series that a tombstone of `sequence` hid wholly out of a shard, unless they were written
/// again since. To be called while nothing is written.
fn forget(database: &Database, shard: &Shard, mut gone: RoaringBitmap, sequence: Sequence) {
    let left = {
        let mut data = shard.data_mut();
        gone -= data.written_after(sequence, &gone);
        data.series -= &gone;
        data.series.clone()
    };
    if gone.is_empty() {
        return;
    }
    // Not only those of the series that are gone: when the WAL is replayed their keys, and even their
    // rows, may be gone as well.
    let table = database.table();
    let mut types = shard.types();
    let data = shard.data();
    types.forget_unless(|name| {
        table.count_series(name, &left) > 0 || data.has_series_of(name, &left)
    });
}

/// A tombstone and one shard that it is for.
type Mark = (Arc<Database>, Arc<Shard>, Arc<Tombstone>);

/// Tombstones that the WAL's replay has to pass, in the order of their sequences.
#[derive(Debug, Default)]
pub(crate) struct ReplayMarks {
    by_sequence: BTreeMap<Sequence, Vec<Mark>>,
}

impl ReplayMarks {
    /// Those of the open databases that are above `flushed_to`: files have all that is below.
    pub(crate) fn of(core: &Core, flushed_to: Sequence) -> Self {
        let mut marks = Self::default();
        for database in core.databases() {
            for shard in database.policies().all_shards() {
                for tombstone in &shard.data().tombstones {
                    if tombstone.sequence > flushed_to {
                        let place = marks.by_sequence.entry(tombstone.sequence).or_default();
                        place.push((
                            Arc::clone(&database),
                            Arc::clone(shard),
                            Arc::clone(tombstone),
                        ));
                    }
                }
            }
        }
        marks
    }

    /// The highest sequence of a tombstone.
    pub(crate) fn last(&self) -> Option<Sequence> {
        self.by_sequence.keys().next_back().copied()
    }

    /// Rotates and hides as each deletion below `sequence` did. What is applied is below it too.
    pub(crate) fn pass(&mut self, sequence: Sequence) {
        while let Some(entry) = self.by_sequence.first_entry()
            && *entry.key() < sequence
        {
            let at = *entry.key();
            for (database, shard, tombstone) in entry.remove() {
                shard.data_mut().rotate(at);
                let gone = shard.hidden_by(&tombstone);
                forget(&database, &shard, gone, at);
            }
        }
    }
}

impl Shard {
    /// Those series of a tombstone of this shard that show no row any more in sources that it
    /// concerns. A series of which that cannot be told (a file cannot be read) counts as shown.
    fn hidden_by(&self, tombstone: &Tombstone) -> RoaringBitmap {
        let (files, frozen, tombstones, mut hidden) = {
            let data = self.data();
            (
                data.files.clone(),
                data.frozen.clone(),
                data.tombstones.clone(),
                &data.series & &tombstone.series,
            )
        };
        for frozen in frozen
            .iter()
            .filter(|f| f.max_sequence <= tombstone.sequence)
        {
            let present = hidden
                .iter()
                .filter(|id| frozen.table.has_rows(SeriesId(*id), TimeRange::ALL));
            let shown: RoaringBitmap = present
                .filter(|id| frozen.shows(&tombstones, SeriesId(*id)))
                .collect();
            hidden -= shown;
        }
        for file in files
            .iter()
            .filter(|f| f.record.max_sequence <= tombstone.sequence)
        {
            for (at, measurement) in file.measurements().iter().enumerate() {
                if measurement.series.is_disjoint(&hidden) {
                    continue;
                }
                match file.shown(&tombstones, at, &hidden) {
                    Ok(shown) => hidden -= shown,
                    Err(error) => {
                        tracing::warn!(%error, "cannot tell what a deletion left; its series stay listed");
                        hidden -= &measurement.series;
                    }
                }
            }
        }
        hidden
    }
}

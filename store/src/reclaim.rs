//! Taking series out of the index when nothing is left of them.
//!
//! A series is gone when no shard has rows of it: its shards were dropped, or all of it was deleted.
//! Its key, its tags and its place in the limits are then given back; its id is not, because rows that
//! are hidden may still lie under it, and the WAL may name it.
//!
//! A write that is between looking up its series and staging holds them with
//! [`Database::using_ids`], and one that is staged but not yet applied is waited for. So a series that
//! is written again in time stays, and one that is written too late is a new one.
//!
//! While a block file is damaged or gone no series is taken out: once the file is restored, its rows
//! need their keys.
//!
//! What the removed series took in memory is freed when it is as much as what the others take: the
//! table is then copied in slices while writers go on, and the copy takes its place. Their keys on
//! disk go with the next flush that finds a segment mostly empty.

use std::sync::PoisonError;

use roaring::RoaringBitmap;
use tandem_model::SeriesId;

use crate::commit::Committer;
use crate::core::Core;
use crate::database::Database;

/// Series that are removed, and ids that are copied, at a time.
const AT_ONCE: u32 = 4096;

/// Takes out the series of all databases of which nothing is left. Returns how many they were.
pub(crate) fn reclaim(core: &Core, committer: &Committer) -> usize {
    // One at a time: two copies of a table must not take each other's place.
    let _one = core
        .reclaiming
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let mut count = 0;
    for database in core.databases() {
        if !database.has_lost_files() {
            count += remove_gone(&database, committer);
        }
        write_anew(&database);
    }
    count
}

fn remove_gone(database: &Database, committer: &Committer) -> usize {
    let candidates: Vec<SeriesId> = {
        // Those that are staged and not applied are no candidates.
        let end = database.applied_series();
        let alive = database.all_series();
        let table = database.table();
        let ids = table.ids_in(0..end);
        ids.filter(|id| !alive.contains(id.0)).collect()
    };
    let mut count = 0;
    for slice in candidates.chunks(AT_ONCE as usize) {
        let gone: RoaringBitmap = slice.iter().map(|id| id.0).collect();
        let _nobody = database.awaiting_ids();
        count += committer.alone(|_| {
            let gone = gone - database.all_series();
            let mut table = database.table_mut();
            table.remove(gone.iter().map(SeriesId));
            gone.len() as usize
        });
    }
    count
}

fn write_anew(database: &Database) {
    let (mut fresh, generation) = {
        let table = database.table();
        if !table.is_wasteful() {
            return;
        }
        (table.fresh(), table.generation())
    };
    let mut next = 0;
    let old = loop {
        {
            let table = database.table();
            if table.generation() != generation {
                // A tail was taken back that may be in the copy: the next time will do.
                return;
            }
            let end = table.len().min(next + AT_ONCE);
            fresh.copy_from(&table, next..end);
            next = end;
            if next < table.len() {
                continue;
            }
        }
        let mut table = database.table_mut();
        if table.generation() != generation {
            return;
        }
        let end = table.len();
        fresh.copy_from(&table, next..end);
        fresh.succeed(&table);
        break std::mem::replace(&mut *table, fresh);
    };
    // Freed only now that nobody waits.
    drop(old);
}

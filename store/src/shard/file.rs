//! A block file as a source of a shard: with what the manifest says of it.

use std::ops::Deref;
use std::sync::Arc;

use roaring::RoaringBitmap;
use tandem_model::SeriesId;

use crate::block::{BlockError, BlockFile};
use crate::manifest::FileRecord;
use crate::tombstone::{Age, Tombstone, visible};

/// See the module's head.
#[derive(Debug)]
pub(crate) struct ShardFile {
    pub(crate) record: FileRecord,
    pub(crate) block: BlockFile,
}

impl Deref for ShardFile {
    type Target = BlockFile;

    fn deref(&self) -> &BlockFile {
        &self.block
    }
}

impl ShardFile {
    /// Which tombstones concern it.
    pub(crate) const fn age(&self) -> Age {
        self.record.age()
    }

    /// Those of `series` that have a row of measurement `at` here that is not hidden. It reads
    /// only where a tombstone covers a part of the file's time. Panics when there is no such
    /// measurement.
    pub(crate) fn shown(
        &self,
        tombstones: &[Arc<Tombstone>],
        at: usize,
        series: &RoaringBitmap,
    ) -> Result<RoaringBitmap, BlockError> {
        let mut shown = &self.measurements()[at].series & series;
        let mut touched = RoaringBitmap::new();
        for tombstone in tombstones.iter().filter(|t| t.concerns(self.age())) {
            let both = tombstone.range.intersect(&self.meta().range);
            if both == self.meta().range {
                shown -= &tombstone.series;
            } else if !both.is_empty() {
                touched |= &tombstone.series;
            }
        }
        touched &= &shown;
        let mut reader = self.reader(at, &[]).without_cache();
        for id in touched {
            let series = SeriesId(id);
            let Some(range) = reader.time_range(series)? else {
                continue;
            };
            let parts = visible(tombstones, self.age(), series, range);
            // The first and the last time of the range are those of rows.
            let mut remains = parts
                .iter()
                .any(|part| part.contains(range.min_ns) || part.contains(range.max_ns));
            for part in parts {
                remains = remains || !reader.read(series, part)?.is_empty();
            }
            if !remains {
                shown.remove(id);
            }
        }
        Ok(shown)
    }
}

//! What reading would take, told without reading rows of files.

use std::collections::BTreeSet;
use std::path::PathBuf;

use tandem_model::{SeriesId, ShardId, TimeRange};

use super::View;
use crate::error::StoreError;
use crate::tombstone::visible;

/// What the reading of some series would take; see [`View::add_read_cost`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadCost {
    /// The shards that have one of the series.
    pub shards: BTreeSet<ShardId>,
    /// The files that have one of the series.
    pub files: BTreeSet<PathBuf>,
    /// Pages with rows of the series; a page that several series share counts for each.
    pub pages: u64,
    /// About the bytes that the series' rows in these pages take once they are read.
    pub page_bytes: u64,
    /// Rows in memtables.
    pub memtable_rows: u64,
}

impl View {
    /// Adds to `cost` what [`View::read`] would take with these arguments.
    ///
    /// # Errors
    /// When the directory of a file cannot be read or is damaged.
    pub fn add_read_cost(
        &self,
        cost: &mut ReadCost,
        id: SeriesId,
        fields: &[&[u8]],
        range: TimeRange,
    ) -> Result<(), StoreError> {
        let measurement = self.database.table().measurement_of(id).to_vec();
        for shard in self.shards.iter().filter(|s| s.range.overlaps(&range)) {
            let files = {
                let data = shard.data();
                if !data.series.contains(id.0) {
                    continue;
                }
                let mut memtables = data.active.read(id, &[], range);
                for frozen in &data.frozen {
                    for part in visible(&data.tombstones, frozen.age(), id, range) {
                        memtables.append(&mut frozen.table.read(id, &[], part));
                    }
                }
                let rows: usize = memtables.iter().map(crate::rows::Rows::len).sum();
                cost.memtable_rows += rows as u64;
                data.files.clone()
            };
            cost.shards.insert(shard.id);
            for file in files.iter().filter(|f| f.meta().range.overlaps(&range)) {
                let Some(at) = file.measurement(&measurement) else {
                    continue;
                };
                let spans = file.reader(at, fields).spans(id)?;
                let mut spans = spans.iter().filter(|s| s.range.overlaps(&range)).peekable();
                if spans.peek().is_some() {
                    cost.files.insert(file.path().to_owned());
                }
                for span in spans {
                    cost.pages += 1;
                    cost.page_bytes += span.bytes as u64;
                }
            }
        }
        Ok(())
    }
}

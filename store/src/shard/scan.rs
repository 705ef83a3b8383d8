//! Shows the rows of many series of one shard, in place where one source alone has them.
//!
//! The sources are taken once and looked at again for each series: a flush or a merge meanwhile makes
//! them be taken anew, so that a row that moves from a memtable to a file is seen once. Where the rows
//! of two sources overlap in time, and where a tombstone may hide some, they are merged as a plain
//! read does it; only there.

use std::sync::Arc;

use tandem_model::{SeriesId, TimeRange};

use super::{Shard, ShardData, ShardFile};
use crate::block::SeriesReader;
use crate::error::StoreError;
use crate::memtable::Memtable;
use crate::merge::merge;
use crate::rows::Rows;
use crate::scan::{Batch, Flow, Place, Visitor, Wanted};
use crate::tombstone::Tombstone;
use crate::view::Order;

/// What merged rows take that are shown at once.
const MERGED_BYTES_MAX: usize = 256 << 10;
/// Rows of a series in memtables that are taken at once; more are read in slices.
const MEMTABLE_ROWS_MAX: usize = 64 << 10;

/// The sources of a shard as they were at one moment.
struct Sources {
    files: Vec<Arc<ShardFile>>,
    tombstones: Vec<Arc<Tombstone>>,
}

impl Sources {
    fn of(data: &ShardData) -> Self {
        Self {
            files: data.files.clone(),
            tombstones: data.tombstones.clone(),
        }
    }

    fn are_those_of(&self, data: &ShardData) -> bool {
        fn same<T>(a: &[Arc<T>], b: &[Arc<T>]) -> bool {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| Arc::ptr_eq(a, b))
        }
        same(&self.files, &data.files) && same(&self.tombstones, &data.tombstones)
    }
}

/// What memtables have of a series.
enum Newer {
    Nothing,
    Rows(Rows),
    /// Too much to be taken at once.
    Much,
}

/// Where rows of a series lie.
struct Part {
    range: TimeRange,
    /// A reader, or none for the memtables.
    reader: Option<usize>,
}

impl Shard {
    /// Shows `visitor` the rows of `series`, which ascend by id. Those that it is done with are
    /// taken out of the list.
    pub(crate) fn scan(
        &self,
        wanted: &Wanted<'_>,
        series: &mut Vec<Place>,
        visitor: &mut dyn Visitor,
    ) -> Result<Flow, StoreError> {
        let mut done = Vec::new();
        let mut at = 0;
        let mut flow = Flow::On;
        while at < series.len() && flow != Flow::Stop {
            let sources = Sources::of(&self.data());
            let mut readers = Vec::new();
            for file in &sources.files {
                if file.meta().range.overlaps(&wanted.range)
                    && let Some(measurement) = file.measurement(wanted.measurement)
                {
                    readers.push(file.reader(measurement, wanted.fields));
                }
            }
            while let Some(&(place, id)) = series.get(at) {
                let newer = {
                    let data = self.data();
                    if !sources.are_those_of(&data) {
                        break;
                    }
                    if !data.series.contains(id.0) {
                        at += 1;
                        continue;
                    }
                    newer(&data, id, wanted)
                };
                visitor.begin(place);
                flow =
                    self.scan_series(wanted, (place, id), &sources, &mut readers, newer, visitor)?;
                if flow == Flow::SeriesDone {
                    done.push(id);
                }
                at += 1;
                if flow == Flow::Stop {
                    break;
                }
            }
        }
        if !done.is_empty() {
            series.retain(|(_, id)| done.binary_search(id).is_err());
        }
        Ok(if flow == Flow::Stop { flow } else { Flow::On })
    }

    /// About how many rows of a measurement are in `range` in files, as if they lay evenly in each.
    pub(crate) fn rows_about(&self, measurement: &[u8], range: TimeRange) -> u64 {
        let data = self.data();
        let files = data.files.iter().filter_map(|file| {
            let whole = file.meta().range;
            let rows = file.measurements()[file.measurement(measurement)?].rows();
            let part = whole.intersect(&range);
            let length = |range: TimeRange| range.max_ns.saturating_sub(range.min_ns) as f64 + 1.0;
            (!part.is_empty()).then(|| (rows as f64 * length(part) / length(whole)) as u64)
        });
        files.sum()
    }

    fn scan_series(
        &self,
        wanted: &Wanted<'_>,
        (place, id): Place,
        sources: &Sources,
        readers: &mut [SeriesReader<'_>],
        newer: Newer,
        visitor: &mut dyn Visitor,
    ) -> Result<Flow, StoreError> {
        let hidden = sources.tombstones.iter().any(|t| t.series.contains(id.0));
        if hidden || matches!(newer, Newer::Much) {
            return self.scan_merged(wanted, (place, id), wanted.range, visitor);
        }
        let mut parts = Vec::with_capacity(readers.len() + 1);
        for (at, reader) in readers.iter_mut().enumerate() {
            if let Some(range) = reader.time_range(id)?
                && range.overlaps(&wanted.range)
            {
                parts.push(Part {
                    range: range.intersect(&wanted.range),
                    reader: Some(at),
                });
            }
        }
        if let Newer::Rows(rows) = &newer
            && let (Some(&min_ns), Some(&max_ns)) = (rows.times_ns.first(), rows.times_ns.last())
        {
            parts.push(Part {
                range: TimeRange::new(min_ns, max_ns),
                reader: None,
            });
        }
        for (range, alone) in clusters(parts, wanted.order) {
            let flow = match (alone, &newer) {
                (Some(Some(reader)), _) => {
                    readers[reader].visit(id, place, range, wanted.order, visitor)?
                }
                (Some(None), Newer::Rows(rows)) => visitor.rows(place, &mut Batch::Rows(rows))?,
                _ => self.scan_merged(wanted, (place, id), range, visitor)?,
            };
            if flow != Flow::On {
                return Ok(flow);
            }
        }
        Ok(visitor.flow())
    }

    /// Shows rows of a series in `range`, merged slice by slice.
    fn scan_merged(
        &self,
        wanted: &Wanted<'_>,
        (place, id): Place,
        range: TimeRange,
        visitor: &mut dyn Visitor,
    ) -> Result<Flow, StoreError> {
        let (name, fields) = (wanted.measurement, wanted.fields);
        let mut slices = self.slices(name, id, fields, range, MERGED_BYTES_MAX)?;
        if wanted.order == Order::Descending {
            slices.reverse();
        }
        for slice in slices {
            let rows = self.read(name, id, fields, slice)?;
            if rows.is_empty() {
                continue;
            }
            match visitor.rows(place, &mut Batch::Rows(&rows))? {
                Flow::On => {}
                flow => return Ok(flow),
            }
        }
        Ok(Flow::On)
    }
}

fn newer(data: &ShardData, id: SeriesId, wanted: &Wanted<'_>) -> Newer {
    let frozen = data.frozen.iter().map(|frozen| &*frozen.table);
    let tables = || frozen.clone().chain([&data.active]);
    let count: usize = tables().map(|table| table.rows_of(id)).sum();
    match count {
        0 => Newer::Nothing,
        _ if count > MEMTABLE_ROWS_MAX => Newer::Much,
        _ => {
            let read = |table: &Memtable| table.read(id, wanted.fields, wanted.range);
            Newer::Rows(merge(
                tables().flat_map(read).collect(),
                wanted.fields.len(),
            ))
        }
    }
}

/// Parts that overlap put together: each range of time, with its one source where it has but one.
#[expect(
    clippy::option_option,
    reason = "several sources, or one that may be the memtables"
)]
fn clusters(mut parts: Vec<Part>, order: Order) -> Vec<(TimeRange, Option<Option<usize>>)> {
    parts.sort_unstable_by_key(|part| part.range.min_ns);
    let mut clusters: Vec<(TimeRange, Option<Option<usize>>)> = Vec::with_capacity(parts.len());
    for part in parts {
        match clusters.last_mut() {
            Some((range, alone)) if range.overlaps(&part.range) => {
                range.max_ns = range.max_ns.max(part.range.max_ns);
                *alone = None;
            }
            _ => clusters.push((part.range, Some(part.reader))),
        }
    }
    if order == Order::Descending {
        clusters.reverse();
    }
    clusters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_overlaps_is_put_together() {
        let part = |min_ns, max_ns, reader| Part {
            range: TimeRange::new(min_ns, max_ns),
            reader,
        };
        let found = clusters(
            vec![
                part(50, 60, None),
                part(0, 9, Some(0)),
                part(20, 30, Some(2)),
                part(10, 22, Some(1)),
            ],
            Order::Ascending,
        );
        let expected = [
            (TimeRange::new(0, 9), Some(Some(0))),
            (TimeRange::new(10, 30), None),
            (TimeRange::new(50, 60), Some(None)),
        ];
        assert_eq!(found, expected);
    }
}

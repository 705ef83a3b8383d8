//! Which segments a database's index has on disk, and when they are merged.
//!
//! Each flush that meets new series writes one segment, and takes in those before it that are not
//! much longer: so there are few, and a series is written again only as often as their number doubles.
//! A segment of which most series were removed is written anew too. Damaged ones stay as they are,
//! for an operator to restore: neither they nor what lies before them is merged.

use crate::manifest::SegmentRecord;

use super::SeriesTable;

/// Segments of fewer series are always taken in.
const SERIES_SMALL: usize = 1024;

#[derive(Clone, Copy, Debug)]
struct Segment {
    record: SegmentRecord,
    /// Series that are in the file.
    series: u32,
    damaged: bool,
}

impl Segment {
    fn live(&self, table: &SeriesTable) -> usize {
        let first = self.record.first_series;
        table.count_in(first..first.saturating_add(self.record.count))
    }
}

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Segments {
    /// By ids, without gaps.
    list: Vec<Segment>,
}

/// A segment to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) first: u32,
    pub(crate) end: u32,
    /// The segments whose place it takes.
    pub(crate) removed: Vec<SegmentRecord>,
}

impl Segments {
    /// Takes over a segment that the manifest names.
    pub(crate) fn push(&mut self, record: SegmentRecord, series: u32, damaged: bool) {
        self.list.push(Segment {
            record,
            series,
            damaged,
        });
    }

    /// The segment to be written when the series below `end` are to be on disk; `None` when all is well
    /// as it is.
    pub(crate) fn plan(&self, table: &SeriesTable, end: u32) -> Option<Plan> {
        let covered = self.list.last().map_or(0, |last| {
            last.record.first_series.saturating_add(last.record.count)
        });
        let mut first_taken = self.list.len();
        let mut series = table.count_in(covered..end.max(covered));
        let mut taken = series;
        for (at, segment) in self.list.iter().enumerate().rev() {
            if segment.damaged {
                break;
            }
            let live = segment.live(table);
            series += live;
            let is_wasteful =
                segment.series as usize > SERIES_SMALL && live < segment.series as usize / 2;
            let is_short = end > covered && live <= (2 * taken).max(SERIES_SMALL);
            if is_wasteful || (is_short && first_taken == at + 1) {
                first_taken = at;
                taken = series;
            }
        }
        let removed: Vec<SegmentRecord> = self.list[first_taken..]
            .iter()
            .map(|segment| segment.record)
            .collect();
        let first = removed
            .first()
            .map_or(covered, |record| record.first_series);
        let is_needed = end > covered || !removed.is_empty();
        is_needed.then_some(Plan {
            first,
            end: end.max(covered),
            removed,
        })
    }

    /// Notes that a plan was carried out.
    pub(crate) fn replace(&mut self, plan: &Plan, record: SegmentRecord, series: u32) {
        let is_removed = |segment: &Segment| plan.removed.iter().any(|r| r.id == segment.record.id);
        self.list.retain(|segment| !is_removed(segment));
        self.push(record, series, false);
    }
}

#[cfg(test)]
mod tests {
    use tandem_model::SeriesId;

    use super::*;

    fn carry_out(segments: &mut Segments, table: &SeriesTable, id: u64) -> Option<Plan> {
        let plan = segments.plan(table, table.len())?;
        let record = SegmentRecord {
            id,
            first_series: plan.first,
            count: plan.end - plan.first,
        };
        let series = table.count_in(plan.first..plan.end);
        segments.replace(&plan, record, series as u32);
        Some(plan)
    }

    #[test]
    fn segments_stay_few_and_series_are_seldom_written_again() {
        let (mut table, mut segments) = (SeriesTable::default(), Segments::default());
        let (mut written, mut most) = (0, 0);
        for flush in 0..400_u32 {
            for n in 0..100 {
                table.insert(format!("m,k={flush}-{n}").as_bytes());
            }
            let plan = carry_out(&mut segments, &table, flush.into()).unwrap();
            written += plan.end - plan.first;
            most = most.max(segments.list.len());
            assert_eq!(plan.end, table.len());
        }
        assert!(most <= 10, "{most} segments");
        assert!(written < 15 * table.len(), "{written} written");
        assert_eq!(carry_out(&mut segments, &table, 999), None);
        let mut next = 0;
        for segment in &segments.list {
            assert_eq!(segment.record.first_series, next);
            next += segment.record.count;
        }
    }

    #[test]
    fn removed_series_go_and_damaged_segments_stay() {
        let (mut table, mut segments) = (SeriesTable::default(), Segments::default());
        for n in 0..5000 {
            table.insert(format!("m,k={n}").as_bytes());
        }
        carry_out(&mut segments, &table, 1);
        table.remove((0..2400).map(SeriesId));
        assert_eq!(carry_out(&mut segments, &table, 2), None);
        table.remove((2400..2600).map(SeriesId));
        let plan = carry_out(&mut segments, &table, 2).unwrap();
        assert_eq!((plan.first, plan.end, plan.removed.len()), (0, 5000, 1));
        assert_eq!(carry_out(&mut segments, &table, 3), None);
        segments.list[0].damaged = true;
        table.insert(b"new");
        let plan = carry_out(&mut segments, &table, 4).unwrap();
        assert_eq!((plan.first, plan.end, plan.removed), (5000, 5001, vec![]));
        // Even when all that a segment had is gone, its ids stay used up.
        table.remove((5000..5001).map(SeriesId));
        assert_eq!(segments.plan(&table, table.len()), None);
    }
}

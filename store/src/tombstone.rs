//! Tombstones: what a deletion leaves in the manifest until the rows themselves are gone.
//!
//! A tombstone hides the rows of some series in a range of time, in those sources of its shards
//! (block files, frozen memtables) whose highest sequence is not above the tombstone's. A deletion
//! rotates the memtables that it concerns before it takes its sequence, so no source straddles a
//! tombstone at its birth: what was written before is hidden, what is written after is not, in
//! memory, in files and when the WAL is replayed alike. A merge of several sources leaves out what
//! is hidden in each; its result may hold rows from both sides, and then its highest sequence is
//! above the tombstone's, which is right: nothing in it is to be hidden any more.
//!
//! Where the result's highest sequence is not above the tombstone's, its record says up to which
//! tombstone hidden rows were left out.
//!
//! A tombstone goes when no source that it concerns holds one of its series.

use std::sync::Arc;

use roaring::RoaringBitmap;
use tandem_model::{SeriesId, TimeRange};

use crate::wire::{Malformed, Reader, put_bytes, put_int, put_uint};

/// See the module's head.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tombstone {
    /// Unique; from the same count as the ids of files.
    pub(crate) id: u64,
    /// Sources up to this highest sequence, inclusive, are concerned.
    pub(crate) sequence: u64,
    pub(crate) series: RoaringBitmap,
    pub(crate) range: TimeRange,
}

impl Eq for Tombstone {}

/// What decides which tombstones concern a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Age {
    /// The highest sequence that may be inside.
    pub(crate) max_sequence: u64,
    /// What tombstones of lower ids hid was left out when the source was written.
    pub(crate) purged_below: u64,
}

impl Tombstone {
    /// True when rows of a source of this age are hidden.
    pub(crate) const fn concerns(&self, source: Age) -> bool {
        self.sequence >= source.max_sequence && self.id >= source.purged_below
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_uint(out, self.id);
        put_uint(out, self.sequence);
        put_int(out, self.range.min_ns);
        put_int(out, self.range.max_ns);
        let mut series = Vec::with_capacity(self.series.serialized_size());
        self.series
            .serialize_into(&mut series)
            .expect("a Vec takes all that is written to it");
        put_bytes(out, &series);
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            id: r.uint()?,
            sequence: r.uint()?,
            range: TimeRange::new(r.int()?, r.int()?),
            series: RoaringBitmap::deserialize_from(r.bytes()?).map_err(|_| Malformed)?,
        })
    }
}

/// What of `range` a source shows of a series: ranges that do not touch what is hidden, ascending
/// and without overlap.
pub(crate) fn visible(
    tombstones: &[Arc<Tombstone>],
    source: Age,
    series: SeriesId,
    range: TimeRange,
) -> Vec<TimeRange> {
    let mut shown = vec![range];
    let hiding = tombstones
        .iter()
        .filter(|t| t.concerns(source) && t.series.contains(series.0));
    for tombstone in hiding {
        shown = shown
            .into_iter()
            .flat_map(|part| without(part, tombstone.range))
            .filter(|part| !part.is_empty())
            .collect();
    }
    shown.retain(|part| !part.is_empty());
    shown
}

/// What lies in `range` before `hidden`, and what lies behind it.
fn without(range: TimeRange, hidden: TimeRange) -> [TimeRange; 2] {
    if !range.overlaps(&hidden) {
        return [range, TimeRange::new(1, 0)];
    }
    let before = match hidden.min_ns.checked_sub(1) {
        Some(end) => TimeRange::new(range.min_ns, end.min(range.max_ns)),
        None => TimeRange::new(1, 0),
    };
    let behind = match hidden.max_ns.checked_add(1) {
        Some(start) => TimeRange::new(start.max(range.min_ns), range.max_ns),
        None => TimeRange::new(1, 0),
    };
    [before, behind]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tombstone(sequence: u64, series: u32, min_ns: i64, max_ns: i64) -> Arc<Tombstone> {
        Arc::new(Tombstone {
            id: 0,
            sequence,
            series: RoaringBitmap::from_iter([series]),
            range: TimeRange::new(min_ns, max_ns),
        })
    }

    const fn age(max_sequence: u64) -> Age {
        Age {
            max_sequence,
            purged_below: 0,
        }
    }

    #[test]
    fn only_older_sources_of_its_series_are_hidden() {
        let tombstones = [tombstone(5, 1, 10, 20)];
        let all = TimeRange::new(0, 30);
        let shown =
            |max_sequence, series| visible(&tombstones, age(max_sequence), SeriesId(series), all);
        assert_eq!(shown(5, 1), [TimeRange::new(0, 9), TimeRange::new(21, 30)]);
        assert_eq!(shown(6, 1), [all]);
        assert_eq!(shown(5, 2), [all]);
        let purged = Age {
            max_sequence: 5,
            purged_below: 1,
        };
        assert_eq!(visible(&tombstones, purged, SeriesId(1), all), [all]);
    }

    #[test]
    fn the_ends_of_time_can_be_hidden() {
        let all = TimeRange::new(i64::MIN, i64::MAX);
        let whole = [tombstone(5, 1, i64::MIN, i64::MAX)];
        assert_eq!(visible(&whole, age(1), SeriesId(1), all), []);
        let ends = [tombstone(5, 1, i64::MIN, 0), tombstone(5, 1, 2, i64::MAX)];
        assert_eq!(
            visible(&ends, age(1), SeriesId(1), all),
            [TimeRange::new(1, 1)]
        );
    }

    proptest! {
        #[test]
        fn every_time_is_shown_or_hidden_once(
            hidden in prop::collection::vec((0_i64..12, 0_i64..12), 0..4),
            from in -1_i64..12,
            to in -1_i64..13,
        ) {
            let tombstones: Vec<_> = hidden.iter().map(|&(a, b)| tombstone(1, 0, a, b)).collect();
            let range = TimeRange::new(from, to);
            let shown = visible(&tombstones, age(1), SeriesId(0), range);
            prop_assert!(shown.windows(2).all(|w| w[0].max_ns < w[1].min_ns));
            for time_ns in -2..14 {
                let expected = range.contains(time_ns)
                    && !hidden.iter().any(|&(a, b)| a <= time_ns && time_ns <= b);
                let times = shown.iter().filter(|part| part.contains(time_ns)).count();
                prop_assert_eq!(times, usize::from(expected));
            }
        }
    }
}

//! Cutting the time of a series into slices of bounded size.
//!
//! Whoever reads a series whole would need memory for all its rows. Sources say in *spans* where
//! in time their rows are and what they take; [`cut`] makes slices of that, so that each is read
//! within a bound. A span is not cut: it is a page of a file, or some rows of a memtable.

use tandem_model::TimeRange;

/// Some rows of a series in one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// From the first to the last of the rows.
    pub(crate) range: TimeRange,
    /// About what they take in memory.
    pub(crate) bytes: usize,
}

/// Cuts `range` into slices, by time and without gaps. The spans that begin in a slice take at most
/// `bytes_max` together, unless they begin all at once.
pub(crate) fn cut(mut spans: Vec<Span>, range: TimeRange, bytes_max: usize) -> Vec<TimeRange> {
    spans.sort_unstable_by_key(|span| span.range.min_ns);
    let mut slices = Vec::new();
    let mut start_ns = range.min_ns;
    let mut last_ns = range.min_ns;
    let mut bytes = 0_usize;
    for span in spans.into_iter().filter(|span| span.range.overlaps(&range)) {
        let at_ns = span.range.min_ns;
        if bytes > 0 && bytes.saturating_add(span.bytes) > bytes_max && at_ns > last_ns {
            slices.push(TimeRange::new(start_ns, at_ns - 1));
            start_ns = at_ns;
            // What reaches over from before is read again and does not count: else nothing new
            // might fit.
            bytes = 0;
        }
        bytes = bytes.saturating_add(span.bytes);
        last_ns = last_ns.max(at_ns);
    }
    slices.push(TimeRange::new(start_ns, range.max_ns));
    slices
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span(min_ns: i64, max_ns: i64, bytes: usize) -> Span {
        Span {
            range: TimeRange::new(min_ns, max_ns),
            bytes,
        }
    }

    #[test]
    fn slices_are_as_large_as_they_may_be() {
        let spans = vec![span(0, 9, 10), span(20, 29, 10), span(10, 19, 10)];
        let all = TimeRange::new(0, 100);
        let two = [TimeRange::new(0, 19), TimeRange::new(20, 100)];
        assert_eq!(cut(spans.clone(), all, 20), two);
        assert_eq!(cut(spans.clone(), all, 30), [all]);
        assert_eq!(cut(spans, all, 1).len(), 3);
        assert_eq!(cut(Vec::new(), all, 1), [all]);
    }

    proptest! {
        #[test]
        fn slices_hold_all_of_the_range_once(
            spans in prop::collection::vec((-50_i64..50, 0_i64..20, 1_usize..10), 0..40),
            range in (-60_i64..0, 0_i64..60),
            bytes_max in 1_usize..40,
        ) {
            let range = TimeRange::new(range.0, range.1);
            let spans: Vec<Span> = spans
                .into_iter()
                .map(|(at, len, bytes)| span(at, at + len, bytes))
                .collect();
            let slices = cut(spans.clone(), range, bytes_max);
            prop_assert_eq!(slices[0].min_ns, range.min_ns);
            prop_assert_eq!(slices[slices.len() - 1].max_ns, range.max_ns);
            for pair in slices.windows(2) {
                prop_assert_eq!(pair[0].max_ns + 1, pair[1].min_ns);
            }
            for slice in &slices {
                let begin = spans.iter().filter(|span| slice.contains(span.range.min_ns));
                let last_ns = begin.clone().map(|span| span.range.min_ns).max();
                let before = begin.filter(|span| Some(span.range.min_ns) < last_ns);
                let bytes: usize = before.map(|span| span.bytes).sum();
                prop_assert!(bytes <= bytes_max, "{slice:?}");
            }
        }
    }
}

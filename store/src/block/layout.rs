//! How the rows of a chunk are cut into pages.

use std::ops::Range;

use super::{PAGE_ROWS_MAX, PAGE_ROWS_MIN, PAGE_STRING_BYTES_MAX, STATISTICS_ROWS_MIN};

/// The rows of each page, for a chunk whose series have `series_rows` each. Pages have
/// [`PAGE_ROWS_MIN`] to [`PAGE_ROWS_MAX`] rows, the last perhaps fewer. A series is cut only where
/// it must be, and then evenly.
pub(super) fn pages(series_rows: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut pages = Vec::new();
    let mut open = 0;
    for rows in series_rows {
        if open + rows > PAGE_ROWS_MAX && open >= PAGE_ROWS_MIN {
            pages.push(open);
            open = 0;
        }
        open += rows;
        if open > PAGE_ROWS_MAX {
            let count = open.div_ceil(PAGE_ROWS_MAX);
            pages.extend((0..count).map(|at| (open + at) / count));
            open = 0;
        }
    }
    if open > 0 {
        pages.push(open);
    }
    pages
}

/// Halves pages until the strings of each fit [`PAGE_STRING_BYTES_MAX`] or it has one row.
/// `row_bytes` is the length of each row's strings, or empty when there are none.
pub(super) fn bound_strings(pages: Vec<usize>, row_bytes: &[usize]) -> Vec<usize> {
    if row_bytes.is_empty() {
        return pages;
    }
    let mut todo: Vec<usize> = pages;
    todo.reverse();
    let mut bounded = Vec::with_capacity(todo.len());
    let mut start = 0;
    while let Some(rows) = todo.pop() {
        let bytes: usize = row_bytes[start..start + rows].iter().sum();
        if bytes > PAGE_STRING_BYTES_MAX && rows > 1 {
            todo.push(rows - rows / 2);
            todo.push(rows / 2);
        } else {
            bounded.push(rows);
            start += rows;
        }
    }
    bounded
}

/// The rows, counted from the chunk's start, of each series within each page, where they are
/// enough for statistics.
pub(super) fn segments(series_rows: &[usize], pages: &[usize]) -> Vec<Range<usize>> {
    let mut segments = Vec::new();
    let mut series = series_rows.iter();
    let (mut start, mut series_end, mut page_end) = (0, 0, 0);
    for &rows in pages {
        page_end += rows;
        while start < page_end {
            if series_end == start {
                series_end += series.next().copied().unwrap_or(page_end - start);
            }
            let end = series_end.min(page_end);
            if end - start >= STATISTICS_ROWS_MIN {
                segments.push(start..end);
            }
            start = end;
        }
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn long_series_are_cut_evenly_and_short_ones_share() {
        assert_eq!(pages([8640].into_iter()), [2160; 4]);
        assert_eq!(pages([360; 12].into_iter()), [2160, 2160]);
        assert_eq!(pages([900, 1500].into_iter()), [1200, 1200]);
        assert_eq!(pages([1100, 1500].into_iter()), [1100, 1500]);
        assert_eq!(pages([10].into_iter()), [10]);
    }

    #[test]
    fn segments_end_with_series_and_pages() {
        let found = segments(&[100, 300, 2000], &[200, 1200, 1000]);
        assert_eq!(found, [200..400, 400..1400, 1400..2400]);
    }

    #[test]
    fn long_strings_make_small_pages() {
        let row_bytes = [
            PAGE_STRING_BYTES_MAX / 2 + 1,
            0,
            3,
            PAGE_STRING_BYTES_MAX * 2,
        ];
        assert_eq!(bound_strings(vec![4], &row_bytes), [2, 1, 1]);
    }

    proptest! {
        #[test]
        fn pages_hold_every_row_within_bounds(
            series in proptest::collection::vec(prop_oneof![1..50_usize, 1..9000_usize], 1..60),
        ) {
            let pages = pages(series.iter().copied());
            prop_assert_eq!(pages.iter().sum::<usize>(), series.iter().sum::<usize>());
            let (last, others) = pages.split_last().unwrap();
            prop_assert!((1..=PAGE_ROWS_MAX).contains(last));
            for rows in others {
                prop_assert!((PAGE_ROWS_MIN..=PAGE_ROWS_MAX).contains(rows), "{}", rows);
            }
        }
    }
}

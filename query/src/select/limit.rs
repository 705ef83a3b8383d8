//! `LIMIT` and `OFFSET`: how many points of each series go on.

use super::point::{Point, Points, Stream, Tags};
use super::window::Options;
use crate::error::Error;

/// Applies the limit and the offset of `options` to each series of the group. Where the whole
/// group is one series, nothing is read past the limit.
pub(crate) fn limited<'a>(input: Stream<'a>, options: &Options, one_series: bool) -> Stream<'a> {
    let Options { limit, offset, .. } = *options;
    if limit == 0 && offset == 0 {
        return input;
    }
    Box::new(Limit {
        input,
        limit,
        offset,
        one_series,
        tags: None,
        seen: 0,
    })
}

/// The first `count` points.
pub(crate) fn first<'a>(input: Stream<'a>, count: u64) -> Stream<'a> {
    Box::new(First { input, left: count })
}

struct Limit<'a> {
    input: Stream<'a>,
    limit: u64,
    offset: u64,
    one_series: bool,
    tags: Option<Tags>,
    seen: u64,
}

impl Points for Limit<'_> {
    fn next(&mut self) -> Result<Option<Point>, Error> {
        let last = self.offset.saturating_add(self.limit);
        while !(self.one_series && self.limit > 0 && self.seen >= last) {
            let Some(point) = self.input.next()? else {
                break;
            };
            if self.tags.as_ref() != Some(&point.tags) {
                self.tags = Some(point.tags.clone());
                self.seen = 0;
            }
            self.seen += 1;
            if self.seen > self.offset && (self.limit == 0 || self.seen <= last) {
                return Ok(Some(point));
            }
        }
        Ok(None)
    }
}

struct First<'a> {
    input: Stream<'a>,
    left: u64,
}

impl Points for First<'_> {
    fn next(&mut self) -> Result<Option<Point>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        self.input.next()
    }
}

#[cfg(test)]
mod tests {
    use super::super::point::testing::{drain, given, point};
    use super::*;

    fn limit(limit: u64, offset: u64) -> Vec<i64> {
        let input = given((0..6).map(|t| point(t, t)).collect());
        let stream = Box::new(Limit {
            input,
            limit,
            offset,
            one_series: true,
            tags: None,
            seen: 0,
        });
        drain(stream).iter().map(|p| p.time_ns).collect()
    }

    #[test]
    fn limit_and_offset_cut_out_a_piece() {
        assert_eq!(limit(2, 0), [0, 1]);
        assert_eq!(limit(2, 3), [3, 4]);
        assert_eq!(limit(0, 4), [4, 5]);
        assert_eq!(limit(9, 9), [] as [i64; 0]);
        assert_eq!(limit(u64::MAX, 5), [5]);
    }

    #[test]
    fn each_series_is_counted_for_itself() {
        let of = |host: &str, t: i64| Point {
            tags: Tags::new(vec![host.into()]),
            ..point(t, t)
        };
        let input = given(vec![of("a", 1), of("a", 2), of("b", 1), of("b", 2)]);
        let stream = Box::new(Limit {
            input,
            limit: 1,
            offset: 1,
            one_series: false,
            tags: None,
            seen: 0,
        });
        let times: Vec<i64> = drain(stream).iter().map(|p| p.time_ns).collect();
        assert_eq!(times, [2, 2]);
    }

    #[test]
    fn first_takes_no_more_than_asked() {
        let input = given((0..6).map(|t| point(t, t)).collect());
        assert_eq!(drain(first(input, 2)).len(), 2);
    }
}

//! Many streams of one group become one.
//!
//! Raw points are merged by time. Points with equal times come in the order in which the binary
//! heap of Go's `container/heap` yields them, because that is the order that clients of InfluxDB see
//! and that `first()` and `last()` depend on; the heap is therefore written out here. Points for an
//! aggregate only need to come window by window, which is much less work.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::point::{Peek, Point, Points, Stream};
use super::window::Options;
use crate::error::Error;
use crate::result::Value;

/// Merges by time, and by the selected strings at equal times.
pub(crate) fn by_time<'a>(mut inputs: Vec<Stream<'a>>, ascending: bool) -> Stream<'a> {
    if inputs.len() == 1 {
        return inputs.remove(0);
    }
    Box::new(ByTime {
        waiting: inputs,
        heap: Vec::new(),
        started: false,
        ascending,
    })
}

struct ByTime<'a> {
    waiting: Vec<Stream<'a>>,
    heap: Vec<(Point, Stream<'a>)>,
    started: bool,
    ascending: bool,
}

impl ByTime<'_> {
    fn less(&self, a: usize, b: usize) -> bool {
        let (x, y) = (&self.heap[a].0, &self.heap[b].0);
        let order = x
            .time_ns
            .cmp(&y.time_ns)
            .then_with(|| compare_strings(&x.aux, &y.aux));
        order
            == if self.ascending {
                Ordering::Less
            } else {
                Ordering::Greater
            }
    }

    fn down(&mut self, start: usize, len: usize) {
        let mut at = start;
        loop {
            let left = 2 * at + 1;
            if left >= len {
                return;
            }
            let right = left + 1;
            let child = if right < len && self.less(right, left) {
                right
            } else {
                left
            };
            if !self.less(child, at) {
                return;
            }
            self.heap.swap(at, child);
            at = child;
        }
    }

    fn up(&mut self, start: usize) {
        let mut at = start;
        while at > 0 {
            let parent = (at - 1) / 2;
            if !self.less(at, parent) {
                return;
            }
            self.heap.swap(at, parent);
            at = parent;
        }
    }
}

/// The order of the leading strings; anything that is no string ends the comparison.
fn compare_strings(a: &[Value], b: &[Value]) -> Ordering {
    for pair in a.iter().zip(b) {
        let (Value::String(x), Value::String(y)) = pair else {
            return Ordering::Equal;
        };
        match x.cmp(y) {
            Ordering::Equal => {}
            order => return order,
        }
    }
    Ordering::Equal
}

impl Points for ByTime<'_> {
    fn next(&mut self) -> Result<Option<Point>, Error> {
        if !self.started {
            self.started = true;
            for mut input in std::mem::take(&mut self.waiting) {
                if let Some(point) = input.next()? {
                    self.heap.push((point, input));
                }
            }
            for at in (0..self.heap.len() / 2).rev() {
                self.down(at, self.heap.len());
            }
        }
        let Some(last) = self.heap.len().checked_sub(1) else {
            return Ok(None);
        };
        self.heap.swap(0, last);
        self.down(0, last);
        let Some((point, mut input)) = self.heap.pop() else {
            return Ok(None);
        };
        if let Some(next) = input.next()? {
            self.heap.push((next, input));
            self.up(self.heap.len() - 1);
        }
        Ok(Some(point))
    }
}

/// Merges window by window; inside of a window one input comes after the other.
pub(crate) fn by_window<'a>(mut inputs: Vec<Stream<'a>>, options: &Options) -> Stream<'a> {
    if inputs.len() == 1 {
        return inputs.remove(0);
    }
    if options.interval.is_zero() {
        inputs.reverse();
        return Box::new(Chain { inputs });
    }
    Box::new(ByWindow {
        inputs: inputs.into_iter().map(Peek::new).collect(),
        heap: BinaryHeap::new(),
        current: None,
        started: false,
        options: options.clone(),
    })
}

/// One input after the other; each is opened when its turn comes.
struct Chain<'a> {
    /// The next one last.
    inputs: Vec<Stream<'a>>,
}

impl Points for Chain<'_> {
    fn next(&mut self) -> Result<Option<Point>, Error> {
        while let Some(input) = self.inputs.last_mut() {
            if let Some(point) = input.next()? {
                return Ok(Some(point));
            }
            self.inputs.pop();
        }
        Ok(None)
    }
}

struct ByWindow<'a> {
    inputs: Vec<Peek<'a>>,
    /// The inputs that have points, by the window of their next one: earliest first.
    heap: BinaryHeap<std::cmp::Reverse<(i64, usize)>>,
    /// The input that is being read and the bounds of the window that is being read.
    current: Option<(usize, i64, i64)>,
    started: bool,
    options: Options,
}

impl ByWindow<'_> {
    /// Puts input `at` where the window of its next point belongs.
    fn push(&mut self, at: usize) -> Result<(), Error> {
        if let Some(point) = self.inputs[at].peek()? {
            let start = self.options.window(point.time_ns).0;
            // Going down in time, the latest window is the first.
            let key = if self.options.ascending {
                start
            } else {
                !start
            };
            self.heap.push(std::cmp::Reverse((key, at)));
        }
        Ok(())
    }
}

impl Points for ByWindow<'_> {
    fn next(&mut self) -> Result<Option<Point>, Error> {
        if !self.started {
            self.started = true;
            for at in 0..self.inputs.len() {
                self.push(at)?;
            }
        }
        loop {
            if let Some((at, start, end)) = self.current {
                if self.inputs[at]
                    .peek()?
                    .is_some_and(|p| start <= p.time_ns && p.time_ns < end)
                {
                    return self.inputs[at].next();
                }
                self.current = None;
                self.push(at)?;
            }
            let Some(std::cmp::Reverse((_, at))) = self.heap.pop() else {
                return Ok(None);
            };
            if let Some(point) = self.inputs[at].peek()? {
                let (start, end) = self.options.window(point.time_ns);
                self.current = Some((at, start, end));
                return self.inputs[at].next();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tandem_influxql::ast::Fill;
    use tandem_model::TimeRange;

    use super::super::point::testing::{drain, given, point};
    use super::super::window::Interval;
    use super::*;

    fn values(points: &[Point]) -> Vec<(i64, i64)> {
        let value = |p: &Point| match p.value {
            Value::Integer(v) => v,
            _ => panic!("{p:?}"),
        };
        points.iter().map(|p| (p.time_ns, value(p))).collect()
    }

    #[test]
    fn equal_times_come_in_the_order_of_gos_heap() {
        // As influxd 1.6.7 answers for five series with one point each at the same time.
        let five = || {
            (1..=5)
                .map(|v| given(vec![point(7, v)]))
                .collect::<Vec<_>>()
        };
        let order: Vec<i64> = values(&drain(by_time(five(), true)))
            .iter()
            .map(|p| p.1)
            .collect();
        assert_eq!(order, [1, 5, 4, 3, 2]);
        let reversed = five().into_iter().rev().collect();
        let order: Vec<i64> = values(&drain(by_time(reversed, false)))
            .iter()
            .map(|p| p.1)
            .collect();
        assert_eq!(order, [5, 1, 2, 3, 4]);
    }

    #[test]
    fn strings_beside_the_value_decide_at_equal_times() {
        let with = |name: &str, value: i64| {
            let mut p = point(1, value);
            p.aux = vec![name.into()];
            given(vec![p])
        };
        let merged = drain(by_time(
            vec![with("c", 3), with("a", 1), with("b", 2)],
            true,
        ));
        assert_eq!(values(&merged), [(1, 1), (1, 2), (1, 3)]);
    }

    #[test]
    fn merges_by_time_in_both_directions() {
        let up = vec![
            given(vec![point(1, 1), point(4, 4)]),
            given(vec![point(2, 2), point(3, 3)]),
            given(vec![]),
        ];
        assert_eq!(
            values(&drain(by_time(up, true))),
            [(1, 1), (2, 2), (3, 3), (4, 4)]
        );
        let down = vec![
            given(vec![point(4, 4), point(1, 1)]),
            given(vec![point(3, 3), point(2, 2)]),
        ];
        assert_eq!(
            values(&drain(by_time(down, false))),
            [(4, 4), (3, 3), (2, 2), (1, 1)]
        );
    }

    #[test]
    fn windows_come_one_after_the_other() {
        let mut options = Options {
            range: TimeRange::ALL,
            interval: Interval {
                duration_ns: 10,
                offset_ns: 0,
            },
            zone: None,
            ascending: true,
            fill: Fill::Null,
            limit: 0,
            offset: 0,
        };
        let up = vec![
            given(vec![point(1, 1), point(9, 2), point(11, 3)]),
            given(vec![point(5, 4), point(12, 5)]),
        ];
        assert_eq!(
            values(&drain(by_window(up, &options))),
            [(1, 1), (9, 2), (5, 4), (11, 3), (12, 5)]
        );
        options.ascending = false;
        let down = vec![
            given(vec![point(11, 3), point(9, 2)]),
            given(vec![point(25, 5), point(5, 4)]),
        ];
        assert_eq!(
            values(&drain(by_window(down, &options))),
            [(25, 5), (11, 3), (9, 2), (5, 4)]
        );
        options.interval.duration_ns = 0;
        let chain = vec![
            given(vec![point(3, 1)]),
            given(vec![]),
            given(vec![point(1, 2)]),
        ];
        assert_eq!(values(&drain(by_window(chain, &options))), [(3, 1), (1, 2)]);
    }
}

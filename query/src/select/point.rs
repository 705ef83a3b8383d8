//! What flows between the stages of a statement: points of one group, in order.

use std::rc::Rc;

use crate::error::Error;
use crate::result::Value;

/// The values of the tags that a level groups by, in the order of their keys. Shared by all points
/// of one series.
pub(crate) type Tags = Rc<Vec<Vec<u8>>>;

/// One value at one time, and what was selected beside it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Point {
    /// Nanoseconds.
    pub(crate) time_ns: i64,
    /// The group inside of a subquery; equal for all points of an outermost statement's group.
    pub(crate) tags: Tags,
    /// Null in a window without points, and where only `aux` was asked for.
    pub(crate) value: Value,
    /// The fields and tags that were selected beside the value.
    pub(crate) aux: Vec<Value>,
}

/// Bytes of a map's entry for one series with a state, about.
pub(crate) const SERIES_BYTES: usize = 256;

impl Point {
    /// Bytes of the point and of what only it has.
    pub(crate) fn bytes(&self) -> usize {
        let values = self
            .aux
            .iter()
            .map(|value| size_of::<Value>() + value.bytes());
        size_of::<Self>() + self.value.bytes() + values.sum::<usize>()
    }
}

/// A stage: yields points one by one.
///
/// Points come in the statement's order of time; at equal times the order is defined by the stage.
pub(crate) trait Points {
    /// The next point; `None` at the end, and ever after.
    fn next(&mut self) -> Result<Option<Point>, Error>;
}

/// A stage that borrows from the bound statement.
pub(crate) type Stream<'a> = Box<dyn Points + 'a>;

/// A stage whose next point can be looked at.
pub(crate) struct Peek<'a> {
    input: Stream<'a>,
    head: Option<Point>,
}

impl<'a> Peek<'a> {
    pub(crate) const fn new(input: Stream<'a>) -> Self {
        Self { input, head: None }
    }

    /// The point that [`Self::next`] will return.
    pub(crate) fn peek(&mut self) -> Result<Option<&Point>, Error> {
        if self.head.is_none() {
            self.head = self.input.next()?;
        }
        Ok(self.head.as_ref())
    }

    pub(crate) fn next(&mut self) -> Result<Option<Point>, Error> {
        match self.head.take() {
            Some(point) => Ok(Some(point)),
            None => self.input.next(),
        }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! Points made by hand.

    use super::*;

    /// A stage that yields what it was given.
    pub(crate) struct Given(std::vec::IntoIter<Point>);

    impl Points for Given {
        fn next(&mut self) -> Result<Option<Point>, Error> {
            Ok(self.0.next())
        }
    }

    pub(crate) fn point(time_ns: i64, value: impl Into<Value>) -> Point {
        Point {
            time_ns,
            tags: Tags::default(),
            value: value.into(),
            aux: Vec::new(),
        }
    }

    pub(crate) fn given(points: Vec<Point>) -> Stream<'static> {
        Box::new(Given(points.into_iter()))
    }

    /// Everything that a stage yields.
    pub(crate) fn drain(mut stream: Stream<'_>) -> Vec<Point> {
        let mut points = Vec::new();
        while let Some(point) = stream.next().unwrap() {
            points.push(point);
        }
        assert_eq!(stream.next().unwrap(), None, "a stage that ended has ended");
        points
    }

    impl From<f64> for Value {
        fn from(value: f64) -> Self {
            Self::Float(value)
        }
    }

    impl From<i64> for Value {
        fn from(value: i64) -> Self {
            Self::Integer(value)
        }
    }

    impl From<&str> for Value {
        fn from(value: &str) -> Self {
            Self::String(value.as_bytes().to_vec())
        }
    }

    impl From<bool> for Value {
        fn from(value: bool) -> Self {
            Self::Boolean(value)
        }
    }

    impl From<()> for Value {
        fn from((): ()) -> Self {
            Self::Null
        }
    }
}

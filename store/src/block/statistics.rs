//! Statistics of a segment: some rows of one series' field, summed up.

use std::ops::Range;

use tandem_codec::{Input, write_varint, write_zigzag};
use tandem_model::FieldType;

use super::error::Damage;
use super::head::Span;
use crate::Values;

/// What is known of a field over the rows of a segment.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// Rows that have a value.
    pub count: usize,
    /// When the first and the last value are; those of the segment where there is none.
    pub first_ns: i64,
    /// See `first_ns`.
    pub last_ns: i64,
    /// `None` for strings and booleans, without values, and where a float is not finite.
    pub summary: Option<Summary>,
}

/// Numbers summed up. Sums of integers wrap, sums of floats go from first to last.
#[derive(Clone, Debug, PartialEq)]
pub enum Summary {
    /// Of doubles, all finite.
    Float(Figures<f64>),
    /// Of signed integers.
    Integer(Figures<i64>),
    /// Of unsigned integers.
    Unsigned(Figures<u64>),
}

/// The figures of numbers of one type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures<T> {
    /// The smallest.
    pub min: T,
    /// The largest.
    pub max: T,
    /// All of them together.
    pub sum: T,
    /// The value of the first row that has one.
    pub first: T,
    /// The value of the last row that has one.
    pub last: T,
}

impl<T: Copy + PartialOrd> Figures<T> {
    fn of(values: &[T], add: impl Fn(T, T) -> T) -> Option<Self> {
        let (&first, rest) = values.split_first()?;
        let last = *rest.last().unwrap_or(&first);
        let (mut min, mut max, mut sum) = (first, first, first);
        for &value in rest {
            if value < min {
                min = value;
            }
            if value > max {
                max = value;
            }
            sum = add(sum, value);
        }
        Some(Self {
            min,
            max,
            sum,
            first,
            last,
        })
    }
}

impl Statistics {
    /// Sums up `values`, those of a segment of which the first is at `first_ns` and the last at
    /// `last_ns`; they are entries `entries` of the column.
    pub(super) fn of(values: &Values, entries: Range<usize>, first_ns: i64, last_ns: i64) -> Self {
        let count = entries.len();
        let summary = match values {
            Values::Float(v) => {
                let v = &v[entries];
                let finite = v.iter().all(|value| value.is_finite());
                let figures = finite.then(|| Figures::of(v, |a, b| a + b)).flatten();
                figures.map(Summary::Float)
            }
            Values::Integer(v) => Figures::of(&v[entries], i64::wrapping_add).map(Summary::Integer),
            Values::Unsigned(v) => {
                Figures::of(&v[entries], u64::wrapping_add).map(Summary::Unsigned)
            }
            Values::String(_) | Values::Boolean(_) => None,
        };
        Self {
            count,
            first_ns,
            last_ns,
            summary,
        }
    }

    /// What stands for a segment in which no row has a value.
    pub(super) const fn empty(segment: &Span) -> Self {
        Self {
            count: 0,
            first_ns: segment.first_ns,
            last_ns: segment.last_ns,
            summary: None,
        }
    }

    pub(super) fn encode(&self, segment: &Span, field_type: FieldType, out: &mut Vec<u8>) {
        write_varint((segment.rows.len() - self.count) as u64, out);
        if self.count == 0 {
            return;
        }
        write_varint(
            self.first_ns.wrapping_sub(segment.first_ns).cast_unsigned(),
            out,
        );
        write_varint(
            segment.last_ns.wrapping_sub(self.last_ns).cast_unsigned(),
            out,
        );
        match &self.summary {
            Some(Summary::Integer(f)) => {
                write_zigzag(f.min, out);
                for value in [f.first, f.last, f.max] {
                    write_varint(value.wrapping_sub(f.min).cast_unsigned(), out);
                }
                let base = f.min.wrapping_mul(self.count as i64);
                write_varint(f.sum.wrapping_sub(base).cast_unsigned(), out);
            }
            Some(Summary::Unsigned(f)) => {
                write_varint(f.min, out);
                for value in [f.first, f.last, f.max] {
                    write_varint(value.wrapping_sub(f.min), out);
                }
                let base = f.min.wrapping_mul(self.count as u64);
                write_varint(f.sum.wrapping_sub(base), out);
            }
            Some(Summary::Float(f)) => {
                out.push(1);
                out.extend_from_slice(&f.sum.to_bits().to_le_bytes());
                for value in [f.min, f.max, f.first, f.last] {
                    write_float(value, out);
                }
            }
            None if field_type == FieldType::Float => out.push(0),
            None => {}
        }
    }

    pub(super) fn decode(
        input: &mut Input<'_>,
        segment: &Span,
        field_type: FieldType,
    ) -> Result<Self, Damage> {
        let rows = segment.rows.len();
        let count = rows - input.count(rows)?;
        if count == 0 {
            return Ok(Self::empty(segment));
        }
        let first_ns = segment.first_ns.wrapping_add(input.varint()?.cast_signed());
        let last_ns = segment.last_ns.wrapping_sub(input.varint()?.cast_signed());
        if first_ns > last_ns || first_ns < segment.first_ns || last_ns > segment.last_ns {
            return Err(Damage::new("statistics out of bounds"));
        }
        let summary = match field_type {
            FieldType::Integer => {
                let min = input.zigzag()?;
                let mut next = || input.varint().map(u64::cast_signed);
                let (first, last, max, sum) = (next()?, next()?, next()?, next()?);
                Some(Summary::Integer(Figures {
                    min,
                    max: min.wrapping_add(max),
                    sum: sum.wrapping_add(min.wrapping_mul(count as i64)),
                    first: min.wrapping_add(first),
                    last: min.wrapping_add(last),
                }))
            }
            FieldType::Unsigned => {
                let mut next = || input.varint();
                let (min, first, last, max, sum) = (next()?, next()?, next()?, next()?, next()?);
                Some(Summary::Unsigned(Figures {
                    min,
                    max: min.wrapping_add(max),
                    sum: sum.wrapping_add(min.wrapping_mul(count as u64)),
                    first: min.wrapping_add(first),
                    last: min.wrapping_add(last),
                }))
            }
            FieldType::Float => match input.u8()? {
                0 => None,
                1 => {
                    let sum = f64::from_bits(input.u64()?);
                    let mut next = || read_float(input);
                    let (min, max, first, last) = (next()?, next()?, next()?, next()?);
                    Some(Summary::Float(Figures {
                        min,
                        max,
                        sum,
                        first,
                        last,
                    }))
                }
                _ => return Err(Damage::new("statistics of an unknown form")),
            },
            FieldType::String | FieldType::Boolean => None,
        };
        Ok(Self {
            count,
            first_ns,
            last_ns,
            summary,
        })
    }
}

const RAW: u8 = 0xff;
const POWERS: [f64; 4] = [1.0, 10.0, 100.0, 1000.0];
/// Integers up to here are exact as floats.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

fn write_float(value: f64, out: &mut Vec<u8>) {
    for (digits, power) in (0..).zip(POWERS) {
        let scaled = (value * power).round();
        if scaled.abs() > EXACT_MAX {
            break;
        }
        // By way of the integer, so that -0.0 and NaN do not pass.
        let digits_only = scaled as i64;
        if (digits_only as f64 / power).to_bits() == value.to_bits() {
            out.push(digits);
            return write_zigzag(digits_only, out);
        }
    }
    out.push(RAW);
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

fn read_float(input: &mut Input<'_>) -> Result<f64, Damage> {
    let digits = input.u8()?;
    if digits == RAW {
        return Ok(f64::from_bits(input.u64()?));
    }
    let power = POWERS
        .get(usize::from(digits))
        .ok_or(Damage::new("float of an unknown form"))?;
    Ok(input.zigzag()? as f64 / power)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(values: &Values, nulls: usize) -> usize {
        let rows = values.len() + nulls;
        let segment = Span {
            rows: 5..5 + rows,
            first_ns: 1000,
            last_ns: 9000,
        };
        let statistics = if values.is_empty() {
            Statistics::empty(&segment)
        } else {
            Statistics::of(values, 0..values.len(), 1000, 8990)
        };
        let mut out = Vec::new();
        statistics.encode(&segment, values.field_type(), &mut out);
        let mut input = Input::new(&out, "test");
        let back = Statistics::decode(&mut input, &segment, values.field_type()).unwrap();
        assert!(input.is_empty());
        assert_eq!(back, statistics);
        out.len()
    }

    proptest! {
        #[test]
        fn statistics_round_trip(bits in proptest::collection::vec(any::<u64>(), 0..9), nulls in 1..9_usize) {
            check(&Values::Integer(bits.iter().map(|v| v.cast_signed()).collect()), nulls);
            check(&Values::Float(bits.iter().map(|v| f64::from_bits(*v)).collect()), nulls);
            check(&Values::Boolean(bits.iter().map(|v| v % 2 == 0).collect()), nulls);
            check(&Values::Unsigned(bits), nulls);
        }

        #[test]
        fn floats_round_trip(cents: i32, bits: u64) {
            for value in [f64::from(cents) / 100.0, f64::from(cents), f64::from_bits(bits), -0.0] {
                let mut out = Vec::new();
                write_float(value, &mut out);
                let back = read_float(&mut Input::new(&out, "test")).unwrap();
                prop_assert_eq!(back.to_bits(), value.to_bits());
            }
        }
    }

    #[test]
    fn figures_are_what_they_say() {
        let found = Statistics::of(&Values::Integer(vec![9, 3, 1, 2, 9]), 1..4, 10, 30);
        let figures = Figures {
            min: 1,
            max: 3,
            sum: 6,
            first: 3,
            last: 2,
        };
        assert_eq!(found.summary, Some(Summary::Integer(figures)));
        assert_eq!((found.count, found.first_ns, found.last_ns), (3, 10, 30));
        let wrapped = Statistics::of(&Values::Integer(vec![i64::MAX, 1]), 0..2, 10, 30);
        assert!(matches!(wrapped.summary, Some(Summary::Integer(f)) if f.sum == i64::MIN));
        let nan = Statistics::of(&Values::Float(vec![1.0, f64::NAN]), 0..2, 10, 30);
        assert_eq!(nan.summary, None);
    }

    #[test]
    fn statistics_are_small() {
        let values = Values::Integer((0..360).map(|n| 40 + n % 7).collect());
        assert!(check(&values, 0) <= 12);
    }
}

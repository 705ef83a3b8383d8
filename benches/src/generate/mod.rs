//! Loads of line protocol, made line by line from a seed: never a whole data set in memory.
//!
//! A load has no end; who uses it says how many bodies are wanted. The same load gives the same
//! bytes on every machine, which golden checksums hold.

mod cpu;
mod fleet;
mod series;

pub use cpu::Numbers;

use cpu::Cpu;
use fleet::Fleet;
use series::Series;

/// Lines of one body.
pub const BATCH_LINES: u64 = 5_000;
/// 2016-01-01T00:00:00Z: where every load starts.
pub const START_NS: i64 = 1_451_606_400_000_000_000;

/// What a load looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// As the TSBS data set `cpu-only`: 10 tags and 10 fields for each host, every 10 seconds,
    /// host after host.
    Cpu {
        /// At least one.
        hosts: u32,
        /// How values are written.
        numbers: Numbers,
    },
    /// Containers that come and go, with strings, gaps and fields that are not always there.
    Fleet,
    /// One field of each of many series, a point a minute.
    Series {
        /// At least one.
        count: u32,
    },
}

impl Shape {
    /// For file names: says all that decides on the bytes.
    pub fn name(self) -> String {
        match self {
            Self::Cpu { hosts, numbers } => format!("cpu-{hosts}-{}", numbers.name()),
            Self::Fleet => "fleet".into(),
            Self::Series { count } => format!("series-{count}"),
        }
    }

    /// Starts the load.
    pub fn generator(self) -> Generator {
        Generator(match self {
            Self::Cpu { hosts, numbers } => Load::Cpu(Cpu::new(hosts, numbers)),
            Self::Fleet => Load::Fleet(Fleet::new()),
            Self::Series { count } => Load::Series(Series::new(count)),
        })
    }
}

/// A load under way.
#[derive(Debug)]
pub struct Generator(Load);

#[derive(Debug)]
enum Load {
    Cpu(Cpu),
    Fleet(Fleet),
    Series(Series),
}

impl Generator {
    /// Appends the next body to `out`; returns how many values it has.
    pub fn body(&mut self, out: &mut Vec<u8>) -> u64 {
        (0..BATCH_LINES)
            .map(|_| match &mut self.0 {
                Load::Cpu(load) => load.line(out),
                Load::Fleet(load) => load.line(out),
                Load::Series(load) => load.line(out),
            })
            .sum()
    }
}

/// Appends a number in decimals.
fn put_number(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Length, checksum and values of the first two bodies.
    fn start(shape: Shape) -> (usize, u32, u64) {
        let (mut generator, mut out) = (shape.generator(), Vec::new());
        let values = generator.body(&mut out) + generator.body(&mut out);
        let lines = out.iter().filter(|&&byte| byte == b'\n').count() as u64;
        assert_eq!(lines, 2 * BATCH_LINES, "{shape:?}");
        (out.len(), crc32c::crc32c(&out), values)
    }

    #[test]
    fn loads_never_change() {
        let cpu = |hosts, numbers| start(Shape::Cpu { hosts, numbers });
        let starts = [
            cpu(100, Numbers::Integers),
            cpu(4_000, Numbers::Integers),
            cpu(100, Numbers::TwoDecimals),
            cpu(100, Numbers::Full),
            start(Shape::Fleet),
            start(Shape::Series { count: 3_000 }),
        ];
        assert_eq!(
            starts,
            [
                (3448552, 1921250655, 100000),
                (3467439, 2013511289, 100000),
                (3648552, 1388774853, 100000),
                (4856476, 1381213874, 100000),
                (5094893, 87680431, 70005),
                (664436, 3297868314, 10000)
            ]
        );
    }
}

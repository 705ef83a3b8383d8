//! Lives out of seeds.

use std::io;

use tandem_model::TimeRange;
use tandem_testkit::Rng;

use crate::op::{Cut, Fault, Op, Step, Target, Write};
use crate::point::{Point, Row, Value};

/// When the clock of a life begins: 2023-11-14T22:00:00Z.
pub(crate) const START_NS: i64 = 1_699_999_200_000_000_000;
pub(crate) const HOUR_NS: i64 = 3_600_000_000_000;
/// Points lie in so many hours before the clock's time.
const HOURS: u64 = 6;

/// Which operations a life is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mix {
    /// Deletes of all kinds and retention.
    pub deletes: bool,
    /// Failing calls and full disks.
    pub faults: bool,
    /// Batches at the same time: such a life does not repeat to the letter.
    pub threads: bool,
}

/// The life of a seed, with so many power cuts.
#[must_use]
pub fn life(seed: u64, cuts: usize, mix: Mix) -> Vec<Step> {
    let mut maker = Maker {
        rng: Rng::new(seed),
        mix,
        databases: 1,
        policies: 1,
        hours: 0,
        next_value: 1,
    };
    maker.databases = 1 + maker.rng.below(2) as u8;
    maker.policies = 1 + maker.rng.below(2) as u8;
    let mut steps = vec![Step::from(Op::CreateDatabase(maker.target()))];
    for _ in 0..cuts {
        for _ in 0..maker.rng.below(24) {
            steps.push(maker.step());
        }
        let step = maker.step();
        let cut = Some(maker.cut(&step.op));
        steps.push(Step {
            cut,
            fault: None,
            ..step
        });
    }
    steps
}

struct Maker {
    rng: Rng,
    mix: Mix,
    databases: u8,
    policies: u8,
    /// Hours that the clock was turned.
    hours: i64,
    next_value: i64,
}

impl Maker {
    fn step(&mut self) -> Step {
        let op = self.op();
        let fault = self.fault(&op);
        Step {
            op,
            fault,
            cut: None,
            look: self.rng.chance(20),
        }
    }

    fn cut(&mut self, op: &Op) -> Cut {
        let calls = self.calls(op);
        let opening = Op::Reopen { clean: false };
        Cut {
            calls,
            seed: self.rng.next_u64() >> 32,
            again: self.rng.chance(20).then(|| self.calls(&opening)),
        }
    }

    /// A call of an operation, and now and then one that it does not come to.
    fn calls(&mut self, op: &Op) -> u64 {
        let usual = match op {
            Op::Write(_) | Op::Together(_) => 5,
            Op::Flush => 60,
            Op::Compact => 100,
            Op::Reopen { .. } => 80,
            Op::Read(..) | Op::Hours(_) | Op::Room(_) => 2,
            Op::Retention => 20,
            _ => 8,
        };
        // Sometimes there is much more to do than usual, or the beginning matters.
        match self.rng.below(4) {
            0 => self.rng.within(0..3 * usual),
            1 => self.rng.within(0..usual.div_ceil(3)),
            _ => self.rng.within(0..usual),
        }
    }

    fn fault(&mut self, op: &Op) -> Option<Fault> {
        if !self.mix.faults || !self.rng.chance(4) {
            return None;
        }
        let kind = if self.rng.chance(50) {
            io::ErrorKind::StorageFull
        } else {
            io::ErrorKind::Other
        };
        let calls = self.calls(op);
        Some(Fault { calls, kind })
    }

    fn target(&mut self) -> Target {
        Target {
            database: self.rng.below(self.databases.into()) as u8,
            policy: self.rng.below(self.policies.into()) as u8,
        }
    }

    fn op(&mut self) -> Op {
        let target = self.target();
        match self.rng.within(0..100) {
            0..58 => Op::Write(self.write()),
            58..61 if self.mix.threads => {
                let count = 2 + self.rng.below(2);
                Op::Together((0..count).map(|_| self.write()).collect())
            }
            58..68 => Op::Flush,
            68..74 => Op::Compact,
            74..77 => Op::Reopen {
                clean: self.rng.chance(50),
            },
            77..79 => Op::CreateDatabase(target),
            79..80 => Op::DropDatabase(target),
            80..83 => {
                let hours = if self.rng.chance(50) { 0 } else { 4 };
                Op::CreatePolicy(target, hours)
            }
            83..84 => Op::DropPolicy(target),
            84..86 => Op::Read(target, self.range()),
            86..88 if self.mix.faults => {
                let bytes = self.rng.within(0..20_000) as u32;
                Op::Room(self.rng.chance(40).then_some(bytes))
            }
            88..92 if self.mix.deletes => Op::Delete {
                target,
                part: self.part(),
                range: self.range(),
            },
            92..94 if self.mix.deletes => Op::DropSeries(target, self.part()),
            94..95 if self.mix.deletes => Op::DropMeasurement(target, self.measurement().into()),
            95..96 if self.mix.deletes => Op::DropShard(self.rng.below(8) as u8),
            96..98 if self.mix.deletes => Op::Retention,
            98..99 => {
                let hours = 1 + self.rng.below(2) as u16;
                self.hours += i64::from(hours);
                Op::Hours(hours)
            }
            _ => Op::Read(target, self.range()),
        }
    }

    fn measurement(&mut self) -> &'static str {
        ["cpu", "mem", "disk"][self.rng.below(3)]
    }

    /// What the keys of some series hold: a whole measurement, a tag of several, one series.
    fn part(&mut self) -> String {
        match self.rng.below(3) {
            0 => self.measurement().into(),
            1 => format!("host={}", self.host()),
            _ => self.series(),
        }
    }

    fn host(&mut self) -> &'static str {
        ["a", "b", "c", "d"][self.rng.below(4)]
    }

    fn series(&mut self) -> String {
        let measurement = self.measurement();
        match self.rng.below(8) {
            0 => measurement.into(),
            1 => format!("{measurement},dc=x,host={}", self.host()),
            _ => format!("{measurement},host={}", self.host()),
        }
    }

    fn start_ns(&self) -> i64 {
        START_NS + self.hours * HOUR_NS
    }

    /// Some times meet often, so that rows are overwritten; some lie on the borders of shards.
    fn time_ns(&mut self) -> i64 {
        let hour_ns = self.start_ns() - self.rng.within(0..HOURS) as i64 * HOUR_NS;
        match self.rng.below(8) {
            0 => hour_ns,
            1 => hour_ns - 1,
            2 => hour_ns + self.rng.within(0..3_600_000) as i64 * 1_000_000,
            _ => hour_ns + self.rng.within(0..40) as i64 * 90_000_000_000,
        }
    }

    fn range(&mut self) -> TimeRange {
        let (a, b) = (self.time_ns(), self.time_ns());
        match self.rng.below(6) {
            0 => TimeRange::ALL,
            1 => TimeRange::new(i64::MIN + 2, a),
            2 => TimeRange::new(a, i64::MAX - 1),
            3 => TimeRange::new(a, a),
            _ => TimeRange::new(a.min(b), a.max(b)),
        }
    }

    fn write(&mut self) -> Write {
        let target = self.target();
        let points = match self.rng.below(20) {
            0 => self.regular(),
            1..6 => {
                let count = 5 + self.rng.below(40);
                (0..count).map(|_| self.point()).collect()
            }
            _ => {
                let count = 1 + self.rng.below(4);
                (0..count).map(|_| self.point()).collect()
            }
        };
        Write { target, points }
    }

    /// Many rows at even times, of one series or several: more than a page, or a shared one.
    fn regular(&mut self) -> Vec<Point> {
        let series: Vec<String> = (0..1 + self.rng.below(6)).map(|_| self.series()).collect();
        let first_ns = self.time_ns();
        let step_ns = [1_000_000, 10_000_000_000][self.rng.below(2)];
        let count = 20 + self.rng.below(400) as i64;
        let mut points = Vec::new();
        for at in 0..count {
            for series in &series {
                let value = self.value();
                points.push(Point {
                    series: series.clone(),
                    fields: [("i".into(), Value::Integer(value))].into(),
                    time_ns: first_ns + at * step_ns,
                });
            }
        }
        points
    }

    /// Each number is given once, so that a value tells which write it is from.
    fn value(&mut self) -> i64 {
        self.next_value += 1;
        self.next_value
    }

    fn point(&mut self) -> Point {
        let mut fields = Row::new();
        for _ in 0..1 + self.rng.below(3) {
            let value = self.value();
            let (name, value) = match self.rng.below(12) {
                0..4 => ("i", Value::Integer(value)),
                4..7 => ("f", Value::Float((value as f64 / 8.0).to_bits())),
                7 => ("b", Value::Boolean(value % 2 == 0)),
                8..10 => ("s", Value::String(format!("text {value}"))),
                10 => ("t", Value::Integer(value)),
                _ => ("t", Value::String(value.to_string())),
            };
            fields.insert(name.into(), value);
        }
        Point {
            series: self.series(),
            fields,
            time_ns: self.time_ns(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_makes_one_life_and_another_makes_another() {
        let mix = Mix {
            deletes: true,
            faults: true,
            threads: true,
        };
        assert_eq!(life(7, 3, mix), life(7, 3, mix));
        assert_ne!(life(7, 3, mix), life(8, 3, mix));
        let cuts = life(7, 3, mix).iter().filter(|s| s.cut.is_some()).count();
        assert_eq!(cuts, 3);
    }
}

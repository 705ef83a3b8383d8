//! Random data: a few measurements with all that makes answers differ.
//!
//! Points lie on a grid, so that series have equal times, with gaps; tags and fields are missing here
//! and there; points come in any order and are written twice; one field has another type in another
//! shard; some of it is deleted again. Floats are quarters, so that sums are the same in any order.

use super::deletion::{Deletion, Verb};
use crate::random::Random;

pub(crate) const SECOND_NS: i64 = 1_000_000_000;
pub(crate) const HOUR_NS: i64 = 3_600 * SECOND_NS;
const DAY_NS: i64 = 24 * HOUR_NS;
/// Shards begin at whole durations since the year 1.
const YEAR_1_TO_EPOCH_NS: i128 = 62_135_596_800 * 1_000_000_000;

/// Where data may begin: around changes of the clock in zones that are asked for, and around the epoch.
const STARTS: [i64; 8] = [
    0,
    -2 * HOUR_NS,
    // 2017-03-12T08:00:00Z: Los Angeles goes forward at 10:00.
    1_489_305_600 * SECOND_NS,
    // 2017-11-05T07:00:00Z: Los Angeles goes back at 09:00.
    1_509_865_200 * SECOND_NS,
    // 2017-10-28T23:00:00Z: Berlin goes back at 01:00.
    1_509_231_600 * SECOND_NS,
    // 2000-01-01T00:00:00Z
    946_684_800 * SECOND_NS,
    // 2018-01-14T21:30:00Z, before a week ends.
    1_515_965_400 * SECOND_NS,
    1_234_567_890 * SECOND_NS,
];
const STEPS: [i64; 8] = [
    SECOND_NS,
    7 * SECOND_NS,
    10 * SECOND_NS,
    60 * SECOND_NS,
    13 * 60 * SECOND_NS,
    HOUR_NS,
    6 * HOUR_NS,
    DAY_NS,
];
const MEASUREMENTS: [&str; 5] = ["m", "cpu", "disk io", "n.o-d", "select"];
const HOSTS: [&str; 4] = ["a", "b", "c", "a b"];
const REGIONS: [&str; 3] = ["eu", "us", "it's"];
const STRINGS: [&str; 6] = ["", "x", "y", "a b", "say \\\"x\\\"", "ü<&>"];

/// The types of fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Float,
    Integer,
    Boolean,
    String,
}

pub(crate) const KINDS: [Kind; 4] = [Kind::Float, Kind::Integer, Kind::Boolean, Kind::String];

/// What is done to make a data set, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A line of line protocol.
    Line(String),
    /// A statement that deletes.
    Deletion(Deletion),
}

/// A data set, and what statements need to know of it.
#[derive(Clone, Debug)]
pub(crate) struct DataSet {
    /// Of the default policy, as InfluxQL writes it.
    pub(crate) shard_duration: String,
    pub(crate) steps: Vec<Step>,
    pub(crate) measurements: Vec<&'static str>,
    /// The first point's time, and the last one's.
    pub(crate) start_ns: i64,
    pub(crate) end_ns: i64,
    /// Between two places of the grid.
    pub(crate) step_ns: i64,
    /// Which step the engine of this process brings into files; `None` leaves all in memory.
    pub(crate) flush_after: Option<usize>,
}

impl DataSet {
    pub(crate) fn random(random: &mut Random) -> Self {
        let step_ns = random.choose(&STEPS);
        let places = random.between(3, 48);
        let start_ns = random.choose(&STARTS);
        let end_ns = start_ns + (places - 1) * step_ns;
        // Up to some six shards, and none shorter than an hour.
        let hours = ((end_ns - start_ns) / HOUR_NS / random.between(1, 5)).max(1);
        let mut set = Self {
            shard_duration: format!("{hours}h"),
            steps: Vec::new(),
            measurements: Vec::new(),
            start_ns,
            end_ns,
            step_ns,
            flush_after: None,
        };
        let shard_ns = hours * HOUR_NS;
        let count = 1 + random.below(3);
        for at in 0..count {
            // The plain name is there most of the time.
            let name = MEASUREMENTS[(at * 2 + random.below(2)) % MEASUREMENTS.len()];
            if !set.measurements.contains(&name) {
                set.measurements.push(name);
            }
        }
        // In most sets each series has times of its own: which of two equal times comes first is
        // nothing that InfluxDB decides alike on every machine.
        let mut apart_ns = i64::from(random.chance(65));
        let mut lines = Vec::new();
        for name in set.measurements.clone() {
            set.measurement(name, places, shard_ns, random, &mut apart_ns, &mut lines);
        }
        // Points come in order, or not.
        if random.chance(40) {
            for at in (1..lines.len()).rev() {
                lines.swap(at, random.below(at + 1));
            }
        }
        set.steps = lines.into_iter().map(Step::Line).collect();
        while random.chance(25) {
            let at = random.below(set.steps.len() + 1);
            let statement = set.deletion(random);
            set.steps.insert(at, Step::Deletion(statement));
        }
        let last = set.steps.len().saturating_sub(1);
        set.flush_after = random.choose(&[None, Some(last), Some(last), Some(last / 2)]);
        set
    }

    /// The lines of one measurement.
    fn measurement(
        &self,
        name: &str,
        places: i64,
        shard_ns: i64,
        random: &mut Random,
        apart_ns: &mut i64,
        lines: &mut Vec<String>,
    ) {
        let series = 1 + random.below(5);
        let gaps = random.choose(&[0, 10, 50]);
        let mut keys: Vec<String> = Vec::new();
        for _ in 0..series {
            let mut key = escaped(name);
            if random.chance(85) {
                key.push_str(&format!(",host={}", escaped(random.choose(&HOSTS))));
            }
            if random.chance(50) {
                key.push_str(&format!(",region={}", escaped(random.choose(&REGIONS))));
            }
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        let mixed: Vec<Kind> = (0..4).map(|_| random.choose(&KINDS)).collect();
        let wide = random.chance(15);
        for key in &keys {
            let fields = 1 + random.below(31);
            *apart_ns += i64::from(*apart_ns > 0);
            for place in 0..places {
                if random.chance(gaps) {
                    continue;
                }
                let time_ns = self.start_ns + place * self.step_ns + *apart_ns;
                let shard = shard_of(time_ns, shard_ns);
                let of_shard = mixed[usize::try_from(shard.rem_euclid(4)).unwrap_or(0)];
                let line = line(key, fields, of_shard, wide, time_ns, random);
                // A time written twice: the later one wins, field by field.
                if random.chance(4) {
                    lines.push(self::line(key, fields, of_shard, wide, time_ns, random));
                }
                lines.push(line);
            }
        }
    }

    /// A statement that takes some of it away.
    pub(crate) fn deletion(&self, random: &mut Random) -> Deletion {
        let (one, other) = (self.time_ns(random), self.time_ns(random));
        let all = Deletion {
            verb: Verb::Delete,
            measurement: Some(self.name(random)),
            host: None,
            low_ns: None,
            high_ns: None,
        };
        let host = Some(random.choose(&HOSTS));
        match random.below(6) {
            0 => Deletion {
                high_ns: Some(one),
                ..all
            },
            1 => Deletion {
                host,
                low_ns: Some(one.min(other)),
                high_ns: Some(one.max(other)),
                ..all
            },
            2 => Deletion { host, ..all },
            3 => Deletion {
                verb: Verb::DropSeries,
                host,
                ..all
            },
            4 => Deletion {
                measurement: None,
                low_ns: Some(other),
                ..all
            },
            _ => Deletion {
                verb: Verb::DropMeasurement,
                ..all
            },
        }
    }

    /// The name of a measurement; now and then of one that is not there.
    pub(crate) fn name(&self, random: &mut Random) -> &'static str {
        if random.chance(3) {
            return "absent";
        }
        random.choose(&self.measurements)
    }

    /// A time in or near the data: on the grid, or beside it.
    pub(crate) fn time_ns(&self, random: &mut Random) -> i64 {
        let places = (self.end_ns - self.start_ns) / self.step_ns;
        let on_grid = self.start_ns + random.between(-2, places + 2) * self.step_ns;
        match random.below(4) {
            0 => on_grid + random.between(-1, 1),
            1 => on_grid + random.between(0, self.step_ns - 1),
            _ => on_grid,
        }
    }
}

/// Which shard a time is in, of shards of this length.
pub(crate) fn shard_of(time_ns: i64, shard_ns: i64) -> i128 {
    (i128::from(time_ns) + YEAR_1_TO_EPOCH_NS).div_euclid(i128::from(shard_ns))
}

/// One point; `fields` has a bit for each field that it may have.
fn line(
    key: &str,
    fields: usize,
    mixed: Kind,
    wide: bool,
    time_ns: i64,
    random: &mut Random,
) -> String {
    let named = [
        ("f", Kind::Float),
        ("i", Kind::Integer),
        ("b", Kind::Boolean),
        ("s", Kind::String),
        ("x", mixed),
    ];
    let mut values: Vec<String> = Vec::new();
    for (at, (name, kind)) in named.into_iter().enumerate() {
        if fields & (1 << at) != 0 && random.chance(85) {
            values.push(format!("{name}={}", value(kind, wide, random)));
        }
    }
    if values.is_empty() {
        values.push(format!("f={}", value(Kind::Float, wide, random)));
    }
    format!("{key} {} {time_ns}", values.join(","))
}

/// A value as line protocol has it.
fn value(kind: Kind, wide: bool, random: &mut Random) -> String {
    match kind {
        Kind::Float if wide && random.chance(20) => random
            .choose(&["1e15", "-3.3e-7", "0.1", "1e21", "123456.789"])
            .to_owned(),
        Kind::Float => format!("{}", random.between(-40, 40) as f64 / 4.0),
        Kind::Integer if wide && random.chance(20) => {
            format!(
                "{}i",
                random.choose(&["9007199254740993", "-46116860184273879", "1000000007"])
            )
        }
        Kind::Integer => format!("{}i", random.between(-10, 20)),
        Kind::Boolean => random.choose(&["true", "false"]).to_owned(),
        Kind::String => format!("\"{}\"", random.choose(&STRINGS)),
    }
}

/// A measurement or a tag's value in line protocol.
pub(super) fn escaped(text: &str) -> String {
    text.replace(' ', "\\ ")
}

/// A name in InfluxQL.
pub(crate) fn quoted(name: &str) -> String {
    let plain = name.bytes().all(|byte| byte.is_ascii_lowercase()) && name != "select";
    if plain {
        name.to_owned()
    } else {
        format!("\"{name}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_data() {
        let set = DataSet::random(&mut Random::new(5));
        assert_eq!(set.steps, DataSet::random(&mut Random::new(5)).steps);
        assert!(!set.steps.is_empty() && set.start_ns <= set.end_ns);
    }

    #[test]
    fn all_kinds_of_data_come() {
        let mut text = String::new();
        for seed in 0..60 {
            for step in DataSet::random(&mut Random::new(seed)).steps {
                match step {
                    Step::Line(line) => text.push_str(&line),
                    Step::Deletion(deletion) => text.push_str(&deletion.to_string()),
                }
                text.push('\n');
            }
        }
        for wanted in [
            "disk\\ io,",
            "host=a\\ b",
            "x=true",
            "x=\"",
            "s=\"",
            "DELETE FROM",
            "DROP SERIES",
            "i=-46116860184273879i",
        ] {
            assert!(text.contains(wanted), "{wanted}");
        }
    }
}

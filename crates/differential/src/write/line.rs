//! One line of line protocol: a good one, or one that was spoiled.

use tandem_model::Precision;

use crate::random::Random;

/// Names of measurements, as they stand in a line.
const MEASUREMENTS: [&str; 6] = ["m", "cpu", "m\\ x", "m\\,y", "é", "m\\"];
/// Tags by key, as they stand in a line.
const TAGS: [&str; 6] = ["host", "t\\ a", "t\\=b", "zone", "ü", "_t"];
const TAG_VALUES: [&str; 10] = [
    "a", "b", "server01", "x\\ y", "x\\,y", "x\\=y", "q\"q", "ß", "C:\\dir", "-1",
];
/// Fields by name, as they stand in a line, each with the type that it usually has.
const FIELDS: [(&str, Kind); 8] = [
    ("f", Kind::Float),
    ("f\\ 2", Kind::Float),
    ("i", Kind::Integer),
    ("i\\=2", Kind::Integer),
    ("b", Kind::Boolean),
    ("s", Kind::String),
    ("s\\,2", Kind::String),
    ("µ", Kind::Float),
];
/// What a float may look like.
const FLOATS: [&str; 16] = [
    "0",
    "1",
    "-1",
    "1.5",
    "-2.25",
    "1e3",
    "1E3",
    "1e-3",
    "1.",
    ".5",
    "-.5",
    "1e308",
    "5e-324",
    "123456789012345678",
    "0.1",
    "-0",
];
const INTEGERS: [&str; 8] = [
    "0i",
    "1i",
    "-1i",
    "42i",
    "9223372036854775807i",
    "-9223372036854775808i",
    "007i",
    "-0i",
];
const BOOLEANS: [&str; 10] = [
    "t", "T", "true", "True", "TRUE", "f", "F", "false", "False", "FALSE",
];
const STRINGS: [&str; 10] = [
    "\"\"",
    "\"x\"",
    "\"a b\"",
    "\"a,b=c\"",
    "\"q \\\" q\"",
    "\"\\\\\"",
    "\"é\"",
    "\"C:\\dir\"",
    "\"two\nlines\"",
    "\"# no comment\"",
];
/// What is no value, or a value that is rarely meant.
const BAD_VALUES: [&str; 34] = [
    "",
    "NaN",
    "nan",
    "inf",
    "-Inf",
    "+1",
    "1u",
    "1.5i",
    "1ii",
    "i",
    "-",
    ".",
    "-.",
    "1e",
    "e5",
    "1e400",
    "0x10",
    "1_000",
    "tru",
    "tRUE",
    "truee",
    "yes",
    "\"",
    "\"open",
    "x\"y\"",
    "'a'",
    "9223372036854775808i",
    "-9223372036854775809i",
    "99999999999999999999i",
    "--1",
    "1-",
    "1.2.3",
    "1e5.5",
    "١",
];
const BAD_TIMES: [&str; 14] = [
    "x",
    "1.5",
    "1e9",
    "-",
    "--5",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "99999999999999999999",
    "1 2",
    "1,2",
    "1i",
    "+5",
    "0x5",
];
/// What is put in somewhere.
const INSERTS: [&[u8]; 22] = [
    b",", b"=", b" ", b"\\", b"\"", b"\t", b"\0", b"#", b",,", b"==", b"  ", b"\\\\", b"\\ ",
    b"\\,", b"\\=", b"\xff", b"\xc3", b"\x7f", b" #", b"\"\"", b"i", b"-",
];
/// A time in the middle of a shard of a week.
const BASE_S: i64 = 1_500_000_000;
const WEEK_S: i64 = 7 * 86_400;
/// Longest key that InfluxDB takes, and one more.
const KEY_BYTES: usize = 65_535;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Float,
    Integer,
    Boolean,
    String,
}

/// A unit of times.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unit {
    /// As a request names it.
    pub(super) name: &'static str,
    precision: Precision,
}

const fn unit(name: &'static str, precision: Precision) -> Unit {
    Unit { name, precision }
}

pub(super) const UNITS: [Unit; 7] = [
    unit("", Precision::Nanosecond),
    unit("n", Precision::Nanosecond),
    unit("u", Precision::Microsecond),
    unit("ms", Precision::Millisecond),
    unit("s", Precision::Second),
    unit("m", Precision::Minute),
    unit("h", Precision::Hour),
];

impl Unit {
    pub(super) const fn precision(self) -> Precision {
        self.precision
    }
}

/// Makes lines whose times are in one shard.
pub(super) struct Lines<'a> {
    pub(super) random: &'a mut Random,
    pub(super) unit: Unit,
    /// Which of the shards.
    pub(super) week: i64,
}

/// How many shards there are lines of.
pub(super) const WEEKS: i64 = 2;

/// Lines that give every field its usual type in every shard, so that it has one there before two
/// lines of one batch disagree about it.
pub(super) fn first_lines() -> Vec<u8> {
    let mut out = Vec::new();
    for week in 0..WEEKS {
        for measurement in MEASUREMENTS {
            out.extend_from_slice(measurement.as_bytes());
            for (at, (name, kind)) in FIELDS.into_iter().enumerate() {
                out.push(if at == 0 { b' ' } else { b',' });
                out.extend_from_slice(name.as_bytes());
                out.extend_from_slice(match kind {
                    Kind::Float => b"=0",
                    Kind::Integer => b"=0i",
                    Kind::Boolean => b"=f",
                    Kind::String => b"=\"\"",
                });
            }
            let time = (BASE_S + week * WEEK_S) * 1_000_000_000;
            out.extend_from_slice(format!(" {time}\n").as_bytes());
        }
    }
    out
}

impl Lines<'_> {
    /// A line without its newline; `spoiled` or good.
    pub(super) fn line(&mut self, spoiled: bool) -> Vec<u8> {
        if !spoiled {
            return match self.random.below(200) {
                0 => b"# a comment, m f=1".to_vec(),
                1 => Vec::new(),
                2 => b"   ".to_vec(),
                _ => self.good(),
            };
        }
        let mut line = match self.random.below(12) {
            0 => self.with_value(),
            1 => self.with_time(),
            2 => self.with_names(),
            3 => self.with_type(),
            4 if self.random.chance(5) => self.long(),
            _ => self.good(),
        };
        if self.random.chance(60) {
            let whole = line.clone();
            for _ in 0..=self.random.below(2) {
                self.mutilate(&mut line);
            }
            // Names that are no text end a database (see `rewrite`), so most of these are left out.
            if std::str::from_utf8(&line).is_err() && !self.random.chance(10) {
                line = whole;
            }
        }
        line
    }

    fn good(&mut self) -> Vec<u8> {
        let fields = 1 + self.random.below(3);
        let first = self.random.below(FIELDS.len());
        let mut line = self.key();
        for at in 0..fields {
            line.push(if at == 0 { b' ' } else { b',' });
            let (name, kind) = FIELDS[(first + at * 3) % FIELDS.len()];
            line.extend_from_slice(name.as_bytes());
            line.push(b'=');
            line.extend_from_slice(self.value(kind).as_bytes());
        }
        if !self.random.chance(3) {
            line.extend_from_slice(format!(" {}", self.time()).as_bytes());
        }
        line
    }

    fn key(&mut self) -> Vec<u8> {
        let mut key = self.random.choose(&MEASUREMENTS).as_bytes().to_vec();
        let mut first = self.random.below(TAGS.len());
        for _ in 0..self.random.below(4) {
            let (tag, value) = (TAGS[first], self.random.choose(&TAG_VALUES));
            first = (first + 1) % TAGS.len();
            key.extend_from_slice(format!(",{tag}={value}").as_bytes());
        }
        key
    }

    fn value(&mut self, kind: Kind) -> &'static str {
        match kind {
            Kind::Float => self.random.choose(&FLOATS),
            Kind::Integer => self.random.choose(&INTEGERS),
            Kind::Boolean => self.random.choose(&BOOLEANS),
            Kind::String => self.random.choose(&STRINGS),
        }
    }

    fn time(&mut self) -> i64 {
        let hours = self.random.between(0, 5);
        let rest_ns = self.random.between(0, 3) * 1_000_000_007;
        let at_s = BASE_S + self.week * WEEK_S + hours * 3_600;
        (at_s * 1_000_000_000 + rest_ns) / self.unit.precision.nanos()
    }

    /// A value that is none.
    fn with_value(&mut self) -> Vec<u8> {
        let mut line = self.key();
        let (name, _) = self.random.choose(&FIELDS);
        let value = self.random.choose(&BAD_VALUES);
        let more = ["", ",f=1", ",b=t"][self.random.below(3)];
        let text = format!(" {name}={value}{more} {}", self.time());
        line.extend_from_slice(text.as_bytes());
        line
    }

    /// A time that is none, or out of range.
    fn with_time(&mut self) -> Vec<u8> {
        let mut line = self.key();
        let time = self.random.choose(&BAD_TIMES);
        line.extend_from_slice(format!(" f=1 {time}").as_bytes());
        line
    }

    /// Names that mean something else, are missing or come twice.
    fn with_names(&mut self) -> Vec<u8> {
        let time = self.time();
        let head = self.random.choose(&[
            "m,time=x f=1",
            "m,host=a,time=x f=1",
            "m time=1",
            "m time=1i,f=1",
            "m f=1,time=1i",
            "time f=1",
            "m,host=a,host=b f=1",
            "m,host=a,host=a f=1",
            "m,zone=a,host=b,zone=c f=1",
            "m f=1,f=2",
            "m f=1,i=1i,f=3",
            "m,=a f=1",
            "m,host= f=1",
            "m,host f=1",
            "m,host=a,zone f=1",
            "m, f=1",
            "m,host=a, f=1",
            ",host=a f=1",
            " f=1",
            "m =1",
            "m f",
            "m f=",
            "m f=1,",
            "m f=1,=2",
            "m f=1,i",
            "m",
            "m,host=a",
            "m,host=a=b f=1",
            "m f=1=2",
            "m,host=a  f=1",
            "m,host=a f=1 ",
            "m,_measurement=x f=1",
            "m,_field=x f=1",
            "m\\ f=1",
            "m,host=a\\ f=1",
        ]);
        format!("{head} {time}").into_bytes()
    }

    /// A field with another type than it usually has.
    fn with_type(&mut self) -> Vec<u8> {
        // Of a series that is there: InfluxDB keeps a new one, although its only point is dropped.
        let mut line = self.random.choose(&MEASUREMENTS).as_bytes().to_vec();
        let (name, kind) = self.random.choose(&FIELDS);
        let kinds = [Kind::Float, Kind::Integer, Kind::Boolean, Kind::String];
        let other = self.random.choose(&kinds);
        let other = if other == kind { Kind::String } else { other };
        let text = format!(" {name}={} {}", self.value(other), self.time());
        line.extend_from_slice(text.as_bytes());
        line
    }

    /// About as long as a key may be, or a long string.
    fn long(&mut self) -> Vec<u8> {
        let time = self.time();
        let length = KEY_BYTES - 20 + self.random.below(40);
        let text = "x".repeat(length);
        match self.random.below(3) {
            0 => format!("m,host={text} f=1 {time}"),
            1 => format!("{text} f=1 {time}"),
            _ => format!("m s=\"{text}\" {time}"),
        }
        .into_bytes()
    }

    /// Changes a few bytes somewhere.
    fn mutilate(&mut self, line: &mut Vec<u8>) {
        if line.is_empty() {
            return;
        }
        let at = self.random.below(line.len());
        match self.random.below(6) {
            0 => line.truncate(at),
            1 => {
                line.remove(at);
            }
            2 | 3 => {
                let piece = self.random.choose(&INSERTS);
                line.splice(at..at, piece.iter().copied());
            }
            4 => {
                let end = (at + 1 + self.random.below(8)).min(line.len());
                let piece = line[at..end].to_vec();
                line.splice(at..at, piece);
            }
            _ => {
                let other = self.random.below(line.len());
                line.swap(at, other);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_lines() {
        let make = || {
            let mut random = Random::new(7);
            let mut lines = Lines {
                random: &mut random,
                unit: UNITS[0],
                week: 0,
            };
            (0..2_000)
                .map(|at| lines.line(at % 2 == 0))
                .collect::<Vec<_>>()
        };
        assert_eq!(make(), make());
    }

    #[test]
    fn first_lines_name_every_field() {
        let text = String::from_utf8(first_lines()).expect("text");
        let lines = MEASUREMENTS.len() * usize::try_from(WEEKS).expect("few");
        assert_eq!(text.lines().count(), lines);
        assert!(FIELDS.iter().all(|(name, _)| text.contains(name)));
    }
}

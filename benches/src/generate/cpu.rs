//! Rows like those of the Time Series Benchmark Suite's `cpu-only` data set.
//!
//! Each of the ten fields of a host is a random walk with normal steps between 0 and 100. TSBS
//! stores the walk's integer part; the other kinds show what floats cost.

use std::io::Write;

use super::{START_NS, put_number};
use crate::random::Random;

const STEP_NS: i64 = 10_000_000_000;
const FIELDS: [&str; 10] = [
    "usage_user",
    "usage_system",
    "usage_idle",
    "usage_nice",
    "usage_iowait",
    "usage_irq",
    "usage_softirq",
    "usage_steal",
    "usage_guest",
    "usage_guest_nice",
];
/// Regions and how many zones each has.
const REGIONS: [(&str, u64); 9] = [
    ("us-east-1", 4),
    ("us-west-1", 2),
    ("us-west-2", 3),
    ("eu-west-1", 3),
    ("eu-central-1", 2),
    ("ap-southeast-1", 2),
    ("ap-southeast-2", 2),
    ("ap-northeast-1", 2),
    ("sa-east-1", 3),
];
const SYSTEMS: [&str; 3] = ["Ubuntu16.10", "Ubuntu16.04LTS", "Ubuntu15.10"];
const MACHINES: [&str; 2] = ["x64", "x86"];
const TEAMS: [&str; 4] = ["SF", "NYC", "LON", "CHI"];
const ENVIRONMENTS: [&str; 3] = ["production", "staging", "test"];

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// `58i`
    Integers,
    /// `58.27`
    TwoDecimals,
    /// All the digits that a double has.
    Full,
}

impl Numbers {
    /// For file names.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Integers => "integers",
            Self::TwoDecimals => "2-decimal",
            Self::Full => "full",
        }
    }
}

/// See the module's head.
#[derive(Debug)]
pub(super) struct Cpu {
    random: Random,
    numbers: Numbers,
    hosts: Vec<Host>,
    next_host: usize,
    time_ns: i64,
}

#[derive(Debug)]
struct Host {
    /// `cpu,hostname=…`, up to the space.
    key: Vec<u8>,
    walks: [f64; FIELDS.len()],
}

impl Cpu {
    /// Of at least one host.
    pub(super) fn new(hosts: u32, numbers: Numbers) -> Self {
        let mut random = Random::new(u64::from(hosts));
        let hosts = (0..hosts).map(|number| Host::new(number, &mut random));
        Self {
            hosts: hosts.collect(),
            random,
            numbers,
            next_host: 0,
            time_ns: START_NS,
        }
    }

    /// Appends a line; returns how many values it has.
    pub(super) fn line(&mut self, out: &mut Vec<u8>) -> u64 {
        let host = &mut self.hosts[self.next_host];
        out.extend_from_slice(&host.key);
        let mut separator = b' ';
        for (name, walk) in FIELDS.iter().zip(&mut host.walks) {
            out.push(separator);
            out.extend_from_slice(name.as_bytes());
            out.push(b'=');
            put(out, *walk, self.numbers);
            *walk = (*walk + self.random.normal()).clamp(0.0, 100.0);
            separator = b',';
        }
        out.push(b' ');
        put_number(out, self.time_ns);
        out.push(b'\n');
        self.next_host += 1;
        if self.next_host == self.hosts.len() {
            self.next_host = 0;
            self.time_ns += STEP_NS;
        }
        FIELDS.len() as u64
    }
}

impl Host {
    fn new(number: u32, random: &mut Random) -> Self {
        let (region, zones) = random.choose(&REGIONS);
        let zone = char::from(b'a' + random.below(zones) as u8);
        let key = format!(
            "cpu,hostname=host_{number},region={region},datacenter={region}{zone},rack={},os={},arch={},team={},service={},\
             service_version={},service_environment={}",
            random.below(100),
            random.choose(&SYSTEMS),
            random.choose(&MACHINES),
            random.choose(&TEAMS),
            random.below(20),
            random.below(2),
            random.choose(&ENVIRONMENTS),
        );
        Self {
            key: key.into_bytes(),
            walks: std::array::from_fn(|_| random.unit() * 100.0),
        }
    }
}

fn put(out: &mut Vec<u8>, value: f64, numbers: Numbers) {
    match numbers {
        Numbers::Integers => {
            put_number(out, value as u64);
            out.push(b'i');
        }
        Numbers::TwoDecimals => {
            let cents = (value * 100.0) as u64;
            put_number(out, cents / 100);
            out.push(b'.');
            out.extend([b'0' + (cents / 10 % 10) as u8, b'0' + (cents % 10) as u8]);
        }
        // Writing into memory does not fail.
        Numbers::Full => drop(write!(out, "{value}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_take_turns_and_then_time_goes_on() {
        let (mut load, mut out) = (Cpu::new(2, Numbers::TwoDecimals), Vec::new());
        assert_eq!((0..3).map(|_| load.line(&mut out)).sum::<u64>(), 30);
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[0].starts_with("cpu,hostname=host_0,region="),
            "{text}"
        );
        assert!(
            lines[1].starts_with("cpu,hostname=host_1,region="),
            "{text}"
        );
        assert!(lines[1].ends_with(" 1451606400000000000"), "{text}");
        assert!(lines[2].ends_with(" 1451606410000000000"), "{text}");
        assert_eq!(lines[0].matches('=').count(), 20);
        assert_eq!(lines[0].split(' ').nth(1).unwrap().matches('.').count(), 10);
    }
}

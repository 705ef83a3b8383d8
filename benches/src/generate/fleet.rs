//! A fleet of container hosts as Telegraf's docker plugin reports it: containers are replaced by new
//! ones all the time, hosts fall silent for a while, fields are there or not, and every line
//! repeats the container's id as a string.

use std::io::Write;

use super::START_NS;
use crate::random::Random;

const STEP_NS: i64 = 10_000_000_000;
const HOSTS: usize = 40;
const CONTAINERS: usize = 25;
/// A container lives an hour on average: one step in so many is its last.
const LIFE_STEPS: u64 = 360;
/// A host falls silent at one step in so many …
const SILENCE_EVERY_STEPS: u64 = 2_000;
/// … for up to so many.
const SILENCE_STEPS_MAX: u64 = 60;
const SERVICES: [&str; 12] = [
    "web", "api", "auth", "cart", "search", "mail", "queue", "cache", "sql", "proxy", "batch",
    "report",
];
/// Lines that a container gives in a step.
const KINDS: u32 = 6;

/// See the module's head.
#[derive(Debug)]
pub(super) struct Fleet {
    random: Random,
    hosts: Vec<Host>,
    /// Host, container and line that come next.
    at: (usize, usize, u32),
    time_ns: i64,
    /// How many containers there have been.
    born: u64,
}

#[derive(Debug)]
struct Host {
    name: String,
    silent_steps: u64,
    containers: Vec<Container>,
}

#[derive(Debug)]
struct Container {
    /// The tags that every line of it has.
    tags: String,
    id: String,
    started_ns: i64,
    cpu_ns: u64,
    memory_bytes: u64,
    received_bytes: u64,
    sent_bytes: u64,
    read_bytes: u64,
    failures: u64,
}

impl Fleet {
    pub(super) fn new() -> Self {
        let mut fleet = Self {
            random: Random::new(40),
            hosts: Vec::new(),
            at: (0, 0, 0),
            time_ns: START_NS,
            born: 0,
        };
        for number in 0..HOSTS {
            let name = format!("node-{number}");
            let containers = (0..CONTAINERS).map(|_| fleet.container(&name)).collect();
            fleet.hosts.push(Host {
                name,
                silent_steps: 0,
                containers,
            });
        }
        fleet
    }

    fn container(&mut self, host: &str) -> Container {
        self.born += 1;
        let random = &mut self.random;
        let service = random.choose(&SERVICES);
        let id: String = (0..4)
            .map(|_| format!("{:016x}", random.next_u64()))
            .collect();
        let task = format!("{:025}", random.next_u64());
        Container {
            tags: format!(
                "com.docker.swarm.service.name=shop_{service},com.docker.swarm.task.id={task},container_image=registry.shop/{service},\
                 container_name=shop_{service}.{}.{task},container_status=running,container_version=1.{},engine_host={host},\
                 server_version=24.0.7",
                self.born % 9,
                self.born / 2_000,
            ),
            id,
            started_ns: self.time_ns - random.below(5_000_000_000) as i64,
            cpu_ns: 0,
            memory_bytes: (20 << 20) + random.below(500 << 20),
            received_bytes: 0,
            sent_bytes: 0,
            read_bytes: 0,
            failures: 0,
        }
    }

    /// Appends a line; returns how many values it has.
    pub(super) fn line(&mut self, out: &mut Vec<u8>) -> u64 {
        while self.hosts[self.at.0].silent_steps > 0 {
            self.next_host();
        }
        let (host, place, kind) = self.at;
        let container = &mut self.hosts[host].containers[place];
        if kind == 0 {
            container.live(&mut self.random);
        }
        let values = container.put(out, kind, self.time_ns);
        self.at.2 += 1;
        if self.at.2 == KINDS {
            if self.random.below(LIFE_STEPS) == 0 {
                let name = self.hosts[host].name.clone();
                self.hosts[host].containers[place] = self.container(&name);
            }
            self.at = (host, place + 1, 0);
            if place + 1 == CONTAINERS {
                self.next_host();
            }
        }
        values
    }

    fn next_host(&mut self) {
        let host = &mut self.hosts[self.at.0];
        if host.silent_steps > 0 {
            host.silent_steps -= 1;
        } else if self.random.below(SILENCE_EVERY_STEPS) == 0 {
            host.silent_steps = 1 + self.random.below(SILENCE_STEPS_MAX);
        }
        self.at = (self.at.0 + 1, 0, 0);
        if self.at.0 == HOSTS {
            self.at.0 = 0;
            self.time_ns += STEP_NS;
        }
    }
}

impl Container {
    fn live(&mut self, random: &mut Random) {
        self.cpu_ns += random.below(900_000_000);
        self.memory_bytes = (self.memory_bytes + random.below(4 << 20))
            .saturating_sub(2 << 20)
            .max(4 << 20);
        self.received_bytes += random.below(300_000);
        self.sent_bytes += random.below(900_000);
        if random.below(4) == 0 {
            self.read_bytes += 4_096 * random.below(64);
        }
        self.failures += u64::from(random.below(20_000) == 0);
    }

    fn put(&self, out: &mut Vec<u8>, kind: u32, time_ns: i64) -> u64 {
        let (tags, id) = (&self.tags, &self.id);
        let percent = self.memory_bytes as f64 / (8_u64 << 30) as f64 * 100.0;
        let healthy = !self.received_bytes.is_multiple_of(97);
        // Writing into memory does not fail.
        let (_, values) = match kind {
            0 => (
                write!(
                    out,
                    "docker_container_cpu,cpu=cpu-total,{tags} usage_total={}i,usage_in_usermode={}i,usage_in_kernelmode={}i,\
                     usage_system={}i,throttling_periods=0i,throttling_throttled_periods=0i,throttling_throttled_time=0i,\
                     usage_percent={},container_id=\"{id}\"",
                    self.cpu_ns,
                    self.cpu_ns / 4 * 3,
                    self.cpu_ns / 4,
                    (time_ns - START_NS) / 10_000_000 * 10_000_000 * 8,
                    (self.cpu_ns % 10_000) as f64 / 100.0,
                ),
                9,
            ),
            1 => (
                write!(
                    out,
                    "docker_container_mem,{tags} usage={}i,usage_percent={percent},limit=8589934592i,max_usage=0i,\
                     active_anon={}i,active_file=0i,inactive_anon=0i,inactive_file={}i,unevictable=0i,pgfault={}i,\
                     pgmajfault=0i,container_id=\"{id}\"{}",
                    self.memory_bytes,
                    self.memory_bytes / 4_096 * 4_096,
                    self.read_bytes,
                    self.cpu_ns / 65_536,
                    if self.failures > 0 {
                        ",fail_count=1i"
                    } else {
                        ""
                    },
                ),
                12 + u64::from(self.failures > 0),
            ),
            2 => (
                write!(
                    out,
                    "docker_container_net,network=total,{tags} rx_bytes={}i,rx_packets={}i,rx_errors=0i,rx_dropped=0i,tx_bytes={}i,\
                     tx_packets={}i,tx_errors=0i,tx_dropped=0i,container_id=\"{id}\"",
                    self.received_bytes,
                    self.received_bytes / 700,
                    self.sent_bytes,
                    self.sent_bytes / 900,
                ),
                9,
            ),
            3 => (
                write!(
                    out,
                    "docker_container_blkio,device=total,{tags} io_service_bytes_recursive_read={}i,\
                     io_service_bytes_recursive_write=0i,container_id=\"{id}\"",
                    self.read_bytes,
                ),
                3,
            ),
            4 => (
                write!(
                    out,
                    "docker_container_status,{tags} oomkilled=false,pid={}i,exitcode=0i,restart_count=0i,container_id=\"{id}\",\
                     started_at={}i,uptime_ns={}i",
                    self.started_ns / 1_000 % 4_000_000,
                    self.started_ns,
                    time_ns - self.started_ns,
                ),
                7,
            ),
            _ => (
                write!(
                    out,
                    "docker_container_health,{tags} health_status=\"{}\",failing_streak={}i",
                    if healthy { "healthy" } else { "unhealthy" },
                    u8::from(!healthy),
                ),
                2,
            ),
        };
        drop(writeln!(out, " {time_ns}"));
        values
    }
}

//! The relay is away, the agent is killed by `kill -9` in the middle and started again at once: afterwards
//! both stores have every interval, and the agent never took more memory than it may.
//!
//! `TANDEM_TEST_OUTAGE_SECONDS` says for how long (`cargo xtask agent-outage --seconds N`).

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::process::{Process, free_addresses};
use common::{PATIENCE, await_true, http};
use tempfile::TempDir;

const OUTAGE_S: u64 = 6;
const SECOND_NS: u64 = 1_000_000_000;
/// What the agent holds in memory at most while nobody takes it (`memory-bytes-max`).
const WAITING_BYTES_MAX: u64 = 256 << 10;
/// What it may take beside that: buffers of the spool and of a larger request when the relay is back.
const ROOM_BYTES: u64 = 8 << 20;
/// How many intervals are there before the outage, and how many after it.
const CALM: usize = 3;

/// Times in seconds, so that a second is an interval.
fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.expect("a clock").as_nanos()).expect("a time")
}

/// Sleeps until `part_ms` behind a full second; that second.
fn sleep_to(part_ms: u64) -> u64 {
    let now_ns = now_ns();
    let part_ns = part_ms * 1_000_000;
    let mut second = now_ns / SECOND_NS;
    if now_ns % SECOND_NS > part_ns {
        second += 1;
    }
    thread::sleep(Duration::from_nanos(second * SECOND_NS + part_ns - now_ns));
    second
}

/// The seconds for which a store has a line of the agent's.
fn seconds(store: SocketAddr) -> BTreeSet<u64> {
    let rows = http::rows(store, "telegraf", "SELECT total FROM mem").unwrap_or_default();
    rows.iter()
        .filter_map(|row| row[0].as_u64())
        .map(|time_ns| {
            assert_eq!(time_ns % SECOND_NS, 0, "times are those of the intervals");
            time_ns / SECOND_NS
        })
        .collect()
}

struct Bed {
    home: TempDir,
    stores: [SocketAddr; 2],
    relay: SocketAddr,
}

impl Bed {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let [first, second, relay] = free_addresses();
        let config = format!(
            "[agent]\nrelays = [\"http://{relay}\"]\ninterval = \"1s\"\nhostname = \"web1\"\n\
             memory-bytes-max = \"{WAITING_BYTES_MAX}B\"\n\
             [agent.collect.docker]\nendpoint = \"off\"\n"
        );
        fs::write(home.path().join("agent.toml"), config).expect("a configuration");
        Self {
            home,
            stores: [first, second],
            relay,
        }
    }

    fn path(&self, name: &str) -> String {
        self.home.path().join(name).display().to_string()
    }

    fn start(&self, name: &str, arguments: &[&str]) -> Process {
        let data = self.path(name);
        let all = [arguments, &["--data-dir", &data]].concat();
        Process::start(&all, Path::new(self.home.path()), name)
    }

    fn start_store(&self, at: usize) -> Process {
        let address = self.stores[at].to_string();
        let name = format!("store{at}");
        let arguments = [
            "store", "--name", &name, "--http", &address, "--admin", "off",
        ];
        let mut store = self.start(&name, &arguments);
        store.await_ping(self.stores[at]);
        store
    }

    fn start_relay(&self) -> Process {
        let backends =
            ["primary", "backup"].map(|name| (name, self.stores[usize::from(name == "backup")]));
        let [first, second] = backends.map(|(name, address)| format!("{name}=http://{address}"));
        let address = self.relay.to_string();
        let arguments = [
            "relay",
            "--http",
            &address,
            "--backend",
            &first,
            "--backend",
            &second,
        ];
        let mut relay = self.start("relay", &arguments);
        relay.await_ping(self.relay);
        relay
    }

    fn start_agent(&self) -> Process {
        let config = self.path("agent.toml");
        self.start("agent", &["agent", "--config", &config])
    }

    fn await_intervals(&self, what: &str, from_s: u64, count: usize) {
        await_true(what, PATIENCE, || {
            let has = |store: &SocketAddr| seconds(*store).range(from_s..).count() >= count;
            self.stores.iter().all(has)
        });
    }
}

#[test]
fn an_outage_with_a_kill_in_the_middle_costs_no_interval() {
    let outage_s = std::env::var("TANDEM_TEST_OUTAGE_SECONDS").map_or(OUTAGE_S, |text| {
        text.parse()
            .expect("TANDEM_TEST_OUTAGE_SECONDS is a number of seconds")
    });
    let bed = Bed::new();
    let _stores = [bed.start_store(0), bed.start_store(1)];
    let mut relay = bed.start_relay();
    let mut agent = bed.start_agent();
    bed.await_intervals("intervals before the outage", 0, CALM);
    let first_s = *seconds(bed.stores[0]).first().expect("an interval");
    let rss_before = agent.rss_bytes_max();

    relay.kill();
    let gone_s = now_ns() / SECOND_NS;
    thread::sleep(Duration::from_secs(outage_s / 2));
    // Between two ticks: the one before is on disk by then, and the next finds the agent there again.
    let killed_s = sleep_to(400);
    let rss_first = agent.rss_bytes_max();
    agent.kill();
    let mut agent = bed.start_agent();
    await_true("the agent to be ready again", PATIENCE, || {
        agent.assert_alive();
        // It says so once in each life.
        agent.err().matches("ready").count() + agent.out().matches("ready").count() == 2
    });
    let ready_ns = now_ns();
    thread::sleep(Duration::from_secs(outage_s - outage_s / 2));
    let rss_second = agent.rss_bytes_max();
    let back_s = now_ns() / SECOND_NS;
    assert!(
        seconds(bed.stores[0])
            .last()
            .is_some_and(|last| *last <= gone_s + 1),
        "nothing came through meanwhile"
    );
    let _relay = bed.start_relay();
    bed.await_intervals("intervals after the outage", back_s + 1, CALM);
    // A slow machine may have taken longer than the rest of the second to start it.
    let missed: BTreeSet<u64> = (killed_s + 1..=ready_ns / SECOND_NS).collect();
    let last_s = now_ns() / SECOND_NS - 1;
    let expected: BTreeSet<u64> = (first_s..=last_s).filter(|s| !missed.contains(s)).collect();
    await_true("the backlog", PATIENCE, || {
        bed.stores
            .iter()
            .all(|store| expected.is_subset(&seconds(*store)))
    });
    let rss_after = agent.rss_bytes_max();
    println!(
        "outage of {outage_s} s, agent killed in the middle: {} intervals, all in both stores, {} missed while it \
         started; most memory {} KiB before, {} and {} KiB meanwhile, {} KiB after",
        expected.len(),
        missed.len(),
        rss_before >> 10,
        rss_first >> 10,
        rss_second >> 10,
        rss_after >> 10,
    );
    let most = rss_first.max(rss_second).max(rss_after);
    assert!(
        most <= rss_before + WAITING_BYTES_MAX + ROOM_BYTES,
        "{most} bytes of memory, {rss_before} before the outage"
    );
    // Its settings came from another life of the process; it reads them itself when it is asked to.
    agent.signal("HUP");
    await_true("the configuration to be read again", PATIENCE, || {
        agent.err().contains("the configuration is good")
    });
    let said = agent.err();
    assert!(
        !said.contains("panicked") && !said.contains("in use"),
        "{said}"
    );
}

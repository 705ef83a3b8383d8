//! A store dies by `kill -9` again and again, while it takes points, deletes, flushes and merges;
//! each time it comes up with everything that it acknowledged, and with nothing else but perhaps
//! the one request that each client was waiting for.
//!
//! `TANDEM_TEST_KILL_CYCLES` says how often (`cargo xtask kill --cycles N`), `TANDEM_TEST_SEED`
//! when.

mod common;

use std::{
    fs,
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use common::{
    await_true, http,
    process::{Process, free_addresses},
    steady::{Client, Deleter, Writer},
};
use tempfile::TempDir;

const CYCLES: u64 = 5;
const WRITERS: usize = 3;
/// So small that files are written and merged all the time.
const CONFIG: &str = r#"
[store]
memtable-bytes-max = "192KiB"
wal-bytes-max = "256KiB"
flush-age-max = "200ms"
cold-after = "1s"
compaction-bytes-per-s = 0
free-bytes-min = "1MiB"
"#;

fn number_of(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable}: a number")),
    )
}

/// SplitMix64: a new random number for each call.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

struct Bed {
    home: TempDir,
    address: SocketAddr,
    arguments: Vec<String>,
}

impl Bed {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let config = home.path().join("tandem.toml");
        fs::write(&config, CONFIG).expect("a configuration");
        let [address] = free_addresses();
        let data = home.path().join("data");
        let arguments = [
            "store".into(),
            "--config".into(),
            config.display().to_string(),
            "--data-dir".into(),
            data.display().to_string(),
            "--http".into(),
            address.to_string(),
            "--admin".into(),
            "off".into(),
        ];
        Self {
            home,
            address,
            arguments: arguments.into(),
        }
    }

    fn start(&self) -> Process {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        Process::start(&arguments, self.home.path(), "store")
    }
}

#[test]
fn every_acknowledged_point_is_there_after_every_kill() {
    let cycles = number_of("TANDEM_TEST_KILL_CYCLES").unwrap_or(CYCLES);
    let mut random = number_of("TANDEM_TEST_SEED").unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map_or(0, |now| now.as_secs())
    });
    println!("kill: {cycles} cycles, seed {random}");
    let bed = Bed::new();
    let mut clients: Vec<Box<dyn Client>> = (0..WRITERS)
        .map(|writer| Box::new(Writer::new(writer)) as Box<dyn Client>)
        .collect();
    clients.push(Box::new(Deleter::default()));
    let mut process = bed.start();
    process.await_ping(bed.address);
    for cycle in 1..=cycles {
        let (stop, answers) = (AtomicBool::new(false), AtomicU64::new(0));
        thread::scope(|scope| {
            for client in &mut clients {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) && client.go_on(bed.address) {
                        answers.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            // The kill comes at a random time after the first answers.
            let wanted = 1 + next(&mut random) % 50;
            await_true("the first answers", common::PATIENCE, || {
                answers.load(Ordering::Relaxed) >= wanted
            });
            thread::sleep(Duration::from_millis(next(&mut random) % 1_200));
            process.kill();
            stop.store(true, Ordering::Relaxed);
        });
        process = bed.start();
        if next(&mut random).is_multiple_of(4) {
            // Killed again while it starts.
            thread::sleep(Duration::from_millis(next(&mut random) % 60));
            process.kill();
            process = bed.start();
        }
        process.await_ping(bed.address);
        let points: usize = clients
            .iter_mut()
            .map(|client| client.assert_held_by(bed.address))
            .sum();
        println!(
            "kill: cycle {cycle}: {} answers before, {points} points there",
            answers.load(Ordering::Relaxed)
        );
    }
    for client in &mut clients {
        assert!(client.go_on(bed.address), "writing goes on");
        client.assert_held_in_full_by(bed.address);
    }
    let said = process.err();
    assert!(
        !said.contains("panicked") && !said.contains("damaged"),
        "{said}"
    );
    let expected = http::measurements(bed.address, common::loader::DATABASE);
    assert!(
        expected
            .iter()
            .all(|m| ["numbered", "latest", "gone"].contains(&m.as_str())),
        "{expected:?}"
    );
}

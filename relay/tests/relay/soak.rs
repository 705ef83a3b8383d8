//! Writers that repeat what was not acknowledged, and everything that can go wrong meanwhile: in
//! the end both backends hold the same last value of every series.
//!
//! All points of a series have one time, so that a single write out of order shows.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::support::{Fake, Mode, Running, try_write};
use tandem_http::{Client, ClientConfig};
use tandem_testkit::Rng;
use tokio::sync::watch;

/// Longer than a backend hangs, so that a write that broke off is through before its lanes are free.
const WRITE_TIMEOUT: Duration = Duration::from_millis(250);
const HANG: Duration = Duration::from_millis(100);

async fn start(dir: &Path, fakes: &[Fake; 2]) -> Running {
    Running::start(dir, &[&fakes[0], &fakes[1]], |config| {
        config.write_timeout = WRITE_TIMEOUT;
        config.hedge_delay = Duration::from_millis(20);
    })
    .await
}

/// The last value of each series.
fn state(fake: &Fake) -> BTreeMap<String, String> {
    let mut state = BTreeMap::new();
    for body in fake.stored_bodies() {
        for line in body.lines() {
            let (series, value) = line.split_once(' ').unwrap();
            state.insert(series.to_owned(), value.to_owned());
        }
    }
    state
}

async fn soak(seed: u64, events: usize) {
    let dir = tempfile::tempdir().unwrap();
    let mut fakes = [Fake::start().await, Fake::start().await];
    let mut relay = start(dir.path(), &fakes).await;
    let addr = watch::Sender::new(relay.relay.local_addr());
    let done = Arc::new(AtomicBool::new(false));
    let acknowledged = Arc::new(AtomicU64::new(0));
    // Two series a writer, the second shared with no one but in the same bodies as the first.
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (addr, done) = (addr.subscribe(), done.clone());
            let client = Client::new(ClientConfig::default());
            let acknowledged = acknowledged.clone();
            tokio::spawn(async move {
                let mut last = 0;
                while !done.load(Ordering::Relaxed) {
                    last += 1;
                    let body =
                        format!("m,host=w{writer} v={last} 1\nm,host=x{writer} v={last} 1\n");
                    loop {
                        let addr = *addr.borrow();
                        if try_write(&client, addr, &body).await == Some(204) {
                            acknowledged.fetch_add(1, Ordering::Relaxed);
                            break;
                        }
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                last
            })
        })
        .collect();
    let mut rng = Rng::new(seed);
    for _ in 0..events {
        let one = rng.below(2);
        match rng.below(5) {
            0 => {
                fakes[one].mode(Mode::Hang);
                tokio::time::sleep(HANG).await;
                fakes[one].mode(Mode::Store);
            }
            1 => {
                fakes[one].down().await;
                tokio::time::sleep(Duration::from_millis(rng.within(1..60))).await;
                fakes[one].up().await;
            }
            2 => {
                fakes[one].mode(Mode::Refuse(503, "no"));
                tokio::time::sleep(Duration::from_millis(rng.within(1..60))).await;
                fakes[one].mode(Mode::Store);
            }
            3 => {
                fakes[one].mode(Mode::Refuse(404, "database not found: \"d\""));
                tokio::time::sleep(Duration::from_millis(rng.within(1..20))).await;
                fakes[one].mode(Mode::Store);
            }
            _ => {
                relay.kill();
                // What is still on its way from the killed one arrives.
                tokio::time::sleep(Duration::from_millis(20)).await;
                relay = start(dir.path(), &fakes).await;
                addr.send_replace(relay.relay.local_addr());
            }
        }
        tokio::time::sleep(Duration::from_millis(rng.within(1..40))).await;
    }
    done.store(true, Ordering::Relaxed);
    let mut want = BTreeMap::new();
    for (writer, task) in writers.into_iter().enumerate() {
        let last = task.await.unwrap();
        for series in ["w", "x"] {
            want.insert(format!("m,host={series}{writer}"), format!("v={last} 1"));
        }
    }
    relay.is_live(0).await;
    relay.is_live(1).await;
    assert!(
        acknowledged.load(Ordering::Relaxed) > 20,
        "too little happened"
    );
    for fake in &fakes {
        assert_eq!(state(fake), want, "seed {seed}");
    }
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_backends_end_equal_whatever_happens() {
    let seeds = std::env::var("TANDEM_SOAK_SEEDS").map_or(3, |seeds| seeds.parse().unwrap());
    for seed in 0..seeds {
        soak(seed, 15).await;
    }
}

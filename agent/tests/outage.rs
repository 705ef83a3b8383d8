//! A relay that is away loses nothing: not when the agent is restarted, not when the disk is full.

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use support::{Relay, always, config, is_in_order, takes_all, times};
use tandem_agent::{Agent, Config, World};
use tandem_testkit::{ManualClock, SimFs};

/// Writes among the requests of a relay, answered with success or not.
fn writes(relay: &Relay) -> Vec<String> {
    let requests = relay.requests().into_iter();
    let bodies = requests.filter(|(target, _)| target.starts_with("/write"));
    bodies
        .flat_map(|(_, body)| body.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_during_an_outage_loses_no_interval() {
    let dir = tempfile::tempdir().unwrap();
    let relay = Relay::start(takes_all());
    let mut config = config(&[&relay], dir.path());
    // Draining takes several requests and intervals: new lines come while older ones wait.
    config.output.request_bytes_max = 3000;
    config.output.drain_bytes_per_second = 20_000;
    let first = Agent::start(config.clone(), World::default()).unwrap();
    relay.wait("a line", |relay| !relay.taken().is_empty());
    relay.answers(always(503, "away"));
    let before = first.accounts().gathered;
    while first.accounts().gathered < before + 10 {
        std::thread::sleep(Duration::from_millis(10));
    }
    let first = first.stop().await;
    assert!(first.is_balanced(), "{first}");
    assert!(first.buffered >= 9, "{first}");
    assert_eq!(first.written, relay.taken().len() as u64);
    assert!(first.write_errors > 0);

    let second = Agent::start(config, World::default()).unwrap();
    assert_eq!(second.accounts().recovered, first.buffered);
    while second.accounts().gathered < 5 {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(second.accounts().written, 0);
    relay.answers(takes_all());
    relay.wait("all of both runs", |_| {
        let accounts = second.accounts();
        accounts.written >= first.buffered + 10 && accounts.buffered == 0
    });
    let second = second.stop().await;
    assert!(second.is_balanced(), "{second}");
    let taken = relay.taken();
    let backlog: Vec<String> = writes(&relay);
    assert!(backlog.len() as u64 >= first.gathered + second.gathered);
    assert!(
        !is_in_order(&taken),
        "what is new does not wait for the backlog"
    );
    assert_eq!(
        times(&taken).len() as u64,
        first.gathered + second.gathered,
        "every interval arrived"
    );
    assert_eq!((second.dropped, second.rejected), (0, 0));
}

/// Turns the clock by `intervals`, one after the other, each of which is on disk when the next begins.
fn pass(agent: &Agent, config: &Config, clock: &ManualClock, fs: &SimFs, intervals: usize) {
    for _ in 0..intervals {
        let (gathered, syncs) = (agent.accounts().gathered, fs.data_syncs());
        clock.advance(config.interval);
        // New settings wake it up, and change nothing.
        agent.reload(config.clone()).unwrap();
        let deadline = std::time::Instant::now() + support::PATIENCE;
        while agent.accounts().gathered == gathered || fs.data_syncs() == syncs {
            assert!(
                std::time::Instant::now() < deadline,
                "an interval is missing"
            );
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Ten minutes.
const INTERVALS: usize = 60;
/// So many of them are spooled when the agent dies during the next one.
const BEFORE: usize = 29;

/// The relay is away for ten minutes of turned clock; in the middle, `calls` calls of the file system into an interval, the
/// agent dies, and another one opens what the disk then holds. Whether that interval was on disk.
async fn dies_in_the_middle(calls: u64) -> bool {
    let relay = Relay::start(always(503, "away"));
    let mut config = config(&[&relay], "/agent".as_ref());
    config.interval = Config::INTERVAL;
    // A few lines: what waits is on disk and not in memory, and goes out in several requests.
    config.output.memory_bytes_max = 10_000;
    config.output.request_bytes_max = 4000;
    let start_ns = 1_000_000_000_000_000_000;
    let clock = Arc::new(ManualClock::new(start_ns));
    let fs = SimFs::new(calls);
    let world = |fs: &SimFs| World {
        clock: clock.clone(),
        vfs: Arc::new(fs.clone()),
    };
    let memory_bytes_max = config.output.memory_bytes_max as u64;
    let first = Agent::start(config.clone(), world(&fs)).unwrap();
    pass(&first, &config, &clock, &fs, BEFORE);
    let (gathered, syncs) = (first.accounts().gathered, fs.data_syncs());
    fs.power_off_after(calls);
    clock.advance(config.interval);
    first.reload(config.clone()).unwrap();
    let has_come = |_: &Relay| {
        let is_decided = fs.is_off() || fs.data_syncs() > syncs;
        first.accounts().gathered > gathered && is_decided
    };
    relay.wait("the interval in the middle", has_come);
    let is_synced = fs.data_syncs() > syncs;
    let after = fs.crash(calls);
    let first = first.stop().await;
    assert_eq!(first.written, 0, "{first}");
    assert!(first.gathered_bytes > 2 * memory_bytes_max);
    assert!(first.held_bytes_most <= memory_bytes_max, "{first:?}");

    let second = Agent::start(config.clone(), world(&after)).unwrap();
    let is_there = second.accounts().recovered == BEFORE as u64 + 1;
    if !is_there {
        assert!(!is_synced, "what was synced is there");
        assert_eq!(second.accounts().recovered, BEFORE as u64);
    }
    pass(&second, &config, &clock, &after, INTERVALS - BEFORE - 1);
    relay.answers(takes_all());
    relay.wait("everything", |_| {
        let accounts = second.accounts();
        accounts.buffered == 0 && accounts.written > 0
    });
    let second = second.stop().await;
    assert!(second.is_balanced(), "{second}");
    assert_eq!((second.dropped, second.rejected), (0, 0), "{second}");
    assert!(second.held_bytes_most <= memory_bytes_max, "{second:?}");
    assert_eq!(second.held_bytes, 0, "{second:?}");
    let interval_ns = i64::try_from(config.interval.as_nanos()).unwrap();
    let expected = (1..=INTERVALS).filter(|at| is_there || *at != BEFORE + 1);
    let expected: BTreeSet<i64> = expected
        .map(|at| start_ns + interval_ns * i64::try_from(at).unwrap())
        .collect();
    assert_eq!(times(&relay.taken()), expected, "every interval");
    is_there
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_minutes_away_and_a_death_at_any_point_in_the_middle_lose_no_interval_that_was_taken() {
    let mut were_there = Vec::new();
    // The last is beyond what an interval needs: it dies between two of them.
    for calls in [0, 1, 2, 3, 4, 1000] {
        were_there.push(dies_in_the_middle(calls).await);
    }
    // With the first call of an interval nothing of it is on disk yet, and its lines are in memory alone.
    assert_eq!(were_there.first(), Some(&false), "{were_there:?}");
    assert_eq!(were_there.last(), Some(&true), "{were_there:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waited_too_long_is_dropped_and_counted() {
    let relay = Relay::start(always(503, "away"));
    let mut config = config(&[&relay], "/agent".as_ref());
    config.interval = Config::INTERVAL;
    config.output.spool_age_max = Duration::from_secs(60);
    let clock = Arc::new(ManualClock::new(1_000_000_000_000_000_000));
    let fs = SimFs::new(4);
    let world = || World {
        clock: clock.clone(),
        vfs: Arc::new(fs.clone()),
    };
    let first = Agent::start(config.clone(), world()).unwrap();
    pass(&first, &config, &clock, &fs, 5);
    let first = first.stop().await;
    assert_eq!(first.dropped, 0, "{first}");
    // Ten seconds before the age, and as many behind it.
    clock.advance(Duration::from_secs(40));
    let second = Agent::start(config, world()).unwrap();
    relay.wait("the oldest to be dropped", |_| {
        second.accounts().dropped > 0
    });
    let second = second.stop().await;
    assert!(second.is_balanced(), "{second}");
    assert!(
        second.dropped < first.gathered,
        "the younger stay: {second}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_bad_record_among_spooled_ones_is_rejected_alone() {
    let dir = tempfile::tempdir().unwrap();
    let relay = Relay::start(always(500, "away"));
    let agent = Agent::start(config(&[&relay], dir.path()), World::default()).unwrap();
    relay.wait("some failures", |_| agent.accounts().gathered >= 6);
    // The first line that was ever sent is the one that the relay dislikes.
    let bad = writes(&relay)[0].clone();
    let marker = bad.clone();
    relay.answers(Box::new(move |body| {
        if body.contains(&marker) {
            (400, "unable to parse")
        } else {
            (204, "")
        }
    }));
    relay.wait("the spool to drain", |_| {
        let accounts = agent.accounts();
        accounts.written >= 6 && accounts.buffered == 0
    });
    let accounts = agent.stop().await;
    assert_eq!(accounts.rejected, 1, "{accounts}");
    assert!(accounts.is_balanced(), "{accounts}");
    assert!(!relay.taken().contains(&bad));
    assert_eq!(accounts.written, relay.taken().len() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_memory_takes_over_and_drops_the_oldest() {
    let relay = Relay::start(always(503, "away"));
    let mut config = config(&[&relay], "/agent".as_ref());
    config.output.memory_bytes_max = 8000;
    let fs = SimFs::new(1);
    fs.set_capacity(Some(20_000));
    let world = World {
        vfs: Arc::new(fs.clone()),
        ..World::default()
    };
    let agent = Agent::start(config, world).unwrap();
    relay.wait("a full disk and full memory", |_| {
        agent.accounts().dropped >= 3
    });
    relay.answers(takes_all());
    relay.wait("the rest", |_| {
        let accounts = agent.accounts();
        accounts.written > 0 && accounts.buffered == 0
    });
    let accounts = agent.stop().await;
    assert!(accounts.is_balanced(), "{accounts}");
    assert_eq!(accounts.written, relay.taken().len() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_does_not_wait_for_a_relay_that_hangs() {
    let dir = tempfile::tempdir().unwrap();
    // A listener that nobody serves: connecting works, answers never come.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let relay = Relay::start(takes_all());
    let mut config = config(&[&relay], dir.path());
    config.relays = vec![tandem_http::Url::parse(&format!("http://{address}")).unwrap()];
    config.output.request_timeout = support::PATIENCE;
    config.output.stop_timeout = Duration::from_millis(50);
    let agent = Agent::start(config, World::default()).unwrap();
    while agent.accounts().gathered < 2 {
        std::thread::sleep(Duration::from_millis(10));
    }
    let stopping = tokio::time::timeout(support::PATIENCE / 2, agent.stop());
    let accounts = stopping.await.expect("it stops soon");
    assert_eq!(
        accounts.buffered, accounts.gathered,
        "spooled for the next start"
    );
    assert!(accounts.is_balanced(), "{accounts}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_hangs_costs_nothing_of_what_comes_meanwhile() {
    // While a request waited for its timeout, lines only waited in memory, and pushed out the oldest there.
    let dir = tempfile::tempdir().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let relay = Relay::start(takes_all());
    let mut config = config(&[&relay], dir.path());
    let well = config.clone();
    config.relays = vec![tandem_http::Url::parse(&format!("http://{address}")).unwrap()];
    config.output.create_database = false;
    config.output.request_timeout = support::PATIENCE;
    // A few lines of a kilobyte each.
    config.output.memory_bytes_max = 4000;
    let agent = Agent::start(config, World::default()).unwrap();
    relay.wait("more than memory holds", |_| {
        agent.accounts().gathered_bytes > 20_000
    });
    let during = agent.accounts();
    assert_eq!((during.written, during.dropped), (0, 0), "{during}");
    // Its end breaks the request off.
    let (stuck, _) = listener.accept().unwrap();
    drop((stuck, listener));
    agent.reload(well).unwrap();
    relay.wait("all of it", |_| {
        let accounts = agent.accounts();
        accounts.buffered == 0 && accounts.written >= during.gathered
    });
    let accounts = agent.stop().await;
    assert!(accounts.is_balanced(), "{accounts}");
    assert_eq!(accounts.dropped + accounts.rejected, 0, "{accounts}");
    assert_eq!(times(&relay.taken()).len() as u64, accounts.written);
}

//! The queue on disk: whose it is, and what damage does to it.

use std::fs;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use crate::support::{Fake, Running, until};
use tandem_http::Url;
use tandem_relay::{BackendConfig, Config, Relay};
use tandem_vfs::{RealFs, SystemClock};

fn quick(config: &mut Config) {
    config.write_timeout = Duration::from_millis(50);
}

/// vmagent names a queue by position and URL, and deletes those that it no longer knows.
#[tokio::test(flavor = "multi_thread")]
async fn a_queue_belongs_to_the_name_whatever_address_and_order() {
    let dir = tempfile::tempdir().unwrap();
    let (a, mut b, moved) = (
        Fake::start().await,
        Fake::start().await,
        Fake::start().await,
    );
    b.down().await;
    let relay = Running::start(dir.path(), &[&a, &b], |_| {}).await;
    assert_eq!(relay.write("m v=1 1").await, 204);
    relay.kill();
    // A relay that does not know `b` leaves its queue alone.
    let relay = Running::start(dir.path(), &[&a], |_| {}).await;
    assert_eq!(relay.write("m v=2 2").await, 204);
    relay.stop().await;
    // Back in the configuration, first now, and elsewhere.
    let relay = Running::start(dir.path(), &[&moved, &a], |config| {
        quick(config);
        config.backends[0].name = "b".into();
        config.backends[1].name = "a".into();
    })
    .await;
    moved.stores(1).await;
    assert_eq!(moved.stored_lines(), ["m v=1 1"]);
    relay.stop().await;
}

#[tokio::test]
async fn names_that_are_no_identity_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for names in [&["../x"][..], &["a", "a"], &[""], &[".x"], &[]] {
        let url = Url::parse("http://127.0.0.1:1").unwrap();
        let backends = names
            .iter()
            .map(|name| BackendConfig::new(*name, url.clone()));
        let config = Config::new(backends.collect(), dir.path());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (vfs, clock) = (Arc::new(RealFs), Arc::new(SystemClock));
        let started = Relay::start(config, vfs, clock, listener, async {}).await;
        assert!(started.is_err(), "{names:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_of_another_identity_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (Fake::start().await, Fake::start().await);
    Running::start(dir.path(), &[&a, &b], |_| {})
        .await
        .stop()
        .await;
    fs::copy(dir.path().join("a/id"), dir.path().join("b/id")).unwrap();
    let config = Config::new(
        vec![BackendConfig::new(
            "b",
            Url::parse("http://127.0.0.1:1").unwrap(),
        )],
        dir.path(),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (vfs, clock) = (Arc::new(RealFs), Arc::new(SystemClock));
    let error = Relay::start(config, vfs, clock, listener, async {})
        .await
        .unwrap_err();
    let source = std::error::Error::source(&error).unwrap();
    assert!(
        source.to_string().contains("move the wrong one away"),
        "{source}"
    );
}

/// influx-proxy frames by length alone: a torn tail mis-frames all that is appended after it.
#[tokio::test(flavor = "multi_thread")]
async fn a_torn_tail_costs_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let (a, mut b) = (Fake::start().await, Fake::start().await);
    b.down().await;
    let relay = Running::start(dir.path(), &[&a, &b], |_| {}).await;
    assert_eq!(relay.write("m v=1 1").await, 204);
    relay.kill();
    until("the killed relay has let go", || {
        tandem_vfs::Vfs::lock_dir(&RealFs, &dir.path().join("b/hints")).is_ok()
    })
    .await;
    let segment = fs::read_dir(dir.path().join("b/hints"))
        .unwrap()
        .map(|file| file.unwrap().path())
        .find(|path| path.extension().is_some_and(|ext| ext == "seg"))
        .unwrap();
    let mut file = fs::File::options().append(true).open(segment).unwrap();
    file.write_all(b"\xf7rec\x20\0\0\0half a record").unwrap();
    let relay = Running::start(dir.path(), &[&a, &b], quick).await;
    assert_eq!(relay.write("m v=2 1").await, 204);
    b.up().await;
    relay.is_live(1).await;
    assert_eq!(b.stored_lines(), ["m v=1 1", "m v=2 1"]);
    assert_eq!(relay.relay.status()[1].corruptions, 0);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_owner_may_look_into_a_queue() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let a = Fake::start().await;
    Running::start(dir.path(), &[&a], |_| {}).await.stop().await;
    let rights = fs::metadata(dir.path().join("a")).unwrap().permissions();
    assert_eq!(rights.mode() & 0o777, 0o700);
}

/// The queue of InfluxDB 2 cannot tell a flipped bit and drops the segment, Telegraf's panics, and
/// vmagent's skips the rest of a chunk.
#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_costs_one_batch_and_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (a, mut b) = (Fake::start().await, Fake::start().await);
    b.down().await;
    let relay = Running::start(dir.path(), &[&a, &b], |_| {}).await;
    for n in 0..5 {
        assert_eq!(relay.write(&format!("m v={n} 1")).await, 204);
    }
    relay.kill();
    until("the killed relay has let go", || {
        tandem_vfs::Vfs::lock_dir(&RealFs, &dir.path().join("b/hints")).is_ok()
    })
    .await;
    let segment = fs::read_dir(dir.path().join("b/hints"))
        .unwrap()
        .map(|file| file.unwrap().path())
        .find(|path| path.extension().is_some_and(|ext| ext == "seg"))
        .unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    let at = bytes
        .windows(5)
        .position(|window| window == b"m v=2")
        .unwrap();
    bytes[at] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let summary = tandem_relay::offline::summary(&RealFs, dir.path(), "b").unwrap();
    assert_eq!((summary.parts[0].0, summary.faults.len()), (4, 1));
    let relay = Running::start(dir.path(), &[&a, &b], quick).await;
    b.up().await;
    relay.is_live(1).await;
    assert!(relay.relay.status()[1].corruptions > 0);
    let want = [0, 1, 3, 4].map(|n| format!("m v={n} 1"));
    assert_eq!(b.stored_lines(), want);
    relay.stop().await;
}

/// The queue of OpenTelemetry's collector deadlocks at the start when it is full.
#[tokio::test(flavor = "multi_thread")]
async fn a_relay_starts_with_a_full_queue_and_drains_it() {
    let dir = tempfile::tempdir().unwrap();
    let (a, mut b) = (Fake::start().await, Fake::start().await);
    let small = |config: &mut Config| {
        config.queue_bytes_max = 32 << 10;
        quick(config);
    };
    b.down().await;
    let relay = Running::start(dir.path(), &[&a, &b], small).await;
    let mut acknowledged = Vec::new();
    loop {
        let body = format!("m v={},s=\"{}\" 1", acknowledged.len(), "x".repeat(500));
        if relay.write(&body).await != 204 {
            break;
        }
        acknowledged.push(body);
    }
    relay.kill();
    let relay = Running::start(dir.path(), &[&a, &b], small).await;
    b.up().await;
    relay.is_live(1).await;
    assert_eq!(b.stored_lines(), acknowledged);
    assert_eq!(relay.write("m v=1 2").await, 204);
    relay.stop().await;
}

/// Hints are not kept in memory, however long the outage is (influxdb-relay #85, prometheus #5750).
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_takes_disk_and_no_memory() {
    let dir = tempfile::tempdir().unwrap();
    let (a, mut b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |config| {
        config.memory_bytes_max = 1 << 20;
    })
    .await;
    b.down().await;
    let body = |n: usize| format!("m v={n},s=\"{}\" 1", "x".repeat(100_000));
    for n in 0..60 {
        assert_eq!(
            relay.write(&body(n)).await,
            204,
            "the bodies of before still count"
        );
    }
    let status = &relay.relay.status()[1];
    assert!(status.queued_batches == 60 && status.queued_bytes > 5 << 20);
    b.up().await;
    relay.is_live(1).await;
    assert_eq!(b.stored_lines().len(), 60);
    relay.stop().await;
}

/// Writes that the killed relay had sent without a hint may still arrive: what comes after them must
/// not be overtaken.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_nothing_is_sent_until_earlier_writes_cannot_arrive_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (Fake::start().await, Fake::start().await);
    let long = |config: &mut Config| config.write_timeout = Duration::from_millis(800);
    let relay = Running::start(dir.path(), &[&a, &b], long).await;
    b.mode(crate::support::Mode::Hang);
    let waiting = relay.write("m v=1 1");
    let killed = async {
        b.gets(1).await;
    };
    tokio::select! {
        _ = waiting => panic!("answered while a backend hangs"),
        () = killed => {}
    }
    relay.kill();
    let relay = Running::start(dir.path(), &[&a, &b], long).await;
    // The client repeats it, and goes on.
    assert_eq!(relay.write("m v=1 1").await, 204);
    assert_eq!(relay.write("m v=2 1").await, 204);
    assert_eq!(b.arrived().len(), 1, "only the one of the killed relay");
    // That one lands late.
    b.mode(crate::support::Mode::Store);
    relay.is_live(1).await;
    assert_eq!(b.stored_lines(), ["m v=1 1", "m v=1 1", "m v=2 1"]);
    relay.stop().await;
}

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
    assert_eq!(moved.stored_bodies(), ["m v=1 1"]);
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
    assert_eq!(b.stored_bodies(), ["m v=1 1", "m v=2 1"]);
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

//! A slow backend costs a client one fsync, not its latency, and never the order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::{Fake, Mode, Running, SOON, lines_apart, until};
use tandem_relay::{Condition, Config};

const HEDGE: Duration = Duration::from_millis(30);

/// Hedges soon, and never times out.
fn slowly(config: &mut Config) {
    config.hedge_delay = HEDGE;
    config.write_timeout = SOON;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_backend_does_not_slow_the_client_and_gets_the_batch_once() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], slowly).await;
    b.mode(Mode::Hang);
    let begun = Instant::now();
    assert_eq!(relay.write("m v=1 1").await, 204);
    assert!(begun.elapsed() < SOON / 2, "it waited for the slow one");
    assert_eq!(relay.condition(1), Condition::Spilling);
    // Behind it in the same lane: straight to the log.
    assert_eq!(relay.write("m v=2 1").await, 204);
    assert_eq!(
        b.arrived().len(),
        1,
        "the second one stays behind the first"
    );
    b.mode(Mode::Store);
    relay.is_live(1).await;
    // The hint of the first was cancelled when its live write succeeded.
    assert_eq!(b.arrived().len(), 2);
    assert_eq!(b.stored_lines(), ["m v=1 1", "m v=2 1"]);
    assert_eq!(relay.write("m v=3 1").await, 204);
    assert_eq!(b.stored_lines().len(), 3);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_write_holds_up_its_own_lanes_only() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], slowly).await;
    let [one, other] = lines_apart();
    b.mode(Mode::Hang);
    assert_eq!(relay.write(one).await, 204);
    let second = relay.write(other);
    b.gets(1).await;
    let ((), status) = tokio::join!(b.gets(2), second);
    assert_eq!(status, 204, "the other lane was tried live");
    b.mode(Mode::Store);
    relay.is_live(1).await;
    assert_eq!(b.arrived().len(), 2);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_of_one_series_never_fly_together() {
    let dir = tempfile::tempdir().unwrap();
    let a = Fake::start().await;
    let relay = Running::start(dir.path(), &[&a], |_| {}).await;
    a.mode(Mode::Hang);
    let first = relay.write("m,t=x,u=y v=1 1");
    let second = async {
        a.gets(1).await;
        relay.write("m,u=y,t=x v=2 1").await
    };
    let release = async {
        a.gets(1).await;
        // Time enough for the second to arrive, were it let go.
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(a.arrived().len(), 1);
        a.mode(Mode::Store);
    };
    let (first, second, ()) = tokio::join!(first, second, release);
    assert_eq!((first, second), (204, 204));
    assert_eq!(a.stored_lines(), ["m,t=x,u=y v=1 1", "m,u=y,t=x v=2 1"]);
    relay.stop().await;
}

/// Two clients, one series, one time: whoever comes second wins, so it has to be the same one at
/// both backends.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_writes_of_one_series_reach_both_backends_in_the_same_order() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], slowly).await;
    let relay = Arc::new(relay);
    let clients: Vec<_> = (0..8)
        .map(|client| {
            let relay = relay.clone();
            tokio::spawn(async move {
                for n in 0..40 {
                    let body = format!("m,host=a v={client}{n:02} 1");
                    assert_eq!(relay.write(&body).await, 204);
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    relay.is_live(0).await;
    relay.is_live(1).await;
    assert_eq!(a.stored_lines().len(), 320);
    assert_eq!(a.stored_lines(), b.stored_lines());
    Arc::into_inner(relay).unwrap().stop().await;
}

/// Its hint is cancelled, because the other backend refused the batch; its live write is still out.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_hint_keeps_its_lanes_until_its_live_write_has_landed() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], slowly).await;
    a.mode(Mode::Refuse(400, "unable to parse"));
    b.mode(Mode::Hang);
    assert_eq!(relay.write("m v=1 1").await, 400);
    a.mode(Mode::Store);
    assert_eq!(relay.write("m v=2 1").await, 204);
    assert_eq!(b.arrived().len(), 1, "the second overtakes the first");
    b.mode(Mode::Store);
    relay.is_live(1).await;
    assert_eq!(b.stored_lines(), ["m v=1 1", "m v=2 1"]);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_timed_out_is_not_repeated_while_it_may_still_be_applied() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (Fake::start().await, Fake::start().await);
    let timeout = Duration::from_millis(300);
    let relay = Running::start(dir.path(), &[&a, &b], |config| {
        config.hedge_delay = HEDGE;
        config.write_timeout = timeout;
    })
    .await;
    b.mode(Mode::Hang);
    assert_eq!(relay.write("m v=1 1").await, 204);
    b.gets(2).await;
    let arrived = b.arrived();
    // A little less than the timeout, because the first clock started before the write arrived.
    assert!(arrived[1].0 - arrived[0].0 > timeout - HEDGE);
    b.mode(Mode::Store);
    relay.is_live(1).await;
    assert!(b.stored_lines().iter().all(|body| body == "m v=1 1"));
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_holds_the_lanes_for_as_long_as_the_write_may_linger() {
    let dir = tempfile::tempdir().unwrap();
    let (a, mut b) = (Fake::start().await, Fake::start().await);
    let timeout = Duration::from_millis(300);
    let relay = Running::start(dir.path(), &[&a, &b], |config| {
        config.write_timeout = timeout;
    })
    .await;
    b.mode(Mode::Hang);
    let (status, ()) = tokio::join!(relay.write("m v=1 1"), async {
        b.gets(1).await;
        b.down().await;
    });
    assert_eq!(status, 204);
    b.mode(Mode::Store);
    b.up().await;
    b.gets(2).await;
    let arrived = b.arrived();
    assert!(arrived[1].0 - arrived[0].0 > timeout / 2);
    relay.is_live(1).await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_5xx_goes_to_the_log_and_is_retried_with_pauses() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |_| {}).await;
    b.mode(Mode::Refuse(503, "request throttled, queue full"));
    assert_eq!(relay.write("m v=1 1").await, 204);
    assert_eq!(relay.write("m v=2 1").await, 204);
    until("the drainer has tried", || b.arrived().len() > 3).await;
    b.mode(Mode::Store);
    relay.is_live(1).await;
    assert_eq!(b.stored_lines(), ["m v=1 1", "m v=2 1"]);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_with_a_hanging_backend_is_quick_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (a, mut b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], slowly).await;
    b.mode(Mode::Hang);
    assert_eq!(relay.write("m v=1 1").await, 204);
    let begun = Instant::now();
    relay.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(9));
    b.down().await;
    b.mode(Mode::Store);
    b.up().await;
    let again = Running::start(dir.path(), &[&a, &b], |config| {
        config.write_timeout = Duration::from_millis(50);
    })
    .await;
    again.is_live(1).await;
    assert!(b.stored_lines().contains(&"m v=1 1".to_owned()));
    again.stop().await;
}

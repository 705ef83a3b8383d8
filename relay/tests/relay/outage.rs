//! While a backend is away, and when it comes back: nothing is lost, the order stays.

use std::time::Duration;

use crate::support::{Fake, Mode, Running, text, until};
use tandem_http::{Call, HeaderValue, header};
use tandem_relay::Condition;

fn numbered(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| format!("m,host=a v={n} 1")).collect()
}

async fn write_all(relay: &Running, bodies: &[String]) {
    for body in bodies {
        assert_eq!(relay.write(body).await, 204, "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_was_down_gets_all_it_missed_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (a, mut b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |_| {}).await;
    let all = numbered(0..60);
    write_all(&relay, &all[..10]).await;
    b.down().await;
    write_all(&relay, &all[10..30]).await;
    assert_eq!(relay.condition(1), Condition::Spilling);
    assert_eq!(relay.condition(0), Condition::Live);
    assert_eq!(relay.relay.status()[1].queued_batches, 20);
    b.up().await;
    // Same series, so these must not overtake what is still being drained.
    write_all(&relay, &all[30..50]).await;
    relay.is_live(1).await;
    write_all(&relay, &all[50..]).await;
    assert_eq!(a.stored_lines(), all);
    assert_eq!(b.stored_lines(), all);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_to_disk_while_all_are_well() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |_| {}).await;
    let bytes = || {
        let mut sizes = Vec::new();
        for name in ["a", "b"] {
            for file in std::fs::read_dir(dir.path().join(name).join("hints")).unwrap() {
                sizes.push(file.unwrap().metadata().unwrap().len());
            }
        }
        sizes
    };
    let before = bytes();
    write_all(&relay, &numbered(0..20)).await;
    assert_eq!(bytes(), before);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_both_down_204_means_that_both_get_it_later() {
    let dir = tempfile::tempdir().unwrap();
    let (mut a, mut b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |_| {}).await;
    a.down().await;
    b.down().await;
    let all = numbered(0..10);
    write_all(&relay, &all).await;
    b.up().await;
    b.stores(10).await;
    a.up().await;
    a.stores(10).await;
    assert_eq!(a.stored_lines(), all);
    assert_eq!(b.stored_lines(), all);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_relay_loses_nothing_that_it_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let (a, mut b) = (Fake::start().await, Fake::start().await);
    let all = numbered(0..30);
    b.down().await;
    for part in all.chunks(10) {
        let relay = Running::start(dir.path(), &[&a, &b], |_| {}).await;
        write_all(&relay, part).await;
        relay.kill();
    }
    b.up().await;
    let relay = Running::start(dir.path(), &[&a, &b], |config| {
        // The time for which a write of the killed relay could still be applied.
        config.write_timeout = Duration::from_millis(50);
    })
    .await;
    b.stores(30).await;
    assert_eq!(b.stored_lines(), all);
    relay.is_live(1).await;
    relay.stop().await;
}

/// The queue of vmagent stores its position when a block is read, not when it is delivered, and so
/// loses it when it is killed in between.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_under_way_when_the_relay_was_killed_is_sent_again() {
    let dir = tempfile::tempdir().unwrap();
    let (a, mut b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |_| {}).await;
    b.down().await;
    write_all(&relay, &numbered(0..2)).await;
    b.mode(Mode::Hang);
    b.up().await;
    b.gets(1).await;
    relay.kill();
    b.down().await;
    b.mode(Mode::Store);
    b.up().await;
    let again = Running::start(dir.path(), &[&a, &b], |config| {
        config.write_timeout = Duration::from_millis(50);
    })
    .await;
    again.is_live(1).await;
    let stored = b.stored_lines();
    assert_eq!(stored[stored.len() - 2..], numbered(0..2));
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_relay_leaves_a_queue_that_the_next_one_drains_once() {
    let dir = tempfile::tempdir().unwrap();
    let (a, mut b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |_| {}).await;
    b.down().await;
    write_all(&relay, &numbered(0..5)).await;
    b.up().await;
    relay.is_live(1).await;
    relay.stop().await;
    let again = Running::start(dir.path(), &[&a, &b], |_| {}).await;
    assert_eq!(again.relay.status()[1].queued_batches, 0);
    write_all(&again, &numbered(5..6)).await;
    assert_eq!(b.stored_lines(), numbered(0..6));
    again.stop().await;
}

/// influxdb-srelay keeps a slice of a pooled buffer in its queue, which later requests overwrite,
/// and joins bodies without a newline between them.
#[tokio::test(flavor = "multi_thread")]
async fn queued_batches_keep_their_own_bytes_and_are_not_joined() {
    let dir = tempfile::tempdir().unwrap();
    let (a, mut b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |_| {}).await;
    b.down().await;
    for n in 0..20 {
        let body = format!("m{n},host=a s=\"{}\" {n}", "x".repeat(n * 10));
        let query = format!("db=d&n={n}");
        let mut call = Call::post(format!("/write?{query}"), vec![body.into()], true);
        let token = HeaderValue::try_from(format!("Token u{n}:p")).unwrap();
        call.headers.insert(header::AUTHORIZATION, token);
        assert_eq!(relay.send(call).await.status, 204);
    }
    b.up().await;
    b.stores(20).await;
    let by_query = |fake: &Fake| {
        let mut stored = fake.stored();
        stored.sort_by(|one, other| one.query.cmp(&other.query));
        stored
    };
    assert_eq!(by_query(&a), by_query(&b));
    relay.stop().await;
}

/// influxdb-relay retries "retention policy not found" for ever at the head of the queue that all
/// share, so that one client stops everybody.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_an_operator_can_mend_holds_one_queue_and_no_other_backend() {
    for (status, words) in [
        (500, "retention policy not found: x"),
        (404, "database not found: \"d\""),
        (401, "authorization failed"),
        (403, "not authorized"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (a, mut b) = (Fake::start().await, Fake::start().await);
        let relay = Running::start(dir.path(), &[&a, &b], |_| {}).await;
        b.down().await;
        write_all(&relay, &numbered(0..3)).await;
        b.mode(Mode::Refuse(status, words));
        b.up().await;
        until("the queue holds", || {
            relay.condition(1) == Condition::Holding
        })
        .await;
        let said = relay.relay.status()[1].last_answer.replace('\\', "");
        assert!(said.contains(words), "{said}");
        write_all(&relay, &numbered(3..6)).await;
        assert_eq!(a.stored_lines(), numbered(0..6));
        assert_eq!(relay.condition(0), Condition::Live);
        b.mode(Mode::Store);
        b.stores(6).await;
        assert_eq!(b.stored_lines(), numbered(0..6));
        relay.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_only_backend_that_answers_refuses_is_not_left_in_the_queue_of_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let (a, mut b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |_| {}).await;
    b.down().await;
    a.mode(Mode::Refuse(404, "database not found: \"typo\""));
    assert_eq!(relay.write_to("db=typo", "m v=1 1").await.status, 404);
    a.mode(Mode::Store);
    assert_eq!(relay.write("m v=2 2").await, 204);
    relay.kill();
    b.up().await;
    let relay = Running::start(dir.path(), &[&a, &b], |config| {
        config.write_timeout = Duration::from_millis(50);
    })
    .await;
    relay.is_live(1).await;
    assert_eq!(b.stored_lines(), ["m v=2 2"]);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledged_batch_that_is_refused_for_good_lies_among_the_dead_letters() {
    let dir = tempfile::tempdir().unwrap();
    let (a, mut b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |_| {}).await;
    b.down().await;
    write_all(&relay, &numbered(0..1)).await;
    b.mode(Mode::Refuse(400, "unable to parse"));
    b.up().await;
    until("it is refused", || {
        relay.relay.status()[1].dead_batches == 1
    })
    .await;
    relay.is_live(1).await;
    b.mode(Mode::Store);
    write_all(&relay, &numbered(1..2)).await;
    assert_eq!(b.stored_lines(), numbered(1..2));
    relay.stop().await;
    let mut dead = Vec::new();
    for file in std::fs::read_dir(dir.path().join("b/dead")).unwrap() {
        dead.extend(std::fs::read(file.unwrap().path()).unwrap());
    }
    let dead = String::from_utf8_lossy(&dead);
    assert!(dead.contains("m,host=a v=0 1") && dead.contains("unable to parse"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partial_write_from_the_queue_counts_as_delivered() {
    let dir = tempfile::tempdir().unwrap();
    let (a, mut b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |_| {}).await;
    b.down().await;
    write_all(&relay, &numbered(0..2)).await;
    b.mode(Mode::Partial);
    b.up().await;
    relay.is_live(1).await;
    // Perhaps both together first; then each, to see which one it is.
    assert!(b.stored_lines().ends_with(&numbered(0..2)));
    assert_eq!(relay.relay.status()[1].partial_batches, 2);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_refuses_with_503_and_takes_again_when_it_is_drained() {
    let dir = tempfile::tempdir().unwrap();
    let (a, mut b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |config| {
        config.queue_bytes_max = 64 << 10;
    })
    .await;
    b.down().await;
    let body = |n: usize| format!("m,host=a v={n},s=\"{}\" {n}", "x".repeat(1000));
    let mut acknowledged = Vec::new();
    let refused = loop {
        let body = body(acknowledged.len());
        let answer = relay.write_to("db=d&p=secret", &body).await;
        if answer.status != 204 {
            break answer;
        }
        acknowledged.push(body);
        assert!(acknowledged.len() < 100, "the queue never fills");
    };
    assert_eq!(refused.status, 503);
    assert_eq!(refused.headers["retry-after"], "1");
    assert!(text(&refused).contains("b: ") && text(&refused).contains("full"));
    assert!(!text(&refused).contains("secret"));
    assert!(acknowledged.len() > 40);
    b.up().await;
    relay.is_live(1).await;
    assert_eq!(b.stored_lines(), acknowledged);
    // Full again and drained again: space is given back.
    for round in 0..3 {
        b.down().await;
        let before = b.stored_lines().len();
        for n in 0..40 {
            assert_eq!(relay.write(&body(n)).await, 204, "{round} {n}");
        }
        b.up().await;
        b.stores(before + 40).await;
        relay.is_live(1).await;
    }
    relay.stop().await;
}

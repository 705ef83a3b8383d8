//! What a backend refuses until an operator mends something waits apart: nothing else waits for it.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::support::{Fake, Mode, Running, lines_apart, text, until};
use tandem_http::Call;
use tandem_relay::{Condition, offline};
use tandem_testkit::SimFs;
use tandem_vfs::{RealFs, SystemClock, Vfs};

const MISSING: Mode = Mode::RefuseQuery("db=lost", 404, "database not found: \"lost\"");

async fn write_both(relay: &Running, range: std::ops::Range<usize>) {
    for n in range {
        // One series: only the database tells them apart.
        for database in ["db=lost", "db=kept"] {
            let answer = relay.write_to(database, &format!("m v={n} 1")).await;
            assert_eq!(answer.status, 204);
        }
    }
}

fn bodies(fake: &Fake, query: &str) -> Vec<String> {
    let stored = fake.stored();
    let of_query = stored.iter().filter(|write| write.query == query);
    let lines = of_query.flat_map(|write| {
        let text = String::from_utf8(write.body.to_vec()).unwrap();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    });
    lines.collect()
}

fn numbered(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| format!("m v={n} 1")).collect()
}

/// influxdb-relay keeps one queue for all, so that one database that is missing stops every other
/// one; veepee's drops what it cannot write. Here it waits by itself, and comes in order.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_database_holds_up_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let (a, mut b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |_| {}).await;
    b.down().await;
    write_both(&relay, 0..20).await;
    b.mode(MISSING);
    b.up().await;
    until("the other database is whole", || {
        bodies(&b, "db=kept") == numbered(0..20)
    })
    .await;
    until("the missing one is held", || {
        let status = &relay.relay.status()[1];
        status.condition == Condition::Holding && status.held.len() == 1
    })
    .await;
    assert_eq!(relay.relay.status()[1].held[0].database, "lost");
    // The other database is live again: what is written to it is there when 204 comes.
    until("the other database is live", || {
        relay.relay.status()[1].held[0].batches == 20
            && relay.relay.status()[1].queued_batches == 20
    })
    .await;
    write_both(&relay, 20..25).await;
    until("they go on to the other database", || {
        bodies(&b, "db=kept") == numbered(0..25)
    })
    .await;
    assert_eq!(bodies(&b, "db=lost"), [""; 0]);
    b.mode(Mode::Store);
    relay.is_live(1).await;
    assert_eq!(bodies(&b, "db=lost"), numbered(0..25));
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_outlives_a_killed_relay_and_keeps_its_order() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (Fake::start().await, Fake::start().await);
    b.mode(MISSING);
    for part in 0..3 {
        let relay = Running::start(dir.path(), &[&a, &b], |config| {
            config.write_timeout = Duration::from_millis(50);
        })
        .await;
        write_both(&relay, part * 10..part * 10 + 10).await;
        until("all of the other database is there", || {
            bodies(&b, "db=kept").ends_with(&numbered(part * 10..part * 10 + 10))
        })
        .await;
        relay.kill();
    }
    b.mode(Mode::Store);
    let relay = Running::start(dir.path(), &[&a, &b], |config| {
        config.write_timeout = Duration::from_millis(50);
    })
    .await;
    relay.is_live(1).await;
    // Some may have come twice, each time in order, and the last one last.
    let lost = bodies(&b, "db=lost");
    assert!(lost.ends_with(&numbered(29..30)), "{lost:?}");
    for body in numbered(0..30) {
        assert!(lost.contains(&body), "{body} is missing");
    }
    relay.stop().await;
}

/// The drainer made a pause and did not wake up from it, unless something else happened.
#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_put_aside_is_tried_again() {
    for call in 0..14 {
        let fs = SimFs::new(call);
        let (a, mut b) = (Fake::start().await, Fake::start().await);
        let (vfs, clock) = (Arc::new(fs.clone()), Arc::new(SystemClock));
        let relay = Running::start_in(vfs, clock, Path::new("/relay"), &[&a, &b], |_| {}).await;
        b.down().await;
        for n in 0..6 {
            let answer = relay.write_to("db=lost", &format!("m v={n} 1")).await;
            assert_eq!(answer.status, 204);
        }
        b.mode(MISSING);
        fs.fail_after(call, ErrorKind::Other);
        b.up().await;
        until("the disk has failed, and it was refused", || {
            !fs.fault_is_pending() && !b.arrived().is_empty()
        })
        .await;
        b.mode(Mode::Store);
        relay.is_live(1).await;
        let lost = bodies(&b, "db=lost");
        assert!(lost.ends_with(&numbered(5..6)), "call {call}: {lost:?}");
        relay.kill();
    }
}

/// Its client was told to come again, and its next statement waited behind the first: they never came to their end.
#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_waits_behind_what_is_held_is_answered_when_it_has_run() {
    let dir = tempfile::tempdir().unwrap();
    let (mut a, mut b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |config| {
        config.write_timeout = crate::support::SOON;
    })
    .await;
    a.down().await;
    b.down().await;
    let answer = relay.write_to("db=lost", "m v=1 1").await;
    assert_eq!(answer.status, 204);
    for fake in [&mut a, &mut b] {
        fake.mode(MISSING);
        fake.up().await;
    }
    let held = |count: u64| {
        let of = |status: &tandem_relay::BackendStatus| status.held.first().map(|h| h.batches);
        let status = relay.relay.status();
        status.iter().all(|status| of(status) == Some(count))
    };
    until("it is held", || held(1)).await;
    let drop = Call::post("/query?db=lost&q=DROP+MEASUREMENT+x", Vec::new(), false);
    let (answer, ()) = tokio::join!(relay.send(drop), async {
        until("the statement is held behind it", || held(2)).await;
        a.mode(Mode::Store);
        b.mode(Mode::Store);
    });
    assert_eq!(answer.status, 200, "{}", text(&answer));
    relay.stop().await;
}

/// influxdb-relay #71: one client that names a retention policy which does not exist stops all.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_retention_policy_holds_up_no_other_policy_of_its_database() {
    let dir = tempfile::tempdir().unwrap();
    let (a, mut b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |_| {}).await;
    b.down().await;
    for n in 0..5 {
        let body = format!("m v={n} 1");
        assert_eq!(relay.write_to("db=d&rp=x", &body).await.status, 204);
        assert_eq!(relay.write_to("db=d", &body).await.status, 204);
    }
    b.mode(Mode::RefuseQuery(
        "rp=x",
        500,
        "retention policy not found: x",
    ));
    b.up().await;
    until("the default policy is whole", || {
        bodies(&b, "db=d") == numbered(0..5)
    })
    .await;
    b.mode(Mode::Store);
    relay.is_live(1).await;
    assert_eq!(bodies(&b, "db=d&rp=x"), numbered(0..5));
    relay.stop().await;
}

/// A client whose password is wrong at one backend holds up its own series there, no others.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_right_holds_up_the_series_concerned_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let (a, mut b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |_| {}).await;
    let [mine, other] = lines_apart();
    b.down().await;
    assert_eq!(relay.write_to("db=d&u=bad", mine).await.status, 204);
    assert_eq!(relay.write_to("db=d&u=good", other).await.status, 204);
    // Behind the first one in its series, so it has to wait with it.
    assert_eq!(relay.write_to("db=d&u=good", mine).await.status, 204);
    b.mode(Mode::RefuseQuery("u=bad", 401, "authorization failed"));
    b.up().await;
    until("two are held, and the other one is there", || {
        let held = &relay.relay.status()[1].held;
        held.len() == 1 && held[0].batches == 2 && b.stored_lines() == [other]
    })
    .await;
    b.mode(Mode::Store);
    relay.is_live(1).await;
    assert_eq!(b.stored_lines(), [other, mine, mine]);
    relay.stop().await;
}

/// Operators send CREATE DATABASE through the relay: it must not wait behind what waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_makes_the_database_overtakes_what_waits_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |_| {}).await;
    b.mode(MISSING);
    write_both(&relay, 0..1).await;
    let query = Call::post("/query?q=CREATE+DATABASE+lost", Vec::new(), false);
    assert_eq!(relay.send(query).await.status, 200);
    assert!(b.stored().iter().any(|write| write.path == "/query"));
    b.mode(Mode::Store);
    relay.is_live(1).await;
    relay.stop().await;
}

/// An agent with a password of yesterday is answered 204 while the stores are away; what it sent is then held, and
/// with it all later lines of the same series, whoever sent them.
#[tokio::test(flavor = "multi_thread")]
async fn what_one_user_may_not_write_is_buried_and_what_waits_behind_it_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (a, mut b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |_| {}).await;
    b.down().await;
    for (query, body) in [
        ("db=d&u=old&p=x", "m v=1 1"),
        ("db=d&u=good&p=x", "m v=2 1"),
        ("db=d", "m v=3 1"),
        ("db=e&u=old&p=x", "m v=4 1"),
    ] {
        assert_eq!(relay.write_to(query, body).await.status, 204);
    }
    b.mode(Mode::Refuse(401, "authorization failed"));
    b.up().await;
    until("all is held", || {
        let held = &relay.relay.status()[1].held;
        held.iter().map(|held| held.batches).sum::<u64>() == 4
    })
    .await;
    let vfs: Arc<dyn Vfs> = Arc::new(RealFs);
    let bury = |database, user| offline::bury(&vfs, dir.path(), "b", database, user, 7);
    assert!(bury(None, None).is_err(), "the relay has the queue");
    relay.stop().await;
    assert_eq!(bury(Some("other"), None).unwrap(), 0);
    assert_eq!(bury(Some("d"), Some("old")).unwrap(), 1);
    assert_eq!(bury(None, Some("")).unwrap(), 1);
    assert_eq!(bury(None, Some("")).unwrap(), 0, "it is there no more");
    let mut dead = Vec::new();
    let mut each = |letter: offline::Waiting| dead.push((letter.user.clone(), letter.text()));
    let dead_ones = [offline::Part::Dead];
    offline::visit(
        &RealFs,
        dir.path(),
        "b",
        &dead_ones,
        &mut Vec::new(),
        &mut each,
    )
    .unwrap();
    assert_eq!(
        dead,
        [
            (Some("old".into()), "m v=1 1".into()),
            (None, "m v=3 1".into())
        ]
    );
    b.mode(Mode::Store);
    let relay = Running::start(dir.path(), &[&a, &b], |_| {}).await;
    relay.is_live(1).await;
    let mut stored = b.stored_bodies();
    stored.sort();
    assert_eq!(stored, ["m v=2 1", "m v=4 1"]);
    relay.stop().await;
}

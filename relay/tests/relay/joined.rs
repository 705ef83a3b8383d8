//! Hints that go out together: few requests, the same order, and each hint judged by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::{Fake, Mode, Running, SOON, lines_apart, text, until};
use tandem_http::Call;
use tandem_relay::offline::{self, Part};
use tandem_vfs::RealFs;

fn numbered(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| format!("m,host=a v={n} 1")).collect()
}

/// Writes bodies while `b` is down, and brings it up in this mode.
async fn back_with(relay: &Running, b: &mut Fake, bodies: &[String], mode: Mode) {
    b.down().await;
    for body in bodies {
        assert_eq!(relay.write(body).await, 204, "{body}");
    }
    b.mode(mode);
    b.up().await;
}

fn dead(dir: &std::path::Path) -> Vec<String> {
    let (mut found, mut faults) = (Vec::new(), Vec::new());
    offline::visit(
        &RealFs,
        dir,
        "b",
        &[Part::Dead],
        &mut faults,
        &mut |letter| {
            found.push(String::from_utf8(letter.text().to_vec()).unwrap());
        },
    )
    .unwrap();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_of_small_batches_goes_out_in_few_requests_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (a, mut b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |_| {}).await;
    let all = numbered(0..300);
    back_with(&relay, &mut b, &all, Mode::Store).await;
    relay.is_live(1).await;
    assert_eq!(b.stored_lines(), all);
    let requests = b.arrived().len();
    assert!(requests < 30, "{requests} requests for 300 hints");
    assert_eq!(relay.relay.status()[1].written_batches, 300);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_bound_at_zero_each_goes_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (a, mut b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |config| {
        config.drain_request_bytes_max = 0;
    })
    .await;
    back_with(&relay, &mut b, &numbered(0..20), Mode::Store).await;
    relay.is_live(1).await;
    assert_eq!(b.stored_bodies(), numbered(0..20));
    relay.stop().await;
}

/// InfluxDB answers a partial write for the whole request, and some stores refuse it whole.
#[tokio::test(flavor = "multi_thread")]
async fn one_bad_batch_among_many_is_found_and_costs_itself_only() {
    for mode in [
        Mode::RefuseText("v=77 "),
        Mode::FailText(422, "v=77 "),
        Mode::PartialText("v=77 "),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (a, mut b) = (Fake::start().await, Fake::start().await);
        let relay = Running::start(dir.path(), &[&a, &b], |_| {}).await;
        let all = numbered(0..150);
        back_with(&relay, &mut b, &all, mode.clone()).await;
        relay.is_live(1).await;
        let mut good = all.clone();
        good.remove(77);
        let stored = b.stored_lines();
        for line in &good {
            assert!(stored.contains(line), "{mode:?}: {line}");
        }
        assert!(!stored.contains(&all[77]));
        assert_eq!(stored.last(), all.last(), "{mode:?}: the order stays");
        // What was stored more than once came in order each time.
        let last_of = |line: &String| stored.iter().rposition(|other| other == line);
        assert!(good.is_sorted_by_key(last_of), "{mode:?}: {stored:?}");
        let requests = b.arrived().len();
        assert!(requests < 60, "{mode:?}: {requests} requests");
        relay.stop().await;
        assert_eq!(dead(dir.path()), [all[77].clone()], "{mode:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_together_goes_in_smaller_parts() {
    let dir = tempfile::tempdir().unwrap();
    let (a, mut b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |_| {}).await;
    let all = numbered(0..200);
    back_with(&relay, &mut b, &all, Mode::TooLarge(300)).await;
    relay.is_live(1).await;
    assert_eq!(b.stored_lines(), all);
    let refused = b.arrived().len() - b.stored().len();
    assert!(refused < 20, "{refused}: it does not learn");
    relay.stop().await;
    assert!(dead(dir.path()).is_empty());
}

/// influxdb-srelay joins bodies without a newline. One alone would not do either: a body that breaks off
/// within a string, or ends in a backslash, swallows it.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_would_swallow_the_next_goes_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (a, mut b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |_| {}).await;
    let odd = ["m,host=a s=\"open", "m,host=a,t=x\\", "m,host=a v=1 1\r"];
    let mut all = Vec::new();
    for (n, odd) in odd.into_iter().enumerate() {
        all.push(format!("m,host=a v=1{n} 1\r\n"));
        all.push(odd.to_owned());
        all.push(format!("m,host=a v=2{n} 1"));
    }
    back_with(&relay, &mut b, &all, Mode::Store).await;
    relay.is_live(1).await;
    let bodies = b.stored_bodies();
    for odd in odd {
        assert!(bodies.iter().any(|body| body == odd), "{bodies:?}");
    }
    // Nothing else is before or behind the bytes of any.
    let end = |body: &String| match body.ends_with('\n') {
        true => body.clone(),
        false => body.clone() + "\n",
    };
    assert_eq!(
        bodies.iter().map(end).collect::<String>(),
        all.iter().map(end).collect::<String>()
    );
    relay.stop().await;
}

/// A 500 that comes of what a batch holds never ends; so it must not be in the way of what is well.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_backend_fails_at_holds_up_its_own_series_only() {
    let dir = tempfile::tempdir().unwrap();
    let (a, mut b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |_| {}).await;
    // Hosts a and b, that is.
    lines_apart();
    let mut all = vec!["m,host=a v=0 1".to_owned()];
    for n in 1..30 {
        all.push(format!("m,host=a v={n} 1"));
        all.push(format!("m,host=b v={n} 1"));
    }
    back_with(&relay, &mut b, &all, Mode::FailText(500, "m,host=a v=0 ")).await;
    let of = |host: &str| {
        let lines = b.stored_lines().into_iter();
        lines.filter(|line| line.contains(host)).collect::<Vec<_>>()
    };
    let want = |host: &str| {
        let lines = all.iter().filter(|line| line.contains(host));
        lines.cloned().collect::<Vec<_>>()
    };
    until("the other series are whole", || {
        of("host=b") == want("host=b")
    })
    .await;
    assert!(of("host=a").is_empty(), "it must not be overtaken");
    b.mode(Mode::Store);
    relay.is_live(1).await;
    assert_eq!(of("host=a"), want("host=a"));
    relay.stop().await;
    assert!(dead(dir.path()).is_empty());
}

/// Each write takes the backend longer than a client takes to come again, so there is always one more behind
/// what is drained.
#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_ends_while_writes_to_the_same_series_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let (a, mut b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |_| {}).await;
    let backlog = numbered(0..200);
    back_with(
        &relay,
        &mut b,
        &backlog,
        Mode::Slow(Duration::from_millis(5)),
    )
    .await;
    let relay = Arc::new(relay);
    let done = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (relay, done) = (relay.clone(), done.clone());
            tokio::spawn(async move {
                let mut n = 0;
                while !done.load(Ordering::Relaxed) {
                    let body = format!("m,host=a w{writer}={n} 1");
                    assert_eq!(relay.write(&body).await, 204);
                    n += 1;
                }
                n
            })
        })
        .collect();
    until("the backend is live, with writes going on", || {
        let status = &relay.relay.status()[1];
        status.queued_batches == 0 && status.condition == tandem_relay::Condition::Live
    })
    .await;
    done.store(true, Ordering::Relaxed);
    let mut written = 0;
    for writer in writers {
        written += writer.await.unwrap();
    }
    relay.is_live(1).await;
    assert_eq!(b.stored_lines().len(), backlog.len() + written);
    assert_eq!(a.stored_lines(), b.stored_lines(), "one order for both");
    Arc::into_inner(relay).unwrap().stop().await;
}

/// A client that is told to come again puts another statement behind the first, and never comes to the end of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_waits_in_every_queue_is_answered_when_it_has_run() {
    let dir = tempfile::tempdir().unwrap();
    let (mut a, mut b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |config| {
        config.write_timeout = SOON;
    })
    .await;
    a.down().await;
    b.down().await;
    for body in numbered(0..3) {
        assert_eq!(relay.write(&body).await, 204);
    }
    let drop = Call::post("/query?db=d&q=DROP+MEASUREMENT+x", Vec::new(), false);
    let (answer, ()) = tokio::join!(relay.send(drop), async {
        until("it waits in both queues", || {
            let status = relay.relay.status();
            status.iter().all(|backend| backend.queued_batches == 4)
        })
        .await;
        b.up().await;
    });
    assert_eq!(answer.status, 200, "{}", text(&answer));
    assert!(text(&answer).contains("results"));
    let paths: Vec<_> = b.stored().into_iter().map(|write| write.path).collect();
    assert_eq!(paths.last().map(String::as_str), Some("/query"));
    a.up().await;
    relay.is_live(0).await;
    assert_eq!(a.stored().last().unwrap().path, "/query");
    relay.stop().await;
}

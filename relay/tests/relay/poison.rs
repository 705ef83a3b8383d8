//! Batches that a backend refuses whole: what is good in them gets there, the rest is kept with the
//! reason, and nothing waits for it.

use std::sync::Arc;

use crate::support::{Fake, Mode, Running, until};
use bytes::Bytes;
use tandem_http::{Call, HeaderValue, header};
use tandem_relay::offline::{self, Part, Waiting};
use tandem_vfs::{RealFs, Vfs};

fn dead(dir: &std::path::Path, name: &str) -> Vec<Waiting> {
    let mut found = Vec::new();
    let mut faults = Vec::new();
    offline::visit(
        &RealFs,
        dir,
        name,
        &[Part::Dead],
        &mut faults,
        &mut |waiting| {
            found.push(waiting);
        },
    )
    .unwrap();
    assert_eq!(faults, [""; 0]);
    found
}

fn lines(range: std::ops::Range<usize>) -> String {
    range.map(|n| format!("m,host=h{n} v={n} 1\n")).collect()
}

/// A store that refuses a whole body for one line would make one client cost another its data.
#[tokio::test(flavor = "multi_thread")]
async fn one_bad_line_costs_itself_only() {
    let dir = tempfile::tempdir().unwrap();
    let (a, mut b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |_| {}).await;
    b.down().await;
    let body = lines(0..100) + "bad line\n" + &lines(100..200);
    assert_eq!(relay.write(&body).await, 204);
    b.mode(Mode::RefuseText("bad line"));
    b.up().await;
    relay.is_live(1).await;
    let mut stored: Vec<String> = b.stored_bodies();
    stored.sort();
    let mut stored: Vec<&str> = stored.iter().flat_map(|body| body.lines()).collect();
    stored.sort_unstable();
    let all = lines(0..200);
    let mut want: Vec<&str> = all.lines().collect();
    want.sort_unstable();
    assert_eq!(stored, want);
    let letters = dead(dir.path(), "b");
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].text(), "bad line\n");
    assert!(
        letters[0]
            .reason
            .as_ref()
            .unwrap()
            .contains("unable to parse")
    );
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_for_one_backend_gets_there_in_parts() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |_| {}).await;
    b.mode(Mode::TooLarge(1000));
    let body = lines(0..400);
    assert_eq!(relay.write(&body).await, 204);
    relay.is_live(1).await;
    assert_eq!(a.stored_bodies(), std::slice::from_ref(&body));
    assert_eq!(b.stored_bodies().concat(), body);
    assert!(b.stored().len() > 5);
    relay.stop().await;
    assert!(dead(dir.path(), "b").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_backend_refuses_for_good_and_the_other_stored_is_kept_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |_| {}).await;
    b.mode(Mode::Refuse(422, "points beyond retention"));
    assert_eq!(relay.write("m v=1 1").await, 422);
    b.mode(Mode::Partial);
    assert_eq!(relay.write("m v=2 1").await, 400);
    until("both are dead letters", || {
        relay.relay.status()[1].dead_batches == 2
    })
    .await;
    // Both agree: there is nothing to be mended.
    a.mode(Mode::Refuse(422, "points beyond retention"));
    b.mode(Mode::Refuse(422, "points beyond retention"));
    assert_eq!(relay.write("m v=3 1").await, 422);
    relay.stop().await;
    let letters = dead(dir.path(), "b");
    let texts: Vec<_> = letters.iter().map(Waiting::text).collect();
    assert_eq!(texts, ["m v=1 1", "m v=2 1"]);
    assert!(letters[0].reason.as_ref().unwrap().starts_with("422"));
    assert!(
        letters[1]
            .reason
            .as_ref()
            .unwrap()
            .starts_with("in part refused")
    );
    assert!(dead(dir.path(), "a").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_come_back_into_the_queue_when_an_operator_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |_| {}).await;
    b.mode(Mode::Refuse(422, "no"));
    for database in ["db=x", "db=y"] {
        assert_eq!(relay.write_to(database, "m v=1 1").await.status, 422);
    }
    let vfs: Arc<dyn Vfs> = Arc::new(RealFs);
    let busy = offline::requeue(&vfs, dir.path(), "b", None);
    assert!(busy.is_err(), "the relay has the queue");
    relay.stop().await;
    assert_eq!(
        offline::requeue(&vfs, dir.path(), "b", Some("x")).unwrap(),
        1
    );
    let left = dead(dir.path(), "b");
    assert_eq!(
        left.iter().map(|l| l.database.as_str()).collect::<Vec<_>>(),
        ["y"]
    );
    let summary = offline::summary(&RealFs, dir.path(), "b").unwrap();
    assert_eq!(summary.parts.map(|(batches, _)| batches), [1, 0, 1]);
    assert_eq!(summary.faults, [""; 0]);
    b.mode(Mode::Store);
    let relay = Running::start(dir.path(), &[&a, &b], |_| {}).await;
    relay.is_live(1).await;
    assert_eq!(b.stored()[0].query, "db=x");
    relay.stop().await;
}

/// Telegraf and influx-proxy drop what is refused with 401 or 413; vmagent retries it for ever in
/// front of all others.
#[tokio::test(flavor = "multi_thread")]
async fn a_gzip_body_is_split_too() {
    use std::io::Write as _;
    let dir = tempfile::tempdir().unwrap();
    let (a, mut b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |_| {}).await;
    b.down().await;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    encoder.write_all(lines(0..50).as_bytes()).unwrap();
    let body = Bytes::from(encoder.finish().unwrap());
    let mut call = Call::post("/write?db=d", vec![body], true);
    let gzip = HeaderValue::from_static("gzip");
    call.headers.insert(header::CONTENT_ENCODING, gzip);
    assert_eq!(relay.send(call).await.status, 204);
    b.mode(Mode::TooLarge(600));
    b.up().await;
    relay.is_live(1).await;
    assert_eq!(b.stored_bodies().concat(), lines(0..50));
    relay.stop().await;
}

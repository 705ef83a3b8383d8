//! What 204 means, as a request asks for it and as the operator chose it.

use std::time::{Duration, Instant};

use tandem_http::Call;
use tokio::io::AsyncWriteExt;

use crate::support::{Fake, Mode, Running, SOON, text, until};
use tandem_relay::Overflow;

async fn ask(relay: &Running, level: &str, n: usize) -> u16 {
    let query = format!("db=d&consistency={level}");
    let answer = relay.write_to(&query, &format!("m v={n} 1")).await;
    answer.status.as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_level_of_consistency_says_how_many_must_have_confirmed() {
    let dir = tempfile::tempdir().unwrap();
    let (a, mut b, c) = (
        Fake::start().await,
        Fake::start().await,
        Fake::start().await,
    );
    let relay = Running::start(dir.path(), &[&a, &b, &c], |config| {
        config.write_timeout = Duration::from_millis(100);
        config.consistency_of_clients = true;
    })
    .await;
    for level in ["any", "one", "quorum", "all", "ALL", ""] {
        assert_eq!(ask(&relay, level, 0).await, 204, "{level}");
    }
    assert_eq!(ask(&relay, "most", 0).await, 400);
    let before = b.stored().len();
    b.down().await;
    for (n, (level, status)) in [
        ("any", 204),
        ("one", 204),
        ("quorum", 204),
        ("all", 503),
        ("", 204),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(ask(&relay, level, n).await, status, "{level}");
    }
    c.mode(Mode::Refuse(503, "busy"));
    assert_eq!(ask(&relay, "quorum", 5).await, 503);
    assert_eq!(ask(&relay, "one", 6).await, 204);
    // Whatever the clients were told, all end equal.
    c.mode(Mode::Store);
    b.up().await;
    relay.is_live(1).await;
    relay.is_live(2).await;
    assert_eq!(a.stored_lines(), c.stored_lines());
    assert_eq!(b.stored_lines()[before..], a.stored_lines()[before..]);
    relay.stop().await;
}

/// InfluxDB's shell asks for `all` without being told to, and InfluxDB does nothing with it.
#[tokio::test(flavor = "multi_thread")]
async fn the_consistency_of_an_influxdb_client_is_taken_and_ours_counts() {
    let dir = tempfile::tempdir().unwrap();
    let (a, mut b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |_| {}).await;
    b.down().await;
    assert_eq!(ask(&relay, "all", 1).await, 204);
    assert_eq!(ask(&relay, "most", 1).await, 400);
    let own = |level: &'static str| {
        let mut call = Call::post("/write?db=d&consistency=any", vec!["m v=2 1".into()], true);
        let value = tandem_http::HeaderValue::from_static(level);
        call.headers.insert("tandem-consistency", value);
        relay.send(call)
    };
    assert_eq!(own("all").await.status, 503);
    assert_eq!(own("quorum").await.status, 503);
    assert_eq!(own("one").await.status, 204);
    assert_eq!(own("most").await.status, 400);
    b.up().await;
    relay.is_live(1).await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_too_much_is_told_when_to_come_again() {
    let dir = tempfile::tempdir().unwrap();
    let a = Fake::start().await;
    let relay = Running::start(dir.path(), &[&a], |config| {
        config.database_bytes_per_s = Some(10);
    })
    .await;
    let long = format!("m v=1 1{}", " ".repeat(100));
    assert_eq!(relay.write(&long).await, 204);
    let refused = relay.write_to("db=d", "m v=2 1").await;
    assert_eq!(refused.status, 429);
    let wait = refused.headers["retry-after"].to_str().unwrap();
    assert!((5..12).contains(&wait.parse::<u64>().unwrap()), "{wait}");
    assert_eq!(relay.write_to("db=other", "m v=2 1").await.status, 204);
    assert_eq!(a.stored().len(), 2);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn small_writes_go_together_and_each_client_gets_its_own_answer() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |config| {
        config.join_delay = Duration::from_millis(100);
    })
    .await;
    let (one, other) = tokio::join!(relay.write("m v=1 1"), relay.write("n v=1 1"));
    assert_eq!((one, other), (204, 204));
    assert_eq!(a.stored_bodies().len(), 1, "one request for both");
    let mut lines: Vec<_> = a.stored_bodies()[0].lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, ["m v=1 1", "n v=1 1"]);
    assert_eq!(a.stored_lines(), b.stored_lines());
    // One of them is bad: it alone is refused.
    for fake in [&a, &b] {
        fake.mode(Mode::RefuseText("bad"));
    }
    let (good, bad) = tokio::join!(relay.write("m v=2 1"), relay.write("bad v=1 1"));
    assert_eq!((good, bad), (204, 400));
    assert_eq!(a.stored_bodies()[1..], ["m v=2 1"]);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_wants_to_know_waits_for_a_slow_backend() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |config| {
        config.hedge_delay = Duration::from_millis(10);
        config.write_timeout = SOON;
        config.consistency_of_clients = true;
    })
    .await;
    b.mode(Mode::Hang);
    let (status, ()) = tokio::join!(ask(&relay, "all", 1), async {
        until("it is hinted", || {
            relay.relay.status()[1].spilled_batches == 1
        })
        .await;
        b.mode(Mode::Store);
    });
    assert_eq!(status, 204);
    relay.is_live(1).await;
    assert_eq!(b.stored().len(), 1);
    relay.stop().await;
}

/// A relay that stops its writes when the client goes away leaves the batch at one backend only.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_disconnects_does_not_cancel_the_writes() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |_| {}).await;
    a.mode(Mode::Hang);
    b.mode(Mode::Hang);
    let mut client = tokio::net::TcpStream::connect(relay.relay.local_addr())
        .await
        .unwrap();
    let request = b"POST /write?db=d HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\nm v=1 1";
    client.write_all(request).await.unwrap();
    a.gets(1).await;
    b.gets(1).await;
    drop(client);
    // Time enough to notice.
    tokio::time::sleep(Duration::from_millis(50)).await;
    a.mode(Mode::Store);
    b.mode(Mode::Store);
    a.stores(1).await;
    b.stores(1).await;
    relay.stop().await;
}

fn large(n: usize) -> String {
    format!("m,host=a v={n},s=\"{}\" {n}", "x".repeat(1000))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_that_drops_the_newest_counts_them_by_database_and_time() {
    let dir = tempfile::tempdir().unwrap();
    let (a, mut b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |config| {
        config.queue_bytes_max = 64 << 10;
        config.backends[1].overflow = Overflow::DropNewest;
    })
    .await;
    b.down().await;
    for n in 0..100 {
        assert_eq!(relay.write(&large(n)).await, 204);
    }
    let dropped = relay.relay.status()[1].dropped_lines;
    assert!((10..90).contains(&dropped), "{dropped}");
    let gaps = text(&relay.send(Call::get("/gaps")).await);
    let gaps: serde_json::Value = serde_json::from_str(&gaps).unwrap();
    assert_eq!(gaps[0]["gaps"], serde_json::json!([]));
    let gap = &gaps[1]["gaps"][0];
    assert_eq!(
        (&gap["database"], &gap["last_ns"]),
        (&"d".into(), &99.into())
    );
    assert_eq!(gap["points"], dropped);
    assert_eq!(gap["first_ns"], 100 - dropped);
    b.up().await;
    relay.is_live(1).await;
    assert_eq!(b.stored_lines(), a.stored_lines()[..100 - dropped as usize]);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_that_drops_the_oldest_keeps_what_is_new_and_counts_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let (a, mut b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |config| {
        config.queue_bytes_max = 64 << 10;
        config.backends[1].overflow = Overflow::DropOldest;
    })
    .await;
    b.down().await;
    for n in 0..150 {
        assert_eq!(relay.write(&large(n)).await, 204);
    }
    b.up().await;
    relay.is_live(1).await;
    let dropped = relay.relay.status()[1].dropped_lines as usize;
    assert!(dropped > 50, "{dropped}");
    assert_eq!(b.stored_lines(), a.stored_lines()[dropped..]);
    let status = &relay.relay.status()[1];
    assert_eq!(status.gap_points as usize, dropped);
    relay.stop().await;
    // The list outlives the relay.
    let summary = tandem_relay::offline::summary(&tandem_vfs::RealFs, dir.path(), "b").unwrap();
    assert_eq!(summary.gaps[0].points as usize, dropped);
    assert_eq!(
        (summary.gaps[0].first_ns, summary.gaps[0].last_ns),
        (0, dropped as i64 - 1)
    );
}

/// While one is away, the others answer as fast as ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_answers_nothing_costs_a_client_no_more_than_the_hedge() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |config| {
        config.hedge_delay = Duration::from_millis(20);
        config.write_timeout = SOON;
    })
    .await;
    b.mode(Mode::Hang);
    assert_eq!(relay.write("m v=0 1").await, 204);
    let begun = Instant::now();
    for n in 1..50 {
        assert_eq!(relay.write(&format!("m v={n} 1")).await, 204);
    }
    assert!(begun.elapsed() < SOON / 4, "{:?}", begun.elapsed());
    b.mode(Mode::Store);
    relay.is_live(1).await;
    assert_eq!(a.stored_lines(), b.stored_lines());
    relay.stop().await;
}

//! When the disk fails: what was acknowledged is safe, what is not is told, and nothing sticks.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::support::{Fake, Mode, Running, text};
use tandem_http::Call;
use tandem_relay::Config;
use tandem_testkit::{Op, Rng, SimFs};
use tandem_vfs::SystemClock;

const DIR: &str = "/relay";
/// The log of the second backend. Its drainer reads it and stores its position meanwhile, so that none of the calls on
/// it can be told by its number.
const LOG: &str = "/relay/b/hints";

async fn start(fs: &SimFs, fakes: &[&Fake], adjust: impl FnOnce(&mut Config)) -> Running {
    let (vfs, clock) = (Arc::new(fs.clone()), Arc::new(SystemClock));
    Running::start_in(vfs, clock, Path::new(DIR), fakes, |config| {
        config.write_timeout = Duration::from_millis(100);
        adjust(config);
    })
    .await
}

fn body(n: usize) -> String {
    format!("m,host=a v={n},s=\"{}\" 1", "x".repeat(500))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_503_for_what_needs_it_and_nothing_for_what_does_not() {
    let fs = SimFs::new(1);
    let (a, mut b) = (Fake::start().await, Fake::start().await);
    let relay = start(&fs, &[&a, &b], |_| {}).await;
    fs.set_capacity(Some(fs.used_bytes() + 3000));
    b.down().await;
    let mut acknowledged = Vec::new();
    while relay.write(&body(acknowledged.len())).await == 204 {
        acknowledged.push(body(acknowledged.len()));
        assert!(acknowledged.len() < 100, "the disk never fills");
    }
    assert!(!acknowledged.is_empty());
    assert_eq!(relay.write(&body(0)).await, 503);
    b.up().await;
    relay.is_live(1).await;
    assert_eq!(b.stored_lines(), acknowledged);
    // The disk is still full, and nothing needs it.
    assert_eq!(relay.write("m,host=a v=1 1").await, 204);
    assert_eq!(b.stored_lines().len(), acknowledged.len() + 1);
    relay.stop().await;
}

/// The client was told what the backend said that had run it, and never sent it again: the other kept the points.
#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_one_backend_ran_and_the_other_has_nowhere_is_to_come_again() {
    let fs = SimFs::new(4);
    let (a, mut b) = (Fake::start().await, Fake::start().await);
    let relay = start(&fs, &[&a, &b], |_| {}).await;
    let drop = async || {
        let drop = Call::post("/query?db=d&q=DROP+MEASUREMENT+m", Vec::new(), false);
        relay.send(drop).await
    };
    fs.set_capacity(Some(fs.used_bytes()));
    // It may neither be asked for now, nor is there room to wait for it.
    b.mode(Mode::Refuse(401, "authorization failed"));
    let answer = drop().await;
    assert_eq!(answer.status, 503, "{}", text(&answer));
    assert!(text(&answer).contains("send it again"), "{}", text(&answer));
    b.mode(Mode::Store);
    b.down().await;
    assert_eq!(drop().await.status, 503);
    assert_eq!(a.stored().len(), 2, "it has run there");
    fs.set_capacity(None);
    let answer = drop().await;
    assert_eq!(answer.status, 200, "{}", text(&answer));
    b.up().await;
    relay.is_live(1).await;
    assert_eq!(b.stored().len(), 1);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_slow_backend_and_a_full_disk_the_client_waits_for_the_backend() {
    let fs = SimFs::new(2);
    let (a, b) = (Fake::start().await, Fake::start().await);
    let relay = start(&fs, &[&a, &b], |config| {
        config.hedge_delay = Duration::from_millis(10);
        config.write_timeout = crate::support::SOON;
    })
    .await;
    fs.set_capacity(Some(fs.used_bytes()));
    b.mode(Mode::Hang);
    let first = body(1);
    let (status, ()) = tokio::join!(relay.write(&first), async {
        b.gets(1).await;
        crate::support::until("the log was tried", || {
            relay.relay.status()[1].refused_batches == 1
        })
        .await;
        b.mode(Mode::Store);
    });
    assert_eq!(status, 204);
    // Its lanes are free again.
    assert_eq!(relay.write(&body(2)).await, 204);
    assert_eq!(b.stored_lines(), [body(1), body(2)]);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_stops_acknowledging_through_the_log_and_a_restart_mends_it() {
    let fs = SimFs::new(3);
    let (a, mut b) = (Fake::start().await, Fake::start().await);
    let relay = start(&fs, &[&a, &b], |_| {}).await;
    b.down().await;
    assert_eq!(relay.write(&body(1)).await, 204);
    fs.fail_at(Op::Sync, Path::new(LOG), ErrorKind::Other);
    assert_eq!(relay.write(&body(2)).await, 503);
    assert!(!fs.fault_is_pending());
    assert_eq!(
        relay.write(&body(3)).await,
        503,
        "the log is stopped for good"
    );
    relay.kill();
    let relay = start(&fs.crash(7), &[&a, &b], |_| {}).await;
    assert_eq!(relay.write(&body(4)).await, 204);
    b.up().await;
    relay.is_live(1).await;
    let stored = b.stored_lines();
    assert_eq!(stored.first(), Some(&body(1)));
    assert_eq!(stored.last(), Some(&body(4)));
    relay.stop().await;
}

/// Its client was told 503 and sent it again, which went live; the record in the log came to light at the next start and
/// was delivered behind what had come after it.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_whose_sync_failed_does_not_come_back_behind_later_ones() {
    for op in [Op::Write, Op::Sync] {
        let fs = SimFs::new(1);
        let (a, mut b) = (Fake::start().await, Fake::start().await);
        let relay = start(&fs, &[&a, &b], |_| {}).await;
        b.down().await;
        assert_eq!(relay.write(&body(1)).await, 204);
        fs.fail_at(op, Path::new(LOG), ErrorKind::Other);
        assert_eq!(relay.write(&body(2)).await, 503);
        assert!(!fs.fault_is_pending());
        b.up().await;
        relay.is_live(1).await;
        assert_eq!(relay.write(&body(2)).await, 204);
        assert_eq!(relay.write(&body(3)).await, 204);
        relay.kill();
        // The kernel has all that was written, synced or not.
        let relay = start(&fs, &[&a, &b], |_| {}).await;
        relay.is_live(1).await;
        assert_eq!(relay.write(&body(4)).await, 204);
        relay.is_live(1).await;
        let stored = b.stored_lines();
        let at = stored.iter().position(|line| *line == body(3)).unwrap();
        assert_eq!(stored[at..], [body(3), body(4)], "{op:?}");
        relay.kill();
    }
}

/// A sync that fails once: what was delivered cannot be told from what was not, until the position lies in
/// another file.
#[tokio::test(flavor = "multi_thread")]
async fn a_position_that_cannot_be_stored_once_keeps_no_backend_from_being_live() {
    for call in 0..12 {
        let fs = SimFs::new(call);
        let (a, mut b) = (Fake::start().await, Fake::start().await);
        let relay = start(&fs, &[&a, &b], |_| {}).await;
        b.down().await;
        for n in 0..3 {
            assert_eq!(relay.write(&body(n)).await, 204);
        }
        fs.fail_after(call, ErrorKind::Other);
        b.up().await;
        relay.is_live(1).await;
        fs.calm();
        assert_eq!(relay.write(&body(3)).await, 204);
        assert_eq!(b.stored_lines().last(), Some(&body(3)), "call {call}");
        relay.kill();
        // What it said was passed stays passed.
        let relay = start(&fs.crash(call), &[&a, &b], |_| {}).await;
        assert_eq!(relay.relay.status()[1].queued_batches, 0, "call {call}");
        relay.kill();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_at_any_call_loses_nothing_that_was_acknowledged() {
    for seed in 0..40 {
        let mut rng = Rng::new(seed);
        let mut fs = SimFs::new(seed);
        let (a, mut b) = (Fake::start().await, Fake::start().await);
        let mut acknowledged = Vec::new();
        let mut sent = 0;
        for _ in 0..3 {
            b.down().await;
            let relay = start(&fs, &[&a, &b], |_| {}).await;
            fs.power_off_after(rng.within(1..40));
            let up_after = rng.below(12);
            for n in 0..10 {
                if n == up_after {
                    b.up().await;
                }
                sent += 1;
                if relay.write(&body(sent)).await == 204 {
                    acknowledged.push(body(sent));
                }
            }
            relay.kill();
            if up_after >= 10 {
                b.up().await;
            }
            fs = fs.crash(rng.next_u64());
        }
        let relay = start(&fs, &[&a, &b], |_| {}).await;
        relay.is_live(1).await;
        let stored = b.stored_lines();
        for body in &acknowledged {
            assert!(stored.contains(body), "seed {seed}: lost {body}");
        }
        relay.stop().await;
    }
}

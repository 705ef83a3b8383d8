//! A relay in simulated time: network, stores, disk and clock are made up, and a seed decides everything that
//! happens to them. Thousands of lives in minutes, each of which can be run again.
//!
//! Writers send numbered points and repeat what was not acknowledged. Meanwhile stores refuse, hang, answer
//! late, apply late what nobody waits for any more, and lose their connections; the disk fills up and fails;
//! the wall clock jumps; the relay is stopped, killed, and loses its power. Then all is mended, the queues
//! drain, and both stores must hold every acknowledged point and the same last value of every series.
//!
//! `TANDEM_TEST_SIM_SEEDS` says how many lives (`cargo xtask relay-sim --seeds N`), `TANDEM_TEST_SEED` the
//! first seed; `TANDEM_TEST_TRACE=1` prints what the stores do and what the relay says.

/// Prints what happens, where `TANDEM_TEST_TRACE` is set: for one seed that failed.
macro_rules! trace {
    ($($said:tt)*) => {
        if std::env::var_os("TANDEM_TEST_TRACE").is_some() {
            println!($($said)*);
        }
    };
}
pub(crate) use trace;

mod life;
mod net;
mod store;
mod writer;

use std::collections::BTreeSet;

use life::Life;
use store::Stores;
use writer::{WRITERS, Writer};

/// Lives, where nobody says how many: what fits into some twenty seconds.
const SEEDS: u64 = 1_000;

fn number_of(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable}: a number")),
    )
}

/// One world from its beginning to its end; how many points were acknowledged, and how often the relay began.
fn world(seed: u64) -> (u64, u64) {
    let mut life = Life::new(seed);
    let writers: Vec<Writer> = life.run();
    check(seed, &life.stores, &writers);
    let acknowledged = writers.iter().map(|writer| writer.acknowledged).sum();
    (acknowledged, life.starts)
}

/// Every acknowledged point at both stores, and both the same.
fn check(seed: u64, stores: &Stores, writers: &[Writer]) {
    let held = [0, 1].map(|store| stores.points(store));
    for (index, writer) in writers.iter().enumerate() {
        for (store, points) in held.iter().enumerate() {
            let at = |series: String, time: u64| points.get(&(series, time)).copied();
            for number in writer.kept_from..writer.next {
                let found = at(format!("n,host=w{index}"), number);
                assert_eq!(
                    found,
                    Some(number),
                    "seed {seed}: store {store} lacks {number} of writer {index}"
                );
            }
            for number in 0..writer.kept_from {
                let found = at(format!("n,host=w{index}"), number);
                assert_eq!(
                    found, None,
                    "seed {seed}: store {store} still has {number} of writer {index}"
                );
            }
            let last = at(format!("m,host=w{index}"), 1);
            assert_eq!(
                last,
                Some(writer.next - 1),
                "seed {seed}: store {store}, writer {index}: order was not kept"
            );
        }
        // Of points without a time each acknowledged number is at both with one time; what was sent once is nowhere
        // else.
        let untimed = held.each_ref().map(|points| -> BTreeSet<(u64, u64)> {
            let series = format!("u,host=w{index}");
            let own = points.iter().filter(|((name, _), _)| *name == series);
            own.map(|((_, time), number)| (*time, *number)).collect()
        });
        let both: BTreeSet<u64> = untimed[0]
            .intersection(&untimed[1])
            .map(|(_, number)| *number)
            .collect();
        for number in &writer.untimed {
            assert!(
                both.contains(number),
                "seed {seed}: untimed {number} of writer {index} is not at both"
            );
        }
        for (time, number) in untimed[0].symmetric_difference(&untimed[1]) {
            assert!(
                writer.repeated.contains(number),
                "seed {seed}: untimed {number} of writer {index} at {time} is at one store and was sent once"
            );
        }
    }
}

#[test]
fn whatever_happens_nothing_acknowledged_is_lost_and_both_stores_are_equal() {
    let seeds = number_of("TANDEM_TEST_SIM_SEEDS").unwrap_or(SEEDS);
    let first = number_of("TANDEM_TEST_SEED").unwrap_or(1);
    if std::env::var_os("TANDEM_TEST_TRACE").is_some() {
        tracing_subscriber::fmt().without_time().init();
    }
    let (mut acknowledged, mut starts) = (0, 0);
    for seed in first..first + seeds {
        let (points, lives) = world(seed);
        acknowledged += points;
        starts += lives;
    }
    println!(
        "{seeds} seeds from {first}: {acknowledged} points acknowledged, the relay began {starts} times, 0 lost, 0 different"
    );
    // One life may well be without an end before its time.
    assert!(
        acknowledged > seeds * WRITERS as u64 && (starts > seeds || seeds < 10),
        "too little happened"
    );
}

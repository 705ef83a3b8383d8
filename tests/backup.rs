//! Backups of a store process that is written to: restored elsewhere, they answer with everything that was acknowledged
//! before; and what goes wrong is told in a way that helps.

mod common;

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use common::http;
use common::tool::{bad, good, store};
use serde_json::Value as Json;

const WRITERS: usize = 2;
const BATCH: u64 = 200;

/// How many points `writer` has in the store, all of which must be whole.
fn held(address: SocketAddr, writer: usize) -> u64 {
    let query = format!("SELECT count(v), max(v) FROM n WHERE w = '{writer}'");
    let rows = http::rows(address, "telegraf", &query).expect("an answer");
    let number = |at: usize| rows.first().and_then(|row| row[at].as_u64()).unwrap_or(0);
    let (count, max) = (number(1), number(2));
    assert!(count == 0 || max + 1 == count, "{count} points up to {max}");
    count
}

#[test]
fn a_backup_of_a_busy_store_answers_with_all_that_was_acknowledged() {
    let home = tempfile::tempdir().unwrap();
    // Small bounds, so that flushes and compactions go on all the time.
    fs::write(
        home.path().join("small.toml"),
        "[store]\nmemtable-bytes-max = \"2MiB\"\nwal-bytes-max = \"1MiB\"\n",
    )
    .unwrap();
    let (busy, address) = store(home.path(), "busy", &["--config", "small.toml"]);
    let acknowledged: Arc<[AtomicU64; WRITERS]> = Arc::default();
    let stop = Arc::new(AtomicBool::new(false));
    let mut threads = Vec::new();
    for writer in 0..WRITERS {
        let (acknowledged, stop) = (Arc::clone(&acknowledged), Arc::clone(&stop));
        threads.push(thread::spawn(move || {
            let mut next = 0;
            while !stop.load(Ordering::Relaxed) {
                let lines: String = (next..next + BATCH)
                    .map(|n| {
                        let s = n % 53;
                        format!("n,w={writer},s={s} v={n}i,t=\"text {s}\" {n}000000000\n")
                    })
                    .collect();
                let (status, body) = http::write(address, "telegraf", &lines).unwrap();
                assert!(status == 204 || status == 503, "{status} {body}");
                if status == 204 {
                    next += BATCH;
                    acknowledged[writer].store(next, Ordering::SeqCst);
                }
            }
        }));
    }
    for round in 0..4 {
        // Enough between two backups that segments are cut and files merged.
        let target = (round + 1) * 10 * BATCH;
        common::await_true("more points", common::PATIENCE, || {
            acknowledged
                .iter()
                .all(|count| count.load(Ordering::SeqCst) >= target)
        });
        let before: Vec<u64> = acknowledged
            .iter()
            .map(|count| count.load(Ordering::SeqCst))
            .collect();
        let name = format!("backup{round}");
        let mut arguments = vec!["backup", "--data-dir", "busy", &name];
        if round > 0 {
            arguments.push("--incremental");
        }
        good(home.path(), &arguments);
        let checked = good(home.path(), &["verify", "--data-dir", &name]);
        assert!(checked.contains("all good"), "{checked}");
        let copy = format!("copy{round}");
        good(home.path(), &["restore", &name, "--data-dir", &copy]);
        let (restored, address) = store(home.path(), &copy, &[]);
        for (writer, before) in before.into_iter().enumerate() {
            let held = held(address, writer);
            assert!(held >= before, "{held} of {before} in round {round}");
        }
        drop(restored);
    }
    // Beside the process, too.
    let checked = good(home.path(), &["verify", "--data-dir", "busy"]);
    assert!(checked.contains("all good"), "{checked}");
    stop.store(true, Ordering::Relaxed);
    threads.into_iter().for_each(|t| t.join().unwrap());
    let counts: Vec<u64> = (0..WRITERS).map(|w| held(address, w)).collect();

    // At rest, the same answers.
    good(home.path(), &["backup", "--data-dir", "busy", "last"]);
    good(home.path(), &["restore", "last", "--data-dir", "quiet"]);
    let (_quiet, quiet) = store(home.path(), "quiet", &[]);
    for query in [
        "SELECT count(*), sum(v), first(t), last(t) FROM n GROUP BY s, w",
        "SELECT mean(v) FROM n GROUP BY time(1h)",
        "SHOW SERIES",
        "SHOW FIELD KEYS",
    ] {
        let [ours, theirs] = [address, quiet].map(|a| http::series(a, "telegraf", query));
        assert!(
            ours.as_ref().is_some_and(|s: &Vec<Json>| !s.is_empty()),
            "{query}"
        );
        assert!(ours == theirs, "the answers differ: {query}");
    }
    assert!(counts.iter().all(|count| *count > 0));
    drop(busy);
}

#[test]
fn a_part_comes_back_under_another_name() {
    let home = tempfile::tempdir().unwrap();
    let (running, address) = store(home.path(), "data", &[]);
    http::write(address, "telegraf", "m,a=b x=1,y=\"z\" 1\nm,a=c x=2 2").unwrap();
    good(
        home.path(),
        &[
            "backup",
            "--data-dir",
            "data",
            "b",
            "--database",
            "telegraf",
        ],
    );
    http::write(address, "telegraf", "m,a=b x=9 1").unwrap();
    let busy = [
        "restore",
        "b",
        "--data-dir",
        "data",
        "--database",
        "telegraf",
        "--as",
        "old",
    ];
    let text = bad(home.path(), &busy);
    assert!(text.contains("in use"), "{text}");
    drop(running);
    good(home.path(), &busy);
    let text = bad(home.path(), &busy);
    assert!(text.contains("--as"), "{text}");
    let (_running, address) = store(home.path(), "data", &[]);
    let x = |database: &str| {
        let rows = http::rows(address, database, "SELECT x FROM m WHERE a = 'b'").unwrap();
        rows[0][1].as_f64()
    };
    assert_eq!((x("telegraf"), x("old")), (Some(9.0), Some(1.0)));
    http::write(address, "old", "m,a=b x=5 1").unwrap();
    assert_eq!((x("telegraf"), x("old")), (Some(9.0), Some(5.0)));
}

/// Each of these is a mistake that someone makes; the text must name the way out.
#[test]
fn mistakes_are_told_with_the_way_out() {
    let home = tempfile::tempdir().unwrap();
    let (running, address) = store(home.path(), "up/primary", &[]);
    http::write(address, "telegraf", "m x=1 1").unwrap();
    good(home.path(), &["backup", "--data-dir", "up/primary", "b"]);
    fs::create_dir(home.path().join("empty")).unwrap();
    let cases: [(&[&str], &str); 16] = [
        (&["backup", "--data-dir", "none", "x"], "--data-dir"),
        (&["backup", "--data-dir", "up", "x"], "up/primary"),
        (&["backup", "--data-dir", "empty", "x"], "holds no store"),
        (
            &["backup", "--data-dir", "up/primary", "b"],
            "is there already",
        ),
        (
            &["backup", "--data-dir", "up/primary", "up/primary/data/x"],
            "another place",
        ),
        (
            &[
                "backup",
                "--data-dir",
                "up/primary",
                "empty/x",
                "--incremental",
            ],
            "full one first",
        ),
        (
            &["backup", "--data-dir", "up/primary", "x", "--database", "y"],
            "there are: telegraf",
        ),
        (
            &["backup", "--data-dir", "up/primary", "x", "--base", "empty"],
            "is no backup",
        ),
        (&["restore", "none", "--data-dir", "x"], "tandem backup"),
        (&["restore", "empty", "--data-dir", "x"], "is no backup"),
        (&["restore", "b", "--data-dir", "up/primary"], "in use"),
        (&["compact", "--data-dir", "up/primary"], "in use"),
        (&["compact", "--data-dir", "empty"], "holds no store"),
        (&["verify", "--data-dir", "empty"], "holds no store"),
        (
            &["export", "--data-dir", "up/primary", "--database", "y"],
            "there are: telegraf",
        ),
        (&["import", "--data-dir", "up/primary", "none"], "in use"),
    ];
    for (arguments, expected) in cases {
        let text = bad(home.path(), arguments);
        assert!(text.contains(expected), "{arguments:?}: {text}");
        assert!(!home.path().join("x").exists(), "{arguments:?}");
    }
    drop(running);
    let text = bad(home.path(), &["restore", "b", "--data-dir", "up/primary"]);
    assert!(text.contains("not empty"), "{text}");
    // Nothing of all this did harm.
    let checked = good(home.path(), &["verify", "--data-dir", "up/primary"]);
    assert!(checked.contains("all good"), "{checked}");

    // Damage is found, refused, and told where it is.
    let wal = fs::read_dir(home.path().join("b/wal")).unwrap();
    let segment = wal
        .map(|e| e.unwrap().path())
        .find(|p| p.extension().is_some_and(|e| e == "seg"));
    let segment = segment.expect("a segment");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[60] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let text = bad(home.path(), &["restore", "b", "--data-dir", "x"]);
    assert!(text.contains("damaged") && text.contains(".seg"), "{text}");
    assert!(!home.path().join("x/manifest").exists());
    bad(home.path(), &["verify", "--data-dir", "b"]);
}

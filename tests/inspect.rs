//! `tandem inspect` agrees with `du`, in both ways of counting, and with itself.

mod common;

use std::path::Path;
use std::process::Command;

use common::http;
use common::tool::{good, store};
use serde_json::Value as Json;

fn du(dir: &Path, flags: &[&str]) -> u64 {
    let output = Command::new("du")
        .args(flags)
        .arg(dir)
        .output()
        .expect("du");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

fn inspect(home: &Path) -> Json {
    let text = good(home, &["inspect", "--json", "--data-dir", "data"]);
    serde_json::from_str(&text).unwrap()
}

#[track_caller]
fn assert_agrees(home: &Path) -> Json {
    let found = inspect(home);
    let dir = home.join("data");
    assert_eq!(found["total"]["apparent_bytes"], du(&dir, &["-s", "-b"]));
    assert_eq!(
        found["total"]["allocated_bytes"],
        du(&dir, &["-s", "--block-size=1"])
    );
    let kinds = found["kinds"].as_object().unwrap().values();
    let sum: u64 = kinds
        .map(|kind| kind["apparent_bytes"].as_u64().unwrap())
        .sum();
    assert_eq!(found["total"]["apparent_bytes"], sum);
    found
}

#[test]
fn the_bytes_are_those_of_du() {
    let home = tempfile::tempdir().unwrap();
    let (running, address) = store(home.path(), "data", &[]);
    for shard in 0..3_u64 {
        let lines: String = (0..2000_u64)
            .map(|n| {
                let time = shard * 8 * 86_400 + n * 10;
                format!(
                    "cpu,host=h{} load={}.5,n={n}i,s=\"v\" {time}000000000\n",
                    n % 7,
                    n % 90
                )
            })
            .collect();
        assert_eq!(http::write(address, "telegraf", &lines).unwrap().0, 204);
    }
    let found = assert_agrees(home.path());
    assert_eq!(found["wal"]["rows"], 6000);
    running.signal("TERM");
    drop(running);
    good(home.path(), &["compact", "--data-dir", "data"]);
    // A second name for every file must not count twice, nor for `du`.
    good(home.path(), &["backup", "--data-dir", "data", "data/kept"]);
    let found = assert_agrees(home.path());
    assert_eq!(found["wal"]["rows"], 0);
    let database = &found["databases"][0];
    let measurement = &database["measurements"][0];
    assert_eq!(
        (&measurement["rows"], &measurement["series"]),
        (&6000.into(), &7.into())
    );
    let columns = measurement["columns"].as_array().unwrap();
    let values: Vec<u64> = columns
        .iter()
        .map(|c| c["values"].as_u64().unwrap())
        .collect();
    assert_eq!(values, [6000, 6000, 6000]);
    let shards = database["policies"][0]["shards"].as_array().unwrap();
    let bytes: u64 = shards.iter().map(|s| s["bytes"].as_u64().unwrap()).sum();
    assert_eq!(found["kinds"]["block files"]["apparent_bytes"], bytes);
    let text = good(home.path(), &["inspect", "--data-dir", "data"]);
    for word in ["cpu", "load", "as du counts it", "bytes/value"] {
        assert!(text.contains(word), "{text}");
    }
}

//! Starts that cannot be, and stops: what is said, how it ends, and that nothing is lost.

mod common;

use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    time::Duration,
};

use common::{
    PATIENCE, http,
    loader::Loader,
    process::{Process, free_addresses},
};
use tempfile::TempDir;

/// A refused start ends at once; this leaves room for a busy machine.
const REFUSAL_MAX: Duration = Duration::from_secs(20);
/// Promised for a stop by signal.
const STOP_MAX: Duration = Duration::from_secs(10);

fn home() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

fn utf8(path: &Path) -> &str {
    path.to_str().expect("a path of UTF-8")
}

/// The arguments of each role that keeps data in `data`, with `http` for its first listener.
fn roles<'a>(http: &'a str, data: &'a str) -> [Vec<&'a str>; 3] {
    let up = vec![
        "up",
        "--data-dir",
        data,
        "--http",
        http,
        "--admin",
        "127.0.0.1:0",
        "--backup-http",
        "127.0.0.1:0",
        "--backup-admin",
        "127.0.0.1:0",
        "--relay-http",
        "127.0.0.1:0",
    ];
    let store = vec![
        "store",
        "--data-dir",
        data,
        "--http",
        http,
        "--admin",
        "off",
    ];
    // Nobody needs to listen there for the relay to start.
    let relay = vec![
        "relay",
        "--data-dir",
        data,
        "--http",
        http,
        "--backend",
        "primary=http://127.0.0.1:1",
    ];
    [up, store, relay]
}

/// Exit code 1, and one message for people that holds all `words`.
#[track_caller]
fn refused(arguments: &[&str], words: &[&str]) {
    let logs = home();
    let mut tandem = Process::start(arguments, logs.path(), "refused");
    let status = tandem.ended(REFUSAL_MAX);
    let said = tandem.err();
    assert_eq!(status.code(), Some(1), "{arguments:?}: {said}");
    let message = said.lines().rev().find(|line| line.starts_with("tandem: "));
    let message = message.unwrap_or_else(|| panic!("{arguments:?} said no reason: {said}"));
    for word in words {
        assert!(
            message.contains(word),
            "{arguments:?}: {word:?} is not in {message:?}"
        );
    }
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn a_busy_port_is_named() {
    let holder = TcpListener::bind("127.0.0.1:0").expect("a port");
    let busy = holder.local_addr().expect("its address").to_string();
    for role in 0..3 {
        let home = home();
        let data = home.path().join("data");
        refused(&roles(&busy, utf8(&data))[role], &[&busy, "in use"]);
        assert!(!data.exists() || role > 0, "data was touched");
    }
}

#[test]
fn a_data_directory_that_cannot_be_is_named() {
    let home = home();
    let file = home.path().join("file");
    fs::write(&file, "no directory").expect("a file");
    for data in [file.clone(), file.join("below")] {
        for arguments in roles("127.0.0.1:0", utf8(&data)) {
            refused(&arguments, &[utf8(&data)]);
        }
    }
    assert_eq!(fs::read(&file).expect("the file"), b"no directory");
}

/// All that lies below a directory: directories with nothing, files with their bytes.
fn everything(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(everything(&path));
            found.insert(path, Vec::new());
        } else {
            found.insert(path.clone(), fs::read(&path).expect("a file"));
        }
    }
    found
}

/// A start on a backup wrote into the files that its list vouches for, and the backup was one no more.
#[test]
fn a_backup_is_not_started_on_nor_changed() {
    let home = home();
    let (data, backup) = (home.path().join("data"), home.path().join("backup"));
    let [address] = free_addresses();
    let http = address.to_string();
    let mut store = Process::start(&roles(&http, utf8(&data))[1], home.path(), "store");
    store.await_ping(address);
    http::write(address, "telegraf", "m v=1 1\n").expect("an answer");
    store.signal("TERM");
    store.ended(STOP_MAX);
    let made = ["backup", "--data-dir", utf8(&data), utf8(&backup)];
    let mut tandem = Process::start(&made, home.path(), "backup");
    let status = tandem.ended(REFUSAL_MAX);
    assert_eq!(status.code(), Some(0), "{}", tandem.err());
    let lines = home.path().join("lines");
    fs::write(&lines, "# DML\n# CONTEXT-DATABASE: telegraf\nm v=2 2\n").expect("a file");
    let before = everything(&backup);
    let place = ["--data-dir", utf8(&backup)];
    let start = &roles("127.0.0.1:0", utf8(&backup))[1];
    let own = [utf8(&backup), "--database", "telegraf", "--as", "more"];
    for arguments in [
        &start[..],
        &["compact", place[0], place[1]],
        &["import", utf8(&lines), place[0], place[1]],
        &[
            "restore", own[0], own[1], own[2], own[3], own[4], place[0], place[1],
        ],
    ] {
        refused(arguments, &["is a backup", "tandem restore", utf8(&backup)]);
        assert!(everything(&backup) == before, "{arguments:?} changed it");
    }
}

/// The directories of its databases were removed when they held no file, and files of a store were made beside them.
#[test]
fn the_directory_of_an_influxdb_is_left_alone() {
    for (named, dirs) in [
        (
            "",
            ["meta", "data/telegraf/autogen/2", "wal/telegraf/autogen/2"],
        ),
        (
            "data",
            ["data", "data/_internal/_series", "data/telegraf/_series/00"],
        ),
    ] {
        let home = home();
        let influxdb = home.path().join("influxdb");
        for dir in dirs {
            fs::create_dir_all(influxdb.join(dir)).expect("a directory");
        }
        let before = everything(&influxdb);
        let data = influxdb.join(named);
        let start = &roles("127.0.0.1:0", utf8(&data))[1];
        refused(
            start,
            &["InfluxDB", "influx_inspect export", "tandem import"],
        );
        assert_eq!(everything(&influxdb), before);
    }
}

#[test]
fn a_second_instance_on_the_same_data_is_refused() {
    for role in 0..3 {
        let home = home();
        let data = home.path().join("data");
        let [address] = free_addresses();
        let mut first = Process::start(
            &roles(&address.to_string(), utf8(&data))[role],
            home.path(),
            "first",
        );
        first.await_ping(address);
        refused(&roles("127.0.0.1:0", utf8(&data))[role], &[utf8(&data)]);
        // The first does not mind.
        first.await_ping(address);
    }
}

#[test]
fn what_was_acknowledged_before_a_signal_is_there_after_it() {
    for (role, signal) in [(1, "TERM"), (1, "INT"), (0, "TERM"), (0, "INT")] {
        let home = home();
        let data = home.path().join("data");
        let [address] = free_addresses();
        let http = address.to_string();
        let start = || {
            let mut tandem = Process::start(&roles(&http, utf8(&data))[role], home.path(), "role");
            tandem.await_ping(address);
            tandem
        };
        let mut tandem = start();
        // The signal comes while points are written; what it breaks is written again afterwards.
        let loader = Loader::start(address);
        loader.await_more(200);
        tandem.signal(signal);
        let status = tandem.ended(STOP_MAX);
        assert_eq!(status.code(), Some(0), "{signal}: {}", tandem.err());
        let mut tandem = start();
        loader.await_more(200);
        let acknowledged = loader.finish();
        for writer in &acknowledged {
            writer.assert_held_by(address);
        }
        tandem.signal("TERM");
        assert_eq!(tandem.ended(STOP_MAX).code(), Some(0), "{}", tandem.err());
        let _again = start();
        for writer in &acknowledged {
            writer.assert_held_by(address);
        }
    }
}

#[test]
fn a_stop_does_not_wait_for_idle_clients() {
    let home = home();
    let data = home.path().join("data");
    let [address] = free_addresses();
    let mut store = Process::start(
        &roles(&address.to_string(), utf8(&data))[1],
        home.path(),
        "store",
    );
    store.await_ping(address);
    let (status, body) = http::write(address, "telegraf", "m v=1 1\n").expect("an answer");
    assert_eq!(status, 204, "{body}");
    // One that said nothing yet, and one that holds back the rest of its body.
    let _silent = std::net::TcpStream::connect_timeout(&address, PATIENCE).expect("a connection");
    let mut slow = std::net::TcpStream::connect_timeout(&address, PATIENCE).expect("a connection");
    std::io::Write::write_all(
        &mut slow,
        b"POST /write?db=telegraf HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nm v",
    )
    .expect("a beginning");
    store.signal("TERM");
    assert_eq!(store.ended(STOP_MAX).code(), Some(0), "{}", store.err());
}

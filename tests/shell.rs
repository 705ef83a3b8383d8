//! `tandem shell` and `tandem health` from outside: what they print, and that they print what `influx` prints.

mod common;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use common::http;
use common::influxd::INFLUX;
use common::tool::{bad, good, run, store};

const LINES: &str = concat!(
    "cpu,host=a,zone=z\\ 1 usage=1.5,n=3i,s=\"x,y \\\"q\\\"\",ok=true 1434055562000000000\n",
    "cpu,host=b usage=2,n=30000000i 1434055563000000000\n",
    "cpu,host=b usage=1e21,s=\" spaced\" 1434055564000000000\n",
    "mem,host=a free=0.000001 1434055563000000000\n",
);

const STATEMENTS: [&str; 14] = [
    "select * from cpu",
    "select usage from cpu group by host, zone",
    "select usage from cpu group by host; select free from mem; show databases",
    "select mean(usage) from cpu where time >= 1434055562s and time < 1434055570s group by time(2s) fill(none)",
    "show measurements",
    "show tag keys",
    "show field keys",
    "show tag values with key = host",
    "show retention policies on telegraf",
    "show series",
    "select * from nothing",
    "create database other",
    "select from",
    "select nope(usage) from cpu",
];

fn influx(home: &Path, arguments: &[&str]) -> Output {
    Command::new(INFLUX)
        .args(arguments)
        .env("HOME", home)
        .stdin(Stdio::null())
        .output()
        .expect("run influx")
}

#[test]
fn the_shell_prints_what_influx_prints() {
    if !Path::new(INFLUX).exists() {
        println!("SKIPPED: {INFLUX} is not installed");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let (_store, address) = store(home.path(), "data", &[]);
    assert_eq!(http::write(address, "telegraf", LINES).unwrap().0, 204);
    let port = address.port().to_string();
    let place = [
        "-host",
        "127.0.0.1",
        "-port",
        &port,
        "-database",
        "telegraf",
    ];
    for options in [
        &["-format", "column"][..],
        &["-format", "csv"],
        &["-format", "json"],
        &["-format", "json", "-pretty"],
        &["-precision", "rfc3339"],
        &["-precision", "ms", "-format", "csv"],
    ] {
        for statement in STATEMENTS {
            let mut arguments = place.to_vec();
            arguments.extend(options);
            arguments.extend(["-execute", statement]);
            let theirs = influx(home.path(), &arguments);
            arguments.insert(0, "shell");
            let ours = run(home.path(), &arguments);
            assert_eq!(
                String::from_utf8_lossy(&ours.stdout),
                String::from_utf8_lossy(&theirs.stdout),
                "{options:?} {statement}"
            );
            assert_eq!(ours.status.code(), theirs.status.code(), "{statement}");
        }
    }
}

#[test]
fn the_shell_writes_and_says_what_went_wrong() {
    let home = tempfile::tempdir().unwrap();
    let (store, address) = store(home.path(), "data", &[]);
    let port = address.port().to_string();
    let place = ["shell", "-host", "127.0.0.1", "-port", &port];
    let shell = |more: &[&str]| -> Vec<String> {
        let arguments = place.iter().chain(more);
        arguments.map(|&argument| argument.to_owned()).collect()
    };
    let of = |more: &[&str]| {
        let arguments = shell(more);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        run(home.path(), &arguments)
    };
    let text = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();

    let inserted = of(&[
        "-database",
        "telegraf",
        "-precision",
        "s",
        "-execute",
        "insert room celsius=21.5 7",
    ]);
    assert!(inserted.status.success(), "{}", text(&inserted));
    let found = of(&["-database", "telegraf", "-execute", "select * from room"]);
    assert_eq!(
        text(&found),
        "name: room\ntime       celsius\n----       -------\n7000000000 21.5\n"
    );

    let refused = of(&["-database", "telegraf", "-execute", "insert room"]);
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(
        text(&refused),
        "ERR: unable to parse 'room': missing fields\n"
    );
    let nowhere = of(&["-execute", "insert room celsius=1"]);
    assert!(
        text(&nowhere).contains("database name required"),
        "{}",
        text(&nowhere)
    );
    let wrong = bad(
        home.path(),
        &["shell", "-format", "xml", "-execute", "show databases"],
    );
    assert!(wrong.contains("Unknown format \"xml\""), "{wrong}");

    let url = format!("http://{address}");
    assert!(good(home.path(), &["health", &url]).starts_with("200 "));
    drop(store);
    let gone = bad(home.path(), &["health", &url]);
    assert!(gone.contains("connect to"), "{gone}");
    let gone = of(&["-execute", "show databases"]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(
        text(&gone).starts_with("ERR: connect to 127.0.0.1:"),
        "{}",
        text(&gone)
    );
}

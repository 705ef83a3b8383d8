//! Exports come back bit for bit: into another store, and through a real InfluxDB.

mod common;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use common::http;
use common::influxd::{INFLUX, Influxd};
use common::tool::{bad, good, run, store};

/// Names and values with everything that the parser takes.
const LINES: &str = concat!(
    "plain,host=a f=1.5,i=-9223372036854775808i,b=true,s=\"text\" 1\n",
    "plain,host=a f=-0,i=9223372036854775807i,b=false,s=\"\" 2\n",
    "plain,host=b f=5e-324 1\n",
    "plain,host=b f=1.7976931348623157e308 2\n",
    "plain,host=b f=0.1 3\n",
    "plain,host=b f=123456789012345680000 4\n",
    "plain,host=b f=0.30000000000000004 -5\n",
    "sp\\ ace\\,comma,ta\\ g\\=k=v\\ a\\,l\\=ue fi\\ e\\,l\\=d=1 1\n",
    "q\"uote,t\"=x\"y na\\\"me=\"say \\\"hi\\\" \\\\ back\\\\slash\" 1\n",
    "back\\slash,k\\x=v\\y f\\z=1 1\n",
    "equals=in,k=v f=1 1\n",
    "unicode\u{e9},\u{4e16}=\u{754c} \u{1f600}=\"\u{df}\" 1\n",
    "lines s=\"tab\there\" 2\n",
    "sparse a=1 1\nsparse b=2i 2\nsparse c=\"x\" 3\nsparse a=4,c=\"y\" 604800000000001\n",
);

/// A string over three lines. `influx -import` takes the third for a comment.
const LINES_IN_A_STRING: &str = "lines s=\"first\nsecond,with=things 5\n# third\" 1\n";

fn points(dir: &Path, data: &str) -> Vec<String> {
    let text = good(
        dir,
        &["export", "--data-dir", data, "--database", "telegraf"],
    );
    let body = text.split_once("# DML\n").expect("a header").1;
    let mut lines: Vec<String> = body.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn an_export_of_odd_names_and_values_comes_back_bit_for_bit() {
    let home = tempfile::tempdir().unwrap();
    let (first, address) = store(home.path(), "first", &[]);
    let lines = format!("{LINES}{LINES_IN_A_STRING}");
    let (status, body) = http::write(address, "telegraf", &lines).unwrap();
    assert_eq!((status, body.as_str()), (204, ""));
    assert!(
        http::statement(
            address,
            "",
            "CREATE RETENTION POLICY \"odd \"\" name\" ON telegraf DURATION INF REPLICATION 1 SHARD DURATION 2h"
        ) || http::statement(
            address,
            "",
            "CREATE RETENTION POLICY \"second\" ON telegraf DURATION INF REPLICATION 1 SHARD DURATION 2h"
        )
    );
    // Beside the running process, from files and WAL.
    let before = points(home.path(), "first");
    assert!(before.len() > 18, "{before:#?}");
    for (file, flags) in [("e.txt", &[][..]), ("e.gz", &["--compress"][..])] {
        let mut arguments = vec!["export", "--data-dir", "first", "--database", "telegraf"];
        arguments.extend(["--out", file]);
        arguments.extend(flags);
        good(home.path(), &arguments);
    }
    drop(first);

    let (second, address) = store(home.path(), "second", &[]);
    let url = format!("http://{address}");
    good(home.path(), &["import", "--url", &url, "e.gz"]);
    assert_eq!(points(home.path(), "second"), before);
    // Once more changes nothing.
    good(home.path(), &["import", "--url", &url, "e.txt"]);
    assert_eq!(points(home.path(), "second"), before);
    drop(second);

    let (third, _) = store(home.path(), "third", &[]);
    drop(third);
    good(home.path(), &["import", "--data-dir", "third", "e.txt"]);
    assert_eq!(points(home.path(), "third"), before);
    let left: Vec<_> = fs::read_dir(home.path().join("third"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("export-"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn a_range_and_a_policy_can_be_exported_alone() {
    let home = tempfile::tempdir().unwrap();
    let (_running, address) = store(home.path(), "data", &[]);
    http::write(address, "telegraf", "m x=1 10\nm x=2 20\nm x=3 30").unwrap();
    let lines = |flags: &[&str]| {
        let mut arguments = vec!["export", "--data-dir", "data", "--database", "telegraf"];
        arguments.extend(flags);
        let text = good(home.path(), &arguments);
        text.lines().filter(|line| line.starts_with("m ")).count()
    };
    assert_eq!(lines(&[]), 3);
    assert_eq!(lines(&["--start", "20"]), 2);
    assert_eq!(lines(&["--start", "20", "--end", "20"]), 1);
    assert_eq!(lines(&["--end", "1970-01-01T00:00:00Z"]), 0);
    assert_eq!(lines(&["--retention-policy", "autogen"]), 3);
    let none = [
        "export",
        "--data-dir",
        "data",
        "--database",
        "telegraf",
        "--retention-policy",
        "x",
    ];
    assert!(bad(home.path(), &none).contains("retention policy not found"));
}

/// As `influx_inspect export` of InfluxDB 1.6 writes it: a field a line, from files first and then from the WAL.
#[test]
fn the_export_of_influx_inspect_is_the_way_in() {
    let home = tempfile::tempdir().unwrap();
    let text = "# INFLUXDB EXPORT: 1677-09-21T00:12:43Z - 2262-04-11T23:47:16Z\n# DDL\n\
        CREATE DATABASE old WITH NAME autogen\nCREATE DATABASE \"other db\" WITH NAME \"two weeks\"\n\
        DROP DATABASE telegraf\n# DML\n\
        # CONTEXT-DATABASE:old\n# CONTEXT-RETENTION-POLICY:autogen\n# writing tsm data\n\
        cpu,host=a idle=1e+06 1000\ncpu,host=a idle=2.5 2000\ncpu,host=a n=7i 1000\n\
        cpu,host=a s=\"a \\\"b\\\"\" 1000\n# writing wal data\ncpu,host=a idle=3 3000\n\
        # CONTEXT-DATABASE:other db\n# CONTEXT-RETENTION-POLICY:two weeks\n# writing tsm data\n\
        m x=1 1\nthis is no line\nm x=\"conflict\" 2\nm x=3 3\n";
    fs::write(home.path().join("old.txt"), text).unwrap();
    let (_running, address) = store(home.path(), "data", &[]);
    let url = format!("http://{address}");
    let output = run(home.path(), &["import", "--url", &url, "old.txt"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    // What is refused is told with its line; the rest is stored.
    assert!(!output.status.success());
    for line in ["line 5:", "line 20:", "line 21:"] {
        assert!(told.contains(line), "{line} {told}");
    }
    assert!(told.contains("7 points stored, 2 refused"), "{told}");
    assert!(
        http::rows(address, "telegraf", "SHOW MEASUREMENTS").is_some(),
        "not dropped"
    );
    let rows = http::rows(address, "old", "SELECT idle, n, s FROM cpu").unwrap();
    let text = serde_json::to_string(&rows).unwrap();
    assert_eq!(
        text,
        "[[1000,1000000,7,\"a \\\"b\\\"\"],[2000,2.5,null,null],[3000,3,null,null]]"
    );
    let rows = http::rows(address, "other db", "SELECT x FROM m").unwrap();
    assert_eq!(serde_json::to_string(&rows).unwrap(), "[[1,1],[3,3]]");
    let policies = http::rows(address, "other db", "SHOW RETENTION POLICIES").unwrap();
    assert_eq!(policies[0][0], "two weeks");
}

/// All values of a database as both servers answer them, with the times in ns.
fn answers(address: SocketAddr, database: &str) -> Vec<String> {
    let mut all = Vec::new();
    for measurement in http::measurements(address, database) {
        let name = measurement.replace('\\', "\\\\").replace('"', "\\\"");
        let query = format!("SELECT * FROM \"{name}\" GROUP BY *");
        for series in http::series(address, database, &query).expect("an answer") {
            all.push(numbers_alike(&series));
        }
    }
    all
}

/// Integral floats are `1` to one server and `1.0` to nobody; what differs in print alone is made equal.
fn numbers_alike(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(integer) => integer.to_string(),
            None => format!("{:?}", number.as_f64()),
        },
        serde_json::Value::Array(list) => {
            let items: Vec<String> = list.iter().map(numbers_alike).collect();
            format!("[{}]", items.join(","))
        }
        serde_json::Value::Object(map) => {
            let items: Vec<String> = map
                .iter()
                .map(|(k, v)| format!("{k}:{}", numbers_alike(v)))
                .collect();
            format!("{{{}}}", items.join(","))
        }
        other => other.to_string(),
    }
}

#[test]
fn a_real_influxdb_takes_an_export_and_gives_the_same_answers() {
    let Some(real) = Influxd::start() else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let (_running, address) = store(home.path(), "data", &[]);
    let mut lines = LINES.to_owned();
    for n in 0..12_000_u64 {
        let (host, value) = (n % 40, (n as f64).sqrt());
        lines.push_str(&format!(
            "many,host=h{host} v={value},n={n}i {}\n",
            n * 60_000_000_000
        ));
    }
    assert_eq!(http::write(address, "telegraf", &lines).unwrap().0, 204);
    good(
        home.path(),
        &[
            "export",
            "--data-dir",
            "data",
            "--database",
            "telegraf",
            "--out",
            "e.txt",
        ],
    );
    let (host, port) = (
        real.address.ip().to_string(),
        real.address.port().to_string(),
    );
    let output = Command::new(INFLUX)
        .args(["-host", &host, "-port", &port, "-import", "-path"])
        .arg(home.path().join("e.txt"))
        .output()
        .expect("run influx");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && told.contains("Failed 0 inserts"),
        "{told}"
    );
    let (ours, theirs) = (
        answers(address, "telegraf"),
        answers(real.address, "telegraf"),
    );
    assert!(ours.len() > 45, "{} series", ours.len());
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert!(ours == theirs, "{ours:.2000}\n{theirs:.2000}");
    }
    assert_eq!(ours.len(), theirs.len());
}

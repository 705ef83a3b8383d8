//! Debian's `influx` shell, unchanged, against the running appliance, and against a store that asks who is there.

use std::{net::SocketAddr, path::Path, process::Command, time::Duration};

use anyhow::Context;

use super::{
    Bench, Tally,
    appliance::Store,
    process::{self, Finished, on_path},
};

const LIMIT: Duration = Duration::from_secs(60);
/// What `influx -import` reads: it makes its database and writes its points.
const IMPORT: &str = "# DDL
CREATE DATABASE tandem_influx_import
# DML
# CONTEXT-DATABASE: tandem_influx_import
imported,host=a value=1i 1000000000
imported,host=b value=2i 2000000000
";

/// What is typed, in which database, and what must come out; the answers are influxd 1.6.7's. The shell
/// asks for chunks, so that each series is a result.
const TALK: [(&str, &str, &str); 10] = [
    ("", "CREATE DATABASE tandem_influx", "{\"results\":[{}]}\n"),
    (
        "tandem_influx",
        "INSERT weather,place=here warm=21.5,fine=true,count=3i,word=\"ok\" 1000000000",
        "",
    ),
    (
        "tandem_influx",
        "INSERT weather,place=there warm=3 2000000000",
        "",
    ),
    (
        "tandem_influx",
        "SELECT warm, fine, count, word FROM weather WHERE place = 'here'",
        "{\"results\":[{\"series\":[{\"name\":\"weather\",\"columns\":[\"time\",\"warm\",\"fine\",\"count\",\"word\"],\
         \"values\":[[1000000000,21.5,true,3,\"ok\"]]}]}]}\n",
    ),
    (
        "tandem_influx",
        "SELECT mean(warm) FROM weather GROUP BY place",
        "{\"results\":[{\"series\":[{\"name\":\"weather\",\"tags\":{\"place\":\"here\"},\"columns\":[\"time\",\"mean\"],\
         \"values\":[[0,21.5]]}]},{\"series\":[{\"name\":\"weather\",\"tags\":{\"place\":\"there\"},\"columns\":[\"time\",\"mean\"],\
         \"values\":[[0,3]]}]}]}\n",
    ),
    (
        "tandem_influx",
        "SHOW MEASUREMENTS",
        "{\"results\":[{\"series\":[{\"name\":\"measurements\",\"columns\":[\"name\"],\"values\":[[\"weather\"]]}]}]}\n",
    ),
    (
        "tandem_influx",
        "SHOW TAG VALUES WITH KEY = place",
        "{\"results\":[{\"series\":[{\"name\":\"weather\",\"columns\":[\"key\",\"value\"],\
         \"values\":[[\"place\",\"here\"],[\"place\",\"there\"]]}]}]}\n",
    ),
    (
        "tandem_influx_import",
        "SELECT * FROM imported",
        "{\"results\":[{\"series\":[{\"name\":\"imported\",\"columns\":[\"time\",\"host\",\"value\"],\
         \"values\":[[1000000000,\"a\",1],[2000000000,\"b\",2]]}]}]}\n",
    ),
    ("", "DROP DATABASE tandem_influx", "{\"results\":[{}]}\n"),
    (
        "",
        "DROP DATABASE tandem_influx_import",
        "{\"results\":[{}]}\n",
    ),
];

/// The configuration of a store that asks who is there.
const GUARDED: &str =
    "[store]\nauth-enabled = true\nadmin-user = \"root\"\nadmin-password = \"pw\"\n";

/// Who says what in the database `a1`, and what must come out; the answers are influxd 1.6.7's.
const GUARDED_TALK: [(&str, &str, &str); 10] = [
    (
        "",
        "SHOW DATABASES",
        "ERR: unable to parse authentication credentials\n",
    ),
    ("root:no", "SHOW DATABASES", "ERR: authorization failed\n"),
    ("root:pw", "CREATE DATABASE a1", "{\"results\":[{}]}\n"),
    (
        "root:pw",
        "CREATE USER bob WITH PASSWORD 'b'",
        "{\"results\":[{}]}\n",
    ),
    ("root:pw", "GRANT READ ON a1 TO bob", "{\"results\":[{}]}\n"),
    ("root:pw", "INSERT m v=1 1", ""),
    (
        "bob:b",
        "INSERT m v=2 2",
        "ERR: {\"error\":\"\\\"bob\\\" user is not authorized to write to database \\\"a1\\\"\"}\n",
    ),
    (
        "bob:b",
        "SELECT v FROM m",
        "{\"results\":[{\"series\":[{\"name\":\"m\",\"columns\":[\"time\",\"v\"],\"values\":[[1,1]]}]}]}\n",
    ),
    (
        "bob:b",
        "SHOW USERS",
        "ERR: error authorizing query: bob not authorized to execute statement 'SHOW USERS', requires admin privilege\n",
    ),
    (
        "bob:b",
        "SHOW DATABASES",
        "{\"results\":[{\"series\":[{\"name\":\"databases\",\"columns\":[\"name\"],\"values\":[[\"a1\"]]}]}]}\n",
    ),
];

/// The same shell with a password, a wrong one, and none.
fn guarded(root: &Path, tally: &mut Tally) -> anyhow::Result<()> {
    let store = Store::configured(root, "guarded", GUARDED, true)?;
    for (who, statement, wanted) in GUARDED_TALK {
        let mut command = shell(store.api);
        command.args(["-format", "json", "-execute", statement]);
        if let Some((name, password)) = who.split_once(':') {
            command.args(["-username", name, "-password", password, "-database", "a1"]);
        }
        let finished = process::run(&mut command, LIMIT, |_, _| {})?;
        let holds = match wanted {
            "" => finished.out.is_empty(),
            // Behind the server's words it gives advice.
            _ => finished.out.contains(wanted),
        };
        let what = format!("{who} says {statement}");
        check(tally, &what, holds, true, &finished);
    }
    Ok(())
}

pub(super) fn run(bench: &mut Bench<'_>) -> anyhow::Result<Tally> {
    if !on_path("influx") {
        return Ok(bench.missing("influx is not installed (package influxdb-client)"));
    }
    let scratch = super::appliance::scratch(bench.root)?;
    let api = bench.appliance()?.api;
    let mut tally = Tally::default();
    let file = scratch.join("import.txt");
    std::fs::write(&file, IMPORT).with_context(|| format!("write {}", file.display()))?;
    let imported = import(api, &file)?;
    check(
        &mut tally,
        "influx -import",
        imported.success,
        true,
        &imported,
    );
    for (database, statement, wanted) in TALK {
        let mut command = shell(api);
        command.args(["-format", "json", "-execute", statement]);
        if !database.is_empty() {
            command.args(["-database", database]);
        }
        let finished = process::run(&mut command, LIMIT, |_, _| {})?;
        let holds = finished.out == wanted;
        check(&mut tally, statement, holds, finished.success, &finished);
    }
    // A refusal is shown with the server's words, and the exit code says so.
    let mut command = shell(api);
    command.args(["-execute", "SELECT nothing FROM"]);
    let finished = process::run(&mut command, LIMIT, |_, _| {})?;
    let said = format!("{}{}", finished.out, finished.err);
    let holds = !finished.success && said.contains("error parsing query: found EOF");
    check(
        &mut tally,
        "a query that does not parse",
        holds,
        true,
        &finished,
    );
    guarded(bench.root, &mut tally)?;
    Ok(tally)
}

fn shell(api: SocketAddr) -> Command {
    let mut command = Command::new("influx");
    command.args([
        "-host",
        &api.ip().to_string(),
        "-port",
        &api.port().to_string(),
    ]);
    // It keeps its history at home.
    command
        .env("HOME", std::env::temp_dir())
        .env_remove("INFLUX_USERNAME");
    command
}

fn import(api: SocketAddr, file: &Path) -> anyhow::Result<Finished> {
    let mut command = shell(api);
    command.arg("-import").arg("-path").arg(file);
    process::run(&mut command, LIMIT, |_, _| {})
}

fn check(tally: &mut Tally, what: &str, holds: bool, success: bool, finished: &Finished) {
    if holds && success {
        println!("ok  {what}");
        tally.pass(1);
    } else {
        let said = format!("{}{}", finished.out, finished.err);
        println!("not ok  {what}: {}\n{said}", finished.how);
        tally.fail(format!("{what}: {}", said.trim()));
    }
}

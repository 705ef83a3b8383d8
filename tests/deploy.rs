//! What lies in `deploy/` holds together: configurations are read, names are those that operators know, and each panel of a
//! dashboard gets an answer from an appliance that runs.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::tool::{good, on_path};
use common::{await_true, http, process::Process, process::free_addresses};
use serde_json::Value as Json;

/// Measurements of containers and their engine: a host without an engine has none.
const NEED_CONTAINERS: [&str; 1] = ["docker"];
/// Panels that need more than one busy host to show anything: what they are about may not be there.
const MAY_BE_EMPTY: [&str; 5] = [
    // No query was asked between two of the store's own statistics.
    "Time per query",
    // No swap, no disk of its own, no network but loopback in a small container.
    "Swap used",
    "Bytes read and written",
    "Time with requests under way",
    "Bytes received and sent",
];

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy")
}

fn files(dir: &str, ending: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(deploy().join(dir))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == ending))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no .{ending} in deploy/{dir}");
    files
}

#[test]
fn every_example_configuration_is_good() {
    let home = tempfile::tempdir().unwrap();
    for file in files("config", "toml") {
        let file = file.to_str().unwrap();
        let said = good(home.path(), &["check-config", "--config", file]);
        assert_eq!(said, "the configuration is good\n", "{file}");
    }
}

#[test]
fn units_start_commands_with_configurations_that_exist() {
    for unit in files("systemd", "service") {
        let text = fs::read_to_string(&unit).unwrap();
        let start = text
            .lines()
            .find_map(|line| line.strip_prefix("ExecStart=/usr/bin/tandem "))
            .unwrap_or_else(|| panic!("{unit:?} starts nothing"));
        let (command, config) = start.split_once(" --config /etc/tandem/").unwrap();
        assert!(["store", "relay", "agent"].contains(&command), "{start}");
        assert!(deploy().join("config").join(config).exists(), "{config}");
    }
}

#[test]
fn systemd_understands_every_line_of_the_units() {
    if !on_path("systemd-analyze") {
        println!("SKIPPED: systemd-analyze is missing (Debian package systemd)");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for unit in files("systemd", "service") {
        let text = fs::read_to_string(&unit).unwrap();
        let here = text.replace("/usr/bin/tandem", env!("CARGO_BIN_EXE_tandem"));
        assert_ne!(here, text);
        let copy = dir.path().join(unit.file_name().unwrap());
        let wrong = here.replace("[Install]", "[Service]\nRestrictRealtim=yes\n[Install]");
        for (text, is_good) in [(here, true), (wrong, false)] {
            fs::write(&copy, text).unwrap();
            let output = Command::new("systemd-analyze")
                .args(["verify", "--man=no"])
                .arg(&copy)
                .output()
                .unwrap();
            // What it does not know it says, and goes on.
            let said = String::from_utf8_lossy(&output.stderr);
            let is_understood = output.status.success() && said.is_empty();
            assert_eq!(is_understood, is_good, "{unit:?}: {said}");
        }
    }
}

#[test]
fn stacks_have_the_names_ports_and_aliases_that_operators_know() {
    for file in ["compose.yaml", "stack.yaml"] {
        let text = fs::read_to_string(deploy().join(file)).unwrap();
        for needed in [
            "  monitoring-agent:\n",
            "  monitoring-server-relay:\n",
            "  monitoring-server:\n",
            "  monitoring-server-backup:\n",
            "  monitoring-client:\n",
            "aliases: [monitoringserver]",
            "aliases: [monitoringserver-backup]",
            "--http, \":8086\", --admin, \":8083\"",
            "--http, \":8087\", --admin, \":8084\"",
            "--backend=primary=http://monitoringserver:8086",
            "--backend=backup=http://monitoringserver-backup:8087",
            "TANDEM_STORE_AUTH_ENABLED: \"true\"",
        ] {
            assert!(text.contains(needed), "{file} lacks {needed:?}");
        }
    }
    let source = deploy().join("grafana/provisioning/datasources/acsmonitoring.yaml");
    let text = fs::read_to_string(source).unwrap();
    for needed in [
        "name: acsmonitoring",
        "url: http://monitoringserver:8086",
        "editable: true",
    ] {
        assert!(text.contains(needed), "the data source lacks {needed:?}");
    }
}

/// Containers, volumes and the network bear the names that docs/operations.md uses, whatever the project is called.
#[test]
fn what_the_stacks_make_has_the_names_of_the_procedures() {
    let stores = ["monitoring-server", "monitoring-server-backup"];
    let services = [
        "monitoring-server-relay",
        "monitoring-agent",
        "monitoring-client",
    ];
    let compose = fs::read_to_string(deploy().join("compose.yaml")).unwrap();
    let stack = fs::read_to_string(deploy().join("stack.yaml")).unwrap();
    assert!(compose.contains("\nname: monitoring\n"));
    assert!(compose.contains("\n  monitoring: {name: monitoring}\n"));
    assert!(stack.contains("\n  monitoring: {name: monitoring, driver: overlay}\n"));
    for name in stores.iter().chain(&services) {
        let container = format!("\n    container_name: {name}\n");
        assert!(compose.contains(&container), "{container:?}");
        let volume = format!("\n  {name}: {{name: {name}}}\n");
        assert!(compose.contains(&volume), "{volume:?}");
        // A swarm names containers itself, and a relay's volume has the number of its replica.
        let is_replicated = *name == "monitoring-server-relay";
        assert!(is_replicated || stack.contains(&volume), "{volume:?}");
    }
}

/// A query of a panel or a variable, with Grafana's macros put in.
fn filled(query: &str) -> String {
    query
        .replace("$timeFilter", "time >= now() - 5m and time <= now()")
        .replace("$__interval", "2s")
        .replace("$interval", "2s")
        .replace("/^$host$/", "/.*/")
        .replace("/^$container$/", "/.*/")
}

/// What is asked for by a dashboard: title of the panel or name of the variable, and the text.
fn queries(board: &Json) -> Vec<(String, String)> {
    let text = |json: &Json| json.as_str().unwrap().to_owned();
    let variables = board["templating"]["list"].as_array().unwrap().iter();
    let mut queries: Vec<(String, String)> = variables
        .map(|variable| (text(&variable["name"]), text(&variable["query"])))
        .collect();
    for panel in board["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            queries.push((text(&panel["title"]), text(&target["query"])));
        }
    }
    queries
}

#[test]
fn every_panel_of_every_dashboard_has_an_answer() {
    let home = tempfile::tempdir().unwrap();
    let [primary, page, backup, backup_page, relay] = free_addresses();
    let text = [primary, page, backup, backup_page, relay].map(|address| address.to_string());
    let arguments = [
        "up",
        "--http",
        &text[0],
        "--admin",
        &text[1],
        "--backup-http",
        &text[2],
        "--backup-admin",
        &text[3],
        "--relay-http",
        &text[4],
        "--interval",
        "1s",
        "--data-dir",
        "data",
    ];
    // Panels about the store itself read what it writes about itself.
    let variables = [(
        "TANDEM_STORE_MONITOR_STORE_INTERVAL".to_owned(),
        "1s".to_owned(),
    )];
    let mut process = Process::start_with(&arguments, home.path(), "up", &variables);
    process.await_ping(primary);
    // Two windows of two seconds are what a rate needs.
    let points = || http::rows(primary, "telegraf", "SELECT count(load1) FROM system");
    await_true("eight points of each collector", common::PATIENCE, || {
        let rows = points().unwrap_or_default();
        rows.first().is_some_and(|row| row[1].as_u64() >= Some(8))
    });
    let mut seen = BTreeSet::new();
    let mut empty = Vec::new();
    for file in files("grafana/dashboards", "json") {
        let board: Json = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        assert!(seen.insert(board["uid"].to_string()), "{file:?}: uid twice");
        let queries = queries(&board);
        assert!(queries.len() > 5, "{file:?}");
        for (title, query) in queries {
            let filled = filled(&query);
            let macros = filled.match_indices('$').map(|(at, _)| &filled[at + 1..]);
            let left =
                macros.filter(|rest| rest.starts_with(|c: char| c.is_alphabetic() || c == '_'));
            assert_eq!(left.count(), 0, "{title}: {filled}");
            let series = http::series(primary, "telegraf", &filled);
            let series = series.unwrap_or_else(|| panic!("{title}: no answer to {filled}"));
            let about_containers = NEED_CONTAINERS.iter().any(|name| filled.contains(name));
            let may_be_empty = about_containers || MAY_BE_EMPTY.contains(&title.as_str());
            let values = |s: &Json| {
                let rows = s["values"].as_array().cloned().unwrap_or_default();
                let cell = |row: &Json| {
                    row.as_array()
                        .is_some_and(|row| row[1..].iter().any(|v| !v.is_null()))
                };
                rows.iter()
                    .any(|row| row.as_array().is_some_and(|r| r.len() == 1) || cell(row))
            };
            if !may_be_empty && !series.iter().any(values) {
                empty.push(format!("{title}: {filled}"));
            }
        }
    }
    assert!(empty.is_empty(), "panels without data: {empty:#?}");
}

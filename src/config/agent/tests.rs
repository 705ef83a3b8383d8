//! What is given is taken; `deploy/config/agent.toml` has all there is, with the defaults.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tandem_agent::{MemUsed, Shape, TempFormat};

use super::*;
use crate::config::{Config, LogSection};
use crate::roles;

fn apply(text: &str) -> anyhow::Result<Run> {
    let section: AgentSection = toml::from_str(text)?;
    let mut run = Run::new(Vec::new(), "data".into());
    section.apply(&mut run)?;
    Ok(run)
}

#[test]
fn what_is_given_is_taken_and_the_rest_stays() {
    let run = apply(
        r#"
        relays = ["http://a:1", "http://b:2/x"]
        jitter = "2s"
        global-tags = { dc = "x" }
        sample-interval = "1s"
        token = "secret"
        [collect.cpu]
        percpu = false
        interval = "30s"
        [collect.nstat]
        enabled = false
        [collect.cgroup]
        enabled = true
        paths = ["/sys/fs/cgroup/*"]
        [collect.docker]
        endpoint = "off"
        label-exclude = ["*.hash"]
        [collect.mem]
        used = "classic"
        "#,
    )
    .unwrap();
    assert_eq!(run.relays.len(), 2);
    assert_eq!(
        (run.interval, run.jitter),
        (Run::INTERVAL, Duration::from_secs(2))
    );
    assert_eq!(run.sampling.unwrap().collectors.len(), 4);
    let cpu = run.collectors.cpu.unwrap();
    assert!(!cpu.percpu && cpu.totalcpu);
    let thirty = Some(Duration::from_secs(30));
    assert_eq!(run.collectors.timings["cpu"].interval, thirty);
    assert_eq!(run.collectors.nstat, None);
    assert_eq!(run.collectors.cgroup.unwrap().paths.len(), 1);
    let docker = run.collectors.docker.unwrap();
    assert_eq!(docker.endpoint, None);
    assert_eq!(docker.labels.exclude, ["*.hash"]);
    assert_eq!(run.collectors.mem.unwrap().used, MemUsed::Classic);
    assert!(!format!("{:?}", run.output).contains("secret"));
}

#[test]
fn mistakes_are_named() {
    for (text, word) in [
        ("relays = [\"a:1\"]", "a:1"),
        ("user = \"x\"", "password"),
        ("[collect.cpu]\nper-cpu = 1", "per-cpu"),
        ("[collect.cpus]", "cpus"),
    ] {
        let error = format!("{:#}", apply(text).unwrap_err());
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn names_tags_and_filters_are_taken_for_a_collector_and_for_all() {
    let run = apply(
        r#"
        [output]
        namedrop = ["internal_*"]
        name-prefix = "t_"
        [output.tagpass]
        host = ["web*"]
        [collect.cpu]
        fieldpass = ["usage_*"]
        fieldexclude = ["*_guest"]
        name-override = "processors"
        precision = "1ms"
        tags = { rack = "r1" }
        tagdrop = { cpu = ["cpu0"] }
        [collect.temp]
        metric-format = "v1"
        [collect.mem]
        namepass = []
        name-override = ""
        [collect.docker]
        container-state-exclude = ["dead"]
        total-cpu = false
        services = false
        [collect.kernel]
        psi = true
        "#,
    )
    .unwrap();
    assert_eq!(run.shape.names.exclude, ["internal_*"]);
    assert_eq!(run.shape.name_prefix, "t_");
    assert_eq!(run.shape.tag_pass["host"], ["web*"]);
    let all = &run.collectors;
    assert_eq!(all.shapes.len(), 1, "what asks for nothing is none");
    let cpu = &all.shapes["cpu"];
    assert_eq!(cpu.fields.include, ["usage_*"]);
    assert_eq!(cpu.fields.exclude, ["*_guest"]);
    assert_eq!(cpu.name_override.as_deref(), Some("processors"));
    assert_eq!(cpu.further_tags["rack"], "r1");
    assert_eq!(cpu.tag_drop["cpu"], ["cpu0"]);
    let millisecond = Some(Duration::from_millis(1));
    assert_eq!(all.timings["cpu"].precision, millisecond);
    assert_eq!(all.temp.unwrap().format, TempFormat::V1);
    assert!(all.kernel.unwrap().psi);
    let docker = all.docker.as_ref().unwrap();
    assert_eq!(docker.states.exclude, ["dead"]);
    assert!(!docker.total_cpu && docker.total_network && !docker.services);
}

#[test]
fn what_a_telegraf_conf_says_stays_where_nothing_goes_over_it() {
    let mut run = Run::new(Vec::new(), "data".into());
    let mut shape = Shape::default();
    shape.fields.include = vec!["a".into()];
    shape.name_suffix = "_x".into();
    run.collectors.shapes.insert("cpu".into(), shape);
    let timing = run.collectors.timings.entry("cpu".into()).or_default();
    timing.jitter = Some(Duration::from_secs(1));
    let text = "[collect.cpu]\ninterval = \"20s\"\nfieldinclude = [\"b\"]\n\
        [collect.mem]\nname-suffix = \"\"\n";
    let section: AgentSection = toml::from_str(text).unwrap();
    section.apply(&mut run).unwrap();
    let shape = &run.collectors.shapes["cpu"];
    assert_eq!(shape.fields.include, ["b"]);
    assert_eq!(shape.name_suffix, "_x");
    let timing = run.collectors.timings["cpu"];
    assert_eq!(timing.interval, Some(Duration::from_secs(20)));
    assert_eq!(timing.jitter, Some(Duration::from_secs(1)));
    assert_eq!(run.collectors.shapes.len(), 1);
}

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The name of a setting and the rest of its line, or nothing where a line is none.
fn setting(line: &str) -> Option<(&str, &str)> {
    let (key, rest) = line.split_once(" = ")?;
    let is_part = |c: char| c.is_ascii_lowercase() || c == '-' || c == '_';
    key.chars().all(is_part).then_some((key, rest))
}

fn is_head(line: &str) -> bool {
    line.starts_with('[')
}

/// The file, with the settings behind one of `marks` as if there were no mark.
fn uncommented(text: &str, marks: &[&str]) -> String {
    let line = |line: &str| {
        let bare = marks.iter().find_map(|mark| {
            let bare = line.strip_prefix(mark)?;
            (setting(bare).is_some() || is_head(bare)).then_some(bare)
        });
        bare.unwrap_or(line).to_owned() + "\n"
    };
    text.lines().map(line).collect()
}

fn parsed(text: &str) -> Config {
    toml::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Paths of all keys of a value, those of tables left out.
fn keys(path: &str, value: &Value, found: &mut BTreeSet<String>) {
    match value.as_object() {
        Some(table) if !table.is_empty() => {
            for (key, value) in table {
                keys(&format!("{path}.{key}"), value, found);
            }
        }
        _ => {
            found.insert(path.trim_start_matches('.').to_owned());
        }
    }
}

fn known() -> BTreeSet<String> {
    let mut known = BTreeSet::from(["data-dir".to_owned()]);
    let agent = serde_json::to_value(AgentSection::default()).unwrap();
    keys("agent", &agent, &mut known);
    let log = serde_json::to_value(LogSection::default()).unwrap();
    keys("log", &log, &mut known);
    known
}

/// What every collector has is told once, with `cpu`.
fn is_told_elsewhere(key: &str, known: &BTreeSet<String>) -> bool {
    let [_, _, collector, name] = key.split('.').collect::<Vec<_>>()[..] else {
        return false;
    };
    let is_common = known.contains(&format!("agent.collect.swap.{name}"));
    collector != "cpu" && name != "enabled" && is_common
}

#[test]
fn the_file_of_an_agent_has_every_setting() {
    let text = uncommented(&read("deploy/config/agent.toml"), &["# ", "## "]);
    // The names that are taken are those that are known.
    parsed(&text);
    let table: toml::Table = text.parse().unwrap();
    let value = serde_json::to_value(table).unwrap();
    let mut found = BTreeSet::new();
    keys("", &value, &mut found);
    let known = known();
    let missing: Vec<&String> = known
        .iter()
        .filter(|key| !is_told_elsewhere(key, &known))
        .filter(|key| {
            // A table has keys of the user's own.
            let within = format!("{key}.");
            !found
                .iter()
                .any(|found| found == *key || found.starts_with(&within))
        })
        .collect();
    assert_eq!(missing, [""; 0], "not in deploy/config/agent.toml");
    assert!(known.len() > 100, "{}", known.len());
}

#[test]
fn the_defaults_in_the_file_of_an_agent_are_the_defaults() {
    let text = read("deploy/config/agent.toml");
    let bare = parsed(&text);
    let spelt_out = parsed(&uncommented(&text, &["# "]));
    let default = Config {
        data_dir: bare.data_dir.clone(),
        ..Config::default()
    };
    let shown = |config: &Config| format!("{:#?}", roles::agent::from_config(config).unwrap());
    assert_eq!(shown(&spelt_out), shown(&default));
    assert_eq!(shown(&bare), shown(&default));
    let format = spelt_out.log.format.as_deref();
    assert_eq!(
        (format, spelt_out.log.filter.as_deref()),
        (Some("human"), Some("info"))
    );
}

#[test]
fn each_setting_in_the_file_of_an_agent_is_explained() {
    let text = read("deploy/config/agent.toml");
    let mut settings = 0;
    let mut above = "";
    for line in text.lines() {
        let bare = line.trim_start_matches('#').trim_start();
        if let Some((key, rest)) = setting(bare) {
            settings += 1;
            let is_explained = rest.contains(" # ") || above.starts_with("# ");
            assert!(is_explained, "{key}: {line}");
        }
        // Settings that stand together may share what stands above them.
        if setting(bare).is_none() {
            above = line;
        }
    }
    assert!(settings > 100, "{settings}");
}

#[test]
fn the_page_about_the_configuration_names_every_setting_of_the_agent() {
    let text = read("docs/config.md");
    let known = known();
    let is_named = |key: &&String| {
        let name = key.rsplit('.').next().unwrap();
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        text.split(|c| !is_part(c)).any(|word| word == name)
    };
    let missing: Vec<&String> = known.iter().filter(|key| !is_named(key)).collect();
    assert_eq!(missing, [""; 0], "not in docs/config.md");
}

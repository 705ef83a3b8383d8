//! A configuration as people have it, and ones that are wrong.

use super::*;
use crate::glob::Filter;

const COMMON: &str = r#"
# Global tags
[global_tags]
  dc = "${DC}"
  rack = "${RACK:-r1}"

[agent]
  interval = "15s"
  round_interval = true
  metric_batch_size = 1000
  metric_buffer_limit = 10000
  collection_jitter = "1s"
  flush_interval = "30s"
  flush_jitter = "0s"
  precision = ""
  hostname = ""
  omit_hostname = false
  snmp_translator = "gosmi"

[[outputs.influxdb]]
  urls = ["http://relay1:9096", "unix:///run/x.sock", "http://user:p%40ss@relay2:9096"]
  database = "metrics"
  retention_policy = "week"
  skip_database_creation = true
  timeout = "7s"
  username = "telegraf"
  password = "metricsmetricsmetricsmetrics"
  content_encoding = "identity"

[[outputs.file]]
  files = ["stdout"]

[[inputs.cpu]]
  percpu = false
  totalcpu = true
  interval = "1m30s"
  core_tags = false
[[inputs.disk]]
  ignore_fs = ["tmpfs"]
[[inputs.mem]]
[[inputs.net]]
  interfaces = ["eth*"]
[[inputs.nstat]]
[[inputs.docker]]
  endpoint = "unix:///run/other.sock"
  docker_label_exclude = ["maintainer"]
  perdevice_include = ["cpu", "network"]
  gather_services = false
  fieldexclude = ["usage_system"]
[[inputs.redis]]
  servers = ["tcp://localhost:6379"]

[[processors.rename]]
  dest = "x"
"#;

fn lookup(name: &str) -> Option<String> {
    (name == "DC").then(|| "fra".to_owned())
}

fn import(text: &str) -> Result<Import, TelegrafError> {
    read(text, lookup, Config::new(Vec::new(), "data".into()))
}

#[test]
fn the_common_part_is_taken_and_the_rest_is_named() {
    let import = import(COMMON).unwrap();
    let config = &import.config;
    let tag = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(config.global_tags, [tag("dc", "fra"), tag("rack", "r1")]);
    assert_eq!(config.interval, Duration::from_secs(15));
    assert_eq!(config.jitter, Duration::from_secs(1));
    assert_eq!(config.precision, None);
    assert_eq!(config.output.flush_interval, Duration::from_secs(30));
    let relays: Vec<String> = config.relays.iter().map(Url::to_string).collect();
    assert_eq!(relays, ["http://relay1:9096", "http://relay2:9096"]);
    assert_eq!(config.database, "metrics");
    assert_eq!(config.retention_policy.as_deref(), Some("week"));
    assert!(!config.output.create_database);
    assert_eq!(config.output.request_timeout, Duration::from_secs(7));
    assert_eq!(config.output.gzip, Some(false));
    assert!(config.output.credentials.is_some());
    let all = &config.collectors;
    assert!(!all.cpu.unwrap().percpu);
    let every = all.timings["cpu"].interval;
    assert_eq!(every, Some(Duration::from_secs(90)));
    assert_eq!(all.disk.as_ref().unwrap().ignore_fs, ["tmpfs"]);
    let interfaces = Filter {
        include: vec!["eth*".into()],
        exclude: Vec::new(),
    };
    assert_eq!(all.net.as_ref().unwrap().interfaces, interfaces);
    assert!(!all.nstat.unwrap().dump_zeros);
    assert!(!all.swap && !all.system && !all.temp);
    let docker = all.docker.as_ref().unwrap();
    assert_eq!(docker.endpoint.as_deref(), Some("unix:///run/other.sock"));
    assert!(docker.perdevice_network && !docker.perdevice_blkio);
    let mut left_out = import.left_out;
    left_out.sort();
    let expected = [
        "agent.snmp_translator: not supported",
        "inputs.cpu.core_tags: not supported",
        "inputs.docker.fieldexclude: not supported",
        "inputs.redis: there is no such collector",
        "outputs.file: lines go to relays alone, and to one group of them",
        "outputs.influxdb.urls: unix:///run/x.sock: scheme \"unix\" is not supported; use http:// or https://",
        "processors: not supported",
    ];
    assert_eq!(left_out, expected);
}

#[test]
fn an_empty_file_changes_nothing_and_bad_ones_are_refused() {
    let empty = import("").unwrap();
    assert!(empty.left_out.is_empty());
    assert_eq!(empty.config.collectors, Collectors::default());
    let tags = import("[global_tags]\na = \"b\"\nn = 3").unwrap();
    assert_eq!(tags.left_out, ["global_tags.n: no text"]);
    assert_eq!(tags.config.global_tags, [("a".into(), "b".into())]);
    for (text, word) in [
        ("[agent", "agent"),
        ("[agent]\ninterval = \"soon\"", "agent.interval"),
        ("[[inputs.cpu]]\npercpu = 1", "inputs.cpu.percpu"),
        ("inputs = 3", "inputs: a table"),
        ("agent = 3", "agent: a table"),
        ("[inputs]\ncpu = 3", "inputs.cpu: a table"),
        ("[inputs]\ncpu = [3]", "inputs.cpu: a table"),
        (
            "[[inputs.disk]]\nignore_fs = \"tmpfs\"",
            "inputs.disk.ignore_fs",
        ),
    ] {
        let error = import(text).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
}

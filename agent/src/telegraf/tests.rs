//! A configuration as people have it, and ones that are wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use tandem_http::Url;

use super::*;
use crate::collect::{DockerOptions, TempFormat, Timing};
use crate::glob::Filter;
use crate::shape::Shape;

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
    assert!(!all.swap && !all.system && all.temp.is_none());
    let docker = all.docker.as_ref().unwrap();
    assert_eq!(docker.endpoint.as_deref(), Some("unix:///run/other.sock"));
    assert!(docker.perdevice_network && !docker.perdevice_blkio && !docker.services);
    assert_eq!(all.shapes["docker"].fields.exclude, ["usage_system"]);
    let mut left_out = import.left_out;
    left_out.sort();
    let expected = [
        "agent.metric_batch_size is not used because requests and what waits are bounded in bytes; memory-bytes-max \
         and spool-bytes-max say how many",
        "agent.metric_buffer_limit is not used because requests and what waits are bounded in bytes; \
         memory-bytes-max and spool-bytes-max say how many",
        "agent.snmp_translator is not used because there is no collector for SNMP",
        "inputs.redis is not used because there is no such collector",
        "outputs.file is not used because lines go to relays alone, and to one group of them",
        "outputs.influxdb.urls, unix:///run/x.sock, is not used because scheme \"unix\" is not supported; use \
         http:// or https://",
        "processors is not used because there is nothing like it here",
    ];
    assert_eq!(left_out, expected);
}

#[test]
fn an_empty_file_changes_nothing_and_bad_ones_are_refused() {
    let empty = import("").unwrap();
    assert!(empty.left_out.is_empty());
    assert_eq!(empty.config.collectors, Collectors::default());
    let tags = import("[global_tags]\na = \"b\"\nn = 3").unwrap();
    let expected = ["global_tags.n is not used because it is no text"];
    assert_eq!(tags.left_out, expected);
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
        (
            "[[inputs.cpu]]\n[inputs.cpu.tags]\na = 1",
            "inputs.cpu.tags must be a table of texts",
        ),
        ("[[inputs.cpu]]\ntagpass = [\"a\"]", "inputs.cpu.tagpass"),
        (
            "[[inputs.cpu]]\n[inputs.cpu.tagdrop]\na = \"b\"",
            "inputs.cpu.tagdrop must be a table of lists",
        ),
        ("[[inputs.cpu]]\nnamepass = \"cpu\"", "inputs.cpu.namepass"),
    ] {
        let error = import(text).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn names_tags_and_filters_of_inputs_and_of_the_output_are_taken() {
    let import = import(
        r#"
        [[outputs.influxdb]]
          urls = ["http://relay:9096"]
          namedrop = ["internal_*"]
          tagexclude = ["dc"]
          name_suffix = "_v2"
          flush_interval = "1m"
          flush_jitter = "2s"
          [outputs.influxdb.tagpass]
            host = ["web*"]
        [[inputs.cpu]]
          name_override = "processors"
          name_prefix = "a_"
          name_suffix = "_b"
          fieldpass = ["usage_user"]
          fieldinclude = ["usage_idle"]
          fielddrop = ["time_*"]
          precision = "1ms"
          collection_offset = "0s"
          interval = ""
          [inputs.cpu.tags]
            rack = "r1"
          [inputs.cpu.tagpass]
            cpu = ["cpu-total", "cpu[01]"]
          [inputs.cpu.tagdrop]
            cpu = ["cpu1"]
            dc = []
        [[inputs.docker]]
          namepass = ["docker_container_*"]
          namedrop = ["*_blkio"]
          taginclude = ["container_name", "host"]
          tagexclude = ["com.*"]
        [[inputs.mem]]
          namepass = []
          name_override = ""
        [[inputs.mem]]
          fielddrop = ["x"]
        [[inputs.redis]]
          name_override = "x"
        "#,
    )
    .unwrap();
    let filter = |include: &[&str], exclude: &[&str]| Filter {
        include: texts(include),
        exclude: texts(exclude),
    };
    let rules = |rules: &[(&str, &[&str])]| -> BTreeMap<String, Vec<String>> {
        let rule = |(key, values): &(&str, &[&str])| ((*key).to_owned(), texts(values));
        rules.iter().map(rule).collect()
    };
    let output = Shape {
        names: filter(&[], &["internal_*"]),
        tags: filter(&[], &["dc"]),
        tag_pass: rules(&[("host", &["web*"])]),
        name_suffix: "_v2".into(),
        ..Shape::default()
    };
    assert_eq!(import.config.shape, output);
    let sending = &import.config.output;
    assert_eq!(sending.flush_interval, Duration::from_secs(60));
    assert_eq!(sending.flush_jitter, Duration::from_secs(2));
    let cpu = Shape {
        names: Filter::default(),
        tag_pass: rules(&[("cpu", &["cpu-total", "cpu[01]"])]),
        tag_drop: rules(&[("cpu", &["cpu1"]), ("dc", &[])]),
        fields: filter(&["usage_idle", "usage_user"], &["time_*"]),
        tags: Filter::default(),
        further_tags: BTreeMap::from([("rack".to_owned(), "r1".to_owned())]),
        name_override: Some("processors".into()),
        name_prefix: "a_".into(),
        name_suffix: "_b".into(),
    };
    let docker = Shape {
        names: filter(&["docker_container_*"], &["*_blkio"]),
        tags: filter(&["container_name", "host"], &["com.*"]),
        ..Shape::default()
    };
    let all = &import.config.collectors;
    let expected = [("cpu".to_owned(), cpu), ("docker".to_owned(), docker)];
    assert_eq!(all.shapes, expected.into(), "nothing asks nothing of `mem`");
    let timing = Timing {
        precision: Some(Duration::from_millis(1)),
        offset: Some(Duration::ZERO),
        ..Timing::default()
    };
    assert_eq!(all.timings, [("cpu".to_owned(), timing)].into());
    let expected = [
        "a further [[inputs.mem]] is not used because there is one collector of each kind",
        "inputs.redis is not used because there is no such collector",
    ];
    assert_eq!(import.left_out, expected);
}

#[test]
fn options_of_collectors_are_taken() {
    let text = r#"
        [[inputs.cpu]]
          core_tags = true
        [[inputs.disk]]
          mount_points = ["/"]
          mountpoints = ["/old"]
        [[inputs.diskio]]
          devices = ["sd*"]
          device_tags = ["ID_FS_TYPE"]
          name_templates = ["$ID_FS_LABEL"]
          skip_serial_number = false
        [[inputs.kernel]]
          collect = ["psi", "ksm"]
        [[inputs.temp]]
          metric_format = "v1"
          add_device_tag = true
          always_gather_zones = true
        [[inputs.interrupts]]
          cpu_as_tag = true
        [[inputs.internal]]
          collect_memstats = false
        [[inputs.processes]]
          force_proc = true
          force_ps = false
        [[inputs.system]]
          include = ["legacy"]
        [[inputs.conntrack]]
          files = ["nf_conntrack_count", "nf_conntrack_max"]
          dirs = ["/proc/sys/net/ipv4/netfilter", "/proc/sys/net/netfilter"]
          collect = ["all"]
        [[inputs.docker]]
          gather_services = true
          total_include = []
          perdevice = true
          container_names = ["a"]
          container_name_include = ["b"]
          container_state_exclude = ["dead"]
    "#;
    let import = import(text).unwrap();
    assert_eq!(import.left_out, [""; 0]);
    let all = import.config.collectors;
    assert!(all.cpu.unwrap().core_tags);
    assert_eq!(all.disk.unwrap().mount_points, ["/old", "/"]);
    let diskio = all.diskio.unwrap();
    assert_eq!(diskio.devices, ["sd*"]);
    assert_eq!(diskio.device_tags, ["ID_FS_TYPE"]);
    assert_eq!(diskio.name_templates, ["$ID_FS_LABEL"]);
    assert!(!diskio.skip_serial_number);
    let kernel = all.kernel.unwrap();
    assert!(kernel.psi && kernel.ksm);
    let temp = all.temp.unwrap();
    assert_eq!(temp.format, TempFormat::V1);
    assert!(temp.add_device_tag && temp.always_gather_zones);
    let interrupts = all.interrupts.unwrap();
    assert!(interrupts.cpu_as_tag && interrupts.per_cpu);
    assert!(!all.internal.unwrap().collect_memstats);
    let conntrack = all.conntrack.unwrap();
    assert!(conntrack.all && !conntrack.percpu);
    let docker = all.docker.unwrap();
    let expected = DockerOptions {
        services: true,
        total_cpu: false,
        total_network: false,
        total_blkio: false,
        perdevice_cpu: true,
        perdevice_network: true,
        perdevice_blkio: true,
        containers: Filter {
            include: texts(&["a", "b"]),
            exclude: Vec::new(),
        },
        states: Filter {
            include: Vec::new(),
            exclude: texts(&["dead"]),
        },
        ..DockerOptions::default()
    };
    assert_eq!(docker, expected);
}

#[test]
fn totals_that_were_switched_off_in_the_old_way_keep_the_processors() {
    let import = import("[[inputs.docker]]\ntotal = false\nperdevice = false").unwrap();
    let docker = import.config.collectors.docker.unwrap();
    assert!(docker.total_cpu && !docker.total_network && !docker.total_blkio);
    assert!(docker.perdevice_cpu && !docker.perdevice_network);
    assert_eq!(docker.states, DockerOptions::running());
}

/// Keys of each table that have no counterpart, with values that ask for something.
const UNUSED: [(&str, &[&str]); 12] = [
    (
        "[agent]",
        &[
            "round_interval = false",
            "metric_batch_size = 1000",
            "metric_buffer_limit = 10000",
            "buffer_strategy = \"memory\"",
            "buffer_directory = \"/x\"",
            "buffer_disk_sync = false",
            "debug = true",
            "quiet = true",
            "logformat = \"structured\"",
            "logtarget = \"file\"",
            "logfile = \"/var/log/telegraf.log\"",
            "logfile_rotation_interval = \"1d\"",
            "logfile_rotation_max_size = \"1MB\"",
            "logfile_rotation_max_archives = 5",
            "log_with_timezone = \"local\"",
            "structured_log_message_key = \"m\"",
            "snmp_translator = \"gosmi\"",
            "statefile = \"/x\"",
            "always_include_local_tags = true",
            "always_include_global_tags = true",
            "skip_processors_after_aggregators = true",
            "unheard_of = 1",
        ],
    ),
    (
        "[[outputs.influxdb]]",
        &[
            "alias = \"x\"",
            "content_encoding = \"zstd\"",
            "database_tag = \"db\"",
            "exclude_database_tag = true",
            "retention_policy_tag = \"rp\"",
            "exclude_retention_policy_tag = true",
            "write_consistency = \"all\"",
            "password = \"x\"",
            "user_agent = \"x\"",
            "udp_payload = \"512B\"",
            "http_proxy = \"http://x:1\"",
            "http_headers = { a = \"b\" }",
            "influx_uint_support = true",
            "influx_omit_timestamp = true",
            "metric_batch_size = 1",
            "metric_buffer_limit = 1",
            "metricpass = \"true\"",
            "tls_min_version = \"TLS13\"",
        ],
    ),
    (
        "[[inputs.mem]]",
        &[
            "alias = \"x\"",
            "time_source = \"collection_end\"",
            "log_level = \"debug\"",
            "startup_error_behavior = \"ignore\"",
            "metricpass = \"true\"",
            "namepass_separator = \".\"",
            "namedrop_separator = \".\"",
        ],
    ),
    ("[[inputs.system]]", &["include = [\"os\"]"]),
    (
        "[[inputs.processes]]",
        &["force_ps = true", "use_sudo = true"],
    ),
    ("[[inputs.kernel]]", &["collect = [\"uptime\"]"]),
    ("[[inputs.temp]]", &["metric_format = \"v3\""]),
    (
        "[[inputs.nstat]]",
        &[
            "proc_net_netstat = \"/x\"",
            "proc_net_snmp = \"/x\"",
            "proc_net_snmp6 = \"/x\"",
        ],
    ),
    (
        "[[inputs.conntrack]]",
        &["files = [\"x\"]", "dirs = [\"/x\"]", "collect = [\"x\"]"],
    ),
    ("[[inputs.internal]]", &["collect_gostats = true"]),
    (
        "[[inputs.docker]]",
        &[
            "endpoint = \"ENV\"",
            "timeout = \"5s\"",
            "podman_cache_ttl = \"60s\"",
            "tls_enable = true",
            "insecure_skip_verify = true",
            "tls_ca = \"/x\"",
            "tls_cert = \"/x\"",
            "tls_key = \"/x\"",
            "tls_key_pwd = \"x\"",
            "tls_server_name = \"x\"",
        ],
    ),
    ("[[inputs.cgroup]]", &["unheard_of = 1"]),
];

#[test]
fn each_key_without_a_counterpart_is_named_in_one_message() {
    for (table, settings) in UNUSED {
        let path = table.trim_matches(['[', ']']);
        for setting in settings {
            let key = setting.split(' ').next().unwrap();
            let import = import(&format!("{table}\n{setting}\n")).unwrap();
            let [message] = import.left_out.as_slice() else {
                panic!("{table} {setting}: {:?}", import.left_out);
            };
            let named = message.starts_with(&format!("{path}.{key}"));
            assert!(
                named && message.contains(" is not used because "),
                "{message}"
            );
        }
        let import = import(&format!("{table}\n{}\n", settings.join("\n"))).unwrap();
        assert_eq!(import.left_out.len(), settings.len(), "{table}");
    }
}

#[test]
fn nothing_is_said_of_what_is_so_anyway() {
    let text = r#"
        [agent]
          round_interval = true
          debug = false
          quiet = false
          logfile = ""
          logtarget = "stderr"
          logformat = "text"
          logfile_rotation_interval = "0h"
          statefile = ""
          always_include_local_tags = false
          buffer_strategy = "disk_write_through"
          buffer_disk_sync = true
        [[outputs.influxdb]]
          content_encoding = ""
          write_consistency = "any"
          database_tag = ""
          influx_uint_support = false
          user_agent = ""
        [[inputs.nstat]]
          proc_net_netstat = ""
          time_source = "metric"
          metricpass = ""
        [[inputs.system]]
        [[inputs.docker]]
          tls_ca = ""
    "#;
    assert_eq!(import(text).unwrap().left_out, [""; 0]);
}

//! `[agent]`: what the agent measures, when, and where it sends it.
//!
//! A collector's table, `[agent.collect.cpu]` for one, switches it on or off, gives it times of its own, and
//! holds its options under Telegraf's names in kebab-case.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use tandem_agent::{
    CgroupOptions, Collectors, Config as Run, DockerOptions, Hostname, MemUsed, Sampling, Timing,
};
use tandem_http::{ClientTls, ClientTlsConfig, Credentials, Secret, Url};

use crate::units::{DurationText, SecretText, SizeText};

/// `[agent]`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct AgentSection {
    /// A configuration of Telegraf that stands before all of this.
    pub(crate) telegraf_config: Option<PathBuf>,
    pub(crate) relays: Vec<String>,
    pub(crate) interval: Option<DurationText>,
    pub(crate) offset: Option<DurationText>,
    pub(crate) jitter: Option<DurationText>,
    pub(crate) precision: Option<DurationText>,
    pub(crate) database: Option<String>,
    pub(crate) retention_policy: Option<String>,
    pub(crate) create_database: Option<bool>,
    pub(crate) hostname: Option<String>,
    pub(crate) omit_hostname: Option<bool>,
    pub(crate) global_tags: BTreeMap<String, String>,
    /// Time between samples of those that are sampled more often than they report.
    pub(crate) sample_interval: Option<DurationText>,
    pub(crate) sample_collectors: Option<Vec<String>>,
    pub(crate) series_max: Option<usize>,
    pub(crate) cpu_percent_max: Option<f64>,
    pub(crate) process_bytes_max: Option<SizeText>,
    pub(crate) flush_interval: Option<DurationText>,
    pub(crate) flush_jitter: Option<DurationText>,
    pub(crate) request_timeout: Option<DurationText>,
    pub(crate) memory_bytes_max: Option<SizeText>,
    pub(crate) drain_bytes_per_s: Option<SizeText>,
    pub(crate) spool_bytes_max: Option<SizeText>,
    pub(crate) spool_age_max: Option<DurationText>,
    pub(crate) spool_free_bytes_min: Option<SizeText>,
    pub(crate) gzip: Option<bool>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<SecretText>,
    /// Goes over user and password.
    pub(crate) token: Option<SecretText>,
    pub(crate) tls_ca: Option<PathBuf>,
    pub(crate) tls_certificate: Option<PathBuf>,
    pub(crate) tls_private_key: Option<PathBuf>,
    pub(crate) tls_server_name: Option<String>,
    pub(crate) tls_insecure_skip_verify: Option<bool>,
    pub(crate) collect: CollectSection,
}

/// What every collector's table has.
#[derive(Clone, Copy, Debug, Default)]
struct Common {
    enabled: Option<bool>,
    timing: Timing,
}

/// Declares a collector's table: what every collector has, and its own options. `serde` cannot refuse unknown
/// keys of a struct that is flattened into another.
macro_rules! collector {
    ($name:ident { $($field:ident: $type:ty),* $(,)? }) => {
        /// One collector.
        #[derive(Clone, Debug, Default, Deserialize, Serialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
        pub(crate) struct $name {
            enabled: Option<bool>,
            interval: Option<DurationText>,
            offset: Option<DurationText>,
            jitter: Option<DurationText>,
            $($field: Option<$type>,)*
        }

        impl $name {
            fn common(&self) -> Common {
                let duration = |text: Option<DurationText>| text.map(|text| text.0);
                Common {
                    enabled: self.enabled,
                    timing: Timing {
                        interval: duration(self.interval),
                        offset: duration(self.offset),
                        jitter: duration(self.jitter),
                    },
                }
            }
        }
    };
}

collector!(PlainSection {});
collector!(CpuSection {
    percpu: bool,
    totalcpu: bool,
    collect_cpu_time: bool,
    report_active: bool,
});
collector!(MemSection {
    collect_extended: bool,
    used: UsedText,
});
collector!(DiskSection {
    mount_points: Vec<String>,
    ignore_fs: Vec<String>,
    ignore_mount_opts: Vec<String>,
});
collector!(NetSection {
    interfaces: Vec<String>,
    interfaces_exclude: Vec<String>,
    legacy_protocol_stats: bool,
});
collector!(NstatSection { dump_zeros: bool });
collector!(ConntrackSection {
    all: bool,
    percpu: bool,
});
collector!(InterruptsSection { per_cpu: bool });
collector!(DockerSection {
    endpoint: String,
    container_name_include: Vec<String>,
    container_name_exclude: Vec<String>,
    container_state_include: Vec<String>,
    label_include: Vec<String>,
    label_exclude: Vec<String>,
    tag_env: Vec<String>,
    storage_objects: Vec<String>,
    source_tag: bool,
    perdevice_cpu: bool,
    perdevice_network: bool,
    perdevice_blkio: bool,
    without_engine: bool,
});
collector!(CgroupSection {
    paths: Vec<String>,
    files: Vec<String>,
});

/// What `used` of memory is.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum UsedText {
    /// All that is not available, as Telegraf has it since 1.36.
    Available,
    /// All that is neither free, nor buffer, nor cache, as it had it before.
    Classic,
}

/// `[agent.collect]`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CollectSection {
    cpu: CpuSection,
    mem: MemSection,
    swap: PlainSection,
    disk: DiskSection,
    diskio: PlainSection,
    net: NetSection,
    netstat: PlainSection,
    nstat: NstatSection,
    system: PlainSection,
    processes: PlainSection,
    kernel: PlainSection,
    kernel_vmstat: PlainSection,
    linux_sysctl_fs: PlainSection,
    conntrack: ConntrackSection,
    temp: PlainSection,
    interrupts: InterruptsSection,
    docker: DockerSection,
    cgroup: CgroupSection,
    internal: PlainSection,
}

fn set<T: Clone>(place: &mut T, value: &Option<T>) {
    if let Some(value) = value {
        place.clone_from(value);
    }
}

/// The options of a collector, where it is to run.
fn options<T: Default>(place: &mut Option<T>, common: Common) -> Option<&mut T> {
    match common.enabled {
        Some(false) => *place = None,
        Some(true) => {
            place.get_or_insert_default();
        }
        None => {}
    }
    place.as_mut()
}

impl CollectSection {
    /// Changes `run` as the tables say.
    fn apply(&self, run: &mut Collectors) {
        for (place, section) in [
            (&mut run.swap, &self.swap),
            (&mut run.diskio, &self.diskio),
            (&mut run.netstat, &self.netstat),
            (&mut run.system, &self.system),
            (&mut run.processes, &self.processes),
            (&mut run.kernel, &self.kernel),
            (&mut run.kernel_vmstat, &self.kernel_vmstat),
            (&mut run.linux_sysctl_fs, &self.linux_sysctl_fs),
            (&mut run.temp, &self.temp),
            (&mut run.internal, &self.internal),
        ] {
            set(place, &section.enabled);
        }
        if let Some(cpu) = options(&mut run.cpu, self.cpu.common()) {
            set(&mut cpu.percpu, &self.cpu.percpu);
            set(&mut cpu.totalcpu, &self.cpu.totalcpu);
            set(&mut cpu.collect_cpu_time, &self.cpu.collect_cpu_time);
            set(&mut cpu.report_active, &self.cpu.report_active);
        }
        if let Some(mem) = options(&mut run.mem, self.mem.common()) {
            set(&mut mem.collect_extended, &self.mem.collect_extended);
            if let Some(used) = self.mem.used {
                mem.used = match used {
                    UsedText::Available => MemUsed::Available,
                    UsedText::Classic => MemUsed::Classic,
                };
            }
        }
        if let Some(disk) = options(&mut run.disk, self.disk.common()) {
            set(&mut disk.mount_points, &self.disk.mount_points);
            set(&mut disk.ignore_fs, &self.disk.ignore_fs);
            set(&mut disk.ignore_mount_opts, &self.disk.ignore_mount_opts);
        }
        if let Some(net) = options(&mut run.net, self.net.common()) {
            set(&mut net.interfaces.include, &self.net.interfaces);
            set(&mut net.interfaces.exclude, &self.net.interfaces_exclude);
            set(
                &mut net.legacy_protocol_stats,
                &self.net.legacy_protocol_stats,
            );
        }
        if let Some(nstat) = options(&mut run.nstat, self.nstat.common()) {
            set(&mut nstat.dump_zeros, &self.nstat.dump_zeros);
        }
        if let Some(conntrack) = options(&mut run.conntrack, self.conntrack.common()) {
            set(&mut conntrack.all, &self.conntrack.all);
            set(&mut conntrack.percpu, &self.conntrack.percpu);
        }
        if let Some(interrupts) = options(&mut run.interrupts, self.interrupts.common()) {
            set(&mut interrupts.per_cpu, &self.interrupts.per_cpu);
        }
        if let Some(docker) = options(&mut run.docker, self.docker.common()) {
            self.docker.apply(docker);
        }
        if let Some(cgroup) = options::<CgroupOptions>(&mut run.cgroup, self.cgroup.common()) {
            set(&mut cgroup.paths, &self.cgroup.paths);
            set(&mut cgroup.files, &self.cgroup.files);
        }
        for (name, common) in self.commons() {
            if common.timing != Timing::default() {
                run.timings.insert(name.to_owned(), common.timing);
            }
        }
    }

    fn commons(&self) -> [(&'static str, Common); 19] {
        [
            ("cpu", self.cpu.common()),
            ("mem", self.mem.common()),
            ("swap", self.swap.common()),
            ("disk", self.disk.common()),
            ("diskio", self.diskio.common()),
            ("net", self.net.common()),
            ("netstat", self.netstat.common()),
            ("nstat", self.nstat.common()),
            ("system", self.system.common()),
            ("processes", self.processes.common()),
            ("kernel", self.kernel.common()),
            ("kernel_vmstat", self.kernel_vmstat.common()),
            ("linux_sysctl_fs", self.linux_sysctl_fs.common()),
            ("conntrack", self.conntrack.common()),
            ("temp", self.temp.common()),
            ("interrupts", self.interrupts.common()),
            ("docker", self.docker.common()),
            ("cgroup", self.cgroup.common()),
            ("internal", self.internal.common()),
        ]
    }
}

impl DockerSection {
    fn apply(&self, docker: &mut DockerOptions) {
        if let Some(endpoint) = &self.endpoint {
            docker.endpoint = (endpoint != "off").then(|| endpoint.clone());
        }
        set(&mut docker.containers.include, &self.container_name_include);
        set(&mut docker.containers.exclude, &self.container_name_exclude);
        set(&mut docker.states, &self.container_state_include);
        set(&mut docker.labels.include, &self.label_include);
        set(&mut docker.labels.exclude, &self.label_exclude);
        set(&mut docker.tag_env, &self.tag_env);
        set(&mut docker.storage_objects, &self.storage_objects);
        set(&mut docker.source_tag, &self.source_tag);
        set(&mut docker.perdevice_cpu, &self.perdevice_cpu);
        set(&mut docker.perdevice_network, &self.perdevice_network);
        set(&mut docker.perdevice_blkio, &self.perdevice_blkio);
        set(&mut docker.without_engine, &self.without_engine);
    }
}

impl AgentSection {
    /// Changes `run` as the section says; what the section leaves open stays.
    ///
    /// # Errors
    /// For addresses and certificates that cannot be used.
    pub(crate) fn apply(&self, run: &mut Run) -> anyhow::Result<()> {
        if !self.relays.is_empty() {
            let parse = |text: &String| Url::parse(text).with_context(|| format!("relay {text:?}"));
            run.relays = self
                .relays
                .iter()
                .map(parse)
                .collect::<anyhow::Result<_>>()?;
        }
        let duration = |text: &Option<DurationText>| text.map(|text| text.0);
        set(&mut run.interval, &duration(&self.interval));
        set(&mut run.offset, &duration(&self.offset));
        set(&mut run.jitter, &duration(&self.jitter));
        run.precision = duration(&self.precision).or(run.precision);
        set(&mut run.database, &self.database);
        if self.retention_policy.is_some() {
            run.retention_policy.clone_from(&self.retention_policy);
        }
        if let Some(hostname) = &self.hostname {
            run.hostname = Hostname::Is(hostname.clone());
        }
        if self.omit_hostname == Some(true) {
            run.hostname = Hostname::Omit;
        }
        for (key, value) in &self.global_tags {
            run.global_tags.retain(|(known, _)| known != key);
            run.global_tags.push((key.clone(), value.clone()));
        }
        if let Some(every) = duration(&self.sample_interval) {
            let names = self.sample_collectors.clone();
            let default = || Sampling::COLLECTORS.map(str::to_owned).into();
            run.sampling = Some(Sampling {
                every,
                collectors: names.unwrap_or_else(default),
            });
        }
        set(&mut run.series_max, &self.series_max);
        set(&mut run.budget.cpu_percent, &self.cpu_percent_max);
        if let Some(size) = self.process_bytes_max {
            run.budget.memory_bytes = Some(size.0);
        }
        self.collect.apply(&mut run.collectors);
        self.apply_output(run)
    }

    fn apply_output(&self, run: &mut Run) -> anyhow::Result<()> {
        let output = &mut run.output;
        let duration = |text: &Option<DurationText>| text.map(|text| text.0);
        let size = |text: &Option<SizeText>| text.map(|text| text.0);
        set(&mut output.create_database, &self.create_database);
        set(&mut output.flush_interval, &duration(&self.flush_interval));
        set(&mut output.flush_jitter, &duration(&self.flush_jitter));
        set(
            &mut output.request_timeout,
            &duration(&self.request_timeout),
        );
        if let Some(SizeText(bytes)) = self.memory_bytes_max {
            output.memory_bytes_max = usize::try_from(bytes).context("memory-bytes-max")?;
        }
        set(
            &mut output.drain_bytes_per_second,
            &size(&self.drain_bytes_per_s),
        );
        set(&mut output.spool_bytes_max, &size(&self.spool_bytes_max));
        set(&mut output.spool_age_max, &duration(&self.spool_age_max));
        set(
            &mut output.spool_free_bytes_min,
            &size(&self.spool_free_bytes_min),
        );
        output.gzip = self.gzip.or(output.gzip);
        match (&self.user, &self.password) {
            (Some(name), Some(SecretText(password))) => {
                output.credentials = Some(Credentials::User {
                    name: name.clone(),
                    password: Secret::new(password.clone()),
                });
            }
            (None, None) => {}
            _ => bail!("[agent] user and password belong together; give both or none"),
        }
        if let Some(SecretText(token)) = &self.token {
            output.token = Some(Secret::new(token.clone()));
        }
        let tls = ClientTlsConfig {
            ca: self.tls_ca.clone(),
            certificate: self.tls_certificate.clone(),
            private_key: self.tls_private_key.clone(),
            server_name: self.tls_server_name.clone(),
            insecure_skip_verify: self.tls_insecure_skip_verify.unwrap_or(false),
        };
        if tls != ClientTlsConfig::default() {
            output.tls = ClientTls::load(tls).context("[agent] tls")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

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
}

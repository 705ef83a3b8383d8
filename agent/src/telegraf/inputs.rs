//! `[[inputs.*]]`: Telegraf's inputs that this agent has, option by option.

use std::time::Duration;

use super::TelegrafError;
use super::section::Section;
use crate::collect::{
    CgroupOptions, Collectors, ConntrackOptions, CpuOptions, DiskOptions, DockerOptions,
    InterruptsOptions, MemOptions, NetOptions, NstatOptions, Timing,
};
use crate::glob::Filter;

/// Reads one input.
pub(super) fn read(
    name: &str,
    section: &mut Section<'_>,
    all: &mut Collectors,
) -> Result<(), TelegrafError> {
    timing(name, section, all)?;
    match name {
        "cpu" => {
            let mut options = CpuOptions::default();
            section.boolean("percpu", &mut options.percpu)?;
            section.boolean("totalcpu", &mut options.totalcpu)?;
            section.boolean("collect_cpu_time", &mut options.collect_cpu_time)?;
            section.boolean("report_active", &mut options.report_active)?;
            all.cpu = Some(options);
        }
        "mem" => {
            let mut options = MemOptions::default();
            section.boolean("collect_extended", &mut options.collect_extended)?;
            all.mem = Some(options);
        }
        "swap" => all.swap = true,
        "system" => all.system = true,
        "processes" => all.processes = true,
        "kernel" => all.kernel = true,
        "kernel_vmstat" => all.kernel_vmstat = true,
        "linux_sysctl_fs" => all.linux_sysctl_fs = true,
        "netstat" => all.netstat = true,
        "diskio" => all.diskio = true,
        "temp" => all.temp = true,
        "internal" => all.internal = true,
        "disk" => {
            let mut options = DiskOptions {
                // Telegraf leaves none out unless its configuration says so.
                ignore_fs: Vec::new(),
                ..DiskOptions::default()
            };
            section.texts("mount_points", &mut options.mount_points)?;
            section.texts("ignore_fs", &mut options.ignore_fs)?;
            section.texts("ignore_mount_opts", &mut options.ignore_mount_opts)?;
            all.disk = Some(options);
        }
        "net" => {
            let mut options = NetOptions {
                interfaces: Filter::default(),
                ..NetOptions::default()
            };
            section.texts("interfaces", &mut options.interfaces.include)?;
            let mut ignore = false;
            section.boolean("ignore_protocol_stats", &mut ignore)?;
            options.legacy_protocol_stats = !ignore;
            all.net = Some(options);
        }
        "nstat" => {
            let mut options = NstatOptions { dump_zeros: false };
            section.boolean("dump_zeros", &mut options.dump_zeros)?;
            all.nstat = Some(options);
        }
        "conntrack" => {
            let mut collect = Vec::new();
            section.texts("collect", &mut collect)?;
            // Where they lie is known.
            section.forget("files");
            section.forget("dirs");
            all.conntrack = Some(ConntrackOptions {
                all: collect.iter().any(|what| what == "all"),
                percpu: collect.iter().any(|what| what == "percpu"),
            });
        }
        "interrupts" => {
            let mut as_tag = false;
            section.boolean("cpu_as_tag", &mut as_tag)?;
            if as_tag {
                section.leave_out("cpu_as_tag", "processors are fields");
            }
            all.interrupts = Some(InterruptsOptions { per_cpu: true });
        }
        "docker" => all.docker = Some(docker(section)?),
        "cgroup" => {
            let mut options = CgroupOptions::default();
            section.texts("paths", &mut options.paths)?;
            section.texts("files", &mut options.files)?;
            all.cgroup = Some(options);
        }
        _ => {
            section.leave_out_whole("there is no such collector");
            all.timings.remove(name);
            return Ok(());
        }
    }
    section.finish();
    Ok(())
}

fn timing(
    name: &str,
    section: &mut Section<'_>,
    all: &mut Collectors,
) -> Result<(), TelegrafError> {
    let mut take = |key: &str| -> Result<Option<Duration>, TelegrafError> {
        if !section.has(key) {
            return Ok(None);
        }
        let mut duration = Duration::ZERO;
        section.duration(key, &mut duration)?;
        Ok(Some(duration))
    };
    let timing = Timing {
        interval: take("interval")?.filter(|interval| !interval.is_zero()),
        offset: take("collection_offset")?,
        jitter: take("collection_jitter")?,
    };
    if timing != Timing::default() {
        all.timings.insert(name.to_owned(), timing);
    }
    Ok(())
}

fn docker(section: &mut Section<'_>) -> Result<DockerOptions, TelegrafError> {
    let mut options = DockerOptions::default();
    let mut endpoint = DockerOptions::ENDPOINT.to_owned();
    section.text("endpoint", &mut endpoint)?;
    if endpoint == "ENV" {
        section.leave_out("endpoint", "`ENV` is not read; the usual socket is asked");
        endpoint = DockerOptions::ENDPOINT.to_owned();
    }
    options.endpoint = Some(endpoint);
    section.texts("container_name_include", &mut options.containers.include)?;
    section.texts("container_name_exclude", &mut options.containers.exclude)?;
    section.texts("container_state_include", &mut options.states)?;
    if options.states.is_empty() {
        options.states = DockerOptions::default().states;
    }
    section.texts("docker_label_include", &mut options.labels.include)?;
    section.texts("docker_label_exclude", &mut options.labels.exclude)?;
    section.texts("tag_env", &mut options.tag_env)?;
    section.texts("storage_objects", &mut options.storage_objects)?;
    section.boolean("source_tag", &mut options.source_tag)?;
    let mut perdevice = vec!["cpu".to_owned()];
    section.texts("perdevice_include", &mut perdevice)?;
    let has = |what: &str| perdevice.iter().any(|name| name == what);
    options.perdevice_cpu = has("cpu");
    options.perdevice_network = has("network");
    options.perdevice_blkio = has("blkio");
    // Sums are always there, services come from the leader, and nobody waits for the engine.
    for key in [
        "total_include",
        "total",
        "perdevice",
        "gather_services",
        "timeout",
    ] {
        section.forget(key);
    }
    Ok(options)
}

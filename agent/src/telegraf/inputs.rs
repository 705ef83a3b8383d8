//! `[[inputs.*]]`: Telegraf's inputs that this agent has, option by option.

use toml::Value;

use super::section::{Section, is_none, is_text};
use super::{TelegrafError, docker, lines};
use crate::collect::{
    CgroupOptions, Collectors, ConntrackOptions, CpuOptions, DiskIoOptions, DiskOptions,
    InternalOptions, InterruptsOptions, KernelOptions, MemOptions, NetOptions, NstatOptions,
    TempFormat, TempOptions,
};
use crate::glob::Filter;

/// Reads one input.
pub(super) fn read(
    name: &str,
    section: &mut Section<'_>,
    all: &mut Collectors,
) -> Result<(), TelegrafError> {
    if !Collectors::NAMES.contains(&name) {
        section.leave_out_whole("there is no such collector");
        return Ok(());
    }
    lines::of_input(name, section, all)?;
    match name {
        "cpu" => {
            let mut options = CpuOptions::default();
            section.boolean("percpu", &mut options.percpu)?;
            section.boolean("totalcpu", &mut options.totalcpu)?;
            section.boolean("collect_cpu_time", &mut options.collect_cpu_time)?;
            section.boolean("report_active", &mut options.report_active)?;
            section.boolean("core_tags", &mut options.core_tags)?;
            all.cpu = Some(options);
        }
        "mem" => {
            let mut options = MemOptions::default();
            section.boolean("collect_extended", &mut options.collect_extended)?;
            all.mem = Some(options);
        }
        "swap" => all.swap = true,
        "system" => {
            let is_legacy = |value: &Value| {
                is_none(value)
                    || value
                        .as_array()
                        .is_some_and(|all| all.iter().all(is_text("legacy")))
            };
            section.leave_out_unless("include", is_legacy, "there are the lines of `legacy`");
            all.system = true;
        }
        "processes" => {
            let why = "processes are counted in /proc";
            section.leave_out_unless("force_ps", is_none, why);
            section.leave_out_unless("use_sudo", is_none, why);
            section.forget("force_proc");
            all.processes = true;
        }
        "kernel" => all.kernel = Some(kernel(section)?),
        "kernel_vmstat" => all.kernel_vmstat = true,
        "linux_sysctl_fs" => all.linux_sysctl_fs = true,
        "netstat" => all.netstat = true,
        "diskio" => {
            let mut options = DiskIoOptions::default();
            section.texts("devices", &mut options.devices)?;
            section.texts("device_tags", &mut options.device_tags)?;
            section.texts("name_templates", &mut options.name_templates)?;
            section.boolean("skip_serial_number", &mut options.skip_serial_number)?;
            all.diskio = Some(options);
        }
        "temp" => all.temp = Some(temp(section)?),
        "internal" => {
            let mut options = InternalOptions {
                // Telegraf tells unless its configuration says otherwise.
                collect_memstats: true,
            };
            section.boolean("collect_memstats", &mut options.collect_memstats)?;
            section.leave_out_unless("collect_gostats", is_none, "there is no Go in it");
            all.internal = Some(options);
        }
        "disk" => {
            let mut options = DiskOptions {
                // Telegraf leaves none out unless its configuration says so.
                ignore_fs: Vec::new(),
                ..DiskOptions::default()
            };
            // Before 0.10.2 it had the other name.
            section.further_texts("mountpoints", &mut options.mount_points)?;
            section.further_texts("mount_points", &mut options.mount_points)?;
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
            for key in ["proc_net_netstat", "proc_net_snmp", "proc_net_snmp6"] {
                section.leave_out_unless(key, is_none, "HOST_PROC says where they are");
            }
            all.nstat = Some(options);
        }
        "conntrack" => {
            let mut collect = Vec::new();
            section.texts("collect", &mut collect)?;
            section.leave_out_unless("files", is_usual(&FILES), "count and max are read");
            section.leave_out_unless("dirs", is_usual(&DIRS), "HOST_PROC says where they are");
            for what in collect
                .iter()
                .filter(|what| !["all", "percpu"].contains(&what.as_str()))
            {
                section.report(&format!("collect, {what},"), "there are all and percpu");
            }
            all.conntrack = Some(ConntrackOptions {
                all: collect.iter().any(|what| what == "all"),
                percpu: collect.iter().any(|what| what == "percpu"),
            });
        }
        "interrupts" => {
            let mut options = InterruptsOptions {
                per_cpu: true,
                ..InterruptsOptions::default()
            };
            section.boolean("cpu_as_tag", &mut options.cpu_as_tag)?;
            all.interrupts = Some(options);
        }
        "docker" => all.docker = Some(docker::read(section)?),
        "cgroup" => {
            let mut options = CgroupOptions::default();
            section.texts("paths", &mut options.paths)?;
            section.texts("files", &mut options.files)?;
            all.cgroup = Some(options);
        }
        // Its name is known, so there is one above.
        _ => {}
    }
    section.finish();
    Ok(())
}

/// What Telegraf's sample of a configuration has for `conntrack`.
const FILES: [&str; 4] = [
    "ip_conntrack_count",
    "ip_conntrack_max",
    "nf_conntrack_count",
    "nf_conntrack_max",
];
const DIRS: [&str; 2] = ["/proc/sys/net/ipv4/netfilter", "/proc/sys/net/netfilter"];

/// Whether a list has nothing but what is usual.
fn is_usual(usual: &[&str]) -> impl Fn(&Value) -> bool {
    let is_among = move |value: &Value| value.as_str().is_some_and(|text| usual.contains(&text));
    move |value| value.as_array().is_some_and(|all| all.iter().all(is_among))
}

fn kernel(section: &mut Section<'_>) -> Result<KernelOptions, TelegrafError> {
    let mut options = KernelOptions::default();
    let mut collect = Vec::new();
    section.texts("collect", &mut collect)?;
    for what in collect {
        match what.as_str() {
            "psi" => options.psi = true,
            "ksm" => options.ksm = true,
            _ => section.report(&format!("collect, {what},"), "there are psi and ksm"),
        }
    }
    Ok(options)
}

fn temp(section: &mut Section<'_>) -> Result<TempOptions, TelegrafError> {
    let mut options = TempOptions::default();
    let mut format = String::new();
    section.text("metric_format", &mut format)?;
    match format.as_str() {
        "v1" => options.format = TempFormat::V1,
        "" | "v2" => {}
        other => section.report(&format!("metric_format, {other},"), "there are v1 and v2"),
    }
    section.boolean("add_device_tag", &mut options.add_device_tag)?;
    section.boolean("always_gather_zones", &mut options.always_gather_zones)?;
    Ok(options)
}

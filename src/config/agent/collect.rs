//! `[agent.collect.*]` and `[agent.output]`: what is measured, and what is asked of the lines.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tandem_agent::{CgroupOptions, Collectors, DockerOptions, MemUsed, Shape, TempFormat, Timing};

use crate::units::DurationText;

/// What every collector's table has.
#[derive(Clone, Copy, Debug, Default)]
struct Common {
    enabled: Option<bool>,
    timing: Timing,
}

/// A collector's table.
trait Collector {
    fn common(&self) -> Common;
    /// Changes `shape` as the table says.
    fn change(&self, shape: &mut Shape);
}

/// Declares a table with what can be asked of lines, and its own keys. `serde` cannot refuse unknown keys of a struct that
/// is flattened into another.
macro_rules! lines {
    ($name:ident { $($field:ident: $type:ty),* $(,)? }) => {
        /// A table that lines are shaped by.
        #[derive(Clone, Debug, Default, Deserialize, Serialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
        pub(crate) struct $name {
            $($field: Option<$type>,)*
            namepass: Option<Vec<String>>,
            namedrop: Option<Vec<String>>,
            tagpass: Option<BTreeMap<String, Vec<String>>>,
            tagdrop: Option<BTreeMap<String, Vec<String>>>,
            #[serde(alias = "fieldpass")]
            fieldinclude: Option<Vec<String>>,
            #[serde(alias = "fielddrop")]
            fieldexclude: Option<Vec<String>>,
            taginclude: Option<Vec<String>>,
            tagexclude: Option<Vec<String>>,
            name_override: Option<String>,
            name_prefix: Option<String>,
            name_suffix: Option<String>,
        }

        impl $name {
            /// Changes `shape` as the table says.
            pub(super) fn shape(&self, shape: &mut Shape) {
                set(&mut shape.names.include, &self.namepass);
                set(&mut shape.names.exclude, &self.namedrop);
                set(&mut shape.tag_pass, &self.tagpass);
                set(&mut shape.tag_drop, &self.tagdrop);
                set(&mut shape.fields.include, &self.fieldinclude);
                set(&mut shape.fields.exclude, &self.fieldexclude);
                set(&mut shape.tags.include, &self.taginclude);
                set(&mut shape.tags.exclude, &self.tagexclude);
                set(&mut shape.name_prefix, &self.name_prefix);
                set(&mut shape.name_suffix, &self.name_suffix);
                if let Some(name) = &self.name_override {
                    shape.name_override = (!name.is_empty()).then(|| name.clone());
                }
            }
        }
    };
}

lines!(OutputSection {});

/// Declares a collector's table: what every collector has, and its own options.
macro_rules! collector {
    ($name:ident { $($field:ident: $type:ty),* $(,)? }) => {
        lines!($name {
            enabled: bool,
            interval: DurationText,
            offset: DurationText,
            jitter: DurationText,
            precision: DurationText,
            tags: BTreeMap<String, String>,
            $($field: $type,)*
        });

        impl Collector for $name {
            fn common(&self) -> Common {
                let duration = |text: Option<DurationText>| text.map(|text| text.0);
                Common {
                    enabled: self.enabled,
                    timing: Timing {
                        interval: duration(self.interval),
                        offset: duration(self.offset),
                        jitter: duration(self.jitter),
                        precision: duration(self.precision),
                    },
                }
            }

            fn change(&self, shape: &mut Shape) {
                self.shape(shape);
                set(&mut shape.further_tags, &self.tags);
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
    core_tags: bool,
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
collector!(DiskIoSection {
    devices: Vec<String>,
    device_tags: Vec<String>,
    name_templates: Vec<String>,
    skip_serial_number: bool,
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
collector!(KernelSection {
    psi: bool,
    ksm: bool,
});
collector!(TempSection {
    metric_format: FormatText,
    add_device_tag: bool,
    always_gather_zones: bool,
});
collector!(InterruptsSection {
    per_cpu: bool,
    cpu_as_tag: bool,
});
collector!(InternalSection {
    collect_memstats: bool
});
collector!(DockerSection {
    endpoint: String,
    container_name_include: Vec<String>,
    container_name_exclude: Vec<String>,
    container_state_include: Vec<String>,
    container_state_exclude: Vec<String>,
    label_include: Vec<String>,
    label_exclude: Vec<String>,
    tag_env: Vec<String>,
    storage_objects: Vec<String>,
    source_tag: bool,
    perdevice_cpu: bool,
    perdevice_network: bool,
    perdevice_blkio: bool,
    total_cpu: bool,
    total_network: bool,
    total_blkio: bool,
    services: bool,
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

/// How sensors are called.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FormatText {
    /// As Telegraf had it before 1.22.4.
    V1,
    /// As it has it since.
    V2,
}

/// `[agent.collect]`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CollectSection {
    cpu: CpuSection,
    mem: MemSection,
    swap: PlainSection,
    disk: DiskSection,
    diskio: DiskIoSection,
    net: NetSection,
    netstat: PlainSection,
    nstat: NstatSection,
    system: PlainSection,
    processes: PlainSection,
    kernel: KernelSection,
    kernel_vmstat: PlainSection,
    linux_sysctl_fs: PlainSection,
    conntrack: ConntrackSection,
    temp: TempSection,
    interrupts: InterruptsSection,
    docker: DockerSection,
    cgroup: CgroupSection,
    internal: InternalSection,
}

pub(super) fn set<T: Clone>(place: &mut T, value: &Option<T>) {
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
    pub(super) fn apply(&self, run: &mut Collectors) {
        for (place, section) in [
            (&mut run.swap, &self.swap),
            (&mut run.netstat, &self.netstat),
            (&mut run.system, &self.system),
            (&mut run.processes, &self.processes),
            (&mut run.kernel_vmstat, &self.kernel_vmstat),
            (&mut run.linux_sysctl_fs, &self.linux_sysctl_fs),
        ] {
            set(place, &section.enabled);
        }
        if let Some(cpu) = options(&mut run.cpu, self.cpu.common()) {
            set(&mut cpu.percpu, &self.cpu.percpu);
            set(&mut cpu.totalcpu, &self.cpu.totalcpu);
            set(&mut cpu.collect_cpu_time, &self.cpu.collect_cpu_time);
            set(&mut cpu.report_active, &self.cpu.report_active);
            set(&mut cpu.core_tags, &self.cpu.core_tags);
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
        if let Some(diskio) = options(&mut run.diskio, self.diskio.common()) {
            set(&mut diskio.devices, &self.diskio.devices);
            set(&mut diskio.device_tags, &self.diskio.device_tags);
            set(&mut diskio.name_templates, &self.diskio.name_templates);
            set(
                &mut diskio.skip_serial_number,
                &self.diskio.skip_serial_number,
            );
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
            set(&mut interrupts.cpu_as_tag, &self.interrupts.cpu_as_tag);
        }
        if let Some(kernel) = options(&mut run.kernel, self.kernel.common()) {
            set(&mut kernel.psi, &self.kernel.psi);
            set(&mut kernel.ksm, &self.kernel.ksm);
        }
        if let Some(temp) = options(&mut run.temp, self.temp.common()) {
            if let Some(format) = self.temp.metric_format {
                temp.format = match format {
                    FormatText::V1 => TempFormat::V1,
                    FormatText::V2 => TempFormat::V2,
                };
            }
            set(&mut temp.add_device_tag, &self.temp.add_device_tag);
            set(
                &mut temp.always_gather_zones,
                &self.temp.always_gather_zones,
            );
        }
        if let Some(internal) = options(&mut run.internal, self.internal.common()) {
            set(
                &mut internal.collect_memstats,
                &self.internal.collect_memstats,
            );
        }
        if let Some(docker) = options(&mut run.docker, self.docker.common()) {
            self.docker.apply(docker);
        }
        if let Some(cgroup) = options::<CgroupOptions>(&mut run.cgroup, self.cgroup.common()) {
            set(&mut cgroup.paths, &self.cgroup.paths);
            set(&mut cgroup.files, &self.cgroup.files);
        }
        for (name, section) in self.sections() {
            let timing = section.common().timing;
            if timing != Timing::default() {
                let known = run.timings.entry(name.to_owned()).or_default();
                *known = Timing {
                    interval: timing.interval.or(known.interval),
                    offset: timing.offset.or(known.offset),
                    jitter: timing.jitter.or(known.jitter),
                    precision: timing.precision.or(known.precision),
                };
            }
            let mut shape = run.shapes.remove(name).unwrap_or_default();
            section.change(&mut shape);
            if shape != Shape::default() {
                run.shapes.insert(name.to_owned(), shape);
            }
        }
    }

    fn sections(&self) -> [(&'static str, &dyn Collector); 19] {
        [
            ("cpu", &self.cpu),
            ("mem", &self.mem),
            ("swap", &self.swap),
            ("disk", &self.disk),
            ("diskio", &self.diskio),
            ("net", &self.net),
            ("netstat", &self.netstat),
            ("nstat", &self.nstat),
            ("system", &self.system),
            ("processes", &self.processes),
            ("kernel", &self.kernel),
            ("kernel_vmstat", &self.kernel_vmstat),
            ("linux_sysctl_fs", &self.linux_sysctl_fs),
            ("conntrack", &self.conntrack),
            ("temp", &self.temp),
            ("interrupts", &self.interrupts),
            ("docker", &self.docker),
            ("cgroup", &self.cgroup),
            ("internal", &self.internal),
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
        set(&mut docker.states.include, &self.container_state_include);
        set(&mut docker.states.exclude, &self.container_state_exclude);
        set(&mut docker.labels.include, &self.label_include);
        set(&mut docker.labels.exclude, &self.label_exclude);
        set(&mut docker.tag_env, &self.tag_env);
        set(&mut docker.storage_objects, &self.storage_objects);
        set(&mut docker.source_tag, &self.source_tag);
        set(&mut docker.perdevice_cpu, &self.perdevice_cpu);
        set(&mut docker.perdevice_network, &self.perdevice_network);
        set(&mut docker.perdevice_blkio, &self.perdevice_blkio);
        set(&mut docker.total_cpu, &self.total_cpu);
        set(&mut docker.total_network, &self.total_network);
        set(&mut docker.total_blkio, &self.total_blkio);
        set(&mut docker.services, &self.services);
        set(&mut docker.without_engine, &self.without_engine);
    }
}

//! Collectors: one file each, which reads the kernel's files and makes lines of them.
//!
//! Names, tags, types and formulas are Telegraf's, so that dashboards made for it stay filled;
//! where a collector differs on purpose, its file says so. A collector reads everything anew at
//! each gather and keeps only what the next one needs to form differences. Strange text and
//! missing files cost the values that they hold and nothing else.

mod cgroup;
mod conntrack;
mod cores;
mod cpu;
mod disk;
mod diskio;
mod docker;
mod internal;
mod interrupts;
mod kernel;
mod kernel_vmstat;
mod linux_sysctl_fs;
mod mem;
mod meminfo;
mod net;
mod netstat;
mod nstat;
mod pressure;
mod processes;
mod sock_diag;
mod source;
mod swap;
mod system;
mod temp;
mod udev;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use cgroup::CgroupOptions;
pub use conntrack::ConntrackOptions;
pub use cpu::CpuOptions;
pub use disk::DiskOptions;
pub use diskio::DiskIoOptions;
pub use docker::DockerOptions;
pub(crate) use docker::host_cpu_ns;
pub use internal::InternalOptions;
pub use interrupts::InterruptsOptions;
pub use kernel::KernelOptions;
pub use mem::{MemOptions, MemUsed};
pub use net::NetOptions;
pub use nstat::NstatOptions;
pub(crate) use source::{Source, Troubles};
pub use temp::{TempFormat, TempOptions};

use crate::batch::Batch;
use crate::counters::Counters;
use crate::roots::Roots;
use crate::shape::Shape;

/// When a gather takes place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moment {
    /// The time that the lines bear: nanoseconds since 1970, rounded to the precision.
    pub(crate) time_ns: i64,
    /// A clock that never jumps, with any origin, for rates.
    pub(crate) monotonic_ns: u64,
}

/// Something that can be measured on this host.
pub(crate) trait Collector: std::fmt::Debug + Send {
    /// The name in the configuration and in logs.
    fn name(&self) -> &'static str;

    /// Appends what can be measured now to `out`.
    ///
    /// # Errors
    /// What could not be read or understood. Everything else is in `out` all the same.
    fn gather(&mut self, roots: &Roots, at: Moment, out: &mut Batch) -> Result<(), Troubles>;
}

/// Which collectors run, and how; `None` and `false` switch one off. The default is all that Telegraf's
/// widely used dashboards show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collectors {
    /// `cpu`.
    pub cpu: Option<CpuOptions>,
    /// `mem`.
    pub mem: Option<MemOptions>,
    /// `swap`.
    pub swap: bool,
    /// `disk`.
    pub disk: Option<DiskOptions>,
    /// `diskio`.
    pub diskio: Option<DiskIoOptions>,
    /// `net`.
    pub net: Option<NetOptions>,
    /// `netstat`.
    pub netstat: bool,
    /// `nstat`.
    pub nstat: Option<NstatOptions>,
    /// `system`.
    pub system: bool,
    /// `processes`.
    pub processes: bool,
    /// `kernel`.
    pub kernel: Option<KernelOptions>,
    /// `kernel_vmstat`.
    pub kernel_vmstat: bool,
    /// `linux_sysctl_fs`.
    pub linux_sysctl_fs: bool,
    /// `conntrack`.
    pub conntrack: Option<ConntrackOptions>,
    /// `temp`.
    pub temp: Option<TempOptions>,
    /// `interrupts` and `soft_interrupts`.
    pub interrupts: Option<InterruptsOptions>,
    /// `docker` and `docker_container_*`.
    pub docker: Option<DockerOptions>,
    /// `cgroup`.
    pub cgroup: Option<CgroupOptions>,
    /// `internal_*`.
    pub internal: Option<InternalOptions>,
    /// When collectors gather that do not follow the agent's interval, by name.
    pub timings: BTreeMap<String, Timing>,
    /// What is asked of lines of single collectors, by name.
    pub shapes: BTreeMap<String, Shape>,
}

/// When one collector gathers, and the times of its lines; what is not given is the agent's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// Time between two gathers.
    pub interval: Option<Duration>,
    /// How far behind a multiple of the interval.
    pub offset: Option<Duration>,
    /// At most so much later, by chance, at each gather.
    pub jitter: Option<Duration>,
    /// What times are rounded to.
    pub precision: Option<Duration>,
}

impl Default for Collectors {
    fn default() -> Self {
        Self {
            cpu: Some(CpuOptions::default()),
            mem: Some(MemOptions::default()),
            swap: true,
            disk: Some(DiskOptions::default()),
            diskio: Some(DiskIoOptions::default()),
            net: Some(NetOptions::default()),
            netstat: true,
            nstat: Some(NstatOptions::default()),
            system: true,
            processes: true,
            kernel: Some(KernelOptions::default()),
            kernel_vmstat: false,
            linux_sysctl_fs: true,
            conntrack: Some(ConntrackOptions::default()),
            temp: Some(TempOptions::default()),
            interrupts: Some(InterruptsOptions::default()),
            docker: Some(DockerOptions::default()),
            cgroup: None,
            internal: Some(InternalOptions::default()),
            timings: BTreeMap::new(),
            shapes: BTreeMap::new(),
        }
    }
}

/// A collector that is switched on.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) collector: Box<dyn Collector>,
    /// All that it was told: two with the same name and the same text do the same.
    pub(crate) options: String,
    pub(crate) timing: Timing,
    /// What is asked of its lines.
    pub(crate) shape: Shape,
}

impl Collectors {
    /// The names that [`Collectors::timings`] and [`Collectors::shapes`] may have.
    pub const NAMES: [&'static str; 19] = [
        "cpu",
        "mem",
        "swap",
        "disk",
        "diskio",
        "net",
        "netstat",
        "nstat",
        "system",
        "processes",
        "kernel",
        "kernel_vmstat",
        "linux_sysctl_fs",
        "conntrack",
        "temp",
        "interrupts",
        "docker",
        "cgroup",
        "internal",
    ];

    /// None at all.
    #[must_use]
    pub fn none() -> Self {
        Self {
            cpu: None,
            mem: None,
            swap: false,
            disk: None,
            diskio: None,
            net: None,
            netstat: false,
            nstat: None,
            system: false,
            processes: false,
            kernel: None,
            kernel_vmstat: false,
            linux_sysctl_fs: false,
            conntrack: None,
            temp: None,
            interrupts: None,
            docker: None,
            cgroup: None,
            internal: None,
            timings: BTreeMap::new(),
            shapes: BTreeMap::new(),
        }
    }

    /// The collectors that are switched on. Those that may have to wait come last, and what the
    /// agent says about itself comes behind all.
    pub(crate) fn choose(&self, counters: &Arc<Counters>, buffer_bytes_max: u64) -> Vec<Chosen> {
        let mut all = Vec::new();
        let mut add = |options: String, collector: Box<dyn Collector>| {
            let timing = self.timings.get(collector.name()).copied();
            let shape = self.shapes.get(collector.name()).cloned();
            all.push(Chosen {
                collector,
                options,
                timing: timing.unwrap_or_default(),
                shape: shape.unwrap_or_default(),
            });
        };
        if let Some(o) = self.cpu {
            add(format!("{o:?}"), Box::new(cpu::Cpu::new(o)));
        }
        if let Some(o) = self.mem {
            add(format!("{o:?}"), Box::new(mem::Mem::new(o)));
        }
        if self.swap {
            add(String::new(), Box::<swap::Swap>::default());
        }
        if self.system {
            add(String::new(), Box::<system::System>::default());
        }
        if let Some(o) = self.kernel {
            add(format!("{o:?}"), Box::new(kernel::Kernel::new(o)));
        }
        if self.processes {
            add(String::new(), Box::new(processes::Processes::new()));
        }
        if let Some(o) = &self.diskio {
            add(format!("{o:?}"), Box::new(diskio::DiskIo::new(o.clone())));
        }
        if let Some(o) = &self.net {
            add(format!("{o:?}"), Box::new(net::Net::new(o.clone())));
        }
        if let Some(o) = self.nstat {
            add(format!("{o:?}"), Box::new(nstat::Nstat::new(o)));
        }
        if self.linux_sysctl_fs {
            add(
                String::new(),
                Box::<linux_sysctl_fs::LinuxSysctlFs>::default(),
            );
        }
        if let Some(o) = self.conntrack {
            add(format!("{o:?}"), Box::new(conntrack::Conntrack::new(o)));
        }
        if let Some(o) = self.interrupts {
            add(format!("{o:?}"), Box::new(interrupts::Interrupts::new(o)));
        }
        if self.kernel_vmstat {
            add(String::new(), Box::<kernel_vmstat::KernelVmstat>::default());
        }
        if self.netstat {
            add(String::new(), Box::<netstat::Netstat>::default());
        }
        if let Some(o) = &self.cgroup {
            add(format!("{o:?}"), Box::new(cgroup::Cgroup::new(o.clone())));
        }
        if let Some(o) = &self.docker {
            add(format!("{o:?}"), Box::new(docker::Docker::new(o.clone())));
        }
        if let Some(o) = self.temp {
            add(format!("{o:?}"), Box::new(temp::Temp::new(o)));
        }
        if let Some(o) = &self.disk {
            add(format!("{o:?}"), Box::new(disk::Disk::new(o.clone())));
        }
        if let Some(o) = self.internal {
            let internal = internal::Internal::new(o, Arc::clone(counters), buffer_bytes_max);
            add(format!("{o:?} {buffer_bytes_max}"), Box::new(internal));
        }
        all
    }
}

#[cfg(test)]
use crate::batch::Tags;
#[cfg(test)]
mod tests;

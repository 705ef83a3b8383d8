//! Collectors: one file each, which reads the kernel's files and makes lines of them.
//!
//! Names, tags, types and formulas are Telegraf's, so that dashboards made for it stay filled;
//! where a collector differs on purpose, its file says so. A collector reads everything anew at
//! each gather and keeps only what the next one needs to form differences. Strange text and
//! missing files cost the values that they hold and nothing else.

mod cpu;
mod disk;
mod diskio;
mod kernel;
mod mem;
mod meminfo;
mod net;
mod processes;
mod source;
mod swap;
mod system;

pub use cpu::CpuOptions;
pub use disk::DiskOptions;
pub use mem::{MemOptions, MemUsed};
pub use net::NetOptions;
pub(crate) use source::Troubles;

use crate::batch::Batch;
use crate::roots::Roots;

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

/// Which collectors run, and how; `None` switches one off. The default is all, as Telegraf does it.
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
    pub diskio: bool,
    /// `net`.
    pub net: Option<NetOptions>,
    /// `system`.
    pub system: bool,
    /// `processes`.
    pub processes: bool,
    /// `kernel`.
    pub kernel: bool,
}

impl Default for Collectors {
    fn default() -> Self {
        Self {
            cpu: Some(CpuOptions::default()),
            mem: Some(MemOptions::default()),
            swap: true,
            disk: Some(DiskOptions::default()),
            diskio: true,
            net: Some(NetOptions::default()),
            system: true,
            processes: true,
            kernel: true,
        }
    }
}

impl Collectors {
    /// The collectors that are switched on. `disk` comes last: it alone may have to wait.
    pub(crate) fn build(&self) -> Vec<Box<dyn Collector>> {
        let mut all: Vec<Box<dyn Collector>> = Vec::new();
        if let Some(options) = self.cpu {
            all.push(Box::new(cpu::Cpu::new(options)));
        }
        if let Some(options) = self.mem {
            all.push(Box::new(mem::Mem::new(options)));
        }
        if self.swap {
            all.push(Box::new(swap::Swap::default()));
        }
        if self.system {
            all.push(Box::new(system::System::default()));
        }
        if self.kernel {
            all.push(Box::new(kernel::Kernel::default()));
        }
        if self.processes {
            all.push(Box::new(processes::Processes::new()));
        }
        if self.diskio {
            all.push(Box::new(diskio::DiskIo::default()));
        }
        if let Some(options) = self.net {
            all.push(Box::new(net::Net::new(options)));
        }
        if let Some(options) = &self.disk {
            all.push(Box::new(disk::Disk::new(options.clone())));
        }
        all
    }
}

#[cfg(test)]
use crate::batch::Tags;
#[cfg(test)]
mod tests;

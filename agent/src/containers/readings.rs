//! The numbers of one container at one moment, in the same form from either version of control
//! groups.

use std::path::{Path, PathBuf};

use super::hierarchy::{Hierarchy, Tree};
use super::{v1, v2};
use crate::collect::Source;

/// What a container used so far and uses now; a part is missing where its controller is, or where
/// the container is gone.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Readings {
    pub(crate) cpu: Option<Cpu>,
    pub(crate) memory: Option<Memory>,
    /// `None` where the controller is missing; empty where the container used no device.
    pub(crate) io: Option<Vec<IoValue>>,
}

/// Time on processors since the container's start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cpu {
    pub(crate) total_ns: u64,
    pub(crate) user_ns: u64,
    pub(crate) system_ns: u64,
    /// Periods of its limit, those in which it was held back, and for how long.
    pub(crate) periods: u64,
    pub(crate) throttled_periods: u64,
    pub(crate) throttled_ns: u64,
    /// By processor; empty with version 2, where the kernel does not tell.
    pub(crate) percpu_ns: Vec<u64>,
}

/// Memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Bytes, without what the kernel would give back first.
    pub(crate) usage: u64,
    /// Bytes; `None` without a limit.
    pub(crate) limit: Option<u64>,
    /// The most that was ever used, where the kernel remembers it.
    pub(crate) peak: Option<u64>,
    /// How often the limit was hit.
    pub(crate) failures: u64,
    /// Processes that were killed for it, where the kernel counts them.
    pub(crate) oom_kills: Option<u64>,
    /// Swapped bytes, where the kernel counts them.
    pub(crate) swap: Option<u64>,
    /// Entries of `memory.stat` under the names of their fields.
    pub(crate) stat: Vec<(&'static str, u64)>,
}

/// One counter of one block device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IoValue {
    /// `major:minor`.
    pub(crate) device: String,
    /// Such as `io_service_bytes_recursive_read`.
    pub(crate) field: String,
    pub(crate) value: u64,
}

/// Reads the container at `path` in every tree.
pub(crate) fn read(hierarchy: &Hierarchy, path: &Path, source: &mut Source) -> Readings {
    let directory = |tree: &Tree| -> PathBuf { tree.root().join(path) };
    let cpu = hierarchy.cpuacct.as_ref().and_then(|tree| match tree {
        Tree::V2(_) => v2::cpu(&directory(tree), source),
        Tree::V1(_) => {
            let limits = hierarchy.cpu.as_ref().map(directory);
            v1::cpu(&directory(tree), limits.as_deref(), source)
        }
    });
    let memory = hierarchy.memory.as_ref().and_then(|tree| match tree {
        Tree::V2(_) => v2::memory(&directory(tree), source),
        Tree::V1(_) => v1::memory(&directory(tree), source),
    });
    let io = hierarchy.io.as_ref().and_then(|tree| match tree {
        Tree::V2(_) => v2::io(&directory(tree), source),
        Tree::V1(_) => v1::io(&directory(tree), source),
    });
    Readings { cpu, memory, io }
}

//! The containers of this host: where they are, what they use, and who they are.
//!
//! ```text
//!  cgroup tree ──> hierarchy, discover ──> readings   numbers, straight from the kernel
//!  Engine API  ──> engine ──> registry                names, labels, states: once, then by events
//!  files of runtimes ──> names                        the same where no daemon answers
//! ```
//!
//! A daemon is never asked for numbers: that costs it a second or two for each container at each
//! gather, and a daemon that hangs would make holes. What always holds:
//! - a container that a daemon knows and one that was only found in the tree give the same lines;
//! - a daemon that is away, hangs or lies costs names and states, never a number.

mod discover;
mod engine;
mod hierarchy;
mod names;
mod network;
mod readings;
mod registry;
mod time;
mod v1;
mod v2;

pub(crate) use discover::{Runtime, Walker};
pub(crate) use engine::{Endpoint, Engine};
pub(crate) use hierarchy::Hierarchy;
pub(crate) use names::Names;
pub(crate) use network::{Traffic, namespace, traffic};
pub(crate) use readings::{Cpu, IoValue, Memory, Readings, read};
#[cfg(test)]
pub(crate) use registry::{ContainerDisk, Health, ImageDisk, VolumeDisk};
pub(crate) use registry::{Died, DiskUsage, EngineInfo, Meta, Registry, Service};

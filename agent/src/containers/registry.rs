//! What is known of containers beside numbers: written by whoever follows the engine, read at each
//! gather.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::readings::Readings;

/// Containers that died since the last gather; of more, the oldest are forgotten.
const DIED_MAX: usize = 1000;

/// Shared between the thread that follows the engine and the collector.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    state: Mutex<State>,
}

/// All that is known.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Whether the engine is followed right now; else what is here is what it said last.
    pub(crate) is_up: bool,
    pub(crate) info: Option<EngineInfo>,
    /// By id.
    pub(crate) containers: BTreeMap<String, Arc<Meta>>,
    /// Containers that died since the last look.
    pub(crate) died: Vec<Died>,
    /// Of the swarm; empty unless this node leads one.
    pub(crate) services: Vec<Service>,
    /// What it takes on disk, until it was reported.
    pub(crate) disk_usage: Option<DiskUsage>,
    /// Why the engine is not followed, until it was said.
    pub(crate) problem: Option<String>,
}

/// The engine, from `GET /info`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EngineInfo {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) cpus: u64,
    pub(crate) file_descriptors: u64,
    pub(crate) goroutines: u64,
    pub(crate) listeners: u64,
    pub(crate) containers: u64,
    pub(crate) running: u64,
    pub(crate) stopped: u64,
    pub(crate) paused: u64,
    pub(crate) images: u64,
    pub(crate) memory_bytes: u64,
}

/// One container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) id: String,
    pub(crate) name: String,
    /// Without its version.
    pub(crate) image: String,
    pub(crate) version: String,
    /// `running`, `exited`, …; empty where nobody tells.
    pub(crate) status: String,
    pub(crate) labels: Vec<(String, String)>,
    /// Variables of its environment that are to be tags.
    pub(crate) env: Vec<(String, String)>,
    /// 0 when it does not run.
    pub(crate) pid: u64,
    pub(crate) exit_code: i64,
    pub(crate) oom_killed: bool,
    pub(crate) restart_count: u64,
    pub(crate) started_ns: Option<i64>,
    pub(crate) finished_ns: Option<i64>,
    pub(crate) health: Option<Health>,
    /// It has the host's network, whose numbers are not its own.
    pub(crate) has_host_network: bool,
    /// Its group, from the top of the tree.
    pub(crate) cgroup: Option<PathBuf>,
}

/// Of a container whose image says how to check it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Health {
    pub(crate) status: String,
    pub(crate) failing_streak: i64,
}

/// A container that died, with the last numbers that its group had.
#[derive(Clone, Debug)]
pub(crate) struct Died {
    /// As it was after its death.
    pub(crate) meta: Arc<Meta>,
    pub(crate) readings: Readings,
    /// Time of all processors of the host at that moment.
    pub(crate) host_cpu_ns: u64,
    /// When it died.
    pub(crate) at_ns: i64,
}

/// A service of a swarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) mode: &'static str,
    pub(crate) tasks_running: u64,
    /// How many there should be; jobs have none.
    pub(crate) tasks_desired: Option<u64>,
    pub(crate) max_concurrent: Option<u64>,
    pub(crate) total_completions: Option<u64>,
}

/// What an engine's things take on disk, in bytes; -1 where it does not know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DiskUsage {
    pub(crate) layers_bytes: i64,
    pub(crate) containers: Vec<ContainerDisk>,
    pub(crate) images: Vec<ImageDisk>,
    pub(crate) volumes: Vec<VolumeDisk>,
}

/// Of one container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ContainerDisk {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) image: String,
    pub(crate) version: String,
    /// What it wrote, and that with its image.
    pub(crate) writable_bytes: i64,
    pub(crate) all_bytes: i64,
}

/// Of one image; without a name where it has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ImageDisk {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) bytes: i64,
    pub(crate) shared_bytes: i64,
}

/// Of one volume.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct VolumeDisk {
    pub(crate) name: String,
    pub(crate) bytes: i64,
}

impl Registry {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(crate) fn note_death(&mut self, died: Died) {
        if self.died.len() >= DIED_MAX {
            self.died.remove(0);
        }
        self.died.push(died);
    }
}

/// Cuts an image's name into name and version, as Telegraf does: a version stands behind the last
/// colon that is not a port's.
pub(crate) fn split_image(image: &str) -> (String, String) {
    let (domain, rest) = match image.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => {
            (Some(first), rest)
        }
        _ => (None, image),
    };
    let (name, version) = rest.rsplit_once(':').unwrap_or((rest, "unknown"));
    let name = domain.map_or_else(|| name.to_owned(), |domain| format!("{domain}/{name}"));
    (name, version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_cut_as_telegraf_cuts_them() {
        for (image, name, version) in [
            ("nginx", "nginx", "unknown"),
            ("nginx:1.25", "nginx", "1.25"),
            ("library/nginx:1.25", "library/nginx", "1.25"),
            ("reg.example:5000/a/b:7", "reg.example:5000/a/b", "7"),
            ("reg.example:5000/a/b", "reg.example:5000/a/b", "unknown"),
            ("localhost/a", "localhost/a", "unknown"),
            ("nginx:1.25@sha256:abc", "nginx:1.25@sha256", "abc"),
            ("sha256:abc", "sha256", "abc"),
            ("", "", "unknown"),
        ] {
            let expected = (name.to_owned(), version.to_owned());
            assert_eq!(split_image(image), expected, "{image}");
        }
    }

    #[test]
    fn the_dead_are_bounded() {
        let mut state = State::default();
        for number in 0..DIED_MAX + 5 {
            state.note_death(Died {
                meta: Arc::default(),
                readings: Readings::default(),
                host_cpu_ns: number as u64,
                at_ns: 0,
            });
        }
        assert_eq!(state.died.len(), DIED_MAX);
        assert_eq!(state.died[0].host_cpu_ns, 5);
    }
}

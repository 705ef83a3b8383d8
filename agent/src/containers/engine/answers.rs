//! What is read of the Engine API's answers (`moby/moby api/types`); everything else in them is
//! passed over. Any part may be missing or null.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::super::registry::{EngineInfo, Health, Meta, Service, split_image};
use super::super::time;

/// Null counts as not being there.
pub(super) fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// `GET /info`
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Info {
    #[serde(deserialize_with = "or_default")]
    name: String,
    #[serde(deserialize_with = "or_default")]
    server_version: String,
    #[serde(rename = "NCPU")]
    cpus: i64,
    #[serde(rename = "NFd")]
    file_descriptors: i64,
    #[serde(rename = "NGoroutines")]
    goroutines: i64,
    #[serde(rename = "NEventsListener")]
    listeners: i64,
    containers: i64,
    containers_running: i64,
    containers_stopped: i64,
    containers_paused: i64,
    images: i64,
    mem_total: i64,
    #[serde(deserialize_with = "or_default")]
    pub(super) swarm: Swarm,
}

/// This node's part in a swarm.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Swarm {
    #[serde(rename = "NodeID", deserialize_with = "or_default")]
    pub(super) node_id: String,
    /// It is a manager.
    pub(super) control_available: bool,
}

/// One of `GET /containers/json`
#[derive(Debug, Deserialize)]
pub(super) struct Listed {
    #[serde(rename = "Id")]
    pub(super) id: String,
}

/// `GET /containers/{id}/json`
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Inspected {
    #[serde(deserialize_with = "or_default")]
    id: String,
    #[serde(deserialize_with = "or_default")]
    name: String,
    restart_count: i64,
    #[serde(deserialize_with = "or_default")]
    config: ContainerConfig,
    #[serde(deserialize_with = "or_default")]
    state: ContainerState,
    #[serde(deserialize_with = "or_default")]
    host_config: HostConfig,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ContainerConfig {
    #[serde(deserialize_with = "or_default")]
    image: String,
    #[serde(deserialize_with = "or_default")]
    labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_default")]
    env: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ContainerState {
    #[serde(deserialize_with = "or_default")]
    status: String,
    #[serde(rename = "OOMKilled")]
    oom_killed: bool,
    pid: i64,
    exit_code: i64,
    #[serde(deserialize_with = "or_default")]
    started_at: String,
    #[serde(deserialize_with = "or_default")]
    finished_at: String,
    health: Option<ContainerHealth>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ContainerHealth {
    #[serde(deserialize_with = "or_default")]
    status: String,
    failing_streak: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct HostConfig {
    #[serde(deserialize_with = "or_default")]
    network_mode: String,
}

/// A line of `GET /events`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Event {
    #[serde(rename = "Action", deserialize_with = "or_default")]
    pub(super) action: String,
    #[serde(rename = "Actor", deserialize_with = "or_default")]
    pub(super) actor: Actor,
    #[serde(rename = "timeNano")]
    pub(super) time_ns: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Actor {
    #[serde(rename = "ID", deserialize_with = "or_default")]
    pub(super) id: String,
    #[serde(rename = "Attributes", deserialize_with = "or_default")]
    pub(super) attributes: Attributes,
}

/// What an event says about its container; much more than what is here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Attributes {
    #[serde(rename = "exitCode", deserialize_with = "or_default")]
    pub(super) exit_code: String,
}

/// `GET /nodes/{id}`
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Node {
    manager_status: Option<ManagerStatus>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ManagerStatus {
    leader: bool,
}

/// One of `GET /services`
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ListedService {
    #[serde(rename = "ID", deserialize_with = "or_default")]
    id: String,
    #[serde(deserialize_with = "or_default")]
    spec: ServiceSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ServiceSpec {
    #[serde(deserialize_with = "or_default")]
    name: String,
    #[serde(deserialize_with = "or_default")]
    mode: ServiceMode,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ServiceMode {
    replicated: Option<Replicated>,
    global: Option<Empty>,
    replicated_job: Option<ReplicatedJob>,
    global_job: Option<Empty>,
}

#[derive(Debug, Default, Deserialize)]
struct Empty {}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Replicated {
    replicas: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ReplicatedJob {
    max_concurrent: Option<u64>,
    total_completions: Option<u64>,
}

/// One of `GET /tasks`
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Task {
    #[serde(rename = "ServiceID", deserialize_with = "or_default")]
    service_id: String,
    #[serde(deserialize_with = "or_default")]
    desired_state: String,
    #[serde(deserialize_with = "or_default")]
    status: TaskStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct TaskStatus {
    #[serde(deserialize_with = "or_default")]
    state: String,
}

fn positive(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

impl Info {
    pub(super) fn engine(&self) -> EngineInfo {
        EngineInfo {
            name: self.name.clone(),
            version: self.server_version.clone(),
            cpus: positive(self.cpus),
            file_descriptors: positive(self.file_descriptors),
            goroutines: positive(self.goroutines),
            listeners: positive(self.listeners),
            containers: positive(self.containers),
            running: positive(self.containers_running),
            stopped: positive(self.containers_stopped),
            paused: positive(self.containers_paused),
            images: positive(self.images),
            memory_bytes: positive(self.mem_total),
        }
    }
}

impl Inspected {
    /// The container, without its group; variables named in `tag_env` are kept.
    pub(super) fn into_meta(self, tag_env: &[String]) -> Meta {
        let (image, version) = split_image(&self.config.image);
        let env = self.config.env.iter().filter_map(|text| {
            let (name, value) = text.split_once('=')?;
            let is_wanted = tag_env.iter().any(|wanted| wanted == name);
            is_wanted.then(|| (name.to_owned(), value.to_owned()))
        });
        Meta {
            env: env.collect(),
            name: self.name.trim_start_matches('/').to_owned(),
            image,
            version,
            status: self.state.status,
            labels: self.config.labels.into_iter().collect(),
            pid: positive(self.state.pid),
            exit_code: self.state.exit_code,
            oom_killed: self.state.oom_killed,
            restart_count: positive(self.restart_count),
            started_ns: time::parse(&self.state.started_at),
            finished_ns: time::parse(&self.state.finished_at),
            health: self.state.health.and_then(|health| {
                // Newer engines say so where nothing is checked.
                let is_checked = !health.status.is_empty() && health.status != "none";
                is_checked.then_some(Health {
                    status: health.status,
                    failing_streak: health.failing_streak,
                })
            }),
            has_host_network: self.host_config.network_mode == "host",
            cgroup: None,
            id: self.id,
        }
    }
}

impl Node {
    pub(super) fn leads(&self) -> bool {
        self.manager_status
            .as_ref()
            .is_some_and(|status| status.leader)
    }
}

/// Services with the numbers of their tasks (`influxdata/telegraf plugins/inputs/docker`,
/// `gatherSwarmInfo`).
pub(super) fn count_tasks(services: Vec<ListedService>, tasks: &[Task]) -> Vec<Service> {
    let count = |id: &str, wanted: &dyn Fn(&Task) -> bool| {
        let of_service = tasks.iter().filter(|task| task.service_id == id);
        of_service.filter(|task| wanted(task)).count() as u64
    };
    let make = |service: ListedService| {
        let id = service.id;
        let running = count(&id, &|task| task.status.state == "running");
        let mode = service.spec.mode;
        let (name, desired, job) = if let Some(replicated) = mode.replicated {
            ("replicated", replicated.replicas, None)
        } else if mode.global.is_some() {
            let desired = count(&id, &|task| task.desired_state != "shutdown");
            ("global", Some(desired), None)
        } else if let Some(job) = mode.replicated_job {
            ("replicated_job", None, Some(job))
        } else if mode.global_job.is_some() {
            ("global_job", None, None)
        } else {
            return None;
        };
        let job = job.unwrap_or_default();
        Some(Service {
            id,
            name: service.spec.name,
            mode: name,
            tasks_running: running,
            tasks_desired: desired,
            max_concurrent: job.max_concurrent,
            total_completions: job.total_completions,
        })
    };
    services.into_iter().filter_map(make).collect()
}

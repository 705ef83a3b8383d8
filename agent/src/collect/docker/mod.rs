//! `docker` and `docker_container_*`: what each container uses and what became of it
//! (`influxdata/telegraf plugins/inputs/docker`).
//!
//! Names, tags and types are Telegraf's. The numbers come from the kernel and not from the engine,
//! so that these differ, on purpose:
//! - `usage_percent` is taken over the whole interval, not over the second that the engine looked;
//!   so it is absent from a container's first line.
//! - With control groups of version 2 there are also the peak of memory (`max_usage`, which Docker
//!   leaves 0), operations beside bytes, and `cache`, `rss` and `mapped_file` under their names of
//!   version 1. `oom_kills` and `swap` are new.
//! - A container that ended since the last gather has a last line of each kind, of the moment of
//!   its end.
//! - Containers that no engine tells of (containerd, CRI-O, Podman, LXC) are reported all the same.
//! - `docker_swarm` is on by default: of all nodes the one that leads the swarm reports it.

mod host;
mod lines;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use self::lines::{Sample, Writer};
use super::source::{Source, SourceError, Troubles};
use super::{Collector, Moment};
use crate::batch::Batch;
use crate::containers::{
    Died, Endpoint, Engine, EngineInfo, Hierarchy, Meta, Names, Registry, Runtime, Walker,
    namespace, read, traffic,
};
use crate::glob::Filter;
use crate::roots::Roots;

pub(crate) use self::host::host_cpu_ns;

/// What `docker` emits; the default is that of Telegraf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DockerOptions {
    /// Where the engine listens, `unix:///path` or `tcp://host:port`; `None` asks nobody.
    pub endpoint: Option<String>,
    /// Containers by name.
    pub containers: Filter,
    /// Labels that are tags, by key.
    pub labels: Filter,
    /// Variables of a container's environment that are tags.
    pub tag_env: Vec<String>,
    /// States whose containers are reported, such as `running` and `exited`.
    pub states: Filter,
    /// Of these it is reported what they take on disk: `container`, `image`, `volume`.
    pub storage_objects: Vec<String>,
    /// The tag `source`: the first twelve digits of the id.
    pub source_tag: bool,
    /// A line for each processor; only with control groups of version 1.
    pub perdevice_cpu: bool,
    /// A line for each network interface beside the sum.
    pub perdevice_network: bool,
    /// A line for each block device beside the sum.
    pub perdevice_blkio: bool,
    /// The line `cpu=cpu-total`.
    pub total_cpu: bool,
    /// The line `network=total`.
    pub total_network: bool,
    /// The line `device=total`.
    pub total_blkio: bool,
    /// `docker_swarm`, where this node leads a swarm.
    pub services: bool,
    /// Also containers that no engine tells of.
    pub without_engine: bool,
}

impl DockerOptions {
    /// Default of [`DockerOptions::endpoint`].
    pub const ENDPOINT: &'static str = "unix:///var/run/docker.sock";

    /// Default of [`DockerOptions::states`].
    #[must_use]
    pub fn running() -> Filter {
        Filter {
            include: vec!["running".to_owned()],
            exclude: Vec::new(),
        }
    }
}

impl Default for DockerOptions {
    fn default() -> Self {
        Self {
            endpoint: Some(Self::ENDPOINT.to_owned()),
            containers: Filter::default(),
            labels: Filter::default(),
            tag_env: Vec::new(),
            states: Self::running(),
            storage_objects: Vec::new(),
            source_tag: false,
            perdevice_cpu: true,
            perdevice_network: false,
            perdevice_blkio: false,
            total_cpu: true,
            total_network: true,
            total_blkio: true,
            services: true,
            without_engine: true,
        }
    }
}

/// The collector of `docker` and `docker_container_*`.
#[derive(Debug)]
pub(crate) struct Docker {
    options: DockerOptions,
    registry: Arc<Registry>,
    /// Started at the first gather.
    engine: Option<Engine>,
    is_engine_refused: bool,
    hierarchy: Option<Hierarchy>,
    walker: Walker,
    names: Names,
    source: Source,
    /// Time of a container and of the host at the last gather, by id.
    last: HashMap<String, (u64, u64)>,
}

/// What all containers of one gather share.
struct Scene<'a> {
    roots: &'a Roots,
    host: host::Host,
    at: Moment,
    /// Networks whose numbers were reported.
    networks: HashSet<PathBuf>,
}

impl Docker {
    pub(crate) fn new(options: DockerOptions) -> Self {
        Self::with_registry(options, Arc::default())
    }

    pub(super) fn with_registry(options: DockerOptions, registry: Arc<Registry>) -> Self {
        Self {
            options,
            registry,
            engine: None,
            is_engine_refused: false,
            hierarchy: None,
            walker: Walker::default(),
            names: Names::default(),
            source: Source::default(),
            last: HashMap::new(),
        }
    }

    /// Starts to follow the engine, once.
    fn follow(&mut self, roots: &Roots) -> Result<(), SourceError> {
        let Some(endpoint) = &self.options.endpoint else {
            return Ok(());
        };
        if self.engine.is_some() || self.is_engine_refused {
            return Ok(());
        }
        let other = |what: String| SourceError::Other { what };
        self.is_engine_refused = true;
        let endpoint = Endpoint::parse(endpoint).map_err(|error| other(error.to_string()))?;
        let engine = Engine::start(
            endpoint,
            Arc::clone(&self.registry),
            roots.clone(),
            self.options.tag_env.clone(),
            !self.options.storage_objects.is_empty(),
        );
        self.engine = Some(engine.map_err(|error| other(format!("follow the engine: {error}")))?);
        Ok(())
    }

    /// Containers that the tree has and the engine does not tell of.
    fn strangers(&mut self, known: &HashSet<String>, roots: &Roots, at: Moment) -> Vec<Arc<Meta>> {
        let top: Option<PathBuf> = self
            .hierarchy
            .as_ref()
            .and_then(Hierarchy::walked)
            .map(Into::into);
        let Some(top) = top.filter(|_| self.options.without_engine) else {
            return Vec::new();
        };
        let is_up = self.registry.lock().is_up;
        let mut found = self.walker.find(&top, at.monotonic_ns).to_vec();
        // What the engine runs and does not tell of yet, it will tell of.
        found.retain(|found| {
            !(known.contains(&found.id) || (is_up && found.runtime == Runtime::Docker))
        });
        let metas = found
            .iter()
            .map(|found| self.names.of(found, roots, &mut self.source))
            .collect();
        self.names
            .keep(|id| found.iter().any(|found| found.id == id));
        metas
    }

    /// A process of the container: the engine's, or the first of its group.
    fn pid(&mut self, meta: &Meta) -> Option<u64> {
        if meta.pid != 0 {
            return Some(meta.pid);
        }
        let top = self.hierarchy.as_ref()?.walked()?.to_path_buf();
        let mut open = vec![top.join(meta.cgroup.as_ref()?)];
        // Processes may lie in groups below: of a systemd inside, or Podman's `container`.
        const LOOKED_AT_MAX: usize = 32;
        for _ in 0..LOOKED_AT_MAX {
            let directory = open.pop()?;
            let text = self.source.read_optional(&directory.join("cgroup.procs"));
            if let Some(pid) = text
                .and_then(|text| crate::text::lines(text).next())
                .and_then(crate::text::unsigned)
                .filter(|pid| *pid != 0)
            {
                return Some(pid);
            }
            if let Ok(entries) = std::fs::read_dir(&directory) {
                let is_dir =
                    |entry: &std::fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
                open.extend(entries.flatten().filter(is_dir).map(|entry| entry.path()));
            }
        }
        None
    }

    fn report(
        &mut self,
        meta: &Meta,
        is_engines: bool,
        scene: &mut Scene<'_>,
        out: &mut Writer<'_, '_>,
    ) {
        let (roots, host) = (scene.roots, scene.host);
        let mut sample = Sample::default();
        let Some(hierarchy) = &self.hierarchy else {
            return;
        };
        if let Some(path) = &meta.cgroup {
            sample.readings = read(hierarchy, path, &mut self.source);
        }
        sample.usage_percent = self.usage_percent(meta, &sample, host);
        if !meta.has_host_network
            && let Some(pid) = self.pid(meta)
        {
            let network = namespace(roots, pid);
            let is_hosts = network.is_some() && network == namespace(roots, 1);
            // Of containers that share one, as those of a pod do, the first has its numbers; an
            // engine gives them to each that it knows.
            let is_new = network.is_none_or(|network| scene.networks.insert(network));
            if !is_hosts && (is_new || is_engines) {
                sample.traffic = traffic(roots, pid, &mut self.source);
            }
        }
        out.container(meta, &sample, host, scene.at.time_ns);
        let has_stopped = !matches!(meta.status.as_str(), "" | "running" | "paused");
        if has_stopped && sample.readings.memory.is_none() {
            out.no_memory(meta, scene.at.time_ns);
        }
    }

    /// The share of one processor since the last gather.
    fn usage_percent(&mut self, meta: &Meta, sample: &Sample, host: host::Host) -> Option<f64> {
        let total_ns = sample.readings.cpu.as_ref()?.total_ns;
        let now = (total_ns, host.cpu_ns);
        let last = self.last.insert(meta.id.clone(), now)?;
        Some(host.share(last, now))
    }

    fn report_dead(&mut self, died: Died, host: host::Host, out: &mut Writer<'_, '_>) {
        let host = host::Host {
            cpu_ns: died.host_cpu_ns.max(1),
            ..host
        };
        let total_ns = died.readings.cpu.as_ref().map(|cpu| cpu.total_ns);
        let last = self.last.remove(&died.meta.id);
        let usage_percent = last
            .zip(total_ns)
            .map(|(last, total_ns)| host.share(last, (total_ns, host.cpu_ns)));
        let sample = Sample {
            readings: died.readings,
            usage_percent,
            traffic: None,
        };
        out.container(&died.meta, &sample, host, died.at_ns);
    }
}

impl Collector for Docker {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn gather(&mut self, roots: &Roots, at: Moment, out: &mut Batch) -> Result<(), Troubles> {
        let mut troubles = Troubles::default();
        troubles.note(self.follow(roots));
        if self.hierarchy.is_none() {
            self.hierarchy = Some(Hierarchy::detect(roots, &mut self.source));
        }
        let (info, engines, died, services, disk_usage) = {
            let mut state = self.registry.lock();
            if let Some(problem) = state.problem.take() {
                troubles.add(SourceError::Other { what: problem });
            }
            let engines: Vec<Arc<Meta>> = state.containers.values().cloned().collect();
            let info: Option<EngineInfo> = state.info.clone();
            let died = std::mem::take(&mut state.died);
            let disk_usage = state.disk_usage.take();
            (info, engines, died, state.services.clone(), disk_usage)
        };
        let known: HashSet<String> = engines.iter().map(|meta| meta.id.clone()).collect();
        let strangers = self.strangers(&known, roots, at);
        if info.is_none() && strangers.is_empty() && died.is_empty() {
            return troubles.into_result();
        }
        let host = host::read(roots, &mut self.source, &mut troubles);
        let options = self.options.clone();
        let mut writer = Writer::new(out, &options, info.as_ref(), roots);
        if let Some(info) = &info {
            writer.engine(info);
        }
        // First, so that a container that was started again ends with what it is now.
        for died in died {
            if options.containers.takes(&died.meta.name) {
                self.report_dead(died, host, &mut writer);
            }
        }
        let mut scene = Scene {
            roots,
            host,
            at,
            networks: HashSet::new(),
        };
        let engines = engines.iter().map(|meta| (meta, true));
        let mut seen = HashSet::new();
        for (meta, is_engines) in engines.chain(strangers.iter().map(|meta| (meta, false))) {
            let has_state = meta.status.is_empty() || options.states.takes(&meta.status);
            if has_state && options.containers.takes(&meta.name) {
                seen.insert(meta.id.clone());
                self.report(meta, is_engines, &mut scene, &mut writer);
            }
        }
        for service in services.iter().filter(|_| options.services) {
            writer.service(service);
        }
        if let Some(usage) = &disk_usage {
            writer.disk_usage(usage);
        }
        self.last.retain(|id, _| seen.contains(id));
        troubles.into_result()
    }
}

#[cfg(test)]
mod tests;

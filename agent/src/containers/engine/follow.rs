//! The thread that follows an engine.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tracing::{debug, info};

use super::Endpoint;
use super::answers::{Event, Info, Inspected, Listed, ListedService, Node, Task, count_tasks};
use super::disk_usage::DiskUsageAsker;
use super::ends::Ends;
use super::socket::{SocketError, get, stream};
use crate::collect::{Source, host_cpu_ns};
use crate::containers::hierarchy::Hierarchy;
use crate::containers::readings::{self, Readings};
use crate::containers::registry::{Died, Meta, Registry};
use crate::roots::Roots;

/// How often a stop is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long the rest of a line is waited for.
const LINE_PATIENCE: Duration = Duration::from_millis(10);
/// `GET /info` makes an engine count its files, so that it is asked rarely: after changes, and
/// once in a while for what does not show in events.
const INFO_EVERY: Duration = Duration::from_secs(60);
const INFO_AFTER_CHANGE: Duration = Duration::from_secs(5);
const SERVICES_EVERY: Duration = Duration::from_secs(10);
/// Pause before the engine is tried again.
const RETRY_DELAY: Duration = Duration::from_secs(1);
const RETRY_DELAY_MAX: Duration = Duration::from_secs(30);
/// Of what an engine tells, only these change what is reported.
const EVENTS: &str = concat!(
    "/events?filters=%7B%22type%22%3A%5B%22container%22%5D%2C%22event%22%3A%5B",
    "%22create%22%2C%22start%22%2C%22die%22%2C%22destroy%22%2C%22rename%22%2C%22update%22%2C",
    "%22oom%22%2C%22pause%22%2C%22unpause%22%2C%22restart%22%2C%22health_status%22%5D%7D"
);

/// What the thread has.
#[derive(Debug)]
pub(super) struct Follower {
    endpoint: Endpoint,
    registry: Arc<Registry>,
    roots: Roots,
    tag_env: Vec<String>,
    stop: Arc<AtomicBool>,
    source: Source,
    hierarchy: Hierarchy,
    /// When these were asked for last, and what had changed since.
    info_at: Option<Instant>,
    services_at: Option<Instant>,
    has_changed: bool,
    is_manager: Option<String>,
    /// Only where somebody wants to know.
    disk_usage: Option<DiskUsageAsker>,
    /// By container: what its group said when its process ended, until the engine tells of it.
    last: BTreeMap<String, (Readings, u64)>,
}

impl Follower {
    pub(super) fn new(
        endpoint: Endpoint,
        registry: Arc<Registry>,
        roots: Roots,
        tag_env: Vec<String>,
        stop: Arc<AtomicBool>,
    ) -> Self {
        let mut source = Source::default();
        let hierarchy = Hierarchy::detect(&roots, &mut source);
        Self {
            endpoint,
            registry,
            roots,
            tag_env,
            stop,
            source,
            hierarchy,
            info_at: None,
            services_at: None,
            has_changed: false,
            is_manager: None,
            disk_usage: None,
            last: BTreeMap::new(),
        }
    }

    /// Has it ask what the engine's things take on disk, too.
    pub(super) fn ask_disk_usage(&mut self) {
        self.disk_usage = Some(DiskUsageAsker::new());
    }

    /// Follows until it is told to stop.
    pub(super) fn run(&mut self) {
        let mut delay = RETRY_DELAY;
        while !self.is_stopped() {
            let began = Instant::now();
            let Err(error) = self.follow() else {
                return;
            };
            {
                let mut state = self.registry.lock();
                state.is_up = false;
                state.services.clear();
                let cause = std::error::Error::source(&error);
                let text = cause.map_or(error.to_string(), |cause| format!("{error}: {cause}"));
                if error.is_absent() {
                    // What it had said is over, too.
                    state.info = None;
                    state.containers.clear();
                    debug!("{text}");
                } else {
                    state.problem = Some(text);
                }
            }
            if began.elapsed() > RETRY_DELAY_MAX {
                delay = RETRY_DELAY;
            }
            let until = Instant::now() + delay;
            while Instant::now() < until && !self.is_stopped() {
                std::thread::sleep(LOOK_EVERY.min(delay));
            }
            delay = (delay * 2).min(RETRY_DELAY_MAX);
        }
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Events are opened before the list is asked for, so that nothing falls between them.
    fn follow(&mut self) -> Result<(), SocketError> {
        let mut events = stream(&self.endpoint, EVENTS)?;
        let mut ends = Ends::new()?;
        self.ask_info()?;
        let listed: Vec<Listed> = get(&self.endpoint, "/containers/json?all=1")?;
        let mut containers = BTreeMap::new();
        for Listed { id } in listed {
            if let Some(meta) = self.inspect(&id)? {
                ends.watch(&meta);
                containers.insert(meta.id.clone(), Arc::new(meta));
            }
            if self.is_stopped() {
                return Ok(());
            }
        }
        info!(
            containers = containers.len(),
            "the container engine is followed"
        );
        {
            let mut state = self.registry.lock();
            state.containers = containers;
            state.is_up = true;
            state.problem = None;
        }
        ends.add_stream(events.descriptor())?;
        while !self.is_stopped() {
            // What came together is handled together; what came before the stream was waited for, first.
            while let Some(line) = events.next_line(LINE_PATIENCE)? {
                match serde_json::from_slice(&line) {
                    Ok(event) => self.take(event, &mut ends)?,
                    Err(error) => debug!("an event is not understood: {error}"),
                }
                self.note_ends(&mut ends, Duration::ZERO)?;
            }
            self.keep_house()?;
            self.note_ends(&mut ends, LOOK_EVERY)?;
        }
        Ok(())
    }

    /// Reads the groups of containers whose process ended, before the engine removes them.
    fn note_ends(&mut self, ends: &mut Ends, patience: Duration) -> Result<(), SocketError> {
        for id in ends.wait(patience)? {
            let known = self.registry.lock().containers.get(&id).cloned();
            let readings = self.last_readings(known.as_deref());
            if readings != Readings::default() {
                let host_cpu_ns = host_cpu_ns(&self.roots, &mut self.source);
                self.last.insert(id, (readings, host_cpu_ns));
            }
        }
        Ok(())
    }

    fn keep_house(&mut self) -> Result<(), SocketError> {
        let every = if self.has_changed {
            INFO_AFTER_CHANGE
        } else {
            INFO_EVERY
        };
        if self.info_at.is_none_or(|at| at.elapsed() >= every) {
            self.ask_info()?;
        }
        if self
            .services_at
            .is_none_or(|at| at.elapsed() >= SERVICES_EVERY)
        {
            self.services_at = Some(Instant::now());
            self.ask_services();
        }
        if let Some(asker) = &mut self.disk_usage {
            asker.ask(&self.endpoint, &self.registry);
        }
        Ok(())
    }

    fn ask_info(&mut self) -> Result<(), SocketError> {
        let info: Info = get(&self.endpoint, "/info")?;
        self.info_at = Some(Instant::now());
        self.has_changed = false;
        let swarm = &info.swarm;
        self.is_manager = swarm.control_available.then(|| swarm.node_id.clone());
        self.registry.lock().info = Some(info.engine());
        Ok(())
    }

    /// Services are reported by the node that leads the swarm, so that they are reported once. A
    /// swarm that does not answer costs them alone.
    fn ask_services(&mut self) {
        let services = self.is_manager.as_deref().map(|node| {
            let node: Node = get(&self.endpoint, &format!("/nodes/{node}"))?;
            if !node.leads() {
                return Ok(Vec::new());
            }
            let services: Vec<ListedService> = get(&self.endpoint, "/services")?;
            let tasks: Vec<Task> = get(&self.endpoint, "/tasks")?;
            Ok::<_, SocketError>(count_tasks(services, &tasks))
        });
        let services = match services {
            None => Vec::new(),
            Some(Ok(services)) => services,
            Some(Err(error)) => {
                self.registry.lock().problem = Some(error.to_string());
                Vec::new()
            }
        };
        self.registry.lock().services = services;
    }

    /// The container of this id; `None` when it is gone.
    fn inspect(&mut self, id: &str) -> Result<Option<Meta>, SocketError> {
        // Ids come from the engine, and go back into a path.
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Ok(None);
        }
        let inspected: Inspected = match get(&self.endpoint, &format!("/containers/{id}/json")) {
            Ok(inspected) => inspected,
            Err(error) if error.is_not_found() => return Ok(None),
            // One strange container does not cost the others.
            Err(error @ SocketError::Json { .. }) => {
                self.registry.lock().problem = Some(error.to_string());
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let mut meta = inspected.into_meta(&self.tag_env);
        meta.cgroup = self.group(&meta);
        Ok(Some(meta))
    }

    /// Where the container's group is: its process tells, or one of the usual places.
    fn group(&mut self, meta: &Meta) -> Option<PathBuf> {
        if meta.pid == 0 {
            return None;
        }
        let top = self.hierarchy.walked()?.to_path_buf();
        let of_process = self
            .source
            .read_optional(&self.roots.proc(format!("{}/cgroup", meta.pid)))
            .and_then(|text| self.hierarchy.path_of(text))
            .and_then(|path| up_to(path, &meta.id));
        let id = &meta.id;
        let usual = [
            format!("system.slice/docker-{id}.scope"),
            format!("docker/{id}"),
            format!("machine.slice/libpod-{id}.scope"),
        ];
        of_process
            .into_iter()
            .chain(usual.map(PathBuf::from))
            .find(|path| top.join(path).is_dir())
    }

    fn take(&mut self, event: Event, ends: &mut Ends) -> Result<(), SocketError> {
        let id = event.actor.id.as_str();
        self.has_changed = true;
        match event.action.as_str() {
            "destroy" | "remove" => {
                ends.forget(id);
                self.last.remove(id);
                self.registry.lock().containers.remove(id);
            }
            // What it used must be read now, if it was not before: its group is about to go.
            "die" | "died" => {
                let known = self.registry.lock().containers.get(id).cloned();
                let (readings, host_cpu_ns) = match self.last.remove(id) {
                    Some(last) => last,
                    None => {
                        let readings = self.last_readings(known.as_deref());
                        (readings, host_cpu_ns(&self.roots, &mut self.source))
                    }
                };
                let after = self.inspect(id)?.map(|mut meta| {
                    // One that is removed at its end has ended all the same.
                    if meta.status == "removing" {
                        meta.status = "exited".to_owned();
                    }
                    Arc::new(meta)
                });
                let mut state = self.registry.lock();
                if let Some(meta) = &after {
                    state.containers.insert(id.to_owned(), Arc::clone(meta));
                }
                if let Some(meta) = after.or_else(|| known.map(|known| ended(&known, &event))) {
                    state.note_death(Died {
                        meta,
                        readings,
                        host_cpu_ns,
                        at_ns: event.time_ns,
                    });
                }
            }
            _ => {
                if let Some(meta) = self.inspect(id)? {
                    ends.watch(&meta);
                    let mut state = self.registry.lock();
                    state.containers.insert(meta.id.clone(), Arc::new(meta));
                }
            }
        }
        Ok(())
    }

    fn last_readings(&mut self, known: Option<&Meta>) -> Readings {
        let path = known.and_then(|meta| meta.cgroup.as_deref());
        path.map_or_else(Readings::default, |path| {
            readings::read(&self.hierarchy, path, &mut self.source)
        })
    }
}

/// What is left to say of a container that was removed as soon as it ended (`docker run --rm`).
fn ended(known: &Meta, event: &Event) -> Arc<Meta> {
    Arc::new(Meta {
        status: "exited".to_owned(),
        pid: 0,
        exit_code: event.actor.attributes.exit_code.parse().unwrap_or(0),
        finished_ns: Some(event.time_ns),
        cgroup: None,
        ..known.clone()
    })
}

/// The part of `path` up to the directory named after `id`: a process may be in a group below.
fn up_to(path: PathBuf, id: &str) -> Option<PathBuf> {
    let of_container = |part: &std::path::Path| {
        part.file_name()
            .is_some_and(|name| name.to_string_lossy().contains(id))
    };
    path.ancestors()
        .find(|part| of_container(part))
        .map(std::path::Path::to_path_buf)
}

//! The lines of one container, of the engine and of a service, field by field.

use std::collections::BTreeMap;

use super::DockerOptions;
use super::host::Host;
use crate::batch::{Batch, Line};
use crate::containers::{
    Cpu, DiskUsage, EngineInfo, IoValue, Memory, Meta, Readings, Service, Traffic,
};
use crate::hostname;
use crate::roots::Roots;

/// Digits of an id in the tag `source`.
const SHORT_ID_DIGITS: usize = 12;

/// What was measured of one container.
#[derive(Debug, Default)]
pub(super) struct Sample {
    pub(super) readings: Readings,
    /// Of one processor, since the last sample.
    pub(super) usage_percent: Option<f64>,
    /// By interface; `None` where it has no network of its own.
    pub(super) traffic: Option<Vec<(String, Traffic)>>,
}

/// Writes lines.
pub(super) struct Writer<'a, 'b> {
    out: &'a mut Batch,
    options: &'b DockerOptions,
    engine_host: String,
    server_version: String,
}

impl<'a, 'b> Writer<'a, 'b> {
    pub(super) fn new(
        out: &'a mut Batch,
        options: &'b DockerOptions,
        info: Option<&EngineInfo>,
        roots: &Roots,
    ) -> Self {
        Self {
            out,
            options,
            // Where no engine tells, it is this host.
            engine_host: info.map_or_else(|| hostname::of_host(roots), |info| info.name.clone()),
            server_version: info.map_or_else(String::new, |info| info.version.clone()),
        }
    }

    /// `docker`
    pub(super) fn engine(&mut self, info: &EngineInfo) {
        self.out
            .line("docker")
            .tag("engine_host", &info.name)
            .tag("server_version", &info.version)
            .unsigned("n_cpus", info.cpus)
            .unsigned("n_used_file_descriptors", info.file_descriptors)
            .unsigned("n_containers", info.containers)
            .unsigned("n_containers_running", info.running)
            .unsigned("n_containers_stopped", info.stopped)
            .unsigned("n_containers_paused", info.paused)
            .unsigned("n_images", info.images)
            .unsigned("n_goroutines", info.goroutines)
            .unsigned("n_listener_events", info.listeners)
            .finish();
        self.out
            .line("docker")
            .tag("engine_host", &info.name)
            .tag("server_version", &info.version)
            .unsigned("memory_total", info.memory_bytes)
            .finish();
    }

    /// `docker_swarm`
    pub(super) fn service(&mut self, service: &Service) {
        let mut line = self
            .out
            .line("docker_swarm")
            .tag("service_id", &service.id)
            .tag("service_name", &service.name)
            .tag("service_mode", service.mode)
            .unsigned("tasks_running", service.tasks_running);
        for (name, value) in [
            ("tasks_desired", service.tasks_desired),
            ("max_concurrent", service.max_concurrent),
            ("total_completions", service.total_completions),
        ] {
            if let Some(value) = value {
                line = line.unsigned(name, value);
            }
        }
        line.finish();
    }

    /// `docker_disk_usage`
    pub(super) fn disk_usage(&mut self, usage: &DiskUsage) {
        let has = |object: &str| self.options.storage_objects.iter().any(|one| one == object);
        let (containers, images, volumes) = (has("container"), has("image"), has("volume"));
        if images {
            self.disk_line()
                .signed("layers_size", usage.layers_bytes)
                .finish();
        }
        for container in usage.containers.iter().filter(|_| containers) {
            let id = &container.id;
            let source = if self.options.source_tag {
                id.get(..SHORT_ID_DIGITS).unwrap_or(id)
            } else {
                ""
            };
            self.disk_line()
                .tag("container_name", &container.name)
                .tag("container_image", &container.image)
                .tag("container_version", &container.version)
                .tag("source", source)
                .signed("size_rw", container.writable_bytes)
                .signed("size_root_fs", container.all_bytes)
                .finish();
        }
        for image in usage.images.iter().filter(|_| images) {
            self.disk_line()
                .tag("image_id", &image.id)
                .tag("image_name", &image.name)
                .tag("image_version", &image.version)
                .signed("size", image.bytes)
                .signed("shared_size", image.shared_bytes)
                .finish();
        }
        for volume in usage.volumes.iter().filter(|_| volumes) {
            self.disk_line()
                .tag("volume_name", &volume.name)
                .signed("size", volume.bytes)
                .finish();
        }
    }

    fn disk_line(&mut self) -> Line<'_> {
        self.out
            .line("docker_disk_usage")
            .tag("engine_host", &self.engine_host)
            .tag("server_version", &self.server_version)
    }

    /// All lines of one container at `time_ns`.
    pub(super) fn container(&mut self, meta: &Meta, sample: &Sample, host: Host, time_ns: i64) {
        // Those without a state were found in the tree, where there is none.
        if !meta.status.is_empty() {
            self.status(meta, time_ns);
            self.health(meta, time_ns);
        }
        let readings = &sample.readings;
        if let Some(memory) = &readings.memory {
            self.memory(meta, memory, host, time_ns);
        }
        if let Some(cpu) = &readings.cpu {
            self.cpu(meta, cpu, sample.usage_percent, host, time_ns);
        }
        if let Some(traffic) = &sample.traffic {
            self.network(meta, traffic, time_ns);
        }
        if let Some(values) = &readings.io {
            self.blkio(meta, values, time_ns);
        }
    }

    /// A line with the tags that all lines of a container bear.
    fn line(&mut self, measurement: &'static str, meta: &Meta, time_ns: i64) -> Line<'_> {
        let mut line = self
            .out
            .line(measurement)
            .at(time_ns)
            .tag("engine_host", &self.engine_host)
            .tag("server_version", &self.server_version)
            .tag("container_name", &meta.name)
            .tag("container_image", &meta.image)
            .tag("container_version", &meta.version)
            .tag("container_status", &meta.status);
        if self.options.source_tag {
            line = line.tag("source", meta.id.get(..SHORT_ID_DIGITS).unwrap_or(&meta.id));
        }
        for (key, value) in meta
            .labels
            .iter()
            .filter(|(key, _)| self.options.labels.takes(key))
        {
            line = line.tag(key, value);
        }
        for (key, value) in &meta.env {
            line = line.tag(key, value);
        }
        line
    }

    fn status(&mut self, meta: &Meta, time_ns: i64) {
        let mut line = self
            .line("docker_container_status", meta, time_ns)
            .boolean("oomkilled", meta.oom_killed)
            .unsigned("pid", meta.pid)
            .signed("exitcode", meta.exit_code)
            .unsigned("restart_count", meta.restart_count)
            .string("container_id", &meta.id);
        if let Some(finished_ns) = meta.finished_ns {
            line = line.signed("finished_at", finished_ns);
        }
        if let Some(started_ns) = meta.started_ns {
            // What finished before it started was started again.
            let until_ns = meta
                .finished_ns
                .filter(|at| *at >= started_ns)
                .unwrap_or(time_ns);
            line = line
                .signed("started_at", started_ns)
                .signed("uptime_ns", until_ns.saturating_sub(started_ns));
        }
        line.finish();
    }

    fn health(&mut self, meta: &Meta, time_ns: i64) {
        if let Some(health) = &meta.health {
            self.line("docker_container_health", meta, time_ns)
                .string("health_status", &health.status)
                .signed("failing_streak", health.failing_streak)
                .finish();
        }
    }

    fn memory(&mut self, meta: &Meta, memory: &Memory, host: Host, time_ns: i64) {
        let limit = match memory.limit {
            Some(limit) if host.memory_bytes == 0 || limit < host.memory_bytes => limit,
            _ => host.memory_bytes,
        };
        let percent = if limit == 0 {
            0.0
        } else {
            memory.usage as f64 / limit as f64 * 100.0
        };
        let mut line = self
            .line("docker_container_mem", meta, time_ns)
            .string("container_id", &meta.id)
            .unsigned("usage", memory.usage)
            .float("usage_percent", percent)
            .unsigned("limit", limit)
            .unsigned("max_usage", memory.peak.unwrap_or(0));
        if memory.failures != 0 {
            line = line.unsigned("fail_count", memory.failures);
        }
        for (name, value) in [("oom_kills", memory.oom_kills), ("swap", memory.swap)] {
            if let Some(value) = value {
                line = line.unsigned(name, value);
            }
        }
        for (name, value) in &memory.stat {
            line = line.unsigned(name, *value);
        }
        line.finish();
    }

    /// What Telegraf says of a container that does not run: it has no limit, either.
    pub(super) fn no_memory(&mut self, meta: &Meta, time_ns: i64) {
        self.line("docker_container_mem", meta, time_ns)
            .string("container_id", &meta.id)
            .unsigned("usage", 0)
            .float("usage_percent", 0.0)
            .unsigned("limit", 0)
            .unsigned("max_usage", 0)
            .finish();
    }

    fn cpu(&mut self, meta: &Meta, cpu: &Cpu, percent: Option<f64>, host: Host, time_ns: i64) {
        if self.options.total_cpu {
            self.total_cpu(meta, cpu, percent, host, time_ns);
        }
        if self.options.perdevice_cpu {
            // Kernels list processors that could be there; the engine reports those that are.
            let online = usize::try_from(host.cpus).unwrap_or(usize::MAX);
            for (number, total_ns) in cpu.percpu_ns.iter().take(online).enumerate() {
                self.line("docker_container_cpu", meta, time_ns)
                    .tag("cpu", format!("cpu{number}"))
                    .string("container_id", &meta.id)
                    .unsigned("usage_total", *total_ns)
                    .finish();
            }
        }
    }

    fn total_cpu(
        &mut self,
        meta: &Meta,
        cpu: &Cpu,
        percent: Option<f64>,
        host: Host,
        time_ns: i64,
    ) {
        let mut line = self
            .line("docker_container_cpu", meta, time_ns)
            .tag("cpu", "cpu-total")
            .string("container_id", &meta.id)
            .unsigned("usage_total", cpu.total_ns)
            .unsigned("usage_in_usermode", cpu.user_ns)
            .unsigned("usage_in_kernelmode", cpu.system_ns)
            .unsigned("usage_system", host.cpu_ns)
            .unsigned("throttling_periods", cpu.periods)
            .unsigned("throttling_throttled_periods", cpu.throttled_periods)
            .unsigned("throttling_throttled_time", cpu.throttled_ns);
        if let Some(percent) = percent {
            line = line.float("usage_percent", percent);
        }
        line.finish();
    }

    fn network(&mut self, meta: &Meta, interfaces: &[(String, Traffic)], time_ns: i64) {
        if interfaces.is_empty() {
            return;
        }
        let mut total = Traffic::default();
        for (name, traffic) in interfaces {
            total += *traffic;
            if self.options.perdevice_network {
                self.traffic(meta, name, traffic, time_ns);
            }
        }
        if self.options.total_network {
            self.traffic(meta, "total", &total, time_ns);
        }
    }

    fn traffic(&mut self, meta: &Meta, network: &str, traffic: &Traffic, time_ns: i64) {
        self.line("docker_container_net", meta, time_ns)
            .tag("network", network)
            .string("container_id", &meta.id)
            .unsigned("rx_bytes", traffic.rx_bytes)
            .unsigned("rx_packets", traffic.rx_packets)
            .unsigned("rx_errors", traffic.rx_errors)
            .unsigned("rx_dropped", traffic.rx_dropped)
            .unsigned("tx_bytes", traffic.tx_bytes)
            .unsigned("tx_packets", traffic.tx_packets)
            .unsigned("tx_errors", traffic.tx_errors)
            .unsigned("tx_dropped", traffic.tx_dropped)
            .finish();
    }

    /// The line `device=total` is there without any device, too: then with the id alone.
    fn blkio(&mut self, meta: &Meta, values: &[IoValue], time_ns: i64) {
        let mut devices: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
        let mut total: BTreeMap<&str, u64> = BTreeMap::new();
        for io in values {
            let device = devices.entry(&io.device).or_default();
            for sums in [device, &mut total] {
                let sum = sums.entry(&io.field).or_default();
                *sum = sum.wrapping_add(io.value);
            }
        }
        if !self.options.perdevice_blkio {
            devices.clear();
        }
        if self.options.total_blkio {
            devices.insert("total", total);
        }
        for (device, fields) in devices {
            let mut line = self
                .line("docker_container_blkio", meta, time_ns)
                .tag("device", device)
                .string("container_id", &meta.id);
            for (name, value) in fields {
                line = line.unsigned(name, value);
            }
            line.finish();
        }
    }
}

//! Trees of control groups of either version, with an engine that tells names and without one.

use std::path::Path;

use expect_test::{Expect, expect};

use super::*;
use crate::collect::tests::{Host, tree};
use crate::containers::{Cpu, Health, Readings, Service};

fn alone() -> DockerOptions {
    DockerOptions {
        endpoint: None,
        ..DockerOptions::default()
    }
}

fn roots(name: &str) -> Roots {
    Roots::under(&tree(name)).with_foreign_etc()
}

fn id(pair: &str) -> String {
    pair.repeat(32)
}

/// What an engine tells of the two containers of the tree `docker-v2`.
fn registry() -> Arc<Registry> {
    let registry = Arc::new(Registry::default());
    let mut state = registry.lock();
    state.is_up = true;
    state.info = Some(EngineInfo {
        name: "node1".into(),
        version: "27.5.1".into(),
        cpus: 2,
        file_descriptors: 41,
        goroutines: 63,
        listeners: 1,
        containers: 3,
        running: 2,
        stopped: 1,
        paused: 0,
        images: 7,
        memory_bytes: 8_192_000_000,
    });
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let web = Meta {
        id: id("a1"),
        name: "web".into(),
        image: "nginx".into(),
        version: "1.25".into(),
        status: "running".into(),
        labels: vec![
            label("com.docker.stack", "shop"),
            label("maintainer", "a b"),
        ],
        env: vec![label("TIER", "front")],
        pid: 4242,
        restart_count: 2,
        started_ns: Some(999_999_990_000_000_000),
        health: Some(Health {
            status: "healthy".into(),
            failing_streak: 0,
        }),
        cgroup: Some(format!("system.slice/docker-{}.scope", id("a1")).into()),
        ..Meta::default()
    };
    let agent = Meta {
        id: id("b2"),
        name: "agent".into(),
        image: "busybox".into(),
        version: "unknown".into(),
        status: "running".into(),
        pid: 77,
        has_host_network: true,
        cgroup: Some(format!("docker/{}", id("b2")).into()),
        ..Meta::default()
    };
    let stopped = Meta {
        id: id("f6"),
        name: "stopped".into(),
        status: "exited".into(),
        ..Meta::default()
    };
    for meta in [web, agent, stopped] {
        state.containers.insert(meta.id.clone(), Arc::new(meta));
    }
    drop(state);
    registry
}

fn only(names: &[&str]) -> Filter {
    Filter {
        include: names.iter().map(|name| (*name).to_owned()).collect(),
        exclude: Vec::new(),
    }
}

#[track_caller]
fn once(options: DockerOptions, tree: &str, expected: &Expect) {
    Host::new().gather(&mut Docker::new(options), &roots(tree), expected);
}

#[test]
fn version_2_with_an_engine() {
    let mut docker = Docker::with_registry(alone(), registry());
    let mut host = Host::new();
    host.gather(&mut docker, &roots("docker-v2/first"), &expect![[r#""#]]);
    // The second sample has the share of a processor; of one container only, for brevity.
    docker.options.containers = only(&["web"]);
    docker.options.labels = only(&["com.*"]);
    docker.options.perdevice_network = true;
    docker.options.perdevice_blkio = true;
    docker.options.source_tag = true;
    host.gather(&mut docker, &roots("docker-v2/second"), &expect![[r#""#]]);
}

#[test]
fn version_2_alone() {
    once(alone(), "docker-v2/first", &expect![[r#""#]]);
}

#[test]
fn version_1_alone() {
    once(alone(), "docker-v1", &expect![[r#""#]]);
}

#[test]
fn kubernetes_and_podman_alone() {
    once(alone(), "kubernetes-v2", &expect![[r#""#]]);
}

#[test]
fn one_that_died_has_last_lines_and_services_are_reported() {
    let registry = registry();
    let mut docker = Docker::with_registry(alone(), Arc::clone(&registry));
    docker.options.containers = only(&["web"]);
    docker.options.labels = only(&["none"]);
    let mut host = Host::new();
    host.gather(&mut docker, &roots("docker-v2/first"), &expect![[r#""#]]);
    {
        let mut state = registry.lock();
        let web = state.containers.remove(&id("a1")).unwrap();
        let meta = Meta {
            status: "exited".into(),
            pid: 0,
            exit_code: 137,
            oom_killed: true,
            finished_ns: Some(1_000_000_005_500_000_000),
            health: None,
            cgroup: None,
            ..Meta::clone(&web)
        };
        let readings = Readings {
            cpu: Some(Cpu {
                total_ns: 3_500_000_000,
                ..Cpu::default()
            }),
            ..Readings::default()
        };
        state.note_death(Died {
            meta: Arc::new(meta),
            readings,
            host_cpu_ns: 110_000_000_000,
            at_ns: 1_000_000_005_500_000_000,
        });
        state.services = vec![Service {
            id: "s1".into(),
            name: "api".into(),
            mode: "replicated",
            tasks_running: 1,
            tasks_desired: Some(3),
            max_concurrent: None,
            total_completions: None,
        }];
        state.problem = Some("the engine hiccuped".into());
    }
    host.gather(&mut docker, &roots("docker-v2/second"), &expect![[r#""#]]);
}

#[test]
fn a_host_without_containers_says_nothing() {
    once(alone(), "web1/first", &expect![[""]]);
    let options = DockerOptions {
        endpoint: Some("docker.sock".into()),
        ..DockerOptions::default()
    };
    let mut host = Host::new();
    let mut docker = Docker::new(options);
    let nowhere = Roots::under(Path::new("/no/such/place"));
    host.gather(&mut docker, &nowhere, &expect![[r#""#]]);
    host.gather(&mut docker, &nowhere, &expect![[""]]);
}

//! Trees of control groups of either version, with an engine that tells names and without one.

use std::path::Path;

use expect_test::{Expect, expect};

use super::*;
use crate::collect::tests::{Host, tree};
use crate::containers::{
    ContainerDisk, Cpu, DiskUsage, Health, ImageDisk, Readings, Service, VolumeDisk,
};

mod choice;

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

/// The lines of one gather, so many seconds behind the first; troubles are passed over.
fn gather(docker: &mut Docker, name: &str, after_s: i64) -> String {
    // Where the controllers are is found once, and each tree is another place.
    docker.hierarchy = None;
    let mut batch = Batch::new(crate::batch::Tags::from([]));
    let at = Moment {
        time_ns: (1_000_000_000 + after_s) * 1_000_000_000,
        monotonic_ns: after_s.unsigned_abs() * 1_000_000_000,
    };
    batch.start(at.time_ns);
    let _ = docker.gather(&roots(name), at, &mut batch);
    String::from_utf8(batch.as_bytes().to_vec()).unwrap()
}

#[track_caller]
fn has(lines: &str, part: &str) {
    assert!(lines.contains(part), "no {part} in:\n{lines}");
}

#[track_caller]
fn once(options: DockerOptions, tree: &str, expected: &Expect) {
    Host::new().gather(&mut Docker::new(options), &roots(tree), expected);
}

#[test]
fn version_2_with_an_engine() {
    let mut docker = Docker::with_registry(alone(), registry());
    let lines = gather(&mut docker, "docker-v2/first", 0);
    has(
        &lines,
        "docker,engine_host=node1,server_version=27.5.1 n_cpus=2i,",
    );
    has(
        &lines,
        "docker,engine_host=node1,server_version=27.5.1 memory_total=8192000000i ",
    );
    let web = "com.docker.stack=shop,container_image=nginx,container_name=web,container_status=running,container_version=1.25";
    has(&lines, &format!("docker_container_mem,TIER=front,{web},"));
    has(&lines, "container_name=agent");
    assert!(!lines.contains("container_name=stopped"), "{lines}");
    assert!(
        !lines.contains("usage_percent=2"),
        "one sample has no share: {lines}"
    );
    // The host's own network is not the container's.
    assert_eq!(lines.matches("docker_container_net,").count(), 1, "{lines}");
    docker.options.labels = only(&["com.*"]);
    docker.options.perdevice_network = true;
    docker.options.perdevice_blkio = true;
    docker.options.source_tag = true;
    let lines = gather(&mut docker, "docker-v2/second", 10);
    // 2.5 s of the 95 s that two processors had.
    has(&lines, "usage_percent=5.263157");
    has(&lines, "network=eth0,");
    has(&lines, "network=eth1,");
    has(&lines, "device=253:0,");
    has(&lines, "source=a1a1a1a1a1a1");
    assert!(!lines.contains("maintainer"), "{lines}");
}

#[test]
fn one_that_has_stopped_takes_no_memory() {
    let mut docker = Docker::with_registry(alone(), registry());
    docker.options.states.include = vec!["exited".into()];
    let lines = gather(&mut docker, "docker-v2/first", 0);
    let id = id("f6");
    let line = lines
        .lines()
        .find(|line| line.starts_with("docker_container_mem"));
    assert_eq!(
        line,
        Some(&*format!(
            "docker_container_mem,container_name=stopped,container_status=exited,engine_host=node1,server_version=27.5.1 \
             container_id=\"{id}\",usage=0i,usage_percent=0,limit=0i,max_usage=0i 1000000000000000000"
        ))
    );
    assert!(!lines.contains("docker_container_cpu"), "{lines}");
}

#[test]
fn version_2_alone() {
    once(
        alone(),
        "docker-v2/first",
        &expect![[r#"
        docker_container_mem
            container_name=b2b2b2b2b2b2
            engine_host=node1
            host=web1 container_id="b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2"
            usage=5000i
            usage_percent=0.00006103515625
            limit=8192000000i
            max_usage=0i
            oom_kills=0i
            inactive_file=6000i 1000000000000000000
        docker_container_cpu
            container_name=b2b2b2b2b2b2
            cpu=cpu-total
            engine_host=node1
            host=web1 container_id="b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2"
            usage_total=1000i
            usage_in_usermode=1000i
            usage_in_kernelmode=0i
            usage_system=100000000000i
            throttling_periods=0i
            throttling_throttled_periods=0i
            throttling_throttled_time=0i 1000000000000000000
        docker_container_blkio
            container_name=b2b2b2b2b2b2
            device=total
            engine_host=node1
            host=web1 container_id="b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2" 1000000000000000000
        docker_container_mem
            container_name=a1a1a1a1a1a1
            engine_host=node1
            host=web1 container_id="a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1"
            usage=83886080i
            usage_percent=40
            limit=209715200i
            max_usage=125829120i
            fail_count=2i
            oom_kills=1i
            swap=4096i
            rss=52428800i
            cache=41943040i
            mapped_file=4096i
            inactive_anon=100i
            active_anon=200i
            inactive_file=20971520i
            active_file=300i
            unevictable=0i
            pgfault=5000i
            pgmajfault=50i 1000000000000000000
        docker_container_cpu
            container_name=a1a1a1a1a1a1
            cpu=cpu-total
            engine_host=node1
            host=web1 container_id="a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1"
            usage_total=2500000000i
            usage_in_usermode=2000000000i
            usage_in_kernelmode=500000000i
            usage_system=100000000000i
            throttling_periods=40i
            throttling_throttled_periods=4i
            throttling_throttled_time=7000000i 1000000000000000000
        docker_container_net
            container_name=a1a1a1a1a1a1
            engine_host=node1
            host=web1
            network=total container_id="a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1"
            rx_bytes=1007i
            rx_packets=11i
            rx_errors=1i
            rx_dropped=2i
            tx_bytes=2008i
            tx_packets=22i
            tx_errors=3i
            tx_dropped=4i 1000000000000000000
        docker_container_blkio
            container_name=a1a1a1a1a1a1
            device=total
            engine_host=node1
            host=web1 container_id="a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1"
            io_service_bytes_recursive_read=5120i
            io_service_bytes_recursive_write=8192i
            io_serviced_recursive_read=2i
            io_serviced_recursive_write=2i 1000000000000000000
    "#]],
    );
}

#[test]
fn version_1_alone() {
    once(
        alone(),
        "docker-v1",
        &expect![[r#"
        docker_container_mem
            container_name=a1a1a1a1a1a1
            engine_host=node3
            host=web1 container_id="a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1"
            usage=60000000i
            usage_percent=0.732421875
            limit=8192000000i
            max_usage=120000000i
            fail_count=5i
            oom_kills=2i
            swap=5i
            cache=40000000i
            rss=2i
            rss_huge=3i
            mapped_file=4i
            pgpgin=6i
            pgpgout=7i
            pgfault=8i
            pgmajfault=9i
            inactive_anon=10i
            active_anon=11i
            inactive_file=12i
            active_file=13i
            unevictable=14i
            hierarchical_memory_limit=9223372036854771712i
            writeback=17i
            total_cache=18i
            total_rss=19i
            total_rss_huge=20i
            total_mapped_file=21i
            total_pgpgin=22i
            total_pgpgout=23i
            total_pgfault=24i
            total_pgmajfault=25i
            total_inactive_anon=26i
            total_active_anon=27i
            total_inactive_file=28i
            total_active_file=29i
            total_unevictable=30i
            total_writeback=31i 1000000000000000000
        docker_container_cpu
            container_name=a1a1a1a1a1a1
            cpu=cpu-total
            engine_host=node3
            host=web1 container_id="a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1"
            usage_total=5000000000i
            usage_in_usermode=4000000000i
            usage_in_kernelmode=1000000000i
            usage_system=100000000000i
            throttling_periods=10i
            throttling_throttled_periods=3i
            throttling_throttled_time=77000i 1000000000000000000
        docker_container_cpu
            container_name=a1a1a1a1a1a1
            cpu=cpu0
            engine_host=node3
            host=web1 container_id="a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1"
            usage_total=3000000000i 1000000000000000000
        docker_container_cpu
            container_name=a1a1a1a1a1a1
            cpu=cpu1
            engine_host=node3
            host=web1 container_id="a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1"
            usage_total=2000000000i 1000000000000000000
        docker_container_blkio
            container_name=a1a1a1a1a1a1
            device=total
            engine_host=node3
            host=web1 container_id="a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1"
            io_service_bytes_recursive_async=4096i
            io_service_bytes_recursive_discard=0i
            io_service_bytes_recursive_read=4196i
            io_service_bytes_recursive_sync=8192i
            io_service_bytes_recursive_total=12388i
            io_service_bytes_recursive_write=8192i
            io_serviced_recursive_read=1i
            io_serviced_recursive_total=3i
            io_serviced_recursive_write=2i 1000000000000000000
    "#]],
    );
}

#[test]
fn kubernetes_and_podman_alone() {
    once(
        alone(),
        "kubernetes-v2",
        &expect![[r#"
        docker_container_mem
            container_name=shop-0_POD
            engine_host=node2
            host=web1
            io.kubernetes.pod.name=shop-0
            io.kubernetes.pod.namespace=prod container_id="c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3"
            usage=999i
            usage_percent=0.000012194824218750002
            limit=8192000000i
            max_usage=0i
            inactive_file=1i 1000000000000000000
        docker_container_cpu
            container_name=shop-0_POD
            cpu=cpu-total
            engine_host=node2
            host=web1
            io.kubernetes.pod.name=shop-0
            io.kubernetes.pod.namespace=prod container_id="c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3"
            usage_total=10000i
            usage_in_usermode=5000i
            usage_in_kernelmode=5000i
            usage_system=100000000000i
            throttling_periods=0i
            throttling_throttled_periods=0i
            throttling_throttled_time=0i 1000000000000000000
        docker_container_net
            container_name=shop-0_POD
            engine_host=node2
            host=web1
            io.kubernetes.pod.name=shop-0
            io.kubernetes.pod.namespace=prod
            network=total container_id="c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3"
            rx_bytes=1007i
            rx_packets=11i
            rx_errors=1i
            rx_dropped=2i
            tx_bytes=2008i
            tx_packets=22i
            tx_errors=3i
            tx_dropped=4i 1000000000000000000
        docker_container_blkio
            container_name=shop-0_POD
            device=total
            engine_host=node2
            host=web1
            io.kubernetes.pod.name=shop-0
            io.kubernetes.pod.namespace=prod container_id="c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3" 1000000000000000000
        docker_container_mem
            container_image=docker.io/library/postgres
            container_name=shop-0_db
            container_version=16
            engine_host=node2
            host=web1
            io.kubernetes.container.name=db
            io.kubernetes.pod.name=shop-0
            io.kubernetes.pod.namespace=prod container_id="d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4"
            usage=999i
            usage_percent=0.000012194824218750002
            limit=8192000000i
            max_usage=0i
            inactive_file=1i 1000000000000000000
        docker_container_cpu
            container_image=docker.io/library/postgres
            container_name=shop-0_db
            container_version=16
            cpu=cpu-total
            engine_host=node2
            host=web1
            io.kubernetes.container.name=db
            io.kubernetes.pod.name=shop-0
            io.kubernetes.pod.namespace=prod container_id="d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4"
            usage_total=10000i
            usage_in_usermode=5000i
            usage_in_kernelmode=5000i
            usage_system=100000000000i
            throttling_periods=0i
            throttling_throttled_periods=0i
            throttling_throttled_time=0i 1000000000000000000
        docker_container_blkio
            container_image=docker.io/library/postgres
            container_name=shop-0_db
            container_version=16
            device=total
            engine_host=node2
            host=web1
            io.kubernetes.container.name=db
            io.kubernetes.pod.name=shop-0
            io.kubernetes.pod.namespace=prod container_id="d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4" 1000000000000000000
        docker_container_cpu
            container_name=e5e5e5e5e5e5
            cpu=cpu-total
            engine_host=node2
            host=web1 container_id="e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5"
            usage_total=7000i
            usage_in_usermode=0i
            usage_in_kernelmode=0i
            usage_system=100000000000i
            throttling_periods=0i
            throttling_throttled_periods=0i
            throttling_throttled_time=0i 1000000000000000000
    "#]],
    );
}

#[test]
fn one_that_died_has_last_lines_and_services_are_reported() {
    let registry = registry();
    let mut docker = Docker::with_registry(alone(), Arc::clone(&registry));
    docker.options.containers = only(&["web"]);
    docker.options.labels = only(&["none"]);
    gather(&mut docker, "docker-v2/first", 0);
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
    let lines = gather(&mut docker, "docker-v2/second", 10);
    let at = " 1000000005500000000";
    has(&lines, "exitcode=137i");
    has(&lines, "oomkilled=true");
    // One second of the ten that each of two processors had.
    let share = lines.lines().find(|line| line.contains("usage_percent=20"));
    assert!(share.is_some_and(|line| line.ends_with(at)), "{lines}");
    has(
        &lines,
        "docker_swarm,service_id=s1,service_mode=replicated,service_name=api tasks_running=1i,tasks_desired=3i ",
    );
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
    host.gather(
        &mut docker,
        &nowhere,
        &expect![[r#"
            ! 1 trouble(s), first: "docker.sock" is no engine's address; give it as unix:///var/run/docker.sock or tcp://HOST:PORT
        "#]],
    );
    host.gather(&mut docker, &nowhere, &expect![[""]]);
}

#[test]
fn what_things_take_on_disk_is_reported_once_where_it_is_asked_for() {
    let usage = DiskUsage {
        layers_bytes: 1000,
        containers: vec![ContainerDisk {
            id: id("a1"),
            name: "web".into(),
            image: "nginx".into(),
            version: "1.25".into(),
            writable_bytes: 7,
            all_bytes: 70,
        }],
        images: vec![ImageDisk {
            id: "0123456789ab".into(),
            bytes: 50,
            shared_bytes: -1,
            ..ImageDisk::default()
        }],
        volumes: vec![VolumeDisk {
            name: "data".into(),
            bytes: 9,
        }],
    };
    let registry = registry();
    registry.lock().disk_usage = Some(usage);
    let options = DockerOptions {
        storage_objects: vec!["container".into(), "image".into()],
        source_tag: true,
        ..alone()
    };
    let mut docker = Docker::with_registry(options, registry);
    let lines = gather(&mut docker, "docker-v2/first", 0);
    let disk: Vec<&str> = lines
        .lines()
        .filter_map(|line| line.strip_prefix("docker_disk_usage,engine_host=node1,"))
        .collect();
    let expected = [
        "server_version=27.5.1 layers_size=1000i 1000000000000000000",
        "image_id=0123456789ab,server_version=27.5.1 size=50i,shared_size=-1i 1000000000000000000",
    ];
    assert_eq!([disk[0], disk[1]], expected);
    // Tags of a container stand before the host's.
    has(
        &lines,
        "docker_disk_usage,container_image=nginx,container_name=web,container_version=1.25,engine_host=node1,\
         server_version=27.5.1,source=a1a1a1a1a1a1 size_rw=7i,size_root_fs=70i ",
    );
    assert!(!lines.contains("volume_name"), "{lines}");
    let later = gather(&mut docker, "docker-v2/first", 10);
    assert!(!later.contains("docker_disk_usage"), "{later}");
}

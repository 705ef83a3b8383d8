//! A real Docker engine: what the agent says of its containers lies between what the engine says before and after.
//!
//! The engine is one of this test's own; where there can be none, the test says so.

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use support::engine::{Engine, disk_below};
use support::{Relay, takes_all};
use tandem_agent::{Agent, Collectors, Config, DockerOptions, World};

const CONTAINERS: usize = 20;
/// Holds this much memory each, in a file system of its own memory.
const HELD_BYTES: u64 = 3 << 20;
/// Containers that live for less than an interval.
const SHORT: usize = 5;

/// The tags and fields of a line.
fn parse(line: &str) -> (String, BTreeMap<String, String>) {
    // A blank in a tag stands behind a backslash.
    let ends_key = |at: &usize| !line[..*at].ends_with('\\');
    let at = line
        .match_indices(' ')
        .map(|(at, _)| at)
        .find(ends_key)
        .unwrap();
    let (key, rest) = (&line[..at], &line[at + 1..]);
    let (fields, _) = rest.rsplit_once(' ').unwrap();
    let mut parts = key.split(',');
    let measurement = parts.next().unwrap().to_owned();
    let tags = parts
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
    let fields = fields
        .split(',')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| {
            let number = value.strip_suffix('i').unwrap_or(value);
            (key.to_owned(), number.trim_matches('"').to_owned())
        });
    (measurement, tags.chain(fields).collect())
}

/// The last line of a measurement about a container, among those from `since` on.
fn last(
    relay: &Relay,
    since: usize,
    measurement: &str,
    name: &str,
) -> Option<BTreeMap<String, String>> {
    let lines = relay.taken();
    lines
        .iter()
        .skip(since)
        .rev()
        .map(|line| parse(line))
        .find(|(found, all)| {
            found == measurement
                && all.get("container_name").is_some_and(|found| found == name)
                && all.get("cpu").is_none_or(|cpu| cpu == "cpu-total")
        })
        .map(|(_, all)| all)
}

fn number_of(all: &BTreeMap<String, String>, field: &str) -> u64 {
    let text = all
        .get(field)
        .unwrap_or_else(|| panic!("no {field} in {all:?}"));
    text.parse().unwrap_or_else(|_| panic!("{field} is {text}"))
}

/// The counters that the engine tells, under the agent's names.
fn counters(stats: &Value) -> Vec<(&'static str, &'static str, u64)> {
    let whole = |value: &Value| value.as_u64().unwrap_or(0);
    let networks = stats["networks"].as_object();
    let network =
        |field: &str| networks.map_or(0, |all| all.values().map(|one| whole(&one[field])).sum());
    let io = |operation: &str| {
        let list = stats["blkio_stats"]["io_service_bytes_recursive"].as_array();
        list.map_or(0, |list| {
            let wanted = |entry: &&Value| {
                entry["op"]
                    .as_str()
                    .is_some_and(|op| op.eq_ignore_ascii_case(operation))
            };
            list.iter()
                .filter(wanted)
                .map(|entry| whole(&entry["value"]))
                .sum()
        })
    };
    vec![
        (
            "docker_container_cpu",
            "usage_total",
            whole(&stats["cpu_stats"]["cpu_usage"]["total_usage"]),
        ),
        (
            "docker_container_cpu",
            "usage_system",
            whole(&stats["cpu_stats"]["system_cpu_usage"]),
        ),
        ("docker_container_net", "rx_bytes", network("rx_bytes")),
        ("docker_container_net", "tx_packets", network("tx_packets")),
        (
            "docker_container_blkio",
            "io_service_bytes_recursive_write",
            io("write"),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engines_containers_are_measured_as_the_engine_measures_them() {
    let engine = match Engine::start() {
        Ok(engine) => engine,
        Err(why) => {
            println!("SKIPPED: {why}");
            return;
        }
    };
    engine.import();
    let disk = engine.dir.path().join("disk");
    std::fs::create_dir_all(&disk).unwrap();
    // They write to a real disk, burn time, hold memory and talk over the bridge.
    let script = format!(
        "dd if=/dev/zero of=/dev/shm/held bs={HELD_BYTES} count=1 2>/dev/null; \
         while :; do \
           dd if=/dev/zero of=/disk/$(cat /etc/hostname) bs=65536 count=4 oflag=direct 2>/dev/null; \
           busybox ping -c 1 -W 1 172.17.0.2 >/dev/null; \
           busybox ping -c 1 -W 1 172.17.0.3 >/dev/null; \
           i=0; while [ $i -lt 2000 ]; do i=$((i+1)); done; \
           sleep 0.3; \
         done"
    );
    // With groups of version 1, kernels since 6.10 count what goes to a disk only once somebody has a limit there.
    let limit = disk_below(&disk).map(|path| json!({"Path": path, "Rate": 1_u64 << 33}));
    let mut ids = Vec::new();
    for number in 0..CONTAINERS {
        let labels = json!({"com.example.shop": "a b", "number": number.to_string()});
        let host = json!({
            "Memory": 64 << 20,
            "NanoCpus": 500_000_000,
            "Binds": [format!("{}:/disk", disk.display())],
            "NetworkMode": "bridge",
            "BlkioDeviceWriteBps": limit.iter().collect::<Vec<_>>(),
        });
        let name = format!("work{number}");
        ids.push((
            name.clone(),
            engine.start_container(&name, &script, &labels, &host),
        ));
    }

    let data = tempfile::tempdir().unwrap();
    let relay = Relay::start(takes_all());
    let mut config = Config::new(vec![relay.url.clone()], data.path().to_path_buf());
    config.interval = Duration::from_secs(1);
    config.collectors = Collectors {
        docker: Some(DockerOptions {
            endpoint: Some(format!("unix://{}", engine.socket().display())),
            storage_objects: vec!["container".into(), "image".into()],
            ..DockerOptions::default()
        }),
        ..Collectors::none()
    };
    let agent = Agent::start(config, World::default()).unwrap();
    let cpu =
        |relay: &Relay, since: usize, name: &str| last(relay, since, "docker_container_cpu", name);
    relay.wait("all containers twice", |relay| {
        ids.iter().all(|(name, _)| {
            cpu(relay, 0, name).is_some_and(|all| all.contains_key("usage_percent"))
        })
    });

    // Every counter lies between two readings of the engine's around the gather.
    let before: Vec<_> = ids
        .iter()
        .map(|(_, id)| counters(&engine.stats(id)))
        .collect();
    let mut since = 0;
    // The first lines since then may be of a gather that had begun before.
    for what in ["a gather", "another"] {
        since = relay.taken().len();
        relay.wait(what, |relay| {
            ids.iter().all(|(name, _)| {
                last(relay, since, "docker_container_blkio", name).is_some()
                    && cpu(relay, since, name).is_some()
            })
        });
    }
    let seen: Vec<Vec<_>> = before
        .iter()
        .zip(&ids)
        .map(|(before, (name, _))| {
            let of_counter = |(measurement, field, _): &(&str, &str, u64)| {
                let all = last(&relay, since, measurement, name).unwrap();
                all.get(*field).map_or(0, |_| number_of(&all, field))
            };
            before.iter().map(of_counter).collect()
        })
        .collect();
    let (mut compared, mut uncounted) = (0, 0);
    for (((name, id), before), seen) in ids.iter().zip(before).zip(seen) {
        let after = counters(&engine.stats(id));
        for ((before, seen), after) in before.iter().zip(seen).zip(after) {
            let (measurement, field, before) = before;
            if *measurement == "docker_container_blkio" && limit.is_none() && after.2 == 0 {
                uncounted += 1;
                continue;
            }
            assert!(
                *before > 0,
                "{name}: the engine says 0 for {measurement} {field}"
            );
            assert!(
                (*before..=after.2).contains(&seen),
                "{name} {measurement} {field}: {before} <= {seen} <= {}",
                after.2
            );
            compared += 1;
        }
        let memory = last(&relay, since, "docker_container_mem", name).unwrap();
        assert_eq!(number_of(&memory, "limit"), 64 << 20);
        assert!(number_of(&memory, "max_usage") >= HELD_BYTES, "{memory:?}");
        assert_eq!(memory["container_id"], *id);
        assert_eq!(memory["com.example.shop"], "a\\ b");
        assert_eq!(memory["container_image"], "tandem-test");
        assert_eq!(memory["container_version"], "1");
        assert_eq!(memory["container_status"], "running");
    }
    if uncounted > 0 {
        println!("SKIPPED: the kernel tells nobody what {uncounted} containers write to a disk");
    }
    println!(
        "docker: {compared} counters of {CONTAINERS} containers lie between two readings of the engine"
    );
    let info = engine.get("/info");
    let lines = relay.taken();
    let docker = lines
        .iter()
        .rev()
        .map(|line| parse(line))
        .find(|(name, all)| name == "docker" && all.contains_key("n_containers_running"));
    let docker = docker.unwrap().1;
    assert_eq!(number_of(&docker, "n_cpus"), info["NCPU"].as_u64().unwrap());

    // What things take on disk, as the engine says it.
    let of_disk = |relay: &Relay, tag: &str, name: &str| {
        let lines = relay.taken();
        let mut all = lines.iter().map(|line| parse(line));
        all.find(|(found, all)| {
            found == "docker_disk_usage" && all.get(tag).is_some_and(|found| found == name)
        })
    };
    relay.wait("what the image takes on disk", |relay| {
        of_disk(relay, "image_name", "tandem-test").is_some()
    });
    let image = of_disk(&relay, "image_name", "tandem-test").unwrap().1;
    let told = engine.get("/system/df");
    assert_eq!(
        Some(number_of(&image, "size")),
        told["Images"][0]["Size"].as_u64()
    );
    let container = of_disk(&relay, "container_name", "work0").unwrap().1;
    assert!(
        number_of(&container, "size_root_fs") >= number_of(&image, "size"),
        "{container:?}"
    );

    // One that ends by itself has its exit code and its last numbers, although it lived for less than an interval.
    let nothing = json!({"NetworkMode": "none"});
    let burn = "dd if=/dev/zero of=/dev/shm/held bs=1048576 count=2 2>/dev/null; \
                i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done; exit 3";
    let mut with_numbers = 0;
    for number in 0..SHORT {
        let name = format!("short{number}");
        engine.start_container(&name, burn, &Value::Null, &nothing);
        relay.wait("the end of a short one", |relay| {
            last(relay, 0, "docker_container_status", &name)
                .is_some_and(|all| all["exitcode"] == "3")
        });
        let end = last(&relay, 0, "docker_container_status", &name).unwrap();
        assert_eq!(end["container_status"], "exited");
        assert!(number_of(&end, "finished_at") > number_of(&end, "started_at"));
        let numbers = [
            ("docker_container_cpu", "usage_total"),
            ("docker_container_mem", "max_usage"),
        ];
        let has = |(measurement, field): &(&str, &str)| {
            last(&relay, 0, measurement, &name).is_some_and(|all| number_of(&all, field) > 0)
        };
        with_numbers += usize::from(numbers.iter().all(has));
    }
    println!("docker: {with_numbers} of {SHORT} short containers had last numbers");
    // The engine removes the group at once; on a machine that is busy it may be quicker than the agent.
    assert!(with_numbers > SHORT / 2, "{with_numbers} of {SHORT}");
    // One that is gone altogether when its lines are made has them all the same.
    let gone = json!({"NetworkMode": "none", "AutoRemove": true});
    engine.start_container("gone", "sleep 0.3; exit 5", &Value::Null, &gone);
    relay.wait("the end of one that is removed", |relay| {
        last(relay, 0, "docker_container_status", "gone")
            .is_some_and(|all| all["exitcode"] == "5" && all["container_status"] == "exited")
    });
    // One that starts while the agent runs appears, and so does its restart.
    let id = engine.start_container("late", "while :; do sleep 1; done", &Value::Null, &nothing);
    relay.wait("the late one", |relay| cpu(relay, 0, "late").is_some());
    let started = number_of(
        &last(&relay, 0, "docker_container_status", "late").unwrap(),
        "started_at",
    );
    engine.post(&format!("/containers/{id}/restart?t=0"), &Value::Null);
    relay.wait("its restart", |relay| {
        last(relay, 0, "docker_container_status", "late").is_some_and(|all| {
            number_of(&all, "started_at") > started && all["container_status"] == "running"
        })
    });

    engine.post(
        &format!("/containers/{id}/rename?name=renamed"),
        &Value::Null,
    );
    relay.wait("its other name", |relay| {
        cpu(relay, 0, "renamed").is_some_and(|all| all["container_id"] == id)
    });

    // A swarm of one node leads itself.
    engine.post(
        "/swarm/init",
        &json!({"ListenAddr": "127.0.0.1:2377", "AdvertiseAddr": "127.0.0.1"}),
    );
    let modes = [
        (
            "api",
            "replicated",
            json!({"Replicated": {"Replicas": 2}}),
            2,
        ),
        ("log", "global", json!({"Global": {}}), 1),
    ];
    for (name, _, mode, _) in &modes {
        let service = json!({
            "Name": name,
            "TaskTemplate": {
                "ContainerSpec": {"Image": "tandem-test:1", "Command": ["/bin/sleep", "1000"]},
                "Networks": [{"Target": "host"}],
            },
            "Mode": mode,
        });
        engine.post("/services/create", &service);
    }
    for (name, mode, _, tasks) in &modes {
        relay.wait("a service with all its tasks", |relay| {
            let lines = relay.taken();
            let last = lines.iter().rev().take(300).map(|line| parse(line));
            let mut of_service =
                last.filter(|(found, all)| found == "docker_swarm" && all["service_name"] == *name);
            of_service.next().is_some_and(|(_, all)| {
                assert_eq!(all["service_mode"], *mode);
                number_of(&all, "tasks_desired") == *tasks
                    && number_of(&all, "tasks_running") == *tasks
            })
        });
    }
    // What the engine itself counts.
    let running = engine.get("/tasks?filters=%7B%22desired-state%22%3A%5B%22running%22%5D%7D");
    let running = running.as_array().map_or(0, Vec::len);
    assert_eq!(running, 3);
    println!(
        "docker: {} services of a swarm with {running} tasks",
        modes.len()
    );
    let accounts = agent.stop().await;
    assert!(accounts.is_balanced(), "{accounts}");
    assert_eq!(accounts.dropped + accounts.rejected, 0, "{accounts}");
}

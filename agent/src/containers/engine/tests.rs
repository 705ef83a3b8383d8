//! An engine of recorded answers on a socket: what is learnt of it, and what it can do wrong.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::*;
use crate::containers::registry::{Health, Service, State};

const PATIENCE: Duration = Duration::from_secs(30);

fn id(pair: &str) -> String {
    pair.repeat(32)
}

fn recorded(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/engine")
        .join(name);
    std::fs::read_to_string(path).unwrap()
}

#[derive(Default)]
struct Shared {
    /// Bodies by path; what is not here is answered with 404.
    answers: Mutex<HashMap<String, String>>,
    /// Open streams of events.
    streams: Mutex<Vec<UnixStream>>,
    asked: Mutex<Vec<String>>,
}

struct FakeEngine {
    shared: Arc<Shared>,
    dir: tempfile::TempDir,
}

impl FakeEngine {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("engine.sock")).unwrap();
        let shared = Arc::new(Shared::default());
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                serve(&serving, connection.unwrap());
            }
        });
        let engine = Self { shared, dir };
        for (path, name) in [
            ("/info", "info.json"),
            ("/containers/json", "containers.json"),
            ("/nodes/n1", "node.json"),
            ("/services", "services.json"),
            ("/tasks", "tasks.json"),
        ] {
            engine.answer(path, &recorded(name));
        }
        engine.answer(
            &format!("/containers/{}/json", id("a1")),
            &recorded("web.json"),
        );
        engine.answer(
            &format!("/containers/{}/json", id("b2")),
            &recorded("agent.json"),
        );
        engine
    }

    fn answer(&self, path: &str, body: &str) {
        let mut answers = self.shared.answers.lock().unwrap();
        answers.insert(path.to_owned(), body.to_owned());
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::Unix(self.dir.path().join("engine.sock"))
    }

    fn emit(&self, action: &str, id: &str) {
        let line = format!(
            r#"{{"Type":"container","Action":"{action}","Actor":{{"ID":"{id}","Attributes":{{}}}},"time":1,"timeNano":1709209875500000000}}"#
        );
        let text = format!("{:x}\r\n{line}\n\r\n", line.len() + 1);
        for stream in self.shared.streams.lock().unwrap().iter_mut() {
            stream.write_all(text.as_bytes()).unwrap();
        }
    }

    fn break_streams(&self) {
        self.shared.streams.lock().unwrap().clear();
    }

    fn asked(&self, path: &str) -> usize {
        let asked = self.shared.asked.lock().unwrap();
        asked
            .iter()
            .filter(|target| target.as_str() == path)
            .count()
    }
}

fn serve(shared: &Shared, mut connection: UnixStream) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if connection.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.split(' ').nth(1).unwrap();
    let path = target.split('?').next().unwrap().to_owned();
    shared.asked.lock().unwrap().push(path.clone());
    if path == "/events" {
        let begin = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
        connection.write_all(begin.as_bytes()).unwrap();
        shared.streams.lock().unwrap().push(connection);
        return;
    }
    let answers = shared.answers.lock().unwrap();
    let (status, body) = match answers.get(&path) {
        Some(body) => ("200 OK", body.as_str()),
        None => ("404 Not Found", r#"{"message":"no such thing"}"#),
    };
    let text = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let _ = connection.write_all(text.as_bytes());
}

/// A follower of `engine` on the tree of a host with its two containers.
fn follow(engine: &FakeEngine) -> (Engine, Arc<Registry>) {
    let registry = Arc::new(Registry::default());
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/trees/docker-v2/first");
    let roots = Roots::under(&tree);
    let env = vec!["TIER".to_owned()];
    let running =
        Engine::start(engine.endpoint(), Arc::clone(&registry), roots, env, false).unwrap();
    (running, registry)
}

#[track_caller]
fn await_that(registry: &Registry, what: &str, wanted: impl Fn(&State) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !wanted(&registry.lock()) {
        assert!(Instant::now() < deadline, "waited too long for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn endpoints() {
    assert_eq!(
        Endpoint::parse("unix:///run/docker.sock"),
        Ok(Endpoint::Unix("/run/docker.sock".into()))
    );
    assert_eq!(
        Endpoint::parse("tcp://proxy:2375/"),
        Ok(Endpoint::Tcp("proxy:2375".into()))
    );
    for bad in [
        "",
        "docker.sock",
        "unix://relative",
        "tcp://proxy",
        "ssh://a:1",
    ] {
        assert!(Endpoint::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn containers_are_learnt_once_and_then_by_events() {
    let engine = FakeEngine::start();
    let (_running, registry) = follow(&engine);
    await_that(&registry, "the list", |state| state.is_up);
    {
        let state = registry.lock();
        let info = state.info.as_ref().unwrap();
        assert_eq!(
            (info.name.as_str(), info.version.as_str()),
            ("node1", "27.5.1")
        );
        assert_eq!((info.cpus, info.images, info.file_descriptors), (2, 7, 41));
        let web = &state.containers[&id("a1")];
        assert_eq!(web.name, "web");
        assert_eq!(
            (web.image.as_str(), web.version.as_str()),
            ("reg.example:5000/nginx", "1.25")
        );
        assert_eq!(web.env, [("TIER".to_owned(), "front".to_owned())]);
        assert_eq!(web.labels.len(), 2);
        assert_eq!((web.pid, web.restart_count), (4242, 2));
        assert_eq!(web.started_ns, Some(1_709_209_815_500_000_000));
        assert_eq!(web.finished_ns, None);
        let healthy = Health {
            status: "healthy".into(),
            failing_streak: 0,
        };
        assert_eq!(web.health, Some(healthy));
        let scope = format!("system.slice/docker-{}.scope", id("a1"));
        assert_eq!(web.cgroup.as_deref(), Some(Path::new(&scope)));
        let agent = &state.containers[&id("b2")];
        assert!(agent.has_host_network && agent.health.is_none());
    }

    engine.answer(
        &format!("/containers/{}/json", id("c3")),
        &recorded("job.json"),
    );
    engine.emit("start", &id("c3"));
    await_that(&registry, "the one that started", |state| {
        state.containers.contains_key(&id("c3"))
    });
    engine.emit("destroy", &id("c3"));
    await_that(&registry, "its end", |state| {
        !state.containers.contains_key(&id("c3"))
    });

    let asked = engine.asked(&format!("/containers/{}/json", id("b2")));
    assert_eq!(asked, 1, "what does not change is not asked for again");
    assert_eq!(engine.asked("/containers/json"), 1);
    assert!(
        engine
            .shared
            .asked
            .lock()
            .unwrap()
            .iter()
            .all(|path| !path.contains("stats"))
    );
}

#[test]
fn the_last_numbers_of_one_that_died_are_kept() {
    let engine = FakeEngine::start();
    let (_running, registry) = follow(&engine);
    await_that(&registry, "the list", |state| state.is_up);
    engine.answer(
        &format!("/containers/{}/json", id("a1")),
        &recorded("web-died.json"),
    );
    engine.emit("die", &id("a1"));
    await_that(&registry, "its death", |state| !state.died.is_empty());
    let state = registry.lock();
    let died = &state.died[0];
    assert_eq!(died.at_ns, 1_709_209_875_500_000_000);
    assert_eq!((died.meta.exit_code, died.meta.oom_killed), (137, true));
    assert_eq!(died.meta.status, "exited");
    assert_eq!(died.readings.cpu.as_ref().unwrap().total_ns, 2_500_000_000);
    assert_eq!(died.host_cpu_ns, 100_000_000_000);
}

#[test]
fn a_leader_tells_of_its_swarms_services() {
    let engine = FakeEngine::start();
    let (_running, registry) = follow(&engine);
    await_that(&registry, "services", |state| !state.services.is_empty());
    let service = |id: &str, name: &str, mode: &'static str| Service {
        id: id.to_owned(),
        name: name.to_owned(),
        mode,
        tasks_running: 0,
        tasks_desired: None,
        max_concurrent: None,
        total_completions: None,
    };
    let expected = [
        Service {
            tasks_running: 1,
            tasks_desired: Some(3),
            ..service("s1", "api", "replicated")
        },
        Service {
            tasks_running: 1,
            tasks_desired: Some(1),
            ..service("s2", "log", "global")
        },
        Service {
            tasks_running: 1,
            max_concurrent: Some(2),
            total_completions: Some(5),
            ..service("s3", "load", "replicated_job")
        },
        service("s4", "clean", "global_job"),
    ];
    assert_eq!(registry.lock().services, expected);
}

#[test]
fn an_engine_that_restarts_is_followed_again() {
    let engine = FakeEngine::start();
    let (_running, registry) = follow(&engine);
    await_that(&registry, "the list", |state| state.is_up);
    engine.answer("/containers/json", "[]");
    engine.break_streams();
    await_that(&registry, "the new list", |state| {
        state.is_up && state.containers.is_empty()
    });
}

#[test]
fn answers_that_are_nonsense_cost_nothing_but_themselves() {
    let engine = FakeEngine::start();
    engine.answer(
        &format!("/containers/{}/json", id("a1")),
        r#"{"State": "up"}"#,
    );
    engine.answer("/nodes/n1", "no JSON");
    let (_running, registry) = follow(&engine);
    await_that(&registry, "the list", |state| state.is_up);
    assert_eq!(registry.lock().containers.len(), 1);
    engine.emit("start", "../../info");
    engine.emit("start\\u0000", &id("c3"));
    engine.emit("start", &id("b2"));
    await_that(&registry, "a complaint about the swarm", |state| {
        state.problem.is_some()
    });
    engine.answer("/containers/json", "7");
    engine.break_streams();
    await_that(&registry, "a complaint about the list", |state| {
        !state.is_up
            && state
                .problem
                .as_ref()
                .is_some_and(|text| text.contains("not understood"))
    });
    assert_eq!(registry.lock().containers.len(), 1, "what was known stays");
}

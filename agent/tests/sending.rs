//! From the host's files to a relay that answers, or refuses.

mod support;

use std::sync::Arc;
use std::time::Duration;

use support::{Relay, always, config, is_in_order, takes_all};
use tandem_agent::{
    Agent, AgentError, Collectors, Config, InternalOptions, KernelOptions, Shape, Timing, World,
    once, test,
};
use tandem_http::Secret;
use tandem_testkit::ManualClock;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_reach_the_relay_and_the_books_balance() {
    let dir = tempfile::tempdir().unwrap();
    let relay = Relay::start(takes_all());
    let mut config = config(&[&relay], dir.path());
    config.global_tags = vec![("dc".into(), "a b".into())];
    let agent = Agent::start(config, World::default()).unwrap();
    relay.wait("three gathers", |relay| relay.taken().len() >= 3);
    let accounts = agent.run(std::future::ready(())).await;
    let taken = relay.taken();
    assert_eq!(accounts.written, taken.len() as u64);
    assert_eq!(accounts.gathered, accounts.written);
    assert!(accounts.is_balanced(), "{accounts}");
    assert_eq!(accounts.buffered, 0);
    assert!(is_in_order(&taken));
    for line in &taken {
        assert!(line.starts_with("mem,dc=a\\ b,host=web1 total="), "{line}");
        // Below a second, times are rounded to milliseconds.
        assert!(line.ends_with("000000"), "{line}");
    }
    let (target, body) = &relay.requests()[0];
    assert_eq!(target, "/query");
    assert_eq!(body, "q=CREATE%20DATABASE%20%22telegraf%22");
    assert_eq!(relay.requests()[1].0, "/write?db=telegraf");
    assert_eq!(relay.kinds()[0], "application/x-www-form-urlencoded");
    assert_eq!(relay.kinds()[1], "text/plain; charset=utf-8");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_lines_are_counted_and_not_sent_again() {
    let dir = tempfile::tempdir().unwrap();
    let relay = Relay::start(always(400, "unable to parse"));
    let agent = Agent::start(config(&[&relay], dir.path()), World::default()).unwrap();
    relay.wait("two refused writes", |relay| relay.requests().len() >= 3);
    relay.answers(takes_all());
    relay.wait("a line", |relay| !relay.taken().is_empty());
    let accounts = agent.stop().await;
    assert!(accounts.rejected >= 2, "{accounts}");
    assert_eq!(accounts.written, relay.taken().len() as u64);
    assert!(accounts.is_balanced(), "{accounts}");
    let mut bodies: Vec<String> = relay.requests().into_iter().map(|(_, body)| body).collect();
    let sent = bodies.len();
    bodies.sort();
    bodies.dedup();
    assert_eq!(bodies.len(), sent, "nothing was sent twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_bad_line_costs_itself_alone() {
    let dir = tempfile::tempdir().unwrap();
    let relay = Relay::start(Box::new(|body: &str| {
        if body.contains("swap,") {
            (400, "unable to parse")
        } else {
            (204, "")
        }
    }));
    let mut config = config(&[&relay], dir.path());
    config.collectors.swap = true;
    config.collectors.kernel = Some(KernelOptions::default());
    config.collectors.system = true;
    let agent = Agent::start(config, World::default()).unwrap();
    relay.wait("some gathers", |_| agent.accounts().written >= 20);
    let accounts = agent.stop().await;
    assert!(accounts.is_balanced(), "{accounts}");
    assert!(accounts.rejected >= 2, "{accounts}");
    let taken = relay.taken();
    assert_eq!(accounts.written, taken.len() as u64);
    for measurement in ["mem,", "kernel,", "system,"] {
        assert!(
            taken.iter().any(|line| line.starts_with(measurement)),
            "{measurement}"
        );
    }
    // Of a gather, `swap` has two lines of seven.
    assert!(accounts.rejected * 2 <= accounts.written, "{accounts}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_are_packed_and_the_token_goes_along() {
    let dir = tempfile::tempdir().unwrap();
    let relay = Relay::start(takes_all());
    let mut config = config(&[&relay], dir.path());
    assert!(!config.is_gzip(), "on this host there is nothing to save");
    config.output.gzip = Some(true);
    config.output.token = Some(Secret::new("agent:secret"));
    config.retention_policy = Some("week".into());
    config.output.create_database = false;
    let agent = Agent::start(config, World::default()).unwrap();
    relay.wait("a line", |relay| !relay.taken().is_empty());
    agent.stop().await;
    for (authorization, encoding) in relay.headers() {
        assert_eq!(
            (authorization.as_str(), encoding.as_str()),
            ("Token agent:secret", "gzip")
        );
    }
    for (target, _) in relay.requests() {
        assert_eq!(target, "/write?db=telegraf&rp=week");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_are_gathered_for_a_while_where_settings_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let relay = Relay::start(takes_all());
    let mut config = config(&[&relay], dir.path());
    config.output.flush_interval = Duration::from_secs(3600);
    let agent = Agent::start(config.clone(), World::default()).unwrap();
    relay.wait("three gathers", |_| agent.accounts().gathered >= 3);
    assert_eq!(agent.accounts().written, 0);
    agent.flush();
    relay.wait("all in one request", |relay| relay.taken().len() >= 3);
    let writes = |relay: &Relay| {
        let requests = relay.requests();
        requests
            .iter()
            .filter(|(target, _)| target.starts_with("/write"))
            .count()
    };
    assert_eq!(writes(&relay), 1);
    // New settings take effect at once, and lose nothing.
    config.output.flush_interval = Duration::ZERO;
    config.global_tags = vec![("dc".into(), "x".into())];
    agent.reload(config.clone()).unwrap();
    relay.wait("lines with the new tag", |relay| {
        relay
            .taken()
            .iter()
            .any(|line| line.starts_with("mem,dc=x,"))
    });
    config.relays.clear();
    assert!(agent.reload(config).is_err(), "and bad ones none");
    let accounts = agent.stop().await;
    assert!(accounts.is_balanced(), "{accounts}");
    assert_eq!(accounts.written, accounts.gathered, "{accounts}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_agents_own_books_balance_in_every_point() {
    let dir = tempfile::tempdir().unwrap();
    let relay = Relay::start(takes_all());
    let mut config = config(&[&relay], dir.path());
    config.collectors = Collectors {
        internal: Some(InternalOptions::default()),
        swap: true,
        ..Collectors::none()
    };
    let agent = Agent::start(config, World::default()).unwrap();
    let books = |relay: &Relay| -> Vec<String> {
        let lines = relay.taken().into_iter();
        lines
            .filter(|line| line.starts_with("internal_agent,"))
            .collect()
    };
    relay.wait("some points", |relay| books(relay).len() >= 5);
    agent.stop().await;
    for line in books(&relay) {
        let of = |name: &str| -> i64 {
            let rest = line.split(&format!("metrics_{name}=")).nth(1).unwrap();
            rest.split('i').next().unwrap().parse().unwrap()
        };
        let kept = of("written") + of("buffered") + of("dropped") + of("rejected");
        assert_eq!(of("gathered") + of("recovered"), kept, "{line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_database_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let relay = Relay::start(always(404, r#"database not found: "telegraf""#));
    let agent = Agent::start(config(&[&relay], dir.path()), World::default()).unwrap();
    let asked = |relay: &Relay| {
        let requests = relay.requests();
        requests
            .iter()
            .filter(|(target, _)| target == "/query")
            .count()
    };
    relay.wait("a second attempt to make it", |relay| asked(relay) >= 2);
    relay.answers(takes_all());
    relay.wait("a line", |relay| !relay.taken().is_empty());
    let accounts = agent.stop().await;
    assert_eq!((accounts.rejected, accounts.dropped), (0, 0), "{accounts}");
    assert!(accounts.is_balanced(), "{accounts}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_relay_takes_over() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (Relay::start(always(503, "away")), Relay::start(takes_all()));
    let agent = Agent::start(config(&[&first, &second], dir.path()), World::default()).unwrap();
    second.wait("three lines", |relay| relay.taken().len() >= 3);
    let accounts = agent.stop().await;
    assert_eq!(accounts.written, second.taken().len() as u64);
    let writes = first
        .requests()
        .iter()
        .filter(|(target, _)| target != "/query")
        .count();
    assert_eq!(writes, 1, "the one that answers is kept");
    assert!(accounts.is_balanced(), "{accounts}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn once_sends_all_measurements_or_fails() {
    let dir = tempfile::tempdir().unwrap();
    let relay = Relay::start(takes_all());
    let config = Config::new(vec![relay.url.clone()], dir.path().join("unused"));
    let lines = once(&config, &World::default()).await.unwrap();
    assert_eq!(lines, relay.taken().len() as u64);
    assert!(
        relay
            .taken()
            .iter()
            .any(|line| line.starts_with("cpu,cpu=cpu-total,"))
    );
    relay.answers(always(503, "away"));
    let error = once(&config, &World::default()).await.unwrap_err();
    assert!(matches!(error, AgentError::NotWritten { .. }), "{error}");
    assert!(error.to_string().contains("503"), "{error}");
    assert!(
        !dir.path().join("unused").exists(),
        "the spool is not touched"
    );
}

#[test]
fn test_prints_every_measurement_of_this_host() {
    let config = Config::new(Vec::new(), "/no/such".into());
    let text = test(&config, &World::default());
    for measurement in [
        "cpu,",
        "mem,",
        "swap,",
        "disk,",
        "diskio,",
        "net,",
        "system,",
        "processes,",
        "kernel,",
        "netstat,",
        "nstat,",
        "linux_sysctl_fs,",
        "internal_agent,",
    ] {
        let found = text.lines().any(|line| line.starts_with(measurement));
        assert!(found, "{measurement} is missing:\n{text}");
    }
    assert!(
        text.contains(",cpu=cpu-total,") && text.contains("net,") && text.contains("interface=all")
    );
    // At 10 s, times are rounded to seconds.
    assert!(
        text.lines().all(|line| line.ends_with("000000000")),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gathers_follow_a_clock_that_is_turned() {
    let dir = tempfile::tempdir().unwrap();
    let relay = Relay::start(takes_all());
    let mut config = config(&[&relay], dir.path());
    config.interval = Config::INTERVAL;
    let clock = Arc::new(ManualClock::new(1_000_003_000_000_000));
    let world = World {
        clock: clock.clone(),
        ..World::default()
    };
    let agent = Agent::start(config, world).unwrap();
    clock.advance(Duration::from_millis(7_300));
    relay.wait("the first tick", |relay| relay.taken().len() == 1);
    clock.advance(Duration::from_secs(35));
    relay.wait("the tick after some missed ones", |relay| {
        relay.taken().len() == 2
    });
    let accounts = agent.stop().await;
    assert_eq!(accounts.gathers_skipped, 2, "at 20 and 30 s");
    let times: Vec<i64> = support::times(&relay.taken()).into_iter().collect();
    assert_eq!(times, [1_000_010_000_000_000, 1_000_045_000_000_000]);
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let relay = Relay::start(takes_all());
    let good = config(&[&relay], dir.path());
    let refused = |config: &Config| match Agent::start(config.clone(), World::default()) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("it started"),
    };
    let mut bad = good.clone();
    bad.relays.clear();
    assert!(refused(&bad).starts_with("no relay is given"));
    let mut bad = good.clone();
    bad.interval = Duration::from_millis(1);
    assert!(refused(&bad).contains("interval"));
    let mut bad = good.clone();
    bad.collectors
        .timings
        .insert("cpus".into(), Timing::default());
    assert!(refused(&bad).contains("cpus"));
    let mut bad = good.clone();
    bad.collectors
        .shapes
        .insert("gpus".into(), Shape::default());
    assert!(refused(&bad).contains("gpus"));
    let mut bad = good.clone();
    let shape = bad.collectors.shapes.entry("mem".into()).or_default();
    shape.name_prefix = "#".into();
    assert!(refused(&bad).contains("of mem: a name that begins with #"));
    let mut bad = good.clone();
    bad.jitter = bad.interval;
    assert!(refused(&bad).contains("jitter"));
    let mut bad = good.clone();
    bad.data_dir = "/proc/none".into();
    assert_eq!(refused(&bad), "cannot open the spool in /proc/none");
    // A second agent on the same data.
    let agent = Agent::start(good.clone(), World::default()).unwrap();
    assert!(refused(&good).starts_with("cannot open the spool"));
    drop(agent);
}

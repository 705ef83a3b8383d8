//! `deploy/stack.yaml` on a swarm of one node: it starts as it stands, agents fill both stores, and a store whose
//! container is taken away comes back and has what it missed.
//!
//! What this engine cannot have is put in its place in the text, and each of these places must be found: virtual
//! addresses and the routing mesh need a kernel with IPVS, Grafana needs its image, the node has both stores, and the
//! engine's socket is its own.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::engine::Engine;
use super::{LOOK_INTERVAL, must, quoted};

/// What `--only` calls it.
pub(super) const NAME: &str = "The stack on a swarm";
/// The stack is there, or healed, within this time: a new task waits for its backend's checks of health.
const SHOWN_MAX: Duration = Duration::from_secs(120);
/// Of the node.
const ADDRESS: &str = "10.99.0.1";
/// An agent's points in each store.
const COUNT: &str = "SELECT count(load1) FROM system";

/// Starts the stack, breaks it, and sees it heal.
pub(super) fn play(engine: &Engine, root: &Path) -> anyhow::Result<()> {
    println!("\n== {NAME}");
    let path = root.join("deploy/stack.yaml");
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let stack = adapted(&text, &engine.socket())?;
    let file = engine.dir().join("stack.yaml");
    std::fs::write(&file, stack).with_context(|| format!("write {}", file.display()))?;
    // The bridge is what gives the node an address.
    must(
        engine,
        &format!(
            "ip link add node0 type bridge && ip addr add {ADDRESS}/24 dev node0 && ip link set node0 up && \
             docker swarm init --advertise-addr {ADDRESS}"
        ),
    )?;
    must(
        engine,
        "docker node update --label-add tandem.store=primary $(docker node ls -q)",
    )?;
    let file = quoted(&file.to_string_lossy());
    must(engine, &format!("docker stack deploy -c {file} monitoring"))?;
    let filled = |counts: &[u64; 2]| counts.iter().all(|count| *count > 0);
    until(engine, "the agent fills both stores", filled)?;
    until_shown(
        engine,
        "the agent tells of the swarm's services",
        &asked(
            8086,
            "SELECT last(tasks_running) FROM docker_swarm GROUP BY service_name",
        ),
        "monitoring_monitoring-server-backup",
    )?;
    let before = counts(engine)?;
    must(
        engine,
        "docker rm -f $(docker ps -q --filter name=monitoring_monitoring-server-backup)",
    )?;
    println!("(fault: the backup's container is removed)");
    let healed = |counts: &[u64; 2]| counts[0] > before[0] + 1 && counts[0] == counts[1];
    until(engine, "the backup is back and has what it missed", healed)?;
    must(
        engine,
        "docker stack rm monitoring && docker swarm leave --force",
    )
}

/// The stack for an engine with `socket` on a node without IPVS.
fn adapted(text: &str, socket: &Path) -> anyhow::Result<String> {
    let (before, rest) = text
        .split_once("  monitoring-client:\n    image:")
        .context("deploy/stack.yaml has no Grafana")?;
    let (_, after) = rest
        .split_once("\nnetworks:\n")
        .context("deploy/stack.yaml has no networks behind the configurations")?;
    let mut stack = format!("{before}\nnetworks:\n{after}");
    for (from, to) in [
        ("    deploy:\n", "    deploy:\n      endpoint_mode: dnsrr\n"),
        ("tandem.store == backup", "tandem.store == primary"),
        ("  monitoring-client: {name: monitoring-client}\n", ""),
        (
            "source: /var/run/docker.sock",
            &format!("source: {}", socket.display()),
        ),
        (
            "\"8086:8086\", \"8083:8083\"",
            &[host_port(8086), host_port(8083)].join(", "),
        ),
        (
            "\"8087:8087\", \"8084:8084\"",
            &[host_port(8087), host_port(8084)].join(", "),
        ),
        ("\"9096:9096\"", &host_port(9096)),
        ("[agent, --relay,", "[agent, --interval, 1s, --relay,"),
    ] {
        ensure!(stack.contains(from), "deploy/stack.yaml has no {from:?}");
        stack = stack.replace(from, to);
    }
    Ok(stack)
}

fn host_port(port: u16) -> String {
    format!("{{target: {port}, published: {port}, mode: host}}")
}

/// A command that asks a store.
fn asked(port: u16, query: &str) -> String {
    format!(
        "curl -s -m 5 -u admin:$TANDEM_ADMIN_PASSWORD http://127.0.0.1:{port}/query?db=telegraf --data-urlencode {}",
        quoted(&format!("q={query}"))
    )
}

/// Points of the agent in the primary and in the backup; 0 where it does not answer.
fn counts(engine: &Engine) -> anyhow::Result<[u64; 2]> {
    let count = |port| -> anyhow::Result<u64> {
        let done = engine.shell(&asked(port, COUNT))?;
        let answer: serde_json::Value = serde_json::from_str(&done.text).unwrap_or_default();
        let cell = &answer["results"][0]["series"][0]["values"][0][1];
        Ok(cell.as_u64().unwrap_or(0))
    };
    Ok([count(8086)?, count(8087)?])
}

fn until(engine: &Engine, what: &str, is_so: impl Fn(&[u64; 2]) -> bool) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let counts = counts(engine)?;
        if is_so(&counts) {
            break;
        }
        if begun.elapsed() > SHOWN_MAX {
            let services =
                "docker service ls; docker service ps --no-trunc $(docker service ls -q)";
            let told = engine.shell(services)?;
            anyhow::bail!("not so: {what}; points {counts:?}\n{}", told.text);
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
    println!("ok  {what} ({:.1} s)", begun.elapsed().as_secs_f64());
    Ok(())
}

fn until_shown(engine: &Engine, what: &str, command: &str, promised: &str) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let done = engine.shell(command)?;
        if done.text.contains(promised) {
            break;
        }
        ensure!(begun.elapsed() < SHOWN_MAX, "not so: {what}: {}", done.text);
        std::thread::sleep(LOOK_INTERVAL);
    }
    println!("ok  {what} ({:.1} s)", begun.elapsed().as_secs_f64());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stack_has_all_that_is_put_in_place() {
        let root = crate::root().expect("the repository");
        let text = std::fs::read_to_string(root.join("deploy/stack.yaml")).expect("the stack");
        let stack = adapted(&text, Path::new("/x/socket")).expect("its places");
        assert!(!stack.contains("grafana/grafana") && stack.contains("source: /x/socket"));
        assert_eq!(stack.matches("dnsrr").count(), 4);
        assert_eq!(stack.matches("mode: host").count(), 5);
        assert!(adapted("services: {}", Path::new("/x")).is_err());
    }
}

//! `cargo xtask guide`: the procedures of docs/operations.md, run as they stand there.
//!
//! A Docker engine of its own, in a network of its own, runs the services in containers of the guide's names, on a
//! bridge network with the guide's aliases. For each procedure its fault is brought about; then each of its
//! commands is run and each of its pages is opened, by the guide's names and ports, until what the text promises
//! shows. After each procedure all must be well again. At the end, `deploy/stack.yaml` runs on a swarm of one node.

mod engine;
mod procedure;
mod stack;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use self::engine::Engine;
use self::procedure::{Procedure, Step, procedures};

/// A command, or the page, shows what is promised within this time. A host is silent after a minute.
const SHOWN_MAX: Duration = Duration::from_secs(100);
/// Between two looks.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What each procedure is about: brought about before it, and undone after it where its own commands do not.
const FAULTS: [(&str, &str, &str); 9] = [
    ("First look at any fault", "", ""),
    (
        "Data is missing on a chart",
        "docker stop monitoring-agent",
        "",
    ),
    (
        "The relay cannot write to a store",
        "docker stop monitoring-server-backup",
        "",
    ),
    ("Is the data in the stores?", "", ""),
    ("Charts show nothing", "docker stop monitoring-server", ""),
    (
        "Neither store can be reached, and both run",
        "iptables -I INPUT -p tcp -m multiport --dports 8083,8084,8086,8087 -j DROP",
        "iptables -D INPUT -p tcp -m multiport --dports 8083,8084,8086,8087 -j DROP",
    ),
    (
        "A store's container died",
        "docker kill monitoring-server",
        "",
    ),
    (
        "A store's container is gone",
        "docker rm -f monitoring-server-backup",
        "",
    ),
    ("Capacity", "", ""),
];

/// The users of deploy/compose.yaml, of which the procedures take the passwords from the shell.
const USERS: &str = "-e TANDEM_STORE_AUTH_ENABLED=true -e TANDEM_STORE_ADMIN_USER=admin \
     -e TANDEM_STORE_ADMIN_PASSWORD=$TANDEM_ADMIN_PASSWORD -e TANDEM_STORE_WRITE_USER=agent \
     -e TANDEM_STORE_WRITE_USER_PASSWORD=$TANDEM_WRITE_USER_PASSWORD -e TANDEM_STORE_READ_USER=grafana \
     -e TANDEM_STORE_READ_USER_PASSWORD=$TANDEM_READ_USER_PASSWORD";

/// The services as deploy/compose.yaml has them; its users come before them.
const SERVICES: [&str; 4] = [
    "--name monitoring-server --network-alias monitoringserver -p 8086:8086 -p 8083:8083 \
     -v monitoring-server:/var/lib/tandem tandem store --name monitoring-server --http :8086 --admin :8083 \
     --relay http://monitoring-server-relay:9096 --peer http://monitoringserver-backup:8087",
    "--name monitoring-server-backup --network-alias monitoringserver-backup -p 8087:8087 -p 8084:8084 \
     -v monitoring-server-backup:/var/lib/tandem tandem store --name monitoring-server-backup --http :8087 \
     --admin :8084 --relay http://monitoring-server-relay:9096 --peer http://monitoringserver:8086",
    "--name monitoring-server-relay -p 9096:9096 -v monitoring-server-relay:/var/lib/tandem tandem relay \
     --http :9096 --backend primary=http://monitoringserver:8086 \
     --backend backup=http://monitoringserver-backup:8087",
    "--name monitoring-agent tandem agent \
     --relay http://agent:$TANDEM_WRITE_USER_PASSWORD@monitoring-server-relay:9096 --interval 1s",
];

/// Runs all procedures; true when each showed what it promises.
pub(crate) fn run(root: &Path, options: &[&str]) -> anyhow::Result<bool> {
    let (mut only, mut binary, mut install) = (None, None, false);
    let mut rest = options;
    while let [option, behind @ ..] = rest {
        rest = match (*option, behind) {
            ("--install", _) => {
                install = true;
                behind
            }
            ("--only", [part, behind @ ..]) => {
                only = Some(*part);
                behind
            }
            ("--binary", [path, behind @ ..]) => {
                binary = Some(Path::new(path).to_path_buf());
                behind
            }
            _ => bail!("{option}: there are --install, --only NAME and --binary PATH"),
        };
    }
    let all = procedures(&text(root)?)?;
    if install {
        crate::test::install()?;
        crate::test::install_for_pages(root)?;
    }
    if let Some(why) = engine::missing(root) {
        println!("guide: SKIPPED, nothing was run: {why}; --install brings it");
        return Ok(true);
    }
    let binary = match binary {
        Some(binary) => binary,
        None => crate::test::build(root)?,
    };
    let engine = Engine::start(root)?;
    println!(
        "a Docker engine runs; its image is made of {}",
        binary.display()
    );
    engine.image(root, &binary)?;
    must(&engine, "docker network create monitoring")?;
    for service in SERVICES {
        must(
            &engine,
            &format!("docker run -d --network monitoring {USERS} {service}"),
        )?;
    }
    let mut failed = Vec::new();
    let wanted = |name: &str| only.is_none_or(|part| name.contains(part));
    let chosen = |one: &&Procedure| wanted(&one.name);
    for procedure in all.iter().filter(chosen) {
        println!("\n== {}", procedure.name);
        if let Err(why) = play(&engine, root, procedure) {
            println!("FAILED: {why:#}");
            failed.push(procedure.name.clone());
        }
    }
    if wanted(stack::NAME) {
        // It publishes the same ports, and its volumes and its network have the same names.
        must(
            &engine,
            "docker rm -f $(docker ps -aq) && docker volume rm $(docker volume ls -q) && docker network rm monitoring",
        )?;
        if let Err(why) = stack::play(&engine, root) {
            println!("FAILED: {why:#}");
            failed.push(stack::NAME.to_owned());
        }
    }
    match &failed[..] {
        [] => println!("\nall procedures show what they promise"),
        names => println!("\n{} failed: {}", names.len(), names.join("; ")),
    }
    Ok(failed.is_empty())
}

fn text(root: &Path) -> anyhow::Result<String> {
    let path = root.join("docs/operations.md");
    fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
}

/// Runs a command of this file, which must do well.
fn must(engine: &Engine, command: &str) -> anyhow::Result<()> {
    let done = engine.shell(command)?;
    ensure!(done.success, "{command}: {}", done.text);
    Ok(())
}

fn play(engine: &Engine, root: &Path, procedure: &Procedure) -> anyhow::Result<()> {
    let well = |engine: &Engine| {
        let page = Step::Page {
            url: "http://monitoringserver:8083".to_owned(),
            what: "view:Appliance".to_owned(),
            shows: "All is well".to_owned(),
        };
        take(engine, root, &page).context("all is well")
    };
    well(engine)?;
    let fault = FAULTS.iter().find(|(name, ..)| *name == procedure.name);
    let (_, fault, cure) = fault.with_context(|| format!("no fault for {:?}", procedure.name))?;
    if !fault.is_empty() {
        println!("(fault: {fault})");
        must(engine, fault)?;
    }
    let done = procedure
        .steps
        .iter()
        .try_for_each(|step| take(engine, root, step));
    if !cure.is_empty() {
        must(engine, cure)?;
    }
    done?;
    well(engine)
}

/// Takes one step, until it shows what it promises.
fn take(engine: &Engine, root: &Path, step: &Step) -> anyhow::Result<()> {
    let begun = Instant::now();
    match step {
        Step::Page { url, what, shows } => {
            let limit_s = SHOWN_MAX.as_secs().to_string();
            let pictures = root.join("target/xtask/guide");
            let script = format!(
                "cd {} && node tests/operator.mjs {} {} {} {} {limit_s}",
                quoted(&root.join("ui").to_string_lossy()),
                quoted(url),
                quoted(&pictures.to_string_lossy()),
                quoted(what),
                quoted(shows),
            );
            let done = engine.shell(&script)?;
            ensure!(done.success, "{url} {what}: {}", done.text);
        }
        Step::Shell { script, shows } => {
            let mut script = script.as_str();
            let mut missing: Vec<&String> = shows.iter().collect();
            loop {
                let done = engine.shell(script)?;
                missing.retain(|promised| !done.text.contains(promised.as_str()));
                if missing.is_empty() {
                    ensure!(done.success || !shows.is_empty(), "{script}: {}", done.text);
                    break;
                }
                ensure!(
                    begun.elapsed() < SHOWN_MAX,
                    "{script}: it does not show {missing:?}:\n{}",
                    done.text
                );
                std::thread::sleep(LOOK_INTERVAL);
                // What was done is done: only the last command looks again.
                script = script.trim_end().lines().last().unwrap_or_default();
            }
        }
    }
    println!("ok  {step} ({:.1} s)", begun.elapsed().as_secs_f64());
    Ok(())
}

/// A text as one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_procedure_of_the_document_has_its_fault() {
        let root = crate::root().expect("the repository");
        let all = procedures(&text(&root).expect("the document")).expect("procedures");
        let names: Vec<&str> = all.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, FAULTS.map(|(name, ..)| name));
        for procedure in &all {
            let promises = procedure.steps.iter().filter(|step| match step {
                Step::Shell { shows, .. } => !shows.is_empty(),
                Step::Page { .. } => true,
            });
            assert!(promises.count() > 0, "{} promises nothing", procedure.name);
        }
    }

    #[test]
    fn the_stores_are_started_as_in_the_compose_file() {
        let root = crate::root().expect("the repository");
        let compose = fs::read_to_string(root.join("deploy/compose.yaml")).expect("the file");
        let commands = compose.lines().filter_map(|line| {
            line.trim()
                .strip_prefix("command: [store, ")?
                .strip_suffix(']')
        });
        let mut stores = 0;
        for command in commands {
            let words = command.replace(['"', ','], "");
            let same = SERVICES.iter().any(|service| {
                let words_here: Vec<&str> = service.split_whitespace().collect();
                words_here
                    .join(" ")
                    .ends_with(&format!("tandem store {words}"))
            });
            assert!(same, "{words}");
            stores += 1;
        }
        assert_eq!(stores, 2);
    }

    #[test]
    fn each_command_names_a_container_of_the_compose_file_and_says_who_asks() {
        let root = crate::root().expect("the repository");
        let compose = fs::read_to_string(root.join("deploy/compose.yaml")).expect("the file");
        let all = procedures(&text(&root).expect("the document")).expect("procedures");
        let scripts = all.iter().flat_map(|one| &one.steps);
        let lines = scripts.filter_map(|step| match step {
            Step::Shell { script, .. } => Some(script.lines()),
            Step::Page { .. } => None,
        });
        let (mut containers, mut asking) = (0, 0);
        for line in lines.flatten() {
            let is_about_one = [
                "docker start ",
                "docker restart ",
                "docker logs ",
                "docker exec ",
            ]
            .iter()
            .any(|command| line.starts_with(command));
            if is_about_one {
                let name = line
                    .split_whitespace()
                    .find(|word| word.starts_with("monitoring-"))
                    .unwrap_or_else(|| panic!("no container: {line}"));
                let container = format!("    container_name: {name}\n");
                assert!(compose.contains(&container), "{line}");
                containers += 1;
            }
            for (asks, credentials) in [
                ("/query ", " -u \""),
                ("tandem shell ", " -username admin "),
                ("tandem repair ", "http://admin:$TANDEM_ADMIN_PASSWORD@"),
            ] {
                if line.contains(asks) {
                    assert!(line.contains(credentials), "{line}");
                    asking += 1;
                }
            }
        }
        assert!(containers > 5 && asking > 5, "{containers}, {asking}");
    }

    #[test]
    fn a_text_is_one_word() {
        assert_eq!(quoted("a'b c"), r"'a'\''b c'");
    }
}

//! What the documents tell people to type works: every command of README and docs runs against an appliance, or is
//! listed with the reason why it does not; every example of the configuration is taken.
//!
//! Commands stand in blocks that are indented by four spaces or more, with an explanation behind them. Those in fenced blocks
//! of docs/operations.md are the guide's, which `cargo xtask guide` runs.

mod common;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{PATIENCE, await_true, http, process::Process, process::free_addresses, tool};

const DOCUMENTS: [&str; 4] = [
    "README.md",
    "docs/operations.md",
    "docs/moving.md",
    "deploy/README.md",
];

/// The first words of what counts as a command.
const PROGRAMS: [&str; 11] = [
    "tandem",
    "curl",
    "cargo",
    "docker",
    "influx",
    "influx_inspect",
    "systemctl",
    "install",
    "set",
    "apt-get",
    "dpkg",
];

/// How a command is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Beside the running appliance.
    Running,
    /// Once it is stopped.
    Stopped,
    /// It runs until it is told to stop.
    Service,
    /// It installs the program, below a directory of the test's own.
    Installing,
    Skipped(&'static str),
}

fn way(command: &str) -> Way {
    let first = command.split(' ').next().unwrap_or_default();
    match first {
        "cargo" => Way::Skipped("builds or tests the tree that this is a test of"),
        "docker" | "set" => Way::Skipped("needs a Docker engine; `cargo xtask guide` has one"),
        "systemctl" if !tool::on_path("systemctl") => Way::Skipped("systemctl is not installed"),
        "install" | "systemctl" => Way::Installing,
        "apt-get" | "dpkg" => Way::Skipped("changes the machine"),
        "influx_inspect" | "influx" => Way::Skipped("needs an InfluxDB; tests/export.rs has one"),
        "curl" if !tool::on_path("curl") => Way::Skipped("curl is not installed"),
        "tandem" => {
            let words: Vec<&str> = command.split(' ').filter(|word| !word.is_empty()).collect();
            match words.get(1..).unwrap_or_default() {
                ["relay", "queue", "requeue" | "bury", ..] | ["compact", ..] => Way::Stopped,
                [_, .., "--as", _] => Way::Stopped,
                ["relay", "queue", ..] | ["agent", "--test"] => Way::Running,
                ["store" | "relay" | "agent", ..] => Way::Service,
                _ => Way::Running,
            }
        }
        _ => Way::Running,
    }
}

/// The commands of a document, each in one line, without what explains them.
fn commands(text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        // Within a list they stand deeper.
        let Some(line) = line.strip_prefix("    ").map(str::trim_start) else {
            continue;
        };
        let mut command = line.to_owned();
        while let Some(begun) = command.strip_suffix('\\') {
            let rest = lines.next().unwrap_or_default();
            command = format!("{} {}", begun.trim_end(), rest.trim_start());
        }
        let first = command.split(' ').next().unwrap_or_default();
        if PROGRAMS.contains(&first) {
            commands.push(without_explanation(&command));
        }
    }
    commands
}

/// Explanations stand behind two blanks or more and begin with a small letter or a sign that no option begins with.
fn without_explanation(command: &str) -> String {
    let command = command.split(" # ").next().unwrap_or_default();
    let mut kept = Vec::new();
    for (at, part) in command.split("   ").enumerate() {
        let part = part.trim();
        let goes_on = at == 0 || part.is_empty() || part.starts_with("--");
        if !goes_on {
            break;
        }
        kept.push(part);
    }
    let words = kept.join(" ");
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Puts what exists here in place of what the document names.
fn filled(command: &str, ports: &[(u16, SocketAddr)]) -> String {
    let mut command = command
        .replace("[--json]", "--json")
        .replace("[up] ", "")
        .replace(" NAME", " backup")
        .replace("--to URL", "--to http://127.0.0.1:8086")
        .replace("health URL", "health http://127.0.0.1:8086")
        .replacen("--from …", "--from http://127.0.0.1:8086", 1)
        .replacen("--to …", "--to http://127.0.0.1:8087", 1)
        .replace("http://OLD:", "http://127.0.0.1:")
        .replace("/backups/", "backups/")
        .replace("localhost:", "127.0.0.1:");
    for (port, address) in ports {
        command = command.replace(&format!(":{port}"), &format!(":{}", address.port()));
    }
    if let Some(rest) = command.strip_prefix("tandem relay queue") {
        command = format!("tandem --data-dir data/relay relay queue{rest}");
    }
    if let Some(rest) = command.strip_prefix("tandem shell") {
        let port = ports.iter().find(|(port, _)| *port == 8086);
        let port = port.expect("the primary's port").1.port();
        // At no terminal it runs what it is given.
        command = format!("echo SHOW MEASUREMENTS | tandem shell -port {port}{rest}");
    }
    command
}

/// Runs a command by a shell that knows `tandem`; what it printed is told when it fails.
fn run(home: &Path, command: &str) -> Result<(), String> {
    let binary = env!("CARGO_BIN_EXE_tandem");
    // An answer that refuses is a failure here.
    let script = format!(
        "tandem() {{ {binary:?} \"$@\"; }}\ncurl() {{ command curl --fail-with-body \"$@\"; }}\n{command}"
    );
    let output = Command::new("sh")
        .args(["-c", &script])
        .current_dir(home)
        .stdin(Stdio::null())
        .output()
        .expect("a shell");
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "{command}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    ))
}

/// The files of the tree, and the programs of this build, below `below` instead of the machine's root; services are
/// enabled there and not started.
fn install(tree: &Path, below: &Path, command: &str) -> Result<(), String> {
    // What every machine has.
    fs::create_dir_all(below.join("usr/bin")).unwrap();
    fs::create_dir_all(below.join("etc/systemd/system")).unwrap();
    let systemctl = format!("systemctl --root={} enable", below.display());
    let command = command
        .replace("systemctl daemon-reload && ", "")
        .replace("systemctl enable --now", &systemctl);
    let word = |word: &str| match word {
        "target/release/tandem" => env!("CARGO_BIN_EXE_tandem").to_owned(),
        "target/release/tandem-agent" => env!("CARGO_BIN_EXE_tandem-agent").to_owned(),
        path if path.starts_with('/') => format!("{}{path}", below.display()),
        other => other.to_owned(),
    };
    let words: Vec<String> = command.split(' ').map(word).collect();
    run(tree, &words.join(" "))
}

/// A service starts, says so, and stops when it is told to.
fn serve(home: &Path, command: &str, at: usize) {
    let mut arguments: Vec<String> = command.split(' ').skip(1).map(str::to_owned).collect();
    // Others may use the usual ports, and the data of the appliance is in use.
    let mut options: Vec<&str> = match arguments.first().map(String::as_str) {
        Some("store") => vec!["--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"],
        Some("relay") => vec!["--http", "127.0.0.1:0"],
        _ => Vec::new(),
    };
    let data = format!("service-{at}");
    options.extend(["--data-dir", &data]);
    for pair in options.chunks(2) {
        match arguments.iter().position(|word| word == pair[0]) {
            Some(place) => arguments[place + 1] = pair[1].to_owned(),
            None => arguments.extend(pair.iter().map(|word| (*word).to_owned())),
        }
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut process = Process::start(&arguments, home, &data);
    await_true(&format!("{command}: ready"), PATIENCE, || {
        process.assert_alive();
        process.err().contains("ready")
    });
    process.signal("TERM");
    assert!(process.ended(PATIENCE).success(), "{command}");
}

#[test]
fn every_command_of_the_documents_runs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let [primary, page, backup, backup_page, relay] = free_addresses();
    let usual: [u16; 5] = [8086, 8083, 8087, 8084, 9096];
    let own = [primary, page, backup, backup_page, relay];
    let ports: Vec<(u16, SocketAddr)> = usual.into_iter().zip(own).collect();
    let text = own.map(|address| address.to_string());
    let mut up = vec!["up", "--interval", "1s"];
    for (option, address) in [
        "--http",
        "--admin",
        "--backup-http",
        "--backup-admin",
        "--relay-http",
    ]
    .into_iter()
    .zip(&text)
    {
        up.extend([option, address]);
    }
    let mut appliance = Process::start(&up, home, "up");
    appliance.await_ping(primary);
    await_true("both stores hold a gather", PATIENCE, || {
        [primary, backup].iter().all(|store| {
            let rows = http::rows(*store, "telegraf", "SELECT count(load1) FROM system");
            rows.is_some_and(|rows| !rows.is_empty())
        })
    });
    // What the documents have at hand.
    fs::create_dir(home.join("backups")).unwrap();
    let export = ["export", "--data-dir", "data/primary", "--compress"];
    let into = ["--database", "telegraf", "--out", "all.gz"];
    tool::good(home, &[&export[..], &into[..]].concat());

    let mut all = Vec::new();
    for document in DOCUMENTS {
        let text = fs::read_to_string(root.join(document)).unwrap();
        let found = commands(&text);
        assert!(!found.is_empty(), "{document} has no commands");
        all.extend(found.into_iter().map(|command| (document, command)));
    }
    assert!(all.len() > 40, "{} commands", all.len());
    let of = |wanted: Way| {
        all.iter()
            .enumerate()
            .filter(move |(_, (_, command))| way(command) == wanted)
    };
    let mut failed = Vec::new();
    for (_, (document, command)) in of(Way::Running) {
        let command = filled(command, &ports);
        // Two stores that are written to differ for a moment.
        let tries = if command.contains("--dry-run") { 20 } else { 1 };
        let mut outcome = Ok(());
        for _ in 0..tries {
            outcome = run(home, &command);
            if outcome.is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(250));
        }
        if let Err(why) = outcome {
            failed.push(format!("{document}: {why}"));
        }
    }
    for (at, (_, command)) in of(Way::Service) {
        serve(home, &filled(command, &ports), at);
    }
    appliance.signal("TERM");
    assert!(appliance.ended(PATIENCE).success());
    for (_, (document, command)) in of(Way::Stopped) {
        if let Err(why) = run(home, &filled(command, &ports)) {
            failed.push(format!("{document}: {why}"));
        }
    }
    let below = home.join("machine");
    let mut is_enabled = false;
    for (_, (document, command)) in of(Way::Installing) {
        is_enabled |= command.contains("systemctl");
        if let Err(why) = install(root, &below, command) {
            failed.push(format!("{document}: {why}"));
        }
    }
    for role in ["store", "relay", "agent"] {
        let config = format!("etc/tandem/{role}.toml");
        let wanted = format!("etc/systemd/system/multi-user.target.wants/tandem-{role}.service");
        assert!(below.join(config).is_file(), "{role}");
        let link = below.join(wanted).symlink_metadata();
        assert!(!is_enabled || link.is_ok(), "{role} is not enabled");
    }
    for (document, command) in &all {
        if let Way::Skipped(why) = way(command) {
            println!("skipped: {document}: {command}: {why}");
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn every_example_of_the_configuration_is_taken() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/config.md")).unwrap();
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let mut blocks = 0;
    for block in text.split("```toml\n").skip(1) {
        let block = block.split("```").next().unwrap();
        fs::write(home.join("example.toml"), block).unwrap();
        let said = tool::good(home, &["check-config", "--config", "example.toml"]);
        assert_eq!(said, "the configuration is good\n");
        blocks += 1;
    }
    assert!(blocks >= 2, "{blocks} blocks");
    fs::write(home.join("secret"), "s3cr3t\n").unwrap();
    let mut variables = 0;
    for line in text
        .lines()
        .filter(|line| line.starts_with("    TANDEM_") || line.starts_with("    INFLUXDB_"))
    {
        let line = line
            .trim()
            .split("   ")
            .next()
            .unwrap()
            .replace("/run/secrets/", "./");
        for secret in ["admin", "grafana"] {
            fs::copy(home.join("secret"), home.join(secret)).unwrap();
        }
        // Users and passwords belong together.
        let users = "TANDEM_STORE_ADMIN_USER=root TANDEM_STORE_READ_USER=grafana";
        let passwords = "TANDEM_STORE_ADMIN_PASSWORD=x TANDEM_STORE_READ_USER_PASSWORD=x";
        let others = if line.contains("PASSWORD") {
            format!("{users} {passwords}")
        } else {
            String::new()
        };
        run(
            home,
            &format!(
                "env {others} {line} {:?} check-config",
                env!("CARGO_BIN_EXE_tandem")
            ),
        )
        .unwrap();
        variables += 1;
    }
    assert!(variables >= 6, "{variables} variables");
}

#[test]
fn commands_are_told_from_what_explains_them() {
    let text = "x\n      curl deep\n    tandem a --b C   what it does\n    tandem  c    --d E\n    curl x \\\n      y\n    not a command\n    install f   # why\ntandem z";
    assert_eq!(
        commands(text),
        [
            "curl deep",
            "tandem a --b C",
            "tandem c --d E",
            "curl x y",
            "install f"
        ]
    );
}

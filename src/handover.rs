//! How an agent gets its settings: one life of the process reads them, and the next, under the same process id, runs.
//!
//! A process counts as its own what it touches of its program, and of what lies around that. `tandem` has all roles,
//! the code that reads their configuration and twelve megabytes in all, of which an agent would keep half for ever. So
//! `tandem agent` reads its settings, becomes `tandem-agent`, a program without the other roles, and hands over what
//! it read, as JSON in a file without a name that is the next one's standard input. On the way it gives the
//! allocator its settings, which are read before `main` begins.
//!
//! Where `tandem-agent` does not lie beside `tandem`, or is of another version, `tandem` itself starts again; where
//! that cannot be either, the process goes on as it is. Both cost memory and nothing else.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use rustix::fs::MemfdFlags;
use serde::{Deserialize, Serialize};

use crate::config::agent::AgentSection;
use crate::config::{Config, LogSection};

/// Holds the process id of who hands over: its children, should there be any, must not take it for theirs.
const VARIABLE: &str = "TANDEM_HANDOVER";
/// Has the allocator take memory from the kernel piece by piece, which touches 3 MiB less from the start, and give
/// back at once what is free. It makes more calls of the kernel, which are no matter where little is allocated.
const ALLOCATOR: [(&str, &str); 2] = [
    ("MIMALLOC_ARENA_EAGER_COMMIT", "0"),
    ("MIMALLOC_PURGE_DELAY", "0"),
];
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The program that runs an agent, beside this one.
const AGENT: &str = "tandem-agent";
/// The program that reads settings, beside that one.
const WHOLE: &str = "tandem";
/// Settings are a few kilobytes.
const SETTINGS_BYTES_MAX: u64 = 16 << 20;

/// What an agent's run needs of the configuration.
#[derive(Debug, Deserialize, Serialize)]
struct Settings {
    /// Of the program that read them: another may mean something else by the same names.
    version: String,
    data_dir: Option<PathBuf>,
    log: LogSection,
    agent: AgentSection,
}

/// Starts this process again as one that only runs the agent of `config`; comes back where that cannot be.
pub(crate) fn pass_on(config: &Config) {
    // What comes back here was not taken before, and will not be.
    let (Ok(program), false) = (std::env::current_exe(), is_handed_over()) else {
        return;
    };
    for program in [program.with_file_name(AGENT), program] {
        let mut arguments = std::env::args_os();
        let (Some(name), Some(settings)) = (arguments.next(), write(config)) else {
            return;
        };
        let mut next = Command::new(program);
        next.arg0(name).args(arguments).stdin(settings);
        next.env(VARIABLE, std::process::id().to_string());
        for (variable, value) in ALLOCATOR {
            if std::env::var_os(variable).is_none() {
                next.env(variable, value);
            }
        }
        // An error is all that comes back, and no harm.
        let _ = next.exec();
    }
}

/// Becomes `tandem agent`, with what this program was given: called by itself, or by another version. Comes back with
/// why that cannot be.
pub(crate) fn pass_back() -> anyhow::Error {
    let program = match std::env::current_exe() {
        Ok(program) => program.with_file_name(WHOLE),
        Err(error) => return anyhow::Error::new(error).context("find this program"),
    };
    let mut whole = Command::new(&program);
    let mut arguments = std::env::args_os().skip(1);
    if is_handed_over() {
        // They are those of `tandem agent`, as they were typed.
        whole.args(arguments);
    } else {
        whole.arg("agent").args(&mut arguments);
    }
    let error = whole.exec();
    anyhow::Error::new(error).context(format!("start {}", program.display()))
}

/// Whether this process had another life.
fn is_handed_over() -> bool {
    let from = std::env::var(VARIABLE).ok();
    from.is_some_and(|from| from.parse() == Ok(std::process::id()))
}

/// What was handed over to this process; nothing where nobody did.
pub(crate) fn taken() -> Option<Config> {
    is_handed_over().then(|| read(std::io::stdin().lock()))?
}

fn write(config: &Config) -> Option<File> {
    let settings = Settings {
        version: VERSION.to_owned(),
        data_dir: config.data_dir.clone(),
        log: config.log.clone(),
        agent: config.agent.clone(),
    };
    let text = serde_json::to_vec(&settings).ok()?;
    let file = rustix::fs::memfd_create("settings", MemfdFlags::CLOEXEC).ok()?;
    let mut file = File::from(file);
    file.write_all(&text).ok()?;
    file.rewind().ok()?;
    Some(file)
}

fn read(from: impl Read) -> Option<Config> {
    let mut text = Vec::new();
    from.take(SETTINGS_BYTES_MAX).read_to_end(&mut text).ok()?;
    let settings: Settings = serde_json::from_slice(&text).ok()?;
    (settings.version == VERSION).then(|| Config {
        data_dir: settings.data_dir,
        log: settings.log,
        agent: settings.agent,
        ..Config::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_an_agent_is_told_is_handed_over() {
        let text = r#"
            data-dir = "/var/lib/x"
            [log]
            filter = "warn"
            [agent]
            telegraf-config = "/etc/telegraf.conf"
            relays = ["http://a:1", "http://b:2"]
            interval = "10s"
            offset = "1500us"
            jitter = "3ns"
            hostname = "web1"
            global-tags = { dc = "x y", "quo\"ted" = "1" }
            cpu-percent-max = 2.5
            process-bytes-max = "40MiB"
            gzip = false
            password = "secret"
            tls-insecure-skip-verify = true
            [agent.collect.cpu]
            percpu = false
            interval = "1m"
            precision = "1ms"
            tags = { rack = "r1" }
            tagpass = { cpu = ["cpu0"] }
            fieldpass = ["usage_*"]
            [agent.output]
            name-prefix = "t_"
            [agent.collect.mem]
            used = "classic"
            [agent.collect.disk]
            ignore-fs = ["tmpfs"]
            [agent.collect.docker]
            endpoint = "off"
            [agent.collect.swap]
            enabled = false
        "#;
        let config: Config = toml::from_str(text).unwrap();
        let taken = read(write(&config).unwrap()).unwrap();
        assert_eq!(format!("{taken:?}"), format!("{config:?}"));
        let password = taken.agent.password.unwrap();
        assert_eq!(password.0, "secret", "which does not show above");
    }

    #[test]
    fn what_is_no_settings_is_not_taken() {
        for text in ["", "{}", "{\"agent\":{\"relais\":[]}}", "\u{0}"] {
            assert!(read(text.as_bytes()).is_none(), "{text:?}");
        }
        assert!(taken().is_none(), "nobody hands over to a test");
        let text = std::io::read_to_string(write(&Config::default()).unwrap()).unwrap();
        assert!(read(text.as_bytes()).is_some());
        let other = text.replacen(VERSION, "0.0.0", 1);
        assert!(read(other.as_bytes()).is_none(), "of another version");
    }
}

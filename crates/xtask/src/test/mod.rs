//! `cargo xtask test`: every test that the repository has, and one summary at the end.
//!
//! Tests come in groups; a group counts what passed, what failed and what it had to leave out,
//! with the reason. Nothing is left out in silence, and with `--install` nothing that a package
//! could have brought is left out at all. The last line is `N passed, M failed, K skipped`.

mod appliance;
mod browser;
mod conformance;
mod influx;
mod install;
mod peers;
mod process;
mod python;
mod rust;
mod tally;
mod ui;

use std::path::Path;

use anyhow::Context;

pub(crate) use appliance::build;
pub(crate) use conformance::every as conformance;
pub(crate) use install::{packages as install_packages, run as install};
pub(crate) use process::{on_path, run_aloud};
pub(crate) use ui::install as install_for_pages;

use appliance::Appliance;
use tally::{Tally, summary};

/// Runs one group.
type Runner = fn(&mut Bench<'_>) -> anyhow::Result<Tally>;

/// The groups by name, in the order in which they run.
const GROUPS: [(&str, Runner); 7] = [
    ("rust", rust::run),
    ("ui", ui::run),
    ("browser", browser::run),
    ("python", python::run),
    ("influx", influx::run),
    ("peers", peers::run),
    ("conformance", conformance::run),
];

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// Bring missing packages first.
    install: bool,
    /// The groups to run; all when empty.
    groups: Vec<String>,
}

impl Options {
    /// Reads the arguments after `test`; `Err` says which one is not understood.
    pub(crate) fn parse(arguments: &[&str]) -> Result<Self, String> {
        let (mut install, mut groups) = (false, Vec::new());
        for &argument in arguments {
            match argument {
                "--install" => install = true,
                name if GROUPS.iter().any(|(group, _)| *group == name) => {
                    groups.push(name.to_owned());
                }
                other => {
                    let known: Vec<&str> = GROUPS.iter().map(|(name, _)| *name).collect();
                    return Err(format!(
                        "unknown group or option {other}; groups are {}",
                        known.join(", ")
                    ));
                }
            }
        }
        Ok(Self { install, groups })
    }
}

/// What the groups share.
struct Bench<'a> {
    /// Of the repository.
    root: &'a Path,
    /// Whether missing packages were to be brought: then their absence is a failure.
    install: bool,
    /// Started by the first group that needs it.
    appliance: Option<Appliance>,
}

impl Bench<'_> {
    /// The running appliance.
    fn appliance(&mut self) -> anyhow::Result<&Appliance> {
        let running = match self.appliance.take() {
            Some(running) => running,
            None => Appliance::start(self.root).context("start the appliance")?,
        };
        Ok(self.appliance.insert(running))
    }

    /// What to count when `reason` keeps a group from running.
    fn missing(&self, reason: &str) -> Tally {
        let mut tally = Tally::default();
        if self.install {
            tally.fail(reason);
        } else {
            tally.skip(format!(
                "{reason} (`cargo xtask test --install` as root on Debian brings it)"
            ));
        }
        tally
    }
}

/// Runs what `options` asks for on the repository at `root`; true when nothing failed.
pub(crate) fn run(root: &Path, options: &Options) -> anyhow::Result<bool> {
    // Who asks for the tests of the page means those in a browser too.
    let chosen = |name: &str| {
        let wanted = |group: &String| group == name || group == "ui" && name == "browser";
        options.groups.is_empty() || options.groups.iter().any(wanted)
    };
    let mut tallies: Vec<(&str, Tally)> = Vec::new();
    if options.install {
        let mut tally = Tally::default();
        if let Err(why) = install::run() {
            tally.fail(format!("{why:#}"));
        }
        tallies.push(("install", tally));
    }
    let mut bench = Bench {
        root,
        install: options.install,
        appliance: None,
    };
    for (name, runner) in GROUPS.into_iter().filter(|(name, _)| chosen(name)) {
        println!("\n== {name}");
        let tally = runner(&mut bench).unwrap_or_else(|why| {
            let mut tally = Tally::default();
            tally.fail(format!("{why:#}"));
            tally
        });
        tallies.push((name, tally));
    }
    if let Some(appliance) = bench.appliance.take() {
        appliance.end();
    }
    let (text, whole) = summary(&tallies);
    println!("\n{text}");
    Ok(whole.failed() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments() {
        let parse = |arguments: &[&str]| Options::parse(arguments);
        assert_eq!(
            parse(&[]),
            Ok(Options {
                install: false,
                groups: Vec::new()
            })
        );
        let named = Options {
            install: true,
            groups: vec!["ui".to_owned(), "rust".to_owned()],
        };
        assert_eq!(parse(&["ui", "--install", "rust"]), Ok(named));
        let why = parse(&["--instal"]).expect_err("not an option");
        assert!(
            why.contains("--instal") && why.contains("conformance"),
            "{why}"
        );
    }
}

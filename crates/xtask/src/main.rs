//! Automation of the repository: `cargo xtask tidy`, `test`, `bench`, `crash`, `kill`, `fuzz`, `guide`,
//! `conformance`, `differential`.
//!
//! Everything here runs from a fresh clone with nothing but cargo; what a part needs beyond that
//! it looks for, and says when it is missing. Output goes to stdout, problems to stderr; the exit
//! code is 0 when all is well, 1 when a check failed, 2 when the command was not understood.

mod bench;
mod differential;
mod fuzz;
mod guide;
mod proof;
mod test;
mod tidy;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;

const USAGE: &str = "usage: cargo xtask COMMAND

  tidy                       checks what the compiler does not: imports between crates, heads of
                             files, their length, words that must not stay
  test [--install] [NAME…]   runs all tests, or the groups named: rust ui browser python influx
                             conformance; with --install, as root on Debian, brings the
                             packages that they use
  bench rivals [--install] [--rounds N] [--quick] [--json]
                             store, query and the whole chain, each row several times: medians and ratios
  bench store [--install] [--quick] [--alone] [--only ROW]… [--list]
  bench mixed [--quick]
                             measures a store beside its goals and beside influxd and
                             victoria-metrics, which --install brings
  bench relay [--quick]      what a relay to two backends costs, beside a bare TCP tee
  bench chain|growth [--quick]
                             clients through a relay into two stores; costs over series and values
  bench kernels [NAME]       parse, codecs, index, group-by and JSON alone, on one thread
  bench guard [--install] [--bless]
                             instructions of hot paths, beside those that are committed
  crash [--cycles N] [--seed S] …
                             random lives of the store on a simulated file system, with that
                             many power cuts; `crash --help` tells the rest
  kill [--cycles N] [--seed S]
                             kills the store's process under load, and looks what is there
  relay-soak [--cycles N] [--seed S]
                             kills, stops, pauses, cuts and slows two stores and a relay under load, and
                             compares the stores
  relay-sim [--seeds N] [--seed S]
                             lives of a relay between two stores in simulated time, whose network, disk and
                             clocks fail as the seeds say
  agent-outage [--seconds N]
                             takes the relay away from an agent, kills the agent meanwhile, and counts what
                             both stores have afterwards
  guide [--install] [--only NAME] [--binary PATH]
                             the procedures of docs/operations.md, each with its fault, on a Docker engine of its own,
                             and deploy/stack.yaml on a swarm of one node
  fuzz TARGET [--runs N]     libFuzzer on a parser or decoder
  conformance                plays the recorded conversations with InfluxDB against a fresh store,
                             and says of each case whether it holds
  differential query|write [--minutes N] [--seed S] …
                             the same requests to a real influxd and to a store, and whether they
                             answer the same; `differential write --help` tells the rest
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.as_slice() {
        ["tidy"] => root().and_then(|root| tidy::run(&root)),
        ["test", options @ ..] => match test::Options::parse(options) {
            Ok(options) => root().and_then(|root| test::run(&root, &options)),
            Err(why) => return misunderstood(&why),
        },
        ["bench", options @ ..] => root().and_then(|root| bench::run(&root, options)),
        ["crash", options @ ..] => root().and_then(|root| proof::crash(&root, options)),
        ["guide", options @ ..] => root().and_then(|root| guide::run(&root, options)),
        ["fuzz", options @ ..] => root().and_then(|root| fuzz::run(&root, options)),
        ["conformance"] => root().and_then(|root| test::conformance(&root)),
        ["differential", options @ ..] => {
            root().and_then(|root| differential::differential(&root, options))
        }
        ["kill", options @ ..] => root().and_then(|root| proof::kill(&root, options)),
        ["relay-soak", options @ ..] => root().and_then(|root| proof::relay_soak(&root, options)),
        ["relay-sim", options @ ..] => root().and_then(|root| proof::relay_sim(&root, options)),
        ["agent-outage", options @ ..] => {
            root().and_then(|root| proof::agent_outage(&root, options))
        }
        ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        [] => return misunderstood("no command is given"),
        [other, ..] => return misunderstood(&format!("unknown command or option: {other}")),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn misunderstood(why: &str) -> ExitCode {
    eprintln!("xtask: {why}\n\n{USAGE}");
    ExitCode::from(2)
}

/// The root of the repository: two directories above this package.
fn root() -> anyhow::Result<PathBuf> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package
        .ancestors()
        .nth(2)
        .map(Path::to_path_buf)
        .context("find the repository's root above crates/xtask")
}

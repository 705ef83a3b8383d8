//! Benchmarks: what the program and its rivals need for the same work, beside the goals.
//!
//! Run by `cargo xtask bench …`, which builds the release binary first. A benchmark makes its load
//! from a fixed seed ([`generate`]), keeps it in files so that making it costs nothing while
//! something is measured ([`bodies`]), starts a server on a fresh directory ([`servers`]), sends
//! the load over two connections ([`load`]) and reads from `/proc` what the server used
//! ([`process`]). Figures are server CPU seconds rather than time, because other work on the
//! machine falsifies time far more.

mod agent;
mod args;
mod bodies;
mod chain;
mod disk;
mod growth;
mod guard;
mod http;
mod inside;
mod load;
mod mixed;
mod process;
mod query;
mod relay;
mod report;
mod rivals;
mod servers;
mod sink;
mod store;

use std::process::ExitCode;

use crate::args::{Args, What};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // The benchmark of the relay starts this program again.
    if let Some((first, to)) = arguments.split_first()
        && first == "tee"
    {
        return match relay::be_tee(to) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    // The guard counts a process for each path.
    if let [first, name, dir] = arguments.as_slice()
        && first == "guard-path"
    {
        return ended(guard::run_path(name, dir.as_ref()));
    }
    let args = match Args::parse(&arguments) {
        Ok(args) => args,
        Err(why) => {
            eprintln!("bench: {why}\n\n{}", args::USAGE);
            return ExitCode::from(2);
        }
    };
    let done = match args.what {
        What::Rivals => rivals::run(&args),
        What::Store => store::run(&args),
        What::Query => query::run(&args),
        What::Chain => chain::run(&args),
        What::Growth => growth::run(&args),
        What::Mixed => mixed::run(&args),
        What::Relay => relay::run(&args),
        What::Agent => agent::run(&args),
        What::Inside => inside::run(&args),
        What::Guard => guard::run(&args),
    };
    ended(done)
}

fn ended(done: anyhow::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

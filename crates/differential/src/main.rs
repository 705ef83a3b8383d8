//! The same requests to a real InfluxDB and to tandem, and whether both answer the same.
//!
//! Run by `cargo xtask differential …`, which builds both programs first. Each comparison starts
//! the two servers itself ([`server`]), on fresh directories and free ports of loopback. What is
//! asked comes from a seed, so that a run can be had again. A difference is made small before it
//! is shown. Differences that are meant have a name and a reason in docs/differences.md.

mod args;
mod compare;
mod dashboards;
mod engine;
mod http;
mod process;
mod query;
mod random;
mod server;
mod write;

use std::process::ExitCode;

use crate::args::{Args, What};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let args = match Args::parse(&arguments, process::find("influxd")) {
        Ok(args) => args,
        Err(why) => {
            eprintln!("differential: {why}\n\n{}", args::USAGE);
            return ExitCode::from(2);
        }
    };
    let equal = match args.what {
        What::Query => query::run(&args),
        What::Write => write::run(&args),
        What::Dashboards => dashboards::run(&args),
    };
    match equal {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("differential: {error:#}");
            ExitCode::FAILURE
        }
    }
}

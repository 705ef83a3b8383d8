//! `tandem`: agent, relay, stores and pages, in one process or each in its own.
//!
//! This file reads the command line, starts the roles it names, waits for a signal and stops them
//! in the order in which data flows, so that nothing that was taken in is left behind. What a
//! role does lives in its own crate.
//!
//! Two programs are made of it: `tandem` with all roles, and `tandem-agent` with the agent alone, into which
//! `tandem agent` turns where it lies beside it. See `handover`.

mod cli;
mod commands;
mod config;
mod files;
mod handover;
mod health;
mod logging;
mod memory;
mod notify;
mod roles;
mod shell;
mod stop;
mod units;
mod up;

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;

use crate::cli::{Cli, Command};
use crate::config::Config;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// All of `tandem`: does what the command line says.
#[must_use]
pub fn main() -> ExitCode {
    memory::use_small_pages();
    files::allow_many();
    exit_code(match handover::taken() {
        Some(config) => run_agent(config).map(|()| true),
        None => run(Cli::parse_from(arguments())),
    })
}

/// All of `tandem-agent`: runs the agent whose settings were handed over, or has `tandem agent` do it.
#[must_use]
pub fn agent() -> ExitCode {
    memory::use_small_pages();
    files::allow_many();
    exit_code(match handover::taken() {
        Some(config) => run_agent(config).map(|()| true),
        None => Err(handover::pass_back()),
    })
}

fn exit_code(outcome: anyhow::Result<bool>) -> ExitCode {
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        // What was wrong has been told.
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("tandem: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn arguments() -> Vec<String> {
    shell::with_two_dashes(std::env::args())
}

/// Runs an agent with the settings that were handed over.
fn run_agent(config: Config) -> anyhow::Result<()> {
    logging::start(&config.log)?;
    logging::make_panics_loud();
    // It has threads of its own, and waits for signals here.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")?;
    let load = || Config::load(&Cli::try_parse_from(arguments())?);
    let result = runtime.block_on(roles::agent::run(config, load));
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    result
}

/// False: it worked, and the answer is no.
fn run(cli: Cli) -> anyhow::Result<bool> {
    match &cli.command {
        Some(Command::Shell(args)) => return shell::run(args),
        Some(Command::Health(args)) => return health::run(args),
        _ => {}
    }
    let config = Config::load(&cli)?;
    if let Some(Command::Tool(tool)) = &cli.command {
        logging::start_for_tool(&config.log)?;
        return commands::run(tool, &config, cli.data_dir.as_deref()).map(|()| true);
    }
    if let Some(Command::Relay(args)) = &cli.command
        && let Some(tool) = &args.tool
    {
        logging::start_for_tool(&config.log)?;
        return commands::queue::run(tool, &config.data_dir()).map(|()| true);
    }
    if let Some(Command::Agent(args)) = &cli.command
        && !(args.test || args.once)
    {
        handover::pass_on(&config);
    }
    logging::start(&config.log)?;
    logging::make_panics_loud();
    let up = Command::Up(cli::UpArgs::default());
    let command = cli.command.as_ref().unwrap_or(&up);
    if let Command::CheckConfig = command {
        roles::agent::from_config(&config)?;
        println!("the configuration is good");
        return Ok(true);
    }
    if let Command::Agent(args) = command
        && args.test
    {
        let lines = roles::agent::test(&config)?;
        // Whoever has seen enough of them closes the pipe.
        return match std::io::stdout().write_all(lines.as_bytes()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("print"),
            _ => Ok(true),
        };
    }
    // An agent alone has threads of its own, and waits for signals here.
    let mut builder = match command {
        Command::Agent(_) => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    if let Command::Relay(_) = command {
        // A request is one task that waits for three sockets. With more threads than work they wake one
        // another for it, which costs more than it brings.
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        builder.worker_threads((processors / 4).max(1));
    }
    let runtime = builder.enable_all().build().context("start the runtime")?;
    let result = runtime.block_on(async {
        match command {
            Command::Up(_) => up::run(config, &cli).await,
            Command::Store(_) => roles::store::run(config, &cli).await,
            Command::Relay(_) => roles::relay::run(config, &cli).await,
            Command::Agent(args) if args.once => roles::agent::once(&config).await,
            Command::Agent(_) => roles::agent::run(config, || Config::load(&cli)).await,
            Command::CheckConfig | Command::Tool(_) | Command::Shell(_) | Command::Health(_) => {
                Ok(())
            }
        }
    });
    // What still runs on blocking threads was told to end; it is not waited for without a bound.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    result.map(|()| true)
}

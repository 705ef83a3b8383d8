//! `tandem`: agent, relay, stores and pages, in one process or each in its own.
//!
//! This file reads the command line, starts the roles it names, waits for a signal and stops them
//! in the order in which data flows, so that nothing that was taken in is left behind. What a
//! role does lives in its own crate.

mod cli;
mod commands;
mod config;
mod logging;
mod memory;
mod roles;
mod stop;
mod units;
mod up;

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;

use crate::cli::{Cli, Command};
use crate::config::Config;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    memory::use_small_pages();
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tandem: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let config = Config::load(&cli)?;
    if let Some(Command::Tool(tool)) = &cli.command {
        logging::start_for_tool(&config.log)?;
        return commands::run(tool, &config, cli.data_dir.as_deref());
    }
    logging::start(&config.log)?;
    logging::make_panics_loud();
    let up = Command::Up(cli::UpArgs::default());
    let command = cli.command.as_ref().unwrap_or(&up);
    if let Command::CheckConfig = command {
        println!("the configuration is good");
        return Ok(());
    }
    if let Command::Agent(args) = command
        && args.test
    {
        print!("{}", roles::agent::test(&config)?);
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("start the runtime")?;
    let result = runtime.block_on(async {
        match command {
            Command::Up(_) => up::run(config, &cli).await,
            Command::Store(_) => roles::store::run(config, &cli).await,
            Command::Relay(_) => roles::relay::run(config, &cli).await,
            Command::Agent(args) if args.once => roles::agent::once(&config).await,
            Command::Agent(_) => roles::agent::run(config, &cli).await,
            Command::CheckConfig | Command::Tool(_) => Ok(()),
        }
    });
    // What still runs on blocking threads was told to end; it is not waited for without a bound.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    result
}

//! The log: to standard error, for people or as JSON.

use std::io::IsTerminal;

use anyhow::{Context, bail};
use tracing_subscriber::EnvFilter;

use crate::config::LogSection;

/// What is logged when nobody says otherwise.
const FILTER: &str = "info";

/// What a tool logs when nobody says otherwise: its output says the rest.
const TOOL_FILTER: &str = "warn";

/// Starts logging for a command that does something and ends.
pub(crate) fn start_for_tool(section: &LogSection) -> anyhow::Result<()> {
    let filter = section.filter.clone();
    start(&LogSection {
        filter: filter.or_else(|| Some(TOOL_FILTER.into())),
        format: section.format.clone(),
    })
}

/// Starts logging. To be called once.
pub(crate) fn start(section: &LogSection) -> anyhow::Result<()> {
    let filter = section.filter.as_deref().unwrap_or(FILTER);
    let filter = EnvFilter::try_new(filter).with_context(|| format!("log filter {filter:?}"))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let started = match section.format.as_deref() {
        None | Some("human") => builder.try_init(),
        Some("json") => builder.json().try_init(),
        Some(other) => bail!("log format {other:?} is not known; use human or json"),
    };
    started.map_err(|error| anyhow::anyhow!("start the log: {error}"))
}

/// Lets a panic in any thread end the process at once: a role that is gone must not look alive.
/// Nothing acknowledged is lost by it.
pub(crate) fn make_panics_loud() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        print(info);
        tracing::error!("a part of the program panicked; the process ends");
        std::process::abort();
    }));
}

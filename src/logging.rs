//! The log: to standard error, for people or as JSON.

use std::io::IsTerminal;
use std::sync::OnceLock;

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

/// Exchanges the filter of the log that runs.
type Exchange = Box<dyn Fn(EnvFilter) -> anyhow::Result<()> + Send + Sync>;

/// Set when the log starts.
static EXCHANGE: OnceLock<Exchange> = OnceLock::new();

/// Takes the filter of `section` from now on. What the log looks like stays as it is.
pub(crate) fn reload(section: &LogSection) -> anyhow::Result<()> {
    let filter = filter(section)?;
    match EXCHANGE.get() {
        Some(exchange) => exchange(filter),
        None => Ok(()),
    }
}

fn filter(section: &LogSection) -> anyhow::Result<EnvFilter> {
    let text = section.filter.as_deref().unwrap_or(FILTER);
    EnvFilter::try_new(text).with_context(|| format!("log filter {text:?}"))
}

/// Starts logging. To be called once.
pub(crate) fn start(section: &LogSection) -> anyhow::Result<()> {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(section)?)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let started = match section.format.as_deref() {
        None | Some("human") => {
            let builder = builder.with_filter_reloading();
            let handle = builder.reload_handle();
            let exchange = move |filter| Ok(handle.reload(filter)?);
            let _ = EXCHANGE.set(Box::new(exchange));
            builder.try_init()
        }
        Some("json") => {
            let builder = builder.json().with_filter_reloading();
            let handle = builder.reload_handle();
            let exchange = move |filter| Ok(handle.reload(filter)?);
            let _ = EXCHANGE.set(Box::new(exchange));
            builder.try_init()
        }
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

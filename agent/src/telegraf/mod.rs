//! Reads the common part of a `telegraf.conf`, and says what of it has no counterpart here.
//!
//! What is read: `[global_tags]`, `[agent]`, the first `[[outputs.influxdb]]`, and of `[[inputs.*]]` those
//! that this agent has. Everything else is in the [`Import::left_out`], so that nobody believes in a
//! setting that does nothing. Nothing is said of a setting that asks for what is so anyway.

mod agent;
mod docker;
mod inputs;
mod lines;
mod output;
mod section;
mod variables;

use thiserror::Error;
use toml::{Table, Value};

use self::section::{NOTHING_LIKE_IT, Section, unused};
use crate::collect::Collectors;
use crate::config::Config;

/// Why a text is no configuration.
#[derive(Debug, Error)]
pub enum TelegrafError {
    /// It is no TOML, or a setting has a value that it cannot have.
    #[error("{0}")]
    Malformed(String),
    /// A certificate or key of the output cannot be used.
    #[error("the output's certificates cannot be used")]
    Tls(#[source] tandem_http::TlsError),
}

/// What was read.
#[derive(Clone, Debug)]
pub struct Import {
    /// The run that the file describes; what it leaves open is as it was.
    pub config: Config,
    /// What has no counterpart here, a line each, in the order of the file.
    pub left_out: Vec<String>,
}

/// Reads `text`; variables in it are taken from `lookup`, and what it leaves open from `base`.
///
/// # Errors
/// See [`TelegrafError`].
pub fn read(
    text: &str,
    lookup: impl Fn(&str) -> Option<String>,
    base: Config,
) -> Result<Import, TelegrafError> {
    let mut left_out = Vec::new();
    let text = variables::expand(text, &lookup, &mut left_out);
    let mut whole: Table = text
        .parse()
        .map_err(|error: toml::de::Error| TelegrafError::Malformed(error.to_string()))?;
    let mut config = base;
    if let Some(tags) = table_of(&mut whole, "global_tags")? {
        for (key, value) in tags {
            match value {
                Value::String(value) => config.global_tags.push((key, value)),
                _ => left_out.push(unused(&format!("global_tags.{key}"), "it is no text")),
            }
        }
    }
    if let Some(table) = table_of(&mut whole, "agent")? {
        let mut section = Section::new("agent", table, &mut left_out);
        agent::read(&mut section, &mut config)?;
    }
    if let Some(outputs) = table_of(&mut whole, "outputs")? {
        let mut is_first = true;
        for (name, tables) in outputs {
            let path = format!("outputs.{name}");
            for table in tables_of(&path, tables)? {
                if name == "influxdb" && std::mem::take(&mut is_first) {
                    let mut section = Section::new(&path, table, &mut left_out);
                    output::read(&mut section, &mut config)?;
                } else {
                    let why = "lines go to relays alone, and to one group of them";
                    left_out.push(unused(&path, why));
                }
            }
        }
    }
    if let Some(all) = table_of(&mut whole, "inputs")? {
        config.collectors = Collectors::none();
        for (name, tables) in all {
            let path = format!("inputs.{name}");
            for (number, table) in tables_of(&path, tables)?.into_iter().enumerate() {
                if number > 0 {
                    let further = format!("a further [[{path}]]");
                    left_out.push(unused(&further, "there is one collector of each kind"));
                    continue;
                }
                let mut section = Section::new(&path, table, &mut left_out);
                inputs::read(&name, &mut section, &mut config.collectors)?;
            }
        }
    }
    left_out.extend(whole.keys().map(|key| unused(key, NOTHING_LIKE_IT)));
    Ok(Import { config, left_out })
}

/// The table of this name, taken out of the others.
fn table_of(whole: &mut Table, name: &str) -> Result<Option<Table>, TelegrafError> {
    match whole.remove(name) {
        None => Ok(None),
        Some(Value::Table(table)) => Ok(Some(table)),
        Some(_) => Err(no_table(name)),
    }
}

/// What stands under `[path]`, or under each `[[path]]`.
fn tables_of(path: &str, value: Value) -> Result<Vec<Table>, TelegrafError> {
    let values = match value {
        Value::Array(values) => values,
        one => vec![one],
    };
    let tables = values.into_iter().map(|value| match value {
        Value::Table(table) => Ok(table),
        _ => Err(no_table(path)),
    });
    tables.collect()
}

fn no_table(path: &str) -> TelegrafError {
    TelegrafError::Malformed(format!("{path}: a table is needed, [{path}] or [[{path}]]"))
}

#[cfg(test)]
mod tests;

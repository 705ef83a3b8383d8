//! Reads the common part of a `telegraf.conf`, and says what of it has no counterpart here.
//!
//! What is read: `[global_tags]`, `[agent]`, the first `[[outputs.influxdb]]`, and of `[[inputs.*]]` those
//! that this agent has. Everything else is in the [`Import::left_out`], so that nobody believes in a
//! setting that does nothing.

mod inputs;
mod section;
mod variables;

use std::time::Duration;

use tandem_http::{ClientTls, ClientTlsConfig, Credentials, Secret, Url};
use thiserror::Error;
use toml::{Table, Value};

use self::section::Section;
use crate::collect::Collectors;
use crate::config::{Config, Hostname};

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

/// Settings of `[agent]` that need no counterpart: here they are always so, or bounds of another kind.
const NEEDLESS: [&str; 6] = [
    "metric_batch_size",
    "metric_buffer_limit",
    "debug",
    "quiet",
    "logfile",
    "skip_processors_after_aggregators",
];

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
                _ => left_out.push(format!("global_tags.{key}: no text")),
            }
        }
    }
    if let Some(table) = table_of(&mut whole, "agent")? {
        agent(
            &mut Section::new("agent", table, &mut left_out),
            &mut config,
        )?;
    }
    if let Some(outputs) = table_of(&mut whole, "outputs")? {
        let mut is_first = true;
        for (name, tables) in outputs {
            let path = format!("outputs.{name}");
            for table in tables_of(&path, tables)? {
                if name == "influxdb" && std::mem::take(&mut is_first) {
                    output(&mut Section::new(&path, table, &mut left_out), &mut config)?;
                } else {
                    left_out.push(format!(
                        "{path}: lines go to relays alone, and to one group of them"
                    ));
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
                    left_out.push(format!(
                        "inputs.{name}: there is one of each; the first was taken"
                    ));
                    break;
                }
                let mut section = Section::new(&path, table, &mut left_out);
                inputs::read(&name, &mut section, &mut config.collectors)?;
            }
        }
    }
    left_out.extend(whole.keys().map(|key| format!("{key}: not supported")));
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

fn agent(section: &mut Section<'_>, config: &mut Config) -> Result<(), TelegrafError> {
    section.duration("interval", &mut config.interval)?;
    section.duration("collection_jitter", &mut config.jitter)?;
    section.duration("collection_offset", &mut config.offset)?;
    let mut precision = Duration::ZERO;
    section.duration("precision", &mut precision)?;
    if !precision.is_zero() {
        config.precision = Some(precision);
    }
    // Telegraf sends when this passed; here lines are sent at once, unless they are sampled more often.
    let mut flush_interval = config.interval;
    section.duration("flush_interval", &mut flush_interval)?;
    if flush_interval > config.interval {
        config.output.flush_interval = flush_interval;
    }
    section.duration("flush_jitter", &mut config.output.flush_jitter)?;
    let mut hostname = String::new();
    section.text("hostname", &mut hostname)?;
    if !hostname.is_empty() {
        config.hostname = Hostname::Is(hostname);
    }
    let mut omit = false;
    section.boolean("omit_hostname", &mut omit)?;
    if omit {
        config.hostname = Hostname::Omit;
    }
    let mut is_aligned = true;
    section.boolean("round_interval", &mut is_aligned)?;
    if !is_aligned {
        section.leave_out("round_interval", "gathers are always aligned");
    }
    NEEDLESS.iter().for_each(|key| section.forget(key));
    section.finish();
    Ok(())
}

fn output(section: &mut Section<'_>, config: &mut Config) -> Result<(), TelegrafError> {
    let (mut urls, mut url) = (Vec::new(), String::new());
    section.texts("urls", &mut urls)?;
    section.text("url", &mut url)?;
    if !url.is_empty() {
        urls.push(url);
    }
    let mut relays = Vec::new();
    for text in urls {
        match Url::parse(&text) {
            Ok(url) => relays.push(url),
            Err(error) => section.leave_out("urls", &format!("{text}: {error}")),
        }
    }
    if !relays.is_empty() {
        config.relays = relays;
    }
    section.text("database", &mut config.database)?;
    let mut policy = String::new();
    section.text("retention_policy", &mut policy)?;
    if !policy.is_empty() {
        config.retention_policy = Some(policy);
    }
    let output = &mut config.output;
    let mut skip = !output.create_database;
    section.boolean("skip_database_creation", &mut skip)?;
    output.create_database = !skip;
    section.duration("timeout", &mut output.request_timeout)?;
    let mut encoding = String::new();
    section.text("content_encoding", &mut encoding)?;
    match encoding.as_str() {
        "gzip" => output.gzip = Some(true),
        "identity" => output.gzip = Some(false),
        _ => {}
    }
    let (mut name, mut password) = (String::new(), String::new());
    section.text("username", &mut name)?;
    section.text("password", &mut password)?;
    if !name.is_empty() {
        output.credentials = Some(Credentials::User {
            name,
            password: Secret::new(password),
        });
    }
    let mut tls = ClientTlsConfig::default();
    section.path("tls_ca", &mut tls.ca)?;
    section.path("tls_cert", &mut tls.certificate)?;
    section.path("tls_key", &mut tls.private_key)?;
    let mut server_name = String::new();
    section.text("tls_server_name", &mut server_name)?;
    tls.server_name = (!server_name.is_empty()).then_some(server_name);
    section.boolean("insecure_skip_verify", &mut tls.insecure_skip_verify)?;
    if tls != ClientTlsConfig::default() {
        output.tls = ClientTls::load(tls).map_err(TelegrafError::Tls)?;
    }
    section.forget("user_agent");
    section.finish();
    Ok(())
}

#[cfg(test)]
mod tests;

//! The environment's part of the configuration: `TANDEM_SECTION_KEY_WORDS`, what users of InfluxDB's containers know,
//! and `…_FILE` for a file that holds the value.

use anyhow::Context;
use toml::{Table, Value};

/// Sections that the environment can set.
const SECTIONS: [&str; 5] = ["log", "store", "backup", "relay", "agent"];
/// Variables that users of InfluxDB's containers know, and the keys of `[store]` that they stand for.
const INFLUXDB: [(&str, &str); 28] = [
    ("INFLUXDB_DB", "database"),
    ("INFLUXDB_CONTINUOUS_QUERIES_ENABLED", "continuous-queries"),
    ("INFLUXDB_HTTP_AUTH_ENABLED", "auth-enabled"),
    ("INFLUXDB_HTTP_PING_AUTH_ENABLED", "ping-auth-enabled"),
    ("INFLUXDB_HTTP_SHARED_SECRET", "shared-secret"),
    ("INFLUXDB_HTTP_HTTPS_ENABLED", "https-enabled"),
    ("INFLUXDB_HTTP_HTTPS_CERTIFICATE", "https-certificate"),
    ("INFLUXDB_HTTP_HTTPS_PRIVATE_KEY", "https-private-key"),
    ("INFLUXDB_HTTP_MAX_BODY_SIZE", "body-bytes-max"),
    ("INFLUXDB_HTTP_MAX_ROW_LIMIT", "max-row-limit"),
    ("INFLUXDB_HTTP_MAX_CONNECTION_LIMIT", "max-connection-limit"),
    ("INFLUXDB_COORDINATOR_WRITE_TIMEOUT", "write-timeout"),
    ("INFLUXDB_COORDINATOR_QUERY_TIMEOUT", "query-timeout"),
    (
        "INFLUXDB_COORDINATOR_LOG_QUERIES_AFTER",
        "log-queries-after",
    ),
    (
        "INFLUXDB_COORDINATOR_MAX_CONCURRENT_QUERIES",
        "max-concurrent-queries",
    ),
    ("INFLUXDB_COORDINATOR_MAX_SELECT_POINT", "max-select-point"),
    (
        "INFLUXDB_COORDINATOR_MAX_SELECT_SERIES",
        "max-select-series",
    ),
    (
        "INFLUXDB_COORDINATOR_MAX_SELECT_BUCKETS",
        "max-select-buckets",
    ),
    ("INFLUXDB_MONITOR_STORE_ENABLED", "monitor-store-enabled"),
    ("INFLUXDB_MONITOR_STORE_INTERVAL", "monitor-store-interval"),
    ("INFLUXDB_ADMIN_USER", "admin-user"),
    ("INFLUXDB_ADMIN_PASSWORD", "admin-password"),
    ("INFLUXDB_USER", "user"),
    ("INFLUXDB_USER_PASSWORD", "user-password"),
    ("INFLUXDB_READ_USER", "read-user"),
    ("INFLUXDB_READ_USER_PASSWORD", "read-user-password"),
    ("INFLUXDB_WRITE_USER", "write-user"),
    ("INFLUXDB_WRITE_USER_PASSWORD", "write-user-password"),
];

/// What of the environment is ours; our own names last, so that they go over the others.
pub(super) fn variables() -> impl Iterator<Item = (String, String)> {
    let own = std::env::vars().filter(|(name, _)| name.starts_with("TANDEM_"));
    let known = |name: &str| {
        let name = name.strip_suffix("_FILE").unwrap_or(name);
        INFLUXDB.iter().any(|(known, _)| *known == name)
    };
    std::env::vars()
        .filter(move |(name, _)| known(name))
        .chain(own)
}

/// A variable and its value, which may lie in a file that it names: how engines hand over secrets. The end of the
/// file's last line is no part of it.
pub(super) fn out_of_file(name: String, value: String) -> anyhow::Result<(String, String)> {
    let Some(stem) = name.strip_suffix("_FILE") else {
        return Ok((name, value));
    };
    if !overlay(&mut Table::new(), stem, "") {
        return Ok((name, value));
    }
    let text = std::fs::read_to_string(&value)
        .with_context(|| format!("read {value}, which the variable {name} names"))?;
    Ok((
        stem.to_owned(),
        text.trim_end_matches(['\r', '\n']).to_owned(),
    ))
}

/// Puts the value of a variable in its place; false when it names no section.
pub(super) fn overlay(table: &mut Table, name: &str, text: &str) -> bool {
    let words = match name.strip_prefix("TANDEM_") {
        Some(rest) => rest.to_ascii_lowercase().replace('_', "-"),
        None => match INFLUXDB.iter().find(|(known, _)| *known == name) {
            Some((_, key)) => format!("store-{key}"),
            None => return false,
        },
    };
    // A password may look like a number, and is none.
    let is_text = ["password", "secret", "user"]
        .iter()
        .any(|end| words.ends_with(end));
    let value = toml::from_str::<Table>(&format!("value = {text}"))
        .ok()
        .filter(|_| !is_text)
        .and_then(|mut parsed| parsed.remove("value"))
        .unwrap_or_else(|| Value::String(text.into()));
    if words == "data-dir" {
        table.insert(words, value);
        return true;
    }
    let Some((section, key)) = words.split_once('-').filter(|(s, _)| SECTIONS.contains(s)) else {
        return false;
    };
    let section = table
        .entry(section)
        .or_insert_with(|| Value::Table(Table::new()));
    if let Some(section) = section.as_table_mut() {
        section.insert(key.into(), value);
    }
    true
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_secret_may_lie_in_a_file() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"123 \"x\"\r\n").unwrap();
        let path = file.path().to_str().unwrap();
        let mut table = Table::new();
        for name in [
            "INFLUXDB_ADMIN_PASSWORD_FILE",
            "TANDEM_STORE_SHARED_SECRET_FILE",
        ] {
            let (name, value) = out_of_file(name.to_owned(), path.to_owned()).unwrap();
            assert!(overlay(&mut table, &name, &value), "{name}");
        }
        let store = table["store"].as_table().unwrap();
        assert_eq!(store["admin-password"].as_str(), Some("123 \"x\""));
        assert_eq!(store["shared-secret"].as_str(), Some("123 \"x\""));
        let missing = out_of_file(
            "TANDEM_STORE_SHARED_SECRET_FILE".into(),
            "/nowhere/secret".into(),
        );
        let error = format!("{:#}", missing.unwrap_err());
        assert!(
            error.contains("/nowhere/secret") && error.contains("SHARED_SECRET_FILE"),
            "{error}"
        );
        // Of somebody else, and left alone.
        let other = ("TANDEM_UI_FILE".to_owned(), "/nowhere/ui".to_owned());
        assert_eq!(
            out_of_file(other.0.clone(), other.1.clone()).unwrap(),
            other
        );
    }
}

//! The configuration: defaults, then a TOML file, then the environment, then flags.
//!
//! The structs here are those of the file; each role makes the struct of its run out of its
//! section. A key that nobody knows is an error that names it, in the file with its line. The
//! variable `TANDEM_SECTION_KEY_WORDS` stands for `key-words` in `[section]`; its value is read as
//! a TOML value where it is one, and else as text.

pub(crate) mod agent;
mod environment;
pub(crate) mod inputs;
mod unknown;
mod variables;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use tandem_store::Options;
use toml::Table;

use crate::cli::{Cli, Command};
use crate::config::agent::AgentSection;
use crate::config::environment::overlay;
use crate::roles::backends::{self, BackendSection, UdpSection};
use crate::roles::serving;
use crate::units::{DurationText, SecretText, SizeText};

/// Where data is kept when nobody says otherwise.
const DATA_DIR: &str = "data";
/// The whole configuration.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Where data is kept.
    pub(crate) data_dir: Option<PathBuf>,
    /// The log.
    pub(crate) log: LogSection,
    /// The store; of `tandem up` the primary.
    pub(crate) store: StoreSection,
    /// The backup store of `tandem up`.
    pub(crate) backup: StoreSection,
    /// The relay.
    pub(crate) relay: RelaySection,
    /// The agent.
    pub(crate) agent: AgentSection,
}

/// `[log]`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct LogSection {
    /// `human` or `json`.
    pub(crate) format: Option<String>,
    /// As for RUST_LOG.
    pub(crate) filter: Option<String>,
}

/// `[store]` and `[backup]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct StoreSection {
    pub(crate) name: Option<String>,
    pub(crate) http: Option<String>,
    pub(crate) admin: Option<String>,
    /// Made at the first start.
    pub(crate) database: Option<String>,
    /// Split among rows, cached blocks, queries and the index. The three that follow go over
    /// their shares.
    pub(crate) memory_bytes_max: Option<SizeText>,
    pub(crate) memtable_bytes_max: Option<SizeText>,
    pub(crate) block_cache_bytes_max: Option<SizeText>,
    pub(crate) query_bytes_max: Option<SizeText>,
    pub(crate) overload_wait: Option<DurationText>,
    pub(crate) wal_bytes_max: Option<SizeText>,
    pub(crate) wal_fsync_delay: Option<DurationText>,
    pub(crate) flush_age_max: Option<DurationText>,
    pub(crate) free_bytes_min: Option<SizeText>,
    /// 0 for no bound.
    pub(crate) compaction_bytes_per_s: Option<SizeText>,
    pub(crate) cold_after: Option<DurationText>,
    pub(crate) retention_check_interval: Option<DurationText>,
    /// 0 to make no shard ahead of its rows.
    pub(crate) shard_advance_period: Option<DurationText>,
    /// 0 for no limit.
    pub(crate) max_series_per_database: Option<usize>,
    /// 0 for no limit.
    pub(crate) max_values_per_tag: Option<usize>,
    /// 0 for no limit.
    pub(crate) max_fields_per_measurement: Option<usize>,
    pub(crate) unsigned: Option<bool>,
    pub(crate) body_bytes_max: Option<SizeText>,
    pub(crate) inflated_bytes_max: Option<SizeText>,
    pub(crate) bodies_bytes_max: Option<SizeText>,
    pub(crate) body_stall_max: Option<DurationText>,
    /// 0 for no bound.
    pub(crate) body_bytes_per_s_min: Option<SizeText>,
    pub(crate) max_connection_limit: Option<usize>,
    pub(crate) requests_max: Option<usize>,
    pub(crate) header_bytes_max: Option<SizeText>,
    pub(crate) header_timeout: Option<DurationText>,
    pub(crate) answer_stall_max: Option<DurationText>,
    pub(crate) concurrent_writes_max: Option<usize>,
    pub(crate) write_timeout: Option<DurationText>,
    pub(crate) concurrent_queries_max: Option<usize>,
    pub(crate) queue_wait: Option<DurationText>,
    /// 0 for no limit, as are the six that follow.
    pub(crate) max_concurrent_queries: Option<usize>,
    pub(crate) query_timeout: Option<DurationText>,
    pub(crate) log_queries_after: Option<DurationText>,
    pub(crate) max_row_limit: Option<usize>,
    pub(crate) max_select_point: Option<u64>,
    pub(crate) max_select_series: Option<usize>,
    pub(crate) max_select_buckets: Option<usize>,
    pub(crate) fill_previous_looks_back: Option<bool>,
    /// One statement; none for what all together may hold.
    pub(crate) each_query_bytes_max: Option<SizeText>,
    pub(crate) https_enabled: bool,
    pub(crate) https_certificate: Option<PathBuf>,
    /// In the file of the certificate when not given.
    pub(crate) https_private_key: Option<PathBuf>,
    pub(crate) https_client_ca: Option<PathBuf>,
    pub(crate) monitor_store_enabled: Option<bool>,
    pub(crate) monitor_store_interval: Option<DurationText>,
    /// Whether they are served.
    pub(crate) subscriptions: Option<bool>,
    pub(crate) subscription_timeout: Option<DurationText>,
    pub(crate) subscription_queue_bytes_max: Option<SizeText>,
    pub(crate) subscription_ca: Option<PathBuf>,
    pub(crate) subscription_insecure_skip_verify: bool,
    /// The other parts of the appliance, for the page: relays that write here, stores that they write to as well.
    pub(crate) relays: Vec<String>,
    pub(crate) peers: Vec<String>,
    pub(crate) neighbour_ca: Option<PathBuf>,
    pub(crate) neighbour_insecure_skip_verify: bool,
    /// Listeners for other protocols.
    pub(crate) udp: Vec<inputs::UdpSection>,
    pub(crate) graphite: Vec<inputs::GraphiteSection>,
    pub(crate) opentsdb: Vec<inputs::OpenTsdbSection>,
    pub(crate) collectd: Vec<inputs::CollectdSection>,
    /// Whether they are run.
    pub(crate) continuous_queries: Option<bool>,
    pub(crate) continuous_queries_late: Option<DurationText>,
    /// Whether requests must come from a user who may make them.
    pub(crate) auth_enabled: bool,
    pub(crate) ping_auth_enabled: bool,
    /// Signs JSON Web Tokens.
    pub(crate) shared_secret: Option<SecretText>,
    /// Made at the first start, as are the three that follow.
    pub(crate) admin_user: Option<String>,
    pub(crate) admin_password: Option<SecretText>,
    /// May do everything with the database.
    pub(crate) user: Option<String>,
    pub(crate) user_password: Option<SecretText>,
    pub(crate) read_user: Option<String>,
    pub(crate) read_user_password: Option<SecretText>,
    pub(crate) write_user: Option<String>,
    pub(crate) write_user_password: Option<SecretText>,
}

/// `[relay]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct RelaySection {
    pub(crate) http: Option<String>,
    /// NAME=URL each.
    pub(crate) backends: Vec<String>,
    /// What is particular to one of them, by name.
    pub(crate) backend: BTreeMap<String, BackendSection>,
    pub(crate) udp: Vec<UdpSection>,
    pub(crate) unix_socket: Option<PathBuf>,
    pub(crate) https_certificate: Option<PathBuf>,
    pub(crate) https_private_key: Option<PathBuf>,
    pub(crate) https_client_ca: Option<PathBuf>,
    /// Of writes that name none.
    pub(crate) default_retention_policy: Option<String>,
    pub(crate) body_bytes_max: Option<SizeText>,
    pub(crate) memory_bytes_max: Option<SizeText>,
    pub(crate) queue_bytes_max: Option<SizeText>,
    pub(crate) dead_bytes_max: Option<SizeText>,
    pub(crate) hedge_delay: Option<DurationText>,
    pub(crate) write_timeout: Option<DurationText>,
    pub(crate) drain_flights_max: Option<usize>,
    /// 0: each batch goes alone.
    pub(crate) drain_request_bytes_max: Option<SizeText>,
    /// `ignore` or `honour`.
    pub(crate) consistency_from_clients: Option<String>,
    pub(crate) client_bytes_per_s: Option<SizeText>,
    pub(crate) database_bytes_per_s: Option<SizeText>,
    pub(crate) batch_delay: Option<DurationText>,
    pub(crate) batch_bytes_max: Option<SizeText>,
    /// Zero: nothing is compared.
    pub(crate) compare_interval: Option<DurationText>,
    pub(crate) compare_window: Option<DurationText>,
    pub(crate) compare_span: Option<DurationText>,
    pub(crate) compare_settle: Option<DurationText>,
    pub(crate) compare_mend: bool,
}

impl StoreSection {
    /// Refuses what no store could run with.
    fn check(&self, section: &str) -> anyhow::Result<()> {
        let memory_bytes_min = Options::MEMORY_BYTES_MIN as u64;
        if let Some(SizeText(bytes)) = self.memory_bytes_max
            && bytes < memory_bytes_min
        {
            bail!(
                "[{section}] memory-bytes-max is {bytes}; give at least {}MiB",
                memory_bytes_min >> 20
            );
        }
        if self.https_enabled && self.https_certificate.is_none() {
            bail!("[{section}] https-enabled needs an https-certificate");
        }
        inputs::of(self).with_context(|| format!("in [{section}]"))?;
        serving::neighbours(self).with_context(|| format!("in [{section}]"))?;
        for user in self.users() {
            let (name, password) = user.keys;
            if user.name.is_some() != user.password.is_some() {
                bail!("[{section}] {name} and {password} belong together; give both or none");
            }
        }
        let names_users = self.users().iter().any(|user| user.name.is_some());
        if self.auth_enabled && names_users && self.admin_user.is_none() {
            bail!(
                "[{section}] auth-enabled needs an admin-user beside other users: without an admin, nobody is let in"
            );
        }
        match self.retention_check_interval {
            Some(DurationText(interval)) if interval.is_zero() => {
                bail!("[{section}] retention-check-interval is 0; give a duration, such as 30m")
            }
            _ => Ok(()),
        }
    }
}

impl Config {
    /// Reads everything that `cli` and the environment name.
    pub(crate) fn load(cli: &Cli) -> anyhow::Result<Self> {
        let environment = environment::variables();
        let mut config = Self::from_sources(cli.config.as_deref(), environment)?;
        config.take_flags(cli)?;
        Ok(config)
    }

    fn from_sources(
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> anyhow::Result<Self> {
        let mut table = Table::new();
        if let Some(path) = file {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("read the configuration {}", path.display()))?;
            // Once as it is, so that an error shows its line in the file.
            if !variables::are_in(&text) {
                toml::from_str::<Self>(&text)
                    .map_err(|error| unknown::shortened(&error))
                    .with_context(|| format!("in {}", path.display()))?;
            }
            table = text
                .parse()
                .with_context(|| format!("in {}", path.display()))?;
            let lookup = |name: &str| std::env::var(name).ok();
            variables::expand(&mut table, &lookup)
                .with_context(|| format!("in {}", path.display()))?;
        }
        for (name, value) in environment {
            let (name, value) = environment::out_of_file(name, value)?;
            let known = overlay(&mut table, &name, &value);
            if known {
                // Checked one by one, so that an error names its variable.
                Self::deserialize(table.clone())
                    .map_err(|error| unknown::shortened(&error))
                    .with_context(|| format!("in the variable {name}"))?;
            }
        }
        let config = Self::deserialize(table).map_err(|error| unknown::shortened(&error))?;
        config.check()?;
        Ok(config)
    }

    /// Refuses sizes with which nothing could run.
    fn check(&self) -> anyhow::Result<()> {
        let relay = &self.relay;
        let mut sizes = vec![
            ("relay", "body-bytes-max", relay.body_bytes_max),
            ("relay", "memory-bytes-max", relay.memory_bytes_max),
            ("relay", "queue-bytes-max", relay.queue_bytes_max),
            ("relay", "dead-bytes-max", relay.dead_bytes_max),
        ];
        for (section, store) in [("store", &self.store), ("backup", &self.backup)] {
            sizes.push((section, "body-bytes-max", store.body_bytes_max));
            sizes.push((section, "inflated-bytes-max", store.inflated_bytes_max));
            sizes.push((section, "bodies-bytes-max", store.bodies_bytes_max));
            sizes.push((section, "header-bytes-max", store.header_bytes_max));
            sizes.push((section, "memtable-bytes-max", store.memtable_bytes_max));
            sizes.push((section, "query-bytes-max", store.query_bytes_max));
            sizes.push((section, "wal-bytes-max", store.wal_bytes_max));
            store.check(section)?;
        }
        match sizes.iter().find(|(_, _, size)| *size == Some(SizeText(0))) {
            Some((section, key, _)) => bail!("[{section}] {key} is 0; give a size, such as 64MiB"),
            None => Ok(()),
        }
    }

    fn take_flags(&mut self, cli: &Cli) -> anyhow::Result<()> {
        let set = |place: &mut Option<String>, flag: &Option<String>| {
            if flag.is_some() {
                place.clone_from(flag);
            }
        };
        if cli.data_dir.is_some() {
            self.data_dir.clone_from(&cli.data_dir);
        }
        set(&mut self.log.format, &cli.log_format);
        set(&mut self.log.filter, &cli.log_filter);
        match &cli.command {
            Some(Command::Up(args)) => {
                set(&mut self.store.http, &args.http);
                set(&mut self.store.admin, &args.admin);
                set(&mut self.backup.http, &args.backup_http);
                set(&mut self.backup.admin, &args.backup_admin);
                set(&mut self.relay.http, &args.relay_http);
                set_interval(&mut self.agent.interval, args.interval.as_deref())?;
            }
            Some(Command::Store(args)) => {
                set(&mut self.store.name, &args.name);
                set(&mut self.store.http, &args.http);
                set(&mut self.store.admin, &args.admin);
                for (place, given) in [
                    (&mut self.store.relays, &args.relays),
                    (&mut self.store.peers, &args.peers),
                ] {
                    if !given.is_empty() {
                        place.clone_from(given);
                    }
                }
            }
            Some(Command::Relay(args)) => {
                if let Some(path) = &args.import {
                    backends::import(path, &mut self.relay)?;
                }
                set(&mut self.relay.http, &args.http);
                if !args.backends.is_empty() {
                    self.relay.backends.clone_from(&args.backends);
                }
            }
            Some(Command::Agent(args)) => {
                if !args.relays.is_empty() {
                    self.agent.relays.clone_from(&args.relays);
                }
                set_interval(&mut self.agent.interval, args.interval.as_deref())?;
                if args.telegraf_config.is_some() {
                    self.agent.telegraf_config.clone_from(&args.telegraf_config);
                }
            }
            Some(
                Command::CheckConfig | Command::Tool(_) | Command::Shell(_) | Command::Health(_),
            )
            | None => {}
        }
        Ok(())
    }

    /// Where data is kept.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(|| DATA_DIR.into())
    }
}

fn set_interval(place: &mut Option<DurationText>, flag: Option<&str>) -> anyhow::Result<()> {
    if let Some(text) = flag {
        match crate::units::parse_duration(text) {
            Ok(interval) => *place = Some(DurationText(interval)),
            Err(error) => bail!("--interval: {error}"),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::Duration;

    use super::*;

    fn load(file: &str, environment: &[(&str, &str)]) -> anyhow::Result<Config> {
        let mut path = tempfile::NamedTempFile::new().unwrap();
        path.write_all(file.as_bytes()).unwrap();
        let environment = environment
            .iter()
            .map(|&(k, v)| (k.to_owned(), v.to_owned()));
        Config::from_sources(Some(path.path()), environment)
    }

    #[test]
    fn the_environment_goes_over_the_file() {
        let file = "[store]\nhttp = \"127.0.0.1:1\"\nmemtable-bytes-max = \"64MiB\"\n";
        let variables = [
            ("TANDEM_STORE_HTTP", "127.0.0.1:2"),
            ("TANDEM_AGENT_INTERVAL", "5s"),
            ("TANDEM_STORE_WAL_BYTES_MAX", "1000"),
            (
                "TANDEM_RELAY_BACKENDS",
                "[\"a=http://x:1\", \"b=http://x:2\"]",
            ),
            ("TANDEM_UI", "off"),
        ];
        let config = load(file, &variables).unwrap();
        assert_eq!(config.store.http.as_deref(), Some("127.0.0.1:2"));
        assert_eq!(config.store.memtable_bytes_max, Some(SizeText(64 << 20)));
        assert_eq!(config.store.wal_bytes_max, Some(SizeText(1000)));
        assert_eq!(
            config.agent.interval,
            Some(DurationText(Duration::from_secs(5)))
        );
        assert_eq!(config.relay.backends.len(), 2);
    }

    #[test]
    fn unknown_keys_and_bad_values_are_refused_where_they_stand() {
        let error = format!("{:#}", load("[store]\n\nhtpp = \"x\"\n", &[]).unwrap_err());
        assert!(
            error.contains("line 3") && error.contains("htpp"),
            "{error}"
        );
        let error = format!("{:#}", load("", &[("TANDEM_STORE_HTPP", "x")]).unwrap_err());
        assert!(error.contains("TANDEM_STORE_HTPP"), "{error}");
        let error = format!(
            "{:#}",
            load("[agent]\ninterval = \"soon\"\n", &[]).unwrap_err()
        );
        assert!(
            error.contains("line 2") && error.contains("soon"),
            "{error}"
        );
    }

    #[test]
    fn variables_of_influxdb_containers_are_known() {
        let variables = [
            ("INFLUXDB_DB", "metrics"),
            ("INFLUXDB_HTTP_AUTH_ENABLED", "true"),
            ("INFLUXDB_ADMIN_USER", "root"),
            ("INFLUXDB_ADMIN_PASSWORD", "12345"),
            ("INFLUXDB_READ_USER", "true"),
            ("INFLUXDB_READ_USER_PASSWORD", "\"quoted\""),
            ("INFLUXDB_DATA_DIR", "left alone"),
            ("TANDEM_STORE_ADMIN_USER", "admin"),
        ];
        let config = load("[store]\ndatabase = \"telegraf\"\n", &variables).unwrap();
        let store = &config.store;
        assert!(store.auth_enabled && !store.ping_auth_enabled);
        assert_eq!(store.database.as_deref(), Some("metrics"));
        assert_eq!(store.admin_user.as_deref(), Some("admin"));
        assert_eq!(store.admin_password, Some(SecretText("12345".into())));
        assert_eq!(store.read_user.as_deref(), Some("true"));
        assert_eq!(
            store.read_user_password,
            Some(SecretText("\"quoted\"".into()))
        );
    }

    #[test]
    fn passwords_do_not_show() {
        let file = "[store]\nadmin-user = \"root\"\nadmin-password = \"hunter2\"\n\
            shared-secret = \"hunter2\"\n";
        let config = load(file, &[]).unwrap();
        let shown = format!("{config:?}");
        assert!(
            shown.contains("root") && !shown.contains("hunter2"),
            "{shown}"
        );
    }

    #[test]
    fn users_have_passwords_and_there_is_an_admin_among_them() {
        for (text, word) in [
            ("admin-user = \"root\"", "admin-password"),
            ("read-user-password = \"x\"", "read-user "),
            (
                "auth-enabled = true\nuser = \"app\"\nuser-password = \"x\"",
                "admin-user",
            ),
        ] {
            let error = load(&format!("[store]\n{text}\n"), &[]).unwrap_err();
            let error = format!("{error:#}");
            assert!(error.contains(word), "{error}");
        }
        load("[store]\nuser = \"app\"\nuser-password = \"x\"\n", &[]).unwrap();
    }

    #[test]
    fn a_store_is_not_made_of_nothing() {
        for (text, key) in [
            ("memory-bytes-max = \"1MiB\"", "memory-bytes-max"),
            ("query-bytes-max = 0", "query-bytes-max"),
            (
                "retention-check-interval = \"0s\"",
                "retention-check-interval",
            ),
            ("max-series-per-database = -1", "max-series-per-database"),
        ] {
            let error = load(&format!("[backup]\n{text}\n"), &[]).unwrap_err();
            let error = format!("{error:#}");
            assert!(error.contains(key), "{error}");
        }
        let none = "[store]\nmax-series-per-database = 0\ncompaction-bytes-per-s = 0\n";
        load(none, &[("TANDEM_STORE_UNSIGNED", "true")]).unwrap();
    }
}

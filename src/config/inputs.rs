//! `[[store.udp]]`, `[[store.graphite]]`, `[[store.opentsdb]]` and `[[store.collectd]]`: listeners for other protocols.
//!
//! Names and defaults are those of InfluxDB's sections, where it has the setting.

use std::path::PathBuf;

use anyhow::{Context, bail};
use serde::Deserialize;
use tandem_model::Precision;
use tandem_server::{
    BatchConfig, CollectdConfig, CollectdSecurity, GraphiteConfig, GraphiteTransport, InputConfig,
    InputKind, MultiValue, OpenTsdbConfig, UdpConfig,
};

use crate::config::StoreSection;
use crate::units::{DurationText, SizeText};

/// What every listener has.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(crate) struct Common {
    pub(crate) enabled: Option<bool>,
    pub(crate) bind_address: Option<String>,
    pub(crate) database: Option<String>,
    /// Empty for the default one.
    pub(crate) retention_policy: Option<String>,
    pub(crate) batch_size: Option<usize>,
    pub(crate) batch_timeout: Option<DurationText>,
    pub(crate) queue_bytes_max: Option<SizeText>,
    pub(crate) retry_max: Option<DurationText>,
    /// 0 for the system's own.
    pub(crate) read_buffer: Option<SizeText>,
    pub(crate) max_connection_limit: Option<usize>,
}

/// Declares the struct of a section: what every listener has, and its own. `serde` cannot refuse unknown keys
/// of a struct that is flattened into another.
macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, Deserialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
        pub(crate) struct $name {
            enabled: Option<bool>,
            bind_address: Option<String>,
            database: Option<String>,
            retention_policy: Option<String>,
            batch_size: Option<usize>,
            batch_timeout: Option<DurationText>,
            queue_bytes_max: Option<SizeText>,
            retry_max: Option<DurationText>,
            read_buffer: Option<SizeText>,
            max_connection_limit: Option<usize>,
            $($field: $type,)*
        }

        impl $name {
            fn common(&self) -> Common {
                Common {
                    enabled: self.enabled,
                    bind_address: self.bind_address.clone(),
                    database: self.database.clone(),
                    retention_policy: self.retention_policy.clone(),
                    batch_size: self.batch_size,
                    batch_timeout: self.batch_timeout,
                    queue_bytes_max: self.queue_bytes_max,
                    retry_max: self.retry_max,
                    read_buffer: self.read_buffer,
                    max_connection_limit: self.max_connection_limit,
                }
            }
        }
    };
}

section! {
    /// `[[store.udp]]`
    UdpSection {
        precision: Option<String>,
    }
}

section! {
    /// `[[store.graphite]]`
    GraphiteSection {
        protocol: Option<String>,
        separator: Option<String>,
        tags: Vec<String>,
        templates: Vec<String>,
    }
}

section! {
    /// `[[store.opentsdb]]`
    OpenTsdbSection {
        body_bytes_max: Option<SizeText>,
        inflated_bytes_max: Option<SizeText>,
        max_concurrent_requests: Option<usize>,
    }
}

section! {
    /// `[[store.collectd]]`
    CollectdSection {
        typesdb: Option<PathBuf>,
        security_level: Option<String>,
        auth_file: Option<PathBuf>,
        parse_multivalue_plugin: Option<String>,
    }
}

impl Common {
    fn input(self, bind: &str, database: &str, batch_size: usize, kind: InputKind) -> InputConfig {
        let bytes = |size: SizeText| usize::try_from(size.0).unwrap_or(usize::MAX);
        let default = BatchConfig::default();
        InputConfig {
            bind: self.bind_address.unwrap_or_else(|| bind.to_owned()),
            database: self.database.unwrap_or_else(|| database.to_owned()),
            retention_policy: self.retention_policy.filter(|name| !name.is_empty()),
            batch: BatchConfig {
                points_max: self
                    .batch_size
                    .filter(|size| *size > 0)
                    .unwrap_or(batch_size),
                age_max: self.batch_timeout.map_or(default.age_max, |d| d.0),
                queue_bytes_max: self.queue_bytes_max.map_or(default.queue_bytes_max, bytes),
                retry_max: self.retry_max.map_or(default.retry_max, |d| d.0),
            },
            read_buffer_bytes: self.read_buffer.map(bytes).filter(|bytes| *bytes > 0),
            connections_max: self
                .max_connection_limit
                .filter(|max| *max > 0)
                .unwrap_or(InputConfig::CONNECTIONS_MAX),
            kind,
        }
    }
}

/// The listeners of a store that are to be opened.
pub(crate) fn of(section: &StoreSection) -> anyhow::Result<Vec<InputConfig>> {
    let is_on = |enabled: Option<bool>| enabled.unwrap_or(true);
    let mut inputs = Vec::new();
    for udp in section.udp.iter().filter(|one| is_on(one.enabled)) {
        let name = udp.precision.as_deref().unwrap_or_default();
        let precision = Precision::parse_v1(name)
            .with_context(|| format!("udp: precision {name:?} is not n, u, ms, s, m or h"))?;
        let kind = InputKind::Udp(UdpConfig { precision });
        inputs.push(udp.common().input("127.0.0.1:8089", "udp", 5000, kind));
    }
    for graphite in section.graphite.iter().filter(|one| is_on(one.enabled)) {
        let transport = match graphite.protocol.as_deref() {
            None | Some("tcp") => GraphiteTransport::Tcp,
            Some("udp") => GraphiteTransport::Udp,
            Some(other) => bail!("graphite: protocol {other:?} is not tcp or udp"),
        };
        let separator = graphite.separator.clone();
        let kind = InputKind::Graphite(GraphiteConfig {
            transport,
            separator: separator.unwrap_or_else(|| GraphiteConfig::SEPARATOR.into()),
            tags: graphite.tags.clone(),
            templates: graphite.templates.clone(),
        });
        let common = graphite.common();
        inputs.push(common.input("127.0.0.1:2003", "graphite", 5000, kind));
    }
    for opentsdb in section.opentsdb.iter().filter(|one| is_on(one.enabled)) {
        let bytes = |size: SizeText| usize::try_from(size.0).unwrap_or(usize::MAX);
        let default = OpenTsdbConfig::default();
        let kind = InputKind::OpenTsdb(OpenTsdbConfig {
            body_bytes_max: opentsdb
                .body_bytes_max
                .map_or(default.body_bytes_max, bytes),
            inflated_bytes_max: opentsdb
                .inflated_bytes_max
                .map_or(default.inflated_bytes_max, bytes),
            requests_max: opentsdb
                .max_concurrent_requests
                .filter(|max| *max > 0)
                .unwrap_or(default.requests_max),
        });
        let common = opentsdb.common();
        inputs.push(common.input("127.0.0.1:4242", "opentsdb", 1000, kind));
    }
    for collectd in section.collectd.iter().filter(|one| is_on(one.enabled)) {
        let default = CollectdConfig::default();
        let kind = InputKind::Collectd(CollectdConfig {
            types: collectd
                .typesdb
                .clone()
                .map_or(default.types, |path| vec![path]),
            security: match collectd.security_level.as_deref() {
                None | Some("none") => CollectdSecurity::None,
                Some("sign") => CollectdSecurity::Sign,
                Some("encrypt") => CollectdSecurity::Encrypt,
                Some(other) => {
                    bail!("collectd: security-level {other:?} is not none, sign or encrypt")
                }
            },
            auth_file: collectd.auth_file.clone(),
            multi_value: match collectd.parse_multivalue_plugin.as_deref() {
                None | Some("split") => MultiValue::Split,
                Some("join") => MultiValue::Join,
                Some(other) => {
                    bail!("collectd: parse-multivalue-plugin {other:?} is not split or join")
                }
            },
        });
        let common = collectd.common();
        inputs.push(common.input("127.0.0.1:25826", "collectd", 5000, kind));
    }
    Ok(inputs)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn read(text: &str) -> anyhow::Result<Vec<InputConfig>> {
        of(&toml::from_str(text)?)
    }

    #[test]
    fn a_listener_is_open_once_it_is_named() {
        assert!(read("").unwrap().is_empty());
        assert!(read("[[udp]]\nenabled = false\n").unwrap().is_empty());
        let text = "[[udp]]\n[[udp]]\nbind-address = \":9999\"\nprecision = \"s\"\nbatch-timeout = \"2s\"\n\
            [[graphite]]\nenabled = true\nprotocol = \"udp\"\ntemplates = [\"*.app env.measurement\"]\n\
            [[opentsdb]]\nretention-policy = \"\"\n[[collectd]]\nparse-multivalue-plugin = \"join\"\n";
        let inputs = read(text).unwrap();
        let binds: Vec<&str> = inputs.iter().map(|input| input.bind.as_str()).collect();
        let expected = [
            "127.0.0.1:8089",
            ":9999",
            "127.0.0.1:2003",
            "127.0.0.1:4242",
            "127.0.0.1:25826",
        ];
        assert_eq!(binds, expected);
        assert_eq!(inputs[1].batch.age_max, Duration::from_secs(2));
        assert_eq!(inputs[3].batch.points_max, 1000);
        assert_eq!(inputs[3].retention_policy, None);
    }

    #[test]
    fn what_is_misspelt_is_refused() {
        for text in [
            "[[udp]]\nprecision = \"days\"\n",
            "[[udp]]\nbatch-sice = 5\n",
            "[[graphite]]\nprotocol = \"sctp\"\n",
            "[[collectd]]\nsecurity-level = \"high\"\n",
            "[[collectd]]\nparse-multivalue-plugin = \"merge\"\n",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}

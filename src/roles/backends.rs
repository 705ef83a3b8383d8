//! The relay's backends as the configuration names them, and as an influxdb-relay did.

use std::collections::HashMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use serde::de::IgnoredAny;
use tandem_http::{ClientTlsConfig, Url};
use tandem_relay::{BackendConfig, Overflow, Route, UdpConfig};

use crate::config::RelaySection;
use crate::units::{DurationText, SizeText};

/// `[relay.backend.NAME]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct BackendSection {
    /// Instead of an entry in `backends`.
    pub(crate) url: Option<String>,
    /// What a full queue does: `refuse`, `drop-oldest` or `drop-newest`.
    pub(crate) overflow: Option<String>,
    pub(crate) write_timeout: Option<DurationText>,
    pub(crate) databases: Vec<String>,
    pub(crate) measurements: Vec<String>,
    pub(crate) without_measurements: Vec<String>,
    /// `KEY=VALUE` each.
    pub(crate) tags: Vec<String>,
    /// `NUMBER/COUNT`
    pub(crate) shard: Option<String>,
    pub(crate) rename: HashMap<String, String>,
    pub(crate) https_ca: Option<PathBuf>,
    pub(crate) https_certificate: Option<PathBuf>,
    pub(crate) https_private_key: Option<PathBuf>,
    pub(crate) https_server_name: Option<String>,
    pub(crate) https_skip_verify: bool,
}

/// `[[relay.udp]]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct UdpSection {
    pub(crate) bind: Option<String>,
    pub(crate) database: Option<String>,
    pub(crate) retention_policy: Option<String>,
    pub(crate) precision: Option<String>,
}

/// Where datagrams go when nobody says otherwise.
const UDP_DATABASE: &str = "telegraf";

/// Reads `NAME=URL`.
pub(crate) fn parse_backend(text: &str) -> anyhow::Result<BackendConfig> {
    let Some((name, url)) = text.split_once('=').filter(|(name, _)| !name.is_empty()) else {
        bail!("backend {text:?}: write it as NAME=http://HOST:PORT");
    };
    let url = Url::parse(url).with_context(|| format!("backend {name:?}"))?;
    Ok(BackendConfig::new(name, url))
}

/// All backends of a section: those of `backends`, then those that have a section with a URL.
pub(crate) fn of_section(section: &RelaySection) -> anyhow::Result<Vec<BackendConfig>> {
    let mut backends = section
        .backends
        .iter()
        .map(|text| parse_backend(text))
        .collect::<anyhow::Result<Vec<_>>>()?;
    for (name, own) in &section.backend {
        if let Some(url) = &own.url {
            if backends.iter().any(|backend| backend.name == *name) {
                bail!("[relay.backend.{name}] has a url, and stands in backends too; give one");
            }
            backends.push(parse_backend(&format!("{name}={url}"))?);
        }
        let Some(backend) = backends.iter_mut().find(|backend| backend.name == *name) else {
            bail!("[relay.backend.{name}] has no url, and is not in backends either");
        };
        own.apply(backend)
            .with_context(|| format!("[relay.backend.{name}]"))?;
    }
    Ok(backends)
}

impl BackendSection {
    fn apply(&self, backend: &mut BackendConfig) -> anyhow::Result<()> {
        backend.overflow = match self.overflow.as_deref() {
            None | Some("refuse") => Overflow::Refuse,
            Some("drop-oldest") => Overflow::DropOldest,
            Some("drop-newest") => Overflow::DropNewest,
            Some(other) => {
                bail!("overflow is {other:?}; give refuse, drop-oldest or drop-newest")
            }
        };
        backend.write_timeout = self.write_timeout.map(|timeout| timeout.0);
        backend.route = Route {
            databases: self.databases.clone(),
            measurements: self.measurements.clone(),
            without_measurements: self.without_measurements.clone(),
            tags: self
                .tags
                .iter()
                .map(|tag| pair(tag))
                .collect::<Result<_, _>>()?,
            shard: self.shard.as_deref().map(shard).transpose()?,
            rename: self.rename.clone(),
            forget_credentials: false,
        };
        backend.tls = ClientTlsConfig {
            ca: self.https_ca.clone(),
            certificate: self.https_certificate.clone(),
            private_key: self.https_private_key.clone(),
            server_name: self.https_server_name.clone(),
            insecure_skip_verify: self.https_skip_verify,
        };
        Ok(())
    }
}

fn pair(text: &str) -> anyhow::Result<(String, String)> {
    let (key, value) = text
        .split_once('=')
        .with_context(|| format!("tag {text:?}: write it as KEY=VALUE"))?;
    Ok((key.into(), value.into()))
}

fn shard(text: &str) -> anyhow::Result<(u32, u32)> {
    let numbers: Option<(u32, u32)> = text
        .split_once('/')
        .and_then(|(number, count)| Some((number.parse().ok()?, count.parse().ok()?)));
    match numbers {
        Some((number, count)) if number < count => Ok((number, count)),
        _ => bail!("shard {text:?}: write it as NUMBER/COUNT, such as 0/2 and 1/2"),
    }
}

impl UdpSection {
    /// Where it listens, and what for.
    pub(crate) fn config(&self) -> anyhow::Result<UdpConfig> {
        let bind = self.bind.as_deref().context("[[relay.udp]] needs a bind")?;
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Ok(UdpConfig {
            addr: address(bind)?,
            database: self.database.clone().unwrap_or_else(|| UDP_DATABASE.into()),
            retention_policy: text(&self.retention_policy),
            precision: text(&self.precision),
        })
    }
}

fn address(text: &str) -> anyhow::Result<SocketAddr> {
    let whole = match text.strip_prefix(':') {
        Some(port) => format!("0.0.0.0:{port}"),
        None => text.to_owned(),
    };
    let mut found = whole
        .to_socket_addrs()
        .with_context(|| format!("address {text:?}"))?;
    found.next().with_context(|| format!("address {text:?}"))
}

/// The file of an influxdb-relay (`influxdata/influxdb-relay README.md`); what is not named here is
/// an error.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Foreign {
    http: Vec<ForeignHttp>,
    udp: Vec<ForeignUdp>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct ForeignHttp {
    name: String,
    bind_addr: String,
    ssl_combined_pem: Option<PathBuf>,
    default_retention_policy: Option<String>,
    output: Vec<ForeignOutput>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct ForeignOutput {
    name: String,
    location: String,
    timeout: Option<String>,
    buffer_size_mb: Option<u64>,
    skip_tls_verification: bool,
    /// Of batches that are joined, and of pauses: here that follows from what happens.
    #[serde(rename = "max-batch-kb")]
    _max_batch_kb: IgnoredAny,
    #[serde(rename = "max-delay-interval")]
    _max_delay_interval: IgnoredAny,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct ForeignUdp {
    bind_addr: String,
    precision: Option<String>,
    #[serde(rename = "name")]
    _name: IgnoredAny,
    /// Of the kernel: left as it is.
    #[serde(rename = "read-buffer")]
    _read_buffer: IgnoredAny,
    /// Further datagrams; here they go to the backends.
    #[serde(rename = "output")]
    _output: IgnoredAny,
    #[serde(rename = "mtu")]
    _mtu: IgnoredAny,
}

/// Reads an influxdb-relay's file into a section. What it says goes over what `section` has.
pub(crate) fn import(path: &Path, section: &mut RelaySection) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("read the configuration {}", path.display()))?;
    take(&text, section).with_context(|| format!("in {}", path.display()))
}

fn take(text: &str, section: &mut RelaySection) -> anyhow::Result<()> {
    let foreign: Foreign = toml::from_str(text)?;
    let [http] = &foreign.http[..] else {
        bail!(
            "it has {} [[http]] sections; run one relay for each, and leave one in the file",
            foreign.http.len()
        );
    };
    ensure!(
        !http.output.is_empty(),
        "[[http]] {:?} has no output",
        http.name
    );
    section.http = Some(http.bind_addr.clone());
    if let Some(pem) = &http.ssl_combined_pem {
        section.https_certificate = Some(pem.clone());
    }
    section.default_retention_policy = http.default_retention_policy.clone();
    section.backends.clear();
    section.backend.clear();
    for (number, output) in http.output.iter().enumerate() {
        let name = if output.name.is_empty() {
            format!("output-{number}")
        } else {
            output.name.clone()
        };
        // It names the path; here that follows from what is written.
        let url = output.location.trim_end_matches('/');
        let url = url.strip_suffix("/write").unwrap_or(url);
        let duration = |text: &Option<String>| -> anyhow::Result<Option<Duration>> {
            let parse = |text: &String| crate::units::parse_duration(text);
            let parsed = text.as_ref().map(parse).transpose();
            parsed.map_err(|error| anyhow::anyhow!("output {name:?}: {error}"))
        };
        // A shorter one than ours would be too short for a store that is slow to give up.
        let timeout = duration(&output.timeout)?
            .filter(|timeout| *timeout > tandem_relay::Config::WRITE_TIMEOUT);
        section.backends.push(format!("{name}={url}"));
        let own = BackendSection {
            write_timeout: timeout.map(DurationText),
            https_skip_verify: output.skip_tls_verification,
            ..BackendSection::default()
        };
        // Its buffer was memory, and this one is disk: the default is more than it could hold.
        let asked = output.buffer_size_mb.unwrap_or(0) << 20;
        if asked > tandem_relay::Config::QUEUE_BYTES_MAX {
            section.queue_bytes_max = Some(SizeText(asked));
        }
        if section.backend.insert(name.clone(), own).is_some() {
            bail!("two outputs are named {name:?}");
        }
    }
    section.udp = Vec::new();
    for udp in &foreign.udp {
        section.udp.push(UdpSection {
            bind: Some(udp.bind_addr.clone()),
            precision: udp.precision.clone(),
            ..UdpSection::default()
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(text: &str) -> RelaySection {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_backend_has_a_section_of_its_own() {
        let section = section(
            "backends = [\"primary=http://a:1\"]\n\
             [backend.primary]\noverflow = \"drop-oldest\"\ntags = [\"dc=x*\"]\nshard = \"1/2\"\n\
             [backend.archive]\nurl = \"http://b:2\"\ndatabases = [\"tele*\"]\nrename = { telegraf = \"old\" }\n",
        );
        let backends = of_section(&section).unwrap();
        let names: Vec<_> = backends.iter().map(|b| b.name.as_str()).collect();
        assert_eq!(names, ["primary", "archive"]);
        assert_eq!(backends[0].overflow, Overflow::DropOldest);
        assert_eq!(backends[0].route.shard, Some((1, 2)));
        assert_eq!(backends[0].route.tags, [("dc".into(), "x*".into())]);
        assert_eq!(backends[1].route.rename["telegraf"], "old");
    }

    #[test]
    fn what_cannot_be_is_named() {
        for (text, word) in [
            ("[backend.x]\n", "has no url"),
            (
                "backends = [\"x=http://a\"]\n[backend.x]\nurl = \"http://b\"\n",
                "give one",
            ),
            (
                "[backend.x]\nurl = \"http://b\"\noverflow = \"panic\"\n",
                "panic",
            ),
            ("[backend.x]\nurl = \"http://b\"\nshard = \"2/2\"\n", "2/2"),
            (
                "[backend.x]\nurl = \"http://b\"\ntags = [\"dc\"]\n",
                "KEY=VALUE",
            ),
        ] {
            let error = format!("{:#}", of_section(&section(text)).unwrap_err());
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn the_file_of_an_influxdb_relay_is_understood() {
        let text = "[[http]]\nname = \"example-http\"\nbind-addr = \"127.0.0.1:9096\"\n\
            default-retention-policy = \"week\"\noutput = [\n\
            { name=\"local1\", location = \"http://127.0.0.1:8086/write\", timeout=\"17s\", buffer-size-mb = 100, max-batch-kb = 50, max-delay-interval = \"5s\" },\n\
            { name=\"local2\", location = \"https://127.0.0.1:7086/write\", skip-tls-verification = true },\n]\n\
            [[udp]]\nname = \"example-udp\"\nbind-addr = \"127.0.0.1:9097\"\nread-buffer = 0\noutput = []\n";
        let mut into = RelaySection::default();
        take(text, &mut into).unwrap();
        let backends = of_section(&into).unwrap();
        let urls: Vec<_> = backends.iter().map(|b| b.url.authority()).collect();
        assert_eq!(urls, ["127.0.0.1:8086", "127.0.0.1:7086"]);
        assert_eq!(backends[0].write_timeout, Some(Duration::from_secs(17)));
        assert!(backends[1].tls.insecure_skip_verify);
        assert_eq!(into.default_retention_policy.as_deref(), Some("week"));
        assert_eq!(into.udp[0].config().unwrap().addr.port(), 9097);
        let two = "[[http]]\nbind-addr = \":1\"\n[[http]]\nbind-addr = \":2\"\n";
        assert!(take(two, &mut into).is_err());
    }
}

//! The server behind the prompt: queries, writes and pings over HTTP, one at a time.

use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use tandem_http::{
    Call, Client, ClientConfig, ClientTls, ClientTlsConfig, StatusCode, Url, percent_encode,
};

use super::render::Answer;
use super::session::Settings;

/// Bytes of an answer. It is held in memory to be laid out, as `influx` does.
const ANSWER_BYTES_MAX: usize = 1 << 30;
/// A statement may run for so long; Ctrl-C ends the shell before.
const QUERY_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// Where a server is and who asks.
#[derive(Clone, Debug)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) path_prefix: String,
    pub(super) https: bool,
    pub(super) insecure: bool,
    pub(super) username: String,
    pub(super) password: String,
}

impl Address {
    /// Without credentials, to be shown.
    pub(super) fn shown(&self) -> String {
        let scheme = if self.https { "https" } else { "http" };
        format!("{scheme}://{}", self.authority())
    }

    /// `host:port`.
    pub(super) fn authority(&self) -> String {
        match self.host.contains(':') && !self.host.starts_with('[') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// With credentials and prefix.
    pub(super) fn url(&self) -> String {
        let scheme = if self.https { "https" } else { "http" };
        let user = match self.username.as_str() {
            "" => String::new(),
            name => format!(
                "{}:{}@",
                percent_encode(name),
                percent_encode(&self.password)
            ),
        };
        let prefix = self.path_prefix.trim_matches('/');
        let slash = if prefix.is_empty() { "" } else { "/" };
        format!("{scheme}://{user}{}{slash}{prefix}", self.authority())
    }
}

/// One server and the connection to it.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: Address,
    runtime: tokio::runtime::Runtime,
    client: Client,
    url: Url,
}

impl Server {
    pub(super) fn new(address: Address) -> anyhow::Result<Self> {
        // Not loaded before it is needed: a small image has no authorities.
        let tls = match address.insecure {
            false => ClientTls::default(),
            true => ClientTls::load(ClientTlsConfig {
                insecure_skip_verify: true,
                ..ClientTlsConfig::default()
            })
            .context("prepare TLS")?,
        };
        let client = Client::new(ClientConfig {
            connections_max: 1,
            answer_bytes_max: ANSWER_BYTES_MAX,
            tls,
            ..ClientConfig::default()
        });
        let url = Url::parse(&address.url()).context("the address of the server")?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("start the runtime")?;
        Ok(Self {
            address,
            runtime,
            client,
            url,
        })
    }

    fn call(&self, call: Call) -> anyhow::Result<tandem_http::Answer> {
        Ok(self.runtime.block_on(self.client.send(&self.url, call))?)
    }

    /// The version that the server announces.
    pub(super) fn ping(&self) -> anyhow::Result<String> {
        let answer = self.call(Call::get("/ping"))?;
        if !answer.status.is_success() {
            bail!("/ping is answered with {}", answer.status);
        }
        let version = answer.headers.get("x-influxdb-version");
        Ok(version
            .and_then(|version| version.to_str().ok())
            .unwrap_or("unknown")
            .to_owned())
    }

    /// Runs statements. An error of the whole request is an `Err`; those of statements are in the answer.
    pub(super) fn query(&self, text: &str, settings: &Settings) -> anyhow::Result<Answer> {
        let mut form = format!("q={}", percent_encode(text));
        let mut add = |name: &str, value: &str| {
            if !value.is_empty() {
                form.push_str(&format!("&{name}={}", percent_encode(value)));
            }
        };
        add("db", &settings.database);
        add("rp", &settings.retention_policy);
        // Without a unit times come as RFC 3339.
        if settings.precision != "rfc3339" {
            add("epoch", settings.epoch());
        }
        if settings.chunked {
            add("chunked", "true");
            if settings.chunk_size > 0 {
                add("chunk_size", &settings.chunk_size.to_string());
            }
        }
        let mut call = Call::post("/query", vec![Bytes::from(form)], false);
        call.headers.insert(
            tandem_http::header::CONTENT_TYPE,
            tandem_http::HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        call.timeout = Some(QUERY_TIMEOUT);
        let answer = self.call(call)?;
        let body = answer.body.into_bytes();
        Answer::read(&body).map_err(|why| match answer.status {
            StatusCode::OK => why.context("the answer of the server"),
            status => anyhow::anyhow!("{status}: {}", String::from_utf8_lossy(&body)),
        })
    }

    /// Writes lines; the error is what the server said.
    pub(super) fn write(&self, line: &str, settings: &Settings, into: &Into) -> anyhow::Result<()> {
        let mut target = format!("/write?db={}", percent_encode(&into.database));
        if !into.retention_policy.is_empty() {
            target.push_str(&format!("&rp={}", percent_encode(&into.retention_policy)));
        }
        let unit = match settings.epoch() {
            "ns" => "n",
            unit => unit,
        };
        target.push_str(&format!(
            "&precision={unit}&consistency={}",
            settings.consistency
        ));
        let body = vec![Bytes::copy_from_slice(line.as_bytes())];
        let answer = self.call(Call::post(target, body, true))?;
        if answer.status.is_success() {
            return Ok(());
        }
        let body = answer.body.into_bytes();
        let text = serde_json::from_slice::<serde_json::Value>(&body)
            .ok()
            .and_then(|json| Some(json.get("error")?.as_str()?.to_owned()));
        bail!(text.unwrap_or_else(|| format!(
            "{}: {}",
            answer.status,
            String::from_utf8_lossy(&body).trim_end()
        )))
    }
}

/// Where an insert goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Into {
    pub(super) database: String,
    pub(super) retention_policy: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address() -> Address {
        Address {
            host: "::1".into(),
            port: 8086,
            path_prefix: "/a/".into(),
            https: true,
            insecure: false,
            username: "o'b@x".into(),
            password: "p:/".into(),
        }
    }

    #[test]
    fn an_address_becomes_a_url_and_its_password_is_not_shown() {
        assert_eq!(address().url(), "https://o%27b%40x:p%3A%2F@[::1]:8086/a");
        assert_eq!(address().shown(), "https://[::1]:8086");
        let url = Url::parse(&address().url()).unwrap();
        assert_eq!(url.socket(), ("::1", 8086));
    }
}

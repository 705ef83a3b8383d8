//! `tandem health URL`: asks a store or a relay whether it is well, for the health checks of containers, whose images
//! have no other program to ask with.

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tandem_http::{Call, Client, ClientConfig, ClientTls, ClientTlsConfig, Url};

/// A health check that takes longer has failed.
const TIMEOUT: Duration = Duration::from_secs(4);

/// Options of `tandem health`.
#[derive(Debug, Args)]
pub(crate) struct HealthArgs {
    /// Whom to ask, http[s]://[USER:PASSWORD@]HOST:PORT
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:8086")]
    url: String,
    /// What to ask for
    #[arg(long, value_name = "PATH", default_value = "/health")]
    path: String,
    /// Take any certificate of the server
    #[arg(long)]
    insecure: bool,
}

/// Asks, prints the answer; whether it was a good one.
pub(crate) fn run(args: &HealthArgs) -> anyhow::Result<bool> {
    let url = Url::parse(&args.url).with_context(|| format!("{:?} is no URL", args.url))?;
    // Not loaded before it is needed: a small image has no authorities.
    let tls = match args.insecure {
        false => ClientTls::default(),
        true => ClientTls::load(ClientTlsConfig {
            insecure_skip_verify: true,
            ..ClientTlsConfig::default()
        })
        .context("prepare TLS")?,
    };
    let client = Client::new(ClientConfig {
        request_timeout: TIMEOUT,
        tls,
        ..ClientConfig::default()
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")?;
    let answer = runtime.block_on(client.send(&url, Call::get(&args.path)))?;
    let body = answer.body.into_bytes();
    println!(
        "{} {}",
        answer.status.as_u16(),
        String::from_utf8_lossy(&body).trim_end()
    );
    Ok(answer.status.is_success())
}

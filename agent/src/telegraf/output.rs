//! `[[outputs.influxdb]]`: where lines go, which of them, and how.

use std::time::Duration;

use tandem_http::{ClientTls, ClientTlsConfig, Credentials, Secret, Url};

use super::TelegrafError;
use super::lines;
use super::section::{Section, is_none, is_text};
use crate::config::Config;

/// Reads it.
pub(super) fn read(section: &mut Section<'_>, config: &mut Config) -> Result<(), TelegrafError> {
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
            Err(error) => section.report(&format!("urls, {text},"), &error.to_string()),
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
    config.shape = lines::shape(section)?;
    let mut flush_interval = Duration::ZERO;
    section.duration("flush_interval", &mut flush_interval)?;
    let output = &mut config.output;
    if flush_interval > config.interval {
        output.flush_interval = flush_interval;
    }
    section.duration("flush_jitter", &mut output.flush_jitter)?;
    let mut skip = !output.create_database;
    section.boolean("skip_database_creation", &mut skip)?;
    output.create_database = !skip;
    section.duration("timeout", &mut output.request_timeout)?;
    let mut encoding = String::new();
    section.text("content_encoding", &mut encoding)?;
    match encoding.as_str() {
        "gzip" => output.gzip = Some(true),
        "identity" => output.gzip = Some(false),
        "" => {}
        other => section.report(
            &format!("content_encoding, {other},"),
            "there are gzip and identity",
        ),
    }
    let (mut name, mut password) = (String::new(), String::new());
    section.text("username", &mut name)?;
    section.text("password", &mut password)?;
    if !name.is_empty() {
        output.credentials = Some(Credentials::User {
            name,
            password: Secret::new(password),
        });
    } else if !password.is_empty() {
        section.report("password", "there is no username");
    }
    let mut tls = ClientTlsConfig::default();
    // The names that Telegraf had before 1.5 come first.
    for [ca, certificate, key] in [
        ["ssl_ca", "ssl_cert", "ssl_key"],
        ["tls_ca", "tls_cert", "tls_key"],
    ] {
        section.path(ca, &mut tls.ca)?;
        section.path(certificate, &mut tls.certificate)?;
        section.path(key, &mut tls.private_key)?;
    }
    let mut server_name = String::new();
    section.text("tls_server_name", &mut server_name)?;
    tls.server_name = (!server_name.is_empty()).then_some(server_name);
    section.boolean("insecure_skip_verify", &mut tls.insecure_skip_verify)?;
    if tls != ClientTlsConfig::default() {
        output.tls = ClientTls::load(tls).map_err(TelegrafError::Tls)?;
    }
    unused(section);
    section.finish();
    Ok(())
}

/// What has no counterpart, and why.
fn unused(section: &mut Section<'_>) {
    for key in ["metric_batch_size", "metric_buffer_limit"] {
        section.leave_out(key, "requests and what waits are bounded in bytes");
    }
    section.leave_out_unless(
        "user_agent",
        is_none,
        "requests say that they come from this agent",
    );
    section.leave_out_unless(
        "write_consistency",
        |value| is_none(value) || is_text("any")(value),
        "the relay keeps every copy in any case",
    );
    for key in ["database_tag", "retention_policy_tag"] {
        section.leave_out_unless(key, is_none, "all lines go to one database and policy");
    }
    for key in ["exclude_database_tag", "exclude_retention_policy_tag"] {
        section.leave_out_unless(key, is_none, "no tag chooses a database or a policy");
    }
    section.leave_out_unless(
        "influx_uint_support",
        is_none,
        "InfluxDB 1.x does not know unsigned integers",
    );
    section.leave_out_unless(
        "influx_omit_timestamp",
        is_none,
        "lines without a time could not wait",
    );
    section.leave_out("udp_payload", "lines are sent over HTTP alone");
    section.leave_out("alias", "there is one output");
    section.leave_out("http_proxy", "relays are asked directly");
    section.leave_out(
        "http_headers",
        "requests have the headers that a relay needs",
    );
}

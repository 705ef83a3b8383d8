//! `[agent]`: what the agent measures, when, and where it sends it.
//!
//! A collector's table, `[agent.collect.cpu]` for one, switches it on or off, gives it times of its own, says what is
//! asked of its lines, and holds its options under Telegraf's names in kebab-case. `[agent.output]` says what is asked of
//! all lines.

mod collect;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use tandem_agent::{Config as Run, Hostname, Sampling};
use tandem_http::{ClientTls, ClientTlsConfig, Credentials, Secret, Url};

use self::collect::{CollectSection, OutputSection, set};
use crate::units::{DurationText, SecretText, SizeText};

/// `[agent]`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct AgentSection {
    /// A configuration of Telegraf that stands before all of this.
    pub(crate) telegraf_config: Option<PathBuf>,
    pub(crate) relays: Vec<String>,
    pub(crate) interval: Option<DurationText>,
    pub(crate) offset: Option<DurationText>,
    pub(crate) jitter: Option<DurationText>,
    pub(crate) precision: Option<DurationText>,
    pub(crate) database: Option<String>,
    pub(crate) retention_policy: Option<String>,
    pub(crate) create_database: Option<bool>,
    pub(crate) hostname: Option<String>,
    pub(crate) omit_hostname: Option<bool>,
    pub(crate) global_tags: BTreeMap<String, String>,
    /// Time between samples of those that are sampled more often than they report.
    pub(crate) sample_interval: Option<DurationText>,
    pub(crate) sample_collectors: Option<Vec<String>>,
    pub(crate) series_max: Option<usize>,
    pub(crate) cpu_percent_max: Option<f64>,
    pub(crate) process_bytes_max: Option<SizeText>,
    pub(crate) flush_interval: Option<DurationText>,
    pub(crate) flush_jitter: Option<DurationText>,
    pub(crate) request_timeout: Option<DurationText>,
    pub(crate) memory_bytes_max: Option<SizeText>,
    pub(crate) drain_bytes_per_s: Option<SizeText>,
    pub(crate) spool_bytes_max: Option<SizeText>,
    pub(crate) spool_age_max: Option<DurationText>,
    pub(crate) spool_free_bytes_min: Option<SizeText>,
    pub(crate) gzip: Option<bool>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<SecretText>,
    /// Goes over user and password.
    pub(crate) token: Option<SecretText>,
    pub(crate) tls_ca: Option<PathBuf>,
    pub(crate) tls_certificate: Option<PathBuf>,
    pub(crate) tls_private_key: Option<PathBuf>,
    pub(crate) tls_server_name: Option<String>,
    pub(crate) tls_insecure_skip_verify: Option<bool>,
    pub(crate) collect: CollectSection,
    /// What is asked of all lines.
    pub(crate) output: OutputSection,
}

impl AgentSection {
    /// Changes `run` as the section says; what the section leaves open stays.
    ///
    /// # Errors
    /// For addresses and certificates that cannot be used.
    pub(crate) fn apply(&self, run: &mut Run) -> anyhow::Result<()> {
        if !self.relays.is_empty() {
            let parse = |text: &String| Url::parse(text).with_context(|| format!("relay {text:?}"));
            run.relays = self
                .relays
                .iter()
                .map(parse)
                .collect::<anyhow::Result<_>>()?;
        }
        let duration = |text: &Option<DurationText>| text.map(|text| text.0);
        set(&mut run.interval, &duration(&self.interval));
        set(&mut run.offset, &duration(&self.offset));
        set(&mut run.jitter, &duration(&self.jitter));
        run.precision = duration(&self.precision).or(run.precision);
        set(&mut run.database, &self.database);
        if self.retention_policy.is_some() {
            run.retention_policy.clone_from(&self.retention_policy);
        }
        if let Some(hostname) = &self.hostname {
            run.hostname = Hostname::Is(hostname.clone());
        }
        if self.omit_hostname == Some(true) {
            run.hostname = Hostname::Omit;
        }
        for (key, value) in &self.global_tags {
            run.global_tags.retain(|(known, _)| known != key);
            run.global_tags.push((key.clone(), value.clone()));
        }
        if let Some(every) = duration(&self.sample_interval) {
            let names = self.sample_collectors.clone();
            let default = || Sampling::COLLECTORS.map(str::to_owned).into();
            run.sampling = Some(Sampling {
                every,
                collectors: names.unwrap_or_else(default),
            });
        }
        set(&mut run.series_max, &self.series_max);
        set(&mut run.budget.cpu_percent, &self.cpu_percent_max);
        if let Some(size) = self.process_bytes_max {
            run.budget.memory_bytes = Some(size.0);
        }
        self.collect.apply(&mut run.collectors);
        self.output.shape(&mut run.shape);
        self.apply_output(run)
    }

    fn apply_output(&self, run: &mut Run) -> anyhow::Result<()> {
        let output = &mut run.output;
        let duration = |text: &Option<DurationText>| text.map(|text| text.0);
        let size = |text: &Option<SizeText>| text.map(|text| text.0);
        set(&mut output.create_database, &self.create_database);
        set(&mut output.flush_interval, &duration(&self.flush_interval));
        set(&mut output.flush_jitter, &duration(&self.flush_jitter));
        set(
            &mut output.request_timeout,
            &duration(&self.request_timeout),
        );
        if let Some(SizeText(bytes)) = self.memory_bytes_max {
            output.memory_bytes_max = usize::try_from(bytes).context("memory-bytes-max")?;
        }
        set(
            &mut output.drain_bytes_per_second,
            &size(&self.drain_bytes_per_s),
        );
        set(&mut output.spool_bytes_max, &size(&self.spool_bytes_max));
        set(&mut output.spool_age_max, &duration(&self.spool_age_max));
        set(
            &mut output.spool_free_bytes_min,
            &size(&self.spool_free_bytes_min),
        );
        output.gzip = self.gzip.or(output.gzip);
        match (&self.user, &self.password) {
            (Some(name), Some(SecretText(password))) => {
                output.credentials = Some(Credentials::User {
                    name: name.clone(),
                    password: Secret::new(password.clone()),
                });
            }
            (None, None) => {}
            _ => bail!("[agent] user and password belong together; give both or none"),
        }
        if let Some(SecretText(token)) = &self.token {
            output.token = Some(Secret::new(token.clone()));
        }
        let tls = ClientTlsConfig {
            ca: self.tls_ca.clone(),
            certificate: self.tls_certificate.clone(),
            private_key: self.tls_private_key.clone(),
            server_name: self.tls_server_name.clone(),
            insecure_skip_verify: self.tls_insecure_skip_verify.unwrap_or(false),
        };
        if tls != ClientTlsConfig::default() {
            output.tls = ClientTls::load(tls).context("[agent] tls")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

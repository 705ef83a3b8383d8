//! Subscriptions: how they are stored and listed.

use tandem_catalog::Mode;
use tandem_influxql::ast::{CreateSubscription, DestinationMode, DropSubscription};
use tandem_query::{Sink, Value};
use tandem_store::StoreError;

use super::{RunError, Runner, table, text};

impl Runner {
    pub(super) fn create_subscription(&self, create: &CreateSubscription) -> Result<(), RunError> {
        for url in &create.destinations {
            if !is_destination(url) {
                let error = format!("invalid subscription URL: {url}");
                return Err(RunError::Refused(error));
            }
        }
        self.check_policy(&create.database, &create.retention_policy)?;
        let mode = match create.mode {
            DestinationMode::All => Mode::All,
            DestinationMode::Any => Mode::Any,
        };
        Ok(self.catalog.create_subscription(
            &create.database,
            &create.retention_policy,
            &create.name,
            mode,
            &create.destinations,
        )?)
    }

    pub(super) fn drop_subscription(&self, drop: &DropSubscription) -> Result<(), RunError> {
        self.check_policy(&drop.database, &drop.retention_policy)?;
        Ok(self
            .catalog
            .drop_subscription(&drop.database, &drop.retention_policy, &drop.name)?)
    }

    fn check_policy(&self, database: &str, policy: &str) -> Result<(), RunError> {
        let policies = self.store.retention_policies(database)?;
        if policies.iter().any(|found| found.name == policy) {
            return Ok(());
        }
        Err(StoreError::PolicyNotFound(policy.to_owned()).into())
    }

    /// A series for each database that has a subscription; its rows by retention policy, then in the order in which
    /// they were made.
    pub(super) fn show_subscriptions(&self, sink: &mut dyn Sink) -> Result<(), RunError> {
        for database in self.store.databases() {
            let subscriptions = self.catalog.subscriptions(Some(&database))?;
            // A database that has been dropped since it was listed has none.
            let policies = self.store.retention_policies(&database).unwrap_or_default();
            let mut rows = Vec::new();
            for policy in policies {
                let own = subscriptions.iter().filter(|one| one.policy == policy.name);
                rows.extend(own.map(|one| {
                    let urls = one.destinations.iter();
                    vec![
                        text(one.policy.as_str()),
                        text(one.name.as_str()),
                        text(one.mode.to_string()),
                        Value::Strings(urls.map(|url| url.clone().into_bytes()).collect()),
                    ]
                }));
            }
            if !rows.is_empty() {
                let columns = ["retention_policy", "name", "mode", "destinations"];
                sink.series(table(Some(&database), &columns, rows))?;
            }
        }
        Ok(())
    }
}

/// Whether points can be sent there, as InfluxDB judges: a URL of one of three kinds, with a port.
fn is_destination(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else {
        return false;
    };
    if !["udp", "http", "https"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
    {
        return false;
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let address = authority.rsplit('@').next().unwrap_or_default();
    let (host, port) = match address
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        Some((host, port)) => (host, port.strip_prefix(':')),
        None => match address.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        },
    };
    let has_port =
        port.is_some_and(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()));
    let is_plain =
        |char: char| !char.is_whitespace() && !char.is_control() && !"%<>\"\\^`{|}".contains(char);
    has_port && host.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each as a real InfluxDB 1.6.7 decides.
    #[test]
    fn destinations_are_what_influxdb_takes() {
        for url in [
            "udp://h:9",
            "UDP://h:9",
            "udp://:9",
            "http://h:99999",
            "udp://[::1]:9",
            "https://user:pw@h:9/x?y=z",
        ] {
            assert!(is_destination(url), "{url}");
        }
        for url in [
            "",
            "h:9",
            "udp://h",
            "udp://h:",
            "ftp://h:9",
            "http://h:x",
            "http://h h:1",
            "udp://h:1:2",
            "http://%zz:1",
            "udp://[::1]",
            "udp://[::1:9",
        ] {
            assert!(!is_destination(url), "{url}");
        }
    }
}

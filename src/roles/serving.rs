//! From a store's section of the configuration to how its server behaves: limits, timeouts, subscriptions and its own
//! statistics.

use std::time::Duration;

use anyhow::Context;
use tandem_http::Url;
use tandem_server::{Config, MonitorConfig, NeighboursConfig, SubscriptionConfig};

use crate::config::StoreSection;
use crate::units::{DurationText, SizeText};

/// Sets what the section sets.
pub(crate) fn apply(section: &StoreSection, config: &mut Config) {
    size(&mut config.body_bytes_max, section.body_bytes_max);
    size(&mut config.inflated_bytes_max, section.inflated_bytes_max);
    size(&mut config.bodies_bytes_max, section.bodies_bytes_max);
    time(&mut config.body_stall_max, section.body_stall_max);
    config.body_bytes_per_s_min = section
        .body_bytes_per_s_min
        .map_or(config.body_bytes_per_s_min, |size| size.0);
    time(&mut config.reader_stall_max, section.answer_stall_max);
    time(&mut config.queue_wait, section.queue_wait);
    time(&mut config.write_timeout, section.write_timeout);
    count(&mut config.writes_max, section.concurrent_writes_max);
    count(&mut config.queries_max, section.concurrent_queries_max);

    let limits = &mut config.limits;
    count(&mut limits.connections_max, section.max_connection_limit);
    count(&mut limits.requests_max, section.requests_max);
    size(&mut limits.header_bytes_max, section.header_bytes_max);
    time(&mut limits.header_read_timeout, section.header_timeout);
    time(&mut limits.write_stall_max, section.answer_stall_max);

    // Of these, 0 is no limit.
    config.rows_max = section.max_row_limit.unwrap_or(config.rows_max);
    let tasks = &mut config.task_limits;
    tasks.queries_max = section.max_concurrent_queries.unwrap_or(tasks.queries_max);
    tasks.time_max = section.query_timeout.map_or(tasks.time_max, |d| d.0);
    tasks.slow_after = section.log_queries_after.map_or(tasks.slow_after, |d| d.0);
    let query = &mut config.query_limits;
    query.points_max = section.max_select_point.unwrap_or(query.points_max);
    query.series_max = section.max_select_series.unwrap_or(query.series_max);
    query.buckets_max = section.max_select_buckets.unwrap_or(query.buckets_max);
    let extensions = &mut config.query_extensions;
    extensions.fill_previous_looks_back = section
        .fill_previous_looks_back
        .unwrap_or(extensions.fill_previous_looks_back);
    size(&mut query.bytes_max, section.each_query_bytes_max);

    if let Some(run) = section.continuous_queries {
        config.continuous_queries = run;
    }
    time(&mut config.continuous_late, section.continuous_queries_late);
    config.monitor = MonitorConfig {
        store_enabled: section.monitor_store_enabled.unwrap_or(true),
        store_interval: section
            .monitor_store_interval
            .map_or(MonitorConfig::STORE_INTERVAL, |d| d.0),
        hostname: hostname(),
        ..MonitorConfig::default()
    };
    let mut subscriptions = SubscriptionConfig {
        enabled: section.subscriptions.unwrap_or(true),
        ca: section.subscription_ca.clone(),
        insecure_skip_verify: section.subscription_insecure_skip_verify,
        ..SubscriptionConfig::default()
    };
    time(&mut subscriptions.timeout, section.subscription_timeout);
    size(
        &mut subscriptions.queue_bytes_max,
        section.subscription_queue_bytes_max,
    );
    config.subscriptions = subscriptions;
}

/// The other parts of the appliance that the section names.
pub(crate) fn neighbours(section: &StoreSection) -> anyhow::Result<NeighboursConfig> {
    let parse = |key: &str, urls: &[String]| {
        let urls = urls.iter().map(|url| {
            Url::parse(url).with_context(|| format!("{key}: {url:?} is no address of a server"))
        });
        urls.collect::<anyhow::Result<Vec<Url>>>()
    };
    Ok(NeighboursConfig {
        relays: parse("relays", &section.relays)?,
        peers: parse("peers", &section.peers)?,
        ca: section.neighbour_ca.clone(),
        insecure_skip_verify: section.neighbour_insecure_skip_verify,
    })
}

fn size(place: &mut usize, given: Option<SizeText>) {
    if let Some(SizeText(bytes)) = given {
        *place = usize::try_from(bytes).unwrap_or(usize::MAX);
    }
}

fn time(place: &mut Duration, given: Option<DurationText>) {
    if let Some(DurationText(duration)) = given {
        *place = duration;
    }
}

/// As for InfluxDB, 0 leaves it at what it is by default; here that is a bound.
fn count(place: &mut usize, given: Option<usize>) {
    if let Some(count) = given.filter(|count| *count > 0) {
        *place = count;
    }
}

/// The name of this host.
fn hostname() -> String {
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    if name.is_empty() {
        "localhost".to_owned()
    } else {
        name
    }
}

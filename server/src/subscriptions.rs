//! Subscriptions at work: copies of what is written go to who has subscribed, over HTTP, HTTPS or UDP.
//!
//! As in InfluxDB (`influxdata/influxdb services/subscriber`), this is best effort: a write never waits for it, what
//! does not fit into its bounded memory is dropped and counted, and what could not be delivered is not kept.
//! A write costs a look at one flag while there are no subscriptions, and else one copy of its body.
//! Points arrive with their times, in nanoseconds, those without as they were stored; what cannot be parsed does not arrive.
//!
//! `ALL` has a queue for each destination, so that one that is slow delays no other. `ANY` has one queue, and
//! each write goes to the next destination in turn, or to those after it while that one fails.

mod destination;
mod outlet;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use tandem_catalog::{Catalog, Mode, Subscription};
use tandem_http::{Client, ClientConfig, ClientTls, ClientTlsConfig, TlsError};
use tandem_query::Follower;
use tandem_store::{Store, WriteError, WriteRequest, Written};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tracing::warn;

use self::destination::Destination;
pub(crate) use self::destination::DestinationCounters;
use self::outlet::{Copied, Outlet};

/// How subscriptions are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionConfig {
    /// Whether anything is sent; subscriptions are stored and listed either way.
    pub enabled: bool,
    /// How long a destination may take to answer.
    pub timeout: Duration,
    /// Bytes of writes that wait for all destinations together.
    pub queue_bytes_max: usize,
    /// The authorities to trust for `https://`, in place of those of the system.
    pub ca: Option<PathBuf>,
    /// Sends to whoever answers.
    pub insecure_skip_verify: bool,
}

impl SubscriptionConfig {
    /// Default of [`SubscriptionConfig::timeout`], that of InfluxDB.
    pub const TIMEOUT: Duration = Duration::from_secs(30);
    /// Default of [`SubscriptionConfig::queue_bytes_max`].
    pub const QUEUE_BYTES_MAX: usize = 32 << 20;
}

impl Default for SubscriptionConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            timeout: Self::TIMEOUT,
            queue_bytes_max: Self::QUEUE_BYTES_MAX,
            ca: None,
            insecure_skip_verify: false,
        }
    }
}

/// Takes copies of writes. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Feed(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    store: Arc<Store>,
    catalog: Arc<Catalog>,
    enabled: bool,
    client: Client,
    runtime: Handle,
    /// KiB that may wait.
    room: Arc<Semaphore>,
    /// Whether the table has anything; looked at by every write.
    has_any: AtomicBool,
    table: RwLock<Table>,
    /// One change of the table at a time.
    changing: Mutex<()>,
}

/// By database and policy.
type Table = HashMap<String, HashMap<String, Vec<Arc<Active>>>>;

/// A subscription that is served.
#[derive(Debug)]
struct Active {
    subscription: Subscription,
    outlets: Vec<Outlet>,
}

/// What a destination of a subscription has taken.
#[derive(Clone, Debug)]
pub(crate) struct DestinationStats {
    pub(crate) database: String,
    pub(crate) policy: String,
    pub(crate) name: String,
    pub(crate) mode: String,
    /// Without a password.
    pub(crate) destination: String,
    pub(crate) counters: Arc<DestinationCounters>,
}

impl Feed {
    /// Begins to serve what is in the catalog, on this runtime.
    pub(crate) fn new(
        store: Arc<Store>,
        catalog: Arc<Catalog>,
        config: &SubscriptionConfig,
    ) -> Result<Self, TlsError> {
        let tls = ClientTlsConfig {
            ca: config.ca.clone(),
            insecure_skip_verify: config.insecure_skip_verify,
            ..ClientTlsConfig::default()
        };
        let tls = match tls == ClientTlsConfig::default() {
            true => ClientTls::default(),
            false => ClientTls::load(tls)?,
        };
        let client = Client::new(ClientConfig {
            request_timeout: config.timeout,
            tls,
            ..ClientConfig::default()
        });
        let kib = (config.queue_bytes_max / 1024).clamp(1, Semaphore::MAX_PERMITS);
        let feed = Self(Arc::new(Shared {
            store,
            catalog,
            enabled: config.enabled,
            client,
            runtime: Handle::current(),
            room: Arc::new(Semaphore::new(kib)),
            has_any: AtomicBool::new(false),
            table: RwLock::default(),
            changing: Mutex::default(),
        }));
        feed.refresh();
        Ok(feed)
    }

    /// Serves what is in the catalog now. To be called after each change of subscriptions, policies and databases.
    pub(crate) fn refresh(&self) {
        let shared = &self.0;
        if !shared.enabled {
            return;
        }
        let _changing = shared
            .changing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let subscriptions = match shared.catalog.subscriptions(None) {
            Ok(subscriptions) => subscriptions,
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                warn!(
                    error,
                    "subscriptions cannot be read; those before stay in use"
                );
                return;
            }
        };
        let mut known = self.actives();
        let mut table = Table::new();
        for subscription in subscriptions {
            let at = known
                .iter()
                .position(|active| active.subscription == subscription);
            let active = match at {
                // What waits in its queue goes on.
                Some(at) => known.swap_remove(at),
                None => Arc::new(self.begin(subscription)),
            };
            table
                .entry(active.subscription.database.clone())
                .or_default()
                .entry(active.subscription.policy.clone())
                .or_default()
                .push(active);
        }
        shared.has_any.store(!table.is_empty(), Ordering::Relaxed);
        *shared.table.write().unwrap_or_else(PoisonError::into_inner) = table;
    }

    fn begin(&self, subscription: Subscription) -> Active {
        let shared = &self.0;
        let destinations = subscription.destinations.iter();
        let mut destinations: Vec<Destination> = destinations
            .map(|url| Destination::new(url, &shared.client))
            .collect();
        let groups = match subscription.mode {
            Mode::Any => vec![destinations],
            Mode::All => destinations.drain(..).map(|one| vec![one]).collect(),
        };
        let outlets = groups.into_iter().map(|destinations| {
            Outlet::begin(
                &shared.runtime,
                &subscription.database,
                &subscription.policy,
                destinations,
            )
        });
        Active {
            outlets: outlets.collect(),
            subscription,
        }
    }

    /// Hands on a copy of what was written. Never waits.
    pub(crate) fn offer(&self, request: &WriteRequest<'_>, body: &[u8]) {
        let shared = &self.0;
        if !shared.has_any.load(Ordering::Relaxed) {
            return;
        }
        let table = shared.table.read().unwrap_or_else(PoisonError::into_inner);
        let Some(policies) = table.get(request.database) else {
            return;
        };
        let actives = match request.retention_policy {
            Some(policy) => policies.get(policy),
            None => self
                .default_policy(request.database)
                .and_then(|policy| policies.get(&policy)),
        };
        let mut copied = None;
        for outlet in actives.into_iter().flatten().flat_map(|a| &a.outlets) {
            let kib = u32::try_from(body.len() / 1024 + 1).unwrap_or(u32::MAX);
            // Each queue holds its copy until it is delivered there, so each counts.
            let Ok(room) = shared.room.clone().try_acquire_many_owned(kib) else {
                outlet.dropped();
                continue;
            };
            let body = copied.get_or_insert_with(|| Bytes::copy_from_slice(body));
            outlet.offer(Copied {
                body: body.clone(),
                precision: request.precision,
                now_ns: request.now_ns,
                _room: Arc::new(room),
            });
        }
    }

    /// Hands on a copy of a write of which something was stored.
    pub(crate) fn follow(
        &self,
        written: &Result<Written, WriteError>,
        request: &WriteRequest<'_>,
        body: &[u8],
    ) {
        if matches!(written, Ok(_) | Err(WriteError::Partial { .. })) {
            self.offer(request, body);
        }
    }

    fn default_policy(&self, database: &str) -> Option<String> {
        self.0.store.default_policy(database).ok()
    }

    /// What each destination has taken.
    pub(crate) fn stats(&self) -> Vec<DestinationStats> {
        let mut stats = Vec::new();
        for active in self.actives() {
            let subscription = &active.subscription;
            for (destination, counters) in active.outlets.iter().flat_map(Outlet::destinations) {
                stats.push(DestinationStats {
                    database: subscription.database.clone(),
                    policy: subscription.policy.clone(),
                    name: subscription.name.clone(),
                    mode: subscription.mode.to_string(),
                    destination: destination.clone(),
                    counters: counters.clone(),
                });
            }
        }
        stats
    }

    fn actives(&self) -> Vec<Arc<Active>> {
        let table = self.0.table.read().unwrap_or_else(PoisonError::into_inner);
        let policies = table.values().flat_map(HashMap::values);
        policies.flatten().cloned().collect()
    }
}

impl Follower for Feed {
    fn written(&self, request: &WriteRequest<'_>, lines: &[u8]) {
        self.offer(request, lines);
    }
}

#[cfg(test)]
mod tests;

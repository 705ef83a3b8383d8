//! `/debug/requests`: who wrote and asked how often, within the next seconds.
//!
//! Requests are counted only while somebody watches, so that nobody pays for it otherwise. How many may
//! watch at once, and how many askers are told apart, is bounded.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tandem_http::{Body, Response, StatusCode, full, write_json_string};
use tandem_influxql::format_duration;

use super::{Api, Ask};
use crate::auth::Identity;

const SECONDS: i64 = 10;
const SECONDS_MAX: i64 = 6 * 3600;
/// Watches at once.
const WATCHES_MAX: usize = 8;
/// Askers that a watch tells apart; the others are counted as one, `others`.
const ASKERS_MAX: usize = 10_000;

/// What is counted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Write,
    Query,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    writes: u64,
    queries: u64,
}

type Watch = Arc<Mutex<HashMap<String, Counts>>>;

/// Those who watch.
#[derive(Debug, Default)]
pub(super) struct Watches {
    count: AtomicUsize,
    all: Mutex<Vec<Watch>>,
}

/// A watch that ends when it is dropped, as when its client goes away.
struct Watching<'a> {
    watches: &'a Watches,
    watch: Watch,
}

impl Watches {
    /// Counts a request.
    pub(super) fn add(&self, kind: Kind, ip: IpAddr, identity: &Identity) {
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let asker = match identity {
            Identity::User { name, .. } => format!("{name}:{ip}"),
            Identity::Anyone | Identity::Nobody => ip.to_string(),
        };
        for watch in self.list().iter() {
            let mut askers = watch.lock().unwrap_or_else(PoisonError::into_inner);
            let is_known = askers.len() < ASKERS_MAX || askers.contains_key(&asker);
            let name = if is_known { &asker } else { "others" };
            let counts = askers.entry(name.to_owned()).or_default();
            match kind {
                Kind::Write => counts.writes += 1,
                Kind::Query => counts.queries += 1,
            }
        }
    }

    /// Begins a watch, if there may be one more.
    fn begin(&self) -> Option<Watching<'_>> {
        let mut all = self.list();
        if all.len() >= WATCHES_MAX {
            return None;
        }
        let watch = Watch::default();
        all.push(watch.clone());
        self.count.store(all.len(), Ordering::Relaxed);
        Some(Watching {
            watches: self,
            watch,
        })
    }

    fn list(&self) -> std::sync::MutexGuard<'_, Vec<Watch>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        let mut all = self.watches.list();
        all.retain(|watch| !Arc::ptr_eq(watch, &self.watch));
        self.watches.count.store(all.len(), Ordering::Relaxed);
    }
}

impl Watching<'_> {
    /// What was counted, by asker.
    fn text(&self) -> Vec<u8> {
        let askers = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        let mut askers: Vec<(&String, &Counts)> = askers.iter().collect();
        askers.sort_unstable_by_key(|(name, _)| *name);
        let mut out = b"{\n".to_vec();
        for (at, (name, counts)) in askers.into_iter().enumerate() {
            if at > 0 {
                out.extend_from_slice(b",\n");
            }
            write_json_string(&mut out, name.as_bytes());
            let Counts { writes, queries } = counts;
            let text = format!(": {{\"writes\":{writes},\"queries\":{queries}}}");
            out.extend_from_slice(text.as_bytes());
        }
        out.extend_from_slice(b"\n}\n");
        out
    }
}

impl Api {
    /// Watches for as long as is asked, then answers.
    pub(super) async fn requests(&self, ask: &Ask) -> Response<Body> {
        let seconds = match ask.params.get_filled("seconds") {
            None => SECONDS,
            Some(text) => match text.parse::<i64>() {
                Ok(seconds) => seconds,
                Err(_) => {
                    let text = format!("strconv.ParseInt: parsing {text:?}: invalid syntax");
                    return ask.bad(&text);
                }
            },
        };
        if seconds > SECONDS_MAX {
            let text = |seconds: i64| format_duration(seconds.saturating_mul(1_000_000_000));
            return ask.bad(&format!(
                "exceeded maximum interval time: {} > {}",
                text(seconds),
                text(SECONDS_MAX)
            ));
        }
        let Some(watching) = self.watches.begin() else {
            return ask.error(
                StatusCode::SERVICE_UNAVAILABLE,
                "requests are watched by as many as may be",
            );
        };
        let seconds = u64::try_from(seconds).unwrap_or_default();
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        full(
            StatusCode::OK,
            "application/json; charset=utf-8",
            watching.text(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    #[test]
    fn requests_are_counted_by_user_and_address_while_somebody_watches() {
        let watches = Watches::default();
        let bob = Identity::User {
            name: "bob".into(),
            admin: false,
        };
        watches.add(Kind::Write, ip(1), &Identity::Anyone);
        let watching = watches.begin().unwrap();
        watches.add(Kind::Write, ip(1), &Identity::Anyone);
        watches.add(Kind::Write, ip(1), &bob);
        watches.add(Kind::Query, ip(1), &bob);
        assert_eq!(
            String::from_utf8(watching.text()).unwrap(),
            "{\n\"127.0.0.1\": {\"writes\":1,\"queries\":0},\n\"bob:127.0.0.1\": {\"writes\":1,\"queries\":1}\n}\n"
        );
        drop(watching);
        assert_eq!(watches.count.load(Ordering::Relaxed), 0);
        assert!(watches.list().is_empty());
    }

    #[test]
    fn watches_and_askers_are_bounded() {
        let watches = Watches::default();
        let watching: Vec<_> = (0..WATCHES_MAX).map(|_| watches.begin().unwrap()).collect();
        assert!(watches.begin().is_none());
        for at in 0..ASKERS_MAX + 5 {
            let name = format!("user{at}");
            watches.add(Kind::Query, ip(1), &Identity::User { name, admin: false });
        }
        let text = String::from_utf8(watching[0].text()).unwrap();
        assert!(text.contains("\"others\": {\"writes\":0,\"queries\":5}"));
        assert_eq!(text.lines().count(), ASKERS_MAX + 3);
    }
}

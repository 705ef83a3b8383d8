//! How much a client, or a database, may send: a bound on bytes a second, so that one cannot take the whole
//! relay from the others. Off unless the operator sets it.
//!
//! Each has an account that fills up at its rate and holds one second's worth. A request goes through while
//! there is anything in it, whatever its length, and is charged afterwards; one that comes too early is
//! answered with 429 and the time after which it will go through. So a body larger than a second's worth
//! gets through, too, and whoever sends it waits longer afterwards.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::scope::{Domain, domain};

/// An account holds what comes in for so long.
const BURST: Duration = Duration::from_secs(1);
/// Accounts that are kept; beyond it those that are full are forgotten, which changes nothing.
const ACCOUNTS_MAX: usize = 16_384;

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    client_bytes_per_s: Option<u64>,
    database_bytes_per_s: Option<u64>,
    /// Until when what was sent has used up the rate.
    paid_until: Mutex<HashMap<Key, Instant>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    Client(IpAddr),
    Database(Domain),
}

/// Who sends, and where to; a Unix socket has no address.
#[derive(Clone, Debug)]
pub(crate) struct Sender<'a> {
    pub(crate) client: Option<IpAddr>,
    pub(crate) database: &'a str,
}

impl Rates {
    /// Bounds for each client's address and for each database; none where none is given.
    pub(crate) fn new(client_bytes_per_s: Option<u64>, database_bytes_per_s: Option<u64>) -> Self {
        Self {
            client_bytes_per_s,
            database_bytes_per_s,
            paid_until: Mutex::default(),
        }
    }

    fn accounts(&self, sender: &Sender<'_>) -> impl Iterator<Item = (Key, u64)> {
        let client = sender.client.zip(self.client_bytes_per_s);
        let database = self.database_bytes_per_s;
        let database = database.map(|rate| (Key::Database(domain(sender.database)), rate));
        let client = client.map(|(client, rate)| (Key::Client(client), rate));
        client.into_iter().chain(database)
    }

    /// Whether a request may come now; else how long it has to wait.
    pub(crate) fn admit(&self, sender: &Sender<'_>) -> Result<(), Duration> {
        let now = Instant::now();
        let wait = self.accounts(sender).filter_map(|(key, _)| {
            let paid_until = *self.lock().get(&key)?;
            paid_until
                .checked_duration_since(now + BURST)
                .filter(|wait| !wait.is_zero())
        });
        wait.max().map_or(Ok(()), Err)
    }

    /// Charges what has come.
    pub(crate) fn charge(&self, sender: &Sender<'_>, bytes: u64) {
        for (key, rate) in self.accounts(sender) {
            let now = Instant::now();
            let mut accounts = self.lock();
            if accounts.len() >= ACCOUNTS_MAX {
                accounts.retain(|_, paid_until| *paid_until > now);
            }
            let paid_until = accounts.entry(key).or_insert(now);
            let cost = Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64);
            *paid_until = (*paid_until).max(now) + cost;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Instant>> {
        self.paid_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(client: u8, database: &str) -> Sender<'_> {
        Sender {
            client: Some(IpAddr::from([127, 0, 0, client])),
            database,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_sends_too_much_waits_and_others_do_not() {
        let rates = Rates {
            client_bytes_per_s: Some(1000),
            ..Rates::default()
        };
        rates.charge(&sender(1, "d"), 900);
        assert_eq!(rates.admit(&sender(1, "d")), Ok(()));
        rates.charge(&sender(1, "d"), 2600);
        let wait = rates.admit(&sender(1, "d")).unwrap_err();
        assert_eq!(wait.as_millis(), 2500);
        assert_eq!(rates.admit(&sender(2, "d")), Ok(()));
        tokio::time::advance(wait).await;
        assert_eq!(rates.admit(&sender(1, "d")), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_database_has_an_account_of_its_own() {
        let rates = Rates {
            database_bytes_per_s: Some(10),
            ..Rates::default()
        };
        rates.charge(&sender(1, "d"), 1000);
        assert!(rates.admit(&sender(2, "d")).is_err());
        assert_eq!(rates.admit(&sender(1, "e")), Ok(()));
        let off = Rates::default();
        off.charge(&sender(1, "d"), u64::MAX);
        assert_eq!(off.admit(&sender(1, "d")), Ok(()));
    }
}

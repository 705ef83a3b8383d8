//! Subscriptions: where copies of what is written to a retention policy go.

use std::fmt;

use tandem_seglog::Sequence;

use crate::catalog::Catalog;
use crate::entry::{self, Kind};
use crate::error::CatalogError;
use crate::record::{Op, put_strings};
use crate::wire::{Malformed, Reader};

/// How writes are spread over the destinations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mode {
    /// Each write goes to all.
    All = 0,
    /// Each write goes to one, in turn.
    Any = 1,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "ALL",
            Self::Any => "ANY",
        })
    }
}

/// A subscription. `Debug` does not show the destinations, because a URL may hold a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Its database.
    pub database: String,
    /// Its retention policy.
    pub policy: String,
    /// Unique in its retention policy.
    pub name: String,
    /// How writes are spread.
    pub mode: Mode,
    /// URLs as they were written.
    pub destinations: Vec<String>,
    /// The number of the operation that made it.
    created: Sequence,
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("database", &self.database)
            .field("policy", &self.policy)
            .field("name", &self.name)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

impl Subscription {
    fn decode(key: &[u8], value: &[u8]) -> Result<Self, Malformed> {
        let [database, policy, name] = entry::names(key)?[..] else {
            return Err(Malformed);
        };
        let mut reader = Reader::new(value);
        let created = reader.u64()?;
        let mode = match reader.u8()? {
            0 => Mode::All,
            1 => Mode::Any,
            _ => return Err(Malformed),
        };
        let mut destinations = Vec::new();
        for _ in 0..reader.u32()? {
            destinations.push(reader.str()?.to_owned());
        }
        reader.end()?;
        Ok(Self {
            database: database.to_owned(),
            policy: policy.to_owned(),
            name: name.to_owned(),
            mode,
            destinations,
            created,
        })
    }
}

impl Catalog {
    /// Makes a subscription. The caller knows that there are such a database and policy, and that the URLs
    /// are good.
    ///
    /// # Errors
    /// [`CatalogError::SubscriptionExists`], and what an operation gives.
    pub fn create_subscription(
        &self,
        database: &str,
        policy: &str,
        name: &str,
        mode: Mode,
        destinations: &[String],
    ) -> Result<(), CatalogError> {
        self.check_name("a database name", database)?;
        self.check_name("a retention policy's name", policy)?;
        self.check_name("a subscription's name", name)?;
        let bytes = destinations.iter().map(String::len).sum();
        self.check_text("the list of destinations", bytes)?;
        let mut writer = self.writer();
        let key = Kind::Subscription.key(&[database, policy, name]);
        if self.view()?.get(&key)?.is_some() {
            return Err(CatalogError::SubscriptionExists);
        }
        let mut value = self.next(&writer).to_le_bytes().to_vec();
        value.push(mode as u8);
        put_strings(&mut value, destinations);
        let mut op = Op::default();
        op.put(key, value);
        self.commit(&mut writer, &op)
    }

    /// Removes a subscription.
    ///
    /// # Errors
    /// [`CatalogError::SubscriptionNotFound`], and what an operation gives.
    pub fn drop_subscription(
        &self,
        database: &str,
        policy: &str,
        name: &str,
    ) -> Result<(), CatalogError> {
        let mut writer = self.writer();
        let key = Kind::Subscription.key(&[database, policy, name]);
        if self.view()?.get(&key)?.is_none() {
            return Err(CatalogError::SubscriptionNotFound);
        }
        let mut op = Op::default();
        op.remove(key);
        self.commit(&mut writer, &op)
    }

    /// The subscriptions of one database, or of all, in the order in which they were made.
    ///
    /// # Errors
    /// When the view cannot be read.
    pub fn subscriptions(&self, database: Option<&str>) -> Result<Vec<Subscription>, CatalogError> {
        let view = self.view()?;
        let prefix = Kind::Subscription.key(database.as_slice());
        let mut subscriptions = Vec::new();
        for entry in view.scan(&prefix)? {
            let (key, value) = entry?;
            subscriptions.push(Subscription::decode(&key, &value).map_err(|_| view.malformed())?);
        }
        subscriptions.sort_by_key(|subscription| subscription.created);
        Ok(subscriptions)
    }
}

//! What goes with a database or a retention policy that is dropped.
//!
//! Which databases there are is in the store's manifest. The catalog is told of a drop after the
//! store has done it; should the power go in between, the next start forgets what names no database
//! ([`Catalog::retain_databases`]), and so does whoever is about to make a database of that name.
//! So nobody gets, by an old grant, at a new database.

use crate::catalog::Catalog;
use crate::entry::{self, Kind};
use crate::error::CatalogError;
use crate::record::Op;

impl Catalog {
    /// Forgets what is granted on a database, its continuous queries and its subscriptions.
    ///
    /// # Errors
    /// What an operation gives.
    pub fn forget_database(&self, database: &str) -> Result<(), CatalogError> {
        self.forget(|names| names.database == database)
    }

    /// Forgets the subscriptions of a retention policy.
    ///
    /// # Errors
    /// What an operation gives.
    pub fn forget_policy(&self, database: &str, policy: &str) -> Result<(), CatalogError> {
        self.forget(|names| names.database == database && names.policy == Some(policy))
    }

    /// Forgets what belongs to a database or retention policy that `exists` does not know. It is asked with the
    /// database, and the policy of a subscription.
    ///
    /// # Errors
    /// What an operation gives.
    pub fn retain_databases(
        &self,
        exists: impl Fn(&str, Option<&str>) -> bool,
    ) -> Result<(), CatalogError> {
        self.forget(|names| !exists(names.database, names.policy))
    }

    fn forget(&self, matches: impl Fn(Names<'_>) -> bool) -> Result<(), CatalogError> {
        let mut writer = self.writer();
        let view = self.view()?;
        let mut op = Op::default();
        for kind in [Kind::Grant, Kind::Query, Kind::Run, Kind::Subscription] {
            for entry in view.scan(&kind.key(&[]))? {
                let (key, _) = entry?;
                let names = entry::names(&key).map_err(|_| view.malformed())?;
                let names = match (kind, &names[..]) {
                    (Kind::Grant, [_, database]) | (Kind::Query | Kind::Run, [database, _]) => {
                        Names {
                            database,
                            policy: None,
                        }
                    }
                    (Kind::Subscription, [database, policy, _]) => Names {
                        database,
                        policy: Some(policy),
                    },
                    _ => return Err(view.malformed()),
                };
                if matches(names) {
                    op.remove(key.to_vec());
                }
            }
        }
        self.commit(&mut writer, &op)
    }
}

/// What an entry belongs to.
struct Names<'a> {
    database: &'a str,
    policy: Option<&'a str>,
}

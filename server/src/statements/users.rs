//! Users and what they are granted, with the results of influxdata/influxdb 1.8,
//! `coordinator/statement_executor.go`.

use tandem_catalog::{CatalogError, Granted};
use tandem_http::Secret;
use tandem_influxql::ast::{CreateUser, Grant, GrantedPrivilege, Revoke, SetPassword};
use tandem_query::{Sink, Value};

use super::{RunError, Runner, table, text};
use crate::auth::{Busy, HashError, Identity};

impl Runner {
    /// Making a user who is there with the same password and the same rights is fine.
    pub(super) fn create_user(
        &self,
        create: &CreateUser,
        identity: &Identity,
    ) -> Result<(), RunError> {
        // Checked again under the lock: another request may have made the first admin meanwhile.
        if *identity == Identity::Nobody && self.catalog.user_count() > 0 && create.admin {
            return Err(RunError::Refused("no user provided".to_owned()));
        }
        let password = Secret::new(create.password.as_str());
        if let Some(user) = self.catalog.user(&create.name)? {
            let is_same = user.admin == create.admin
                && self
                    .passwords
                    .check_blocking(&user.hash, &password)
                    .map_err(|Busy| HashError::Busy)?;
            if is_same {
                return Ok(());
            }
            return Err(CatalogError::UserExists.into());
        }
        if create.name.is_empty() {
            return Err(CatalogError::NameRequired.into());
        }
        let hash = self.passwords.hash_blocking(&password)?;
        Ok(self
            .catalog
            .create_user(&create.name, &hash, create.admin)?)
    }

    pub(super) fn set_password(&self, set: &SetPassword) -> Result<(), RunError> {
        if self.catalog.user(&set.name)?.is_none() {
            return Err(CatalogError::UserNotFound.into());
        }
        let hash = self
            .passwords
            .hash_blocking(&Secret::new(set.password.as_str()))?;
        Ok(self.catalog.set_password_hash(&set.name, &hash)?)
    }

    pub(super) fn grant(&self, grant: &Grant) -> Result<(), RunError> {
        self.check_user_and_database(&grant.user, &grant.database)?;
        let granted = granted(grant.privilege);
        Ok(self.catalog.grant(&grant.user, &grant.database, granted)?)
    }

    pub(super) fn revoke(&self, revoke: &Revoke) -> Result<(), RunError> {
        self.check_user_and_database(&revoke.user, &revoke.database)?;
        let taken = granted(revoke.privilege);
        Ok(self.catalog.revoke(&revoke.user, &revoke.database, taken)?)
    }

    fn check_user_and_database(&self, user: &str, database: &str) -> Result<(), RunError> {
        if self.catalog.user(user)?.is_none() {
            return Err(CatalogError::UserNotFound.into());
        }
        self.store.retention_policies(database)?;
        Ok(())
    }

    pub(super) fn show_users(&self, sink: &mut dyn Sink) -> Result<(), RunError> {
        let users = self.catalog.users()?.into_iter();
        let rows = users.map(|user| vec![text(user.name), Value::Boolean(user.admin)]);
        Ok(sink.series(table(None, &["user", "admin"], rows.collect()))?)
    }

    pub(super) fn show_grants(&self, user: &str, sink: &mut dyn Sink) -> Result<(), RunError> {
        let grants = self.catalog.grants(user)?.into_iter();
        let rows =
            grants.map(|(database, granted)| vec![text(database), text(granted.to_string())]);
        let columns = ["database", "privilege"];
        Ok(sink.series(table(None, &columns, rows.collect()))?)
    }
}

fn granted(privilege: GrantedPrivilege) -> Granted {
    match privilege {
        GrantedPrivilege::Read => Granted::Read,
        GrantedPrivilege::Write => Granted::Write,
        GrantedPrivilege::All => Granted::All,
    }
}

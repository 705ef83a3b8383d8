//! The catalog of a store: opened beside it, with the users that the configuration names.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use tandem_catalog::{Catalog, Granted, Options, ViewFound};
use tandem_http::Secret;
use tandem_server::{AuthConfig, hash_password};
use tandem_vfs::RealFs;

use crate::config::StoreSection;

/// Opens the catalog of the store in `dir`; `name` is the store's, for the log.
pub(crate) fn open(dir: &Path, name: &str) -> anyhow::Result<Catalog> {
    let dir = dir.join("catalog");
    let view = Catalog::view_dir(&dir);
    let catalog = Catalog::open(Arc::new(RealFs), &dir, &view, Options::default())
        .with_context(|| format!("open the catalog in {}", dir.display()))?;
    let report = catalog.report();
    for corruption in &report.corruptions {
        tracing::error!(store = name, %corruption, "the catalog's log is damaged; nothing of it is lost");
    }
    if report.healed {
        tracing::warn!(
            store = name,
            "the catalog's log was written anew from its view"
        );
    }
    match report.view {
        ViewFound::Fits => {}
        ViewFound::Missing | ViewFound::Older => {
            tracing::debug!(store = name, found = ?report.view, "the catalog's view was built from its log");
        }
        ViewFound::Foreign | ViewFound::Damaged => {
            tracing::warn!(store = name, found = ?report.view, "the catalog's view did not fit and was built from its log");
        }
    }
    Ok(catalog)
}

/// Makes the users that a section names, at the first start: until there is an admin, or any user where
/// the section names no admin. The admin is the last, so that a start that was cut short is done again.
pub(crate) fn make_users(
    catalog: &Catalog,
    section: &StoreSection,
    database: &str,
) -> anyhow::Result<()> {
    let done = match section.admin_user {
        Some(_) => catalog.admin_exists(),
        None => catalog.user_count() > 0,
    };
    if done {
        return Ok(());
    }
    for user in section.users().iter().rev() {
        let (Some(name), Some(password)) = (user.name, user.password) else {
            continue;
        };
        let make = || {
            if catalog.user(name)?.is_none() {
                let hash = hash_password(&Secret::new(password.0.as_str()))?;
                catalog.create_user(name, &hash, user.granted.is_none())?;
            }
            if let Some(granted) = user.granted {
                catalog.grant(name, database, granted)?;
            }
            anyhow::Ok(())
        };
        make().with_context(|| format!("make the user {name:?}"))?;
        tracing::info!(user = name, admin = user.granted.is_none(), "made a user");
    }
    Ok(())
}

/// How the users of a store are told apart.
pub(crate) fn auth(section: &StoreSection) -> AuthConfig {
    AuthConfig {
        enabled: section.auth_enabled,
        ping_enabled: section.auth_enabled && section.ping_auth_enabled,
        shared_secret: section
            .shared_secret
            .as_ref()
            .filter(|secret| !secret.0.is_empty())
            .map(|secret| Secret::new(secret.0.as_str())),
        ..AuthConfig::default()
    }
}

/// A user whom a section names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FirstUser<'a> {
    /// The keys of the name and the password.
    pub(crate) keys: (&'static str, &'static str),
    pub(crate) name: Option<&'a str>,
    pub(crate) password: Option<&'a crate::units::SecretText>,
    /// On the section's database; the admin needs no grant.
    pub(crate) granted: Option<Granted>,
}

impl StoreSection {
    /// The users whom the section may name, the admin first.
    pub(crate) fn users(&self) -> [FirstUser<'_>; 4] {
        [
            FirstUser {
                keys: ("admin-user", "admin-password"),
                name: self.admin_user.as_deref(),
                password: self.admin_password.as_ref(),
                granted: None,
            },
            FirstUser {
                keys: ("user", "user-password"),
                name: self.user.as_deref(),
                password: self.user_password.as_ref(),
                granted: Some(Granted::All),
            },
            FirstUser {
                keys: ("read-user", "read-user-password"),
                name: self.read_user.as_deref(),
                password: self.read_user_password.as_ref(),
                granted: Some(Granted::Read),
            },
            FirstUser {
                keys: ("write-user", "write-user-password"),
                name: self.write_user.as_deref(),
                password: self.write_user_password.as_ref(),
                granted: Some(Granted::Write),
            },
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::SecretText;

    fn section() -> StoreSection {
        StoreSection {
            admin_user: Some("root".into()),
            admin_password: Some(SecretText("one".into())),
            read_user: Some("grafana".into()),
            read_user_password: Some(SecretText("two".into())),
            ..StoreSection::default()
        }
    }

    #[test]
    fn users_are_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let catalog = open(dir.path(), "test").unwrap();
        make_users(&catalog, &section(), "db").unwrap();
        assert!(catalog.user("root").unwrap().unwrap().admin);
        assert!(!catalog.user("grafana").unwrap().unwrap().admin);
        assert_eq!(catalog.granted("grafana", "db").unwrap(), Granted::Read);
        // Who was dropped stays dropped, over a restart too.
        catalog.drop_user("grafana").unwrap();
        drop(catalog);
        let catalog = open(dir.path(), "test").unwrap();
        assert_eq!(catalog.report().view, ViewFound::Fits);
        make_users(&catalog, &section(), "db").unwrap();
        assert_eq!(catalog.user_count(), 1);
    }

    /// The admin is made last, so a start that was cut short before is done again.
    #[test]
    fn a_start_that_was_cut_short_is_done_again() {
        let dir = tempfile::tempdir().unwrap();
        let catalog = open(dir.path(), "test").unwrap();
        catalog.create_user("grafana", "hash", false).unwrap();
        make_users(&catalog, &section(), "db").unwrap();
        assert!(catalog.admin_exists());
        assert_eq!(catalog.granted("grafana", "db").unwrap(), Granted::Read);
    }

    #[test]
    fn users_without_an_admin_are_made_once_too() {
        let section = StoreSection {
            admin_user: None,
            admin_password: None,
            ..section()
        };
        let dir = tempfile::tempdir().unwrap();
        let catalog = open(dir.path(), "test").unwrap();
        make_users(&catalog, &section, "db").unwrap();
        assert_eq!((catalog.user_count(), catalog.admin_exists()), (1, false));
    }
}

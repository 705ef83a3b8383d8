//! What a user may do.

use std::fmt;

use tandem_catalog::{Catalog, CatalogError, Granted};
use tandem_influxql::Privilege;
use tandem_influxql::ast::{Query, Statement};

use super::Identity;

/// Why a request is not carried out.
#[derive(Debug)]
pub(crate) enum Denied {
    /// 403, with this text.
    Forbidden(String),
    /// 500: rights cannot be told.
    Failed(CatalogError),
}

impl From<CatalogError> for Denied {
    fn from(error: CatalogError) -> Self {
        Self::Failed(error)
    }
}

impl Identity {
    /// Whether all statements of a query may run, with `database` as the one of the request.
    pub(crate) fn authorize_query(
        &self,
        catalog: &Catalog,
        query: &Query,
        database: Option<&str>,
    ) -> Result<(), Denied> {
        let name = match self {
            Self::Anyone | Self::User { admin: true, .. } => return Ok(()),
            Self::Nobody => return first_admin(catalog, query),
            Self::User { name, .. } => name,
        };
        for statement in &query.statements {
            for privilege in required(statement, database) {
                if !self.has(catalog, &privilege)? {
                    return Err(forbidden(format_args!(
                        "error authorizing query: {name} not authorized to execute statement '{statement}', requires {privilege}"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Whether points may be written to `database`.
    pub(crate) fn authorize_write(&self, catalog: &Catalog, database: &str) -> Result<(), Denied> {
        match self {
            Self::Anyone => Ok(()),
            Self::Nobody => Err(forbidden(format_args!(
                "user is required to write to database {database:?}"
            ))),
            Self::User { name, .. } => {
                let privilege = Privilege::Write(Some(database.to_owned()));
                if self.has(catalog, &privilege)? {
                    return Ok(());
                }
                Err(forbidden(format_args!(
                    "{name:?} user is not authorized to write to database {database:?}"
                )))
            }
        }
    }

    /// Whether points of `database` may be deleted.
    pub(crate) fn authorize_delete(&self, catalog: &Catalog, database: &str) -> Result<(), Denied> {
        match self {
            Self::Anyone => Ok(()),
            Self::Nobody => Err(forbidden(format_args!(
                "delete - user is required to delete from database {database:?}"
            ))),
            Self::User { name, .. } => {
                let privilege = Privilege::Write(Some(database.to_owned()));
                if self.has(catalog, &privilege)? {
                    return Ok(());
                }
                Err(forbidden(format_args!(
                    "delete - {name:?} is not authorized to delete from {database:?}: {name} not authorized to write to {database}"
                )))
            }
        }
    }

    /// Whether `privilege` is held, for what is done to a bucket: `what` and `bucket` are for the text.
    pub(crate) fn authorize_bucket(
        &self,
        catalog: &Catalog,
        privilege: &Privilege,
        what: &str,
        bucket: &str,
    ) -> Result<(), Denied> {
        match self {
            Self::Anyone => Ok(()),
            Self::Nobody => Err(forbidden(format_args!(
                "buckets - user is required to {what} {bucket:?}"
            ))),
            Self::User { name, .. } => {
                if self.has(catalog, privilege)? {
                    return Ok(());
                }
                Err(forbidden(format_args!(
                    "buckets - {name:?} is not authorized to {what} {bucket:?}: requires {privilege}"
                )))
            }
        }
    }

    /// Whether the user may know of `database`.
    pub(crate) fn sees(&self, catalog: &Catalog, database: &str) -> Result<bool, CatalogError> {
        Ok(match self {
            Self::Anyone | Self::Nobody | Self::User { admin: true, .. } => true,
            Self::User { name, .. } => catalog.granted(name, database)? != Granted::Nothing,
        })
    }

    /// Whether the user may read from `database`.
    pub(crate) fn reads(&self, catalog: &Catalog, database: &str) -> Result<bool, CatalogError> {
        let all = !matches!(self, Self::User { .. });
        Ok(all || self.has(catalog, &Privilege::Read(Some(database.to_owned())))?)
    }

    fn has(&self, catalog: &Catalog, privilege: &Privilege) -> Result<bool, CatalogError> {
        let Self::User { name, admin } = self else {
            return Ok(false);
        };
        if *admin {
            return Ok(true);
        }
        Ok(match privilege {
            Privilege::Admin => false,
            Privilege::Read(database) => catalog
                .granted(name, database.as_deref().unwrap_or_default())?
                .reads(),
            Privilege::Write(database) => catalog
                .granted(name, database.as_deref().unwrap_or_default())?
                .writes(),
        })
    }
}

/// What a statement needs, with the places filled in that it leaves to the request.
fn required(statement: &Statement, database: Option<&str>) -> Vec<Privilege> {
    let fill = |place: Option<String>| place.or_else(|| database.map(str::to_owned));
    let fill = |privilege| match privilege {
        Privilege::Admin => Privilege::Admin,
        Privilege::Read(place) => Privilege::Read(fill(place)),
        Privilege::Write(place) => Privilege::Write(fill(place)),
    };
    let required = match (statement, database) {
        // What such a query leaves open goes to the database of the request, where there is one.
        (Statement::CreateContinuousQuery(_), Some(database)) => {
            let mut statement = statement.clone();
            let filled = statement.try_for_each_measurement(&mut |measurement| {
                measurement.database.get_or_insert(database.to_owned());
                Ok::<(), std::convert::Infallible>(())
            });
            let Ok(()) = filled;
            statement.required_privileges()
        }
        _ => statement.required_privileges(),
    };
    required.into_iter().map(fill).collect()
}

/// With authentication on and no admin, all that can be done is to make one.
fn first_admin(catalog: &Catalog, query: &Query) -> Result<(), Denied> {
    if catalog.user_count() > 0 {
        return Err(forbidden(format_args!(
            "error authorizing query: no user provided"
        )));
    }
    match query.statements.first() {
        Some(Statement::CreateUser(create)) if create.admin => Ok(()),
        _ => Err(forbidden(format_args!(
            "error authorizing query: create admin user first or disable authentication"
        ))),
    }
}

fn forbidden(text: fmt::Arguments<'_>) -> Denied {
    Denied::Forbidden(text.to_string())
}

//! Runs statements: those about data through the query executor, those about users, continuous
//! queries and subscriptions in the catalog.
//!
//! Databases and retention policies are the store's, and what hangs on them is the catalog's. One lock
//! is held by every statement that needs both to agree, so that nothing is granted on a database that
//! is being dropped.

mod continuous;
mod databases;
mod subscriptions;
mod users;

use std::sync::{Arc, Mutex, PoisonError};

use tandem_catalog::{Catalog, CatalogError};
use tandem_influxql::ast::Statement;
use tandem_query::{Context, Executor, Level, Message, Series, Sink, Tasks, Value};
use tandem_store::{Store, StoreError};
use thiserror::Error;

use crate::auth::{HashError, Identity, Passwords};
use crate::sources::Sources;
use crate::subscriptions::Feed;

/// Why a statement failed. `Display` is what a client is told.
#[derive(Debug, Error)]
pub(crate) enum RunError {
    #[error(transparent)]
    Query(#[from] tandem_query::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error(transparent)]
    Hash(#[from] HashError),
    /// With InfluxDB's text.
    #[error("{0}")]
    Refused(String),
    /// The client went away.
    #[error("query interrupted")]
    Gone,
}

impl RunError {
    /// Whether the statements behind the one that failed are not executed.
    pub(crate) const fn ends_request(&self) -> bool {
        match self {
            Self::Query(error) => error.ends_request(),
            _ => true,
        }
    }
}

impl From<tandem_query::Gone> for RunError {
    fn from(_: tandem_query::Gone) -> Self {
        Self::Gone
    }
}

/// Runs statements against one store and its catalog, on the thread that calls.
#[derive(Debug)]
pub(crate) struct Runner {
    executor: Executor,
    store: Arc<Store>,
    catalog: Arc<Catalog>,
    passwords: Arc<Passwords>,
    /// Held while store and catalog must agree.
    agreeing: Mutex<()>,
    /// Told of what it has to serve.
    feed: Option<Feed>,
}

impl Runner {
    pub(crate) fn new(store: Arc<Store>, catalog: Arc<Catalog>, passwords: Arc<Passwords>) -> Self {
        Self {
            executor: Executor::new(store.clone()),
            store,
            catalog,
            passwords,
            agreeing: Mutex::new(()),
            feed: None,
        }
    }

    /// Shows the queries that run, and what the server tells of itself.
    pub(crate) fn showing(mut self, sources: Arc<Sources>) -> Self {
        self.executor = self
            .executor
            .with_tasks(sources.tasks.clone())
            .with_introspection(sources);
        self
    }

    /// The queries that run.
    pub(crate) const fn tasks(&self) -> &Tasks {
        self.executor.tasks()
    }

    /// Tells `feed` of each change of subscriptions, of what they belong to, and of what statements write.
    pub(crate) fn telling(mut self, feed: Feed) -> Self {
        self.executor = self.executor.with_follower(Arc::new(feed.clone()));
        self.feed = Some(feed);
        self
    }

    /// Makes a database for points that came without anybody to be told that there is none.
    pub(crate) fn make_database(&self, name: &str) -> Result<(), RunError> {
        let _agreeing = self.agreeing.lock().unwrap_or_else(PoisonError::into_inner);
        self.forget_remains(name)?;
        self.store.create_database(name, None)?;
        Ok(())
    }

    fn tell(&self) {
        if let Some(feed) = &self.feed {
            feed.refresh();
        }
    }

    /// Runs one statement for a user who may run it, and hands its result to `sink`.
    ///
    /// # Errors
    /// Why it failed; what was handed over before stays with the sink. A statement that changes
    /// something has changed nothing, unless the error is one of the disk.
    pub(crate) fn execute(
        &self,
        statement: &Statement,
        context: &Context,
        identity: &Identity,
        sink: &mut dyn Sink,
    ) -> Result<(), RunError> {
        let agreeing = || self.agreeing.lock().unwrap_or_else(PoisonError::into_inner);
        match statement {
            Statement::CreateUser(create) => {
                let _agreeing = agreeing();
                self.create_user(create, identity)?;
            }
            Statement::DropUser { name } => self.catalog.drop_user(name)?,
            Statement::SetPassword(set) => self.set_password(set)?,
            Statement::Grant(grant) => {
                let _agreeing = agreeing();
                self.grant(grant)?;
            }
            Statement::Revoke(revoke) => {
                let _agreeing = agreeing();
                self.revoke(revoke)?;
            }
            Statement::GrantAdmin { user } => self.catalog.set_admin(user, true)?,
            Statement::RevokeAdmin { user } => self.catalog.set_admin(user, false)?,
            Statement::ShowUsers => return self.show_users(sink),
            Statement::ShowGrants { user } => return self.show_grants(user, sink),

            Statement::CreateContinuousQuery(create) => {
                let _agreeing = agreeing();
                let made = self.create_continuous_query(create, context)?;
                warn_of_get(&made, context, sink);
                return Ok(());
            }
            Statement::DropContinuousQuery(drop) => {
                self.catalog
                    .drop_continuous_query(&drop.database, &drop.name)?;
            }
            Statement::ShowContinuousQueries => {
                return self.show_continuous_queries(identity, sink);
            }

            Statement::CreateSubscription(create) => {
                let _agreeing = agreeing();
                self.create_subscription(create)?;
                self.tell();
            }
            Statement::DropSubscription(drop) => {
                let _agreeing = agreeing();
                self.drop_subscription(drop)?;
                self.tell();
            }
            Statement::ShowSubscriptions => return self.show_subscriptions(sink),

            Statement::CreateDatabase(create) => {
                let _agreeing = agreeing();
                self.forget_remains(&create.name)?;
                return Ok(self.executor.execute(statement, context, sink)?);
            }
            Statement::DropDatabase { name } => {
                let _agreeing = agreeing();
                self.executor.execute(statement, context, sink)?;
                self.catalog.forget_database(name)?;
                self.tell();
                return Ok(());
            }
            Statement::DropRetentionPolicy(drop) => {
                let _agreeing = agreeing();
                self.executor.execute(statement, context, sink)?;
                self.catalog.forget_policy(&drop.database, &drop.name)?;
                self.tell();
                return Ok(());
            }
            Statement::ShowDatabases => return self.show_databases(context, identity, sink),

            _ => return Ok(self.executor.execute(statement, context, sink)?),
        }
        warn_of_get(statement, context, sink);
        Ok(())
    }
}

/// A statement that changes something should not come by `GET`; it has run, and this goes with it.
fn warn_of_get(statement: &Statement, context: &Context, sink: &mut dyn Sink) {
    if context.read_only
        && let Some(text) = statement.read_only_warning()
    {
        sink.message(Message {
            level: Level::Warning,
            text,
        });
    }
}

/// A result under these columns.
fn table(name: Option<&str>, columns: &[&str], values: Vec<Vec<Value>>) -> Series {
    Series {
        name: name.map(|name| name.as_bytes().to_vec()),
        tags: None,
        columns: columns
            .iter()
            .map(|column| column.as_bytes().to_vec())
            .collect(),
        values,
        time_zone: None,
    }
}

fn text(text: impl Into<String>) -> Value {
    Value::String(text.into().into_bytes())
}

//! Runs statements against a store.

use std::fmt::Display;
use std::sync::Arc;

use tandem_influxql::ast::{
    AlterRetentionPolicy, CreateDatabase, CreateRetentionPolicy, Statement,
};
use tandem_store::{PolicyChange, PolicySpec, Store};

use crate::context::Context;
use crate::error::Error;
use crate::introspection::{self, Introspection};
use crate::result::{Level, Message, Sink};
use crate::select::Follower;
use crate::tasks::Tasks;
use crate::{delete, select, show};

/// Runs statements against one store. Cheap to clone, safe to share between threads; each
/// statement runs on the thread that calls.
#[derive(Clone, Debug)]
pub struct Executor {
    store: Arc<Store>,
    tasks: Tasks,
    introspection: Option<Arc<dyn Introspection>>,
    follower: Option<Arc<dyn Follower>>,
}

impl Executor {
    /// An executor over `store`.
    #[must_use]
    pub fn new(store: Arc<Store>) -> Self {
        Self {
            store,
            tasks: Tasks::default(),
            introspection: None,
            follower: None,
        }
    }

    /// As it is, with the list of queries that `SHOW QUERIES` and `KILL QUERY` are about. Who runs queries
    /// puts them into it.
    #[must_use]
    pub fn with_tasks(self, tasks: Tasks) -> Self {
        Self { tasks, ..self }
    }

    /// As it is, with what `SHOW STATS` and `SHOW DIAGNOSTICS` tell; without it they tell nothing.
    #[must_use]
    pub fn with_introspection(self, introspection: Arc<dyn Introspection>) -> Self {
        Self {
            introspection: Some(introspection),
            ..self
        }
    }

    /// As it is, with who is told of what `SELECT … INTO` writes.
    #[must_use]
    pub fn with_follower(self, follower: Arc<dyn Follower>) -> Self {
        Self {
            follower: Some(follower),
            ..self
        }
    }

    /// The queries that run.
    #[must_use]
    pub const fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Runs one statement and hands its result to `sink`, piece by piece.
    ///
    /// # Errors
    /// Why the statement failed; what was handed over before stays with the sink. A statement that
    /// changes something has changed nothing, unless the error is the store's.
    pub fn execute(
        &self,
        statement: &Statement,
        context: &Context,
        sink: &mut dyn Sink,
    ) -> Result<(), Error> {
        let store = &*self.store;
        match statement {
            Statement::Select(select) => {
                select::execute((store, self.follower.as_deref()), select, context, sink)
            }
            Statement::Explain(explain) => select::explain(store, explain, context, sink),
            Statement::ShowQueries => self.tasks.show(sink),
            Statement::KillQuery(kill) => {
                self.tasks.kill(kill.id)?;
                warn_of_get(statement, context, sink);
                Ok(())
            }
            Statement::ShowStats { module } => match &self.introspection {
                Some(source) => introspection::stats(&**source, module.as_deref(), sink),
                None => Ok(()),
            },
            Statement::ShowDiagnostics { module } => match &self.introspection {
                Some(source) => introspection::diagnostics(&**source, module.as_deref(), sink),
                None => Ok(()),
            },
            Statement::ShowDatabases => show::databases(store, sink),
            Statement::ShowRetentionPolicies { database } => {
                show::retention_policies(store, database.as_deref(), context, sink)
            }
            Statement::ShowMeasurements(show) => show::measurements(store, show, context, sink),
            Statement::ShowTagKeys(show) => show::tag_keys(store, show, context, sink),
            Statement::ShowTagValues(show) => show::tag_values(store, show, context, sink),
            Statement::ShowFieldKeys(show) => show::field_keys(store, show, context, sink),
            Statement::ShowSeries(show) => show::series(store, show, context, sink),
            Statement::ShowSeriesCardinality(show) => {
                show::series_cardinality(store, show, context, sink)
            }
            Statement::ShowMeasurementCardinality(show) => {
                show::measurement_cardinality(store, show, context, sink)
            }
            Statement::ShowTagKeyCardinality(show) => {
                show::tag_key_cardinality(store, show, context, sink)
            }
            Statement::ShowFieldKeyCardinality(show) => {
                show::field_key_cardinality(store, show, context, sink)
            }
            Statement::ShowTagValuesCardinality(show) => {
                show::tag_values_cardinality(store, show, context, sink)
            }
            Statement::ShowShards => show::shards(store, sink),
            Statement::ShowShardGroups => show::shard_groups(store, sink),
            // As InfluxDB does, it runs by `GET` without a warning.
            Statement::Delete(doomed) => delete::delete(store, doomed, context),
            Statement::DropSeries(doomed) => {
                warn_of_get(statement, context, sink);
                delete::drop_series(store, doomed, context)
            }
            Statement::DropMeasurement { name } => {
                warn_of_get(statement, context, sink);
                delete::drop_measurement(store, name, context)
            }
            Statement::DropShard { id } => {
                warn_of_get(statement, context, sink);
                delete::drop_shard(store, *id)
            }
            Statement::CreateDatabase(create) => {
                warn_of_get(statement, context, sink);
                self.create_database(create)
            }
            Statement::DropDatabase { name } => {
                warn_of_get(statement, context, sink);
                Ok(store.drop_database(name)?)
            }
            Statement::CreateRetentionPolicy(create) => {
                warn_of_get(statement, context, sink);
                self.create_policy(create)
            }
            Statement::AlterRetentionPolicy(alter) => {
                warn_of_get(statement, context, sink);
                self.alter_policy(alter)
            }
            Statement::DropRetentionPolicy(drop) => {
                warn_of_get(statement, context, sink);
                Ok(store.drop_policy(&drop.database, &drop.name)?)
            }
            other => Err(Error::Unsupported(feature(other))),
        }
    }

    fn create_policy(&self, create: &CreateRetentionPolicy) -> Result<(), Error> {
        let spec = PolicySpec {
            name: Some(create.name.clone()),
            duration_ns: Some(create.duration_ns),
            shard_duration_ns: create.shard_duration_ns,
            replicas: Some(create.replication),
        };
        Ok(self
            .store
            .create_policy(&create.database, &spec, create.default)?)
    }

    fn alter_policy(&self, alter: &AlterRetentionPolicy) -> Result<(), Error> {
        let change = PolicyChange {
            duration_ns: alter.duration_ns,
            shard_duration_ns: alter.shard_duration_ns,
            replicas: alter.replication,
            make_default: alter.default,
        };
        Ok(self
            .store
            .alter_policy(&alter.database, &alter.name, &change)?)
    }

    fn create_database(&self, create: &CreateDatabase) -> Result<(), Error> {
        let spec = create.policy.as_ref().map(|policy| PolicySpec {
            name: policy.name.clone(),
            duration_ns: policy.duration_ns,
            shard_duration_ns: policy.shard_duration_ns,
            replicas: policy.replication,
        });
        Ok(self.store.create_database(&create.name, spec.as_ref())?)
    }
}

/// A statement that changes something should not come by `GET`; it runs, and this goes with it.
pub(crate) fn warn_of_get(statement: &impl Display, context: &Context, sink: &mut dyn Sink) {
    if context.read_only {
        let text = format!(
            "deprecated use of '{statement}' in a read only context, please use a POST request instead"
        );
        sink.message(Message {
            level: Level::Warning,
            text,
        });
    }
}

/// Says so when `missing` files would have been looked at and cannot be; what is answered may lack their rows.
pub(crate) fn warn_of_missing(missing: usize, sink: &mut dyn Sink) {
    if missing > 0 {
        let files = if missing == 1 { "file" } else { "files" };
        sink.message(Message {
            level: Level::Warning,
            text: format!(
                "{missing} {files} of what was asked for cannot be read; rows in there are not in this answer"
            ),
        });
    }
}

/// The words that a statement begins with, as the name of what is missing.
fn feature(statement: &Statement) -> String {
    let text = statement.to_string();
    let is_keyword = |word: &&str| word.bytes().all(|byte| byte.is_ascii_uppercase());
    let words: Vec<&str> = text.split(' ').take_while(is_keyword).collect();
    words.join(" ")
}

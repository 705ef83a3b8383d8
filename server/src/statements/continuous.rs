//! Continuous queries: how they are stored and listed.
//!
//! The text that is stored is the whole statement, with database and retention policy filled in
//! wherever they were left open, so that it means the same whenever it runs.

use tandem_influxql::ast::{CreateContinuousQuery, Statement};
use tandem_query::{Context, Sink};

use super::{RunError, Runner, table, text};
use crate::auth::Identity;

impl Runner {
    /// Stores a continuous query and gives the statement as it was stored.
    pub(super) fn create_continuous_query(
        &self,
        create: &CreateContinuousQuery,
        context: &Context,
    ) -> Result<Statement, RunError> {
        let mut made = Statement::CreateContinuousQuery(create.clone());
        // As in InfluxDB, the database of the request goes before that of the statement.
        let database = context.database.as_deref().unwrap_or(&create.database);
        let policy = context.retention_policy.as_deref();
        made.try_for_each_measurement(&mut |measurement| -> Result<(), RunError> {
            let database = measurement
                .database
                .get_or_insert_with(|| database.to_owned());
            let policies = self.store.retention_policies(database)?;
            let named = match (measurement.retention_policy.take(), policy) {
                (Some(named), _) => named,
                (None, Some(given)) => given.to_owned(),
                (None, None) => self.store.default_policy(database)?,
            };
            if !policies.iter().any(|policy| policy.name == named) {
                let text = format!("retention policy not found: {database}.{named}");
                return Err(RunError::Refused(text));
            }
            measurement.retention_policy = Some(named);
            Ok(())
        })?;
        self.store.retention_policies(&create.database)?;
        self.catalog
            .create_continuous_query(&create.database, &create.name, &made.to_string())?;
        Ok(made)
    }

    /// Every database that the user may read has a series, with or without rows.
    pub(super) fn show_continuous_queries(
        &self,
        identity: &Identity,
        sink: &mut dyn Sink,
    ) -> Result<(), RunError> {
        for database in self.store.databases() {
            if !identity.reads(&self.catalog, &database)? {
                continue;
            }
            let queries = self.catalog.continuous_queries(Some(&database))?;
            let rows = queries
                .into_iter()
                .map(|query| vec![text(query.name), text(query.text)]);
            sink.series(table(Some(&database), &["name", "query"], rows.collect()))?;
        }
        Ok(())
    }
}

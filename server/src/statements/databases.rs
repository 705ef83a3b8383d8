//! Databases, where the catalog has a say: who may see them, and what goes with them.

use tandem_catalog::CatalogError;
use tandem_influxql::ast::Statement;
use tandem_query::{Context, Message, Series, Sink, Value};

use super::{RunError, Runner};
use crate::auth::Identity;

impl Runner {
    /// `SHOW DATABASES`, of those that the user may read or write.
    pub(super) fn show_databases(
        &self,
        context: &Context,
        identity: &Identity,
        sink: &mut dyn Sink,
    ) -> Result<(), RunError> {
        let mut all = Taken::default();
        self.executor
            .execute(&Statement::ShowDatabases, context, &mut all)?;
        for mut series in all.0 {
            let mut rows = Vec::new();
            for row in series.values {
                let Some(Value::String(name)) = row.first() else {
                    continue;
                };
                if identity.sees(&self.catalog, &String::from_utf8_lossy(name))? {
                    rows.push(row);
                }
            }
            series.values = rows;
            sink.series(series)?;
        }
        Ok(())
    }

    /// At the start: forgets what belongs to databases and policies whose drop was cut short between store and catalog.
    pub(crate) fn forget_lost_databases(&self) -> Result<(), CatalogError> {
        self.catalog.retain_databases(|database, policy| {
            let policies = self.store.retention_policies(database);
            policies.is_ok_and(|policies| {
                policy.is_none_or(|policy| policies.iter().any(|found| found.name == policy))
            })
        })
    }

    /// Before a database is made: forgets what was granted on one of the same name whose drop was cut short between
    /// store and catalog.
    pub(super) fn forget_remains(&self, database: &str) -> Result<(), RunError> {
        if self.store.retention_policies(database).is_err() {
            self.catalog.forget_database(database)?;
        }
        Ok(())
    }
}

/// Takes a result as a whole.
#[derive(Default)]
struct Taken(Vec<Series>);

impl Sink for Taken {
    fn series(&mut self, series: Series) -> Result<(), tandem_query::Gone> {
        self.0.push(series);
        Ok(())
    }

    fn message(&mut self, _: Message) {}
}

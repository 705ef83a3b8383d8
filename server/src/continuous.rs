//! Continuous queries at work: each runs when a window has passed, and writes what it makes of it.
//!
//! When it runs, and over which time, is that of InfluxDB (`services/continuous_querier/service.go`), with one
//! difference: up to where a query has run is in the catalog. So windows that passed while the
//! store was down, or in which the query failed, are made up for by the next run.

mod schedule;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tandem_catalog::{Catalog, ContinuousQuery};
use tandem_http::Drained;
use tandem_influxql::ast::{BinaryOp, CreateContinuousQuery, Expr, SelectStatement, Statement};
use tandem_influxql::condition::{TimeContext, split_condition};
use tandem_influxql::{Params, parse_statement};
use tandem_query::{Context, Gone, Limits, Message, Series, Sink};
use tokio::sync::watch;
use tracing::{debug, warn};

use self::schedule::Schedule;
use crate::Counters;
use crate::auth::Identity;
use crate::statements::Runner;

/// How often it is looked whether a window has passed, as InfluxDB does.
const TICK: Duration = Duration::from_secs(1);

/// Runs the continuous queries of one store.
#[derive(Debug)]
pub(crate) struct ContinuousQueries {
    catalog: Arc<Catalog>,
    runner: Arc<Runner>,
    limits: Limits,
    /// By the id of a query: when it failed last.
    failed_ns: HashMap<u64, i64>,
    counters: Arc<Counters>,
    late_ns: i64,
}

impl ContinuousQueries {
    pub(crate) fn new(catalog: Arc<Catalog>, runner: Arc<Runner>, limits: Limits) -> Self {
        Self {
            catalog,
            runner,
            limits,
            failed_ns: HashMap::new(),
            counters: Arc::default(),
            late_ns: 0,
        }
    }

    /// Has each run go back over this time at least, for points that come late.
    pub(crate) fn reaching_back(mut self, late: Duration) -> Self {
        self.late_ns = i64::try_from(late.as_nanos()).unwrap_or(i64::MAX);
        self
    }

    /// Counts its runs there.
    pub(crate) fn counting(mut self, counters: Arc<Counters>) -> Self {
        self.counters = counters;
        self
    }

    /// Looks every second, until `stopped`; then ends the query that is running.
    pub(crate) async fn run(
        mut self,
        mut stopped: watch::Receiver<bool>,
        now_ns: fn() -> i64,
    ) -> Drained {
        let cancel = Arc::new(AtomicBool::new(false));
        loop {
            if tokio::time::timeout(TICK, until(&mut stopped))
                .await
                .is_ok()
            {
                return Drained { cut_off: 0 };
            }
            let flag = cancel.clone();
            let mut running = tokio::task::spawn_blocking(move || {
                self.run_due(now_ns(), &flag);
                self
            });
            let ended = tokio::select! {
                ended = &mut running => Some(ended),
                () = until(&mut stopped) => None,
            };
            let ended = match ended {
                Some(ended) => ended,
                None => {
                    cancel.store(true, Ordering::Relaxed);
                    running.await
                }
            };
            match ended.map_err(tokio::task::JoinError::try_into_panic) {
                Ok(own) => self = own,
                Err(Ok(panic)) => std::panic::resume_unwind(panic),
                Err(Err(_cancelled)) => return Drained { cut_off: 0 },
            }
        }
    }

    /// Runs all queries that are due at `now_ns`, one after another.
    pub(crate) fn run_due(&mut self, now_ns: i64, cancel: &Arc<AtomicBool>) {
        let queries = match self.catalog.continuous_queries(None) {
            Ok(queries) => queries,
            Err(error) => {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "continuous queries cannot be read"
                );
                return;
            }
        };
        self.failed_ns
            .retain(|id, _| queries.iter().any(|query| query.id() == *id));
        for query in &queries {
            if cancel.load(Ordering::Relaxed) {
                return;
            }
            if let Err(error) = self.run_if_due(query, now_ns, cancel) {
                self.failed_ns.insert(query.id(), now_ns);
                self.counters.continuous_failed.add(1);
                warn!(
                    database = query.database,
                    query = query.name,
                    error,
                    "a continuous query failed; its windows are left to its next run"
                );
            }
        }
    }

    fn run_if_due(
        &mut self,
        query: &ContinuousQuery,
        now_ns: i64,
        cancel: &Arc<AtomicBool>,
    ) -> Result<(), String> {
        let text = |error: &dyn std::error::Error| error.to_string();
        let statement = parse_statement(&query.text, &Params::new()).map_err(|e| text(&e))?;
        let Statement::CreateContinuousQuery(create) = statement else {
            return Err("it is no continuous query".to_owned());
        };
        // Without windows it has nothing to run for.
        let Some(schedule) = Schedule::of(&create)? else {
            return Ok(());
        };
        let schedule = schedule.reaching_back(self.late_ns);
        if let Some(failed_ns) = self.failed_ns.get(&query.id())
            && now_ns < failed_ns.saturating_add(schedule.every_ns())
        {
            return Ok(());
        }
        let last_run = self.catalog.last_run(query).map_err(|e| text(&e))?;
        let Some(due) = schedule.due(last_run, now_ns) else {
            return Ok(());
        };
        if let Some((start_ns, end_ns)) = due.range {
            let select = within(create, start_ns, end_ns, now_ns).map_err(|e| text(&e))?;
            let context = Context {
                database: Some(query.database.clone()),
                now_ns,
                cancel: cancel.clone(),
                limits: self.limits,
                ..Context::default()
            };
            let statement = Statement::Select(Box::new(select));
            self.runner
                .execute(&statement, &context, &Identity::Anyone, &mut Unheard)
                .map_err(|e| text(&e))?;
            self.counters.continuous_ok.add(1);
            debug!(
                database = query.database,
                query = query.name,
                start_ns,
                end_ns,
                "a continuous query ran"
            );
        }
        self.catalog
            .set_last_run(query, due.run_ns)
            .map_err(|e| text(&e))?;
        self.failed_ns.remove(&query.id());
        Ok(())
    }
}

/// Returns when it is time to stop.
async fn until(stopped: &mut watch::Receiver<bool>) {
    drop(stopped.wait_for(|stopped| *stopped).await);
}

/// The query over this time alone; the end is exclusive. What it says of time itself does not count.
fn within(
    create: CreateContinuousQuery,
    start_ns: i64,
    end_ns: i64,
    now_ns: i64,
) -> Result<SelectStatement, tandem_influxql::condition::ConditionError> {
    let mut select = *create.source;
    let (_, rest) = split_condition(select.condition.as_ref(), &TimeContext::utc(now_ns))?;
    let bound = |op, time_ns| Expr::binary(op, Expr::var("time"), Expr::Time(time_ns));
    let range = Expr::binary(
        BinaryOp::And,
        bound(BinaryOp::Gte, start_ns),
        bound(BinaryOp::Lt, end_ns),
    );
    select.condition = Some(match rest {
        Some(rest) => Expr::binary(BinaryOp::And, Expr::Paren(Box::new(rest)), range),
        None => range,
    });
    Ok(select)
}

/// Takes the count of points that were written.
struct Unheard;

impl Sink for Unheard {
    fn series(&mut self, _: Series) -> Result<(), Gone> {
        Ok(())
    }

    fn message(&mut self, _: Message) {}
}

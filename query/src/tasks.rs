//! The queries that run: what `SHOW QUERIES` lists, what `KILL QUERY` ends, how many there may be and
//! for how long.
//!
//! A query is what one request asks, however many statements that is, as in InfluxDB
//! (`influxdata/influxdb query/task_manager.go`). It is in the list from [`Tasks::attach`] until what
//! that returned is dropped. Nothing here waits or has a thread of its own: a query looks at its task.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tandem_influxql::format_go_duration;

use crate::error::Error;
use crate::result::{Series, Sink, Value};

/// Slow queries that are kept, the last ones.
const SLOW_MAX: usize = 50;
/// Bytes of the text of one that are kept.
const SLOW_TEXT_BYTES_MAX: usize = 4 << 10;
/// A query that takes longer is kept where [`TaskLimits::slow_after`] says nothing.
const SLOW_AFTER: Duration = Duration::from_secs(1);

/// Bounds of all queries; 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskLimits {
    /// Queries that may run at once (`max-concurrent-queries`).
    pub queries_max: usize,
    /// How long a query may run (`query-timeout`).
    pub time_max: Duration,
    /// A query that takes longer is logged (`log-queries-after`).
    pub slow_after: Duration,
}

/// The queries of one store. Clones are the same list.
#[derive(Clone, Debug, Default)]
pub struct Tasks(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    limits: TaskLimits,
    list: Mutex<List>,
    slow: Mutex<VecDeque<SlowQuery>>,
    finished: AtomicU64,
    time_ns: AtomicU64,
}

#[derive(Debug, Default)]
struct List {
    last_id: u64,
    running: BTreeMap<u64, Arc<Task>>,
    is_closed: bool,
}

/// What queries have done, under InfluxDB's names of `queryExecutor`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskStats {
    /// Queries that run.
    pub active: u64,
    /// Queries that began.
    pub executed: u64,
    /// Queries that ended.
    pub finished: u64,
    /// How long those took that ended.
    pub time: Duration,
}

/// A query that took long.
#[derive(Clone, Debug)]
pub struct SlowQuery {
    /// Its text without passwords; the end of a long one is cut off.
    pub text: String,
    /// The database of the request; empty when it named none.
    pub database: String,
    /// How long it took.
    pub took: Duration,
    /// When it ended.
    pub ended: Instant,
}

/// One query.
#[derive(Debug)]
pub struct Task {
    id: u64,
    text: String,
    database: String,
    begun: Instant,
    deadline: Option<Instant>,
    killed: AtomicBool,
}

impl Task {
    /// The `qid` of `SHOW QUERIES`.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// Fails when the query was killed or its time is over.
    ///
    /// # Errors
    /// "query interrupted", or "query-timeout limit exceeded".
    pub fn check(&self) -> Result<(), Error> {
        if self.killed.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(Error::Timeout),
            _ => Ok(()),
        }
    }
}

/// A query that is in the list until this is dropped.
#[derive(Debug)]
pub struct Running {
    task: Arc<Task>,
    tasks: Tasks,
}

impl Running {
    /// What to run its statements with ([`crate::Context::task`]).
    #[must_use]
    pub fn task(&self) -> Arc<Task> {
        Arc::clone(&self.task)
    }
}

impl Deref for Running {
    type Target = Task;

    fn deref(&self) -> &Task {
        &self.task
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let (task, shared) = (&self.task, &self.tasks.0);
        self.tasks.list().running.remove(&task.id);
        let time = task.begun.elapsed();
        let time_ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        shared.finished.fetch_add(1, Ordering::Relaxed);
        shared.time_ns.fetch_add(time_ns, Ordering::Relaxed);
        let slow_after = shared.limits.slow_after;
        let kept_after = match slow_after.is_zero() {
            true => SLOW_AFTER,
            false => slow_after,
        };
        if time >= kept_after {
            self.tasks.keep(task, time);
        }
        if !slow_after.is_zero() && time >= slow_after {
            tracing::warn!(
                query = task.text,
                qid = task.id,
                database = task.database,
                ?time,
                "a slow query"
            );
        }
    }
}

impl Tasks {
    /// An empty list.
    #[must_use]
    pub fn new(limits: TaskLimits) -> Self {
        Self(Arc::new(Shared {
            limits,
            ..Shared::default()
        }))
    }

    /// Puts a query into the list. `text` is shown to administrators, so passwords in it must be redacted.
    ///
    /// # Errors
    /// When as many run as may, or the store is going down.
    pub fn attach(&self, text: String, database: Option<&str>) -> Result<Running, Error> {
        let begun = Instant::now();
        let TaskLimits {
            queries_max,
            time_max,
            ..
        } = self.0.limits;
        let mut list = self.list();
        if list.is_closed {
            return Err(Error::Closed);
        }
        let running = list.running.len();
        if queries_max > 0 && running >= queries_max {
            return Err(Error::QueriesLimit {
                running,
                max: queries_max,
            });
        }
        list.last_id += 1;
        let task = Arc::new(Task {
            id: list.last_id,
            text,
            database: database.unwrap_or_default().to_owned(),
            begun,
            deadline: begun.checked_add(time_max).filter(|_| !time_max.is_zero()),
            killed: AtomicBool::new(false),
        });
        list.running.insert(task.id, Arc::clone(&task));
        drop(list);
        Ok(Running {
            task,
            tasks: self.clone(),
        })
    }

    /// Ends a query: it stops within a few hundred rows with "query interrupted".
    ///
    /// # Errors
    /// When no query of this id runs, or it was killed already.
    pub fn kill(&self, id: u64) -> Result<(), Error> {
        let task = self.list().running.get(&id).cloned();
        let task = task.ok_or_else(|| Error::refused(format!("no such query id: {id}")))?;
        if task.killed.swap(true, Ordering::Relaxed) {
            return Err(Error::refused("already killed"));
        }
        Ok(())
    }

    /// Ends all queries and takes no more.
    pub fn close(&self) {
        let mut list = self.list();
        list.is_closed = true;
        for task in list.running.values() {
            task.killed.store(true, Ordering::Relaxed);
        }
    }

    /// What queries have done.
    #[must_use]
    pub fn stats(&self) -> TaskStats {
        let list = self.list();
        TaskStats {
            active: list.running.len() as u64,
            executed: list.last_id,
            finished: self.0.finished.load(Ordering::Relaxed),
            time: Duration::from_nanos(self.0.time_ns.load(Ordering::Relaxed)),
        }
    }

    /// The last slow queries, the slowest first.
    #[must_use]
    pub fn slow(&self) -> Vec<SlowQuery> {
        let slow = self.0.slow.lock().unwrap_or_else(PoisonError::into_inner);
        let mut slow: Vec<SlowQuery> = slow.iter().cloned().collect();
        slow.sort_by_key(|query| std::cmp::Reverse(query.took));
        slow
    }

    fn keep(&self, task: &Task, took: Duration) {
        let end = task.text.floor_char_boundary(SLOW_TEXT_BYTES_MAX);
        let mut slow = self.0.slow.lock().unwrap_or_else(PoisonError::into_inner);
        if slow.len() >= SLOW_MAX {
            slow.pop_front();
        }
        slow.push_back(SlowQuery {
            text: task.text.get(..end).unwrap_or_default().to_owned(),
            database: task.database.clone(),
            took,
            ended: Instant::now(),
        });
    }

    /// `SHOW QUERIES`, in the order in which they began.
    pub(crate) fn show(&self, sink: &mut dyn Sink) -> Result<(), Error> {
        let text = |text: &str| Value::String(text.as_bytes().to_vec());
        let row = |task: &Arc<Task>| {
            let killed = task.killed.load(Ordering::Relaxed);
            vec![
                Value::Integer(i64::try_from(task.id).unwrap_or(i64::MAX)),
                text(&task.text),
                text(&task.database),
                text(&short(task.begun.elapsed())),
                text(if killed { "killed" } else { "running" }),
            ]
        };
        let values = self.list().running.values().map(row).collect();
        let columns = ["qid", "query", "database", "duration", "status"];
        Ok(sink.series(Series {
            columns: columns.map(|column| column.as_bytes().to_vec()).to_vec(),
            values,
            ..Series::default()
        })?)
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.0.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A time in whole units of the largest that fits, up to seconds, as Go prints it.
fn short(time: Duration) -> String {
    let ns = i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
    let unit = match ns {
        1_000_000_000.. => 1_000_000_000,
        1_000_000.. => 1_000_000,
        1_000.. => 1_000,
        _ => 1,
    };
    format_go_duration(ns - ns % unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_listed_while_they_run() {
        let tasks = Tasks::default();
        let one = tasks.attach("SHOW DATABASES".into(), None).unwrap();
        let two = tasks.attach("SELECT 1".into(), Some("db")).unwrap();
        assert_eq!((one.id(), two.id()), (1, 2));
        drop(one);
        let stats = tasks.stats();
        assert_eq!((stats.active, stats.executed, stats.finished), (1, 2, 1));
        drop(two);
        assert_eq!(tasks.stats().active, 0);
    }

    #[test]
    fn a_killed_query_stops_and_stays_listed_until_it_has() {
        let tasks = Tasks::default();
        let query = tasks.attach("SELECT 1".into(), None).unwrap();
        query.check().unwrap();
        tasks.kill(1).unwrap();
        assert_eq!(query.check().unwrap_err().to_string(), "query interrupted");
        assert_eq!(tasks.kill(1).unwrap_err().to_string(), "already killed");
        drop(query);
        let error = tasks.kill(1).unwrap_err().to_string();
        assert_eq!(error, "no such query id: 1");
    }

    #[test]
    fn there_may_be_so_many_for_so_long() {
        let limits = TaskLimits {
            queries_max: 1,
            time_max: Duration::from_nanos(1),
            slow_after: Duration::ZERO,
        };
        let tasks = Tasks::new(limits);
        let query = tasks.attach(String::new(), None).unwrap();
        let error = tasks.attach(String::new(), None).unwrap_err().to_string();
        assert_eq!(error, "max-concurrent-queries limit exceeded(1, 1)");
        let over = loop {
            if let Err(error) = query.check() {
                break error.to_string();
            }
        };
        assert_eq!(over, "query-timeout limit exceeded");
        drop(query);
        drop(tasks.attach(String::new(), None).unwrap());
        tasks.close();
        let error = tasks.attach(String::new(), None).unwrap_err().to_string();
        assert_eq!(error, "query engine shutdown");
    }

    #[test]
    fn slow_queries_are_kept_the_last_ones_and_short() {
        let tasks = Tasks::new(TaskLimits {
            slow_after: Duration::from_nanos(1),
            ..TaskLimits::default()
        });
        drop(tasks.attach("é".repeat(SLOW_TEXT_BYTES_MAX), Some("db")));
        let [long] = &tasks.slow()[..] else {
            panic!("one query was slow");
        };
        assert_eq!(
            (long.text.len(), &*long.database),
            (SLOW_TEXT_BYTES_MAX, "db")
        );
        for at in 0..SLOW_MAX {
            drop(tasks.attach(at.to_string(), None));
        }
        let slow = tasks.slow();
        assert_eq!(slow.len(), SLOW_MAX);
        assert!(slow.iter().all(|query| query.database.is_empty()));
        assert!(slow.is_sorted_by(|one, other| one.took >= other.took));
    }

    #[test]
    fn durations_are_short() {
        for (ns, text) in [
            (999, "999ns"),
            (1_999, "1µs"),
            (25_999_999, "25ms"),
            (61_900_000_000, "1m1s"),
        ] {
            assert_eq!(short(Duration::from_nanos(ns)), text);
        }
    }
}

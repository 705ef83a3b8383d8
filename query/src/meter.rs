//! What one statement takes: points, time, memory. Every loop of a statement asks here whether it may
//! go on.
//!
//! Memory is accounted, not measured: stages say what they are about to hold. A statement has a little
//! that it need not ask for ([`FREE_BYTES`]), so that small ones run beside large ones that have taken
//! all there is; past that it asks the account that all queries of the store share, in steps.
//!
//! What always holds: more than the account gives is never held, but for [`FREE_BYTES`] a statement; and
//! when a meter is dropped, all that was held is given back. A meter may be used by several threads.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tandem_store::{QueryMemory, Store};

use crate::context::Context;
use crate::error::Error;
use crate::patience::Patience;
use crate::tasks::Task;

/// Points between two looks at whether the query is still wanted.
const POINTS_PER_CHECK: u64 = 256;
/// Series that a statement looks at in one step where there is little time.
const PATIENT_SERIES_MAX: u64 = 10_000;
/// Bytes that a statement may hold without asking.
const FREE_BYTES: usize = 256 << 10;
/// Bytes that are asked for, and given back, at once.
const STEP_BYTES: usize = 256 << 10;

/// Counts what a statement reads and holds, and stops it when it is not wanted any more.
#[derive(Debug)]
pub(crate) struct Meter<'a> {
    cancel: &'a AtomicBool,
    task: Option<&'a Task>,
    patience: Option<&'a Patience>,
    points: AtomicU64,
    points_max: u64,
    rows: AtomicU64,
    /// Bytes that stages hold, and the most that they ever held.
    held: AtomicUsize,
    peak: AtomicUsize,
    /// Bytes that may be held without asking the account again.
    granted: AtomicUsize,
    account: Mutex<QueryMemory>,
    /// What this statement alone may hold; 0 is no bound of its own.
    bytes_max: usize,
    reading_ns: AtomicU64,
    batches: AtomicU64,
    /// Whether to take the time of reading.
    is_profiled: bool,
}

impl<'a> Meter<'a> {
    /// A meter for one statement.
    pub(crate) fn new(store: &Store, context: &'a Context) -> Self {
        Self {
            cancel: &context.cancel,
            task: context.task.as_deref(),
            patience: context.patience.as_deref(),
            points: AtomicU64::new(0),
            points_max: context.limits.points_max,
            rows: AtomicU64::new(0),
            held: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            granted: AtomicUsize::new(FREE_BYTES),
            account: Mutex::new(store.query_memory()),
            bytes_max: context.limits.bytes_max,
            reading_ns: AtomicU64::new(0),
            batches: AtomicU64::new(0),
            is_profiled: false,
        }
    }

    /// As it is, and with an eye on the time that reading takes.
    pub(crate) fn profiled(mut self) -> Self {
        self.is_profiled = true;
        self
    }

    /// Fails when the statement is not wanted any more: its client is gone, it was killed, or its time
    /// is over.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if let Some(task) = self.task {
            task.check()?;
        }
        if let Some(patience) = self.patience {
            patience.check()?;
        }
        if self.cancel.load(Ordering::Relaxed) {
            Err(Error::Interrupted)
        } else {
            Ok(())
        }
    }

    /// Asks whether a step may be taken that looks at this many series without asking again.
    pub(crate) fn may_take(&self, series: u64) -> Result<(), Error> {
        match self.patience {
            Some(patience) if series > PATIENT_SERIES_MAX => Err(patience.end()),
            _ => self.check(),
        }
    }

    /// Whether it has to be done on this thread alone, and soon.
    pub(crate) const fn is_hasty(&self) -> bool {
        self.patience.is_some()
    }

    /// Counts one point that was read.
    pub(crate) fn count_point(&self) -> Result<(), Error> {
        self.count_points(1)
    }

    /// Counts points that were read.
    pub(crate) fn count_points(&self, count: u64) -> Result<(), Error> {
        let before = self.points.fetch_add(count, Ordering::Relaxed);
        let points = before + count;
        if self.points_max > 0 && points > self.points_max {
            return Err(Error::PointsLimit {
                found: points,
                max: self.points_max,
            });
        }
        if before / POINTS_PER_CHECK == points / POINTS_PER_CHECK {
            Ok(())
        } else {
            self.check()
        }
    }

    /// Counts one row of a statement that reads no points, and asks for its bytes.
    pub(crate) fn count_row(&self, bytes: usize) -> Result<(), Error> {
        self.grow(bytes)?;
        let before = self.rows.fetch_add(1, Ordering::Relaxed);
        if before.is_multiple_of(POINTS_PER_CHECK) {
            self.check()?;
        }
        Ok(())
    }

    /// Points read so far.
    pub(crate) fn points(&self) -> u64 {
        self.points.load(Ordering::Relaxed)
    }

    /// Asks for bytes, before they are allocated. Who cannot say when they are freed need not: they
    /// are given back at the end of the statement.
    ///
    /// # Errors
    /// When the statement, or all queries together, would hold too much; nothing more is held then.
    pub(crate) fn grow(&self, bytes: usize) -> Result<(), Error> {
        let held = self
            .held
            .fetch_add(bytes, Ordering::Relaxed)
            .saturating_add(bytes);
        let granted = if self.bytes_max > 0 && held > self.bytes_max {
            Err(Error::QueryBytesLimit {
                found: held,
                max: self.bytes_max,
            })
        } else if held > self.granted.load(Ordering::Relaxed) {
            self.ask(held)
        } else {
            Ok(())
        };
        match &granted {
            Ok(()) => {
                self.peak.fetch_max(held, Ordering::Relaxed);
            }
            Err(_) => {
                self.held.fetch_sub(bytes, Ordering::Relaxed);
            }
        }
        granted
    }

    /// Gives bytes back that [`Self::grow`] gave.
    pub(crate) fn shrink(&self, bytes: usize) {
        let held = self
            .held
            .fetch_sub(bytes, Ordering::Relaxed)
            .saturating_sub(bytes);
        // Two steps of slack, so that what grows and shrinks in turn does not ask each time.
        if self.granted.load(Ordering::Relaxed).saturating_sub(held) > FREE_BYTES + 2 * STEP_BYTES {
            let mut account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
            let held = self.held.load(Ordering::Relaxed);
            let kept = held.saturating_sub(FREE_BYTES).next_multiple_of(STEP_BYTES);
            let spare = account.bytes().saturating_sub(kept);
            account.shrink(spare);
            self.granted
                .store(account.bytes() + FREE_BYTES, Ordering::Relaxed);
        }
    }

    /// Asks the account of all queries for what is missing to `held`.
    fn ask(&self, held: usize) -> Result<(), Error> {
        let mut account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = held.saturating_sub(account.bytes() + FREE_BYTES);
        if missing > 0 {
            let step = missing
                .checked_next_multiple_of(STEP_BYTES)
                .unwrap_or(missing);
            account.grow(step).or_else(|_| account.grow(missing))?;
        }
        self.granted
            .store(account.bytes() + FREE_BYTES, Ordering::Relaxed);
        Ok(())
    }

    /// The most bytes that were held at once.
    pub(crate) fn peak_bytes(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }

    /// Runs `read`, which brings one batch of rows, and notes its time if times are wanted.
    pub(crate) fn reading<T>(&self, read: impl FnOnce() -> T) -> T {
        if !self.is_profiled {
            return read();
        }
        let begun = Instant::now();
        let result = read();
        let spent = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.reading_ns.fetch_add(spent, Ordering::Relaxed);
        self.batches.fetch_add(1, Ordering::Relaxed);
        result
    }

    /// The time that reading took, and the batches that it brought; zero unless profiled.
    pub(crate) fn read(&self) -> (Duration, u64) {
        let spent = Duration::from_nanos(self.reading_ns.load(Ordering::Relaxed));
        (spent, self.batches.load(Ordering::Relaxed))
    }
}

/// Bytes that one stage holds; given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    meter: &'a Meter<'a>,
    bytes: usize,
}

impl<'a> Held<'a> {
    /// Nothing yet.
    pub(crate) const fn new(meter: &'a Meter<'a>) -> Self {
        Self { meter, bytes: 0 }
    }

    /// The meter that it is counted by.
    pub(crate) const fn meter(&self) -> &'a Meter<'a> {
        self.meter
    }

    /// Asks for more.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Error> {
        self.meter.grow(bytes)?;
        self.bytes += bytes;
        Ok(())
    }

    /// Holds this many bytes from now on.
    pub(crate) fn set(&mut self, bytes: usize) -> Result<(), Error> {
        if bytes > self.bytes {
            return self.grow(bytes - self.bytes);
        }
        self.meter.shrink(self.bytes - bytes);
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.meter.shrink(self.bytes);
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! A meter that stops nothing.

    use std::sync::Arc;

    use tandem_store::{Options, Store};
    use tandem_vfs::RealFs;

    use super::*;

    /// Runs `test` with a meter on an empty store whose queries may hold `bytes_max` together.
    pub(crate) fn with_meter<T>(
        bytes_max: usize,
        context: &Context,
        test: impl FnOnce(&Meter<'_>, &Store) -> T,
    ) -> T {
        let dir = tempfile::tempdir().unwrap();
        let options = Options {
            query_bytes_max: bytes_max,
            background: false,
            ..Options::default()
        };
        let store = Store::open(Arc::new(RealFs), &dir.path().join("data"), options).unwrap();
        test(&Meter::new(&store, context), &store)
    }
}

#[cfg(test)]
mod tests {
    use super::testing::with_meter;
    use super::*;
    use crate::context::Limits;

    const MIB: usize = 1 << 20;

    #[test]
    fn a_small_statement_asks_nobody() {
        let context = Context::default();
        with_meter(0, &context, |meter, store| {
            let mut held = Held::new(meter);
            held.grow(FREE_BYTES).unwrap();
            assert_eq!(store.query_memory().bytes(), 0);
            let error = held.grow(1).unwrap_err().to_string();
            assert!(
                error.starts_with("query-bytes-max limit exceeded: ("),
                "{error}"
            );
            held.set(10).unwrap();
            held.grow(100).unwrap();
        });
    }

    #[test]
    fn what_is_freed_can_be_held_again_and_all_is_given_back() {
        let context = Context::default();
        with_meter(4 * MIB, &context, |meter, store| {
            for _ in 0..100 {
                let mut held = Held::new(meter);
                held.grow(3 * MIB).unwrap();
                held.set(MIB).unwrap();
                held.set(4 * MIB).unwrap();
                held.grow(2 * MIB).unwrap_err();
            }
            assert_eq!(meter.held.load(Ordering::Relaxed), 0);
            assert_eq!(meter.peak_bytes(), 4 * MIB);
            assert!(store.stats().memory.query_bytes <= (2 * STEP_BYTES) as u64);
        });
    }

    #[test]
    fn two_statements_share_the_account() {
        let context = Context::default();
        with_meter(4 * MIB, &context, |one, store| {
            let two = Meter::new(store, &context);
            one.grow(3 * MIB).unwrap();
            two.grow(2 * MIB).unwrap_err();
            two.grow(MIB).unwrap();
            one.shrink(3 * MIB);
            two.grow(2 * MIB).unwrap();
        });
    }

    #[test]
    fn one_statement_has_a_bound_of_its_own() {
        let context = Context {
            limits: Limits {
                bytes_max: MIB,
                ..Limits::default()
            },
            ..Context::default()
        };
        with_meter(8 * MIB, &context, |meter, _| {
            meter.grow(MIB).unwrap();
            let error = meter.grow(1).unwrap_err().to_string();
            assert_eq!(
                error,
                "each-query-bytes-max limit exceeded: (1048577/1048576)"
            );
            assert!(meter.grow(usize::MAX).is_err(), "too many to count");
        });
    }

    #[test]
    fn points_are_counted_to_their_bound() {
        let context = Context {
            limits: Limits {
                points_max: 300,
                ..Limits::default()
            },
            ..Context::default()
        };
        with_meter(0, &context, |meter, _| {
            meter.count_points(299).unwrap();
            context.cancel.store(true, Ordering::Relaxed);
            meter.count_point().unwrap();
            let error = meter.count_point().unwrap_err().to_string();
            assert_eq!(error, "max-select-point limit exceeed: (301/300)");
            assert_eq!(meter.check().unwrap_err().to_string(), "query interrupted");
        });
    }
}

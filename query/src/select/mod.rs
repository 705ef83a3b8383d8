//! `SELECT`, plainly: row at a time, one group after the other.
//!
//! ```text
//! compile ── what is asked for, checked without data
//! bind ───── names get types, wildcards are expanded
//! plan ───── expressions over slots; series found and grouped
//! run ────── per group: scan, merge, reduce, fill, limit, rows
//! ```
//!
//! This is the meaning of a `SELECT`; anything faster must give the same result. Memory is bounded
//! by the series of one group (a batch of rows each) and the points of one window, but for the list
//! of series itself.

mod aggregate;
mod bind;
mod check;
mod columns;
mod compile;
mod cursor;
mod explain;
mod fast;
mod fill;
mod groups;
mod into;
mod limit;
mod merge;
mod names;
mod plan;
mod point;
mod qualified;
mod reduce;
mod run;
mod scan;
mod subquery;
mod transform;
mod types;
mod window;

use std::time::{Duration, Instant};

use tandem_influxql::ast::{Fill, SelectStatement, Source};
use tandem_model::{MAX_TIME_NS, MIN_TIME_NS, TimeRange};
use tandem_store::Store;

use self::bind::{Binder, Defaults};
use self::compile::Compiled;
pub(crate) use self::compile::check_condition;
use self::cursor::{Cursor, Row};
use self::fast::{Kernels, Taker};
use self::groups::{Batches, Group, GroupKey};
pub use self::into::Follower;
use self::into::Writer;
use self::plan::Plan;
use self::point::Tags;
use self::run::Run;
use self::window::Options;
use crate::block::Block;
use crate::context::Context;
use crate::error::Error;
use crate::executor::{warn_of_get, warn_of_missing};
use crate::meter::{Held, Meter};
use crate::result::{Series, Sink, Value};

pub(crate) use self::explain::explain;
pub(crate) use self::subquery::with_missing_as_false;

/// Rows that are handed to the sink at once.
const ROWS_PER_PIECE: usize = 1_000;
/// Bytes of rows that are handed over earlier.
const BYTES_PER_PIECE: usize = 1 << 20;

/// Runs `statement` and hands its rows to `sink`; what it writes goes to `follower` too.
///
/// # Errors
/// What InfluxDB would refuse, what this server cannot do, what the store reports. Rows may have been
/// handed over before.
pub(crate) fn execute(
    (store, follower): (&Store, Option<&dyn Follower>),
    statement: &SelectStatement,
    context: &Context,
    sink: &mut dyn Sink,
) -> Result<(), Error> {
    let meter = Meter::new(store, context);
    let prepared = Prepared::new(store, statement, context, &meter)?;
    warn_of_missing(prepared.missing_files, sink);
    let Some(target) = &prepared.plan.level.compiled.into else {
        return prepared.rows(context, &meter, sink);
    };
    let level = &prepared.plan.level;
    let columns = &prepared.columns[1..];
    let mut writer = Writer::new(
        (store, follower),
        target,
        context,
        (&level.compiled.time_name, columns),
        &level.ranked_by,
    )?;
    fast::all_rows(&prepared, context, &meter, &mut writer)?;
    let written = writer.finish()?;
    if context.read_only {
        warn_of_get(
            &qualified::qualified(statement, store, context)?,
            context,
            sink,
        );
    }
    Ok(sink.series(Series {
        name: Some(b"result".to_vec()),
        columns: vec![b"time".to_vec(), b"written".to_vec()],
        values: vec![vec![Value::Time(0), Value::Integer(written)]],
        ..Series::default()
    })?)
}

/// A statement that is planned, and what that took.
struct Prepared {
    plan: Plan,
    options: Options,
    /// The range with what functions may look at before it.
    reach: TimeRange,
    /// The names of the columns, that of time first.
    columns: Vec<Vec<u8>>,
    time_zone: Option<String>,
    steps: Vec<Step>,
    /// Files that are damaged or missing and would be read.
    missing_files: usize,
}

/// One step of preparing a statement.
struct Step {
    name: &'static str,
    time: Duration,
    /// The most bytes held until its end.
    peak_bytes: usize,
}

impl Prepared {
    fn new(
        store: &Store,
        statement: &SelectStatement,
        context: &Context,
        meter: &Meter<'_>,
    ) -> Result<Self, Error> {
        let mut steps = Vec::new();
        let mut begun = Instant::now();
        let mut step = |name| {
            steps.push(Step {
                name,
                time: begun.elapsed(),
                peak_bytes: meter.peak_bytes(),
            });
            begun = Instant::now();
        };
        meter.check()?;
        check_sources(store, &statement.sources, context)?;
        let mut compiled = compile::compile(statement, context.now_ns)?;
        compiled.fill_looks_back = context.extensions.fill_previous_looks_back
            && compiled.fill == Fill::Previous
            && compiled.ascending;
        // With a limit of windows, InfluxDB counts back from the end of time before it looks for anything.
        let counts_back =
            context.limits.buckets_max > 0 && !compiled.is_raw && compiled.bounds.min_ns.is_none();
        if let (true, Some(text)) = (counts_back, &compiled.bad_offset) {
            return Err(Error::refused(text));
        }
        let range = compiled.range(context.now_ns);
        step("compile");
        let defaults = Defaults {
            database: context.database.as_deref(),
            policy: context.retention_policy.as_deref(),
        };
        let reach = extended(range, &compiled);
        let mut binder = Binder::new(store, defaults, reach);
        let typed = binder.bind(compiled)?;
        let missing_files = binder.missing_files();
        step("bind");
        let plan = plan::plan(typed, context, meter)?;
        let compiled = &plan.level.compiled;
        let options = Options {
            range,
            interval: compiled.interval,
            zone: compiled.zone.clone(),
            ascending: compiled.ascending,
            fill: match compiled.fill {
                // Nothing is written for a window that holds nothing.
                Fill::Null if compiled.into.is_some() => Fill::None,
                fill => fill,
            },
            limit: compiled.limit,
            offset: compiled.offset,
        };
        compiled.told_late()?;
        check_buckets(&options, compiled, context.limits.buckets_max)?;
        check::check(&plan)?;
        let mut columns = vec![compiled.time_name.clone().into_bytes()];
        let outputs = plan.level.outputs.iter();
        columns.extend(outputs.map(|output| output.column.clone().into_bytes()));
        step("plan");
        Ok(Self {
            plan,
            options,
            reach,
            columns,
            time_zone: statement.time_zone.clone(),
            missing_files,
            steps,
        })
    }

    /// The groups in the order of the result, of which about `bytes_max` bytes are held at once; their series
    /// in the order of their keys if `by_key`.
    fn batches<'p>(&'p self, by_key: bool, bytes_max: usize, meter: &'p Meter<'p>) -> Batches<'p> {
        Batches::new(&self.plan, self.options.ascending, by_key, bytes_max, meter)
    }

    /// The rows of one group.
    fn group<'a>(
        &'a self,
        group: &'a Group,
        kernels: Option<&'a dyn Kernels>,
        context: &'a Context,
        meter: &'a Meter<'a>,
    ) -> Result<Cursor<'a>, Error> {
        let run = Run {
            level: &self.plan.level,
            group,
            meter,
            now_ns: context.now_ns,
            reach: self.reach,
            is_outermost: true,
            outer_tags: self.plan.level.group_by.len(),
            kernels,
        };
        run.cursor(&self.options)
    }

    /// Hands all rows to the sink.
    fn rows(&self, context: &Context, meter: &Meter<'_>, sink: &mut dyn Sink) -> Result<(), Error> {
        let mut taker = ToSink {
            prepared: self,
            meter,
            sink,
        };
        fast::all_rows(self, context, meter, &mut taker)
    }

    /// The header of a group.
    fn header(&self, key: &GroupKey) -> Series {
        let zone = self.time_zone.as_deref();
        header(key, &self.plan.level.group_by, &self.columns, zone)
    }
}

/// Hands rows to a sink.
struct ToSink<'s, 'm> {
    prepared: &'s Prepared,
    meter: &'s Meter<'m>,
    sink: &'s mut dyn Sink,
}

impl Taker for ToSink<'_, '_> {
    fn rows(&mut self, key: &GroupKey, rows: Cursor<'_>) -> Result<(), Error> {
        emit(rows, &self.prepared.header(key), self.meter, self.sink)
    }

    fn block(&mut self, key: &GroupKey, block: &Block<'_>) -> Result<(), Error> {
        Ok(self.sink.block(&self.prepared.header(key), block)?)
    }

    fn sink(&mut self) -> Option<&mut dyn Sink> {
        Some(self.sink)
    }
}

impl Taker for Writer<'_> {
    fn rows(&mut self, (name, _): &GroupKey, mut rows: Cursor<'_>) -> Result<(), Error> {
        while let Some(row) = rows.next()? {
            self.row(name, &row)?;
        }
        Ok(())
    }

    fn block(&mut self, (name, values): &GroupKey, block: &Block<'_>) -> Result<(), Error> {
        let tags = Tags::new(values.clone());
        for at in 0..block.len() {
            let source = block.source(at);
            let row = Row {
                time_ns: block.times_ns[source],
                tags: tags.clone(),
                values: block.columns.iter().map(|c| c.value(source)).collect(),
            };
            self.row(name, &row)?;
        }
        Ok(())
    }

    fn sink(&mut self) -> Option<&mut dyn Sink> {
        None
    }
}

/// Refuses sources in databases that are not there, before anything else is looked at.
fn check_sources(store: &Store, sources: &[Source], context: &Context) -> Result<(), Error> {
    for source in sources {
        match source {
            Source::Measurement(measurement) => {
                if measurement.name.is_empty() && measurement.regex.is_none() {
                    return Err(Error::refused("invalid measurement"));
                }
                let database = measurement
                    .database
                    .as_deref()
                    .or(context.database.as_deref())
                    .ok_or(Error::DatabaseRequired)?;
                store.retention_policies(database)?;
            }
            Source::Subquery(inner) => check_sources(store, &inner.sources, context)?,
        }
    }
    Ok(())
}

/// The range with the windows before it that functions such as `derivative` look at.
fn extended(range: TimeRange, compiled: &Compiled) -> TimeRange {
    if compiled.fill_looks_back {
        return TimeRange::new(MIN_TIME_NS, range.max_ns);
    }
    let extra_ns = compiled
        .interval
        .duration_ns
        .saturating_mul(compiled.extra_intervals);
    if compiled.ascending {
        TimeRange::new(
            range.min_ns.saturating_sub(extra_ns).max(MIN_TIME_NS),
            range.max_ns,
        )
    } else {
        TimeRange::new(
            range.min_ns,
            range.max_ns.saturating_add(extra_ns).min(MAX_TIME_NS),
        )
    }
}

/// Refuses a statement that would make more windows than allowed (0: any number).
fn check_buckets(options: &Options, compiled: &Compiled, buckets_max: usize) -> Result<(), Error> {
    let is_open = options.range.min_ns == MIN_TIME_NS;
    if buckets_max == 0 || compiled.is_raw || options.interval.is_zero() || is_open {
        return Ok(());
    }
    let first = i128::from(options.window(options.range.min_ns).0);
    let last = i128::from(options.window(options.range.max_ns.saturating_sub(1)).0);
    let duration_ns = i128::from(options.interval.duration_ns);
    let buckets = (last - first + duration_ns) / duration_ns;
    let found = u64::try_from(buckets).unwrap_or(0);
    if usize::try_from(found).is_ok_and(|found| found <= buckets_max) {
        return Ok(());
    }
    Err(Error::BucketsLimit {
        found,
        max: buckets_max,
    })
}

fn header(
    key: &GroupKey,
    group_by: &[String],
    columns: &[Vec<u8>],
    time_zone: Option<&str>,
) -> Series {
    let mut header = Series {
        columns: columns.to_vec(),
        time_zone: time_zone.map(str::to_owned),
        ..Series::default()
    };
    rename(&mut header, key, group_by);
    header
}

/// Makes a header that of another group.
fn rename(header: &mut Series, (name, values): &GroupKey, group_by: &[String]) {
    let tags = group_by
        .iter()
        .map(|tag| tag.clone().into_bytes())
        .zip(values.iter().cloned());
    header.name = Some(name.to_vec());
    header.tags = (!group_by.is_empty()).then(|| tags.collect());
}

/// Hands the rows of one group to the sink, piece by piece; nothing where there is no row.
fn emit(
    mut cursor: Cursor<'_>,
    header: &Series,
    meter: &Meter<'_>,
    sink: &mut dyn Sink,
) -> Result<(), Error> {
    let mut held = Held::new(meter);
    let (mut values, mut bytes) = (Vec::new(), 0);
    while let Some(row) = cursor.next()? {
        let mut cells = Vec::with_capacity(row.values.len() + 1);
        cells.push(Value::Time(row.time_ns));
        cells.extend(row.values.into_iter().map(shown));
        let own = cells.iter().map(|cell| size_of_val(cell) + cell.bytes());
        bytes += own.sum::<usize>();
        values.push(cells);
        if values.len() == ROWS_PER_PIECE || bytes >= BYTES_PER_PIECE {
            meter.check()?;
            held.set(bytes)?;
            bytes = 0;
            sink.series(Series {
                values: std::mem::take(&mut values),
                ..header.clone()
            })?;
        }
    }
    if !values.is_empty() {
        sink.series(Series {
            values,
            ..header.clone()
        })?;
    }
    Ok(())
}

/// A value as it is shown: what is no number is null.
fn shown(value: Value) -> Value {
    match value {
        Value::Float(value) if value.is_nan() => Value::Null,
        value => value,
    }
}

//! Fast paths: the same answers as the plain executor, from columns instead of rows.
//!
//! ```text
//! demand ── which functions of a group kernels can compute, learned from the stages themselves
//! sweep ─── reads the series of many groups once: figure (kernels), grid (windows), filter (conditions)
//! ends ──── first() and last() from the end
//! job ───── functions of several groups at once
//! serve ─── results as points, for the stages that follow: fill, limit, cursor
//! lines ─── results as rows, where nothing is left to be done but filling windows
//! raw ───── rows without functions, straight to the sink; gather merges those of several series, by a heap
//! late ──── the first rows of very many series: their times first, then what is selected of them
//! ```
//!
//! Preconditions, each looked at before a path is taken:
//! * A function is computed here if it is one of [`figure::Kind`] over a field of numbers or booleans (or counts
//!   anything), of an outermost statement without subqueries, and nothing is selected beside the point that it picks.
//! * Windows are equally long over the range: no clock of a time zone changes in it, and it is away from the
//!   ends of time.
//! * A page's statistics stand for its rows where one source and no tombstone cover its time, it lies in the range and in
//!   one window as a whole, no condition is left to check, and they are of the type that is asked for.
//! * Rows go straight to the sink where only fields and tags are selected, with no function, no arithmetic, no
//!   `INTO` and no fill with values, from one measurement; what has to be merged fits into memory.
//! * Two threads share the series where there are several and much is to be read.
//!
//! Whatever does not fit goes the plain way, function by function and group by group.

mod cells;
mod demand;
mod ends;
mod figure;
mod filter;
mod gather;
mod gatherer;
mod grid;
mod heap;
mod job;
mod late;
mod lines;
mod raw;
mod serve;
mod sweep;

pub(super) use self::demand::Kernels;
use self::demand::{Demand, Learner};
use self::job::Job;
use self::lines::Lines;
use super::Prepared;
use super::cursor::Cursor;
use super::groups::{Batch, Group, GroupKey};
use super::plan::PlannedSource;
use crate::block::Block;
use crate::context::Context;
use crate::error::Error;
use crate::meter::Meter;
use crate::paths::Path;
use crate::result::Sink;

/// Bytes of groups that are at hand at once.
const BATCH_BYTES: usize = 4 << 20;
/// The same where rows go straight to the sink, mostly group by group.
const RAW_BATCH_BYTES: usize = 256 << 10;

type Named<'p> = (&'p GroupKey, &'p Group);

/// Takes the rows of groups, each in one call or in some that follow one another.
pub(super) trait Taker {
    /// Takes the rows of a group.
    fn rows(&mut self, key: &GroupKey, rows: Cursor<'_>) -> Result<(), Error>;

    /// Takes rows of a group in columns.
    fn block(&mut self, key: &GroupKey, block: &Block<'_>) -> Result<(), Error>;

    /// Where rows go in the end, if that is to a sink.
    fn sink(&mut self) -> Option<&mut dyn Sink>;
}

/// Hands the rows of all groups to `taker`, got as fast as they can be.
pub(super) fn all_rows(
    prepared: &Prepared,
    context: &Context,
    meter: &Meter<'_>,
    taker: &mut dyn Taker,
) -> Result<(), Error> {
    if taker.sink().is_none() || !raw::is_raw(prepared, context) {
        return each_group(prepared, context, meter, taker);
    }
    let mut batches = prepared.batches(true, batch_bytes(context, RAW_BATCH_BYTES), meter);
    while let Some(batch) = batches.next()? {
        let groups = named(&batch);
        let mut at = 0;
        while let Some((key, group)) = groups.get(at) {
            let done = match taker.sink() {
                Some(sink) => raw::rows(prepared, &groups[at..], context, meter, sink)?,
                None => 0,
            };
            if done == 0 {
                context.paths.took(Path::Rows);
                taker.rows(key, prepared.group(group, None, context, meter)?)?;
            }
            at += done.max(1);
        }
    }
    Ok(())
}

/// The same where rows are computed.
fn each_group(
    prepared: &Prepared,
    context: &Context,
    meter: &Meter<'_>,
    taker: &mut dyn Taker,
) -> Result<(), Error> {
    let demands = demands(prepared, context, meter)?;
    let lines = Lines::new(prepared, &demands);
    let by_key = needs_order(prepared, &demands);
    let mut batches = prepared.batches(by_key, batch_bytes(context, BATCH_BYTES), meter);
    while let Some(batch) = batches.next()? {
        let groups = named(&batch);
        let mut at = 0;
        while let Some((key, group)) = groups.get(at) {
            let job = Job::new(prepared, &groups[at..], &demands, context, meter)?;
            match job {
                Some(job) => {
                    match lines.as_ref().filter(|_| !job.lazy) {
                        Some(lines) => job.lines(lines, taker)?,
                        None => job.run(&mut |(key, group), kernels| {
                            let cursor = prepared.group(group, Some(kernels), context, meter)?;
                            taker.rows(key, cursor)
                        })?,
                    }
                    at += job.groups.len();
                }
                None => {
                    context.paths.took(Path::Rows);
                    let ordered = match by_key {
                        true => None,
                        false => Some(group.by_key(&prepared.plan, meter)?),
                    };
                    let group = ordered.as_ref().unwrap_or(group);
                    taker.rows(key, prepared.group(group, None, context, meter)?)?;
                    at += 1;
                }
            }
        }
    }
    Ok(())
}

/// How the rows of a statement are got, for `EXPLAIN`.
pub(super) fn describe(
    prepared: &Prepared,
    context: &Context,
    meter: &Meter<'_>,
) -> Result<(&'static str, String), Error> {
    let demands = demands(prepared, context, meter)?;
    let mut batches = prepared.batches(false, batch_bytes(context, BATCH_BYTES), meter);
    let batch = batches.next()?;
    let groups = batch.as_ref().map(named).unwrap_or_default();
    let calls = prepared.plan.level.calls.len();
    let rows = |reason: &str| Ok((Path::Rows.name(), reason.to_owned()));
    if context.paths.is_plain() {
        return rows("each row is read and computed for itself, as was asked for");
    }
    if raw::is_raw(prepared, context) {
        let reason = "only fields and tags are selected, which need no computing";
        return Ok((Path::Columns.name(), reason.to_owned()));
    }
    let Some(demand) = demands.first() else {
        return rows("each row is read and computed for itself");
    };
    let Some(job) = Job::new(prepared, &groups, &demands, context, meter)? else {
        return rows("windows are not equally long, or there is nothing to read");
    };
    let path = if job.lazy {
        Path::Slabs
    } else if demand.is_end {
        Path::Ends
    } else {
        Path::Windows
    };
    let threads = if job.is_shared() { 2 } else { 1 };
    let filtered = job.members.iter().filter(|member| member.filter.is_some());
    let reason = format!(
        "{} of {calls} functions from columns, {} groups at once, {threads} threads, {} series with a condition on fields",
        demands.len(),
        job.groups.len(),
        filtered.count(),
    );
    Ok((path.name(), reason))
}

fn named<'b>(batch: &'b Batch<'_>) -> Vec<Named<'b>> {
    let groups = batch.groups.iter();
    groups.map(|(key, group)| (key, group)).collect()
}

const fn batch_bytes(context: &Context, bytes_max: usize) -> usize {
    if context.paths.is_eager() {
        // Of two groups or three.
        600
    } else {
        bytes_max
    }
}

/// Whether results depend on the order of the series in a group: where rows of several are merged, and not
/// where kernels compute all functions over windows.
fn needs_order(prepared: &Prepared, demands: &[Demand]) -> bool {
    let level = &prepared.plan.level;
    demands.is_empty()
        || demands.len() < level.calls.len()
        || demands.iter().any(|demand| demand.is_end)
        || level.compiled.fill_looks_back
}

/// What kernels can compute of each group; nothing where they may not.
fn demands(
    prepared: &Prepared,
    context: &Context,
    meter: &Meter<'_>,
) -> Result<Vec<Demand>, Error> {
    let level = &prepared.plan.level;
    let has_subqueries = level
        .sources
        .iter()
        .any(|source| matches!(source, PlannedSource::Subquery(_)));
    if context.paths.is_plain() || has_subqueries || level.calls.is_empty() {
        return Ok(Vec::new());
    }
    // Stages of no series: they are built and never run.
    let (learner, nobody) = (Learner::default(), Group::default());
    drop(prepared.group(&nobody, Some(&learner), context, meter)?);
    Ok(learner.demands())
}

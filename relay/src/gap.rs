//! The gap list: which points a backend will never get from the relay, by database and time range.
//!
//! A queue that is full drops batches if the operator chose that, and what a backend refuses may
//! find the dead letters full. Nothing of that is silent: each loss is a record here, durable
//! before the batch is forgotten. The list says which ranges to copy from the other store.
//!
//! ```text
//! gap                                       all gaps, in the place of what stands before
//!  0  1  kind, 1                             0  1  kind, 2
//!  1  8  first time, ns since 1970           1  .  gaps as on the left from byte 1 on, end to end
//!  9  8  last time
//! 17  8  points
//! 25  8  batches
//! 33  4  length of the database's name
//! 37  4  length of the retention policy's name
//! 41  4  length of the reason
//! 45  .  database, retention policy (empty for the default one), reason
//! ```

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::Serialize;
use tandem_http::{Params, gunzip};
use tandem_model::Precision;
use tandem_seglog::{Log, Options};
use tandem_vfs::Vfs;

use crate::batch::{Head, Target};
use crate::hint::{BadRecord, Input};
use crate::queue::QueueError;

const KIND_GAP: u8 = 1;
const KIND_ALL: u8 = 2;
/// Ranges of one database this near to each other are one.
const MERGE_NS: i64 = 60_000_000_000;
/// With more ranges than this, the nearest of one database are merged whatever lies between.
const RANGES_MAX: usize = 4096;
/// A longer log is written anew at the start.
const LOG_BYTES_MAX: u64 = 1 << 20;
/// Of a gzip body that is dropped, so much is looked into.
const INFLATED_BYTES_MAX: usize = 64 << 20;

/// Points that a backend does not get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The database, as the clients named it.
    pub database: String,
    /// The retention policy; empty for the default one.
    pub retention_policy: String,
    /// Of the first point, in nanoseconds since 1970.
    pub first_ns: i64,
    /// Of the last point, inclusive.
    pub last_ns: i64,
    /// Lines that were lost.
    pub points: u64,
    /// Batches that they were in.
    pub batches: u64,
    /// Why.
    pub reason: String,
}

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Gaps {
    log: Log,
    ranges: Mutex<Vec<Gap>>,
}

impl Gaps {
    /// Opens the list in `dir`, making it where there is none. Blocks.
    pub(crate) fn open(vfs: &Arc<dyn Vfs>, dir: &Path) -> Result<Self, QueueError> {
        let mut ranges = Vec::new();
        let (log, _) = Log::open(vfs.clone(), dir, Options::default(), &mut |_, record| {
            // One that cannot be read costs itself only.
            let _ = visit(record, &mut ranges);
            Ok(())
        })?;
        let gaps = Self {
            log,
            ranges: Mutex::new(ranges),
        };
        if gaps.log.bytes_total() > LOG_BYTES_MAX {
            gaps.compact()?;
        }
        Ok(gaps)
    }

    /// Adds what a batch held; durable on `Ok`. Blocks.
    pub(crate) fn record(
        &self,
        head: &Head,
        body: &[u8],
        reason: &str,
    ) -> Result<(), tandem_seglog::Error> {
        self.keep(vec![of_batch(head, body, reason)])
    }

    /// Adds what several batches held, with one sync; durable on `Ok`. Blocks.
    pub(crate) fn record_all(
        &self,
        lost: &[(Head, Bytes)],
        reason: &str,
    ) -> Result<(), tandem_seglog::Error> {
        let gaps = lost.iter().map(|(head, body)| of_batch(head, body, reason));
        self.keep(gaps.collect())
    }

    fn keep(&self, gaps: Vec<Gap>) -> Result<(), tandem_seglog::Error> {
        let mut tickets = Vec::with_capacity(gaps.len());
        for gap in &gaps {
            let mut record = vec![KIND_GAP];
            encode(gap, &mut record);
            tickets.push(self.log.append(&[&record])?);
        }
        for ticket in &tickets {
            self.log.commit(ticket)?;
        }
        let mut ranges = self.lock();
        for gap in gaps {
            add(&mut ranges, gap);
        }
        Ok(())
    }

    /// The ranges, those of one database in the order of time.
    pub(crate) fn list(&self) -> Vec<Gap> {
        let mut ranges = self.lock().clone();
        ranges.sort_by(|one, other| {
            let key = |gap: &Gap| (gap.database.clone(), gap.retention_policy.clone());
            (key(one), one.first_ns).cmp(&(key(other), other.first_ns))
        });
        ranges
    }

    /// Points lost, all in all.
    pub(crate) fn points(&self) -> u64 {
        self.lock().iter().map(|gap| gap.points).sum()
    }

    fn compact(&self) -> Result<(), tandem_seglog::Error> {
        let mut record = vec![KIND_ALL];
        for gap in self.lock().iter() {
            encode(gap, &mut record);
        }
        self.log.rotate()?;
        let first = self.log.next_sequence();
        let ticket = self.log.append(&[&record])?;
        self.log.commit(&ticket)?;
        self.log.cut_below(first)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Gap>> {
        self.ranges.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads one record into the list.
pub(crate) fn visit(record: &[u8], ranges: &mut Vec<Gap>) -> Result<(), BadRecord> {
    let mut input = Input(record);
    match input.byte()? {
        KIND_GAP => add(ranges, decode(&mut input)?),
        KIND_ALL => {
            let mut all = Vec::new();
            while !input.0.is_empty() {
                all.push(decode(&mut input)?);
            }
            *ranges = all;
        }
        _ => return Err(BadRecord),
    }
    Ok(())
}

/// What a batch holds.
fn of_batch(head: &Head, body: &[u8], reason: &str) -> Gap {
    let params = Params::parse(&head.query);
    let named = |key| params.get(key).unwrap_or_default().to_owned();
    let precision = params.get("precision").and_then(Precision::parse_v1);
    let (first_ns, last_ns) = match head.target {
        Target::Write => extent(head, body, precision.unwrap_or_default()),
        Target::PromWrite | Target::Query => None,
    }
    .unwrap_or((head.received_ns, head.received_ns));
    Gap {
        database: named("db"),
        retention_policy: named("rp"),
        first_ns,
        last_ns,
        points: head.lines,
        batches: 1,
        reason: reason.to_owned(),
    }
}

/// The first and the last time in a body; lines without a readable one do not count.
fn extent(head: &Head, body: &[u8], precision: Precision) -> Option<(i64, i64)> {
    let inflated;
    let plain = if head.gzip {
        let body = Bytes::copy_from_slice(body);
        inflated = gunzip(&[body], INFLATED_BYTES_MAX).ok()?;
        &inflated
    } else {
        body
    };
    let mut extent: Option<(i64, i64)> = None;
    for line in tandem_line::lines(plain) {
        let end = line.trim_ascii_end();
        let last = end.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
        let time = std::str::from_utf8(last)
            .ok()
            .and_then(|t| t.parse::<i64>().ok());
        let Some(time) = time.map(|time| time.saturating_mul(precision.nanos())) else {
            continue;
        };
        extent = Some(match extent {
            Some((first, last)) => (first.min(time), last.max(time)),
            None => (time, time),
        });
    }
    extent
}

/// Adds a gap to a list, to a range that is near.
fn add(ranges: &mut Vec<Gap>, gap: Gap) {
    let same = |other: &Gap| {
        other.database == gap.database
            && other.retention_policy == gap.retention_policy
            && other.reason == gap.reason
    };
    let near = |other: &Gap| {
        gap.first_ns <= other.last_ns.saturating_add(MERGE_NS)
            && other.first_ns <= gap.last_ns.saturating_add(MERGE_NS)
    };
    let is_full = ranges.len() >= RANGES_MAX;
    // From the end: losses come in the order of time, mostly.
    let found = ranges.iter().rposition(|other| same(other) && near(other));
    let found = found.or_else(|| {
        let same = || ranges.iter().rposition(same);
        is_full.then(same).flatten()
    });
    match found.and_then(|at| ranges.get_mut(at)) {
        Some(range) => {
            range.first_ns = range.first_ns.min(gap.first_ns);
            range.last_ns = range.last_ns.max(gap.last_ns);
            range.points += gap.points;
            range.batches += gap.batches;
        }
        None => ranges.push(gap),
    }
}

fn encode(gap: &Gap, out: &mut Vec<u8>) {
    for number in [
        gap.first_ns as u64,
        gap.last_ns as u64,
        gap.points,
        gap.batches,
    ] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    let texts = [&gap.database, &gap.retention_policy, &gap.reason];
    for text in texts {
        // They came in the head of a request, far below 4 GiB.
        out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    }
    for text in texts {
        out.extend_from_slice(text.as_bytes());
    }
}

fn decode(input: &mut Input<'_>) -> Result<Gap, BadRecord> {
    let (first, last) = (input.u64()? as i64, input.u64()? as i64);
    let (points, batches) = (input.u64()?, input.u64()?);
    let lengths = [input.u32()?, input.u32()?, input.u32()?];
    let mut text = |length| -> Result<String, BadRecord> {
        String::from_utf8(input.take(length)?.to_vec()).map_err(|_| BadRecord)
    };
    let [database, retention_policy, reason] = lengths;
    Ok(Gap {
        database: text(database)?,
        retention_policy: text(retention_policy)?,
        reason: text(reason)?,
        first_ns: first,
        last_ns: last,
        points,
        batches,
    })
}

#[cfg(test)]
mod tests {
    use tandem_testkit::SimFs;

    use super::*;

    fn head(query: &str, lines: u64) -> Head {
        Head {
            query: query.into(),
            lines,
            received_ns: 42,
            ..Head::default()
        }
    }

    #[test]
    fn what_is_lost_is_counted_by_database_and_time_and_survives() {
        let vfs: Arc<dyn Vfs> = Arc::new(SimFs::new(1));
        let dir = Path::new("/gaps");
        let gaps = Gaps::open(&vfs, dir).unwrap();
        let minute = 60;
        for n in 0..3 {
            let body = format!("m v=1 {}\nm v=\"a b\" {}\n", n * minute, n * minute + 5);
            gaps.record(&head("db=a&precision=s", 2), body.as_bytes(), "full")
                .unwrap();
        }
        let body = b"m v=1 999999\n";
        gaps.record(&head("db=a&precision=s", 1), body, "full")
            .unwrap();
        gaps.record(&head("db=b&rp=x", 1), b"m v=1 -7\nbroken", "full")
            .unwrap();
        let listed = gaps.list();
        let brief = |gap: &Gap| (gap.database.clone(), gap.first_ns, gap.last_ns, gap.points);
        assert_eq!(
            listed.iter().map(brief).collect::<Vec<_>>(),
            [
                ("a".into(), 0, 125_000_000_000, 6),
                ("a".into(), 999_999_000_000_000, 999_999_000_000_000, 1),
                ("b".into(), -7, -7, 1),
            ]
        );
        assert_eq!(gaps.points(), 8);
        gaps.compact().unwrap();
        drop(gaps);
        let gaps = Gaps::open(&vfs, dir).unwrap();
        assert_eq!(gaps.list(), listed);
    }

    #[test]
    fn a_list_that_is_full_grows_in_width_and_loses_no_count() {
        let mut ranges = Vec::new();
        for n in 0..RANGES_MAX as i64 + 10 {
            let at = n * MERGE_NS * 3;
            add(
                &mut ranges,
                Gap {
                    database: "d".into(),
                    retention_policy: String::new(),
                    first_ns: at,
                    last_ns: at,
                    points: 1,
                    batches: 1,
                    reason: "full".into(),
                },
            );
        }
        assert_eq!(ranges.len(), RANGES_MAX);
        let points: u64 = ranges.iter().map(|gap| gap.points).sum();
        assert_eq!(points, RANGES_MAX as u64 + 10);
    }
}

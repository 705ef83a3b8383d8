//! Comparing two stores, and copying to one what it lacks.
//!
//! Works over the query API of InfluxDB 1.x, so either side may be any server that speaks it. Counts
//! of points by window say cheaply where something is missing; windows that differ, or all of them on
//! request, are read from both sides and compared field by field. What the target lacks or has
//! differently is written there; what only the target has is counted and left.
//!
//! Writing points that are there already changes nothing, so a repair can be broken off and run again.

mod ask;
mod digest;
mod points;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use serde_json::Value as Json;
use tandem_http::Url;
use thiserror::Error;

pub(crate) use self::ask::Server;
use self::points::{Kinds, Points};

/// Lines of one write.
const LINES_MAX: usize = 5_000;
/// A window with more rows than this is cut in two before it is read.
const ROWS_MAX: u64 = 100_000;

/// Why a repair ends early.
#[derive(Debug, Error)]
pub enum RepairError {
    /// A server did not answer.
    #[error("ask {server}")]
    Call {
        /// Which one.
        server: String,
        /// Why.
        source: tandem_http::ClientError,
    },
    /// A server refused, or gave what cannot be read.
    #[error("{server} says: {text}")]
    Answer {
        /// Which one.
        server: String,
        /// What it said.
        text: String,
    },
}

/// What is compared.
#[derive(Clone, Debug, Default)]
pub struct Extent {
    /// Only these databases; all when empty.
    pub databases: Vec<String>,
    /// Only this retention policy.
    pub retention_policy: Option<String>,
    /// Only from this time on, in nanoseconds since 1970.
    pub start_ns: Option<i64>,
    /// Only before this time.
    pub end_ns: Option<i64>,
}

/// How it is done.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// The length of a window.
    pub window: Duration,
    /// Read windows whose counts are equal, too.
    pub deep: bool,
    /// Write what is missing.
    pub mend: bool,
    /// A pause after each window, to leave the stores their strength.
    pub pause: Duration,
}

/// A window in which the two differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where.
    pub database: String,
    /// Where.
    pub retention_policy: String,
    /// Where.
    pub measurement: String,
    /// Its first nanosecond since 1970, and the one behind its last.
    pub range_ns: Range<i64>,
    /// Points that the target lacks or has differently.
    pub lacking: u64,
    /// Points that only the target has.
    pub surplus: u64,
}

/// What a repair tells while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told<'a> {
    /// So many measurements are to be compared.
    Begins(u64),
    /// One of them is compared, and mended where that was wanted.
    Compared,
    /// A window differs.
    Differs(&'a Difference),
}

/// What was found and done.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Windows whose counts were compared.
    pub windows: u64,
    /// Those that differ.
    pub differences: Vec<Difference>,
    /// Points that were written.
    pub copied: u64,
}

/// Compares `to` with `from`, and mends `to` if `way` says so. How far it is and each difference are told at once.
///
/// # Errors
/// [`RepairError`]; what was copied until then stays.
pub async fn repair(
    from: &Url,
    to: &Url,
    extent: &Extent,
    way: Way,
    tell: &mut (dyn FnMut(Told<'_>) + Send),
) -> Result<Findings, RepairError> {
    let run = Run::new(Server::new(from), Server::new(to), way);
    let mut findings = Findings::default();
    let places = run.from.places(extent).await?;
    tell(Told::Begins(places.len() as u64));
    for place in places {
        run.measurement(&place, extent, &mut findings, tell).await?;
        tell(Told::Compared);
    }
    Ok(findings)
}

/// A measurement in a retention policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) database: String,
    pub(crate) policy: String,
    pub(crate) measurement: String,
}

impl Place {
    fn source(&self) -> String {
        format!(
            "{}.{}.{}",
            quoted(&self.database),
            quoted(&self.policy),
            quoted(&self.measurement)
        )
    }
}

impl Server {
    /// The measurements of an extent, in every retention policy of their database.
    pub(crate) async fn places(&self, extent: &Extent) -> Result<Vec<Place>, RepairError> {
        let mut places = Vec::new();
        let databases = if extent.databases.is_empty() {
            self.names("SHOW DATABASES").await?
        } else {
            extent.databases.clone()
        };
        for database in databases.iter().filter(|name| *name != "_internal") {
            let statement = format!("SHOW RETENTION POLICIES ON {}", quoted(database));
            for policy in self.names(&statement).await? {
                let wanted = extent.retention_policy.as_deref();
                if wanted.is_some_and(|wanted| !wanted.is_empty() && wanted != policy) {
                    continue;
                }
                let statement = format!("SHOW MEASUREMENTS ON {}", quoted(database));
                for measurement in self.names(&statement).await? {
                    places.push(Place {
                        database: database.clone(),
                        policy: policy.clone(),
                        measurement,
                    });
                }
            }
        }
        Ok(places)
    }
}

/// Two servers, of which one is compared with the other.
pub(crate) struct Run {
    from: Server,
    to: Server,
    way: Way,
}

/// Counts of each field in each window, by the window's first nanosecond.
type Counts = BTreeMap<i64, BTreeMap<String, u64>>;

impl Run {
    pub(crate) const fn new(from: Server, to: Server, way: Way) -> Self {
        Self { from, to, way }
    }

    /// Compares one window point by point, and mends it if the way says so.
    pub(crate) async fn one_window(
        &self,
        place: &Place,
        range: Range<i64>,
    ) -> Result<Findings, RepairError> {
        let kinds = self.kinds(place).await?;
        let mut findings = Findings::default();
        self.window(place, range, &kinds, &mut findings, &mut |_| {})
            .await?;
        Ok(findings)
    }

    async fn kinds(&self, place: &Place) -> Result<Kinds, RepairError> {
        let statement = format!(
            "SHOW FIELD KEYS ON {} FROM {}.{}",
            quoted(&place.database),
            quoted(&place.policy),
            quoted(&place.measurement)
        );
        let series = self.from.series(&place.database, &statement).await?;
        Ok(Kinds::of(&series))
    }

    async fn measurement(
        &self,
        place: &Place,
        extent: &Extent,
        findings: &mut Findings,
        tell: &mut (dyn FnMut(Told<'_>) + Send),
    ) -> Result<(), RepairError> {
        let Some(range) = self.range(place, extent).await? else {
            return Ok(());
        };
        let kinds = self.kinds(place).await?;
        let ours = self.counts(&self.from, place, &range).await?;
        let theirs = self.counts(&self.to, place, &range).await?;
        let windows: BTreeSet<i64> = ours.keys().chain(theirs.keys()).copied().collect();
        let length = window_ns(self.way.window);
        for start in windows {
            findings.windows += 1;
            let (one, other) = (ours.get(&start), theirs.get(&start));
            if one == other && !self.way.deep {
                continue;
            }
            let count = |counts: Option<&BTreeMap<String, u64>>| {
                counts.and_then(|c| c.values().max().copied()).unwrap_or(0)
            };
            let rows = count(one).max(count(other));
            let end = start.saturating_add(length).min(range.end);
            let mut parts = vec![(start.max(range.start)..end, rows)];
            while let Some((part, rows)) = parts.pop() {
                let middle = part.start + (part.end - part.start) / 2;
                if rows > ROWS_MAX && middle > part.start {
                    parts.push((middle..part.end, rows / 2));
                    parts.push((part.start..middle, rows / 2));
                    continue;
                }
                self.window(place, part, &kinds, findings, tell).await?;
                tokio::time::sleep(self.way.pause).await;
            }
        }
        Ok(())
    }

    /// From the first point on either side to behind the last, within what is asked for.
    async fn range(
        &self,
        place: &Place,
        extent: &Extent,
    ) -> Result<Option<Range<i64>>, RepairError> {
        let mut found: Option<Range<i64>> = None;
        for server in [&self.from, &self.to] {
            for order in ["ASC", "DESC"] {
                let text = format!(
                    "SELECT * FROM {} ORDER BY time {order} LIMIT 1",
                    place.source()
                );
                let series = server.series(&place.database, &text).await?;
                let Some(time) = series
                    .first()
                    .and_then(|series| series["values"][0][0].as_i64())
                else {
                    continue;
                };
                let behind = time.saturating_add(1);
                found = Some(found.map_or(time..behind, |range| {
                    range.start.min(time)..range.end.max(behind)
                }));
            }
        }
        Ok(found
            .map(|range| {
                let start = extent
                    .start_ns
                    .map_or(range.start, |at| at.max(range.start));
                start..extent.end_ns.map_or(range.end, |at| at.min(range.end))
            })
            .filter(|range| range.start < range.end))
    }

    async fn counts(
        &self,
        server: &Server,
        place: &Place,
        range: &Range<i64>,
    ) -> Result<Counts, RepairError> {
        let text = format!(
            "SELECT count(*) FROM {} WHERE time >= {} AND time < {} GROUP BY time({}ns) fill(none)",
            place.source(),
            range.start,
            range.end,
            window_ns(self.way.window)
        );
        let mut counts = Counts::new();
        for series in server.series(&place.database, &text).await? {
            let columns = series["columns"].as_array().cloned().unwrap_or_default();
            for row in series["values"].as_array().into_iter().flatten() {
                let Some(time) = row[0].as_i64() else {
                    continue;
                };
                let window = counts.entry(time).or_default();
                for (at, column) in columns.iter().enumerate().skip(1) {
                    let count = row[at].as_u64().unwrap_or(0);
                    if count > 0 {
                        window.insert(column.as_str().unwrap_or_default().to_owned(), count);
                    }
                }
            }
        }
        Ok(counts)
    }

    async fn window(
        &self,
        place: &Place,
        range: Range<i64>,
        kinds: &Kinds,
        findings: &mut Findings,
        tell: &mut (dyn FnMut(Told<'_>) + Send),
    ) -> Result<(), RepairError> {
        let text = format!(
            "SELECT * FROM {} WHERE time >= {} AND time < {} GROUP BY *",
            place.source(),
            range.start,
            range.end
        );
        let ours = Points::of(&self.from.series(&place.database, &text).await?);
        let theirs = Points::of(&self.to.series(&place.database, &text).await?);
        let lines = ours.lines_lacking_in(&theirs, &place.measurement, kinds);
        let surplus = theirs.count_beyond(&ours);
        if lines.is_empty() && surplus == 0 {
            return Ok(());
        }
        let difference = Difference {
            database: place.database.clone(),
            retention_policy: place.policy.clone(),
            measurement: place.measurement.clone(),
            range_ns: range,
            lacking: lines.len() as u64,
            surplus,
        };
        tell(Told::Differs(&difference));
        findings.differences.push(difference);
        if self.way.mend {
            for chunk in lines.chunks(LINES_MAX) {
                self.to
                    .write(&place.database, &place.policy, chunk.concat())
                    .await?;
                findings.copied += chunk.len() as u64;
            }
        }
        Ok(())
    }
}

/// A window's length; `GROUP BY time()` takes no 0.
fn window_ns(window: Duration) -> i64 {
    i64::try_from(window.as_nanos()).unwrap_or(i64::MAX).max(1)
}

/// A name in InfluxQL.
fn quoted(name: &str) -> String {
    tandem_influxql::quote_ident(name)
}

/// The first column of strings of each series, such as names of databases.
fn first_strings(series: &[Json]) -> Vec<String> {
    let rows = series
        .iter()
        .flat_map(|series| series["values"].as_array().into_iter().flatten());
    rows.filter_map(|row| row[0].as_str().map(str::to_owned))
        .collect()
}

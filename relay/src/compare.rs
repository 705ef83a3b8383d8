//! The comparer: looks all the time, and slowly, whether the backends hold the same.
//!
//! Every so often it takes the next measurement, and has each backend say for each window of the last while
//! how many values every field has, what the least, the greatest and the last of them are. Where a backend
//! differs from the first one, twice, and no hints wait for either, that is a difference nobody else would
//! have told of: a store that answered 204 and kept nothing, a disk that lost something, somebody who wrote
//! past the relay. It is logged, counted and listed; and, if the operator allows it, mended: what one has
//! and the other lacks is copied, both ways, and where both have a value, that of the first counts.
//!
//! The newest points are left out, for they may be on their way. Backends that get a part of the lines, or
//! that do not speak InfluxQL, are not compared.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tracing::{debug, warn};

use crate::backend::Backend;
use crate::query::is_behind;
use crate::repair::{Extent, Place, RepairError, Run, Server, Way};
use crate::service::Service;

/// Differences that are listed.
const LISTED_MAX: usize = 256;
/// Measurements of one round.
const PLACES_MAX: usize = 100_000;
/// Between two looks at a window that differs.
const SECOND_LOOK_DELAY: Duration = Duration::from_secs(2);

/// How it goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompareConfig {
    /// Between two measurements; zero: nothing is compared.
    pub interval: Duration,
    /// The length of a window.
    pub window: Duration,
    /// How far it looks back.
    pub span: Duration,
    /// What is younger is left out.
    pub settle: Duration,
    /// Copy what one lacks.
    pub mend: bool,
}

impl Default for CompareConfig {
    fn default() -> Self {
        Self {
            interval: Duration::ZERO,
            window: Duration::from_secs(600),
            span: Duration::from_secs(24 * 3600),
            settle: Duration::from_secs(120),
            mend: false,
        }
    }
}

/// A window in which a backend differs from the first one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Divergence {
    /// The backend.
    pub backend: String,
    /// Where.
    pub database: String,
    /// Where.
    pub retention_policy: String,
    /// Where.
    pub measurement: String,
    /// Its first nanosecond since 1970.
    pub first_ns: i64,
    /// The one behind its last.
    pub end_ns: i64,
    /// Points that were copied, to either of them.
    pub mended_points: u64,
}

/// What it has found since the start.
#[derive(Debug, Default)]
pub(crate) struct Compared {
    windows: AtomicU64,
    mended_points: AtomicU64,
    failures: AtomicU64,
    listed: Mutex<VecDeque<Divergence>>,
}

impl Compared {
    /// The last differences, the oldest first.
    pub(crate) fn list(&self) -> Vec<Divergence> {
        self.lock().iter().cloned().collect()
    }

    /// Windows that were compared, points that were copied, measurements that could not be compared.
    pub(crate) fn figures(&self) -> [u64; 3] {
        [&self.windows, &self.mended_points, &self.failures].map(|of| of.load(Ordering::Relaxed))
    }

    fn add(&self, found: Divergence) {
        let mut listed = self.lock();
        if listed.len() >= LISTED_MAX {
            listed.pop_front();
        }
        listed.push_back(found);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Divergence>> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Compares for ever.
pub(crate) async fn compare(service: Arc<Service>, config: CompareConfig) {
    if config.interval.is_zero() {
        return;
    }
    let mut places: VecDeque<Place> = VecDeque::new();
    let mut has_failed = false;
    loop {
        tokio::time::sleep(config.interval).await;
        match step(&service, config, &mut places).await {
            Ok(()) => has_failed = false,
            Err(error) => {
                service.compared.failures.fetch_add(1, Ordering::Relaxed);
                places.pop_front();
                // A backend that is away is told of elsewhere.
                if has_failed {
                    debug!(%error, "the backends cannot be compared");
                } else {
                    warn!(%error, "the backends cannot be compared; more of this is counted only");
                }
                has_failed = true;
            }
        }
    }
}

/// Compares the next measurement.
async fn step(
    service: &Arc<Service>,
    config: CompareConfig,
    places: &mut VecDeque<Place>,
) -> Result<(), RepairError> {
    let backends = service.backends();
    let whole: Vec<&Arc<Backend>> = backends
        .iter()
        .filter(|backend| backend.link().route.is_everything())
        .collect();
    let Some((first, others)) = whole.split_first().filter(|(_, others)| !others.is_empty()) else {
        return Ok(());
    };
    if places.is_empty() {
        let found = server(first).places(&Extent::default()).await?;
        places.extend(found.into_iter().take(PLACES_MAX));
        return Ok(());
    }
    let Some(place) = places.front().cloned() else {
        return Ok(());
    };
    let now_ns = service.receiver.clock.now_ns();
    let ns = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
    let window_ns = ns(config.window).max(1);
    let end = now_ns.saturating_sub(ns(config.settle));
    // Whole windows, or a point that has just come of age would look like a difference.
    let end = end - end.rem_euclid(window_ns);
    let range = end.saturating_sub(ns(config.span))..end;
    for other in others {
        let found = differing(service, config, (first, other), &place, &range).await?;
        if !found.is_empty() {
            tokio::time::sleep(SECOND_LOOK_DELAY).await;
            let again = differing(service, config, (first, other), &place, &range).await?;
            for start in found.into_iter().filter(|start| again.contains(start)) {
                let window = start.max(range.start)..start.saturating_add(window_ns).min(range.end);
                tell(service, config, (first, other), &place, window).await?;
            }
        }
    }
    places.pop_front();
    Ok(())
}

/// The windows in which two backends differ, by their first nanosecond; none while one of them is behind.
async fn differing(
    service: &Service,
    config: CompareConfig,
    (first, other): (&Arc<Backend>, &Arc<Backend>),
    place: &Place,
    range: &Range<i64>,
) -> Result<Vec<i64>, RepairError> {
    let database = [Some(place.database.clone())];
    let is_late = || is_behind(first, &database) || is_behind(other, &database);
    if is_late() {
        return Ok(Vec::new());
    }
    let ours = server(first).digest(place, range, config.window).await?;
    let theirs = server(other).digest(place, range, config.window).await?;
    if is_late() {
        return Ok(Vec::new());
    }
    let mut starts: Vec<i64> = ours.keys().chain(theirs.keys()).copied().collect();
    starts.sort_unstable();
    starts.dedup();
    service
        .compared
        .windows
        .fetch_add(starts.len() as u64, Ordering::Relaxed);
    starts.retain(|start| ours.get(start) != theirs.get(start));
    Ok(starts)
}

/// Reports a window, and mends it if that is allowed.
async fn tell(
    service: &Service,
    config: CompareConfig,
    (first, other): (&Arc<Backend>, &Arc<Backend>),
    place: &Place,
    window: Range<i64>,
) -> Result<(), RepairError> {
    let run = |from: &Backend, to: &Backend, mend: bool| {
        let way = Way {
            window: config.window,
            deep: true,
            mend,
            pause: Duration::ZERO,
        };
        Run::new(server(from), server(to), way)
    };
    let found = run(first, other, false)
        .one_window(place, window.clone())
        .await?;
    if found.differences.is_empty() {
        // Point by point they are the same.
        return Ok(());
    }
    warn!(
        first = %first.name, backend = %other.name,
        database = %place.database, retention_policy = %place.policy, measurement = %place.measurement,
        first_ns = window.start, end_ns = window.end,
        "two backends differ in this window"
    );
    other.report.diverged();
    let mut mended_points = 0;
    if config.mend {
        for (from, to) in [(first, other), (other, first)] {
            let mended = run(from, to, true)
                .one_window(place, window.clone())
                .await?;
            mended_points += mended.copied;
        }
        service
            .compared
            .mended_points
            .fetch_add(mended_points, Ordering::Relaxed);
    }
    service.compared.add(Divergence {
        backend: other.name.clone(),
        database: place.database.clone(),
        retention_policy: place.policy.clone(),
        measurement: place.measurement.clone(),
        first_ns: window.start,
        end_ns: window.end,
        mended_points,
    });
    Ok(())
}

fn server(backend: &Backend) -> Server {
    let link = backend.link();
    Server::with(&link.url, link.reader.clone())
}

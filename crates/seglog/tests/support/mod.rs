//! What the tests of the log share: opening one on a simulated disk, and the record of what it promised.

#![allow(dead_code, reason = "each test takes what it needs")]

use std::path::Path;
use std::sync::Arc;

use tandem_seglog::{Error, Log, Options, Recovery, Sequence};
use tandem_testkit::SimFs;

pub(crate) type Record = (Sequence, Vec<u8>);

/// Where the log lies.
pub(crate) const DIR: &str = "/data/log";

/// Segments of a few records.
pub(crate) fn small() -> Options {
    Options {
        segment_bytes_max: 300,
        record_bytes_max: 200,
        ..Options::default()
    }
}

/// The same, with files that are written again.
pub(crate) fn recycling() -> Options {
    Options {
        spare_segments_max: 2,
        ..small()
    }
}

/// Opens the log and collects what it visits.
pub(crate) fn try_open(
    fs: &SimFs,
    options: Options,
) -> Result<(Log, Recovery, Vec<Record>), Error> {
    let mut records = Vec::new();
    let (log, recovery) = Log::open(
        Arc::new(fs.clone()),
        Path::new(DIR),
        options,
        &mut |sequence, record| {
            records.push((sequence, record.to_vec()));
            Ok(())
        },
    )?;
    assert_eq!(recovery.records, records.len() as u64);
    assert_eq!(log.durable_end(), log.next_sequence());
    if let Some((last, _)) = records.last() {
        assert!(log.next_sequence() > *last);
    }
    Ok((log, recovery, records))
}

/// What a log was given and what it promised, from its first open on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Promises {
    /// Records known durable, in order; those below `cut` may be gone.
    pub(crate) durable: Vec<Record>,
    /// Everything below was given up.
    pub(crate) cut: Sequence,
    /// Runs of records that were staged and are not known durable: the present run last, before it
    /// those that failed since something was last made durable.
    pub(crate) attempts: Vec<Vec<Record>>,
}

impl Promises {
    /// Notes a staged record.
    pub(crate) fn staged(&mut self, sequence: Sequence, record: &[u8]) {
        if self.attempts.is_empty() {
            self.attempts.push(Vec::new());
        }
        let run = self.attempts.last_mut().unwrap();
        if let Some((last, _)) = run.last()
            && *last >= sequence
        {
            // Numbers were taken back: the run has failed.
            self.attempts.push(vec![(sequence, record.to_vec())]);
        } else {
            run.push((sequence, record.to_vec()));
        }
    }

    /// Notes that all below `durable_end` is durable.
    pub(crate) fn durable_below(&mut self, durable_end: Sequence) {
        let Some(run) = self.attempts.last_mut() else {
            return;
        };
        let count = run.iter().filter(|(n, _)| *n < durable_end).count();
        if count > 0 {
            self.durable.extend(run.drain(..count));
            let rest = std::mem::take(run);
            self.attempts = vec![rest];
        }
    }

    /// Holds what an open found against what was promised, and takes it as the new truth.
    pub(crate) fn check(&mut self, recovery: &Recovery, found: &[Record]) -> Result<(), String> {
        if !recovery.corruptions.is_empty() {
            return Err(format!("damage reported: {:?}", recovery.corruptions));
        }
        if let Some(hole) = found.windows(2).find(|pair| pair[0].0 + 1 != pair[1].0) {
            return Err(format!("a hole behind {}", hole[0].0));
        }
        let lost_below = found.first().map_or(self.cut, |first| first.0);
        if lost_below > self.cut
            && self
                .durable
                .iter()
                .any(|r| r.0 < lost_below && r.0 >= self.cut)
        {
            return Err(format!("lost: all below {lost_below}"));
        }
        let old: Vec<_> = self.durable.iter().filter(|r| r.0 >= lost_below).collect();
        if found.len() < old.len() || !found.iter().zip(&old).all(|(a, b)| a == *b) {
            return Err(format!("durable were {old:?}, found {found:?}"));
        }
        let more = &found[old.len()..];
        let is_start = |run: &Vec<Record>| run.starts_with(more);
        if !more.is_empty() && !self.attempts.iter().any(is_start) {
            return Err(format!("found {more:?}, staged {:?}", self.attempts));
        }
        self.durable = found.to_vec();
        self.attempts.clear();
        Ok(())
    }
}

//! What to merge next: a pure function from what is known of a shard's files to a [`Choice`].
//!
//! Each flush leaves a file of level 0. While a shard takes writes, ten files of one level become
//! one of the next, so that a value is written once for each level. From level
//! [`LEVEL_SETTLED`] on a file is written as small as can be and *settled*: ten of them are not
//! merged, only many, and only while the result stays below [`FILE_BYTES_MAX`]. A shard that has
//! gone cold has its remaining files merged and written so. A value is thus written by its flush,
//! and then twice at most until a shard has seen some thousand flushes.
//!
//! Only neighbours in the order of sequences are ever merged, because a file must not be older
//! than one part of another and newer than its rest. A file that cannot be read as a whole is left
//! where it is, and no merge reaches over it, nor over the place of one that is lost.

use std::ops::Range;
use std::time::Duration;

use tandem_codec::Effort;
use tandem_model::TimeRange;

/// Files of this level and above are as small as they get.
pub(crate) const LEVEL_SETTLED: u8 = 2;
/// So many files of one level below [`LEVEL_SETTLED`] are merged.
pub(crate) const FILES_MERGED: usize = 10;
/// So many settled files of one level are merged.
pub(crate) const SETTLED_FILES_MERGED: usize = 16;
/// Files merged at once at most: bounds the memory of a merge, which has a page of every column of
/// each of them.
pub(crate) const FILES_MERGED_MAX: usize = 64;
/// A merge whose inputs take more bytes is not begun.
pub(crate) const FILE_BYTES_MAX: u64 = 2 << 30;
/// A file of fewer bytes is not written again for itself alone.
pub(crate) const LONE_BYTES_MIN: u64 = 64 << 10;
/// A file of a hot shard is written again when about this many per cent of its rows are hidden.
pub(crate) const HIDDEN_PERCENT_MIN: u8 = 25;
/// How long a shard whose time is over must have had no write to be cold.
pub(crate) const QUIET_AFTER_END: Duration = Duration::from_secs(15 * 60);

/// What is known of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) level: u8,
    pub(crate) len_bytes: u64,
    /// About how many of a hundred rows tombstones hide; at least 1 when they may hide some.
    pub(crate) hidden_percent: u8,
    /// It could not be merged before, and is left alone.
    pub(crate) barred: bool,
}

impl Candidate {
    const fn is_settled(&self) -> bool {
        self.level >= LEVEL_SETTLED && self.hidden_percent == 0
    }
}

/// What to do with the files of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Nothing is due.
    Nothing,
    /// Make one file of these, which are neighbours.
    Merge {
        files: Range<usize>,
        level: u8,
        effort: Effort,
    },
}

impl Choice {
    /// A file of at least `level` out of `files`.
    fn merge(all: &[Candidate], files: Range<usize>, level: u8) -> Self {
        let levels = all[files.clone()].iter().map(|file| file.level);
        let level = levels.max().unwrap_or(0).max(level);
        let effort = if level >= LEVEL_SETTLED {
            Effort::Cold
        } else {
            Effort::Hot
        };
        Self::Merge {
            files,
            level,
            effort,
        }
    }

    /// The same, for files that are counted from `by` on.
    fn moved(self, by: usize) -> Self {
        match self {
            Self::Nothing => Self::Nothing,
            Self::Merge {
                files,
                level,
                effort,
            } => Self::Merge {
                files: files.start + by..files.end + by,
                level,
                effort,
            },
        }
    }
}

/// True when a shard of this range, whose last write was `quiet` ago, is not expected to get more.
pub(crate) fn is_cold(
    range: TimeRange,
    now_ns: i64,
    quiet: Duration,
    cold_after: Duration,
) -> bool {
    quiet >= cold_after || (quiet >= QUIET_AFTER_END && range.max_ns < now_ns)
}

/// Chooses among the files of a shard, oldest first. When it has been asked often enough, each
/// time after doing what it said, it answers [`Choice::Nothing`].
pub(crate) fn choose(files: &[Candidate], is_cold: bool) -> Choice {
    let mut start = 0;
    for run in files.split(|file| file.barred) {
        let cold = if is_cold {
            choose_cold(run)
        } else {
            Choice::Nothing
        };
        let found = match cold {
            Choice::Nothing => choose_hot(run),
            found => found,
        };
        if found != Choice::Nothing {
            return found.moved(start);
        }
        start += run.len() + 1;
    }
    Choice::Nothing
}

/// On a disk without space for what is due: the smallest file of which enough is hidden, alone.
pub(crate) fn choose_smallest(files: &[Candidate]) -> Choice {
    let fit = |file: &Candidate| !file.barred && file.hidden_percent >= HIDDEN_PERCENT_MIN;
    let all = files.iter().enumerate().filter(|(_, file)| fit(file));
    match all.min_by_key(|(_, file)| file.len_bytes) {
        Some((at, _)) => Choice::merge(files, at..at + 1, 0),
        None => Choice::Nothing,
    }
}

/// As [`choose`], for a shard of which files are lost that may come back: no merge reaches over the place
/// of one. `gaps` says, ascending, before which of `files` there is such a place.
pub(crate) fn choose_between(
    files: &[Candidate],
    gaps: impl Iterator<Item = usize>,
    is_cold: bool,
) -> Choice {
    let mut start = 0;
    for end in gaps.chain([files.len()]) {
        let found = choose(&files[start..end], is_cold);
        if found != Choice::Nothing {
            return found.moved(start);
        }
        start = end;
    }
    Choice::Nothing
}

/// Many files of one level, or one of which much is hidden.
fn choose_hot(files: &[Candidate]) -> Choice {
    let mut start = 0;
    for run in files.chunk_by(|a, b| a.level == b.level) {
        let level = run[0].level;
        let enough = if level < LEVEL_SETTLED {
            FILES_MERGED
        } else {
            SETTLED_FILES_MERGED
        };
        // From the oldest on; where they are too large to be merged, from behind them on.
        let mut at = 0;
        while run.len() - at >= enough {
            let count = fitting(&run[at..]);
            if count >= enough {
                let files_at = start + at..start + at + count;
                return Choice::merge(files, files_at, level.saturating_add(1));
            }
            at += count.max(1);
        }
        start += run.len();
    }
    let hidden = files
        .iter()
        .position(|file| file.hidden_percent >= HIDDEN_PERCENT_MIN);
    match hidden {
        Some(at) => Choice::merge(files, at..at + 1, 0),
        None => Choice::Nothing,
    }
}

/// Files that are not settled, with settled neighbours that are no larger than what they join.
fn choose_cold(files: &[Candidate]) -> Choice {
    let mut end = 0;
    while let Some(first) = files[end..].iter().position(|file| !file.is_settled()) {
        let mut start = end + first;
        let unsettled = files[start..].iter().take_while(|file| !file.is_settled());
        let count = fitting(&files[start..start + unsettled.count()]).max(1);
        end = start + count;
        let mut bytes = sum(&files[start..end]);
        while let Some(before) = start.checked_sub(1)
            && files[before].len_bytes <= bytes
            && files[before].len_bytes + bytes <= FILE_BYTES_MAX
            && end - before <= FILES_MERGED_MAX
        {
            start = before;
            bytes += files[before].len_bytes;
        }
        let is_worth_it = end - start > 1
            || files[start].hidden_percent > 0
            || (LONE_BYTES_MIN..FILE_BYTES_MAX).contains(&bytes);
        if is_worth_it {
            return Choice::merge(files, start..end, LEVEL_SETTLED);
        }
    }
    Choice::Nothing
}

/// How many of the first files can be merged at once.
fn fitting(files: &[Candidate]) -> usize {
    let mut bytes = 0_u64;
    let sums = files.iter().map(|file| {
        bytes = bytes.saturating_add(file.len_bytes);
        bytes
    });
    sums.take(FILES_MERGED_MAX)
        .take_while(|sum| *sum <= FILE_BYTES_MAX)
        .count()
}

fn sum(files: &[Candidate]) -> u64 {
    files.iter().map(|file| file.len_bytes).sum()
}

#[cfg(test)]
mod tests;

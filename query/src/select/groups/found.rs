//! The series of a leaf in the order of the groups of the result, and what that order is.
//!
//! The index knows the order of values without a text of theirs; only where values hold NULs, or where it is asked for,
//! are texts compared. Four bytes a series, and four a group where a group has several.

use std::cmp::Ordering;

use tandem_model::SeriesId;
use tandem_store::View;

use super::{SERIES_PER_CHECK, tag_set_key, tag_values, values_of};
use crate::error::Error;
use crate::meter::{Held, Meter};

/// Bytes of a series while groups are put in order.
const ORDERING_BYTES: usize = 48;
/// The same where that is done by texts.
const ORDERING_BY_TEXT_BYTES: usize = 192;

/// The series of a leaf, by group in the order of the result.
#[derive(Debug, Default)]
pub(crate) struct Found {
    ids: Vec<u32>,
    /// Where each group begins; `None` where each series is a group.
    starts: Option<Vec<u32>>,
}

impl Found {
    /// Puts series into groups by the values of `tags`; by the index, or by their texts where `is_plain`, and where
    /// the index orders them otherwise.
    ///
    /// # Errors
    /// When there is no memory for it, or the query is not wanted any more.
    pub(crate) fn new(
        view: &View,
        tags: &[String],
        ids: Vec<u32>,
        is_plain: bool,
        meter: &Meter<'_>,
    ) -> Result<Self, Error> {
        let found = if tags.is_empty() {
            let starts = if ids.is_empty() { Vec::new() } else { vec![0] };
            Self {
                ids,
                starts: Some(starts),
            }
        } else if is_plain || view.has_nul_in_tags() {
            Self::by_text(view, tags, &ids, meter)?
        } else {
            Self::by_place(view, tags, ids, meter)?
        };
        meter.grow(4 * (found.ids.len() + found.starts.as_ref().map_or(0, Vec::len)))?;
        Ok(found)
    }

    /// By the places that the index gives values.
    fn by_place(
        view: &View,
        tags: &[String],
        ids: Vec<u32>,
        meter: &Meter<'_>,
    ) -> Result<Self, Error> {
        let mut held = Held::new(meter);
        held.grow(ids.len() * ORDERING_BYTES)?;
        let mut keyed: Vec<(u64, u32)> = ids.iter().map(|id| (0, *id)).collect();
        // The places of all tags so far as one number, below `span`.
        let mut span = 1_u64;
        for tag in tags {
            meter.check()?;
            let (places, count) = view.tag_value_places(tag.as_bytes(), &ids);
            if count == 0 {
                continue;
            }
            let width = u64::from(count) + 1;
            if span.checked_mul(width).is_none() {
                span = renumber(&mut keyed);
            }
            span = span.saturating_mul(width);
            for ((key, _), place) in keyed.iter_mut().zip(places) {
                *key = *key * width + u64::from(place);
            }
        }
        // Where nothing is told apart, the order stays.
        keyed.sort_unstable();
        let mut ids = ids;
        ids.clear();
        ids.extend(keyed.iter().map(|(_, id)| *id));
        let is_first = |at: usize| at == 0 || keyed[at - 1].0 != keyed[at].0;
        let groups = (0..keyed.len()).filter(|at| is_first(*at)).count();
        let starts = (groups < ids.len()).then(|| {
            let starts = (0..keyed.len()).filter(|at| is_first(*at));
            starts.map(|at| at as u32).collect()
        });
        Ok(Self { ids, starts })
    }

    /// By the values themselves: what the order means.
    fn by_text(
        view: &View,
        tags: &[String],
        ids: &[u32],
        meter: &Meter<'_>,
    ) -> Result<Self, Error> {
        let mut held = Held::new(meter);
        let mut keyed: Vec<(Vec<Vec<u8>>, u32)> = Vec::with_capacity(ids.len());
        for (number, id) in ids.iter().enumerate() {
            if number.is_multiple_of(SERIES_PER_CHECK) {
                meter.check()?;
            }
            let key = view.series_key(SeriesId(*id));
            held.grow(ORDERING_BY_TEXT_BYTES + 2 * key.len())?;
            keyed.push((tag_values(&key, tags), *id));
        }
        keyed.sort_by(|a, b| compare_values(&a.0, &b.0));
        let is_first = |at: &usize| *at == 0 || keyed[*at - 1].0 != keyed[*at].0;
        let starts = (0..keyed.len()).filter(is_first).map(|at| at as u32);
        Ok(Self {
            starts: Some(starts.collect()),
            ids: keyed.iter().map(|(_, id)| *id).collect(),
        })
    }

    /// Keeps the groups that `SLIMIT` and `SOFFSET` choose; both 0 keep all.
    pub(crate) fn choose(
        &mut self,
        view: &View,
        tags: &[String],
        (slimit, soffset): (u64, u64),
        meter: &Meter<'_>,
    ) -> Result<(), Error> {
        if (slimit, soffset) == (0, 0) {
            return Ok(());
        }
        let mut held = Held::new(meter);
        let mut keyed = Vec::with_capacity(self.len());
        for at in 0..self.len() {
            if at.is_multiple_of(SERIES_PER_CHECK) {
                meter.check()?;
            }
            let values = values_of(view, self.group(at), tags).unwrap_or_default();
            let key = tag_set_key(tags, &values);
            held.grow(size_of::<(Vec<u8>, usize)>() + 16 + key.len())?;
            keyed.push((key, at));
        }
        keyed.sort_unstable();
        let skip = usize::try_from(soffset).unwrap_or(usize::MAX);
        let take = usize::try_from(slimit).unwrap_or(usize::MAX);
        let chosen = keyed.into_iter().skip(skip).take(take);
        let mut chosen: Vec<usize> = chosen.map(|(_, at)| at).collect();
        chosen.sort_unstable();
        let (mut ids, mut starts) = (Vec::new(), Vec::new());
        for at in chosen {
            starts.push(ids.len() as u32);
            ids.extend_from_slice(self.group(at));
        }
        self.ids = ids;
        self.starts = Some(starts);
        Ok(())
    }

    /// All series.
    pub(crate) fn ids(&self) -> impl Iterator<Item = SeriesId> {
        self.ids.iter().copied().map(SeriesId)
    }

    /// How many series there are.
    pub(super) const fn series(&self) -> usize {
        self.ids.len()
    }

    /// How many groups there are.
    pub(super) fn len(&self) -> usize {
        self.starts.as_ref().map_or(self.ids.len(), Vec::len)
    }

    /// The series of a group, ascending.
    pub(super) fn group(&self, at: usize) -> &[u32] {
        let range = match &self.starts {
            None => at..at + 1,
            Some(starts) => {
                let start = starts
                    .get(at)
                    .map_or(self.ids.len(), |start| *start as usize);
                let end = starts
                    .get(at + 1)
                    .map_or(self.ids.len(), |end| *end as usize);
                start..end
            }
        };
        self.ids.get(range).unwrap_or_default()
    }
}

/// Makes the keys dense, in the same order; returns how many there are.
fn renumber(keyed: &mut [(u64, u32)]) -> u64 {
    let mut distinct: Vec<u64> = keyed.iter().map(|(key, _)| *key).collect();
    distinct.sort_unstable();
    distinct.dedup();
    for (key, _) in keyed {
        *key = distinct.partition_point(|other| other < key) as u64;
    }
    distinct.len() as u64
}

/// The order of groups of one measurement: that of their values joined by NULs, which is how InfluxDB compares them
/// (`influxdata/influxdb query/point.go` `encodeTags`). It is the order of the lists, but where a value holds a NUL.
pub(crate) fn compare_values(a: &[Vec<u8>], b: &[Vec<u8>]) -> Ordering {
    let Some(at) = a.iter().zip(b).position(|(x, y)| x != y) else {
        return a.len().cmp(&b.len());
    };
    let (a, b) = (&a[at..], &b[at..]);
    if !a[0].contains(&0) && !b[0].contains(&0) {
        return a[0].cmp(&b[0]);
    }
    // Two lists may be the same when they are joined, and are two groups all the same.
    joined(a).cmp(joined(b)).then_with(|| a.cmp(b))
}

fn joined(values: &[Vec<u8>]) -> impl Iterator<Item = u8> {
    let pieces = values.iter().enumerate();
    pieces.flat_map(|(at, value)| {
        let separator: &[u8] = if at == 0 { b"" } else { b"\0" };
        separator.iter().chain(value).copied()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_compared_as_if_nuls_stood_between_them() {
        let check = |a: &[&str], b: &[&str], order: Ordering| {
            let list = |values: &[&str]| -> Vec<Vec<u8>> {
                values.iter().map(|value| (*value).into()).collect()
            };
            assert_eq!(compare_values(&list(a), &list(b)), order, "{a:?} {b:?}");
            assert_eq!(compare_values(&list(b), &list(a)), order.reverse());
        };
        check(&["a", "z"], &["b", "a"], Ordering::Less);
        check(&["", "z"], &["a", "a"], Ordering::Less);
        check(&["b\0", "", ""], &["b", "x", ""], Ordering::Less);
        check(&["\0s", ""], &["", "x"], Ordering::Less);
        check(&["x\0", "a"], &["x", "\0"], Ordering::Greater);
        // At the end no separator comes.
        check(&["a", "b\0"], &["a", "b"], Ordering::Greater);
        check(&["x\0", ""], &["x", "\0"], Ordering::Greater);
        check(&["a\0"], &["a\0"], Ordering::Equal);
    }

    #[test]
    fn keys_are_made_dense_in_their_order() {
        let mut keyed = [(9, 1), (u64::MAX, 2), (9, 3), (2, 4)];
        assert_eq!(renumber(&mut keyed), 3);
        assert_eq!(keyed, [(1, 1), (2, 2), (1, 3), (0, 4)]);
    }

    #[test]
    fn groups_are_runs_of_series_or_single_ones() {
        let alone = Found {
            ids: vec![7, 3],
            starts: None,
        };
        assert_eq!((alone.len(), alone.group(1)), (2, &[3][..]));
        let runs = Found {
            ids: vec![7, 8, 3],
            starts: Some(vec![0, 2]),
        };
        let groups: Vec<&[u32]> = (0..3).map(|at| runs.group(at)).collect();
        assert_eq!(groups, [&[7, 8][..], &[3], &[]]);
        assert_eq!((Found::default().len(), runs.len()), (0, 2));
    }
}

//! The groups of a statement: which series each has, and in which order they come.
//!
//! A plan keeps ids alone, four to eight bytes a series: [`Found`] has the series of a measurement in the
//! order of the groups of the result, which the index tells without a text of theirs. What a group is called,
//! and what is left to check in its series, is made for some groups at a time ([`Batches`]), so that a
//! statement over a million groups holds a few thousand of them.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::rc::Rc;
use std::sync::Arc;

use tandem_model::{SeriesId, SeriesKey};
use tandem_store::View;

use super::plan::{Leaf, Plan};
use crate::error::Error;
use crate::meter::{Held, Meter};
use crate::predicate::{Predicate, Residual};
use crate::scalar::Scalar;

/// Measurement and tag values, in the order of `GROUP BY` keys: the order of the result.
pub(crate) type GroupKey = (Rc<[u8]>, Vec<Vec<u8>>);

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

/// One series and what is left to check in its rows.
#[derive(Clone, Debug)]
pub(crate) struct PlannedSeries {
    /// The series.
    pub(crate) id: SeriesId,
    /// What is left of the condition; `None` when every row fits.
    pub(crate) residual: Option<Arc<Scalar>>,
}

/// One series of the result.
#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    /// What each leaf reads for it.
    pub(crate) series: ByLeaf,
}

/// Series by the leaf that reads them. Nearly all groups have one leaf, so this is a list and no map.
#[derive(Clone, Debug, Default)]
pub(crate) struct ByLeaf(Vec<(usize, Vec<PlannedSeries>)>);

impl ByLeaf {
    pub(crate) fn get(&self, leaf: &usize) -> Option<&Vec<PlannedSeries>> {
        let found = self.0.iter().find(|(at, _)| at == leaf);
        found.map(|(_, series)| series)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &usize> {
        self.0.iter().map(|(at, _)| at)
    }

    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }
}

/// Bytes of a planned series while its group is at hand, and of a group beside its texts, about.
const SERIES_BYTES: usize = size_of::<PlannedSeries>();
const GROUP_BYTES: usize = 224;
/// Bytes of a series while groups are put in order.
const ORDERING_BYTES: usize = 48;
/// The same where that is done by texts.
const ORDERING_BY_TEXT_BYTES: usize = 192;
/// Series between two looks at whether the query is still wanted.
const SERIES_PER_CHECK: usize = 1_024;
/// Series of a batch, unless one group has more.
const BATCH_SERIES_MAX: usize = 1 << 16;
/// Bytes below which a batch is not cut where memory is short.
const BATCH_BYTES_MIN: usize = 16 << 10;

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

    /// True when there is none.
    pub(crate) const fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// How many groups there are.
    fn len(&self) -> usize {
        self.starts.as_ref().map_or(self.ids.len(), Vec::len)
    }

    /// The series of a group, ascending.
    fn group(&self, at: usize) -> &[u32] {
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

/// The values of tags that the series of a group have alike; `None` when all of them are gone.
fn values_of(view: &View, ids: &[u32], tags: &[String]) -> Option<Vec<Vec<u8>>> {
    let mut ids = ids.iter().copied().map(SeriesId);
    ids.find_map(|id| view.tag_values_at(id, tags))
}

/// What a condition leaves to check in the rows of a series.
#[derive(Debug)]
pub(crate) struct Residuals(Option<RefCell<Predicate>>);

impl Residuals {
    /// Of series that may fit `predicate`.
    pub(crate) fn new(predicate: Predicate) -> Self {
        Self((!predicate.is_settled()).then(|| RefCell::new(predicate)))
    }

    fn of(&self, id: SeriesId) -> Option<Arc<Scalar>> {
        match self.0.as_ref()?.borrow_mut().residual(id) {
            Residual::When(scalar) => Some(scalar),
            Residual::Always | Residual::Never => None,
        }
    }
}

/// Some groups that follow one another in the result.
#[derive(Debug)]
pub(crate) struct Batch<'p> {
    /// Never empty.
    pub(crate) groups: Vec<(GroupKey, Group)>,
    _held: Held<'p>,
}

/// The groups of a plan, some at a time.
#[derive(Debug)]
pub(crate) struct Batches<'p> {
    /// In the order of the names of their measurements.
    leaves: Vec<&'p Leaf>,
    /// How many groups of each were handed on.
    done: Vec<usize>,
    tags: &'p [String],
    ascending: bool,
    /// Whether the series of a group are in the order of their keys, or of their ids.
    by_key: bool,
    bytes_max: usize,
    meter: &'p Meter<'p>,
}

impl<'p> Batches<'p> {
    /// All groups of `plan`. The series of each come in the order of their keys if `by_key`, else of their ids; a batch
    /// takes about `bytes_max`, or less where memory is short.
    pub(crate) fn new(
        plan: &'p Plan,
        ascending: bool,
        by_key: bool,
        bytes_max: usize,
        meter: &'p Meter<'p>,
    ) -> Self {
        let mut leaves = plan.leaves();
        leaves.sort_by(|a, b| a.measurement.name.cmp(&b.measurement.name));
        if !ascending {
            leaves.reverse();
        }
        Self {
            done: vec![0; leaves.len()],
            leaves,
            tags: &plan.level.group_by,
            ascending,
            by_key,
            bytes_max,
            meter,
        }
    }

    /// The next batch; `None` when there is no more.
    ///
    /// # Errors
    /// When there is no memory for a group, or the query is not wanted any more.
    pub(crate) fn next(&mut self) -> Result<Option<Batch<'p>>, Error> {
        let mut held = Held::new(self.meter);
        let room = self.room(&mut held)?;
        let (mut groups, mut bytes, mut series) = (Vec::new(), 0, 0);
        while let Some((values, parts)) = self.peek() {
            let of_group: usize = parts.iter().map(|at| self.head(*at).len()).sum();
            let texts: usize = values.iter().map(|v| size_of_val(v) + v.len() + 8).sum();
            let size = GROUP_BYTES + 2 * texts + of_group * SERIES_BYTES;
            if !groups.is_empty() && (bytes + size > room || series + of_group > BATCH_SERIES_MAX) {
                break;
            }
            bytes += size;
            series += of_group;
            if bytes > room {
                held.set(bytes)?;
            }
            self.meter.check()?;
            let mut by_leaf = Vec::with_capacity(parts.len());
            let name = Rc::clone(&self.leaves[parts[0]].name);
            for at in parts {
                let leaf = self.leaves[at];
                let ids = self.head(at).iter().copied().map(SeriesId);
                let planned = ids.map(|id| PlannedSeries {
                    id,
                    residual: leaf.residuals.of(id),
                });
                let mut planned: Vec<PlannedSeries> = planned.collect();
                if self.by_key {
                    sort_by_key(leaf, &mut planned, self.meter)?;
                }
                by_leaf.push((leaf.at, planned));
                self.done[at] += 1;
            }
            // As leaves stand in the statement.
            by_leaf.sort_by_key(|(at, _)| *at);
            let group = Group {
                series: ByLeaf(by_leaf),
            };
            groups.push(((name, values), group));
        }
        held.set(bytes)?;
        Ok((!groups.is_empty()).then_some(Batch {
            groups,
            _held: held,
        }))
    }

    /// How many groups there are in all; to be asked of groups of which none was handed on.
    pub(crate) fn count(mut self) -> usize {
        let mut count = 0;
        let mut at = 0;
        while at < self.leaves.len() {
            let name = &self.leaves[at].measurement.name;
            let same = |leaf: &&&Leaf| leaf.measurement.name == *name;
            let end = at + self.leaves[at..].iter().take_while(same).count();
            if end == at + 1 {
                count += self.leaves[at].found.len();
                self.done[at] = self.leaves[at].found.len();
            } else {
                while self.peek().is_some_and(|(_, parts)| {
                    let is_here = parts[0] < end;
                    if is_here {
                        parts.iter().for_each(|part| self.done[*part] += 1);
                    }
                    is_here
                }) {
                    count += 1;
                }
            }
            at = end;
        }
        count
    }

    /// Asks for memory: for what is left, at most for as much as a batch may take, or for less where that
    /// is not there. As much again has to be there for what is done with the groups.
    fn room(&self, held: &mut Held<'_>) -> Result<usize, Error> {
        let left = self.leaves.iter().zip(&self.done).map(|(leaf, done)| {
            let groups = leaf.found.len() - done;
            let texts = self.tags.len() * 96;
            groups.saturating_mul(GROUP_BYTES + texts) + leaf.found.ids.len() * SERIES_BYTES
        });
        let mut room = left.sum::<usize>().min(self.bytes_max);
        loop {
            match held.set(2 * room) {
                Ok(()) => {
                    held.set(room)?;
                    return Ok(room);
                }
                Err(error) if room <= BATCH_BYTES_MIN => return Err(error),
                Err(_) => room /= 2,
            }
        }
    }

    /// The series of the next group of a leaf.
    fn head(&self, at: usize) -> &'p [u32] {
        let found = &self.leaves[at].found;
        match self.ascending {
            true => found.group(self.done[at]),
            false => found.group(found.len() - 1 - self.done[at]),
        }
    }

    /// The next group: its values, and the places of the leaves that have it.
    fn peek(&mut self) -> Option<(Vec<Vec<u8>>, Vec<usize>)> {
        let mut next: Option<(Vec<Vec<u8>>, Vec<usize>)> = None;
        let mut name: Option<&[u8]> = None;
        for at in 0..self.leaves.len() {
            let leaf = self.leaves[at];
            if name.is_some_and(|name| name != leaf.measurement.name) {
                break;
            }
            let values = loop {
                if self.done[at] == leaf.found.len() {
                    break None;
                }
                match values_of(&leaf.measurement.view, self.head(at), self.tags) {
                    Some(values) => break Some(values),
                    // Its series were removed meanwhile.
                    None => self.done[at] += 1,
                }
            };
            let Some(values) = values else {
                continue;
            };
            name = Some(&leaf.measurement.name);
            let order = next
                .as_ref()
                .map(|(first, _)| compare_values(&values, first));
            match (&mut next, order) {
                (Some((_, parts)), Some(order)) if order.is_eq() => parts.push(at),
                (Some(_), Some(order)) if order.is_lt() != self.ascending => {}
                _ => next = Some((values, vec![at])),
            }
        }
        next
    }
}

/// Puts the series of a group into the order of their keys.
fn sort_by_key(
    leaf: &Leaf,
    series: &mut Vec<PlannedSeries>,
    meter: &Meter<'_>,
) -> Result<(), Error> {
    if series.len() < 2 {
        return Ok(());
    }
    let mut held = Held::new(meter);
    let mut keyed = Vec::with_capacity(series.len());
    for (number, planned) in series.drain(..).enumerate() {
        if number.is_multiple_of(SERIES_PER_CHECK) {
            meter.check()?;
        }
        let key = leaf.measurement.view.series_key(planned.id);
        held.grow(size_of::<(Vec<u8>, PlannedSeries)>() + 16 + key.len())?;
        keyed.push((key, planned));
    }
    keyed.sort_by(|a, b| a.0.cmp(&b.0));
    series.extend(keyed.into_iter().map(|(_, planned)| planned));
    Ok(())
}

impl Group {
    /// The same with the series in the order of their keys.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub(crate) fn by_key(&self, plan: &Plan, meter: &Meter<'_>) -> Result<Self, Error> {
        let mut group = self.clone();
        for leaf in plan.leaves() {
            for (_, series) in group.series.0.iter_mut().filter(|(at, _)| *at == leaf.at) {
                sort_by_key(leaf, series, meter)?;
            }
        }
        Ok(group)
    }
}

/// The order in which `SLIMIT` and `SOFFSET` count: by the keys of the tags that are there, then by
/// their values (`influxdata/influxdb tsdb/meta.go` `MakeTagsKey`). It is not that of the result.
fn tag_set_key(tags: &[String], values: &[Vec<u8>]) -> Vec<u8> {
    let present = || {
        tags.iter()
            .zip(values)
            .filter(|(_, value)| !value.is_empty())
    };
    let keys = present().map(|(tag, _)| tag.as_bytes());
    let values = present().map(|(_, value)| value.as_slice());
    keys.chain(values).collect::<Vec<_>>().join(&b'|')
}

/// The values of these tags, which are sorted, in a series, empty where it has none.
fn tag_values(series_key: &[u8], tags: &[String]) -> Vec<Vec<u8>> {
    let mut values = vec![Vec::new(); tags.len()];
    for (key, value) in SeriesKey::split(series_key).1 {
        if let Ok(at) = tags.binary_search_by(|tag| tag.as_bytes().cmp(&key)) {
            values[at] = value;
        }
    }
    values
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

    #[test]
    fn limits_of_series_count_by_the_keys_that_are_there() {
        let tags = ["a".to_owned(), "b".to_owned()];
        let key = |a: &str, b: &str| tag_set_key(&tags, &[a.into(), b.into()]);
        assert_eq!(key("x", "y"), b"a|b|x|y");
        assert_eq!(key("", "y"), b"b|y");
        assert_eq!(key("", ""), b"");
    }

    #[test]
    fn values_of_tags_come_from_a_key() {
        let tags = ["a".to_owned(), "c".to_owned()];
        let values = tag_values(br"m,a=x\ y,b=1", &tags);
        assert_eq!(values, [b"x y".to_vec(), Vec::new()]);
    }
}

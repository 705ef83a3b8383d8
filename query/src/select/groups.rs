//! The groups of a statement: which series each has, and in which order they come.
//!
//! A plan keeps ids alone, four to eight bytes a series: [`Found`] has the series of a measurement in the
//! order of the groups of the result, which the index tells without a text of theirs. What a group is called,
//! and what is left to check in its series, is made for some groups at a time ([`Batches`]), so that a
//! statement over a million groups holds a few thousand of them.

mod found;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use tandem_model::{SeriesId, SeriesKey};
use tandem_store::View;

pub(crate) use self::found::{Found, compare_values};
use super::plan::{Leaf, Plan};
use crate::error::Error;
use crate::meter::{Held, Meter};
use crate::predicate::{Predicate, Residual};
use crate::scalar::Scalar;

/// Measurement and tag values, in the order of `GROUP BY` keys: the order of the result.
pub(crate) type GroupKey = (Rc<[u8]>, Vec<Vec<u8>>);

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
/// Series between two looks at whether the query is still wanted.
const SERIES_PER_CHECK: usize = 1_024;
/// Series of a batch, unless one group has more.
const BATCH_SERIES_MAX: usize = 1 << 16;
/// Bytes below which a batch is not cut where memory is short.
const BATCH_BYTES_MIN: usize = 16 << 10;

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
            groups.saturating_mul(GROUP_BYTES + texts) + leaf.found.series() * SERIES_BYTES
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

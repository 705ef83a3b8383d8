//! Templates and layouts: what a line looks like, known once and shared by all lines like it.
//!
//! A [`Template`] is a measurement with a set of typed fields, sorted by name. Rows in a batch,
//! in the WAL and in a memtable are a time and one word for each field of their template, so
//! names and types are compared and stored once a batch and not once a row.
//!
//! A [`Layout`] is how a client writes such a line: the raw names in written order, their types,
//! and the place of each in the template. A series remembers the layout of its last line; the
//! next line that looks the same is taken without any lookup by name. Clients that shuffle their
//! fields make many layouts of one template, so both tables are bounded; past the bound a line
//! is still stored, only slower.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use tandem_line::Pattern;
use tandem_model::FieldType;

/// Templates kept for sharing.
const TEMPLATES_MAX: usize = 1 << 16;
/// Layouts kept for prediction.
const LAYOUTS_MAX: usize = 1 << 14;

/// A measurement with a set of typed fields. Compared by `id` where `shared`.
#[derive(Debug)]
pub(crate) struct Template {
    /// Unique within the database while the process runs.
    pub(crate) id: u64,
    /// False for one made past the bound: it may exist twice.
    pub(crate) shared: bool,
    pub(crate) measurement: Arc<[u8]>,
    /// Sorted by name, each name once, unescaped, none of them `time`.
    pub(crate) fields: Box<[(Arc<[u8]>, FieldType)]>,
    pub(crate) has_strings: bool,
}

impl Template {
    /// About what it takes in memory, its names included, which others may share.
    pub(crate) fn heap_bytes(&self) -> usize {
        let names = self.fields.iter().map(|(name, _)| name.len() + 48);
        names.sum::<usize>() + self.measurement.len() + 96
    }

    /// True when no field is in both.
    pub(crate) fn is_disjoint(&self, other: &Self) -> bool {
        let (mut a, mut b) = (
            self.fields.iter().peekable(),
            other.fields.iter().peekable(),
        );
        while let (Some((x, _)), Some((y, _))) = (a.peek(), b.peek()) {
            match x.cmp(y) {
                std::cmp::Ordering::Less => a.next(),
                std::cmp::Ordering::Greater => b.next(),
                std::cmp::Ordering::Equal => return false,
            };
        }
        true
    }
}

/// How a client writes lines of a template.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) id: u32,
    /// Field names as written, with their escapes, and types, in written order.
    pub(crate) written: Box<[(Box<[u8]>, FieldType)]>,
    /// For each written field its place in the template; `None` for a field called `time`,
    /// which is not stored.
    pub(crate) places: Box<[Option<u32>]>,
    /// For the quick way through the next line; `None` where a written field has no place.
    pub(crate) pattern: Option<Pattern>,
    pub(crate) template: Arc<Template>,
}

type Fields = Vec<(Arc<[u8]>, FieldType)>;
type Templates = HashMap<(Arc<[u8]>, Fields), Arc<Template>, RandomState>;

/// The templates and layouts of one database.
#[derive(Debug, Default)]
pub(crate) struct Schemas {
    next_template: AtomicU64,
    templates: RwLock<Templates>,
    layouts: RwLock<Layouts>,
}

#[derive(Debug, Default)]
struct Layouts {
    all: Vec<Arc<Layout>>,
    by_hash: HashMap<u64, u32, RandomState>,
    hasher: RandomState,
}

impl Schemas {
    /// The layout with this id.
    pub(crate) fn layout(&self, id: u32) -> Option<Arc<Layout>> {
        let layouts = self.layouts.read().unwrap_or_else(PoisonError::into_inner);
        layouts.all.get(id as usize).cloned()
    }

    /// The layout of a line of `measurement` with these fields as written, `names` giving each
    /// without its escapes. The id of a layout past the bound is `u32::MAX`.
    pub(crate) fn layout_of(
        &self,
        measurement: &[u8],
        written: &[(&[u8], FieldType)],
        unescape: impl Fn(&[u8]) -> Vec<u8>,
    ) -> Arc<Layout> {
        let same = |layout: &Layout| {
            *layout.template.measurement == *measurement
                && layout.written.len() == written.len()
                && layout
                    .written
                    .iter()
                    .zip(written)
                    .all(|((a, s), (b, t))| **a == **b && s == t)
        };
        let hash;
        {
            let layouts = self.layouts.read().unwrap_or_else(PoisonError::into_inner);
            hash = layouts.hasher.hash_one((measurement, written));
            if let Some(&id) = layouts.by_hash.get(&hash)
                && same(&layouts.all[id as usize])
            {
                return Arc::clone(&layouts.all[id as usize]);
            }
        }
        let names: Vec<Vec<u8>> = written.iter().map(|(name, _)| unescape(name)).collect();
        // A field that stands twice takes its last value, and so its last type: sorted by name
        // and, newest first, by place, the first of equal names stays.
        let mut order: Vec<usize> = (0..names.len())
            .filter(|&at| names[at] != b"time")
            .collect();
        order.sort_by(|&a, &b| names[a].cmp(&names[b]).then(b.cmp(&a)));
        order.dedup_by(|later, first| names[*later] == names[*first]);
        let fields: Fields = order
            .iter()
            .map(|&at| (Arc::from(names[at].as_slice()), written[at].1))
            .collect();
        let places: Box<[Option<u32>]> = names
            .iter()
            .zip(written)
            .map(|(name, &(_, field_type))| {
                let at = fields
                    .binary_search_by(|(other, _)| (**other).cmp(name))
                    .ok()?;
                // An earlier value of another type is overwritten anyway: drop it here.
                (fields[at].1 == field_type)
                    .then(|| u32::try_from(at).ok())
                    .flatten()
            })
            .collect();
        let template = self.template(measurement, fields);
        let mut layouts = self.layouts.write().unwrap_or_else(PoisonError::into_inner);
        let keep = template.shared && layouts.all.len() < LAYOUTS_MAX;
        let id = if keep {
            u32::try_from(layouts.all.len()).unwrap_or(u32::MAX)
        } else {
            u32::MAX
        };
        let pattern = places
            .iter()
            .all(Option::is_some)
            .then(|| written.iter().copied());
        let layout = Arc::new(Layout {
            id,
            pattern: pattern.and_then(Pattern::new),
            written: written.iter().map(|&(name, t)| (name.into(), t)).collect(),
            places,
            template,
        });
        if keep {
            layouts.by_hash.insert(hash, id);
            layouts.all.push(Arc::clone(&layout));
        }
        layout
    }

    /// The template of these fields, which must be sorted by name with each name once.
    pub(crate) fn template(&self, measurement: &[u8], fields: Fields) -> Arc<Template> {
        debug_assert!(fields.windows(2).all(|w| w[0].0 < w[1].0));
        let key = (Arc::from(measurement), fields);
        {
            let templates = self
                .templates
                .read()
                .unwrap_or_else(PoisonError::into_inner);
            if let Some(found) = templates.get(&key) {
                return Arc::clone(found);
            }
        }
        let mut templates = self
            .templates
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = templates.get(&key) {
            return Arc::clone(found);
        }
        let shared = templates.len() < TEMPLATES_MAX;
        let template = Arc::new(Template {
            id: self.next_template.fetch_add(1, Ordering::Relaxed),
            shared,
            measurement: Arc::clone(&key.0),
            has_strings: key.1.iter().any(|(_, t)| *t == FieldType::String),
            fields: key.1.clone().into_boxed_slice(),
        });
        if shared {
            templates.insert(key, Arc::clone(&template));
        }
        template
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(schemas: &Schemas, written: &[(&str, FieldType)]) -> Arc<Layout> {
        let written: Vec<(&[u8], FieldType)> =
            written.iter().map(|&(n, t)| (n.as_bytes(), t)).collect();
        schemas.layout_of(b"m", &written, <[u8]>::to_vec)
    }

    #[test]
    fn shuffled_fields_share_a_template() {
        use FieldType::{Float, Integer};
        let schemas = Schemas::default();
        let ab = layout(&schemas, &[("a", Float), ("b", Integer)]);
        let ba = layout(&schemas, &[("b", Integer), ("a", Float)]);
        assert!(Arc::ptr_eq(&ab.template, &ba.template));
        assert_eq!(*ba.places, [Some(1), Some(0)]);
        assert!(Arc::ptr_eq(
            &ab,
            &layout(&schemas, &[("a", Float), ("b", Integer)])
        ));
        let other = layout(&schemas, &[("a", Integer), ("b", Integer)]);
        assert_ne!(other.template.id, ab.template.id);
    }

    #[test]
    fn the_last_of_two_equal_names_wins_and_time_is_not_stored() {
        use FieldType::{Float, Integer};
        let schemas = Schemas::default();
        let twice = layout(&schemas, &[("a", Float), ("time", Float), ("a", Integer)]);
        assert_eq!(*twice.places, [None, None, Some(0)]);
        assert_eq!(twice.template.fields[0].1, Integer);
    }
}

//! Templates and layouts: what a line looks like, known once and shared by all lines like it.
//!
//! A [`Template`] is a measurement with a set of typed fields, sorted by name. Rows in a batch,
//! in the WAL and in a memtable are a time and one word for each field of their template, so
//! names and types are compared and stored once a batch and not once a row.
//!
//! A [`Layout`] is how a client writes such a line: the raw names in written order, their types,
//! and the place of each in the template. A series remembers the layout of its last line; the
//! next line that looks the same is taken without any lookup by name.
//!
//! Clients that shuffle their fields make many layouts, and those that leave some out many templates. So all that is
//! remembered has a bound in bytes, over all databases of a store ([`SchemaRoom`]). A database for which there is no
//! more room forgets what it remembers and begins anew, since what comes now may come again; and what
//! is large beside the bound is not remembered at all. A line is stored either way, only slower.

mod room;

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet, HashTable};
use tandem_line::Pattern;
use tandem_model::FieldType;

use crate::options::Options;

pub(crate) use self::room::SchemaRoom;

/// Of the room, what one template or layout may take to be remembered.
const ONE_PART: usize = 16;
/// About what a name takes beside its bytes.
const NAME_BYTES: usize = 32;
/// What a field of a template takes, but for its name.
const FIELD_BYTES: usize = size_of::<(Arc<[u8]>, FieldType)>();

/// A measurement with a set of typed fields.
#[derive(Debug)]
pub(crate) struct Template {
    /// Unique within the database while the process runs. Two templates may have the same fields.
    pub(crate) id: u64,
    /// False for one that is not remembered: the next line like it gets another.
    pub(crate) shared: bool,
    pub(crate) measurement: Arc<[u8]>,
    /// Sorted by name, each name once, unescaped, none of them `time`.
    pub(crate) fields: Box<[(Arc<[u8]>, FieldType)]>,
    pub(crate) has_strings: bool,
    /// About what it takes in memory with those names that were new when it was made.
    pub(crate) own_bytes: usize,
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

impl Layout {
    /// About what it takes in memory, but for its template.
    fn heap_bytes(&self) -> usize {
        let written = self.written.iter().map(|(name, _)| 2 * name.len() + 160);
        written.sum::<usize>() + 192
    }
}

type Fields = Vec<(Arc<[u8]>, FieldType)>;

/// The templates and layouts of one database.
#[derive(Debug)]
pub(crate) struct Schemas {
    room: Arc<SchemaRoom>,
    next_template: AtomicU64,
    tables: RwLock<Tables>,
}

/// What is remembered.
#[derive(Debug, Default)]
struct Tables {
    /// Bytes of the room that all this takes.
    bytes: usize,
    names: HashSet<Arc<[u8]>, RandomState>,
    templates: HashTable<Arc<Template>>,
    /// By id, from `first_layout` on. Ids are never used again, so that a series that remembers the layout of its last
    /// line finds that one or none.
    layouts: Vec<Arc<Layout>>,
    first_layout: u32,
    layouts_by_hash: HashMap<u64, u32, RandomState>,
    hasher: RandomState,
}

impl Tables {
    /// Room for something that is to be remembered, for which all else may be forgotten.
    fn take(&mut self, room: &SchemaRoom, bytes: usize) -> bool {
        if bytes > room.bytes_max() / ONE_PART {
            return false;
        }
        if !room.take(bytes) {
            self.forget(room);
            if !room.take(bytes) {
                return false;
            }
        }
        self.bytes += bytes;
        true
    }

    fn forget(&mut self, room: &SchemaRoom) {
        room.give(self.bytes);
        let layouts = u32::try_from(self.layouts.len()).unwrap_or(u32::MAX);
        *self = Self {
            first_layout: self.first_layout.saturating_add(layouts),
            ..Self::default()
        };
    }

    /// The name, as the one that is remembered where there is one. What a new one takes is added to `new_bytes`.
    fn name(&mut self, room: &SchemaRoom, name: Arc<[u8]>, new_bytes: &mut usize) -> Arc<[u8]> {
        if let Some(known) = self.names.get(&name) {
            return Arc::clone(known);
        }
        let bytes = name.len() + NAME_BYTES;
        *new_bytes += bytes;
        if room.take(bytes) {
            self.bytes += bytes;
            self.names.insert(Arc::clone(&name));
        }
        name
    }

    fn hash_of_template(&self, measurement: &[u8], fields: &[(Arc<[u8]>, FieldType)]) -> u64 {
        self.hasher.hash_one((measurement, fields))
    }

    fn template(&self, measurement: &[u8], fields: &Fields) -> Option<&Arc<Template>> {
        let hash = self.hash_of_template(measurement, fields);
        self.templates.find(hash, |template| {
            *template.measurement == *measurement && *template.fields == **fields
        })
    }

    fn layout(&self, id: u32) -> Option<&Arc<Layout>> {
        let at = id.checked_sub(self.first_layout)?;
        self.layouts.get(at as usize)
    }

    fn hash_of_layout(&self, measurement: &[u8], written: &[(&[u8], FieldType)]) -> u64 {
        self.hasher.hash_one((measurement, written))
    }

    fn layout_of(
        &self,
        measurement: &[u8],
        written: &[(&[u8], FieldType)],
    ) -> Option<&Arc<Layout>> {
        let hash = self.hash_of_layout(measurement, written);
        let layout = self.layout(*self.layouts_by_hash.get(&hash)?)?;
        let same = *layout.template.measurement == *measurement
            && layout.written.len() == written.len()
            && layout
                .written
                .iter()
                .zip(written)
                .all(|((a, s), (b, t))| **a == **b && s == t);
        same.then_some(layout)
    }
}

impl Schemas {
    /// Those of a new database.
    pub(crate) fn new(room: Arc<SchemaRoom>) -> Self {
        Self {
            room,
            next_template: AtomicU64::new(0),
            tables: RwLock::default(),
        }
    }

    fn tables(&self) -> RwLockReadGuard<'_, Tables> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn tables_mut(&self) -> RwLockWriteGuard<'_, Tables> {
        self.tables.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The layout with this id.
    pub(crate) fn layout(&self, id: u32) -> Option<Arc<Layout>> {
        self.tables().layout(id).cloned()
    }

    /// The layout of a line of `measurement` with these fields as written, `names` giving each
    /// without its escapes. The id of a layout that is not remembered is `u32::MAX`.
    pub(crate) fn layout_of(
        &self,
        measurement: &[u8],
        written: &[(&[u8], FieldType)],
        unescape: impl Fn(&[u8]) -> Vec<u8>,
    ) -> Arc<Layout> {
        if let Some(known) = self.tables().layout_of(measurement, written) {
            return Arc::clone(known);
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
        let pattern = places
            .iter()
            .all(Option::is_some)
            .then(|| written.iter().copied());
        let mut layout = Layout {
            id: u32::MAX,
            pattern: pattern.and_then(Pattern::new),
            written: written.iter().map(|&(name, t)| (name.into(), t)).collect(),
            places,
            template,
        };
        if !layout.template.shared {
            return Arc::new(layout);
        }
        let mut tables = self.tables_mut();
        // Another thread may have been quicker.
        if let Some(known) = tables.layout_of(measurement, written) {
            return Arc::clone(known);
        }
        let is_kept = tables.take(&self.room, layout.heap_bytes());
        let id = u32::try_from(tables.layouts.len())
            .ok()
            .and_then(|at| tables.first_layout.checked_add(at))
            .filter(|id| is_kept && *id != u32::MAX);
        if let Some(id) = id {
            layout.id = id;
            let hash = tables.hash_of_layout(measurement, written);
            tables.layouts_by_hash.insert(hash, id);
            let layout = Arc::new(layout);
            tables.layouts.push(Arc::clone(&layout));
            return layout;
        }
        Arc::new(layout)
    }

    /// The template of these fields, which must be sorted by name with each name once.
    pub(crate) fn template(&self, measurement: &[u8], fields: Fields) -> Arc<Template> {
        debug_assert!(fields.windows(2).all(|w| w[0].0 < w[1].0));
        if let Some(known) = self.tables().template(measurement, &fields) {
            return Arc::clone(known);
        }
        let mut tables = self.tables_mut();
        if let Some(known) = tables.template(measurement, &fields) {
            return Arc::clone(known);
        }
        let has_strings = fields.iter().any(|(_, t)| *t == FieldType::String);
        let mut own_bytes = measurement.len() + 96 + fields.len() * FIELD_BYTES;
        let fields = fields.into_iter().map(|(name, field_type)| {
            let name = tables.name(&self.room, name, &mut own_bytes);
            (name, field_type)
        });
        let fields = fields.collect();
        let mut template = Template {
            id: self.next_template.fetch_add(1, Ordering::Relaxed),
            shared: false,
            measurement: measurement.into(),
            has_strings,
            fields,
            own_bytes,
        };
        template.shared = tables.take(&self.room, template.heap_bytes());
        let template = Arc::new(template);
        if template.shared {
            let hash = tables.hash_of_template(measurement, &template.fields);
            let Tables {
                templates, hasher, ..
            } = &mut *tables;
            templates.insert_unique(hash, Arc::clone(&template), |other| {
                hasher.hash_one((&*other.measurement, &*other.fields))
            });
        }
        template
    }
}

impl Drop for Schemas {
    fn drop(&mut self) {
        let tables = self.tables.get_mut();
        let tables = tables.unwrap_or_else(PoisonError::into_inner);
        self.room.give(tables.bytes);
    }
}

/// Those of one batch, or of as many as are looked at and forgotten again.
impl Default for Schemas {
    fn default() -> Self {
        Self::new(Arc::new(SchemaRoom::new(Options::SCHEMA_BYTES_MAX)))
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

    #[test]
    fn what_is_remembered_is_bounded_and_what_comes_again_is_remembered_again() {
        use FieldType::Float;
        let room = Arc::new(SchemaRoom::new(100_000));
        let schemas = Schemas::new(Arc::clone(&room));
        let layout = |names: &[String]| {
            let written: Vec<(&[u8], FieldType)> =
                names.iter().map(|n| (n.as_bytes(), Float)).collect();
            schemas.layout_of(b"m", &written, <[u8]>::to_vec)
        };
        let mut ids = Vec::new();
        let first: Vec<String> = vec!["a".into(), "b".into()];
        ids.push(layout(&first).id);
        for number in 0..5_000 {
            let line = layout(&[format!("f{number}"), format!("g{number}")]);
            assert!(room.bytes() <= 100_000, "{}", room.bytes());
            assert!(line.template.shared);
            ids.push(line.id);
            assert_eq!(schemas.layout(line.id).unwrap().id, line.id);
        }
        // The first is forgotten, and no other has its id.
        assert!(schemas.layout(ids[0]).is_none());
        ids.push(layout(&first).id);
        assert_eq!(layout(&first).id, ids[ids.len() - 1]);
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
        // A monster neither stays nor drives the others out.
        let monster: Vec<String> = (0..1_000).map(|n| format!("h{n}")).collect();
        assert!(!layout(&monster).template.shared);
        assert_eq!(layout(&monster).id, u32::MAX);
        assert_eq!(layout(&first).id, ids[count - 1]);
        drop(schemas);
        assert_eq!(room.bytes(), 0);
    }
}

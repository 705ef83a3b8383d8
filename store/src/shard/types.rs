//! The types of a shard's fields.
//!
//! The first value written decides, as in InfluxDB, and once the last series of a measurement is
//! deleted its fields may have other types.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use tandem_model::FieldType;

use crate::index::Limits;
use crate::schema::Template;

/// Templates of which it is remembered that they agree.
const ACCEPTED_MAX: usize = 1 << 14;
/// About what a field takes beside its name.
const FIELD_BYTES: usize = 64;

type Fields = HashMap<Arc<[u8]>, FieldType, RandomState>;

/// The types of the fields of a shard, and which templates are known to agree with them.
#[derive(Debug, Default)]
pub(crate) struct FieldTypes {
    measurements: HashMap<Arc<[u8]>, Fields, RandomState>,
    accepted: HashSet<u64, RandomState>,
    /// Of the fields, about.
    bytes: usize,
}

/// A field that already has another type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TypeConflict {
    pub(crate) field: Arc<[u8]>,
    pub(crate) given: FieldType,
    pub(crate) existing: FieldType,
}

/// Why a template does not go with the fields that there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotAccepted {
    /// All its fields that have another type, sorted by name.
    Types(Vec<TypeConflict>),
    /// With its fields there would be more than the limit.
    TooMany,
}

impl FieldTypes {
    /// Fixes the type of a field, unless it has one.
    pub(crate) fn set(&mut self, measurement: &[u8], field: &[u8], field_type: FieldType) {
        let fields = self.measurements.entry(measurement.into()).or_default();
        if !fields.contains_key(field) {
            fields.insert(field.into(), field_type);
            self.bytes += field.len() + FIELD_BYTES;
        }
    }

    /// About what all this takes in memory.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.bytes + self.accepted.capacity() * size_of::<u64>()
    }

    /// The type of a field.
    pub(crate) fn get(&self, measurement: &[u8], field: &[u8]) -> Option<FieldType> {
        self.measurements.get(measurement)?.get(field).copied()
    }

    /// Forgets the fields of all measurements but those for which `is_kept` holds.
    pub(crate) fn forget_unless(&mut self, mut is_kept: impl FnMut(&[u8]) -> bool) {
        self.measurements.retain(|name, _| is_kept(name));
        let fields = self.measurements.values().flat_map(HashMap::keys);
        self.bytes = fields.map(|name| name.len() + FIELD_BYTES).sum();
        self.accepted.clear();
    }

    /// Checks a template and fixes the types of fields that had none; those are returned, to be
    /// given to [`FieldTypes::take_back`] when the write fails. A template that is not accepted fixes nothing.
    pub(crate) fn accept(
        &mut self,
        template: &Template,
        limits: Limits,
    ) -> Result<Vec<Arc<[u8]>>, NotAccepted> {
        if self.accepted.contains(&template.id) {
            return Ok(Vec::new());
        }
        let known = self
            .measurements
            .entry(Arc::clone(&template.measurement))
            .or_default();
        let fields = template.fields.iter();
        let conflicts = fields.filter_map(|(name, given)| {
            let existing = known.get(&**name).filter(|existing| *existing != given)?;
            Some(TypeConflict {
                field: Arc::clone(name),
                given: *given,
                existing: *existing,
            })
        });
        let conflicts: Vec<TypeConflict> = conflicts.collect();
        if !conflicts.is_empty() {
            return Err(NotAccepted::Types(conflicts));
        }
        if limits.forbids_fields(known.len() + template.fields.len()) {
            let new = template.fields.iter();
            let new = new.filter(|(name, _)| !known.contains_key(&**name));
            if limits.forbids_fields(known.len() + new.count()) {
                return Err(NotAccepted::TooMany);
            }
        }
        let mut new = Vec::new();
        for (name, given) in &template.fields {
            if !known.contains_key(&**name) {
                known.insert(Arc::clone(name), *given);
                self.bytes += name.len() + FIELD_BYTES;
                new.push(Arc::clone(name));
            }
        }
        if template.shared {
            if self.accepted.len() >= ACCEPTED_MAX {
                self.accepted.clear();
            }
            self.accepted.insert(template.id);
        }
        Ok(new)
    }

    /// Forgets fields that [`FieldTypes::accept`] returned.
    pub(crate) fn take_back(&mut self, measurement: &[u8], fields: &[Arc<[u8]>]) {
        if let Some(known) = self.measurements.get_mut(measurement) {
            for field in fields {
                if known.remove(&**field).is_some() {
                    self.bytes -= field.len() + FIELD_BYTES;
                }
            }
        }
        self.accepted.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Schemas;

    const NONE: Limits = Limits {
        series_max: 0,
        values_max: 0,
        fields_max: 0,
    };

    #[test]
    fn the_first_type_wins_and_can_be_taken_back() {
        let schemas = Schemas::default();
        let template = |fields: &[(&str, FieldType)]| {
            schemas.template(
                b"m",
                fields
                    .iter()
                    .map(|&(n, t)| (Arc::from(n.as_bytes()), t))
                    .collect(),
            )
        };
        let mut types = FieldTypes::default();
        let new = types
            .accept(&template(&[("a", FieldType::Float)]), NONE)
            .unwrap();
        assert_eq!(new.len(), 1);
        let both = template(&[("a", FieldType::Integer), ("b", FieldType::Integer)]);
        let Err(NotAccepted::Types(conflicts)) = types.accept(&both, NONE) else {
            panic!("a has another type");
        };
        let conflicts: Vec<_> = conflicts.iter().map(|c| (c.given, c.existing)).collect();
        assert_eq!(conflicts, [(FieldType::Integer, FieldType::Float)]);
        // The refused template fixed nothing.
        assert_eq!(
            types
                .accept(&template(&[("b", FieldType::String)]), NONE)
                .unwrap()
                .len(),
            1
        );
        types.take_back(
            b"m",
            &[Arc::from(b"a".as_slice()), Arc::from(b"b".as_slice())],
        );
        assert_eq!(types.accept(&both, NONE).unwrap().len(), 2);
    }

    #[test]
    fn fields_beyond_the_limit_are_not_made_and_those_that_are_there_stay() {
        let schemas = Schemas::default();
        let template = |names: &[&str]| {
            let fields = names.iter();
            let fields = fields.map(|name| (Arc::from(name.as_bytes()), FieldType::Float));
            schemas.template(b"m", fields.collect())
        };
        let limits = Limits {
            fields_max: 3,
            ..NONE
        };
        let mut types = FieldTypes::default();
        assert_eq!(
            types.accept(&template(&["a", "b"]), limits).unwrap().len(),
            2
        );
        let refused = types.accept(&template(&["a", "c", "d"]), limits);
        assert_eq!(refused.unwrap_err(), NotAccepted::TooMany);
        assert_eq!(
            types
                .accept(&template(&["a", "b", "c"]), limits)
                .unwrap()
                .len(),
            1
        );
        types.accept(&template(&["a", "c"]), limits).unwrap();
        types.accept(&template(&["d"]), limits).unwrap_err();
        types.accept(&template(&["d"]), NONE).unwrap();
    }
}

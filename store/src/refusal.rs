//! Which reason a write is told when points of it were dropped.
//!
//! InfluxDB tells one (`influxdata/influxdb tsdb/shard.go` `validateSeriesAndFields`), and so does this:
//! a series that the limits forbid; else a tag called `time`, wherever it stands; else the first point of the body
//! that has no field but `time` or has one of another type, and of that point the field written first;
//! and that points are beyond the retention policy only where there is nothing else to tell.

use std::sync::Arc;

use tandem_line::{Line, ParseOptions, canonical_key, lines, unescape_field_name};
use tandem_model::{FieldType, split_measurement};

use crate::schema::Template;
use crate::shard::TypeConflict;

/// Lines that are looked through for the one that a reason is about.
const LINES_MAX: usize = 10_000;

/// A point that cannot be stored because of a name in it.
#[derive(Debug)]
pub(crate) struct BadName {
    /// InfluxDB's reason.
    pub(crate) reason: String,
    /// That of a tag; else it is a field's.
    pub(crate) is_tag: bool,
    /// Rows of the batch that stand before it.
    pub(crate) rows_before: usize,
}

impl BadName {
    /// Puts `self` in the place of `first` if it is told before that one.
    pub(crate) fn note(self, first: &mut Option<Self>) {
        if first
            .as_ref()
            .is_none_or(|first| self.is_tag && !first.is_tag)
        {
            *first = Some(self);
        }
    }
}

/// The first point with fields that have another type.
#[derive(Clone, Debug)]
pub(crate) struct Conflict {
    /// Its place among the rows of the batch.
    pub(crate) row: usize,
    pub(crate) template: Arc<Template>,
    /// At least one, sorted by name.
    pub(crate) fields: Vec<TypeConflict>,
}

impl Conflict {
    fn text(&self, body: &[u8], options: ParseOptions) -> String {
        let first = match self.fields.as_slice() {
            [_, _, ..] => self.first_written(body, options),
            _ => None,
        };
        let Some(conflict) = first.or(self.fields.first()) else {
            return "field type conflict".into();
        };
        format!(
            "field type conflict: input field \"{}\" on measurement \"{}\" is type {}, already exists as type {}",
            String::from_utf8_lossy(&conflict.field),
            String::from_utf8_lossy(&self.template.measurement),
            conflict.given,
            conflict.existing
        )
    }

    /// The one that stands first in the first line of this template.
    fn first_written(&self, body: &[u8], options: ParseOptions) -> Option<&TypeConflict> {
        let names = lines(body).take(LINES_MAX).find_map(|raw| {
            let (measurement, fields) = written(raw, options)?;
            (*measurement == *self.template.measurement && self.is_of(&fields)).then_some(fields)
        })?;
        names.iter().find_map(|(name, _)| {
            let mut conflicts = self.fields.iter();
            conflicts.find(|conflict| *conflict.field == **name)
        })
    }

    /// Whether these fields, in the order of a line, are those of the template.
    fn is_of(&self, fields: &[(Vec<u8>, FieldType)]) -> bool {
        let mut all = self.template.fields.iter();
        let has = |(name, kind): &(Arc<[u8]>, FieldType)| {
            let last = fields.iter().rfind(|(other, _)| **other == **name);
            last.is_some_and(|(_, other)| other == kind)
        };
        let known = |name: &[u8]| {
            let mut known = self.template.fields.iter();
            name == b"time" || known.any(|(other, _)| **other == *name)
        };
        all.all(has) && fields.iter().all(|(name, _)| known(name))
    }
}

/// Names and types, in the order of a line.
type Fields = Vec<(Vec<u8>, FieldType)>;

/// The measurement of a line, and its fields; `None` for a line that cannot be parsed.
fn written(raw: &[u8], options: ParseOptions) -> Option<(Vec<u8>, Fields)> {
    let mut line = Line::parse(raw, options).ok()?;
    let mut key = Vec::new();
    canonical_key(line.key(), &mut key).ok()?;
    let mut fields = Vec::new();
    while let Some(field) = line.next_field().ok()? {
        let name = unescape_field_name(field.name).into_owned();
        fields.push((name, field.value.field_type()));
    }
    line.timestamp().ok()?;
    Some((split_measurement(&key).0, fields))
}

/// All that was dropped of a write.
#[derive(Debug, Default)]
pub(crate) struct Drops {
    pub(crate) dropped: u64,
    /// Why a series could not be made.
    pub(crate) limit: Option<String>,
    pub(crate) bad_name: Option<BadName>,
    pub(crate) conflict: Option<Conflict>,
    /// Points beyond the retention policy.
    pub(crate) expired: u64,
}

impl Drops {
    /// The reason to tell; `body` is what was written.
    pub(crate) fn reason(&self, body: &[u8], options: ParseOptions) -> Option<String> {
        if let Some(limit) = &self.limit {
            return Some(limit.clone());
        }
        match (&self.bad_name, &self.conflict) {
            (Some(name), Some(conflict)) if !name.is_tag && conflict.row < name.rows_before => {
                Some(conflict.text(body, options))
            }
            (Some(name), _) => Some(name.reason.clone()),
            (None, Some(conflict)) => Some(conflict.text(body, options)),
            (None, None) => (self.expired > 0).then(|| "points beyond retention policy".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Schemas;

    fn name(reason: &str, is_tag: bool, rows_before: usize) -> BadName {
        BadName {
            reason: reason.into(),
            is_tag,
            rows_before,
        }
    }

    /// Fields `a` and `b` of `m` are integers, and were booleans.
    fn conflict(row: usize) -> Conflict {
        let field = |name: &str| (Arc::from(name.as_bytes()), FieldType::Integer);
        let conflict = |name: &str| TypeConflict {
            field: Arc::from(name.as_bytes()),
            given: FieldType::Integer,
            existing: FieldType::Boolean,
        };
        Conflict {
            row,
            template: Schemas::default().template(b"m", vec![field("a"), field("b"), field("c")]),
            fields: vec![conflict("a"), conflict("b")],
        }
    }

    #[track_caller]
    fn check(drops: &Drops, body: &str, reason: &str) {
        let found = drops.reason(body.as_bytes(), ParseOptions::default());
        assert!(
            found.as_deref().unwrap_or_default().contains(reason),
            "{found:?}"
        );
    }

    #[test]
    fn what_comes_first_is_told() {
        let mut first = None;
        name("field", false, 0).note(&mut first);
        name("later", false, 1).note(&mut first);
        let mut drops = Drops {
            bad_name: first,
            conflict: Some(conflict(0)),
            expired: 1,
            ..Drops::default()
        };
        check(&drops, "", "field");
        drops.bad_name = Some(name("field", false, 1));
        check(&drops, "", "field type conflict");
        name("tag", true, 5).note(&mut drops.bad_name);
        check(&drops, "", "tag");
        drops.limit = Some("limit".into());
        check(&drops, "", "limit");
        let expired = Drops {
            expired: 1,
            ..Drops::default()
        };
        check(&expired, "", "points beyond retention policy");
        assert_eq!(Drops::default().reason(b"", ParseOptions::default()), None);
    }

    #[test]
    fn of_several_fields_the_one_written_first_is_told() {
        let drops = Drops {
            conflict: Some(conflict(0)),
            ..Drops::default()
        };
        let body =
            "m a=1i,b=1i\nm x\nn b=1i,a=1i,c=1i\nm c=1i,time=1,b=1.5,b=1i,a=1i\nm a=1i,b=1i,c=1i";
        check(&drops, body, "input field \"b\"");
        check(&drops, "m a=1i,b=1i,c=1i", "input field \"a\"");
        check(&drops, "", "input field \"a\"");
    }
}

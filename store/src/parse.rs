//! Line protocol into a batch.
//!
//! One lookup a line: the raw bytes of its key find the series, and the layout of the series'
//! last line predicts names and types of this one. Only a key that was never seen in this form
//! is validated and made canonical, and only a line of another shape is looked up by name.

mod errors;
mod shapes;

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use tandem_line::{Line, ParseOptions, Value, canonical_key, lines, unescape_field_name};
use tandem_model::{FieldType, SeriesId, SeriesKey, split_measurement};

use crate::batch::{Batch, Row, SeriesRef, UnknownKey};
use crate::index::{LimitExceeded, Limits, SeriesTable};
use crate::memtable::string_word;
use crate::refusal::BadName;
use crate::schema::{Layout, Schemas};

pub(crate) use self::errors::ErrorTexts;
pub(crate) use self::shapes::Shapes;

/// Bytes of one string field; a block file takes no longer one.
const STRING_FIELD_BYTES_MAX: usize = 64 << 20;
/// Bytes of strings that one batch can hold.
const STRING_BYTES_MAX: usize = u32::MAX as usize;

/// What a body holds.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    pub(crate) batch: Batch,
    /// That of the series table whose ids the batch holds.
    pub(crate) generation: u64,
    pub(crate) errors: ErrorTexts,
    /// Points that parse and still cannot be stored.
    pub(crate) dropped: u64,
    /// Why those of them were dropped that have too many fields.
    pub(crate) limit: Option<String>,
    /// Parsing ended since there was no room for how the lines look; what is here is not all.
    pub(crate) is_out_of_room: bool,
    /// Of the other ones, that which is told first.
    pub(crate) bad_name: Option<BadName>,
}

impl Parsed {
    /// Whether there are lines, and none of them can be parsed.
    pub(crate) fn is_unparsable(&self) -> bool {
        self.batch.rows.is_empty() && self.dropped == 0 && !self.errors.is_empty()
    }
}

/// Fields of a line from which on it is worth looking whether the next one has the same.
const WIDE_FIELDS: usize = 1024;

/// Parses the lines of `body` into `batch`, which is empty. Lines without a time get `now_ns`, cut to
/// the precision.
pub(crate) fn parse_into<'a>(
    batch: Batch,
    table: &'a SeriesTable,
    schemas: &'a Schemas,
    body: &[u8],
    options: ParseOptions,
    shapes: Shapes<'a>,
    (limits, now_ns): (Limits, i64),
) -> Parsed {
    let default_ns = now_ns - now_ns.rem_euclid(options.precision.nanos());
    let mut parser = Parser {
        table,
        schemas,
        default_ns,
        parsed: Parsed {
            batch,
            generation: table.generation(),
            ..Parsed::default()
        },
        unknown: HashMap::default(),
        layouts: HashMap::default(),
        templates: HashMap::default(),
        last_layout: None,
        last_wide: None,
        shapes,
        limits,
        names: Vec::new(),
        words: Vec::new(),
        buffer: Vec::new(),
    };
    for raw in lines(body) {
        if let Err(text) = parser.line(raw, options) {
            parser.parsed.errors.push(&text);
        }
        if parser.parsed.is_out_of_room {
            break;
        }
    }
    parser.parsed
}

/// As [`parse_into`] a new batch.
#[cfg(test)]
pub(crate) fn parse(
    table: &SeriesTable,
    schemas: &Schemas,
    body: &[u8],
    options: ParseOptions,
    now_ns: i64,
) -> Parsed {
    let mut grow = |_| true;
    parse_into(
        Batch::default(),
        table,
        schemas,
        body,
        options,
        Shapes::new(&mut grow),
        (Limits::default(), now_ns),
    )
}

/// Names as written and types.
type Names<'b> = Vec<(&'b [u8], FieldType)>;

/// The last line of very many fields: what it had, its layout, and the place of its template.
struct WideLine<'b>(Names<'b>, Arc<Layout>, u32);

struct Parser<'a, 'b> {
    table: &'a SeriesTable,
    schemas: &'a Schemas,
    default_ns: i64,
    parsed: Parsed,
    /// Canonical keys of this body that the index does not know, to their place in the batch.
    unknown: HashMap<Box<[u8]>, u32, RandomState>,
    /// Layouts met so far, with the place of their template in the batch.
    layouts: HashMap<u32, (Arc<Layout>, u32), RandomState>,
    /// Templates met so far, by id, with their place in the batch.
    templates: HashMap<u64, u32, RandomState>,
    last_layout: Option<(Arc<Layout>, u32)>,
    last_wide: Option<WideLine<'b>>,
    shapes: Shapes<'a>,
    limits: Limits,
    /// The line at hand: names as written and types, and a word each.
    names: Names<'b>,
    words: Vec<u64>,
    buffer: Vec<u8>,
}

impl<'b> Parser<'_, 'b> {
    fn line(&mut self, raw: &'b [u8], options: ParseOptions) -> Result<(), String> {
        let mut line = Line::parse(raw, options).map_err(|e| e.to_string())?;
        let known = self.table.find_raw(line.key());
        if known.is_some_and(|series| self.quick(&line, series)) {
            return Ok(());
        }
        let mut canonical = Vec::new();
        if known.is_none() {
            canonical_key(line.key(), &mut canonical).map_err(|r| line.error(r).to_string())?;
        }
        let predicted = self.predict(known);
        self.names.clear();
        self.words.clear();
        let mut has_too_many = false;
        loop {
            let guess = predicted
                .as_ref()
                .and_then(|(layout, _)| layout.written.get(self.names.len()));
            let field = match guess {
                Some((name, _)) => line.next_field_predicted(name),
                None => line.next_field(),
            };
            let Some(field) = field.map_err(|e| e.to_string())? else {
                break;
            };
            if self.limits.forbids_fields(self.names.len() + 1) {
                has_too_many = true;
                continue;
            }
            if !self.shapes.admit_field(self.names.len()) {
                self.parsed.is_out_of_room = true;
                return Ok(());
            }
            let word = word(
                field.value,
                &mut self.parsed.batch.strings,
                &mut self.buffer,
            )?;
            self.names.push((field.name, field.value.field_type()));
            self.words.push(word);
        }
        let time_ns = line
            .timestamp()
            .map_err(|e| e.to_string())?
            .unwrap_or(self.default_ns);
        if has_too_many {
            let measurement = match known {
                Some(id) => self.table.measurement_of(id).to_vec(),
                None => split_measurement(&canonical).0,
            };
            let LimitExceeded(text) = self.limits.fields_exceeded(&measurement);
            self.parsed.limit.get_or_insert(text);
            self.parsed.dropped += 1;
            return Ok(());
        }
        let series = match known {
            Some(id) => SeriesRef::Known(id),
            None => self.unknown_series(line.key(), canonical),
        };
        self.row(series, predicted, time_ns);
        Ok(())
    }

    /// Takes the usual line, that of a known series which looks as its last one did; says whether it was one.
    fn quick(&mut self, line: &Line<'_>, series: SeriesId) -> bool {
        let Some(id) = self.table.hint(series) else {
            return false;
        };
        if self
            .last_layout
            .as_ref()
            .is_none_or(|(last, _)| last.id != id)
            && self.predict(Some(series)).is_none()
        {
            return false;
        }
        let Some((layout, template)) = &self.last_layout else {
            return false;
        };
        let Some(pattern) = &layout.pattern else {
            return false;
        };
        let Batch {
            rows,
            values,
            strings,
            ..
        } = &mut self.parsed.batch;
        let (start, strings_before) = (values.len(), strings.len());
        values.resize(start + layout.template.fields.len(), 0);
        let words = &mut values[start..];
        let read = line.read_as(pattern, |number, value| {
            let Ok(word) = word(value, strings, &mut self.buffer) else {
                return false;
            };
            // With a pattern, every field has a place.
            if let Some(&Some(place)) = layout.places.get(number) {
                words[place as usize] = word;
            }
            true
        });
        let Some(time_ns) = read else {
            values.truncate(start);
            strings.truncate(strings_before);
            return false;
        };
        rows.push(Row {
            series: SeriesRef::Known(series),
            template: *template,
            time_ns: time_ns.unwrap_or(self.default_ns),
            values: start as u32,
            shard: 0,
        });
        true
    }

    /// The layout of the series' last line and the place of its template.
    fn predict(&mut self, series: Option<SeriesId>) -> Option<(Arc<Layout>, u32)> {
        let id = self.table.hint(series?)?;
        if let Some(last) = &self.last_layout
            && last.0.id == id
        {
            return Some(last.clone());
        }
        if let Some(found) = self.layouts.get(&id) {
            self.last_layout = Some(found.clone());
            return self.last_layout.clone();
        }
        let layout = self.schemas.layout(id)?;
        Some(self.remember(layout))
    }

    fn remember(&mut self, layout: Arc<Layout>) -> (Arc<Layout>, u32) {
        let templates = &mut self.parsed.batch.templates;
        let place = *self.templates.entry(layout.template.id).or_insert_with(|| {
            self.parsed.is_out_of_room |= !self.shapes.keep(&layout.template);
            templates.push(Arc::clone(&layout.template));
            templates.len() as u32 - 1
        });
        let entry = (layout, place);
        if entry.0.id != u32::MAX {
            self.layouts.insert(entry.0.id, entry.clone());
            self.last_layout = Some(entry.clone());
        }
        entry
    }

    /// The series of a key that was not seen in this form: known under its canonical one, or new.
    fn unknown_series(&mut self, raw: &[u8], canonical: Vec<u8>) -> SeriesRef {
        if let Some(id) = self.table.find(&canonical) {
            self.parsed.batch.aliases.push((raw.into(), id));
            return SeriesRef::Known(id);
        }
        if let Some(&at) = self.unknown.get(canonical.as_slice()) {
            return SeriesRef::Unknown(at);
        }
        let at = self.parsed.batch.unknown.len() as u32;
        let canonical = canonical.into_boxed_slice();
        self.unknown.insert(canonical.clone(), at);
        self.parsed.batch.unknown.push(UnknownKey {
            raw: raw.into(),
            canonical,
        });
        SeriesRef::Unknown(at)
    }

    fn row(&mut self, series: SeriesRef, predicted: Option<(Arc<Layout>, u32)>, time_ns: i64) {
        let fits = |layout: &Layout| {
            layout.written.len() == self.names.len()
                && layout
                    .written
                    .iter()
                    .zip(&self.names)
                    .all(|((a, s), (b, t))| **a == **b && s == t)
        };
        let (layout, template) = match predicted.filter(|(layout, _)| fits(layout)) {
            Some(found) => found,
            None => {
                let measurement = match series {
                    SeriesRef::Known(id) => self.table.measurement_of(id).to_vec(),
                    SeriesRef::Unknown(at) => {
                        let key = &self.parsed.batch.unknown[at as usize].canonical;
                        split_measurement(key).0
                    }
                };
                match self.as_wide_as_last(&measurement) {
                    Some(found) => found,
                    None => self.layout_of_names(&measurement),
                }
            }
        };
        if let Some(bad) = self.refusal(series, &layout) {
            self.parsed.dropped += 1;
            bad.note(&mut self.parsed.bad_name);
            return;
        }
        if let SeriesRef::Known(id) = series
            && layout.id != u32::MAX
        {
            self.table.set_hint(id, layout.id);
        }
        let values = &mut self.parsed.batch.values;
        let start = values.len();
        values.resize(start + layout.template.fields.len(), 0);
        for (place, &word) in layout.places.iter().zip(&self.words) {
            if let Some(place) = place {
                values[start + *place as usize] = word;
            }
        }
        let values = start as u32;
        self.parsed.batch.rows.push(Row {
            series,
            template,
            time_ns,
            values,
            shard: 0,
        });
    }

    /// The layout of the line at hand and the place of its template.
    fn layout_of_names(&mut self, measurement: &[u8]) -> (Arc<Layout>, u32) {
        let unescape = |name: &[u8]| unescape_field_name(name).into_owned();
        let layout = self.schemas.layout_of(measurement, &self.names, unescape);
        let (layout, place) = self.remember(layout);
        // Too large to be remembered, and yet the next line may look the same.
        if layout.id == u32::MAX && self.names.len() >= WIDE_FIELDS {
            let names = std::mem::take(&mut self.names);
            self.last_wide = Some(WideLine(names, Arc::clone(&layout), place));
        }
        (layout, place)
    }

    /// The same, if the line looks as the last one did that had very many fields.
    fn as_wide_as_last(&self, measurement: &[u8]) -> Option<(Arc<Layout>, u32)> {
        let WideLine(names, layout, place) = self.last_wide.as_ref()?;
        let is_same = *layout.template.measurement == *measurement && *names == self.names;
        is_same.then(|| (Arc::clone(layout), *place))
    }

    /// Why a point that parses cannot be stored. A series the index knows has passed the check of
    /// its tags.
    fn refusal(&self, series: SeriesRef, layout: &Layout) -> Option<BadName> {
        let name = || String::from_utf8_lossy(&layout.template.measurement);
        let bad = |is_tag, reason| BadName {
            reason,
            is_tag,
            rows_before: self.parsed.batch.rows.len(),
        };
        if let SeriesRef::Unknown(at) = series {
            let (_, mut tags) = SeriesKey::split(&self.parsed.batch.unknown[at as usize].canonical);
            if tags.any(|(key, _)| key == b"time") {
                let reason = format!(
                    "invalid tag key: input tag \"time\" on measurement \"{}\" is invalid",
                    name()
                );
                return Some(bad(true, reason));
            }
        }
        layout.template.fields.is_empty().then(|| {
            let reason = format!(
                "invalid field name: input field \"time\" on measurement \"{}\" is invalid",
                name()
            );
            bad(false, reason)
        })
    }
}

/// The word of a value. A string goes behind `strings`.
#[inline]
fn word(value: Value<'_>, strings: &mut Vec<u8>, buffer: &mut Vec<u8>) -> Result<u64, String> {
    Ok(match value {
        Value::Float(v) => v.to_bits(),
        Value::Integer(v) => v.cast_unsigned(),
        Value::Unsigned(v) => v,
        Value::Boolean(v) => u64::from(v),
        Value::String(text) => {
            let text = text.unescape(buffer);
            if text.len() > STRING_FIELD_BYTES_MAX {
                return Err("write failed: a string field is longer than 64 MiB".into());
            }
            if strings.len() + text.len() > STRING_BYTES_MAX {
                return Err("write failed: strings of one request exceed 4 GiB".into());
            }
            strings.extend_from_slice(text);
            string_word(strings.len() - text.len(), text.len())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memtable::string_at;

    fn parsed(table: &SeriesTable, body: &str) -> Parsed {
        parse(
            table,
            &Schemas::default(),
            body.as_bytes(),
            ParseOptions::default(),
            77,
        )
    }

    #[test]
    fn keys_in_any_order_are_one_series_and_get_an_alias() {
        let mut table = SeriesTable::default();
        let id = table.insert(b"m,a=1,b=2");
        let p = parsed(
            &table,
            "m,b=2,a=1 v=1 5\nm,a=1,b=2 v=2\nn,y=1,x=2 v=1\nn,x=2,y=1 v=1",
        );
        let series: Vec<SeriesRef> = p.batch.rows.iter().map(|r| r.series).collect();
        use SeriesRef::{Known, Unknown};
        assert_eq!(series, [Known(id), Known(id), Unknown(0), Unknown(0)]);
        assert_eq!(*p.batch.aliases[0].0, *b"m,b=2,a=1");
        assert_eq!(p.batch.rows[1].time_ns, 77);
        assert_eq!(*p.batch.unknown[0].canonical, *b"n,x=2,y=1");
    }

    #[test]
    fn words_stand_in_the_order_of_the_template() {
        let p = parsed(
            &SeriesTable::default(),
            "m z=1i,a=\"x\\\"y\",time=3,z=2i,b=t 1",
        );
        let row = &p.batch.rows[0];
        let template = &p.batch.templates[row.template as usize];
        let names: Vec<&[u8]> = template.fields.iter().map(|(n, _)| &**n).collect();
        assert_eq!(names, [b"a".as_slice(), b"b", b"z"]);
        let words = p.batch.words(row);
        assert_eq!(string_at(&p.batch.strings, words[0]), b"x\"y");
        assert_eq!(words[1..], [1, 2]);
    }

    /// Whatever way a line takes, the quick one or that field by field, the batch is the same.
    #[test]
    fn lines_like_the_one_before_make_the_same_rows() {
        let mut table = SeriesTable::default();
        table.insert(b"m,a=1");
        let schemas = Schemas::default();
        let lines = [
            "m,a=1 b=1i,a=2.5,s=\"x\\\"y\" 5",
            "m,a=1 b=-7i,a=3,s=\"zz\" 6",
            "m,a=1 b=9i,a=4.25,s=\"\"",
            "m,a=1 b=9i,a=4.25,s=\"kept\",b=10i 8",
            "m,a=1 b=9i,a=4.25,s=\"kept\",b=11i 9",
            "m,a=1 b=9i,a=4.25,s=\"undone\",b=x 9",
            "m,a=1 b=9i,a=1e3,s=\"é\",b=12i 10",
        ];
        type Fields = Vec<(String, Vec<u8>)>;
        let read = |bodies: &[&str]| -> Vec<(i64, Fields)> {
            let mut rows = Vec::new();
            for body in bodies {
                let p = parse(
                    &table,
                    &schemas,
                    body.as_bytes(),
                    ParseOptions::default(),
                    77,
                );
                for row in &p.batch.rows {
                    let template = &p.batch.templates[row.template as usize];
                    let fields = template.fields.iter().zip(p.batch.words(row));
                    let fields = fields.map(|((name, field_type), &word)| {
                        let value = match field_type {
                            FieldType::String => string_at(&p.batch.strings, word).to_vec(),
                            _ => word.to_le_bytes().to_vec(),
                        };
                        (String::from_utf8_lossy(name).into_owned(), value)
                    });
                    rows.push((row.time_ns, fields.collect()));
                }
            }
            rows
        };
        let slow: Vec<_> = lines
            .iter()
            .flat_map(|line| {
                // Another shape before each, so that nothing is as it was.
                let rows = read(&[&format!("m,a=1 other=1\n{line}")]);
                rows.into_iter().skip(1)
            })
            .collect();
        assert_eq!(slow.len(), 6);
        for _ in 0..2 {
            assert_eq!(read(&lines), slow);
            assert_eq!(read(&[&lines.join("\n")]), slow);
        }
    }

    #[test]
    fn bad_lines_are_told_and_good_ones_kept() {
        let p = parsed(
            &SeriesTable::default(),
            "m v=1 1\nm v=\nm v=2 2\nm,time=1 v=1\nm time=1",
        );
        assert_eq!(p.batch.rows.len(), 2);
        assert_eq!(p.errors.text, "unable to parse 'm v=': missing field value");
        assert_eq!(p.dropped, 2);
        assert_eq!(
            p.bad_name.as_ref().map(|bad| &*bad.reason),
            Some("invalid tag key: input tag \"time\" on measurement \"m\" is invalid")
        );
    }

    #[test]
    fn error_texts_are_bounded() {
        let body = format!("{}\n", "x".repeat(1000)).repeat(3000);
        let p = parsed(&SeriesTable::default(), &body);
        let text = p.errors.into_text();
        assert!(text.len() < errors::ERROR_TEXT_BYTES_MAX + 100);
        assert!(text.ends_with("more lines"), "{}", &text[text.len() - 40..]);
    }
}

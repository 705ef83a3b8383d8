//! A template: what each part of a name is, `.measurement.host.field` for one.
//!
//! As in `influxdata/influxdb services/graphite/parser.go`: a part is `measurement`, `field`, a tag's key, or empty
//! and left out; `measurement*` and `field*` take all parts from there on. What comes more than once is
//! put together with the separator.

use thiserror::Error;

/// Why a template or a tag is none.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TemplateError {
    /// Without a measurement there is no point.
    #[error("no measurement specified for template. {0:?}")]
    NoMeasurement(String),
    /// Both would take all that is left.
    #[error(
        "either 'field*' or 'measurement*' can be used in each template (but not both together): {0:?}"
    )]
    TwoWildcards(String),
    /// A point has one field.
    #[error("'field' can only be used once in each template: {0:?}")]
    TwoFields(String),
    /// A tag is `key=value`.
    #[error("invalid template tags: '{0}'")]
    Tags(String),
    /// It has more than filter, template and tags.
    #[error("invalid template format: '{0}'")]
    Format(String),
    /// A filter has an empty part, or one that is partly a wildcard.
    #[error("invalid filter wildcard section: {0:?}")]
    Filter(String),
    /// Two templates have the same filter.
    #[error("duplicate filter '{0}'")]
    Duplicate(String),
}

/// What a part of a name is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Nothing,
    Measurement,
    MeasurementRest,
    Field,
    FieldRest,
    Tag(String),
}

/// See the module's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    parts: Vec<Part>,
    tags: Vec<(String, String)>,
    separator: String,
}

/// A name that was taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Applied {
    pub(super) measurement: String,
    pub(super) tags: Vec<(String, String)>,
    /// Empty when the template names none.
    pub(super) field: String,
}

impl Template {
    pub(super) fn new(
        pattern: &str,
        tags: Vec<(String, String)>,
        separator: &str,
    ) -> Result<Self, TemplateError> {
        let parts: Vec<Part> = pattern
            .split('.')
            .map(|part| match part {
                "" => Part::Nothing,
                "measurement*" => Part::MeasurementRest,
                "field" => Part::Field,
                "field*" => Part::FieldRest,
                "measurement" => Part::Measurement,
                tag => Part::Tag(tag.to_owned()),
            })
            .collect();
        let has = |wanted: &Part| parts.contains(wanted);
        if has(&Part::MeasurementRest) && has(&Part::FieldRest) {
            return Err(TemplateError::TwoWildcards(pattern.to_owned()));
        }
        if !has(&Part::Measurement) && !has(&Part::MeasurementRest) {
            return Err(TemplateError::NoMeasurement(pattern.to_owned()));
        }
        if parts.iter().filter(|part| **part == Part::Field).count() > 1 {
            return Err(TemplateError::TwoFields(pattern.to_owned()));
        }
        Ok(Self {
            parts,
            tags,
            separator: separator.to_owned(),
        })
    }

    /// Takes a name apart. A name that is too short leaves out what is missing.
    pub(super) fn apply(&self, name: &str) -> Applied {
        let words: Vec<&str> = name.split('.').collect();
        let mut applied = Applied {
            tags: self.tags.clone(),
            ..Applied::default()
        };
        let mut measurement: Vec<&str> = Vec::new();
        for (at, (part, word)) in self.parts.iter().zip(&words).enumerate() {
            match part {
                Part::Nothing => {}
                Part::Measurement => measurement.push(word),
                Part::Field => applied.field = (*word).to_owned(),
                Part::FieldRest => {
                    applied.field = words[at..].join(&self.separator);
                    break;
                }
                Part::MeasurementRest => {
                    measurement.extend(&words[at..]);
                    break;
                }
                Part::Tag(key) => match applied.tags.iter_mut().find(|(known, _)| known == key) {
                    Some((_, value)) => {
                        value.push_str(&self.separator);
                        value.push_str(word);
                    }
                    None => applied.tags.push((key.clone(), (*word).to_owned())),
                },
            }
        }
        applied.measurement = measurement.join(&self.separator);
        applied
    }
}

/// Reads `key=value`.
pub(super) fn tag(text: &str) -> Result<(String, String), TemplateError> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() && !value.is_empty() && !value.contains('=') => {
            Ok((key.to_owned(), value.to_owned()))
        }
        _ => Err(TemplateError::Tags(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, name: &str, expected: (&str, &[(&str, &str)], &str)) {
        let template = Template::new(pattern, Vec::new(), "_").unwrap();
        let (measurement, tags, field) = expected;
        let tags = tags
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let expected = Applied {
            measurement: measurement.to_owned(),
            tags: tags.collect(),
            field: field.to_owned(),
        };
        assert_eq!(template.apply(name), expected, "{pattern} {name}");
    }

    #[test]
    fn names_are_taken_apart() {
        check("measurement", "cpu.load", ("cpu", &[], ""));
        check("measurement*", "cpu.load.x", ("cpu_load_x", &[], ""));
        check(
            ".host.measurement",
            "servers.a.cpu.x",
            ("cpu", &[("host", "a")], ""),
        );
        check(
            "region.region.measurement*",
            "us.west.cpu.load",
            ("cpu_load", &[("region", "us_west")], ""),
        );
        check(
            "measurement.host.field*",
            "disk.a.used.pct",
            ("disk", &[("host", "a")], "used_pct"),
        );
        check(
            "measurement.host.measurement.field",
            "disk.a.io.reads.more",
            ("disk_io", &[("host", "a")], "reads"),
        );
        // A name that is too short.
        check("host.dc.measurement", "a", ("", &[("host", "a")], ""));
    }

    #[test]
    fn what_makes_no_point_is_refused() {
        for (pattern, error) in [
            ("host.dc", TemplateError::NoMeasurement as fn(String) -> _),
            ("", TemplateError::NoMeasurement),
            ("measurement*.field*", TemplateError::TwoWildcards),
            ("measurement.field.field", TemplateError::TwoFields),
        ] {
            let found = Template::new(pattern, Vec::new(), ".").unwrap_err();
            assert_eq!(found, error(pattern.to_owned()));
        }
        for bad in ["", "a", "a=", "=b", "a=b=c"] {
            assert!(tag(bad).is_err(), "{bad}");
        }
    }
}

//! `SHOW TAG KEYS` and `SHOW TAG VALUES`.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use roaring::RoaringBitmap;
use tandem_influxql::ast::{BinaryOp, Expr, KeyFilter, ShowTagKeys, ShowTagValues};
use tandem_influxql::condition::{TimeContext, split_condition};
use tandem_model::TimeRange;
use tandem_store::{PolicyChoice, Store, View};

use super::measurements::matching;
use super::{Named, cut, database, in_pieces, table};
use crate::context::Context;
use crate::error::Error;
use crate::executor::warn_of_missing;
use crate::meter::Meter;
use crate::predicate::Predicate;
use crate::regex::Regex;
use crate::result::Sink;

/// `SHOW TAG KEYS …`
pub(crate) fn tag_keys(
    store: &Store,
    statement: &ShowTagKeys,
    context: &Context,
    sink: &mut dyn Sink,
) -> Result<(), Error> {
    let meter = Meter::new(store, context);
    let scope = Scope::new(
        store,
        statement.database.as_deref(),
        statement.condition.as_ref(),
        context,
        &meter,
    )?;
    let named = Named::new(&statement.sources)?;
    let filter = statement.with_key.as_ref().map(Keys::new).transpose()?;
    warn_of_missing(store.missing_files(&scope.view), sink);
    for measurement in scope.view.measurements() {
        if !named.contains(&measurement) || !scope.names(&measurement) {
            continue;
        }
        let mut keys = scope.view.tag_keys(&measurement);
        keys.retain(|key| filter.as_ref().is_none_or(|filter| filter.contains(key)));
        if let Some(series) = scope.series(&measurement, &meter)? {
            let carried = scope.view.tag_keys_of(&measurement, &series);
            keys.retain(|key| carried.contains(key));
        }
        let rows: Vec<_> = cut(keys, statement.limit, statement.offset)
            .into_iter()
            .map(|key| vec![key])
            .collect();
        if !rows.is_empty() {
            sink.series(table(Some(measurement), &["tagKey"], rows))?;
        }
    }
    Ok(())
}

/// `SHOW TAG VALUES … WITH KEY …`
pub(crate) fn tag_values(
    store: &Store,
    statement: &ShowTagValues,
    context: &Context,
    sink: &mut dyn Sink,
) -> Result<(), Error> {
    let meter = Meter::new(store, context);
    let scope = Scope::new(
        store,
        statement.database.as_deref(),
        statement.condition.as_ref(),
        context,
        &meter,
    )?;
    let named = Named::new(&statement.sources)?;
    let filter = Keys::new(&statement.with_key)?;
    warn_of_missing(store.missing_files(&scope.view), sink);
    for measurement in scope.view.measurements() {
        if !named.contains(&measurement) || !scope.names(&measurement) {
            continue;
        }
        scope.check_sides()?;
        let series = scope.series(&measurement, &meter)?;
        // Of its own: what it asks for is given back when the measurement is done.
        let meter = Meter::new(store, context);
        let mut found = Vec::new();
        for key in scope.view.tag_keys(&measurement) {
            if !filter.contains(&key) {
                continue;
            }
            meter.check()?;
            let values = scope
                .view
                .tag_values_of(&measurement, &key, series.as_ref());
            let bytes = values.iter().map(|value| size_of_val(value) + value.len());
            meter.grow(bytes.sum())?;
            found.push((key, values));
        }
        let rows = found.into_iter().flat_map(|(key, values)| {
            values
                .into_iter()
                .map(move |value| vec![key.clone(), value])
        });
        let limits = (statement.limit, statement.offset);
        in_pieces(
            Some(&measurement),
            &["key", "value"],
            rows,
            limits,
            &meter,
            sink,
        )?;
    }
    Ok(())
}

/// Where tags are looked for: all policies of a database, in the range of the condition.
///
/// What the condition says of `_name` chooses measurements, and what it says of tags chooses their series, each
/// as if the other were not there. A comparison with something else than a name on its left says nothing.
struct Scope {
    view: View,
    /// All of it, without time.
    condition: Option<Expr>,
    /// The measurements that it names; `None` when it names none.
    names: Option<BTreeSet<Vec<u8>>>,
    /// What it says of tags.
    of_tags: Option<Expr>,
}

impl Scope {
    fn new(
        store: &Store,
        own: Option<&str>,
        condition: Option<&Expr>,
        context: &Context,
        meter: &Meter<'_>,
    ) -> Result<Self, Error> {
        let database = database(own, context)?;
        let time = TimeContext {
            now_ns: context.now_ns,
            zone: TimeZone::UTC,
        };
        // The database comes first: its absence is what is told when both are wrong.
        store.retention_policies(database)?;
        let (bounds, condition) = split_condition(condition, &time)?;
        if let Some(condition) = &condition {
            check_quotes(condition)?;
            split_condition(Some(condition), &time)
                .map_err(|error| Error::tag_condition(error.to_string()))?;
        }
        // As for `SHOW SERIES`: a range that ends before it begins stands for the shards that hold both ends.
        let range = bounds.range();
        let view = match range.is_empty() {
            false => store.view(database, PolicyChoice::All, range)?,
            true => {
                let within = TimeRange::new(range.max_ns, range.min_ns);
                let view = store.view(database, PolicyChoice::All, within)?;
                view.around(within)
            }
        };
        let part = |wanted: &dyn Fn(&str) -> bool| about(condition.as_ref()?, wanted);
        let names =
            part(&|name| name == "_name").map(|condition| matching(&condition, &view, meter));
        Ok(Self {
            names: names.transpose()?,
            of_tags: part(&|name| !SYSTEM_NAMES.contains(&name)),
            view,
            condition,
        })
    }

    /// Whether the condition lets this measurement in.
    fn names(&self, measurement: &[u8]) -> bool {
        let names = self.names.as_ref();
        names.is_none_or(|names| names.contains(measurement))
    }

    /// Refuses comparisons with something else than a name on their left.
    fn check_sides(&self) -> Result<(), Error> {
        self.condition.as_ref().map_or(Ok(()), check_sides)
    }

    /// The series of a measurement that fit the condition; `None` without one.
    fn series(
        &self,
        measurement: &[u8],
        meter: &Meter<'_>,
    ) -> Result<Option<RoaringBitmap>, Error> {
        let Some(condition) = &self.of_tags else {
            return Ok(None);
        };
        Ok(Some(Predicate::matching(
            Some(condition),
            &self.view,
            measurement,
            meter,
        )?))
    }
}

/// Names that InfluxDB keeps for itself: no tag is looked for under them.
const SYSTEM_NAMES: [&str; 7] = [
    "_fieldKeys",
    "_measurements",
    "_name",
    "_series",
    "_tagKey",
    "_tagKeys",
    "_tags",
];

/// What `condition` says of the names that are `wanted`, and whatever is no comparison of tags; `None` when that
/// is nothing.
fn about(condition: &Expr, wanted: &dyn Fn(&str) -> bool) -> Option<Expr> {
    match condition {
        Expr::Paren(inner) => about(inner, wanted),
        Expr::Binary { op, lhs, rhs } if op.is_logical() => {
            match (about(lhs, wanted), about(rhs, wanted)) {
                (Some(lhs), Some(rhs)) => Some(Expr::binary(*op, lhs, rhs)),
                (lhs, rhs) => lhs.or(rhs),
            }
        }
        Expr::Binary { op, lhs, rhs } if compares_tags(*op) => {
            // Of a comparison in a comparison, what is left without it.
            let part = |side: &Expr| match side {
                Expr::Binary { .. } | Expr::Paren(_) => about(side, wanted),
                leaf => Some(leaf.clone()),
            };
            match (part(lhs), part(rhs)) {
                (Some(Expr::VarRef(name)), Some(_)) if wanted(&name.name) => {
                    Some(condition.clone())
                }
                (Some(_), Some(_)) => None,
                (lhs, rhs) => lhs.or(rhs),
            }
        }
        other => Some(other.clone()),
    }
}

fn check_sides(condition: &Expr) -> Result<(), Error> {
    match condition {
        Expr::Paren(inner) => check_sides(inner),
        Expr::Binary { op, lhs, rhs } if op.is_logical() => {
            check_sides(lhs)?;
            check_sides(rhs)
        }
        Expr::Binary { op, lhs, .. } if !matches!(&**lhs, Expr::VarRef(_)) => Err(
            Error::tag_condition(format!("left side of '{}' must be a tag key", op.as_str())),
        ),
        _ => Ok(()),
    }
}

const fn compares_tags(op: BinaryOp) -> bool {
    op.is_regex() || matches!(op, BinaryOp::Eq | BinaryOp::Neq)
}

/// Refuses `host = "web"`, which compares two tags and was meant for a string.
fn check_quotes(condition: &Expr) -> Result<(), Error> {
    match condition {
        Expr::Paren(inner) => check_quotes(inner),
        Expr::Binary {
            op: BinaryOp::And | BinaryOp::Or,
            lhs,
            rhs,
        } => {
            check_quotes(lhs)?;
            check_quotes(rhs)
        }
        Expr::Binary {
            op: BinaryOp::Eq | BinaryOp::Neq,
            lhs,
            rhs,
        } if matches!((&**lhs, &**rhs), (Expr::VarRef(_), Expr::VarRef(_))) => {
            Err(Error::tag_condition(format!(
                "bad WHERE clause for metaquery; one term must be a string literal tag value within single quotes: {condition}"
            )))
        }
        _ => Ok(()),
    }
}

/// Which tag keys a `WITH KEY` clause means.
pub(super) enum Keys {
    Listed { keys: Vec<Vec<u8>>, negated: bool },
    Matching { regex: Regex, negated: bool },
}

impl Keys {
    pub(super) fn new(filter: &KeyFilter) -> Result<Self, Error> {
        let listed = |keys: &[String], negated| Self::Listed {
            keys: keys.iter().map(|key| key.clone().into_bytes()).collect(),
            negated,
        };
        Ok(match filter {
            KeyFilter::Equal(key) => listed(std::slice::from_ref(key), false),
            KeyFilter::NotEqual(key) => listed(std::slice::from_ref(key), true),
            KeyFilter::In(keys) => listed(keys, false),
            KeyFilter::Match(pattern) => Self::Matching {
                regex: Regex::new(pattern)?,
                negated: false,
            },
            KeyFilter::NotMatch(pattern) => Self::Matching {
                regex: Regex::new(pattern)?,
                negated: true,
            },
        })
    }

    pub(super) fn contains(&self, key: &[u8]) -> bool {
        match self {
            Self::Listed { keys, negated } => keys.iter().any(|listed| listed == key) != *negated,
            Self::Matching { regex, negated } => regex.is_match(key) != *negated,
        }
    }
}

#[cfg(test)]
mod tests {
    use tandem_influxql::{Params, parse_expr};

    use super::*;

    #[track_caller]
    fn condition(text: &str) -> Expr {
        parse_expr(text, &Params::default()).expect("a condition")
    }

    #[test]
    fn a_condition_is_divided_between_names_and_tags() {
        let check = |text: &str, names: &str, tags: &str| {
            let condition = condition(text);
            let part = |of_names: bool| {
                let wanted = move |name: &str| (name == "_name") == of_names;
                about(&condition, &wanted).map_or(String::new(), |part| part.to_string())
            };
            assert_eq!((part(true).as_str(), part(false).as_str()), (names, tags));
        };
        check("host = 'a'", "", "host = 'a'");
        check("_name = 'm' OR host = 'a'", "_name = 'm'", "host = 'a'");
        check("'a' = host", "", "");
        check("- host != 'a' AND h =~ /x/", "", "h =~ /x/");
        check("host > 'a'", "host > 'a'", "host > 'a'");
    }

    #[test]
    fn a_name_stands_on_the_left() {
        let refused = |text: &str| check_sides(&condition(text)).is_err();
        assert!(refused("'a' = host"));
        assert!(refused("host = 'a' OR (h = 'b' AND -host != 'a')"));
        assert!(!refused("host = 'a' OR h =~ /b/"));
    }
}

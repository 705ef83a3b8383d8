//! `SHOW TAG KEYS` and `SHOW TAG VALUES`.

use jiff::tz::TimeZone;
use roaring::RoaringBitmap;
use tandem_influxql::ast::{BinaryOp, Expr, KeyFilter, ShowTagKeys, ShowTagValues};
use tandem_influxql::condition::{TimeContext, split_condition};
use tandem_store::{PolicyChoice, Store, View};

use super::{Named, check_operators, cut, database, in_pieces, table};
use crate::context::Context;
use crate::error::Error;
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
    let scope = Scope::new(
        store,
        statement.database.as_deref(),
        statement.condition.as_ref(),
        context,
    )?;
    let named = Named::new(&statement.sources)?;
    let filter = statement.with_key.as_ref().map(Keys::new).transpose()?;
    for measurement in scope.view.measurements() {
        if !named.contains(&measurement) {
            continue;
        }
        let mut keys = scope.view.tag_keys(&measurement);
        keys.retain(|key| filter.as_ref().is_none_or(|filter| filter.contains(key)));
        if let Some(series) = scope.series(&measurement)? {
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
    let scope = Scope::new(
        store,
        statement.database.as_deref(),
        statement.condition.as_ref(),
        context,
    )?;
    let named = Named::new(&statement.sources)?;
    let filter = Keys::new(&statement.with_key)?;
    for measurement in scope.view.measurements() {
        if !named.contains(&measurement) {
            continue;
        }
        let series = scope.series(&measurement)?;
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
struct Scope {
    view: View,
    condition: Option<Expr>,
}

impl Scope {
    fn new(
        store: &Store,
        own: Option<&str>,
        condition: Option<&Expr>,
        context: &Context,
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
            check_operators(condition)?;
        }
        Ok(Self {
            view: store.view(database, PolicyChoice::All, bounds.range())?,
            condition,
        })
    }

    /// The series of a measurement that fit the condition; `None` without one.
    fn series(&self, measurement: &[u8]) -> Result<Option<RoaringBitmap>, Error> {
        let Some(condition) = &self.condition else {
            return Ok(None);
        };
        Ok(Some(Predicate::matching(
            Some(condition),
            &self.view,
            measurement,
        )?))
    }
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

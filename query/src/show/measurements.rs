//! `SHOW MEASUREMENTS`, and which measurements a condition on tags finds.

use std::collections::BTreeSet;

use roaring::RoaringBitmap;
use tandem_influxql::ast::{BinaryOp, Expr, NameOrAll, ShowMeasurements};
use tandem_model::TimeRange;
use tandem_store::{PolicyChoice, Store, StoreError, View};

use super::{Named, cut, database, table};
use crate::context::Context;
use crate::error::Error;
use crate::meter::Meter;
use crate::regex::Regex;
use crate::result::Sink;

/// `SHOW MEASUREMENTS …`
pub(crate) fn measurements(
    store: &Store,
    statement: &ShowMeasurements,
    context: &Context,
    sink: &mut dyn Sink,
) -> Result<(), Error> {
    if statement
        .condition
        .as_ref()
        .is_some_and(Expr::has_time_comparison)
    {
        return Err(Error::refused(
            "SHOW MEASUREMENTS doesn't support time in WHERE clause",
        ));
    }
    let named = statement
        .with_measurement
        .iter()
        .map(Named::name)
        .collect::<Result<_, _>>()
        .map(Named)?;
    let meter = Meter::new(store, context);
    let names = |view: &View| -> Result<Vec<Vec<u8>>, Error> {
        let found = match &statement.condition {
            Some(condition) => Some(matching(condition, view, &meter)?),
            None => None,
        };
        let mut names = view.measurements();
        names.retain(|name| {
            named.contains(name) && found.as_ref().is_none_or(|found| found.contains(name))
        });
        Ok(names)
    };
    let own = match (&statement.database, &statement.retention_policy) {
        (Some(NameOrAll::Name(name)), Some(NameOrAll::All)) => {
            return everywhere(store, std::slice::from_ref(name), statement, &names, sink);
        }
        (Some(NameOrAll::All), _) => {
            return everywhere(store, &store.databases(), statement, &names, sink);
        }
        (Some(NameOrAll::Name(name)), _) => Some(name.as_str()),
        (None, _) => None,
    };
    let policy = match &statement.retention_policy {
        Some(NameOrAll::Name(name)) => PolicyChoice::Named(name),
        Some(NameOrAll::All) | None => PolicyChoice::All,
    };
    let view = match store.view(database(own, context)?, policy, TimeRange::ALL) {
        Ok(view) => view,
        // A database that is not there has no measurements.
        Err(StoreError::DatabaseNotFound(_)) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let rows: Vec<_> = cut(names(&view)?, statement.limit, statement.offset)
        .into_iter()
        .map(|name| vec![name])
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    Ok(sink.series(table(Some(b"measurements".to_vec()), &["name"], rows))?)
}

/// Tells which measurements of a view are wanted.
type Names<'a> = dyn Fn(&View) -> Result<Vec<Vec<u8>>, Error> + 'a;

/// The measurements of several policies, or databases, each with where it is.
fn everywhere(
    store: &Store,
    databases: &[String],
    statement: &ShowMeasurements,
    names: &Names<'_>,
    sink: &mut dyn Sink,
) -> Result<(), Error> {
    let mut rows = Vec::new();
    for database in databases {
        let policies = match store.retention_policies(database) {
            Ok(policies) => policies,
            Err(StoreError::DatabaseNotFound(_)) => continue,
            Err(error) => return Err(error.into()),
        };
        let wanted = policies
            .iter()
            .filter(|policy| match &statement.retention_policy {
                Some(NameOrAll::Name(name)) => *name == policy.name,
                Some(NameOrAll::All) | None => true,
            });
        for policy in wanted {
            let choice = PolicyChoice::Named(&policy.name);
            let view = match store.view(database, choice, TimeRange::ALL) {
                Ok(view) => view,
                // It was dropped meanwhile.
                Err(StoreError::DatabaseNotFound(_) | StoreError::PolicyNotFound(_)) => continue,
                Err(error) => return Err(error.into()),
            };
            let place = [database, &policy.name].map(|name| name.clone().into_bytes());
            let [database, policy] = place;
            let found = names(&view)?.into_iter();
            rows.extend(found.map(|name| vec![name, database.clone(), policy.clone()]));
        }
    }
    let rows = cut(rows, statement.limit, statement.offset);
    if rows.is_empty() {
        return Ok(());
    }
    let columns = ["name", "database", "retention policy"];
    Ok(sink.series(table(Some(b"measurements".to_vec()), &columns, rows))?)
}

/// The measurements that a condition on tags finds: those with a series whose tag fits. A measurement
/// without the tag is never found, and `!=` finds one where no series has the value.
pub(super) fn matching(
    condition: &Expr,
    view: &View,
    meter: &Meter<'_>,
) -> Result<BTreeSet<Vec<u8>>, Error> {
    meter.check()?;
    let Expr::Binary { op, lhs, rhs } = condition else {
        return match condition {
            Expr::Paren(inner) => matching(inner, view, meter),
            other => Err(Error::tag_condition(format!(
                "invalid condition expression: {other}"
            ))),
        };
    };
    match op {
        BinaryOp::And => Ok(&matching(lhs, view, meter)? & &matching(rhs, view, meter)?),
        BinaryOp::Or => Ok(&matching(lhs, view, meter)? | &matching(rhs, view, meter)?),
        BinaryOp::Eq | BinaryOp::Neq | BinaryOp::EqRegex | BinaryOp::NeqRegex => {
            let Expr::VarRef(tag) = &**lhs else {
                return Err(Error::tag_condition(format!(
                    "left side of '{}' must be a tag key",
                    op.as_str()
                )));
            };
            let fits = Fits::new(*op, rhs)?;
            let mut names = view.measurements();
            names.retain(|name| {
                if tag.name == "_name" {
                    return fits.is_match(name) != fits.negated;
                }
                let key = tag.name.as_bytes();
                !view.series_with_tag(name, key).is_empty()
                    && fits.series(view, name, key).is_empty() == fits.negated
            });
            Ok(names.into_iter().collect())
        }
        _ => Err(Error::tag_condition("invalid tag comparison operator")),
    }
}

/// What a tag is compared with.
struct Fits {
    text: Vec<u8>,
    regex: Option<Regex>,
    negated: bool,
}

impl Fits {
    fn new(op: BinaryOp, value: &Expr) -> Result<Self, Error> {
        let negated = matches!(op, BinaryOp::Neq | BinaryOp::NeqRegex);
        match value {
            Expr::Regex(pattern) if op.is_regex() => Ok(Self {
                text: Vec::new(),
                regex: Some(Regex::new(pattern)?),
                negated,
            }),
            Expr::String(text) if !op.is_regex() => Ok(Self {
                text: text.clone().into_bytes(),
                regex: None,
                negated,
            }),
            _ => Err(Error::tag_condition(format!(
                "right side of '{}' must be a tag value string",
                op.as_str()
            ))),
        }
    }

    /// The series of a measurement that carry a tag with a value that fits.
    fn series(&self, view: &View, measurement: &[u8], key: &[u8]) -> RoaringBitmap {
        if self.regex.is_none() && !self.text.is_empty() {
            return view.series_with_value(measurement, key, &self.text);
        }
        view.series_with_fitting_value(measurement, key, |value| self.is_match(value))
    }

    fn is_match(&self, text: &[u8]) -> bool {
        self.regex
            .as_ref()
            .map_or(self.text == text, |regex| regex.is_match(text))
    }
}

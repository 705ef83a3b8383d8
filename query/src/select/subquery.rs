//! The rows of a subquery as the points of the statement around it.

use tandem_influxql::ast::{BinaryOp, DataType, Expr, VarRef};

use super::cursor::{Cursor, Row};
use super::plan::{Level, Slotted};
use super::point::{Point, Points, Stream, Tags};
use super::run::Run;
use super::window::Options;
use crate::error::Error;
use crate::lower::lower;
use crate::result::Value;
use crate::scalar::Scalar;

/// The points that `outer` reads from the subquery of `inner`; `None` when the subquery has no
/// column for the driver. The points carry the tags `group_by`.
pub(crate) fn points<'a>(
    outer: &'a Level,
    inner: Run<'a>,
    driver: Option<&VarRef>,
    options: &Options,
    group_by: &[String],
) -> Result<Option<Stream<'a>>, Error> {
    let driver = match driver {
        Some(driver) => match column(inner.level, driver) {
            // A column without a type has no values.
            Some(Column::Value(_, None)) => return Ok(None),
            Some(column) => Some(column),
            None => return Ok(None),
        },
        None => None,
    };
    let at = |reference: &Slotted<VarRef>| column(inner.level, &reference.what);
    let aux = outer.references.iter().map(at).collect();
    let (filter, filter_columns) = filter(outer, inner.level)?;
    let rows = inner.cursor(&inner.inner_options(options))?;
    let kept = |tag: &String| inner.level.group_by.iter().position(|known| known == tag);
    let tags = group_by.iter().filter_map(kept).collect();
    Ok(Some(Box::new(SubqueryPoints {
        rows,
        driver,
        aux,
        filter,
        filter_columns,
        tags,
    })))
}

/// Whether the rows of `inner` have something by the name of `reference`.
pub(crate) fn has_column(inner: &Level, reference: &VarRef) -> bool {
    column(inner, reference).is_some()
}

/// Whether the rows of `inner` have values for `reference`: a column of any type, or a tag.
pub(crate) fn has_typed_column(inner: &Level, reference: &VarRef) -> bool {
    let column = column(inner, reference);
    column.is_some_and(|column| !matches!(column, Column::Value(_, None)))
}

/// Whether that is a tag, whose values are strings whatever they are cast to. So is what `top` and `bottom` have
/// between field and number, even if it is a field.
pub(crate) fn has_tag(inner: &Level, reference: &VarRef) -> bool {
    match column(inner, reference) {
        Some(Column::Tag(_)) => true,
        Some(Column::Value(at, _)) => {
            let output = inner.outputs.get(at);
            output.is_some_and(|output| output.is_ranking_tag)
        }
        _ => false,
    }
}

/// Where a value of a row comes from.
#[derive(Clone, Copy, Debug)]
enum Column {
    /// A column, cast to a type where that is possible.
    Value(usize, Option<DataType>),
    /// A tag of the series, by its place among the tags that the subquery keeps apart.
    Tag(usize),
    /// A tag that the series do not have.
    NoTag,
}

impl Column {
    fn of(self, row: &Row) -> Value {
        match self {
            Self::Value(at, data_type) => {
                let value = row.values.get(at).cloned().unwrap_or(Value::Null);
                match data_type {
                    // NaN stays what it is.
                    Some(_) if matches!(value, Value::Float(v) if v.is_nan()) => value,
                    Some(data_type) => value.clone().cast(data_type).unwrap_or(value),
                    None => value,
                }
            }
            Self::Tag(at) => Value::String(row.tags.get(at).cloned().unwrap_or_default()),
            Self::NoTag => Value::String(Vec::new()),
        }
    }
}

/// What `reference` means in the rows of `inner`: a column of this name, or a tag that it groups by.
fn column(inner: &Level, reference: &VarRef) -> Option<Column> {
    let mut outputs = inner.outputs.iter().enumerate();
    if let Some((at, output)) = outputs.find(|(_, output)| output.name == reference.name) {
        let data_type = match output.is_ranking_tag {
            true => Some(DataType::String),
            false => reference.data_type,
        };
        return Some(Column::Value(at, data_type));
    }
    if !inner.dimensions.contains(&reference.name) {
        return None;
    }
    tag(inner, &reference.name)
}

fn tag(inner: &Level, name: &str) -> Option<Column> {
    inner
        .group_by
        .iter()
        .position(|tag| tag == name)
        .map(Column::Tag)
}

/// The condition of `outer` over the rows of `inner`.
fn filter(outer: &Level, inner: &Level) -> Result<(Option<Scalar>, Vec<Option<Column>>), Error> {
    let Some(condition) = &outer.condition else {
        return Ok((None, Vec::new()));
    };
    let mut columns = Vec::new();
    let condition = with_missing_as_false(condition);
    let filter = lower(&condition, &mut |expr| match expr {
        Expr::VarRef(reference) => {
            let output = inner
                .outputs
                .iter()
                .position(|output| output.column == reference.name);
            columns.push(match output {
                Some(at) => Some(Column::Value(at, reference.data_type)),
                // What is no column is taken for a tag.
                None => tag(inner, &reference.name).or(Some(Column::NoTag)),
            });
            Some(columns.len() - 1)
        }
        _ => None,
    })?;
    Ok((Some(filter), columns))
}

/// The condition with what is compared with `true` or `false` made false where it is missing. Rows of
/// measurements know no such rule: there, what is missing is equal to nothing.
pub(crate) fn with_missing_as_false(condition: &Expr) -> Expr {
    let or_false = |expr: &Expr| {
        let expr = Box::new(expr.clone());
        Expr::binary(BinaryOp::Or, Expr::Paren(expr), Expr::Boolean(false))
    };
    match condition {
        Expr::Paren(inner) => Expr::Paren(Box::new(with_missing_as_false(inner))),
        Expr::Binary { op, lhs, rhs } if op.is_logical() => {
            Expr::binary(*op, with_missing_as_false(lhs), with_missing_as_false(rhs))
        }
        Expr::Binary {
            op: op @ (BinaryOp::Eq | BinaryOp::Neq),
            lhs,
            rhs,
        } => match (&**lhs, &**rhs) {
            (known @ Expr::Boolean(_), other) => Expr::binary(*op, known.clone(), or_false(other)),
            (other, known @ Expr::Boolean(_)) => Expr::binary(*op, or_false(other), known.clone()),
            _ => condition.clone(),
        },
        other => other.clone(),
    }
}

const fn is_number(data_type: DataType) -> bool {
    matches!(
        data_type,
        DataType::Float | DataType::Integer | DataType::Unsigned
    )
}

struct SubqueryPoints<'a> {
    rows: Cursor<'a>,
    driver: Option<Column>,
    aux: Vec<Option<Column>>,
    filter: Option<Scalar>,
    filter_columns: Vec<Option<Column>>,
    /// The tags that the level around keeps apart, by their place among those of the subquery.
    tags: Vec<usize>,
}

impl Points for SubqueryPoints<'_> {
    fn next(&mut self) -> Result<Option<Point>, Error> {
        while let Some(row) = self.rows.next()? {
            let value =
                |column: &Option<Column>| column.map_or(Value::Null, |column| column.of(&row));
            if let Some(filter) = &self.filter {
                let slots: Vec<Value> = self.filter_columns.iter().map(value).collect();
                if !filter.is_true(&slots) {
                    continue;
                }
            }
            let tags = self
                .tags
                .iter()
                .filter_map(|at| row.tags.get(*at).cloned())
                .collect();
            return Ok(Some(Point {
                time_ns: row.time_ns,
                value: self.driver.map_or(Value::Null, |driver| match driver {
                    Column::Value(_, Some(data_type)) => match driver.of(&row) {
                        // As a number, it is what a processor makes of it.
                        Value::Float(v) if v.is_nan() && !is_number(data_type) => Value::Null,
                        value => value.cast(data_type).unwrap_or(Value::Null),
                    },
                    _ => driver.of(&row),
                }),
                aux: self.aux.iter().map(value).collect(),
                tags: Tags::new(tags),
            }));
        }
        Ok(None)
    }
}

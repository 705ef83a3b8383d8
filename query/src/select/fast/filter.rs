//! Conditions on fields, looked at a batch of rows at a time.
//!
//! Comparisons of a number with a constant, and `AND` and `OR` of them, run over slices; everything else
//! is evaluated row by row as the plain executor does it. Only the fields of the condition are decoded;
//! the others wait until it is known that rows fit.

use std::sync::Arc;

use tandem_influxql::ast::{BinaryOp, DataType, VarRef};
use tandem_store::{Batch, StoreError, ValuesSlice};

use super::cells::{cast_cell, is_of};
use crate::result::Value;
use crate::scalar::Scalar;
use crate::select::groups::PlannedSeries;
use crate::select::plan::Leaf;

/// Where the value of a slot of a condition comes from.
#[derive(Clone, Debug, PartialEq)]
enum Slot {
    /// A field that is read, cast to a type.
    Field(usize, Option<DataType>),
    /// A tag of the series, or nothing.
    Constant(Value),
}

/// Makes the conditions of one series after another; those that are alike are one.
#[derive(Debug, Default)]
pub(super) struct Filters {
    last: Option<(Arc<Scalar>, Arc<Filter>)>,
}

impl Filters {
    /// The condition that is left for `series`; `None` when every row fits. `field` gives the place of
    /// a field among those that are read.
    pub(super) fn of(
        &mut self,
        leaf: &Leaf,
        series: &PlannedSeries,
        field: &mut dyn FnMut(&str) -> usize,
    ) -> Option<Arc<Filter>> {
        let scalar = series.residual.as_ref()?;
        if let Some((known, filter)) = &self.last
            && Arc::ptr_eq(known, scalar)
        {
            return Some(Arc::clone(filter));
        }
        let filter = Arc::new(Filter::new(leaf, series, scalar, field));
        // What it says of tags is true of this series alone.
        let is_of_all = |slot: &Slot| matches!(slot, Slot::Field(..));
        if filter.slots.iter().all(is_of_all) {
            self.last = Some((Arc::clone(scalar), Arc::clone(&filter)));
        }
        Some(filter)
    }
}

/// A condition that the rows of a series have to fit.
#[derive(Debug)]
pub(super) struct Filter {
    node: Node,
    slots: Vec<Slot>,
    /// The fields to decode.
    fields: Vec<usize>,
}

#[derive(Debug)]
enum Node {
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    /// A number of field `field` beside a constant.
    Number {
        field: usize,
        data_type: Option<DataType>,
        op: BinaryOp,
        literal: Literal,
        /// The comparison itself, for columns of another type.
        whole: Arc<Scalar>,
    },
    Rows(Arc<Scalar>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Literal {
    Float(f64),
    Integer(i64),
}

impl Filter {
    fn new(
        leaf: &Leaf,
        series: &PlannedSeries,
        scalar: &Scalar,
        field: &mut dyn FnMut(&str) -> usize,
    ) -> Self {
        let slots: Vec<Slot> = leaf
            .conditions
            .iter()
            .map(|reference| slot(leaf, series, reference, field))
            .collect();
        let mut fields: Vec<usize> = slots
            .iter()
            .filter_map(|slot| match slot {
                Slot::Field(at, _) => Some(*at),
                Slot::Constant(_) => None,
            })
            .collect();
        fields.sort_unstable();
        fields.dedup();
        let node = node(scalar, &slots);
        Self {
            node,
            slots,
            fields,
        }
    }

    /// The rows of a batch that fit.
    pub(super) fn fitting(
        &self,
        batch: &mut Batch<'_, '_>,
        fits: &mut Vec<bool>,
    ) -> Result<Rows, StoreError> {
        for field in &self.fields {
            batch.load(*field)?;
        }
        self.test(&self.node, batch, fits);
        let count = fits.iter().filter(|fits| **fits).count();
        Ok(if count == 0 {
            Rows::None
        } else if count == fits.len() {
            Rows::All
        } else {
            let fitting = (0_u32..).zip(fits.iter()).filter(|(_, fits)| **fits);
            Rows::Some(fitting.map(|(row, _)| row).collect())
        })
    }

    fn test(&self, node: &Node, batch: &Batch<'_, '_>, fits: &mut Vec<bool>) {
        match node {
            Node::And(a, b) | Node::Or(a, b) => {
                let is_and = matches!(node, Node::And(..));
                self.test(a, batch, fits);
                let mut others = Vec::with_capacity(fits.len());
                self.test(b, batch, &mut others);
                for (fits, other) in fits.iter_mut().zip(others) {
                    *fits = if is_and {
                        *fits && other
                    } else {
                        *fits || other
                    };
                }
            }
            Node::Number {
                field,
                data_type,
                op,
                literal,
                whole,
            } => {
                let Some(column) = batch.column(*field) else {
                    fits.clear();
                    fits.resize(batch.times_ns().len(), false);
                    return;
                };
                // A cast changes what is compared.
                let as_it_is = match data_type {
                    None | Some(DataType::AnyField) => true,
                    Some(data_type) => is_of(&column.values, *data_type),
                };
                match (column.values, *literal) {
                    _ if !as_it_is => return self.rows(whole, batch, fits),
                    (ValuesSlice::Integer(v), Literal::Integer(b)) => {
                        compare(fits, v, *op, |value| value, b);
                    }
                    (ValuesSlice::Integer(v), Literal::Float(b)) => {
                        compare(fits, v, *op, |value| value as f64, b);
                    }
                    (ValuesSlice::Float(v), Literal::Float(b)) => {
                        compare(fits, v, *op, |value| value, b);
                    }
                    (ValuesSlice::Float(v), Literal::Integer(b)) => {
                        compare(fits, v, *op, |value| value, b as f64);
                    }
                    _ => return self.rows(whole, batch, fits),
                }
                if let Some(written) = column.written {
                    for (row, fits) in fits.iter_mut().enumerate() {
                        *fits &= written.get(row);
                    }
                }
            }
            Node::Rows(scalar) => self.rows(scalar, batch, fits),
        }
    }

    fn rows(&self, scalar: &Scalar, batch: &Batch<'_, '_>, fits: &mut Vec<bool>) {
        let columns: Vec<_> = self
            .slots
            .iter()
            .map(|slot| match slot {
                Slot::Field(field, _) => batch.column(*field),
                Slot::Constant(_) => None,
            })
            .collect();
        let mut values = Vec::with_capacity(self.slots.len());
        fits.clear();
        fits.extend((0..batch.times_ns().len()).map(|row| {
            values.clear();
            values.extend(
                self.slots
                    .iter()
                    .zip(&columns)
                    .map(|(slot, column)| match slot {
                        Slot::Field(_, data_type) => cast_cell(column.as_ref(), row, *data_type),
                        Slot::Constant(value) => value.clone(),
                    }),
            );
            scalar.is_true(&values)
        }));
    }
}

/// Rows of a batch.
#[derive(Debug)]
pub(super) enum Rows {
    None,
    All,
    /// These, ascending.
    Some(Vec<u32>),
}

fn compare<T: Copy, U: PartialOrd + Copy>(
    fits: &mut Vec<bool>,
    values: &[T],
    op: BinaryOp,
    as_other: impl Fn(T) -> U,
    literal: U,
) {
    fits.clear();
    let values = values.iter().map(|value| as_other(*value));
    match op {
        BinaryOp::Eq => fits.extend(values.map(|value| value == literal)),
        BinaryOp::Neq => fits.extend(values.map(|value| value != literal)),
        BinaryOp::Lt => fits.extend(values.map(|value| value < literal)),
        BinaryOp::Lte => fits.extend(values.map(|value| value <= literal)),
        BinaryOp::Gt => fits.extend(values.map(|value| value > literal)),
        _ => fits.extend(values.map(|value| value >= literal)),
    }
}

/// As the plain executor's scan finds it.
fn slot(
    leaf: &Leaf,
    series: &PlannedSeries,
    reference: &VarRef,
    field: &mut dyn FnMut(&str) -> usize,
) -> Slot {
    let is_field = reference.data_type != Some(DataType::Tag)
        && leaf.measurement.field(&reference.name).is_some();
    if is_field {
        return Slot::Field(field(&reference.name), reference.data_type);
    }
    match reference.data_type {
        None | Some(DataType::Tag) => {
            let name = std::slice::from_ref(&reference.name);
            Slot::Constant(leaf.tags(series.id, name).pop().unwrap_or(Value::Null))
        }
        Some(_) => Slot::Constant(Value::Null),
    }
}

fn node(scalar: &Scalar, slots: &[Slot]) -> Node {
    let Scalar::Binary { op, lhs, rhs } = scalar else {
        return Node::Rows(Arc::new(scalar.clone()));
    };
    match (op, &**lhs, &**rhs) {
        (BinaryOp::And, lhs, rhs) if is_test(lhs) && is_test(rhs) => {
            Node::And(Box::new(node(lhs, slots)), Box::new(node(rhs, slots)))
        }
        (BinaryOp::Or, lhs, rhs) if is_test(lhs) && is_test(rhs) => {
            Node::Or(Box::new(node(lhs, slots)), Box::new(node(rhs, slots)))
        }
        (op, Scalar::Slot(slot), Scalar::Literal(literal)) if is_comparison(*op) => {
            let literal = match literal {
                Value::Float(v) => Some(Literal::Float(*v)),
                Value::Integer(v) => Some(Literal::Integer(*v)),
                _ => None,
            };
            let whole = Arc::new(scalar.clone());
            match (slots.get(*slot), literal) {
                (Some(Slot::Field(field, data_type)), Some(literal)) => Node::Number {
                    field: *field,
                    data_type: *data_type,
                    op: *op,
                    literal,
                    whole,
                },
                _ => Node::Rows(whole),
            }
        }
        _ => Node::Rows(Arc::new(scalar.clone())),
    }
}

/// Whether the value is true or false and never null.
fn is_test(scalar: &Scalar) -> bool {
    match scalar {
        Scalar::Binary { op, lhs, rhs } => {
            is_comparison(*op) || (op.is_logical() && is_test(lhs) && is_test(rhs))
        }
        _ => false,
    }
}

const fn is_comparison(op: BinaryOp) -> bool {
    matches!(
        op,
        BinaryOp::Eq | BinaryOp::Neq | BinaryOp::Lt | BinaryOp::Lte | BinaryOp::Gt | BinaryOp::Gte
    )
}

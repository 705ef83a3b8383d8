//! Conditions, split between the index and the rows.
//!
//! What a condition says of tags is answered by the index, as sets of series; what it says of fields
//! has to be looked at row by row. For each series the two are put together: the condition may be
//! settled already, or an expression over the row is left.
//!
//! A missing tag counts as the empty string, but two missing tags are not equal. A comparison of a
//! tag other than `= != =~ !~` finds no series. That is what InfluxDB's index does.

use std::collections::HashMap;
use std::sync::Arc;

use roaring::RoaringBitmap;
use tandem_influxql::ast::{BinaryOp, DataType, Expr, VarRef};
use tandem_model::{FieldType, SeriesId};
use tandem_store::View;

use crate::error::Error;
use crate::lower::lower;
use crate::meter::Meter;
use crate::regex::Regex;
use crate::scalar::Scalar;

/// What a condition leaves to check in the rows of one series.
#[derive(Clone, Debug)]
pub(crate) enum Residual {
    /// No row fits.
    Never,
    /// Every row fits.
    Always,
    /// Rows for which this is true fit; slots are the condition's references.
    When(Arc<Scalar>),
}

/// A condition on one measurement.
#[derive(Debug)]
pub(crate) struct Predicate {
    node: Node,
    /// The series of the measurement.
    all: RoaringBitmap,
    /// The sets that [`Node::Series`] points to.
    sets: Vec<RoaringBitmap>,
    /// The references that residuals read, by slot.
    references: Vec<VarRef>,
    /// Whether some of it is arithmetic that is taken for true.
    has_arithmetic: bool,
    /// Residuals by the truth of each set.
    residuals: HashMap<Vec<bool>, Residual>,
}

/// What a tag counts as that a series does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MissingTags {
    /// The empty string.
    Empty,
    /// Nothing: no comparison with it is true.
    Nothing,
}

#[derive(Debug)]
enum Node {
    Constant(bool),
    /// True for the series of this set.
    Series(usize),
    /// Has to be looked at row by row.
    Rows(Scalar),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
}

impl Predicate {
    /// The condition on `measurement`, whose fields are `fields`; `None` is true for every row.
    ///
    /// `fields` are sorted by name.
    ///
    /// # Errors
    /// A regular expression that does not compile; when the statement is not wanted any more.
    pub(crate) fn new(
        condition: Option<&Expr>,
        view: &View,
        measurement: &[u8],
        fields: &[(Vec<u8>, FieldType)],
        meter: &Meter<'_>,
    ) -> Result<Self, Error> {
        let missing = MissingTags::Empty;
        Self::with_missing_tags(missing, condition, view, measurement, fields, meter)
    }

    fn with_missing_tags(
        missing_tags: MissingTags,
        condition: Option<&Expr>,
        view: &View,
        measurement: &[u8],
        fields: &[(Vec<u8>, FieldType)],
        meter: &Meter<'_>,
    ) -> Result<Self, Error> {
        let mut predicate = Self {
            node: Node::Constant(true),
            all: view.series(measurement),
            sets: Vec::new(),
            references: Vec::new(),
            has_arithmetic: false,
            residuals: HashMap::new(),
        };
        if let Some(condition) = condition {
            predicate.node = Builder {
                view,
                measurement,
                fields,
                missing_tags,
                meter,
                slots: HashMap::new(),
                predicate: &mut predicate,
            }
            .node(condition)?;
        }
        Ok(predicate)
    }

    /// The series of `measurement` that may have rows that fit `condition`; what the condition says of
    /// fields is taken for true.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub(crate) fn matching(
        condition: Option<&Expr>,
        view: &View,
        measurement: &[u8],
        meter: &Meter<'_>,
    ) -> Result<RoaringBitmap, Error> {
        let fields = match condition {
            Some(_) => view.fields(measurement),
            None => Vec::new(),
        };
        Self::new(condition, view, measurement, &fields, meter)?.candidates(meter)
    }

    /// As [`Self::new`], but a comparison of a tag that a series does not have is false.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub(crate) fn present(
        condition: Option<&Expr>,
        view: &View,
        measurement: &[u8],
        meter: &Meter<'_>,
    ) -> Result<Self, Error> {
        let fields = view.fields(measurement);
        let missing = MissingTags::Nothing;
        Self::with_missing_tags(missing, condition, view, measurement, &fields, meter)
    }

    /// Whether some of it is arithmetic that is taken for true.
    pub(crate) const fn has_arithmetic(&self) -> bool {
        self.has_arithmetic
    }

    /// The references that residuals read, by slot.
    pub(crate) fn references(&self) -> &[VarRef] {
        &self.references
    }

    /// The series that may have rows that fit.
    ///
    /// # Errors
    /// When the statement is not wanted any more.
    pub(crate) fn candidates(&self, meter: &Meter<'_>) -> Result<RoaringBitmap, Error> {
        self.candidates_of(&self.node, meter)
    }

    fn candidates_of(&self, node: &Node, meter: &Meter<'_>) -> Result<RoaringBitmap, Error> {
        if matches!(node, Node::And(..) | Node::Or(..)) {
            meter.check()?;
        }
        Ok(match node {
            Node::Constant(false) => RoaringBitmap::new(),
            Node::Constant(true) | Node::Rows(_) => self.all.clone(),
            Node::Series(at) => self.sets[*at].clone(),
            Node::And(a, b) => self.candidates_of(a, meter)? & self.candidates_of(b, meter)?,
            Node::Or(a, b) => self.candidates_of(a, meter)? | self.candidates_of(b, meter)?,
        })
    }

    /// Whether the condition is settled for each series: every row of a candidate fits.
    pub(crate) fn is_settled(&self) -> bool {
        fn is_settled(node: &Node) -> bool {
            match node {
                Node::Constant(_) | Node::Series(_) => true,
                Node::Rows(_) => false,
                Node::And(a, b) | Node::Or(a, b) => is_settled(a) && is_settled(b),
            }
        }
        is_settled(&self.node)
    }

    /// The candidates that fit whatever is in their rows, and those of whose rows `is_true` says that they fit what is
    /// left to check there.
    ///
    /// # Errors
    /// What `is_true` reports; when the statement is not wanted any more.
    pub(crate) fn fitting(
        mut self,
        meter: &Meter<'_>,
        mut is_true: impl FnMut(SeriesId, &Scalar) -> Result<bool, Error>,
    ) -> Result<RoaringBitmap, Error> {
        let mut fitting = RoaringBitmap::new();
        for id in self.candidates(meter)? {
            meter.check()?;
            let fits = match self.residual(SeriesId(id)) {
                Residual::Never => false,
                Residual::Always => true,
                Residual::When(condition) => is_true(SeriesId(id), &condition)?,
            };
            if fits {
                fitting.insert(id);
            }
        }
        Ok(fitting)
    }

    /// What is left to check in the rows of this series.
    pub(crate) fn residual(&mut self, id: SeriesId) -> Residual {
        let truth: Vec<bool> = self.sets.iter().map(|set| set.contains(id.0)).collect();
        if let Some(residual) = self.residuals.get(&truth) {
            return residual.clone();
        }
        let residual = residual_of(&self.node, &truth);
        self.residuals.insert(truth, residual.clone());
        residual
    }
}

fn residual_of(node: &Node, truth: &[bool]) -> Residual {
    let both = |op, a: &Arc<Scalar>, b: &Arc<Scalar>| {
        let (lhs, rhs) = (Box::new(a.as_ref().clone()), Box::new(b.as_ref().clone()));
        Residual::When(Arc::new(Scalar::Binary { op, lhs, rhs }))
    };
    match node {
        Node::Constant(false) => Residual::Never,
        Node::Constant(true) => Residual::Always,
        Node::Series(at) => {
            if truth[*at] {
                Residual::Always
            } else {
                Residual::Never
            }
        }
        Node::Rows(scalar) => Residual::When(Arc::new(scalar.clone())),
        Node::And(a, b) => match (residual_of(a, truth), residual_of(b, truth)) {
            (Residual::Never, _) | (_, Residual::Never) => Residual::Never,
            (Residual::Always, other) | (other, Residual::Always) => other,
            (Residual::When(a), Residual::When(b)) => both(BinaryOp::And, &a, &b),
        },
        Node::Or(a, b) => match (residual_of(a, truth), residual_of(b, truth)) {
            (Residual::Always, _) | (_, Residual::Always) => Residual::Always,
            (Residual::Never, other) | (other, Residual::Never) => other,
            (Residual::When(a), Residual::When(b)) => both(BinaryOp::Or, &a, &b),
        },
    }
}

struct Builder<'a> {
    view: &'a View,
    measurement: &'a [u8],
    fields: &'a [(Vec<u8>, FieldType)],
    missing_tags: MissingTags,
    meter: &'a Meter<'a>,
    predicate: &'a mut Predicate,
    /// Where [`Predicate::references`] has a reference.
    slots: HashMap<VarRef, usize>,
}

/// An expression without the parentheses around it.
fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Paren(inner) => bare(inner),
        other => other,
    }
}

impl Builder<'_> {
    fn node(&mut self, expr: &Expr) -> Result<Node, Error> {
        if matches!(expr, Expr::Binary { .. }) {
            self.meter.check()?;
        }
        Ok(match expr {
            Expr::Paren(inner) => self.node(inner)?,
            Expr::Boolean(value) => Node::Constant(*value),
            Expr::Binary {
                op: BinaryOp::And,
                lhs,
                rhs,
            } => Node::And(Box::new(self.node(lhs)?), Box::new(self.node(rhs)?)),
            Expr::Binary {
                op: BinaryOp::Or,
                lhs,
                rhs,
            } => Node::Or(Box::new(self.node(lhs)?), Box::new(self.node(rhs)?)),
            Expr::Binary { op, lhs, rhs } => self.comparison(expr, *op, lhs, rhs)?,
            _ => Node::Constant(false),
        })
    }

    fn comparison(
        &mut self,
        whole: &Expr,
        op: BinaryOp,
        lhs: &Expr,
        rhs: &Expr,
    ) -> Result<Node, Error> {
        if !op.is_comparison() && self.missing_tags == MissingTags::Empty {
            return Ok(self.arithmetic(lhs, rhs));
        }
        let (key, value) = match (lhs, rhs) {
            (Expr::Binary { .. }, _) | (_, Expr::Binary { .. }) => return self.rows(whole),
            (Expr::VarRef(key), value) | (value, Expr::VarRef(key)) => (key, value),
            _ => return self.rows(whole),
        };
        if key.name == "_name" {
            // No tag has this name, and only tags are looked at where missing ones are nothing.
            return match self.missing_tags {
                MissingTags::Empty => self.name(op, value),
                MissingTags::Nothing => Ok(Node::Constant(false)),
            };
        }
        if self.is_field(key) {
            return self.rows(whole);
        }
        Ok(match value {
            Expr::VarRef(other)
                if self.is_field(other) || key.data_type == Some(DataType::AnyField) =>
            {
                return self.rows(whole);
            }
            Expr::VarRef(other) => {
                let equal = self.with_equal_tags(key, other);
                let set = match op {
                    BinaryOp::Eq => equal,
                    BinaryOp::Neq => self.predicate.all.clone() - equal,
                    _ => RoaringBitmap::new(),
                };
                self.series(set)
            }
            Expr::String(value) => match op {
                BinaryOp::Eq => self.tag_is(key, value.as_bytes(), false),
                BinaryOp::Neq => self.tag_is(key, value.as_bytes(), true),
                _ => Node::Constant(false),
            },
            Expr::Regex(pattern) => {
                let regex = Regex::new(pattern)?;
                match op {
                    BinaryOp::EqRegex => self.tag(key, |tag| regex.is_match(tag)),
                    BinaryOp::NeqRegex => self.tag(key, |tag| !regex.is_match(tag)),
                    _ => Node::Constant(false),
                }
            }
            _ => return self.rows(whole),
        })
    }

    /// Arithmetic that is compared with nothing takes nothing away; between tags and strings it finds nothing.
    fn arithmetic(&mut self, lhs: &Expr, rhs: &Expr) -> Node {
        let is_tag = |expr: &Expr| match expr {
            Expr::VarRef(reference) => !self.is_field(reference),
            _ => false,
        };
        let is_text = |expr: &Expr| matches!(expr, Expr::String(_));
        let (lhs, rhs) = (bare(lhs), bare(rhs));
        let finds_nothing =
            is_tag(lhs) && (is_tag(rhs) || is_text(rhs)) || is_text(lhs) && is_tag(rhs);
        self.predicate.has_arithmetic |= !finds_nothing;
        Node::Constant(!finds_nothing)
    }

    /// `_name` stands for the name of the measurement.
    fn name(&self, op: BinaryOp, value: &Expr) -> Result<Node, Error> {
        Ok(Node::Constant(match (op, value) {
            (BinaryOp::Eq, Expr::String(name)) => name.as_bytes() == self.measurement,
            (BinaryOp::Neq, Expr::String(name)) => name.as_bytes() != self.measurement,
            (BinaryOp::EqRegex, Expr::Regex(pattern)) => {
                Regex::new(pattern)?.is_match(self.measurement)
            }
            (BinaryOp::NeqRegex, Expr::Regex(pattern)) => {
                !Regex::new(pattern)?.is_match(self.measurement)
            }
            _ => false,
        }))
    }

    fn is_field(&self, reference: &VarRef) -> bool {
        match reference.data_type {
            Some(DataType::Tag) => false,
            Some(_) => true,
            None => self
                .fields
                .binary_search_by(|(name, _)| name.as_slice().cmp(reference.name.as_bytes()))
                .is_ok(),
        }
    }

    /// The series that have both tags, with the same value.
    fn with_equal_tags(&self, a: &VarRef, b: &VarRef) -> RoaringBitmap {
        let (a, b) = (a.name.as_bytes(), b.name.as_bytes());
        self.view.series_with_equal_values(self.measurement, a, b)
    }

    /// The series whose value of the tag, empty where it is missing, fits.
    fn tag(&mut self, key: &VarRef, fits: impl Fn(&[u8]) -> bool) -> Node {
        let name = key.name.as_bytes();
        let fitting = self
            .view
            .series_with_fitting_value(self.measurement, name, &fits);
        let set = if self.missing_tags == MissingTags::Empty && fits(b"") {
            fitting | (&self.predicate.all - self.view.series_with_tag(self.measurement, name))
        } else {
            fitting
        };
        self.series(set)
    }

    /// The series whose value of the tag, empty where it is missing, is `value`; or is not.
    fn tag_is(&mut self, key: &VarRef, value: &[u8], negated: bool) -> Node {
        let name = key.name.as_bytes();
        let all = &self.predicate.all;
        let tagged = || self.view.series_with_tag(self.measurement, name);
        let is_empty = self.missing_tags == MissingTags::Empty;
        let set = match (value.is_empty(), negated) {
            (true, false) if is_empty => all - tagged(),
            (true, false) => RoaringBitmap::new(),
            (true, true) => tagged(),
            (false, _) => {
                let with = self.view.series_with_value(self.measurement, name, value);
                match (negated, is_empty) {
                    (false, _) => with,
                    (true, true) => all - with,
                    (true, false) => tagged() - with,
                }
            }
        };
        self.series(set)
    }

    fn series(&mut self, set: RoaringBitmap) -> Node {
        self.predicate.sets.push(set);
        Node::Series(self.predicate.sets.len() - 1)
    }

    fn rows(&mut self, expr: &Expr) -> Result<Node, Error> {
        let references = &mut self.predicate.references;
        let slots = &mut self.slots;
        let scalar = lower(expr, &mut |expr| match expr {
            Expr::VarRef(reference) => Some(*slots.entry(reference.clone()).or_insert_with(|| {
                references.push(reference.clone());
                references.len() - 1
            })),
            _ => None,
        })?;
        Ok(Node::Rows(scalar))
    }
}

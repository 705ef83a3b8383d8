//! What a statement wants of its groups: functions that kernels compute.
//!
//! The stages of the first group are built as for the plain executor, which reads nothing yet, and each
//! function over a field leaves a [`Demand`] where it can be computed. So nothing of how a statement is
//! put together is said twice; the other groups want the same.

use std::cell::RefCell;

use tandem_influxql::ast::{Call, DataType, Expr};

use super::figure::Kind;
use crate::select::aggregate::Aggregate;
use crate::select::plan::Level;
use crate::select::point::Stream;
use crate::select::window::Options;

/// How the functions of a group are computed.
pub(crate) trait Kernels {
    /// The results of `call`, if they are computed here.
    fn serve(&self, call: &Call, options: &Options) -> Option<Stream<'_>>;

    /// Notes a function whose stages were built without complaint. `keeps_time` is true when its results
    /// keep the times of the values that it picks.
    fn learn(&self, _: &Level, _: &Call, _: Aggregate, _: &Options, _keeps_time: bool) {}
}

/// Notes what is wanted and computes nothing.
#[derive(Debug, Default)]
pub(super) struct Learner(RefCell<Vec<Demand>>);

impl Learner {
    pub(super) fn demands(self) -> Vec<Demand> {
        self.0.into_inner()
    }
}

/// One function over one field.
#[derive(Clone, Debug)]
pub(crate) struct Demand {
    /// Which call of the plan it is, by where it is in memory.
    call: usize,
    pub(super) options: Options,
    pub(super) kind: Kind,
    pub(super) field: String,
    pub(super) data_type: DataType,
    /// True when the result has the time of the value that was picked.
    pub(super) keeps_time: bool,
    /// `first()` or `last()` of the whole range, which is read from its end.
    pub(super) is_end: bool,
}

impl Demand {
    /// Whether it is this call of the plan, over the same range.
    pub(super) fn is_of(&self, call: &Call, options: &Options) -> bool {
        self.call == std::ptr::from_ref(call).addr() && self.options.range == options.range
    }
}

impl Kernels for Learner {
    fn serve(&self, _: &Call, _: &Options) -> Option<Stream<'_>> {
        None
    }

    fn learn(
        &self,
        level: &Level,
        call: &Call,
        aggregate: Aggregate,
        options: &Options,
        keeps_time: bool,
    ) {
        let Some(kind) = kind(aggregate) else {
            return;
        };
        let Some(Expr::VarRef(reference)) = call.args.first() else {
            return;
        };
        let Some(data_type) = reference.data_type else {
            return;
        };
        let is_whole = options.interval.is_zero();
        let is_end = is_whole && matches!(kind, Kind::First | Kind::Last);
        let fits = match data_type {
            DataType::Float | DataType::Integer | DataType::Unsigned => true,
            DataType::Boolean => matches!(
                kind,
                Kind::Count | Kind::Min | Kind::Max | Kind::First | Kind::Last
            ),
            DataType::String => kind == Kind::Count || is_end,
            DataType::Tag | DataType::AnyField => false,
        };
        // The values selected beside a point, and the point that a percentile picks, need the rows.
        let needs_rows = !level.references.is_empty() || (keeps_time && kind.collects());
        if fits && !needs_rows {
            self.0.borrow_mut().push(Demand {
                call: std::ptr::from_ref(call).addr(),
                options: options.clone(),
                kind,
                field: reference.name.clone(),
                data_type,
                keeps_time,
                is_end,
            });
        }
    }
}

const fn kind(aggregate: Aggregate) -> Option<Kind> {
    Some(match aggregate {
        Aggregate::Count => Kind::Count,
        Aggregate::Sum => Kind::Sum,
        Aggregate::Mean => Kind::Mean,
        Aggregate::Min => Kind::Min,
        Aggregate::Max => Kind::Max,
        Aggregate::Spread => Kind::Spread,
        Aggregate::First => Kind::First,
        Aggregate::Last => Kind::Last,
        Aggregate::Median => Kind::Median,
        Aggregate::Stddev => Kind::Stddev,
        Aggregate::Percentile(percent) => Kind::Percentile(percent),
        _ => return None,
    })
}

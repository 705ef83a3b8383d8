//! Where a statement reads from or writes to.

use super::SelectStatement;

/// A measurement, or every measurement that a regular expression finds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measurement {
    /// The database; `None` is the one of the request.
    pub database: Option<String>,
    /// The retention policy; `None` is the default one.
    pub retention_policy: Option<String>,
    /// The name. Empty when `regex` is given, and in a target that ends in `:MEASUREMENT`, where
    /// it stands for the name of the source.
    pub name: String,
    /// The regular expression that names must match, in the syntax of Go.
    pub regex: Option<String>,
}

impl Measurement {
    /// The measurement of this name in the default place.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }
}

/// One item of a `FROM` clause.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A measurement or a regular expression of measurements.
    Measurement(Measurement),
    /// A subquery. An `into` in it was written and means nothing.
    Subquery(Box<SelectStatement>),
}

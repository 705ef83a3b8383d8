//! `SELECT`, its clauses, and `EXPLAIN`.

use std::fmt;

use super::{
    expr::{Number, Regex},
    write_clause, write_count, write_list, write_list_clause,
};
use crate::{
    ast::{Explain, Field, Fill, FillValue, Measurement, OrderBy, SelectStatement, Source},
    quote::{Ident, Quoted},
};

impl fmt::Display for SelectStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SELECT ")?;
        write_list(f, &self.fields)?;
        write_clause(f, "INTO", self.into.as_ref().map(Target))?;
        write_list_clause(f, "FROM", &self.sources)?;
        write_clause(f, "WHERE", self.condition.as_ref())?;
        write_list_clause(f, "GROUP BY", &self.dimensions)?;
        self.fill.fmt(f)?;
        write_clause(f, "ORDER BY", self.order_by)?;
        write_count(f, "LIMIT", self.limit)?;
        write_count(f, "OFFSET", self.offset)?;
        write_count(f, "SLIMIT", self.slimit)?;
        write_count(f, "SOFFSET", self.soffset)?;
        match &self.time_zone {
            Some(name) => write!(f, " TZ({})", Quoted(name)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.expr.fmt(f)?;
        write_clause(f, "AS", self.alias.as_deref().map(Ident))
    }
}

impl fmt::Display for Fill {
    /// With a space in front, and nothing at all for `fill(null)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::None => f.write_str(" fill(none)"),
            Self::Number(FillValue::Integer(value)) => write!(f, " fill({value})"),
            Self::Number(FillValue::Float(value)) => write!(f, " fill({})", Number(*value)),
            Self::Previous => f.write_str(" fill(previous)"),
            Self::Linear => f.write_str(" fill(linear)"),
        }
    }
}

impl fmt::Display for OrderBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.time_named, self.descending) {
            (true, false) => "time ASC",
            (true, true) => "time DESC",
            (false, false) => "ASC",
            (false, true) => "DESC",
        })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Measurement(measurement) => measurement.fmt(f),
            Self::Subquery(statement) => write!(f, "({statement})"),
        }
    }
}

impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_place(f, self)?;
        match &self.regex {
            Some(regex) => Regex(regex).fmt(f),
            None => Ident(&self.name).fmt(f),
        }
    }
}

/// `db.rp.`, `db..`, `rp.` or nothing.
fn write_place(f: &mut fmt::Formatter<'_>, measurement: &Measurement) -> fmt::Result {
    if let Some(database) = &measurement.database {
        write!(f, "{}.", Ident(database))?;
    }
    if let Some(retention_policy) = &measurement.retention_policy {
        write!(f, "{}", Ident(retention_policy))?;
    }
    if measurement.database.is_some() || measurement.retention_policy.is_some() {
        f.write_str(".")?;
    }
    Ok(())
}

/// A measurement that is written to; without a name it takes that of the source.
struct Target<'a>(&'a Measurement);

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let placed = self.0.database.is_some() || self.0.retention_policy.is_some();
        if self.0.name.is_empty() && placed {
            write_place(f, self.0)?;
            return f.write_str(":MEASUREMENT");
        }
        self.0.fmt(f)
    }
}

impl fmt::Display for Explain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EXPLAIN ")?;
        if self.analyze {
            f.write_str("ANALYZE ")?;
        }
        if self.verbose {
            f.write_str("VERBOSE ")?;
        }
        self.statement.fmt(f)
    }
}

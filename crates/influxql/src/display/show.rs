//! The `SHOW` statements that have options.

use std::fmt;

use super::{expr::Regex, write_clause, write_count, write_list, write_list_clause};
use crate::{
    ast::{
        KeyFilter, NameOrAll, ShowCardinality, ShowFieldKeys, ShowMeasurements, ShowSeries,
        ShowTagKeys, ShowTagValues, ShowTagValuesCardinality,
    },
    quote::Ident,
};

/// Writes a statement about the cardinality of `what`.
pub(super) fn write_cardinality(
    f: &mut fmt::Formatter<'_>,
    what: &str,
    show: &ShowCardinality,
) -> fmt::Result {
    let exact = if show.exact { " EXACT" } else { "" };
    write!(f, "SHOW {what}{exact} CARDINALITY")?;
    write_clause(f, "ON", show.database.as_deref().map(Ident))?;
    write_list_clause(f, "FROM", &show.sources)?;
    write_clause(f, "WHERE", show.condition.as_ref())?;
    write_list_clause(f, "GROUP BY", &show.dimensions)?;
    write_count(f, "LIMIT", show.limit)?;
    write_count(f, "OFFSET", show.offset)
}

impl fmt::Display for ShowSeries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SHOW SERIES")?;
        write_clause(f, "ON", self.database.as_deref().map(Ident))?;
        write_list_clause(f, "FROM", &self.sources)?;
        write_clause(f, "WHERE", self.condition.as_ref())?;
        write_clause(f, "ORDER BY", self.order_by)?;
        write_count(f, "LIMIT", self.limit)?;
        write_count(f, "OFFSET", self.offset)
    }
}

impl fmt::Display for NameOrAll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => Ident(name).fmt(f),
            Self::All => f.write_str("*"),
        }
    }
}

impl fmt::Display for ShowMeasurements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SHOW MEASUREMENTS")?;
        write_clause(f, "ON", self.database.as_ref())?;
        if let Some(retention_policy) = &self.retention_policy {
            write!(f, ".{retention_policy}")?;
        }
        if let Some(measurement) = &self.with_measurement {
            let op = if measurement.regex.is_some() {
                "=~"
            } else {
                "="
            };
            write!(f, " WITH MEASUREMENT {op} {measurement}")?;
        }
        write_clause(f, "WHERE", self.condition.as_ref())?;
        write_clause(f, "ORDER BY", self.order_by)?;
        write_count(f, "LIMIT", self.limit)?;
        write_count(f, "OFFSET", self.offset)
    }
}

impl fmt::Display for KeyFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Equal(key) => write!(f, "= {}", Ident(key)),
            Self::NotEqual(key) => write!(f, "!= {}", Ident(key)),
            Self::Match(regex) => write!(f, "=~ {}", Regex(regex)),
            Self::NotMatch(regex) => write!(f, "!~ {}", Regex(regex)),
            Self::In(keys) => {
                f.write_str("IN (")?;
                write_list(f, keys.iter().map(|key| Ident(key)))?;
                f.write_str(")")
            }
        }
    }
}

impl fmt::Display for ShowTagKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SHOW TAG KEYS")?;
        write_clause(f, "ON", self.database.as_deref().map(Ident))?;
        write_list_clause(f, "FROM", &self.sources)?;
        write_clause(f, "WITH KEY", self.with_key.as_ref())?;
        write_clause(f, "WHERE", self.condition.as_ref())?;
        write_clause(f, "ORDER BY", self.order_by)?;
        write_count(f, "LIMIT", self.limit)?;
        write_count(f, "OFFSET", self.offset)?;
        write_count(f, "SLIMIT", self.slimit)?;
        write_count(f, "SOFFSET", self.soffset)
    }
}

impl fmt::Display for ShowTagValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SHOW TAG VALUES")?;
        write_clause(f, "ON", self.database.as_deref().map(Ident))?;
        write_list_clause(f, "FROM", &self.sources)?;
        write!(f, " WITH KEY {}", self.with_key)?;
        write_clause(f, "WHERE", self.condition.as_ref())?;
        write_clause(f, "ORDER BY", self.order_by)?;
        write_count(f, "LIMIT", self.limit)?;
        write_count(f, "OFFSET", self.offset)
    }
}

impl fmt::Display for ShowTagValuesCardinality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = if self.exact { " EXACT" } else { "" };
        write!(f, "SHOW TAG VALUES{exact} CARDINALITY")?;
        write_clause(f, "ON", self.database.as_deref().map(Ident))?;
        write_list_clause(f, "FROM", &self.sources)?;
        write!(f, " WITH KEY {}", self.with_key)?;
        write_clause(f, "WHERE", self.condition.as_ref())?;
        write_list_clause(f, "GROUP BY", &self.dimensions)?;
        write_count(f, "LIMIT", self.limit)?;
        write_count(f, "OFFSET", self.offset)
    }
}

impl fmt::Display for ShowFieldKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SHOW FIELD KEYS")?;
        write_clause(f, "ON", self.database.as_deref().map(Ident))?;
        write_list_clause(f, "FROM", &self.sources)?;
        write_clause(f, "ORDER BY", self.order_by)?;
        write_count(f, "LIMIT", self.limit)?;
        write_count(f, "OFFSET", self.offset)
    }
}

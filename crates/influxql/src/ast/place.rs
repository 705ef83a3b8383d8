//! Where a statement works: the databases and retention policies that it names or leaves open.

use super::{Measurement, NameOrAll, SelectStatement, Source, Statement};

impl Statement {
    /// The database that the statement as a whole names, which takes the place of the one of the
    /// request.
    #[must_use]
    pub fn default_database(&self) -> Option<&str> {
        match self {
            Self::ShowFieldKeyCardinality(show)
            | Self::ShowMeasurementCardinality(show)
            | Self::ShowSeriesCardinality(show)
            | Self::ShowTagKeyCardinality(show) => show.database.as_deref(),
            Self::ShowFieldKeys(show) => show.database.as_deref(),
            Self::ShowMeasurements(show) => match &show.database {
                Some(NameOrAll::Name(name)) => Some(name),
                Some(NameOrAll::All) | None => None,
            },
            Self::ShowRetentionPolicies { database } => database.as_deref(),
            Self::ShowSeries(show) => show.database.as_deref(),
            Self::ShowTagKeys(show) => show.database.as_deref(),
            Self::ShowTagValues(show) => show.database.as_deref(),
            Self::ShowTagValuesCardinality(show) => show.database.as_deref(),
            Self::CreateContinuousQuery(create) => Some(&create.database),
            Self::CreateRetentionPolicy(create) => Some(&create.database),
            Self::CreateSubscription(create) => Some(&create.database),
            Self::AlterRetentionPolicy(alter) => Some(&alter.database),
            Self::DropContinuousQuery(drop) => Some(&drop.database),
            Self::DropRetentionPolicy(drop) => Some(&drop.database),
            Self::DropSubscription(drop) => Some(&drop.database),
            _ => None,
        }
    }

    /// Hands each measurement that is read from or written to, subqueries and targets included, to
    /// `change`, which may fill in what is left open; those of `DELETE` and `DROP SERIES` are not,
    /// because they may not name a place.
    ///
    /// # Errors
    /// The first of `change`; what it was handed before stays changed.
    pub fn try_for_each_measurement<E>(
        &mut self,
        change: &mut impl FnMut(&mut Measurement) -> Result<(), E>,
    ) -> Result<(), E> {
        let sources = match self {
            Self::Select(select) => return select.try_for_each_measurement(change),
            Self::Explain(explain) => return explain.statement.try_for_each_measurement(change),
            Self::CreateContinuousQuery(create) => {
                return create.source.try_for_each_measurement(change);
            }
            Self::ShowFieldKeyCardinality(show)
            | Self::ShowMeasurementCardinality(show)
            | Self::ShowSeriesCardinality(show)
            | Self::ShowTagKeyCardinality(show) => &mut show.sources,
            Self::ShowFieldKeys(show) => &mut show.sources,
            Self::ShowSeries(show) => &mut show.sources,
            Self::ShowTagKeys(show) => &mut show.sources,
            Self::ShowTagValues(show) => &mut show.sources,
            Self::ShowTagValuesCardinality(show) => &mut show.sources,
            _ => return Ok(()),
        };
        try_for_each(sources, change)
    }
}

impl SelectStatement {
    /// As [`Statement::try_for_each_measurement`].
    ///
    /// # Errors
    /// The first of `change`.
    pub fn try_for_each_measurement<E>(
        &mut self,
        change: &mut impl FnMut(&mut Measurement) -> Result<(), E>,
    ) -> Result<(), E> {
        if let Some(target) = &mut self.into {
            change(target)?;
        }
        try_for_each(&mut self.sources, change)
    }
}

fn try_for_each<E>(
    sources: &mut [Source],
    change: &mut impl FnMut(&mut Measurement) -> Result<(), E>,
) -> Result<(), E> {
    for source in sources {
        match source {
            Source::Measurement(measurement) => change(measurement)?,
            Source::Subquery(statement) => statement.try_for_each_measurement(change)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::{Params, parse_statement};

    #[test]
    fn open_places_are_filled_in() {
        for (text, want) in [
            (
                "SELECT a INTO \"\" FROM x, d2..y, r2./z/, (SELECT b FROM w)",
                "SELECT a INTO d.r.:MEASUREMENT FROM d.r.x, d2.r.y, d.r2./z/, (SELECT b FROM d.r.w)",
            ),
            ("EXPLAIN SELECT a FROM x", "EXPLAIN SELECT a FROM d.r.x"),
            ("SHOW TAG KEYS FROM x", "SHOW TAG KEYS FROM d.r.x"),
            ("DELETE FROM x", "DELETE FROM x"),
            ("DROP SERIES FROM x", "DROP SERIES FROM x"),
        ] {
            let mut statement = parse_statement(text, &Params::new()).unwrap();
            let filled = statement.try_for_each_measurement(&mut |measurement| {
                measurement.database.get_or_insert("d".to_owned());
                measurement.retention_policy.get_or_insert("r".to_owned());
                Ok::<(), ()>(())
            });
            assert_eq!(filled, Ok(()));
            assert_eq!(statement.to_string(), want);
        }
    }

    #[test]
    fn the_first_error_ends_it() {
        let mut statement =
            parse_statement("SELECT a FROM x, (SELECT b FROM y), z", &Params::new()).unwrap();
        let mut seen = Vec::new();
        let failed = statement.try_for_each_measurement(&mut |measurement| {
            seen.push(measurement.name.clone());
            if measurement.name == "y" {
                Err("no y")
            } else {
                Ok(())
            }
        });
        assert_eq!(failed, Err("no y"));
        assert_eq!(seen, ["x", "y"]);
    }

    #[test]
    fn databases_of_whole_statements() {
        for (text, want) in [
            ("SHOW SERIES ON d", Some("d")),
            ("SHOW SERIES", None),
            ("SHOW MEASUREMENTS ON d.r", Some("d")),
            ("SHOW MEASUREMENTS ON *", None),
            ("SHOW RETENTION POLICIES ON d", Some("d")),
            ("DROP RETENTION POLICY p ON d", Some("d")),
            ("SELECT a FROM d..x", None),
        ] {
            let statement = parse_statement(text, &Params::new()).unwrap();
            assert_eq!(statement.default_database(), want, "{text}");
        }
    }
}

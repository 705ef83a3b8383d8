//! What a user must be allowed for a statement, and whether it changes anything.
//!
//! As in InfluxDB 1.8, with its holes closed: there, a reader can create a continuous query that
//! writes, and one that reads from other databases; and whoever may log in can count the series and
//! keys of any database by leaving out `FROM`.

use std::fmt;

use crate::ast::{Measurement, SelectStatement, Source, Statement};

/// One thing that a user must be allowed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Privilege {
    /// Everything.
    Admin,
    /// To read from a database; `None` is the one of the request.
    Read(Option<String>),
    /// To write to a database; `None` is the one of the request.
    Write(Option<String>),
}

impl fmt::Display for Privilege {
    /// As in `… not authorized to execute statement 'x', requires READ on db0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Admin => f.write_str("admin privilege"),
            Self::Read(database) => write!(f, "READ on {}", database.as_deref().unwrap_or("")),
            Self::Write(database) => write!(f, "WRITE on {}", database.as_deref().unwrap_or("")),
        }
    }
}

impl Statement {
    /// All that the user must be allowed, in the order in which InfluxDB complains. Empty when
    /// everyone who is logged in may run the statement.
    #[must_use]
    pub fn required_privileges(&self) -> Vec<Privilege> {
        let mut required = Vec::new();
        match self {
            Self::Select(select) => read_and_write(select, &mut required),
            Self::Explain(explain) => read_and_write(&explain.statement, &mut required),
            Self::Delete(_) | Self::DropSeries(_) => required.push(Privilege::Write(None)),
            Self::DropRetentionPolicy(drop) => {
                required.push(Privilege::Write(Some(drop.database.clone())));
            }
            Self::DropContinuousQuery(drop) => {
                required.push(Privilege::Write(Some(drop.database.clone())));
            }
            Self::CreateContinuousQuery(create) => {
                let database = Some(create.database.clone());
                required.push(Privilege::Read(database.clone()));
                read_and_write(&create.source, &mut required);
                // What the query leaves open is its own database, not that of the request.
                for privilege in &mut required {
                    if let Privilege::Read(place @ None) | Privilege::Write(place @ None) =
                        privilege
                    {
                        place.clone_from(&database);
                    }
                }
            }
            // The answer holds only what the user may know.
            Self::ShowDatabases => {}
            Self::ShowQueries | Self::ShowContinuousQueries => {
                required.push(Privilege::Read(None));
            }
            Self::ShowMeasurements(show) => match &show.database {
                Some(crate::ast::NameOrAll::All) => required.push(Privilege::Admin),
                Some(crate::ast::NameOrAll::Name(name)) => {
                    required.push(Privilege::Read(Some(name.clone())));
                }
                None => required.push(Privilege::Read(None)),
            },
            Self::ShowRetentionPolicies { database } => read_on(database, &[], &mut required),
            Self::ShowSeries(show) => read_on(&show.database, &show.sources, &mut required),
            Self::ShowTagKeys(show) => read_on(&show.database, &show.sources, &mut required),
            Self::ShowTagValues(show) => read_on(&show.database, &show.sources, &mut required),
            Self::ShowFieldKeys(show) => read_on(&show.database, &show.sources, &mut required),
            Self::ShowTagValuesCardinality(show) => {
                read_on(&show.database, &show.sources, &mut required);
            }
            Self::ShowSeriesCardinality(show)
            | Self::ShowMeasurementCardinality(show)
            | Self::ShowTagKeyCardinality(show)
            | Self::ShowFieldKeyCardinality(show) => {
                read_on(&show.database, &show.sources, &mut required);
            }
            Self::KillQuery(_)
            | Self::ShowDiagnostics { .. }
            | Self::ShowGrants { .. }
            | Self::ShowShardGroups
            | Self::ShowShards
            | Self::ShowStats { .. }
            | Self::ShowSubscriptions
            | Self::ShowUsers
            | Self::CreateDatabase(_)
            | Self::CreateRetentionPolicy(_)
            | Self::CreateSubscription(_)
            | Self::CreateUser(_)
            | Self::AlterRetentionPolicy(_)
            | Self::SetPassword(_)
            | Self::DropDatabase { .. }
            | Self::DropMeasurement { .. }
            | Self::DropShard { .. }
            | Self::DropSubscription(_)
            | Self::DropUser { .. }
            | Self::Grant(_)
            | Self::GrantAdmin { .. }
            | Self::Revoke(_)
            | Self::RevokeAdmin { .. } => required.push(Privilege::Admin),
        }
        required
    }

    /// True if running the statement changes nothing: no data, no schema, no user, no running
    /// query. `EXPLAIN ANALYZE` runs its statement and is judged by it.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        match self {
            Self::Select(select) => select.into.is_none(),
            Self::Explain(explain) => !explain.analyze || explain.statement.into.is_none(),
            Self::ShowContinuousQueries
            | Self::ShowDatabases
            | Self::ShowDiagnostics { .. }
            | Self::ShowFieldKeyCardinality(_)
            | Self::ShowFieldKeys(_)
            | Self::ShowGrants { .. }
            | Self::ShowMeasurementCardinality(_)
            | Self::ShowMeasurements(_)
            | Self::ShowQueries
            | Self::ShowRetentionPolicies { .. }
            | Self::ShowSeries(_)
            | Self::ShowSeriesCardinality(_)
            | Self::ShowShardGroups
            | Self::ShowShards
            | Self::ShowStats { .. }
            | Self::ShowSubscriptions
            | Self::ShowTagKeyCardinality(_)
            | Self::ShowTagKeys(_)
            | Self::ShowTagValues(_)
            | Self::ShowTagValuesCardinality(_)
            | Self::ShowUsers => true,
            Self::Delete(_)
            | Self::KillQuery(_)
            | Self::CreateContinuousQuery(_)
            | Self::CreateDatabase(_)
            | Self::CreateRetentionPolicy(_)
            | Self::CreateSubscription(_)
            | Self::CreateUser(_)
            | Self::AlterRetentionPolicy(_)
            | Self::SetPassword(_)
            | Self::DropContinuousQuery(_)
            | Self::DropDatabase { .. }
            | Self::DropMeasurement { .. }
            | Self::DropRetentionPolicy(_)
            | Self::DropSeries(_)
            | Self::DropShard { .. }
            | Self::DropSubscription(_)
            | Self::DropUser { .. }
            | Self::Grant(_)
            | Self::GrantAdmin { .. }
            | Self::Revoke(_)
            | Self::RevokeAdmin { .. } => false,
        }
    }

    /// The remark that InfluxDB adds to the result when the statement comes by `GET`, if it adds
    /// one: to everything that changes something but `DELETE`.
    #[must_use]
    pub fn read_only_warning(&self) -> Option<String> {
        if self.is_read_only() || matches!(self, Self::Delete(_) | Self::Explain(_)) {
            return None;
        }
        Some(format!(
            "deprecated use of '{self}' in a read only context, please use a POST request instead"
        ))
    }
}

/// Reading from the database of a `SHOW` statement and from those that its sources name.
fn read_on(database: &Option<String>, sources: &[Source], required: &mut Vec<Privilege>) {
    required.push(Privilege::Read(database.clone()));
    for source in sources {
        if let Source::Measurement(Measurement {
            database: place @ Some(_),
            ..
        }) = source
        {
            push_new(required, Privilege::Read(place.clone()));
        }
    }
}

fn read_and_write(select: &SelectStatement, required: &mut Vec<Privilege>) {
    for source in &select.sources {
        match source {
            Source::Measurement(measurement) => {
                push_new(required, Privilege::Read(measurement.database.clone()));
            }
            Source::Subquery(statement) => read_and_write(statement, required),
        }
    }
    if let Some(target) = &select.into {
        push_new(required, Privilege::Write(target.database.clone()));
    }
}

fn push_new(required: &mut Vec<Privilege>, privilege: Privilege) {
    if !required.contains(&privilege) {
        required.push(privilege);
    }
}

#[cfg(test)]
mod tests {
    use crate::{Params, parse_statement};

    fn required(text: &str) -> String {
        let statement = parse_statement(text, &Params::new()).unwrap();
        let required = statement.required_privileges();
        required.iter().map(|one| format!("{one};")).collect()
    }

    #[test]
    fn each_kind_of_statement_needs_what_influxdb_says() {
        for (text, want) in [
            ("SELECT * FROM cpu", "READ on ;"),
            (
                "SELECT * FROM a..cpu, b..cpu, a..mem",
                "READ on a;READ on b;",
            ),
            ("SELECT * INTO b..x FROM a..cpu", "READ on a;WRITE on b;"),
            ("SELECT * FROM (SELECT * FROM a..cpu)", "READ on a;"),
            (
                "EXPLAIN SELECT * INTO b..x FROM cpu",
                "READ on ;WRITE on b;",
            ),
            ("DELETE FROM cpu", "WRITE on ;"),
            ("DROP SERIES FROM cpu", "WRITE on ;"),
            ("DROP RETENTION POLICY p ON d", "WRITE on d;"),
            ("DROP CONTINUOUS QUERY q ON d", "WRITE on d;"),
            ("SHOW DATABASES", ""),
            ("SHOW QUERIES", "READ on ;"),
            ("SHOW MEASUREMENTS ON d", "READ on d;"),
            ("SHOW MEASUREMENTS ON *.*", "admin privilege;"),
            ("SHOW SERIES ON d", "READ on d;"),
            ("SHOW RETENTION POLICIES ON d", "READ on d;"),
            ("KILL QUERY 1", "admin privilege;"),
            ("SHOW USERS", "admin privilege;"),
            ("SHOW GRANTS FOR u", "admin privilege;"),
            ("CREATE DATABASE d", "admin privilege;"),
            ("DROP MEASUREMENT m", "admin privilege;"),
            ("DROP SHARD 1", "admin privilege;"),
            ("SET PASSWORD FOR u = 'x'", "admin privilege;"),
            ("GRANT ALL TO u", "admin privilege;"),
        ] {
            assert_eq!(required(text), want, "{text}");
        }
    }

    /// InfluxDB asks for READ on the continuous query's database alone if `INTO` names none.
    #[test]
    fn a_reader_cannot_create_a_continuous_query_that_writes_or_reads_elsewhere() {
        let body = "GROUP BY time(1m) END";
        for (text, want) in [
            (
                "BEGIN SELECT mean(x) INTO y FROM cpu",
                "READ on d;READ on d;WRITE on d;",
            ),
            (
                "BEGIN SELECT mean(x) INTO b..y FROM a..cpu",
                "READ on d;READ on a;WRITE on b;",
            ),
        ] {
            let text = format!("CREATE CONTINUOUS QUERY q ON d {text} {body}");
            assert_eq!(required(&text), want, "{text}");
        }
    }

    /// InfluxDB asks for nothing at all if there is no `FROM`.
    #[test]
    fn counting_needs_read_on_the_database() {
        for kind in [
            "SERIES EXACT",
            "SERIES",
            "TAG KEY",
            "FIELD KEY EXACT",
            "MEASUREMENT EXACT",
        ] {
            assert_eq!(
                required(&format!("SHOW {kind} CARDINALITY ON d")),
                "READ on d;"
            );
            assert_eq!(
                required(&format!("SHOW {kind} CARDINALITY ON d FROM e..cpu")),
                "READ on d;READ on e;"
            );
        }
        let text = "SHOW TAG VALUES CARDINALITY WITH KEY = host";
        assert_eq!(required(text), "READ on ;");
    }

    #[test]
    fn only_what_changes_something_is_not_read_only() {
        for (text, read_only, warns) in [
            ("SELECT * FROM cpu", true, false),
            ("SELECT * INTO x FROM cpu", false, true),
            ("EXPLAIN SELECT * INTO x FROM cpu", true, false),
            ("EXPLAIN ANALYZE SELECT * INTO x FROM cpu", false, false),
            ("SHOW SERIES", true, false),
            ("DELETE FROM cpu", false, false),
            ("DROP SERIES FROM cpu", false, true),
            ("KILL QUERY 4", false, true),
            ("CREATE DATABASE d", false, true),
        ] {
            let statement = parse_statement(text, &Params::new()).unwrap();
            assert_eq!(statement.is_read_only(), read_only, "{text}");
            assert_eq!(statement.read_only_warning().is_some(), warns, "{text}");
        }
        let statement = parse_statement("set password for u = 'secret'", &Params::new()).unwrap();
        assert_eq!(
            statement.read_only_warning().unwrap(),
            "deprecated use of 'SET PASSWORD FOR u = [REDACTED]' in a read only context, please \
             use a POST request instead"
        );
    }
}

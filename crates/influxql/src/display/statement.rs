//! Queries, statements, and those that change something.

use std::fmt;

use super::{show::write_cardinality, write_clause, write_list, write_list_clause};
use crate::{
    ast::{
        AlterRetentionPolicy, CreateContinuousQuery, CreateDatabase, CreateRetentionPolicy,
        CreateSubscription, CreateUser, Delete, DestinationMode, DropContinuousQuery,
        DropRetentionPolicy, DropSeries, DropSubscription, Grant, GrantedPrivilege, KillQuery,
        Query, Revoke, SetPassword, Statement,
    },
    duration::{format_duration, format_go_duration},
    quote::{Ident, Quoted},
};

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, statement) in self.statements.iter().enumerate() {
            if index > 0 {
                f.write_str(";\n")?;
            }
            statement.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Select(statement) => statement.fmt(f),
            Self::Explain(statement) => statement.fmt(f),
            Self::Delete(statement) => statement.fmt(f),
            Self::KillQuery(statement) => statement.fmt(f),
            Self::ShowContinuousQueries => f.write_str("SHOW CONTINUOUS QUERIES"),
            Self::ShowDatabases => f.write_str("SHOW DATABASES"),
            Self::ShowDiagnostics { module } => {
                f.write_str("SHOW DIAGNOSTICS")?;
                write_clause(f, "FOR", module.as_deref().map(Quoted))
            }
            Self::ShowFieldKeyCardinality(statement) => {
                write_cardinality(f, "FIELD KEY", statement)
            }
            Self::ShowFieldKeys(statement) => statement.fmt(f),
            Self::ShowGrants { user } => write!(f, "SHOW GRANTS FOR {}", Ident(user)),
            Self::ShowMeasurementCardinality(statement) => {
                write_cardinality(f, "MEASUREMENT", statement)
            }
            Self::ShowMeasurements(statement) => statement.fmt(f),
            Self::ShowQueries => f.write_str("SHOW QUERIES"),
            Self::ShowRetentionPolicies { database } => {
                f.write_str("SHOW RETENTION POLICIES")?;
                write_clause(f, "ON", database.as_deref().map(Ident))
            }
            Self::ShowSeries(statement) => statement.fmt(f),
            Self::ShowSeriesCardinality(statement) => write_cardinality(f, "SERIES", statement),
            Self::ShowShardGroups => f.write_str("SHOW SHARD GROUPS"),
            Self::ShowShards => f.write_str("SHOW SHARDS"),
            Self::ShowStats { module } => {
                f.write_str("SHOW STATS")?;
                write_clause(f, "FOR", module.as_deref().map(Quoted))
            }
            Self::ShowSubscriptions => f.write_str("SHOW SUBSCRIPTIONS"),
            Self::ShowTagKeyCardinality(statement) => write_cardinality(f, "TAG KEY", statement),
            Self::ShowTagKeys(statement) => statement.fmt(f),
            Self::ShowTagValues(statement) => statement.fmt(f),
            Self::ShowTagValuesCardinality(statement) => statement.fmt(f),
            Self::ShowUsers => f.write_str("SHOW USERS"),
            Self::CreateContinuousQuery(statement) => statement.fmt(f),
            Self::CreateDatabase(statement) => statement.fmt(f),
            Self::CreateRetentionPolicy(statement) => statement.fmt(f),
            Self::CreateSubscription(statement) => statement.fmt(f),
            Self::CreateUser(statement) => statement.fmt(f),
            Self::AlterRetentionPolicy(statement) => statement.fmt(f),
            Self::SetPassword(statement) => statement.fmt(f),
            Self::DropContinuousQuery(statement) => statement.fmt(f),
            Self::DropDatabase { name } => write!(f, "DROP DATABASE {}", Ident(name)),
            Self::DropMeasurement { name } => write!(f, "DROP MEASUREMENT {}", Ident(name)),
            Self::DropRetentionPolicy(statement) => statement.fmt(f),
            Self::DropSeries(statement) => statement.fmt(f),
            Self::DropShard { id } => write!(f, "DROP SHARD {id}"),
            Self::DropSubscription(statement) => statement.fmt(f),
            Self::DropUser { name } => write!(f, "DROP USER {}", Ident(name)),
            Self::Grant(statement) => statement.fmt(f),
            Self::GrantAdmin { user } => write!(f, "GRANT ALL PRIVILEGES TO {}", Ident(user)),
            Self::Revoke(statement) => statement.fmt(f),
            Self::RevokeAdmin { user } => write!(f, "REVOKE ALL PRIVILEGES FROM {}", Ident(user)),
        }
    }
}

impl fmt::Display for KillQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KILL QUERY {}", self.id)?;
        write_clause(f, "ON", self.host.as_deref().map(Ident))
    }
}

impl fmt::Display for Delete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DELETE")?;
        write_list_clause(f, "FROM", &self.sources)?;
        write_clause(f, "WHERE", self.condition.as_ref())
    }
}

impl fmt::Display for DropSeries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DROP SERIES")?;
        write_list_clause(f, "FROM", &self.sources)?;
        write_clause(f, "WHERE", self.condition.as_ref())
    }
}

impl fmt::Display for CreateDatabase {
    /// Durations in the form of Go, as InfluxDB writes them in this statement alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CREATE DATABASE {}", Ident(&self.name))?;
        let Some(policy) = &self.policy else {
            return Ok(());
        };
        f.write_str(" WITH")?;
        write_clause(f, "DURATION", policy.duration_ns.map(format_go_duration))?;
        write_clause(f, "REPLICATION", policy.replication)?;
        let shard_duration = policy.shard_duration_ns.map(format_go_duration);
        write_clause(f, "SHARD DURATION", shard_duration)?;
        write_clause(f, "NAME", policy.name.as_deref().map(Ident))
    }
}

impl fmt::Display for CreateRetentionPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, database) = (Ident(&self.name), Ident(&self.database));
        write!(f, "CREATE RETENTION POLICY {name} ON {database}")?;
        write_clause(f, "DURATION", Some(format_duration(self.duration_ns)))?;
        write_clause(f, "REPLICATION", Some(self.replication))?;
        let shard_duration = self.shard_duration_ns.map(format_duration);
        write_clause(f, "SHARD DURATION", shard_duration)?;
        f.write_str(if self.default { " DEFAULT" } else { "" })
    }
}

impl fmt::Display for AlterRetentionPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, database) = (Ident(&self.name), Ident(&self.database));
        write!(f, "ALTER RETENTION POLICY {name} ON {database}")?;
        write_clause(f, "DURATION", self.duration_ns.map(format_duration))?;
        write_clause(f, "REPLICATION", self.replication)?;
        let shard_duration = self.shard_duration_ns.map(format_duration);
        write_clause(f, "SHARD DURATION", shard_duration)?;
        f.write_str(if self.default { " DEFAULT" } else { "" })
    }
}

impl fmt::Display for DropRetentionPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, database) = (Ident(&self.name), Ident(&self.database));
        write!(f, "DROP RETENTION POLICY {name} ON {database}")
    }
}

impl fmt::Display for CreateContinuousQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, database) = (Ident(&self.name), Ident(&self.database));
        write!(f, "CREATE CONTINUOUS QUERY {name} ON {database}")?;
        if self.resample_every_ns.is_some() || self.resample_for_ns.is_some() {
            f.write_str(" RESAMPLE")?;
        }
        write_clause(f, "EVERY", self.resample_every_ns.map(format_duration))?;
        write_clause(f, "FOR", self.resample_for_ns.map(format_duration))?;
        write!(f, " BEGIN {} END", self.source)
    }
}

impl fmt::Display for DropContinuousQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, database) = (Ident(&self.name), Ident(&self.database));
        write!(f, "DROP CONTINUOUS QUERY {name} ON {database}")
    }
}

impl fmt::Display for DestinationMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "ALL",
            Self::Any => "ANY",
        })
    }
}

impl fmt::Display for CreateSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, database) = (Ident(&self.name), Ident(&self.database));
        let policy = Ident(&self.retention_policy);
        write!(f, "CREATE SUBSCRIPTION {name} ON {database}.{policy}")?;
        write!(f, " DESTINATIONS {} ", self.mode)?;
        write_list(f, self.destinations.iter().map(|url| Quoted(url)))
    }
}

impl fmt::Display for DropSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, database) = (Ident(&self.name), Ident(&self.database));
        let policy = Ident(&self.retention_policy);
        write!(f, "DROP SUBSCRIPTION {name} ON {database}.{policy}")
    }
}

impl fmt::Display for CreateUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Ident(&self.name);
        write!(f, "CREATE USER {name} WITH PASSWORD [REDACTED]")?;
        f.write_str(if self.admin {
            " WITH ALL PRIVILEGES"
        } else {
            ""
        })
    }
}

impl fmt::Display for SetPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SET PASSWORD FOR {} = [REDACTED]", Ident(&self.name))
    }
}

impl fmt::Display for GrantedPrivilege {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "READ",
            Self::Write => "WRITE",
            Self::All => "ALL PRIVILEGES",
        })
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (database, user) = (Ident(&self.database), Ident(&self.user));
        write!(f, "GRANT {} ON {database} TO {user}", self.privilege)
    }
}

impl fmt::Display for Revoke {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (database, user) = (Ident(&self.database), Ident(&self.user));
        write!(f, "REVOKE {} ON {database} FROM {user}", self.privilege)
    }
}

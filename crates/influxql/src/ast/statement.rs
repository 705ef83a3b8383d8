//! The list of all statements.

use super::{
    AlterRetentionPolicy, CreateContinuousQuery, CreateDatabase, CreateRetentionPolicy,
    CreateSubscription, CreateUser, Delete, DropContinuousQuery, DropRetentionPolicy, DropSeries,
    DropSubscription, Explain, Grant, Revoke, SelectStatement, SetPassword, ShowCardinality,
    ShowFieldKeys, ShowMeasurements, ShowSeries, ShowTagKeys, ShowTagValues,
    ShowTagValuesCardinality,
};

/// The statements of one query text, in order; may be empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    /// Each was separated from the one before by `;`.
    pub statements: Vec<Statement>,
}

/// `KILL QUERY id [ON "host"]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KillQuery {
    /// The `qid` that `SHOW QUERIES` tells.
    pub id: u64,
    /// A relic of the cluster.
    pub host: Option<String>,
}

/// Any statement.
#[derive(Clone, Debug, PartialEq)]
pub enum Statement {
    /// `SELECT …`
    Select(Box<SelectStatement>),
    /// `EXPLAIN …`
    Explain(Explain),
    /// `DELETE …`
    Delete(Delete),
    /// `KILL QUERY …`
    KillQuery(KillQuery),

    /// `SHOW CONTINUOUS QUERIES`
    ShowContinuousQueries,
    /// `SHOW DATABASES`
    ShowDatabases,
    /// `SHOW DIAGNOSTICS [FOR 'module']`
    ShowDiagnostics {
        /// `FOR`
        module: Option<String>,
    },
    /// `SHOW FIELD KEY [EXACT] CARDINALITY …`
    ShowFieldKeyCardinality(ShowCardinality),
    /// `SHOW FIELD KEYS …`
    ShowFieldKeys(ShowFieldKeys),
    /// `SHOW GRANTS FOR user`
    ShowGrants {
        /// The user.
        user: String,
    },
    /// `SHOW MEASUREMENT [EXACT] CARDINALITY …`
    ShowMeasurementCardinality(ShowCardinality),
    /// `SHOW MEASUREMENTS …`
    ShowMeasurements(ShowMeasurements),
    /// `SHOW QUERIES`
    ShowQueries,
    /// `SHOW RETENTION POLICIES [ON database]`
    ShowRetentionPolicies {
        /// `ON`; `None` is the database of the request.
        database: Option<String>,
    },
    /// `SHOW SERIES …`
    ShowSeries(ShowSeries),
    /// `SHOW SERIES [EXACT] CARDINALITY …`
    ShowSeriesCardinality(ShowCardinality),
    /// `SHOW SHARD GROUPS`
    ShowShardGroups,
    /// `SHOW SHARDS`
    ShowShards,
    /// `SHOW STATS [FOR 'module']`
    ShowStats {
        /// `FOR`
        module: Option<String>,
    },
    /// `SHOW SUBSCRIPTIONS`
    ShowSubscriptions,
    /// `SHOW TAG KEY [EXACT] CARDINALITY …`
    ShowTagKeyCardinality(ShowCardinality),
    /// `SHOW TAG KEYS …`
    ShowTagKeys(ShowTagKeys),
    /// `SHOW TAG VALUES …`
    ShowTagValues(ShowTagValues),
    /// `SHOW TAG VALUES [EXACT] CARDINALITY …`
    ShowTagValuesCardinality(ShowTagValuesCardinality),
    /// `SHOW USERS`
    ShowUsers,

    /// `CREATE CONTINUOUS QUERY …`
    CreateContinuousQuery(CreateContinuousQuery),
    /// `CREATE DATABASE …`
    CreateDatabase(CreateDatabase),
    /// `CREATE RETENTION POLICY …`
    CreateRetentionPolicy(CreateRetentionPolicy),
    /// `CREATE SUBSCRIPTION …`
    CreateSubscription(CreateSubscription),
    /// `CREATE USER …`
    CreateUser(CreateUser),

    /// `ALTER RETENTION POLICY …`
    AlterRetentionPolicy(AlterRetentionPolicy),
    /// `SET PASSWORD FOR …`
    SetPassword(SetPassword),

    /// `DROP CONTINUOUS QUERY …`
    DropContinuousQuery(DropContinuousQuery),
    /// `DROP DATABASE name`
    DropDatabase {
        /// The database.
        name: String,
    },
    /// `DROP MEASUREMENT name`
    DropMeasurement {
        /// The measurement, in the database of the request.
        name: String,
    },
    /// `DROP RETENTION POLICY …`
    DropRetentionPolicy(DropRetentionPolicy),
    /// `DROP SERIES …`
    DropSeries(DropSeries),
    /// `DROP SHARD id`
    DropShard {
        /// The `id` that `SHOW SHARDS` tells.
        id: u64,
    },
    /// `DROP SUBSCRIPTION …`
    DropSubscription(DropSubscription),
    /// `DROP USER name`
    DropUser {
        /// The user.
        name: String,
    },

    /// `GRANT privilege ON …`
    Grant(Grant),
    /// `GRANT ALL [PRIVILEGES] TO user`
    GrantAdmin {
        /// The user.
        user: String,
    },
    /// `REVOKE privilege ON …`
    Revoke(Revoke),
    /// `REVOKE ALL [PRIVILEGES] FROM user`
    RevokeAdmin {
        /// The user.
        user: String,
    },
}

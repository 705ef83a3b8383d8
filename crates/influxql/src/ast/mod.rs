//! The syntax tree of InfluxQL.
//!
//! Plain data: every node can be built by hand, compared, cloned and printed (`Display` writes
//! InfluxDB's normal form). An absent name is `None`, never an empty string; the places where an
//! empty string means something say so.

mod continuous;
mod expr;
mod measurement;
mod place;
mod schema;
mod select;
mod show;
mod statement;
mod user;
mod walk;

pub use continuous::{
    CreateContinuousQuery, CreateSubscription, DestinationMode, DropContinuousQuery,
    DropSubscription,
};
pub use expr::{BinaryOp, Call, DataType, Expr, VarRef, Wildcard};
pub use measurement::{Measurement, Source};
pub use schema::{
    AlterRetentionPolicy, CreateDatabase, CreateRetentionPolicy, Delete, DropRetentionPolicy,
    DropSeries, RetentionPolicySpec,
};
pub use select::{Explain, Field, Fill, FillValue, OrderBy, SelectStatement};
pub use show::{
    KeyFilter, NameOrAll, ShowCardinality, ShowFieldKeys, ShowMeasurements, ShowSeries,
    ShowTagKeys, ShowTagValues, ShowTagValuesCardinality,
};
pub use statement::{KillQuery, Query, Statement};
pub use user::{CreateUser, Grant, GrantedPrivilege, Revoke, SetPassword};
pub use walk::IntervalError;

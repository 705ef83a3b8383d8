//! `DROP` and `DELETE`.

use super::{Parser, unexpected};
use crate::{
    ast::{
        Delete, DropContinuousQuery, DropRetentionPolicy, DropSeries, DropSubscription, Expr,
        Source, Statement,
    },
    error::{ParseError, Position},
    token::Token,
};

impl Parser<'_> {
    /// What follows `DROP`.
    pub(super) fn drop_(&mut self) -> Result<Statement, ParseError> {
        let lexeme = self.next();
        Ok(match lexeme.token {
            Token::Continuous => {
                self.expect(&[Token::Query])?;
                let (name, database) = self.name_on_database()?;
                Statement::DropContinuousQuery(DropContinuousQuery { name, database })
            }
            Token::Database => Statement::DropDatabase {
                name: self.ident()?,
            },
            Token::Measurement => Statement::DropMeasurement {
                name: self.ident()?,
            },
            Token::Retention => {
                self.expect(&[Token::Policy])?;
                let (name, database) = self.name_on_database()?;
                Statement::DropRetentionPolicy(DropRetentionPolicy { name, database })
            }
            Token::Series => {
                let (sources, condition) = self.doomed()?;
                Statement::DropSeries(DropSeries { sources, condition })
            }
            Token::Shard => Statement::DropShard {
                id: self.unsigned()?,
            },
            Token::Subscription => {
                let name = self.ident()?;
                let (database, retention_policy) = self.on_policy()?;
                Statement::DropSubscription(DropSubscription {
                    name,
                    database,
                    retention_policy,
                })
            }
            Token::User => Statement::DropUser {
                name: self.ident()?,
            },
            _ => {
                return Err(unexpected(
                    &lexeme,
                    "CONTINUOUS, DATABASE, MEASUREMENT, RETENTION, SERIES, SHARD, SUBSCRIPTION, USER",
                ));
            }
        })
    }

    fn name_on_database(&mut self) -> Result<(String, String), ParseError> {
        let name = self.ident()?;
        self.expect(&[Token::On])?;
        Ok((name, self.ident()?))
    }

    /// What follows `DELETE`.
    pub(super) fn delete(&mut self) -> Result<Statement, ParseError> {
        let (sources, condition) = self.doomed()?;
        Ok(Statement::Delete(Delete { sources, condition }))
    }

    /// `[FROM …] [WHERE …]`, at least one.
    fn doomed(&mut self) -> Result<(Vec<Source>, Option<Expr>), ParseError> {
        let first = self.next();
        let mut sources = Vec::new();
        if first.token == Token::From {
            sources = self.sources(false)?;
            check_places(&sources)?;
        } else {
            self.unread();
        }
        let condition = self.condition()?;
        if sources.is_empty() && condition.is_none() {
            return Err(unexpected(&first, "FROM, WHERE"));
        }
        Ok((sources, condition))
    }
}

/// Fails if a source says where it is: data is deleted from the database of the request, from all
/// retention policies.
fn check_places(sources: &[Source]) -> Result<(), ParseError> {
    let mut message = None;
    for source in sources {
        let Source::Measurement(measurement) = source else {
            continue;
        };
        if measurement.database.is_some() {
            message = Some("database not supported");
        }
        if measurement.retention_policy.is_some() {
            message = Some("retention policy not supported");
        }
    }
    match message {
        None => Ok(()),
        Some(message) => Err(ParseError::Invalid {
            message: message.to_owned(),
            position: Position::default(),
        }),
    }
}

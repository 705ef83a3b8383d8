//! The `SHOW` statements.

use super::{Parser, unexpected};
use crate::{
    ast::{
        NameOrAll, ShowCardinality, ShowFieldKeys, ShowMeasurements, ShowSeries, ShowTagKeys,
        ShowTagValues, ShowTagValuesCardinality, Statement,
    },
    error::ParseError,
    token::Token,
};

impl Parser<'_> {
    /// What follows `SHOW`.
    pub(super) fn show(&mut self) -> Result<Statement, ParseError> {
        let lexeme = self.next();
        Ok(match lexeme.token {
            Token::Continuous => {
                self.expect(&[Token::Queries])?;
                Statement::ShowContinuousQueries
            }
            Token::Databases => Statement::ShowDatabases,
            Token::Diagnostics => Statement::ShowDiagnostics {
                module: self.for_module()?,
            },
            Token::Field => return self.show_field(),
            Token::Grants => {
                self.expect(&[Token::For])?;
                Statement::ShowGrants {
                    user: self.ident()?,
                }
            }
            Token::Measurement => {
                let lexeme = self.next();
                let exact = match lexeme.token {
                    Token::Exact => true,
                    Token::Cardinality => false,
                    _ => return Err(unexpected(&lexeme, "EXACT, CARDINALITY")),
                };
                if exact {
                    self.expect(&[Token::Cardinality])?;
                }
                Statement::ShowMeasurementCardinality(self.cardinality(exact)?)
            }
            Token::Measurements => self.show_measurements()?,
            Token::Queries => Statement::ShowQueries,
            Token::Retention => {
                self.expect(&[Token::Policies])?;
                Statement::ShowRetentionPolicies {
                    database: self.on_database()?,
                }
            }
            Token::Series => self.show_series()?,
            Token::Shard => {
                self.expect(&[Token::Groups])?;
                Statement::ShowShardGroups
            }
            Token::Shards => Statement::ShowShards,
            Token::Stats => Statement::ShowStats {
                module: self.for_module()?,
            },
            Token::Subscriptions => Statement::ShowSubscriptions,
            Token::Tag => return self.show_tag(),
            Token::Users => Statement::ShowUsers,
            _ => {
                return Err(unexpected(
                    &lexeme,
                    "CONTINUOUS, DATABASES, DIAGNOSTICS, FIELD, GRANTS, MEASUREMENT, MEASUREMENTS, \
                     QUERIES, RETENTION, SERIES, SHARD, SHARDS, STATS, SUBSCRIPTIONS, TAG, USERS",
                ));
            }
        })
    }

    /// `[FOR 'module']`
    fn for_module(&mut self) -> Result<Option<String>, ParseError> {
        if !self.accept(Token::For) {
            return Ok(None);
        }
        self.string().map(super::some_name)
    }

    fn show_field(&mut self) -> Result<Statement, ParseError> {
        let lexeme = self.next();
        match lexeme.token {
            Token::Key => {
                let exact = self.exact_cardinality()?;
                let options = self.cardinality(exact)?;
                Ok(Statement::ShowFieldKeyCardinality(options))
            }
            Token::Keys => Ok(Statement::ShowFieldKeys(ShowFieldKeys {
                database: self.on_database()?,
                sources: self.measurements()?,
                order_by: self.order_by()?,
                limit: self.count_after(Token::Limit)?,
                offset: self.count_after(Token::Offset)?,
            })),
            _ => Err(unexpected(&lexeme, "KEY, KEYS")),
        }
    }

    fn show_tag(&mut self) -> Result<Statement, ParseError> {
        let lexeme = self.next();
        match lexeme.token {
            Token::Key => {
                let exact = self.exact_cardinality()?;
                let options = self.cardinality(exact)?;
                Ok(Statement::ShowTagKeyCardinality(options))
            }
            Token::Keys => self.show_tag_keys(),
            Token::Values => self.show_tag_values(),
            _ => Err(unexpected(&lexeme, "KEY, KEYS, VALUES")),
        }
    }

    /// `[EXACT] CARDINALITY`
    fn exact_cardinality(&mut self) -> Result<bool, ParseError> {
        let exact = self.accept(Token::Exact);
        let lexeme = self.next();
        match lexeme.token {
            Token::Cardinality => Ok(exact),
            _ if exact => Err(unexpected(&lexeme, "CARDINALITY")),
            _ => Err(unexpected(&lexeme, "EXACT, CARDINALITY")),
        }
    }

    /// What follows `CARDINALITY`.
    fn cardinality(&mut self, exact: bool) -> Result<ShowCardinality, ParseError> {
        Ok(ShowCardinality {
            exact,
            database: self.on_database()?,
            sources: self.measurements()?,
            condition: self.condition()?,
            dimensions: self.dimensions()?,
            limit: self.count_after(Token::Limit)?,
            offset: self.count_after(Token::Offset)?,
        })
    }

    fn show_series(&mut self) -> Result<Statement, ParseError> {
        // SHOW SERIES EXACT without CARDINALITY is SHOW SERIES, as in InfluxDB.
        let exact = self.accept(Token::Exact);
        if self.accept(Token::Cardinality) {
            let options = self.cardinality(exact)?;
            return Ok(Statement::ShowSeriesCardinality(options));
        }
        Ok(Statement::ShowSeries(ShowSeries {
            database: self.on_database()?,
            sources: self.measurements()?,
            condition: self.condition()?,
            order_by: self.order_by()?,
            limit: self.count_after(Token::Limit)?,
            offset: self.count_after(Token::Offset)?,
        }))
    }

    fn show_measurements(&mut self) -> Result<Statement, ParseError> {
        let mut show = ShowMeasurements::default();
        if self.accept(Token::On) {
            show.database = self.name_or_all()?;
            if self.accept(Token::Dot) {
                show.retention_policy = self.name_or_all()?;
            }
        }
        if self.accept(Token::With) {
            self.expect(&[Token::Measurement])?;
            let lexeme = self.next();
            if !matches!(lexeme.token, Token::Eq | Token::EqRegex) {
                return Err(unexpected(&lexeme, "=, =~"));
            }
            show.with_measurement = Some(self.measurement()?);
        }
        show.condition = self.condition()?;
        show.order_by = self.order_by()?;
        show.limit = self.count_after(Token::Limit)?;
        show.offset = self.count_after(Token::Offset)?;
        Ok(Statement::ShowMeasurements(show))
    }

    fn name_or_all(&mut self) -> Result<Option<NameOrAll>, ParseError> {
        let lexeme = self.next();
        match lexeme.token {
            Token::Ident => Ok(super::some_name(lexeme.text.into_owned()).map(NameOrAll::Name)),
            Token::Mul => Ok(Some(NameOrAll::All)),
            _ => Err(unexpected(&lexeme, "identifier or *")),
        }
    }

    fn show_tag_keys(&mut self) -> Result<Statement, ParseError> {
        let database = self.on_database()?;
        let sources = self.measurements()?;
        let mut with_key = None;
        if self.accept(Token::With) {
            self.unread();
            with_key = Some(self.with_key()?);
        }
        Ok(Statement::ShowTagKeys(ShowTagKeys {
            database,
            sources,
            with_key,
            condition: self.condition()?,
            order_by: self.order_by()?,
            limit: self.count_after(Token::Limit)?,
            offset: self.count_after(Token::Offset)?,
            slimit: self.count_after(Token::Slimit)?,
            soffset: self.count_after(Token::Soffset)?,
        }))
    }

    fn show_tag_values(&mut self) -> Result<Statement, ParseError> {
        let exact = self.accept(Token::Exact);
        if exact {
            self.expect(&[Token::Cardinality])?;
        }
        if exact || self.accept(Token::Cardinality) {
            return Ok(Statement::ShowTagValuesCardinality(
                ShowTagValuesCardinality {
                    exact,
                    database: self.on_database()?,
                    sources: self.measurements()?,
                    with_key: self.with_key()?,
                    condition: self.condition()?,
                    dimensions: self.dimensions()?,
                    limit: self.count_after(Token::Limit)?,
                    offset: self.count_after(Token::Offset)?,
                },
            ));
        }
        Ok(Statement::ShowTagValues(ShowTagValues {
            database: self.on_database()?,
            sources: self.measurements()?,
            with_key: self.with_key()?,
            condition: self.condition()?,
            order_by: self.order_by()?,
            limit: self.count_after(Token::Limit)?,
            offset: self.count_after(Token::Offset)?,
        }))
    }
}

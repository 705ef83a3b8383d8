//! `CREATE`, `ALTER` and `SET PASSWORD`.

use super::{Parser, invalid, unexpected};
use crate::{
    ast::{
        AlterRetentionPolicy, CreateContinuousQuery, CreateDatabase, CreateRetentionPolicy,
        CreateSubscription, CreateUser, DestinationMode, RetentionPolicySpec, SetPassword,
        Statement,
    },
    duration::format_duration,
    error::ParseError,
    token::Token,
};

impl Parser<'_> {
    /// What follows `CREATE`.
    pub(super) fn create(&mut self) -> Result<Statement, ParseError> {
        let lexeme = self.next();
        match lexeme.token {
            Token::Continuous => {
                self.expect(&[Token::Query])?;
                self.create_continuous_query()
            }
            Token::Database => self.create_database(),
            Token::User => self.create_user(),
            Token::Retention => {
                self.expect(&[Token::Policy])?;
                self.create_retention_policy()
            }
            Token::Subscription => self.create_subscription(),
            _ => Err(unexpected(
                &lexeme,
                "CONTINUOUS, DATABASE, USER, RETENTION, SUBSCRIPTION",
            )),
        }
    }

    fn create_continuous_query(&mut self) -> Result<Statement, ParseError> {
        let name = self.ident()?;
        self.expect(&[Token::On])?;
        let database = self.ident()?;
        let (every_ns, for_ns) = if self.accept(Token::Resample) {
            self.resample()?
        } else {
            (0, 0)
        };
        self.expect(&[Token::Begin, Token::Select])?;
        let source = self.select(true)?;
        let interval_ns = self.continuous_interval_ns(&source)?;
        self.expect(&[Token::End])?;
        let least_ns = interval_ns.max(every_ns);
        if for_ns != 0 && least_ns > for_ns {
            return Err(ParseError::Clause(format!(
                "FOR duration must be >= GROUP BY time duration: must be a minimum of {}, got {}",
                format_duration(least_ns),
                format_duration(for_ns)
            )));
        }
        Ok(Statement::CreateContinuousQuery(CreateContinuousQuery {
            name,
            database,
            resample_every_ns: (every_ns != 0).then_some(every_ns),
            resample_for_ns: (for_ns != 0).then_some(for_ns),
            source: Box::new(source),
        }))
    }

    /// What follows `RESAMPLE`: `EVERY` and `FOR` in nanoseconds, 0 when absent.
    fn resample(&mut self) -> Result<(i64, i64), ParseError> {
        let every_ns = if self.accept(Token::Every) {
            self.duration()?
        } else {
            0
        };
        let for_ns = if self.accept(Token::For) {
            self.duration()?
        } else {
            0
        };
        if every_ns == 0 && for_ns == 0 {
            return Err(unexpected(&self.next(), "EVERY, FOR"));
        }
        Ok((every_ns, for_ns))
    }

    fn create_database(&mut self) -> Result<Statement, ParseError> {
        let name = self.ident()?;
        if !self.accept(Token::With) {
            return Ok(Statement::CreateDatabase(CreateDatabase {
                name,
                policy: None,
            }));
        }
        let lexeme = self.next();
        if !matches!(
            lexeme.token,
            Token::Duration | Token::Name | Token::Replication | Token::Shard
        ) {
            return Err(unexpected(&lexeme, "DURATION, NAME, REPLICATION, SHARD"));
        }
        self.unread();
        let mut policy = RetentionPolicySpec::default();
        if self.accept(Token::Duration) {
            policy.duration_ns = Some(self.duration_or_inf()?);
        }
        if self.accept(Token::Replication) {
            policy.replication = Some(self.positive_i32()?);
        }
        if self.accept(Token::Shard) {
            policy.shard_duration_ns = Some(self.shard_duration(true)?);
        }
        if self.accept(Token::Name) {
            policy.name = Some(self.ident()?);
        }
        Ok(Statement::CreateDatabase(CreateDatabase {
            name,
            policy: Some(policy),
        }))
    }

    fn create_retention_policy(&mut self) -> Result<Statement, ParseError> {
        let name = self.ident()?;
        self.expect(&[Token::On])?;
        let database = self.ident()?;
        self.expect(&[Token::Duration])?;
        let duration_ns = self.duration_or_inf()?;
        self.expect(&[Token::Replication])?;
        let replication = self.positive_i32()?;
        let mut shard_duration_ns = None;
        if self.accept(Token::Shard) {
            shard_duration_ns = Some(self.shard_duration(false)?);
        }
        let default = self.accept(Token::Default);
        Ok(Statement::CreateRetentionPolicy(CreateRetentionPolicy {
            name,
            database,
            duration_ns,
            replication,
            shard_duration_ns,
            default,
        }))
    }

    /// What follows `ALTER RETENTION POLICY`.
    pub(super) fn alter_retention_policy(&mut self) -> Result<Statement, ParseError> {
        let lexeme = self.next();
        let name = match lexeme.token {
            Token::Default => "default".to_owned(),
            Token::Ident => lexeme.text.into_owned(),
            _ => return Err(unexpected(&lexeme, "identifier")),
        };
        self.expect(&[Token::On])?;
        let mut alter = AlterRetentionPolicy {
            name,
            database: self.ident()?,
            duration_ns: None,
            replication: None,
            shard_duration_ns: None,
            default: false,
        };
        let mut any = false;
        loop {
            let lexeme = self.next();
            let duplicate = match lexeme.token {
                Token::Duration => alter.duration_ns.is_some(),
                Token::Replication => alter.replication.is_some(),
                Token::Shard => alter.shard_duration_ns.is_some(),
                Token::Default => alter.default,
                _ if any => {
                    self.unread();
                    return Ok(Statement::AlterRetentionPolicy(alter));
                }
                _ => {
                    let expected = "DURATION, REPLICATION, SHARD, DEFAULT";
                    return Err(unexpected(&lexeme, expected));
                }
            };
            if duplicate {
                let message = format!("found duplicate {} option", lexeme.token.as_str());
                return Err(invalid(&lexeme, message));
            }
            match lexeme.token {
                Token::Duration => alter.duration_ns = Some(self.duration_or_inf()?),
                Token::Replication => alter.replication = Some(self.positive_i32()?),
                Token::Shard => alter.shard_duration_ns = Some(self.shard_duration(false)?),
                _ => alter.default = true,
            }
            any = true;
        }
    }

    fn create_subscription(&mut self) -> Result<Statement, ParseError> {
        let name = self.ident()?;
        let (database, retention_policy) = self.on_policy()?;
        self.expect(&[Token::Destinations])?;
        let lexeme = self.next();
        let mode = match lexeme.token {
            Token::All => DestinationMode::All,
            Token::Any => DestinationMode::Any,
            _ => return Err(unexpected(&lexeme, "ALL, ANY")),
        };
        Ok(Statement::CreateSubscription(CreateSubscription {
            name,
            database,
            retention_policy,
            mode,
            destinations: self.list("destinations", Self::string)?,
        }))
    }

    /// `ON database.policy`
    pub(super) fn on_policy(&mut self) -> Result<(String, String), ParseError> {
        self.expect(&[Token::On])?;
        let database = self.ident()?;
        let lexeme = self.scan();
        if lexeme.token != Token::Dot {
            return Err(unexpected(&lexeme, "."));
        }
        Ok((database, self.ident()?))
    }

    fn create_user(&mut self) -> Result<Statement, ParseError> {
        let name = self.ident()?;
        self.expect(&[Token::With, Token::Password])?;
        let password = self.string()?;
        let admin = self.accept(Token::With);
        if admin {
            self.expect(&[Token::All, Token::Privileges])?;
        }
        Ok(Statement::CreateUser(CreateUser {
            name,
            password,
            admin,
        }))
    }

    /// What follows `SET PASSWORD FOR`.
    pub(super) fn set_password(&mut self) -> Result<Statement, ParseError> {
        let name = self.ident()?;
        self.expect(&[Token::Eq])?;
        let password = self.string()?;
        Ok(Statement::SetPassword(SetPassword { name, password }))
    }
}

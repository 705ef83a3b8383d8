//! Which statement it is.

use super::{Parser, some_name, unexpected};
use crate::{
    ast::{KillQuery, Statement},
    error::ParseError,
    token::Token,
};

impl Parser<'_> {
    /// Any statement.
    pub(super) fn statement(&mut self) -> Result<Statement, ParseError> {
        let lexeme = self.next();
        match lexeme.token {
            Token::Select => Ok(Statement::Select(Box::new(self.select(false)?))),
            Token::Delete => self.delete(),
            Token::Show => self.show(),
            Token::Create => self.create(),
            Token::Drop => self.drop_(),
            Token::Explain => Ok(Statement::Explain(self.explain()?)),
            Token::Grant => self.grant(),
            Token::Revoke => self.revoke(),
            Token::Alter => {
                self.expect(&[Token::Retention, Token::Policy])?;
                self.alter_retention_policy()
            }
            Token::Set => {
                self.expect(&[Token::Password, Token::For])?;
                self.set_password()
            }
            Token::Kill => {
                self.expect(&[Token::Query])?;
                self.kill_query()
            }
            _ => Err(unexpected(
                &lexeme,
                "SELECT, DELETE, SHOW, CREATE, DROP, EXPLAIN, GRANT, REVOKE, ALTER, SET, KILL",
            )),
        }
    }

    fn kill_query(&mut self) -> Result<Statement, ParseError> {
        let id = self.unsigned()?;
        let mut host = None;
        if self.accept(Token::On) {
            host = some_name(self.ident()?);
        }
        Ok(Statement::KillQuery(KillQuery { id, host }))
    }
}

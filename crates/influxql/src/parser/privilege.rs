//! `GRANT` and `REVOKE`.

use super::{Parser, unexpected};
use crate::{
    ast::{Grant, GrantedPrivilege, Revoke, Statement},
    error::ParseError,
    token::Token,
};

impl Parser<'_> {
    /// What follows `GRANT`.
    pub(super) fn grant(&mut self) -> Result<Statement, ParseError> {
        let privilege = self.privilege()?;
        Ok(match self.database_or(Token::To, privilege)? {
            Some(database) => Statement::Grant(Grant {
                privilege,
                database,
                user: self.ident()?,
            }),
            None => Statement::GrantAdmin {
                user: self.ident()?,
            },
        })
    }

    /// What follows `REVOKE`.
    pub(super) fn revoke(&mut self) -> Result<Statement, ParseError> {
        let privilege = self.privilege()?;
        Ok(match self.database_or(Token::From, privilege)? {
            Some(database) => Statement::Revoke(Revoke {
                privilege,
                database,
                user: self.ident()?,
            }),
            None => Statement::RevokeAdmin {
                user: self.ident()?,
            },
        })
    }

    /// `ON database preposition`, or only the preposition, which takes all privileges.
    fn database_or(
        &mut self,
        preposition: Token,
        privilege: GrantedPrivilege,
    ) -> Result<Option<String>, ParseError> {
        let all = privilege == GrantedPrivilege::All;
        let lexeme = self.next();
        if lexeme.token == Token::On {
            let database = self.ident()?;
            self.expect(&[preposition])?;
            return Ok(Some(database));
        }
        if lexeme.token == preposition && all {
            return Ok(None);
        }
        let expected = if all {
            format!("ON, {}", preposition.as_str())
        } else {
            "ON".to_owned()
        };
        Err(unexpected(&lexeme, &expected))
    }

    fn privilege(&mut self) -> Result<GrantedPrivilege, ParseError> {
        let lexeme = self.next();
        match lexeme.token {
            Token::Read => Ok(GrantedPrivilege::Read),
            Token::Write => Ok(GrantedPrivilege::Write),
            Token::All => {
                self.accept(Token::Privileges);
                Ok(GrantedPrivilege::All)
            }
            _ => Err(unexpected(&lexeme, "READ, WRITE, ALL [PRIVILEGES]")),
        }
    }
}

//! The clauses that several statements share.

use super::{Parser, check_list, clause, some_name, unexpected};
use crate::{
    ast::{Expr, KeyFilter, OrderBy, Source},
    error::ParseError,
    token::Token,
};

impl Parser<'_> {
    /// `[ON database]`
    pub(super) fn on_database(&mut self) -> Result<Option<String>, ParseError> {
        if !self.accept(Token::On) {
            return Ok(None);
        }
        self.ident().map(some_name)
    }

    /// `[FROM measurement, …]`
    pub(super) fn measurements(&mut self) -> Result<Vec<Source>, ParseError> {
        if !self.accept(Token::From) {
            return Ok(Vec::new());
        }
        self.sources(false)
    }

    /// `[WHERE expr]`
    pub(super) fn condition(&mut self) -> Result<Option<Expr>, ParseError> {
        if !self.accept(Token::Where) {
            return Ok(None);
        }
        self.expr().map(Some)
    }

    /// `[GROUP BY expr, …]`
    pub(super) fn dimensions(&mut self) -> Result<Vec<Expr>, ParseError> {
        let mut dimensions = Vec::new();
        if !self.accept(Token::Group) {
            return Ok(dimensions);
        }
        self.expect(&[Token::By])?;
        loop {
            check_list(&dimensions, "dimensions")?;
            dimensions.push(match self.regex()? {
                Some(regex) => Expr::Regex(regex),
                None => {
                    let expr = self.expr()?;
                    self.skip_whitespace();
                    expr
                }
            });
            if self.scan().token != Token::Comma {
                self.unread();
                return Ok(dimensions);
            }
        }
    }

    /// `[ORDER BY [time] [ASC | DESC]]`
    pub(super) fn order_by(&mut self) -> Result<Option<OrderBy>, ParseError> {
        const ONLY_TIME: &str = "only ORDER BY time supported at this time";
        if !self.accept(Token::Order) {
            return Ok(None);
        }
        self.expect(&[Token::By])?;
        let lexeme = self.next();
        let order_by = match lexeme.token {
            Token::Asc | Token::Desc => OrderBy {
                time_named: false,
                descending: lexeme.token == Token::Desc,
            },
            Token::Ident => {
                let descending = self.direction();
                if lexeme.text != "time" {
                    return Err(clause(ONLY_TIME));
                }
                OrderBy {
                    time_named: true,
                    descending,
                }
            }
            _ => return Err(unexpected(&lexeme, "identifier, ASC, DESC")),
        };
        if !self.accept(Token::Comma) {
            return Ok(Some(order_by));
        }
        // More fields must be right in themselves before their number is complained of.
        self.list("sort fields", |parser| {
            parser.ident()?;
            Ok(parser.direction())
        })?;
        Err(clause(ONLY_TIME))
    }

    /// `[ASC | DESC]`: true for `DESC`.
    fn direction(&mut self) -> bool {
        match self.next().token {
            Token::Asc => false,
            Token::Desc => true,
            _ => {
                self.unread();
                false
            }
        }
    }

    /// `[keyword n]`, which is 0 when absent; what does not fit an `i64` is its maximum.
    pub(super) fn count_after(&mut self, keyword: Token) -> Result<u64, ParseError> {
        if !self.accept(keyword) {
            return Ok(0);
        }
        let lexeme = self.next();
        if lexeme.token != Token::Integer {
            return Err(unexpected(&lexeme, "integer"));
        }
        // Only a bound parameter can be negative.
        if lexeme.text.starts_with('-') {
            let message = format!("{} must be >= 0", keyword.as_str());
            return Err(super::invalid(&lexeme, message));
        }
        let max = i64::MAX.unsigned_abs();
        Ok(lexeme.text.parse().map_or(max, |count: u64| count.min(max)))
    }

    /// `WITH KEY {= | != | =~ | !~ | IN} …`
    pub(super) fn with_key(&mut self) -> Result<KeyFilter, ParseError> {
        self.expect(&[Token::With, Token::Key])?;
        let lexeme = self.next();
        Ok(match lexeme.token {
            Token::In => {
                self.expect(&[Token::LParen])?;
                let keys = self.list("tag keys", Self::ident)?;
                self.expect(&[Token::RParen])?;
                KeyFilter::In(keys)
            }
            Token::Eq => KeyFilter::Equal(self.ident()?),
            Token::Neq => KeyFilter::NotEqual(self.ident()?),
            Token::EqRegex => KeyFilter::Match(self.required_regex()?),
            Token::NeqRegex => KeyFilter::NotMatch(self.required_regex()?),
            _ => return Err(unexpected(&lexeme, "IN, =, =~")),
        })
    }

    fn required_regex(&mut self) -> Result<String, ParseError> {
        match self.regex()? {
            Some(regex) => Ok(regex),
            None => Err(unexpected(&self.next(), "regex")),
        }
    }
}

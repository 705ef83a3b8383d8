//! Tokens to syntax tree.
//!
//! Recursive descent over a stream of tokens that can be pushed back, ordered as InfluxDB orders
//! it, because what is read when decides what an error message says. Binary operators are not
//! recursive (see [`expr`]); what is (parentheses, calls, subqueries) counts its depth.

mod clause;
mod create;
mod drop;
mod expr;
mod privilege;
mod select;
mod show;
mod source;
mod statement;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use crate::{
    ast::{Expr, Query, Statement},
    duration::parse_duration,
    error::{ParseError, Position},
    lexer::{Lexeme, Lexer, is_whitespace},
    limits::{LIST_ITEMS_MAX, PARAMS_BYTES_MAX, QUERY_BYTES_MAX, STATEMENTS_MAX},
    params::Params,
    regex,
    token::Token,
};

/// Reads all statements of a text; an empty text has none.
///
/// # Errors
/// The first thing that is wrong. Nothing of the query should run then.
pub fn parse_query(text: &str, params: &Params) -> Result<Query, ParseError> {
    let mut parser = Parser::new(text, params)?;
    let mut statements = Vec::new();
    let mut separated = true;
    loop {
        let lexeme = parser.next();
        match lexeme.token {
            Token::Eof => return Ok(Query { statements }),
            Token::Semicolon => separated = true,
            _ if !separated => return Err(unexpected(&lexeme, ";")),
            _ => {
                parser.unread();
                if statements.len() == STATEMENTS_MAX {
                    return Err(too_large("statements", STATEMENTS_MAX));
                }
                statements.push(parser.statement()?);
                separated = false;
            }
        }
    }
}

/// Reads the first statement of a text and ignores what follows it.
///
/// # Errors
/// When the text does not begin with a statement.
pub fn parse_statement(text: &str, params: &Params) -> Result<Statement, ParseError> {
    Parser::new(text, params)?.statement()
}

/// Reads the expression that a text begins with and ignores what follows it.
///
/// # Errors
/// When the text does not begin with an expression.
pub fn parse_expr(text: &str, params: &Params) -> Result<Expr, ParseError> {
    Parser::new(text, params)?.expr()
}

/// How many tokens can be pushed back.
const RING: usize = 3;

struct Parser<'a> {
    lexer: Lexer<'a>,
    params: &'a Params,
    ring: [Lexeme<'a>; RING],
    /// Index of the token that was read last from the lexer.
    newest: usize,
    /// How many tokens are pushed back.
    pushed_back: usize,
    expr_depth: usize,
    subquery_depth: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, params: &'a Params) -> Result<Self, ParseError> {
        if text.len() > QUERY_BYTES_MAX {
            return Err(too_large("bytes", QUERY_BYTES_MAX));
        }
        if params.bytes() > PARAMS_BYTES_MAX {
            return Err(too_large("bytes of bound parameters", PARAMS_BYTES_MAX));
        }
        let none = Lexeme {
            token: Token::Illegal,
            position: Position::default(),
            text: Cow::Borrowed(""),
        };
        Ok(Self {
            lexer: Lexer::new(text),
            params,
            ring: [none.clone(), none.clone(), none],
            newest: 0,
            pushed_back: 0,
            expr_depth: 0,
            subquery_depth: 0,
        })
    }

    /// The next token, whitespace and comments included, bound parameters replaced.
    fn scan(&mut self) -> Lexeme<'a> {
        self.scan_with(Lexer::scan)
    }

    fn scan_with(&mut self, scan: impl Fn(&mut Lexer<'a>) -> Lexeme<'a>) -> Lexeme<'a> {
        if self.pushed_back > 0 {
            self.pushed_back -= 1;
        } else {
            self.newest = (self.newest + 1) % RING;
            let lexeme = scan(&mut self.lexer);
            if let Some(slot) = self.ring.get_mut(self.newest) {
                *slot = lexeme;
            }
        }
        let index = (self.newest + RING - self.pushed_back) % RING;
        let lexeme = match self.ring.get(index) {
            Some(lexeme) => lexeme.clone(),
            None => return self.lexer.scan(),
        };
        self.bind(lexeme)
    }

    /// Puts the value of a bound parameter in its place, or the text of the error if nothing can stand there.
    /// An unknown one stays what it is.
    fn bind(&self, lexeme: Lexeme<'a>) -> Lexeme<'a> {
        if lexeme.token != Token::BoundParam {
            return lexeme;
        }
        match self.params.get(param_name(&lexeme)) {
            Some(bound) => Lexeme {
                token: bound.token,
                text: Cow::Borrowed(&bound.text),
                position: lexeme.position,
            },
            None => lexeme,
        }
    }

    /// Pushes back the token read last; works for up to [`RING`] tokens in a row.
    fn unread(&mut self) {
        self.pushed_back += 1;
    }

    /// The next token that is neither whitespace nor comment.
    fn next(&mut self) -> Lexeme<'a> {
        loop {
            let lexeme = self.scan();
            if !matches!(lexeme.token, Token::Whitespace | Token::Comment) {
                return lexeme;
            }
        }
    }

    /// Takes the next token if it is `token`.
    fn accept(&mut self, token: Token) -> bool {
        let found = self.next().token == token;
        if !found {
            self.unread();
        }
        found
    }

    /// Takes the tokens given, or fails on the first that is another.
    fn expect(&mut self, tokens: &[Token]) -> Result<(), ParseError> {
        for token in tokens {
            let lexeme = self.next();
            if lexeme.token != *token {
                return Err(unexpected(&lexeme, token.as_str()));
            }
        }
        Ok(())
    }

    /// The character behind the last token that the lexer gave out, pushed back or not.
    fn peek_char(&mut self) -> char {
        self.lexer.peek_or_end()
    }

    /// Takes one token of whitespace, if there is one.
    fn skip_whitespace(&mut self) {
        if self.scan().token != Token::Whitespace {
            self.unread();
        }
    }

    fn ident(&mut self) -> Result<String, ParseError> {
        self.text_of(Token::Ident, "identifier")
    }

    fn string(&mut self) -> Result<String, ParseError> {
        self.text_of(Token::String, "string")
    }

    fn text_of(&mut self, token: Token, name: &str) -> Result<String, ParseError> {
        let lexeme = self.next();
        if lexeme.token != token {
            return Err(unexpected(&lexeme, name));
        }
        Ok(lexeme.text.into_owned())
    }

    /// `item, item, …`
    fn list<T>(
        &mut self,
        what: &'static str,
        mut item: impl FnMut(&mut Self) -> Result<T, ParseError>,
    ) -> Result<Vec<T>, ParseError> {
        let mut items = vec![item(self)?];
        while self.accept(Token::Comma) {
            check_list(&items, what)?;
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn unsigned(&mut self) -> Result<u64, ParseError> {
        let lexeme = self.next();
        if lexeme.token != Token::Integer {
            return Err(unexpected(&lexeme, "integer"));
        }
        lexeme
            .text
            .parse()
            .map_err(|_| invalid(&lexeme, go_number_error("ParseUint", &lexeme.text)))
    }

    /// A replication factor.
    fn positive_i32(&mut self) -> Result<u32, ParseError> {
        const MAX: i64 = i32::MAX as i64;
        let lexeme = self.next();
        if lexeme.token != Token::Integer {
            return Err(unexpected(&lexeme, "integer"));
        }
        let number: i64 = lexeme
            .text
            .parse()
            .map_err(|_| invalid(&lexeme, go_number_error("Atoi", &lexeme.text)))?;
        match u32::try_from(number) {
            Ok(number @ 1..) if i64::from(number) <= MAX => Ok(number),
            _ => {
                let message = format!("invalid value {number}: must be 1 <= n <= {MAX}");
                Err(invalid(&lexeme, message))
            }
        }
    }

    /// A duration in nanoseconds, or `INF`, which is 0.
    fn duration_or_inf(&mut self) -> Result<i64, ParseError> {
        let lexeme = self.next();
        match lexeme.token {
            Token::Inf => Ok(0),
            Token::DurationValue => duration_of(&lexeme),
            _ => Err(unexpected(&lexeme, "duration")),
        }
    }

    /// A duration in nanoseconds.
    fn duration(&mut self) -> Result<i64, ParseError> {
        let lexeme = self.next();
        if lexeme.token != Token::DurationValue {
            return Err(unexpected(&lexeme, "duration"));
        }
        duration_of(&lexeme)
    }

    /// A regular expression, if one stands here.
    fn regex(&mut self) -> Result<Option<String>, ParseError> {
        if is_whitespace(self.peek_char()) {
            self.skip_whitespace();
        }
        match self.peek_char() {
            '/' => {}
            '$' => {
                // A bound parameter may stand for one.
                let token = self.scan().token;
                self.unread();
                if token != Token::Regex {
                    return Ok(None);
                }
            }
            _ => return Ok(None),
        }
        let lexeme = self.scan_with(Lexer::scan_regex);
        match lexeme.token {
            Token::Regex => regex_of(lexeme).map(Some),
            Token::BadRegex => Err(invalid(&lexeme, format!("bad regex: {}", lexeme.text))),
            _ => Err(unexpected(&lexeme, "regex")),
        }
    }
}

fn regex_of(lexeme: Lexeme<'_>) -> Result<String, ParseError> {
    use crate::limits::REGEX_BYTES_MAX;
    if lexeme.text.len() > REGEX_BYTES_MAX {
        return Err(too_large("bytes of a regular expression", REGEX_BYTES_MAX));
    }
    match regex::check(&lexeme.text) {
        Ok(()) => Ok(lexeme.text.into_owned()),
        Err(error) => Err(invalid(&lexeme, error.to_string())),
    }
}

fn duration_of(lexeme: &Lexeme<'_>) -> Result<i64, ParseError> {
    parse_duration(&lexeme.text).map_err(|error| invalid(lexeme, error.to_string()))
}

/// The name of a bound parameter.
fn param_name<'b>(lexeme: &'b Lexeme<'_>) -> &'b str {
    lexeme.text.strip_prefix('$').unwrap_or(&lexeme.text)
}

/// The text of Go's error for digits that do not fit.
fn go_number_error(function: &str, digits: &str) -> String {
    let why = if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        "value out of range"
    } else {
        "invalid syntax"
    };
    format!("strconv.{function}: parsing {digits:?}: {why}")
}

fn unexpected(found: &Lexeme<'_>, expected: &str) -> ParseError {
    let text = match &*found.text {
        "" => found.token.as_str(),
        text => text,
    };
    ParseError::Unexpected {
        found: text.to_owned(),
        expected: expected.to_owned(),
        position: found.position,
    }
}

fn invalid(lexeme: &Lexeme<'_>, message: String) -> ParseError {
    ParseError::Invalid {
        message,
        position: lexeme.position,
    }
}

fn clause(message: &str) -> ParseError {
    ParseError::Clause(message.to_owned())
}

fn too_large(what: &'static str, max: usize) -> ParseError {
    ParseError::TooLarge { what, max }
}

fn check_list<T>(items: &[T], what: &'static str) -> Result<(), ParseError> {
    if items.len() >= LIST_ITEMS_MAX {
        return Err(too_large(what, LIST_ITEMS_MAX));
    }
    Ok(())
}

/// A name, unless it is empty, which InfluxDB takes for none.
fn some_name(name: String) -> Option<String> {
    (!name.is_empty()).then_some(name)
}

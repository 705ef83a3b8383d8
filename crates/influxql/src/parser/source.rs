//! Names in segments, and the `FROM` and `INTO` clauses.

use super::{Parser, check_list, some_name, too_large, unexpected};
use crate::{
    ast::{Measurement, Source},
    error::{ParseError, Position},
    limits::SUBQUERY_DEPTH_MAX,
    quote::{Ident, QuotedIdent},
    token::Token,
};

/// Database, retention policy and measurement.
const SEGMENTS_MAX: usize = 3;

impl Parser<'_> {
    /// `a`, `a.b`, `a..c`: stops behind a dot that a regular expression or `:MEASUREMENT` follows.
    pub(super) fn segments(&mut self) -> Result<Vec<String>, ParseError> {
        let mut segments = vec![self.ident()?];
        loop {
            if self.scan().token != Token::Dot {
                self.unread();
                break;
            }
            match self.peek_char() {
                '/' | ':' => break,
                '.' => segments.push(String::new()),
                _ => segments.push(self.ident()?),
            }
            check_list(&segments, "segments of a name")?;
        }
        if segments.len() > SEGMENTS_MAX {
            return Err(ParseError::Invalid {
                message: format!("too many segments in {}", quote_segments(&segments)),
                position: Position::default(),
            });
        }
        Ok(segments)
    }

    /// A list of sources; with subqueries if they are allowed.
    pub(super) fn sources(&mut self, subqueries: bool) -> Result<Vec<Source>, ParseError> {
        self.list("sources", |parser| parser.source(subqueries))
    }

    fn source(&mut self, subqueries: bool) -> Result<Source, ParseError> {
        if let Some(regex) = self.regex()? {
            return Ok(Source::Measurement(Measurement {
                regex: Some(regex),
                ..Measurement::default()
            }));
        }
        if subqueries && self.accept(Token::LParen) {
            return self.subquery();
        }
        self.named_measurement().map(Source::Measurement)
    }

    /// A subquery whose parenthesis has been read.
    fn subquery(&mut self) -> Result<Source, ParseError> {
        if self.subquery_depth == SUBQUERY_DEPTH_MAX {
            return Err(too_large("levels of subqueries", SUBQUERY_DEPTH_MAX));
        }
        self.expect(&[Token::Select])?;
        self.subquery_depth += 1;
        let statement = self.select(false)?;
        self.subquery_depth -= 1;
        self.expect(&[Token::RParen])?;
        Ok(Source::Subquery(Box::new(statement)))
    }

    /// A measurement or a regular expression.
    pub(super) fn measurement(&mut self) -> Result<Measurement, ParseError> {
        match self.regex()? {
            Some(regex) => Ok(Measurement {
                regex: Some(regex),
                ..Measurement::default()
            }),
            None => self.named_measurement(),
        }
    }

    /// A measurement by name, or a regular expression behind a database or retention policy.
    fn named_measurement(&mut self) -> Result<Measurement, ParseError> {
        let mut segments = self.segments()?;
        let regex = match segments.len() {
            SEGMENTS_MAX => None,
            _ => self.regex()?,
        };
        let name = match regex {
            Some(_) => String::new(),
            None => segments.pop().unwrap_or_default(),
        };
        Ok(place(segments, name, regex))
    }

    /// The `INTO` clause.
    pub(super) fn target(&mut self, required: bool) -> Result<Option<Measurement>, ParseError> {
        let lexeme = self.next();
        if lexeme.token != Token::Into {
            if required {
                return Err(unexpected(&lexeme, "INTO"));
            }
            self.unread();
            return Ok(None);
        }
        let mut segments = self.segments()?;
        if segments.len() < SEGMENTS_MAX && self.peek_char() == ':' {
            self.expect(&[Token::Colon, Token::Measurement])?;
            segments.push(String::new());
        }
        let name = segments.pop().unwrap_or_default();
        Ok(Some(place(segments, name, None)))
    }
}

/// A measurement in the place that the segments before its name tell.
fn place(mut segments: Vec<String>, name: String, regex: Option<String>) -> Measurement {
    Measurement {
        retention_policy: segments.pop().and_then(some_name),
        database: segments.pop().and_then(some_name),
        name,
        regex,
    }
}

/// Segments as an error message shows them: all but the last in quotes.
fn quote_segments(segments: &[String]) -> String {
    let last = segments.len().saturating_sub(1);
    let quoted: Vec<String> = segments
        .iter()
        .enumerate()
        .map(|(index, segment)| match index {
            _ if index == last => Ident(segment).to_string(),
            1.. if segment.is_empty() => String::new(),
            _ => QuotedIdent(segment).to_string(),
        })
        .collect();
    quoted.join(".")
}

//! Bound parameters: the values that `$name` stands for.
//!
//! A parameter takes the place of one token, so its value can never become syntax.

use std::collections::BTreeMap;

use crate::{duration::format_duration, token::Token};

/// The value of a bound parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum ParamValue {
    /// A name of a field, tag, measurement, database and so on.
    Identifier(String),
    /// A string.
    String(String),
    /// A regular expression in the syntax of Go.
    Regex(String),
    /// A number with a decimal point.
    Number(f64),
    /// A whole number.
    Integer(i64),
    /// `true` or `false`.
    Boolean(bool),
    /// A duration as it would be written, such as `5m`.
    Duration(String),
    /// A value that cannot be bound. It is an error with this text only where it is used.
    Invalid(String),
}

/// A JSON value that may be bound.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    /// A string.
    String(String),
    /// A number without a point.
    Integer(i64),
    /// A number with a point.
    Float(f64),
    /// `true` or `false`.
    Boolean(bool),
}

impl From<Scalar> for ParamValue {
    /// A plain JSON value: a string, a number or a boolean.
    fn from(value: Scalar) -> Self {
        match value {
            Scalar::String(value) => Self::String(value),
            Scalar::Integer(value) => Self::Integer(value),
            Scalar::Float(value) => Self::Number(value),
            Scalar::Boolean(value) => Self::Boolean(value),
        }
    }
}

impl ParamValue {
    /// A JSON object of one entry, `{kind: value}`, which says what the value is meant to be.
    #[must_use]
    pub fn typed(kind: &str, value: Scalar) -> Self {
        let invalid = |text: &str| Self::Invalid(text.to_owned());
        match (kind, value) {
            ("ident" | "identifier", Scalar::String(value)) => Self::Identifier(value),
            ("ident" | "identifier", _) => invalid("identifier must be a string value"),
            ("regex", Scalar::String(value)) => Self::Regex(value),
            ("regex", _) => invalid("regex literal must be a string value"),
            ("string", Scalar::String(value)) => Self::String(value),
            ("string", _) => invalid("string literal must be a string value"),
            ("float" | "number", Scalar::Float(value)) => Self::Number(value),
            #[expect(clippy::cast_precision_loss, reason = "so does InfluxDB")]
            ("float" | "number", Scalar::Integer(value)) => Self::Number(value as f64),
            ("float" | "number", _) => invalid("number literal must be a float value"),
            ("int" | "integer", Scalar::Integer(value)) => Self::Integer(value),
            ("int" | "integer", _) => invalid("integer literal must be an integer value"),
            ("duration", Scalar::String(value)) => Self::Duration(value),
            ("duration", Scalar::Integer(value)) => Self::Duration(format_duration(value)),
            ("duration", _) => invalid("duration literal must be a string or integer value"),
            _ => Self::Invalid(format!("unknown bind object type: {kind}")),
        }
    }

    fn into_token(self) -> BoundToken {
        let (token, text) = match self {
            Self::Identifier(value) => (Token::Ident, value),
            Self::String(value) => (Token::String, value),
            Self::Regex(value) => (Token::Regex, value),
            Self::Number(value) => (Token::Number, value.to_string()),
            Self::Integer(value) => (Token::Integer, value.to_string()),
            Self::Boolean(true) => (Token::True, String::new()),
            Self::Boolean(false) => (Token::False, String::new()),
            Self::Duration(value) => (Token::DurationValue, value),
            Self::Invalid(error) => (Token::BoundParam, error),
        };
        BoundToken { token, text }
    }
}

/// What stands in the place of a parameter; [`Token::BoundParam`] with the text of an error when
/// nothing can.
#[derive(Clone, Debug)]
pub(crate) struct BoundToken {
    pub(crate) token: Token,
    pub(crate) text: String,
}

/// The bound parameters of one request.
#[derive(Clone, Debug, Default)]
pub struct Params {
    tokens: BTreeMap<String, BoundToken>,
}

impl Params {
    /// No parameters.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            tokens: BTreeMap::new(),
        }
    }

    /// Binds a value to a name, which has no `$`; a later value replaces an earlier one.
    pub fn insert(&mut self, name: impl Into<String>, value: ParamValue) {
        self.tokens.insert(name.into(), value.into_token());
    }

    pub(crate) fn get(&self, name: &str) -> Option<&BoundToken> {
        self.tokens.get(name)
    }

    /// Bytes of all names and values.
    pub(crate) fn bytes(&self) -> usize {
        self.tokens
            .iter()
            .map(|(name, token)| name.len() + token.text.len())
            .sum()
    }
}

impl<N: Into<String>> FromIterator<(N, ParamValue)> for Params {
    fn from_iter<I: IntoIterator<Item = (N, ParamValue)>>(items: I) -> Self {
        let mut params = Self::new();
        for (name, value) in items {
            params.insert(name, value);
        }
        params
    }
}

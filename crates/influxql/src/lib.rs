//! InfluxQL 1.x: text to syntax tree and back, and what may be said of a statement without
//! looking at any data.
//!
//! What always holds:
//! * A tree that came out of the parser is at most [`limits::EXPR_DEPTH_MAX`] expressions and
//!   [`limits::SUBQUERY_DEPTH_MAX`] subqueries deep, so walking it by recursion is safe.
//! * Printing a parsed statement and parsing the text again gives the same tree.
//! * Error texts, with their line and character, are those of InfluxDB 1.8.
//!
//! Regular expressions stay as written, in the syntax of Go; time strings stay strings. What
//! a statement means on data (which functions exist, how many arguments they take) is the
//! business of the executor.
//!
//! ```
//! use tandem_influxql::{Params, parse_query};
//!
//! let query = parse_query("select mean(x) from cpu where host='a'", &Params::new())?;
//! assert_eq!(query.to_string(), "SELECT mean(x) FROM cpu WHERE host = 'a'");
//!
//! let error = parse_query("SELECT FROM cpu", &Params::new()).unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "found FROM, expected identifier, string, number, bool at line 1, char 8"
//! );
//! # Ok::<(), tandem_influxql::ParseError>(())
//! ```

pub mod ast;
pub mod condition;
mod display;
mod duration;
mod error;
mod lexer;
pub mod limits;
mod params;
mod parser;
mod privilege;
mod quote;
mod redact;
mod regex;
mod token;
pub mod zone;

pub use display::Shown;
pub use duration::{DurationError, format_duration, format_go_duration, parse_duration};
pub use error::{ParseError, Position};
pub use params::{ParamValue, Params, Scalar};
pub use parser::{parse_expr, parse_query, parse_statement};
pub use privilege::Privilege;
pub use quote::{ident_needs_quotes, quote_ident, quote_string};
pub use redact::redact_passwords;

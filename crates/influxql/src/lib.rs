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

pub mod ast;
pub mod limits;

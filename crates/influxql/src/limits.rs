//! The named maximum of everything that a client may make long or deep.
//!
//! InfluxDB has none of these and falls over instead. Each is far above what dashboards and
//! people write, and low enough that a hostile query costs little memory and no stack.

/// Bytes of one request's query text, all statements together.
pub const QUERY_BYTES_MAX: usize = 2 << 20;

/// Statements in one query text.
pub const STATEMENTS_MAX: usize = 10_000;

/// How deep parentheses, calls and operators may nest in one expression. A chain of `AND` or
/// of `OR` does not count by its length: it is stored as a balanced tree.
pub const EXPR_DEPTH_MAX: usize = 200;

/// How deep subqueries may nest.
pub const SUBQUERY_DEPTH_MAX: usize = 32;

/// Items in one list: fields, sources, dimensions, arguments of a call, tag keys, destinations.
pub const LIST_ITEMS_MAX: usize = 65_536;

/// Bytes of one regular expression.
pub const REGEX_BYTES_MAX: usize = 256 << 10;

/// Bytes of all bound parameters of one request, names and values together.
pub const PARAMS_BYTES_MAX: usize = 2 << 20;

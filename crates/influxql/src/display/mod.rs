//! Syntax tree to text, in InfluxDB's normal form.
//!
//! The text of anything that came out of the parser parses to the same tree again. Where InfluxDB's
//! own form does not (it forgets the quotes of an odd function name, and that `a / -b` is not
//! `a / -1 * b`), this one is right instead of equal. Passwords are never printed; a statement that
//! holds one does not parse again.

mod expr;
mod select;
mod show;
mod shown;
mod statement;

use std::fmt;

pub use shown::Shown;

/// Writes the items with `, ` between them.
fn write_list<T: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    items: impl IntoIterator<Item = T>,
) -> fmt::Result {
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        item.fmt(f)?;
    }
    Ok(())
}

/// A clause that is written only if it is there: a space, its keyword, a space and its content.
fn write_clause(
    f: &mut fmt::Formatter<'_>,
    keyword: &str,
    content: Option<impl fmt::Display>,
) -> fmt::Result {
    match content {
        Some(content) => write!(f, " {keyword} {content}"),
        None => Ok(()),
    }
}

/// The same for a list, which is there if it is not empty.
fn write_list_clause<T: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    keyword: &str,
    items: &[T],
) -> fmt::Result {
    if items.is_empty() {
        return Ok(());
    }
    write!(f, " {keyword} ")?;
    write_list(f, items)
}

/// The same for a count, which is there if it is not 0.
fn write_count(f: &mut fmt::Formatter<'_>, keyword: &str, count: u64) -> fmt::Result {
    write_clause(f, keyword, (count > 0).then_some(count))
}

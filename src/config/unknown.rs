//! What is said of a key that nobody knows: the nearest of those that there are, instead of all of them.
//!
//! A section has up to seventy keys, and the reader of TOML lists them in one line, behind which nobody finds what was wrong.

use std::fmt::Display;

/// What stands between the key and the list.
const LIST: &str = ", expected one of ";
/// Lists up to this length are left as they are: values of a setting, for one.
const LISTED_MAX: usize = 8;
/// So many letters may be wrong, missing or too many in what was meant.
const APART_MAX: usize = 3;

/// The error, with a long list of keys made short.
pub(super) fn shortened(error: &impl Display) -> anyhow::Error {
    let text = error.to_string();
    anyhow::Error::msg(short(text.trim_end()))
}

fn short(text: &str) -> String {
    let Some((before, list)) = text.split_once(LIST) else {
        return text.to_owned();
    };
    let known: Vec<&str> = marked(list).collect();
    let Some(wrong) = before.rsplit('`').nth(1) else {
        return text.to_owned();
    };
    if known.len() <= LISTED_MAX {
        return text.to_owned();
    }
    let nearest = known
        .iter()
        .map(|name| (apart(wrong, name), *name))
        .min()
        .filter(|(apart, name)| *apart <= APART_MAX && *apart < name.len());
    match nearest {
        Some((_, name)) => format!("{before}; did you mean `{name}`?"),
        None => format!("{before}; config.md has all that there are"),
    }
}

/// The texts between backticks.
fn marked(list: &str) -> impl Iterator<Item = &str> {
    list.split('`').skip(1).step_by(2)
}

/// How many letters must be changed, taken out or put in to make one text of the other.
fn apart(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (at, from) in a.chars().enumerate() {
        let mut above_left = at;
        let mut left = at + 1;
        for (cell, to) in row.iter_mut().skip(1).zip(&b) {
            let changed = above_left + usize::from(from != *to);
            above_left = *cell;
            left = changed.min(*cell + 1).min(left + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = at + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &[&str]) -> String {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        names.join(", ")
    }

    #[test]
    fn the_nearest_key_is_named() {
        let many = list(&[
            "name",
            "http",
            "admin",
            "a",
            "b",
            "c",
            "d",
            "e",
            "wal-bytes-max",
        ]);
        let said = |wrong: &str| short(&format!("unknown field `{wrong}`, expected one of {many}"));
        assert_eq!(said("htpp"), "unknown field `htpp`; did you mean `http`?");
        assert_eq!(
            said("wal-byte-max"),
            "unknown field `wal-byte-max`; did you mean `wal-bytes-max`?"
        );
        assert_eq!(
            said("retention"),
            "unknown field `retention`; config.md has all that there are"
        );
    }

    #[test]
    fn what_is_short_or_another_error_stays() {
        let few = format!(
            "unknown variant `x`, expected one of {}",
            list(&["human", "json"])
        );
        for text in [
            few.as_str(),
            "invalid type: integer `7`, expected a string",
            "",
            "`, expected one of `",
        ] {
            assert_eq!(short(text), text);
        }
    }

    #[test]
    fn texts_are_so_many_letters_apart() {
        for (a, b, letters) in [
            ("", "", 0),
            ("", "ab", 2),
            ("ab", "", 2),
            ("kitten", "sitting", 3),
            ("http", "http", 0),
            ("htpp", "http", 1),
        ] {
            assert_eq!((apart(a, b), apart(b, a)), (letters, letters), "{a} {b}");
        }
    }
}

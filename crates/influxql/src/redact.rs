//! Hides passwords in query texts that are shown or logged.
//!
//! Works on any text, valid or not, and leaves all else as it is. What it looks for:
//! `WITH PASSWORD '…'` and `PASSWORD FOR … = '…'`, as InfluxDB does; but it follows a quoted password
//! to its closing quote, spaces and escaped quotes included, where InfluxDB stops at the first space,
//! and it does not need the space behind the `=`.

use crate::lexer::is_whitespace;

const MASK: &str = "[REDACTED]";
const WORD: &str = "password";

/// `text` with `[REDACTED]` in the place of each password. Takes time in proportion to its length.
#[must_use]
pub fn redact_passwords(text: &str) -> String {
    let mut redacted = String::with_capacity(text.len());
    let last_equals = text.rfind('=');
    let (mut copied, mut search) = (0, 0);
    while let Some(word) = find_word(text, search, WORD) {
        search = word + WORD.len();
        let Some(start) = password_start(text, copied, word, last_equals) else {
            continue;
        };
        let tail = text.get(start..).unwrap_or_default();
        redacted.push_str(text.get(copied..start).unwrap_or_default());
        copied = start + password_bytes(tail);
        search = copied;
        redacted.push_str(if tail.is_empty() { "" } else { MASK });
    }
    redacted.push_str(text.get(copied..).unwrap_or_default());
    redacted
}

/// Where the password starts that the word at `word` announces, if it does. What is before `from`
/// was a password itself.
fn password_start(
    text: &str,
    from: usize,
    word: usize,
    last_equals: Option<usize>,
) -> Option<usize> {
    let next = skip_space(text, word + WORD.len())?;
    let head = text.get(from..word)?.trim_end().as_bytes();
    if ends_with_word(head, "with") {
        return Some(next);
    }
    // PASSWORD FOR user =
    let user = next + "for".len();
    if !ends_with_word(text.as_bytes().get(next..user)?, "for") || last_equals? < user {
        return None;
    }
    let equals = text.get(user..)?.find('=')?;
    skip_space(text, user + equals + 1)
}

fn ends_with_word(text: &[u8], word: &str) -> bool {
    let start = text.len().checked_sub(word.len());
    start
        .and_then(|start| text.get(start..))
        .is_some_and(|end| end.eq_ignore_ascii_case(word.as_bytes()))
}

fn skip_space(text: &str, from: usize) -> Option<usize> {
    let rest = text.get(from..)?;
    let space: usize = rest
        .chars()
        .take_while(|&char| is_whitespace(char) || char == '\r')
        .map(char::len_utf8)
        .sum();
    Some(from + space)
}

/// Where `word`, in any case, is found at or after `from`.
fn find_word(text: &str, from: usize, word: &str) -> Option<usize> {
    text.as_bytes()
        .get(from..)?
        .windows(word.len())
        .position(|window| window.eq_ignore_ascii_case(word.as_bytes()))
        .map(|at| from + at)
}

/// How long the password is that `text` starts with: to the closing quote, or to the first space,
/// semicolon or quote when it is bare. A quote that is never closed hides the whole rest.
fn password_bytes(text: &str) -> usize {
    let mut chars = text.char_indices();
    let quote = match chars.next() {
        Some((_, quote @ ('\'' | '"'))) => quote,
        _ => {
            return text
                .find(|char: char| char.is_whitespace() || matches!(char, ';' | '"'))
                .unwrap_or(text.len());
        }
    };
    while let Some((at, char)) = chars.next() {
        match char {
            '\\' => {
                chars.next();
            }
            _ if char == quote => return at + char.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A search that starts over at every word would take minutes for these.
    #[test]
    fn long_texts_without_passwords_take_no_time() {
        for part in [
            "password ",
            "password for ",
            "with password ",
            "password\t\tfor=",
            "=",
        ] {
            let text = part.repeat(crate::limits::QUERY_BYTES_MAX / part.len());
            assert!(!redact_passwords(&text).is_empty());
        }
    }

    #[test]
    fn passwords_are_hidden_and_nothing_else() {
        for (text, want) in [
            ("", ""),
            ("SELECT password FROM cpu", "SELECT password FROM cpu"),
            (
                "SELECT a FROM b WHERE password = 'x'",
                "SELECT a FROM b WHERE password = 'x'",
            ),
            (
                "create user \"admin\" with password 'pw'",
                "create user \"admin\" with password [REDACTED]",
            ),
            (
                "CREATE USER a WITH PASSWORD 'p w\\' WITH x' WITH ALL PRIVILEGES",
                "CREATE USER a WITH PASSWORD [REDACTED] WITH ALL PRIVILEGES",
            ),
            (
                "create user a with\n password\t\"pw\";SHOW USERS",
                "create user a with\n password\t[REDACTED];SHOW USERS",
            ),
            (
                "create user a with password pw;SHOW USERS",
                "create user a with password [REDACTED];SHOW USERS",
            ),
            (
                "set password for \"admin\" = 'pw'; set password for b='x'",
                "set password for \"admin\" = [REDACTED]; set password for b=[REDACTED]",
            ),
            (
                "SET PASSWORD FOR \"a b\" =   'päss'",
                "SET PASSWORD FOR \"a b\" =   [REDACTED]",
            ),
            (
                "create user a with password 'never",
                "create user a with password [REDACTED]",
            ),
            ("create user a with password", "create user a with password"),
            ("set password for", "set password for"),
            (
                "é password é with password é",
                "é password é with password [REDACTED]",
            ),
        ] {
            assert_eq!(redact_passwords(text), want);
        }
    }
}

//! Hides passwords in query texts that are shown or logged.
//!
//! Works on any text, valid or not, and leaves all else as it is. What it looks for:
//! `WITH PASSWORD '…'` and `PASSWORD FOR … = '…'`, as InfluxDB does; but it follows a quoted password
//! to its closing quote, spaces and escaped quotes included, where InfluxDB stops at the first space,
//! and it does not need the space behind the `=`.

use crate::lexer::is_whitespace;

const MASK: &str = "[REDACTED]";

/// `text` with `[REDACTED]` in the place of each password.
#[must_use]
pub fn redact_passwords(text: &str) -> String {
    let mut redacted = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, password, after)) = next_password(rest) {
        redacted.push_str(before);
        redacted.push_str(if password.is_empty() { "" } else { MASK });
        rest = after;
    }
    redacted.push_str(rest);
    redacted
}

/// What is before the first password, the password with its quotes, and what follows. The password
/// is empty where none follows the words that announce one.
fn next_password(text: &str) -> Option<(&str, &str, &str)> {
    let mut search = 0;
    loop {
        let word = find_word(text, search, "password")?;
        let end = word + "password".len();
        search = end;
        let Some(start) = password_start(text, word, end) else {
            continue;
        };
        let (before, tail) = text.split_at_checked(start)?;
        let (password, after) = tail.split_at_checked(password_bytes(tail))?;
        return Some((before, password, after));
    }
}

/// Where the password starts that the word from `word` to `end` announces, if it does.
fn password_start(text: &str, word: usize, end: usize) -> Option<usize> {
    let head = text.get(..word)?.trim_end();
    let with = head
        .len()
        .checked_sub("with".len())
        .and_then(|start| head.get(start..));
    if with.is_some_and(|word| word.eq_ignore_ascii_case("with")) {
        return skip_space(text, end);
    }
    // PASSWORD FOR user =
    let user = find_word(text, end, "for").filter(|&at| skip_space(text, end) == Some(at))?;
    let equals = text.get(user..)?.find('=')?;
    skip_space(text, user + equals + 1)
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

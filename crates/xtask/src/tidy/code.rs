//! Rust source with its comments and literals blanked, so that a rule on code does not stumble
//! over prose.
//!
//! Lines stay where they are: only newlines survive in what is blanked. This is a reader of
//! well-formed source, which the compiler guarantees; on other input it never fails, it blanks
//! too much.

/// `source` with a space for every character of a comment, string or character literal.
pub(super) fn code_of(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut code = String::with_capacity(source.len());
    let mut at = 0;
    while at < chars.len() {
        let end = literal_end(&chars, at);
        if end > at {
            let blanked = chars.get(at..end).unwrap_or_default();
            code.extend(blanked.iter().map(|&c| if c == '\n' { c } else { ' ' }));
            at = end;
        } else {
            // An identifier is taken whole, so that the `r` of `for` opens no raw string.
            let word = chars.get(at..).unwrap_or_default();
            let length = word.iter().take_while(|&&c| in_word(c)).count().max(1);
            code.extend(word.iter().take(length));
            at += length;
        }
    }
    code
}

fn in_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where the comment or literal that opens at `at` ends; `at` when none opens there.
fn literal_end(chars: &[char], at: usize) -> usize {
    let here = |offset: usize| chars.get(at + offset).copied();
    match (here(0), here(1)) {
        (Some('/'), Some('/')) => find(chars, at, |c| c == '\n'),
        (Some('/'), Some('*')) => comment_end(chars, at),
        (Some('"'), _) => quoted_end(chars, at, '"'),
        (Some('b' | 'c'), Some('"')) => quoted_end(chars, at + 1, '"'),
        (Some('b'), Some('\'')) => quoted_end(chars, at + 1, '\''),
        (Some('r'), Some('"' | '#')) => raw_end(chars, at, 1),
        (Some('b' | 'c'), Some('r')) => raw_end(chars, at, 2),
        // A lifetime has no closing quote after its first character.
        (Some('\''), Some('\\')) => quoted_end(chars, at, '\''),
        (Some('\''), Some(_)) if here(2) == Some('\'') => at + 3,
        _ => at,
    }
}

fn find(chars: &[char], from: usize, wanted: impl Fn(char) -> bool) -> usize {
    let rest = chars.get(from..).unwrap_or_default();
    from + rest.iter().take_while(|&&c| !wanted(c)).count()
}

/// Comments nest.
fn comment_end(chars: &[char], at: usize) -> usize {
    let (mut depth, mut at) = (0_usize, at);
    while let Some(&c) = chars.get(at) {
        match (c, chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at.min(chars.len())
}

/// `open` is the place of the opening quote.
fn quoted_end(chars: &[char], open: usize, quote: char) -> usize {
    let mut at = open + 1;
    while let Some(&c) = chars.get(at) {
        match c {
            '\\' => at += 2,
            _ if c == quote => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

/// A raw string whose prefix (`r`, `br`) is `prefix` long; `at` when it is a raw identifier.
fn raw_end(chars: &[char], at: usize, prefix: usize) -> usize {
    let open = find(chars, at + prefix, |c| c != '#');
    if chars.get(open) != Some(&'"') {
        return at;
    }
    let hashes = open - at - prefix;
    let mut close = open + 1;
    loop {
        close = find(chars, close, |c| c == '"');
        if close >= chars.len() {
            return chars.len();
        }
        let after = chars.get(close + 1..).unwrap_or_default();
        if after.iter().take_while(|&&c| c == '#').count() >= hashes {
            return close + 1 + hashes;
        }
        close += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &str, code: &str) {
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let got = code_of(source);
        assert_eq!(words(&got), words(code), "{source}");
        assert_eq!(got.lines().count(), source.lines().count(), "{source}");
    }

    #[test]
    fn comments_and_literals_are_blanked() {
        check("a // b\nc", "a c");
        check("a /* b /* c */ d */ e", "a e");
        check("a /* b\n c */ d", "a d");
        check(r#"f("a \" b", c)"#, "f( , c)");
        check(r##"f(r#"a " b"#, r"\", c)"##, "f( , , c)");
        check(r#"f(b"a", br"b", c"d", b'\'')"#, "f( , , , )");
        check(r"f('a', '\'', '\u{1f600}', 'x')", "f( , , , )");
        check(
            "fn f<'a>(x: &'a str) -> &'static str",
            "fn f<'a>(x: &'a str) -> &'static str",
        );
        check("for r in x { r#type(r) }", "for r in x { r#type(r) }");
    }

    #[test]
    fn what_does_not_end_is_blanked_to_the_end() {
        check("a \"b", "a");
        check("a \"b\\", "a");
        check("a /* b", "a");
        check("a r#\"b\"", "a");
        check("a '", "a '");
    }
}

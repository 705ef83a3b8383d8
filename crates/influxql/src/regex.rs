//! Whether a regular expression is one in Go's syntax, and in Go's words why not.
//!
//! InfluxDB compiles patterns while it parses, so that a bad one is an error of the query text. Here
//! the pattern is only checked, in the order of Go's `regexp/syntax` and with its texts; compiling is
//! the executor's business. Names of Unicode classes are left to it too.

use std::fmt;

/// Times that something may be repeated, nested repetitions multiplied.
const REPEAT_MAX: u32 = 1_000;
/// How deep groups may nest; Go's maximum for the whole tree.
const DEPTH_MAX: usize = 1_000;

/// Why a text is no regular expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RegexError {
    why: &'static str,
    /// The part that is wrong.
    part: String,
}

impl fmt::Display for RegexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error parsing regexp: {}: `{}`", self.why, self.part)
    }
}

fn error(why: &'static str, part: &str) -> RegexError {
    RegexError {
        why,
        part: part.to_owned(),
    }
}

/// Checks a pattern.
///
/// # Errors
/// The first thing that Go would refuse.
pub(crate) fn check(pattern: &str) -> Result<(), RegexError> {
    let mut groups: Vec<Group> = vec![Group::default()];
    let mut rest = pattern;
    let mut last_repeat = "";
    while let Some(first) = rest.chars().next() {
        let before = rest;
        let mut repeat = "";
        let depth = groups.len();
        let Some(group) = groups.last_mut() else {
            break;
        };
        rest = after_char(rest);
        match first {
            '(' => {
                if depth > DEPTH_MAX {
                    return Err(error("expression nests too deeply", pattern));
                }
                let (is_group, after) = open(before)?;
                rest = after;
                if is_group {
                    groups.push(Group::default());
                }
            }
            ')' => {
                let weight = group.weight.max(group.last.unwrap_or(1));
                groups.pop();
                match groups.last_mut() {
                    Some(around) => around.atom(weight),
                    None => return Err(error("unexpected )", pattern)),
                }
            }
            '|' => group.alternative(),
            '*' | '+' | '?' => {
                rest = quantifier(before, rest, last_repeat, group)?;
                repeat = before;
            }
            '{' => match counts(rest) {
                Some((min, max, after)) => {
                    rest = after;
                    let text = before.strip_suffix(rest).unwrap_or(before);
                    let times = max.unwrap_or(min);
                    if min > REPEAT_MAX || times > REPEAT_MAX || min > times {
                        return Err(error("invalid repeat count", text));
                    }
                    rest = quantifier(before, rest, last_repeat, group)?;
                    let text = before.strip_suffix(rest).unwrap_or(before);
                    if !group.repeat(times) && (min >= 2 || times >= 2) {
                        return Err(error("invalid repeat count", text));
                    }
                    repeat = before;
                }
                None => group.atom(1),
            },
            '[' => {
                rest = class(before)?;
                group.atom(1);
            }
            '\\' => {
                rest = escaped(before)?;
                group.atom(1);
            }
            _ => group.atom(1),
        }
        last_repeat = repeat;
    }
    if groups.len() > 1 {
        return Err(error("missing closing )", pattern));
    }
    Ok(())
}

/// What is known of a group that is being read.
#[derive(Default)]
struct Group {
    /// How often the innermost part of the last item is repeated; `None` where nothing stands before.
    last: Option<u32>,
    /// The most of the items before it.
    weight: u32,
}

impl Group {
    fn atom(&mut self, weight: u32) {
        self.weight = self.weight.max(self.last.unwrap_or(1));
        self.last = Some(weight);
    }

    fn alternative(&mut self) {
        self.weight = self.weight.max(self.last.unwrap_or(1));
        self.last = None;
    }

    /// Repeats the last item; false when that is too often.
    fn repeat(&mut self, times: u32) -> bool {
        let weight = self.last.unwrap_or(1).saturating_mul(times);
        self.last = Some(weight.min(REPEAT_MAX + 1));
        weight <= REPEAT_MAX
    }
}

fn after_char(text: &str) -> &str {
    let mut chars = text.chars();
    chars.next();
    chars.as_str()
}

/// Reads over what may follow a repetition, whose text is `before` up to `after`.
fn quantifier<'a>(
    before: &'a str,
    after: &'a str,
    last_repeat: &str,
    group: &Group,
) -> Result<&'a str, RegexError> {
    let after = after.strip_prefix('?').unwrap_or(after);
    if !last_repeat.is_empty() {
        let part = last_repeat.strip_suffix(after).unwrap_or(last_repeat);
        return Err(error("invalid nested repetition operator", part));
    }
    if group.last.is_none() {
        let part = before.strip_suffix(after).unwrap_or(before);
        return Err(error("missing argument to repetition operator", part));
    }
    Ok(after)
}

/// `3}`, `3,}` or `3,5}`: the least, the most if it is given, and the rest behind. What is too large
/// to be counted is larger than any maximum.
fn counts(text: &str) -> Option<(u32, Option<u32>, &str)> {
    let (inside, rest) = text.split_once('}')?;
    let number = |digits: &str| {
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        // Leading zeros are not for numbers.
        let is_plain = digits.len() == 1 || !digits.starts_with('0');
        (is_number && is_plain).then(|| digits.parse().unwrap_or(u32::MAX))
    };
    match inside.split_once(',') {
        None => {
            let times = number(inside)?;
            Some((times, Some(times), rest))
        }
        Some((min, "")) => Some((number(min)?, None, rest)),
        Some((min, max)) => Some((number(min)?, Some(number(max)?), rest)),
    }
}

/// Reads what a parenthesis opens: whether it is a group, and what follows its head.
fn open(text: &str) -> Result<(bool, &str), RegexError> {
    let Some(head) = text.strip_prefix("(?") else {
        return Ok((true, after_char(text)));
    };
    if let Some(name) = head.strip_prefix("P<").filter(|name| !name.is_empty()) {
        let Some((name, rest)) = name.split_once('>') else {
            return Err(error("invalid named capture", text));
        };
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(is_word) {
            let part = text.strip_suffix(rest).unwrap_or(text);
            return Err(error("invalid named capture", part));
        }
        return Ok((true, rest));
    }
    let (mut negative, mut saw_flag) = (false, false);
    let mut rest = head;
    while let Some(c) = rest.chars().next() {
        rest = after_char(rest);
        match c {
            'i' | 'm' | 's' | 'U' => saw_flag = true,
            '-' if !negative => (negative, saw_flag) = (true, false),
            ':' | ')' if !negative || saw_flag => return Ok((c == ':', rest)),
            _ => break,
        }
    }
    let part = text.strip_suffix(rest).unwrap_or(text);
    Err(error("invalid or unsupported Perl syntax", part))
}

/// Reads an escape outside of a class.
fn escaped(text: &str) -> Result<&str, RegexError> {
    let behind = text.strip_prefix('\\').unwrap_or(text);
    match behind.chars().next() {
        Some('A' | 'b' | 'B' | 'z') => Ok(after_char(behind)),
        Some('C') => Err(error("invalid escape sequence", "\\C")),
        Some('Q') => Ok(behind.split_once("\\E").map_or("", |(_, rest)| rest)),
        _ => match set(text)? {
            Some(rest) => Ok(rest),
            None => Ok(char_escape(text)?.1),
        },
    }
}

/// Reads an escape for many characters, if one stands here.
fn set(text: &str) -> Result<Option<&str>, RegexError> {
    const BAD: &str = "invalid character class range";
    let Some(behind) = text.strip_prefix('\\') else {
        return Ok(None);
    };
    match behind.chars().next() {
        Some('d' | 'D' | 's' | 'S' | 'w' | 'W') => Ok(Some(after_char(behind))),
        Some('p' | 'P') => {
            let name = after_char(behind);
            if name.starts_with('{') {
                return match name.split_once('}') {
                    Some((_, rest)) => Ok(Some(rest)),
                    None => Err(error(BAD, text)),
                };
            }
            if !name.starts_with(|c: char| c.is_ascii_uppercase()) {
                let part = text.strip_suffix(after_char(name)).unwrap_or(text);
                return Err(error(BAD, part));
            }
            Ok(Some(after_char(name)))
        }
        _ => Ok(None),
    }
}

/// Reads an escape for one character: which one, and what follows.
fn char_escape(text: &str) -> Result<(char, &str), RegexError> {
    let behind = after_char(text);
    let Some(c) = behind.chars().next() else {
        return Err(error("trailing backslash at end of expression", ""));
    };
    let mut rest = after_char(behind);
    let found = match c {
        '0'..='7' => {
            let octal = |text: &str| text.starts_with(|c: char| ('0'..='7').contains(&c));
            if c != '0' && !octal(rest) {
                None
            } else {
                let mut code = u32::from(c) - u32::from('0');
                for _ in 0..2 {
                    if octal(rest) {
                        let digit = rest.chars().next().unwrap_or('0');
                        code = code * 8 + (u32::from(digit) - u32::from('0'));
                        rest = after_char(rest);
                    }
                }
                char::from_u32(code)
            }
        }
        'x' => hex(&mut rest),
        'a' => Some('\x07'),
        'f' => Some('\x0c'),
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        'v' => Some('\x0b'),
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(c),
        _ => None,
    };
    match found {
        Some(c) => Ok((c, rest)),
        None => {
            let part = text.strip_suffix(rest).unwrap_or(text);
            Err(error("invalid escape sequence", part))
        }
    }
}

/// Reads `7F` or `{10FFFF}`. Where it is none, `rest` stands behind what was looked at.
fn hex(rest: &mut &str) -> Option<char> {
    let mut next = || {
        let c = rest.chars().next()?;
        *rest = after_char(rest);
        Some(c)
    };
    let first = next()?;
    if first != '{' {
        let second = next();
        let code = first.to_digit(16)? * 16 + second?.to_digit(16)?;
        return char::from_u32(code);
    }
    let mut code = None;
    loop {
        let c = next()?;
        if c == '}' {
            // Go takes surrogates too; which character it is then does not matter.
            return code.map(|code| char::from_u32(code).unwrap_or(char::MAX));
        }
        let wider = code.unwrap_or(0) * 16 + c.to_digit(16)?;
        if wider > u32::from(char::MAX) {
            return None;
        }
        code = Some(wider);
    }
}

/// Reads a class: what follows it.
fn class(whole: &str) -> Result<&str, RegexError> {
    const RANGE: &str = "invalid character class range";
    let rest = after_char(whole);
    let mut rest = rest.strip_prefix('^').unwrap_or(rest);
    let mut is_first = true;
    while is_first || !rest.starts_with(']') {
        is_first = false;
        if let Some(name) = rest.strip_prefix("[:")
            && let Some((inside, after)) = name.split_once(":]")
        {
            if !POSIX.contains(&inside.strip_prefix('^').unwrap_or(inside)) {
                let part = rest.strip_suffix(after).unwrap_or(rest);
                return Err(error(RANGE, part));
            }
            rest = after;
            continue;
        }
        if let Some(after) = set(rest)? {
            rest = after;
            continue;
        }
        let start = rest;
        let (low, after) = class_char(rest, whole)?;
        rest = after;
        let is_range = rest.starts_with('-') && rest.len() >= 2 && !rest.starts_with("-]");
        if is_range {
            let (high, after) = class_char(after_char(rest), whole)?;
            rest = after;
            if high < low {
                let part = start.strip_suffix(rest).unwrap_or(start);
                return Err(error(RANGE, part));
            }
        }
    }
    Ok(after_char(rest))
}

fn class_char<'a>(text: &'a str, whole: &str) -> Result<(char, &'a str), RegexError> {
    match text.chars().next() {
        None => Err(error("missing closing ]", whole)),
        Some('\\') => char_escape(text),
        Some(c) => Ok((c, after_char(text))),
    }
}

/// The classes that may stand as `[:name:]` in another one.
const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

#[cfg(test)]
mod tests {
    use super::check;

    #[track_caller]
    fn bad(pattern: &str, expected: &str) {
        let found = check(pattern).map_err(|error| error.to_string());
        let expected = format!("error parsing regexp: {expected}");
        assert_eq!(found, Err(expected), "{pattern}");
    }

    #[test]
    fn what_go_takes_is_good() {
        for pattern in [
            "",
            "a|b|",
            "(a)(?:b)(?P<n>c)(?i)d(?i-s:e)",
            "a*?b+?c??d{2,5}?",
            "a{,2}",
            "{",
            "a{x}",
            "a{1",
            "[]a]",
            "[^]a]",
            "[a-]",
            "[-a]",
            "[a-z[:alpha:][:^digit:]\\d\\pL\\p{Greek}]",
            "\\.\\_\\-\\/",
            "\\x41\\x{10FFFF}\\012\\07\\0",
            "\\Qa(b\\Ec",
            "\\Qa(",
            "^*",
            "a(?i)*",
            "a{01}",
            "[\\d-z]",
            "\\x{D800}",
            "[[:foo]",
            "(a{10}){100}",
            "[[:x]",
            "\\A\\bü\\B\\z",
            "(|a)*",
            "a{0}{",
            "x{1000}",
        ] {
            assert_eq!(check(pattern), Ok(()), "{pattern}");
        }
    }

    #[test]
    fn what_go_refuses_is_refused_in_its_words() {
        bad("(a", "missing closing ): `(a`");
        bad("a)b", "unexpected ): `a)b`");
        bad("*a", "missing argument to repetition operator: `*`");
        bad("a|*", "missing argument to repetition operator: `*`");
        bad("(+?b)", "missing argument to repetition operator: `+?`");
        bad("a**", "invalid nested repetition operator: `**`");
        bad("a*?+", "invalid nested repetition operator: `*?+`");
        bad("a{2}{3}", "invalid nested repetition operator: `{2}{3}`");
        bad("a{1001}", "invalid repeat count: `{1001}`");
        bad("a{3,2}", "invalid repeat count: `{3,2}`");
        bad("(a{100}){100}", "invalid repeat count: `{100}`");
        bad("[a", "missing closing ]: `[a`");
        bad("[z-a]", "invalid character class range: `z-a`");
        bad("[[:nope:]]", "invalid character class range: `[:nope:]`");
        bad("\\p{Greek", "invalid character class range: `\\p{Greek`");
        bad("\\y", "invalid escape sequence: `\\y`");
        bad("\\8", "invalid escape sequence: `\\8`");
        bad("\\1", "invalid escape sequence: `\\1`");
        bad("\\x{110000}", "invalid escape sequence: `\\x{110000`");
        bad("\\", "trailing backslash at end of expression: ``");
        bad("(?=a)", "invalid or unsupported Perl syntax: `(?=`");
        bad("(?<n>a)", "invalid or unsupported Perl syntax: `(?<`");
        bad("(?P<a b>c)", "invalid named capture: `(?P<a b>`");
        bad("(?i)*a", "missing argument to repetition operator: `*`");
        bad("**", "missing argument to repetition operator: `*`");
        bad("(?P<", "invalid or unsupported Perl syntax: `(?P`");
        bad("(?i-)", "invalid or unsupported Perl syntax: `(?i-)`");
        bad("(?i", "invalid or unsupported Perl syntax: `(?i`");
        bad("\\pa", "invalid character class range: `\\pa`");
        bad("[a-\\d]", "invalid escape sequence: `\\d`");
        bad("(a{0}){1001}", "invalid repeat count: `{1001}`");
        bad("\\x{}", "invalid escape sequence: `\\x{}`");
        bad("[]", "missing closing ]: `[]`");
        bad("(?P<a", "invalid named capture: `(?P<a`");
    }
}

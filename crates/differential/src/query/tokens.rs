//! The tokens of a statement, roughly, and what can be done to them.
//!
//! Exact rules do not matter: pieces are dropped, doubled and moved to make statements smaller or to
//! make them wrong, and joined again they are the text they came from.

use crate::random::Random;

/// Cuts a text into tokens, each with the blanks before it.
pub(super) fn split(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut chars = text.chars().peekable();
    while chars.peek().is_some() {
        let mut token = String::new();
        while let Some(blank) = chars.next_if(|c| c.is_whitespace()) {
            token.push(blank);
        }
        let Some(first) = chars.next() else {
            tokens.push(token);
            break;
        };
        token.push(first);
        let after_match = tokens.last().is_some_and(|last| {
            matches!(
                last.trim(),
                "=~" | "!~" | "FROM" | "(" | "," | "BY" | "SELECT"
            )
        });
        if first == '\'' || first == '"' || (first == '/' && after_match) {
            while let Some(next) = chars.next() {
                token.push(next);
                if next == '\\' {
                    token.extend(chars.next());
                } else if next == first {
                    break;
                }
            }
        } else if is_word(first) {
            while let Some(next) =
                chars.next_if(|&c| is_word(c) || c == '.' && first.is_ascii_digit())
            {
                token.push(next);
            }
        } else if "<>=!:".contains(first) {
            token.extend(chars.next_if(|c| "=~>:".contains(*c)));
        }
        tokens.push(token);
    }
    tokens
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Makes a statement wrong, most likely, in one or two places.
pub(super) fn mutilate(text: &str, random: &mut Random) -> String {
    let mut tokens = split(text);
    for _ in 0..=usize::from(random.chance(25)) {
        if tokens.is_empty() {
            break;
        }
        let at = random.below(tokens.len());
        match random.below(8) {
            0 | 1 => drop(tokens.remove(at)),
            2 => tokens.insert(at, tokens[at].clone()),
            3 => {
                let other = random.below(tokens.len());
                tokens.swap(at, other);
            }
            4 => {
                let words = [
                    " (",
                    " )",
                    " ,",
                    " ;",
                    " 'x'",
                    " \"y\"",
                    " 1",
                    " -",
                    " FROM",
                    " WHERE",
                    " GROUP",
                    " BY",
                    " time",
                    " AND",
                    " =",
                    " =~",
                    " /a/",
                    " 1h",
                    " fill(0)",
                    " *",
                    " $p",
                    " LIMIT",
                    " .",
                    " ::",
                    " 'unclosed",
                    " \"open",
                    " /re",
                    " 9223372036854775808",
                    " 1.5.2",
                    " 7q",
                    " -- note",
                    " /* note */",
                    " /* open",
                    "\n",
                    " !",
                    " #",
                    " tz('UTC')",
                    " INTO",
                    " 'bad \\q'",
                    " 99999999999999w",
                    " @",
                    " SELECT",
                    " DESC",
                    " as",
                    " ON",
                    " é",
                ];
                let word = random.choose(&words).to_owned();
                tokens.insert(at, word);
            }
            5 => tokens.truncate(at),
            6 => {
                let token = &mut tokens[at];
                let end = token.char_indices().map(|(at, _)| at).collect::<Vec<_>>();
                if !end.is_empty() {
                    token.truncate(random.choose(&end));
                }
            }
            _ => {
                tokens[at] =
                    tokens[at].replace(' ', random.choose(&["\n", "  ", "\t", "\r\n", ""]));
            }
        }
    }
    tokens.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_joined_are_the_text() {
        let text = "SELECT  mean(\"a b\") / 2.5 FROM /x\\/y/ WHERE h =~ /a b/ AND t >= 'it\\'s' GROUP BY time(1h)";
        let tokens = split(text);
        assert_eq!(tokens.concat(), text);
        for token in [
            "\"a b\"",
            " 2.5",
            " /x\\/y/",
            " /a b/",
            " 'it\\'s'",
            " >=",
            "1h",
            " /",
        ] {
            assert!(
                tokens.iter().any(|found| found == token),
                "{token} {tokens:?}"
            );
        }
        assert_eq!(split(" a ").concat(), " a ");
    }

    #[test]
    fn a_mutilated_statement_is_another_one() {
        let mut random = Random::new(3);
        let text = "SELECT mean(f) FROM m WHERE time > 5";
        let changed = (0..100).filter(|_| mutilate(text, &mut random) != text);
        assert!(changed.count() > 80);
    }
}

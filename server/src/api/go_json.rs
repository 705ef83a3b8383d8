//! Why Go's decoder refuses a text that is no JSON: clients show its words.
//!
//! It reads byte by byte, and knows at each what may come next; the first byte that may not is named, with what it was
//! looking for (`encoding/json` `scanner.go`). What comes after the first value is not read.

/// What is wrong with the first value of `text`; `None` where nothing is.
pub(super) fn refusal(text: &str) -> Option<String> {
    let mut scanner = Scanner {
        bytes: text.as_bytes(),
        at: 0,
    };
    if scanner.after_blanks().is_none() {
        return Some("EOF".to_owned());
    }
    match scanner.value(0) {
        Ok(()) => None,
        Err(Refusal::End) => Some("unexpected EOF".to_owned()),
        Err(Refusal::Deep) => Some("exceeded max depth".to_owned()),
        Err(Refusal::Byte(byte, looking)) => {
            Some(format!("invalid character {} {looking}", quoted(byte)))
        }
    }
}

/// Values within values; Go gives up there too.
const DEPTH_MAX: usize = 1_000;

/// Why there is no value.
enum Refusal {
    End,
    Deep,
    /// This byte, with what was looked for.
    Byte(u8, String),
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    /// The next byte, which stays.
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// The next byte that is no blank, which stays.
    fn after_blanks(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.at += 1;
        }
        self.peek()
    }

    /// Takes the next byte if it fits.
    fn take(&mut self, looking: &str, fits: impl Fn(u8) -> bool) -> Result<u8, Refusal> {
        match self.peek() {
            None => Err(Refusal::End),
            Some(byte) if fits(byte) => {
                self.at += 1;
                Ok(byte)
            }
            Some(byte) => Err(Refusal::Byte(byte, looking.to_owned())),
        }
    }

    fn value(&mut self, depth: usize) -> Result<(), Refusal> {
        if depth > DEPTH_MAX {
            return Err(Refusal::Deep);
        }
        self.after_blanks();
        match self.take("looking for beginning of value", |byte| {
            b"{[\"-tfn".contains(&byte) || byte.is_ascii_digit()
        })? {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => self.string(),
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            first => self.number(first),
        }
    }

    fn object(&mut self, depth: usize) -> Result<(), Refusal> {
        if self.after_blanks() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.after_blanks();
            let is_quote = |byte| byte == b'"';
            self.take("looking for beginning of object key string", is_quote)?;
            self.string()?;
            self.after_blanks();
            self.take("after object key", |byte| byte == b':')?;
            self.value(depth + 1)?;
            self.after_blanks();
            let ends = |byte| byte == b',' || byte == b'}';
            if self.take("after object key:value pair", ends)? == b'}' {
                return Ok(());
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<(), Refusal> {
        if self.after_blanks() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value(depth + 1)?;
            self.after_blanks();
            let ends = |byte| byte == b',' || byte == b']';
            if self.take("after array element", ends)? == b']' {
                return Ok(());
            }
        }
    }

    /// A string whose opening quote was taken.
    fn string(&mut self) -> Result<(), Refusal> {
        loop {
            match self.take("in string literal", |byte| byte >= 0x20)? {
                b'"' => return Ok(()),
                b'\\' => {
                    let is_escape = |byte| b"bfnrt\\/\"u".contains(&byte);
                    if self.take("in string escape code", is_escape)? == b'u' {
                        for _ in 0..4 {
                            let is_hex = |byte: u8| byte.is_ascii_hexdigit();
                            self.take("in \\u hexadecimal character escape", is_hex)?;
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// What is left of a word whose first letter was taken.
    fn literal(&mut self, word: &str) -> Result<(), Refusal> {
        for letter in word.bytes().skip(1) {
            let looking = format!("in literal {word} (expecting '{}')", char::from(letter));
            self.take(&looking, |byte| byte == letter)?;
        }
        Ok(())
    }

    /// What is left of a number of which `first` was taken. What cannot be of it is left for what comes next.
    fn number(&mut self, first: u8) -> Result<(), Refusal> {
        let is_digit = |byte: u8| byte.is_ascii_digit();
        let first = match first {
            b'-' => self.take("in numeric literal", is_digit)?,
            first => first,
        };
        if first != b'0' {
            self.digits();
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.take("after decimal point in numeric literal", is_digit)?;
            self.digits();
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.take("in exponent of numeric literal", is_digit)?;
            self.digits();
        }
        Ok(())
    }

    fn digits(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
    }
}

/// A byte as Go shows it: as the character of that number.
fn quoted(byte: u8) -> String {
    match byte {
        b'\'' => "'\\''".to_owned(),
        b'\\' => "'\\\\'".to_owned(),
        b'\n' => "'\\n'".to_owned(),
        b'\r' => "'\\r'".to_owned(),
        b'\t' => "'\\t'".to_owned(),
        0x07 => "'\\a'".to_owned(),
        0x08 => "'\\b'".to_owned(),
        0x0b => "'\\v'".to_owned(),
        0x0c => "'\\f'".to_owned(),
        0..0x20 | 0x7f => format!("'\\x{byte:02x}'"),
        0x80..=0xa0 | 0xad => format!("'\\u{byte:04x}'"),
        _ => format!("'{}'", char::from(byte)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a real InfluxDB 1.6.7 says it.
    #[test]
    fn a_text_is_refused_in_the_words_of_go() {
        let check = |text: &str, expected: &str| {
            let found = refusal(text).unwrap_or_else(|| "nothing".to_owned());
            assert_eq!(found, expected, "{text}");
        };
        let byte = |text: &str, byte: &str, looking: &str| {
            check(text, &format!("invalid character {byte} {looking}"));
        };
        check("", "EOF");
        check(" \n", "EOF");
        check("{\"p\":", "unexpected EOF");
        check("{\"p\":1.", "unexpected EOF");
        check("[\"\\u00", "unexpected EOF");
        check("tru", "unexpected EOF");
        check("{\"p\":[1,{\"a\":null}],\"q\":-0.5e+10} x", "nothing");
        check("[]", "nothing");
        check("1x", "nothing");
        byte("x", "'x'", "looking for beginning of value");
        byte("{\"p\":}", "'}'", "looking for beginning of value");
        byte("[1,]", "']'", "looking for beginning of value");
        byte("{p:1}", "'p'", "looking for beginning of object key string");
        byte(
            "{\"p\":1,}",
            "'}'",
            "looking for beginning of object key string",
        );
        byte("{\"p\" 1}", "'1'", "after object key");
        byte("{\"p\":00}", "'0'", "after object key:value pair");
        byte("{\"p\":1;}", "';'", "after object key:value pair");
        byte("[1 2]", "'2'", "after array element");
        byte("[01]", "'1'", "after array element");
        byte("{\"p\":\"a\nb\"}", "'\\n'", "in string literal");
        byte("{\"p\":\"\\x\"}", "'x'", "in string escape code");
        byte(
            "{\"p\":\"\\u00g0\"}",
            "'g'",
            "in \\u hexadecimal character escape",
        );
        byte("{\"p\":-}", "'}'", "in numeric literal");
        byte(
            "{\"p\":1.}",
            "'}'",
            "after decimal point in numeric literal",
        );
        byte("{\"p\":1e}", "'}'", "in exponent of numeric literal");
        byte("{\"p\":trve}", "'v'", "in literal true (expecting 'u')");
        byte("{\"p\":nil}", "'i'", "in literal null (expecting 'u')");
        byte(
            "{'p':1}",
            "'\\''",
            "looking for beginning of object key string",
        );
        byte("{\"p\":ü}", "'Ã'", "looking for beginning of value");
    }

    #[test]
    fn depth_is_bounded() {
        let text = "[".repeat(100_000);
        assert_eq!(refusal(&text).as_deref(), Some("exceeded max depth"));
    }
}

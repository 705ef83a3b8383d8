//! Text to tokens.
//!
//! Tokens borrow from the text unless an escape had to be undone. Positions follow InfluxDB to the
//! letter, its oddities included: a string or regular expression is reckoned from the character
//! before it, and the end of the text counts as a character once something has read over it.
//! A NUL ends the text.

use std::borrow::Cow;

use crate::{
    error::Position,
    token::{Token, lookup},
};

/// A token with its place and text; keywords and punctuation have an empty text.
#[derive(Clone, Debug)]
pub(crate) struct Lexeme<'a> {
    pub(crate) token: Token,
    pub(crate) position: Position,
    pub(crate) text: Cow<'a, str>,
}

impl<'a> Lexeme<'a> {
    fn new(token: Token, position: Position, text: impl Into<Cow<'a, str>>) -> Self {
        Self {
            token,
            position,
            text: text.into(),
        }
    }
}

/// What [`Lexer::peek`] sees at the end of the text.
const EOF: char = '\0';

/// Reads tokens from a text, each once.
#[derive(Debug)]
pub(crate) struct Lexer<'a> {
    text: &'a str,
    /// Where the next character starts.
    offset: usize,
    /// The next character's place.
    position: Position,
    /// The last read character's place.
    previous: Position,
    eof_read: bool,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self {
            text,
            offset: 0,
            position: Position::default(),
            previous: Position::default(),
            eof_read: false,
        }
    }

    /// The next character that would be read; a carriage return looks like a newline.
    pub(crate) fn peek(&self) -> char {
        match self.rest().bytes().next() {
            None => EOF,
            Some(b'\r') => '\n',
            Some(byte) if byte.is_ascii() => char::from(byte),
            Some(_) => self.rest().chars().next().unwrap_or(EOF),
        }
    }

    /// The same, but the end of the text counts as read once it has been seen.
    pub(crate) fn peek_or_end(&mut self) -> char {
        let char = self.peek();
        if char == EOF {
            self.read();
        }
        char
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.offset..).unwrap_or_default()
    }

    /// The text from `start` to here.
    fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.offset).unwrap_or_default()
    }

    fn read(&mut self) -> char {
        let char = self.peek();
        self.previous = self.position;
        match char {
            EOF => {
                if !self.eof_read {
                    self.eof_read = true;
                    self.position.char += 1;
                }
                return EOF;
            }
            '\n' => {
                self.offset += if self.rest().starts_with("\r\n") {
                    2
                } else {
                    1
                };
                self.position.line += 1;
                self.position.char = 0;
            }
            _ => {
                self.offset += char.len_utf8();
                self.position.char += 1;
            }
        }
        char
    }

    fn read_if(&mut self, wanted: char) -> bool {
        let found = self.peek() == wanted;
        if found {
            self.read();
        }
        found
    }

    /// Reads the characters that `wanted` takes.
    fn read_while(&mut self, wanted: impl Fn(char) -> bool) {
        while wanted(self.peek()) {
            self.read();
        }
    }

    /// The next token, whitespace and comments included. [`Token::Eof`] for ever at the end.
    pub(crate) fn scan(&mut self) -> Lexeme<'a> {
        let (start, position, before) = (self.offset, self.position, self.previous);
        let first = self.peek();
        match first {
            ' ' | '\t' | '\n' => return self.scan_whitespace(),
            'a'..='z' | 'A'..='Z' | '_' | '"' => return self.scan_ident(true),
            '0'..='9' => return self.scan_number(),
            _ => {}
        }
        self.read();
        let token = match first {
            EOF => Token::Eof,
            '\'' => return self.scan_string('\'', before),
            '.' => {
                if self.peek().is_ascii_digit() {
                    self.offset = start;
                    self.position = position;
                    return self.scan_number();
                }
                Token::Dot
            }
            '$' => return self.scan_param(position),
            '+' => Token::Add,
            '-' if self.read_if('-') => {
                while !matches!(self.read(), '\n' | EOF) {}
                Token::Comment
            }
            '-' => Token::Sub,
            '*' => Token::Mul,
            '/' if self.read_if('*') => self.skip_block_comment(),
            '/' => Token::Div,
            '%' => Token::Mod,
            '&' => Token::BitwiseAnd,
            '|' => Token::BitwiseOr,
            '^' => Token::BitwiseXor,
            '=' if self.read_if('~') => Token::EqRegex,
            '=' => Token::Eq,
            '!' if self.read_if('=') => Token::Neq,
            '!' if self.read_if('~') => Token::NeqRegex,
            '>' if self.read_if('=') => Token::Gte,
            '>' => Token::Gt,
            '<' if self.read_if('=') => Token::Lte,
            '<' if self.read_if('>') => Token::Neq,
            '<' => Token::Lt,
            '(' => Token::LParen,
            ')' => Token::RParen,
            ',' => Token::Comma,
            ';' => Token::Semicolon,
            ':' if self.read_if(':') => Token::DoubleColon,
            ':' => Token::Colon,
            _ => return Lexeme::new(Token::Illegal, position, self.since(start)),
        };
        Lexeme::new(token, position, "")
    }

    fn scan_whitespace(&mut self) -> Lexeme<'a> {
        let (start, position) = (self.offset, self.position);
        self.read_while(is_whitespace);
        let text = self.since(start);
        if self.peek() == EOF {
            self.read();
        }
        if text.contains('\r') {
            let text = text.replace("\r\n", "\n").replace('\r', "\n");
            return Lexeme::new(Token::Whitespace, position, text);
        }
        Lexeme::new(Token::Whitespace, position, text)
    }

    /// Reads to the end of a comment whose start has been read.
    fn skip_block_comment(&mut self) -> Token {
        loop {
            match self.read() {
                EOF => return Token::Illegal,
                '*' => {
                    self.read_while(|char| char == '*');
                    match self.read() {
                        '/' => return Token::Comment,
                        EOF => return Token::Illegal,
                        _ => {}
                    }
                }
                _ => {}
            }
        }
    }

    /// Reads a bare or quoted identifier or, if `keywords`, a keyword. The text may be empty.
    fn scan_ident(&mut self, keywords: bool) -> Lexeme<'a> {
        let (start, position) = (self.offset, self.position);
        self.read_while(is_ident_char);
        let word = self.since(start);
        match self.peek() {
            // A quote after a bare word drops the word, as InfluxDB does: `a"b"` is b.
            '"' => {
                let before = self.previous;
                self.read();
                let mut lexeme = self.scan_string('"', before);
                if lexeme.token == Token::String {
                    lexeme.token = Token::Ident;
                    lexeme.position = position;
                }
                return lexeme;
            }
            EOF => {
                self.read();
            }
            _ => {}
        }
        match lookup(word) {
            token if keywords && token != Token::Ident => Lexeme::new(token, position, ""),
            _ => Lexeme::new(Token::Ident, position, word),
        }
    }

    /// Reads the name of a bound parameter whose `$` has been read.
    fn scan_param(&mut self, position: Position) -> Lexeme<'a> {
        let mut lexeme = self.scan_ident(false);
        lexeme.text = Cow::Owned(format!("${}", lexeme.text));
        if lexeme.token == Token::Ident {
            lexeme.token = Token::BoundParam;
        }
        lexeme.position = position;
        lexeme
    }

    /// Reads to the end of a string whose opening quote has been read.
    fn scan_string(&mut self, quote: char, before: Position) -> Lexeme<'a> {
        let mut owned = String::new();
        let mut start = self.offset;
        loop {
            let end = self.offset;
            match self.read() {
                char if char == quote => {
                    let tail = self.text.get(start..end).unwrap_or_default();
                    if owned.is_empty() {
                        return Lexeme::new(Token::String, before, tail);
                    }
                    owned.push_str(tail);
                    return Lexeme::new(Token::String, before, owned);
                }
                EOF | '\n' => {
                    owned.push_str(self.text.get(start..end).unwrap_or_default());
                    return Lexeme::new(Token::BadString, before, owned);
                }
                '\\' => {
                    owned.push_str(self.text.get(start..end).unwrap_or_default());
                    match self.read() {
                        'n' => owned.push('\n'),
                        char @ ('\\' | '"' | '\'') => owned.push(char),
                        char => {
                            let escape = format!("\\{char}");
                            return Lexeme::new(Token::BadEscape, self.previous, escape);
                        }
                    }
                    start = self.offset;
                }
                _ => {}
            }
        }
    }

    /// Reads a regular expression; the next character must be its opening slash.
    pub(crate) fn scan_regex(&mut self) -> Lexeme<'a> {
        let before = self.previous;
        if self.read() != '/' {
            return Lexeme::new(Token::BadRegex, before, "");
        }
        let mut owned = String::new();
        let mut start = self.offset;
        loop {
            let end = self.offset;
            match self.read() {
                '/' => {
                    let tail = self.text.get(start..end).unwrap_or_default();
                    if owned.is_empty() {
                        return Lexeme::new(Token::Regex, before, tail);
                    }
                    owned.push_str(tail);
                    return Lexeme::new(Token::Regex, before, owned);
                }
                EOF | '\n' => return Lexeme::new(Token::BadRegex, before, ""),
                '\\' if self.peek() == '/' => {
                    owned.push_str(self.text.get(start..end).unwrap_or_default());
                    start = self.offset;
                    self.read();
                }
                _ => {}
            }
        }
    }

    /// Reads an integer, a number with a point, or a duration.
    fn scan_number(&mut self) -> Lexeme<'a> {
        let (start, position) = (self.offset, self.position);
        self.read_while(|char| char.is_ascii_digit());
        if self.peek() == '.' {
            let whole = self.since(start);
            self.read();
            // A point without digits belongs to the number and is not in its text.
            if !self.peek().is_ascii_digit() {
                return Lexeme::new(Token::Number, position, whole);
            }
            self.read_while(|char| char.is_ascii_digit());
            return Lexeme::new(Token::Number, position, self.since(start));
        }
        if is_unit_char(self.peek()) {
            self.read_while(|char| is_unit_char(char) || char.is_ascii_digit());
            return Lexeme::new(Token::DurationValue, position, self.since(start));
        }
        Lexeme::new(Token::Integer, position, self.since(start))
    }
}

/// True for what separates tokens.
pub(crate) const fn is_whitespace(char: char) -> bool {
    matches!(char, ' ' | '\t' | '\n')
}

/// True for what a bare identifier may hold.
pub(crate) const fn is_ident_char(char: char) -> bool {
    char.is_ascii_alphanumeric() || char == '_'
}

const fn is_unit_char(char: char) -> bool {
    char.is_ascii_alphabetic() || char == 'µ'
}

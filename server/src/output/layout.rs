//! The punctuation of JSON, compact or with Go's `MarshalIndent(…, "", "    ")`.

/// Where a JSON text that is written piece by piece stands: how deep, and which of the open lists
/// have an item already.
///
/// It is a plain value, so that a writer can go back to where it stood.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pretty: bool,
    depth: u32,
    /// Bit n: the list at depth n has an item.
    filled: u64,
}

impl Layout {
    pub(crate) fn new(pretty: bool) -> Self {
        Self {
            pretty,
            depth: 0,
            filled: 0,
        }
    }

    /// Whether lines are broken and indented.
    pub(crate) fn pretty(self) -> bool {
        self.pretty
    }

    /// Opens an object or an array.
    pub(crate) fn open(&mut self, out: &mut Vec<u8>, bracket: u8) {
        out.push(bracket);
        self.depth += 1;
        self.filled &= !(1 << self.depth);
    }

    /// Closes what was opened last.
    pub(crate) fn close(&mut self, out: &mut Vec<u8>, bracket: u8) {
        let filled = self.filled >> self.depth & 1 == 1;
        self.depth -= 1;
        if filled {
            self.line(out);
        }
        out.push(bracket);
    }

    /// Goes on to the next item of an array.
    pub(crate) fn item(&mut self, out: &mut Vec<u8>) {
        if self.filled >> self.depth & 1 == 1 {
            out.push(b',');
        }
        self.filled |= 1 << self.depth;
        self.line(out);
    }

    /// Goes on to the next member of an object; `key` needs no escapes.
    pub(crate) fn key(&mut self, out: &mut Vec<u8>, key: &str) {
        self.item(out);
        out.push(b'"');
        out.extend_from_slice(key.as_bytes());
        out.push(b'"');
        self.colon(out);
    }

    /// The colon after a key that was written by other means.
    pub(crate) fn colon(self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.pretty { b": " } else { b":" });
    }

    fn line(self, out: &mut Vec<u8>) {
        if self.pretty {
            out.push(b'\n');
            for _ in 0..self.depth {
                out.extend_from_slice(b"    ");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(pretty: bool) -> String {
        let mut out = Vec::new();
        let mut layout = Layout::new(pretty);
        layout.open(&mut out, b'{');
        layout.key(&mut out, "a");
        layout.open(&mut out, b'[');
        for digit in b"12" {
            layout.item(&mut out);
            out.push(*digit);
        }
        layout.close(&mut out, b']');
        layout.key(&mut out, "b");
        layout.open(&mut out, b'[');
        layout.close(&mut out, b']');
        layout.close(&mut out, b'}');
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn both_forms() {
        assert_eq!(sample(false), r#"{"a":[1,2],"b":[]}"#);
        assert_eq!(
            sample(true),
            "{\n    \"a\": [\n        1,\n        2\n    ],\n    \"b\": []\n}"
        );
    }
}

//! What is told of the lines of a request that do not parse.

/// Bytes of error text that one request collects; what comes after is only counted.
pub(super) const ERROR_TEXT_BYTES_MAX: usize = 1 << 20;

/// The texts about lines that do not parse, joined by newlines, bounded.
#[derive(Debug, Default)]
pub(crate) struct ErrorTexts {
    pub(super) text: String,
    count: u64,
    unsaid: u64,
}

impl ErrorTexts {
    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// How many there were.
    pub(crate) const fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn push(&mut self, text: &str) {
        self.count += 1;
        if self.text.len() + text.len() > ERROR_TEXT_BYTES_MAX && !self.text.is_empty() {
            self.unsaid += 1;
            return;
        }
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(text);
    }

    pub(crate) fn into_text(self) -> String {
        match self.unsaid {
            0 => self.text,
            n => format!("{}\nand {n} more lines", self.text),
        }
    }
}

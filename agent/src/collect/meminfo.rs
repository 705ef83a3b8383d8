//! `/proc/meminfo`, cut into names and numbers; `mem` and `swap` read it.

use crate::text;

/// The numbers of one reading of the file.
#[derive(Debug)]
pub(super) struct Meminfo<'a> {
    lines: Vec<(&'a [u8], u64)>,
}

impl<'a> Meminfo<'a> {
    /// Cuts `text`; each line that is not `Name: number [unit]` is told to `strange` and left out.
    pub(super) fn parse(text: &'a [u8], mut strange: impl FnMut(&[u8])) -> Self {
        const LINES_EXPECTED: usize = 64;
        let mut lines = Vec::with_capacity(LINES_EXPECTED);
        for line in text::lines(text) {
            let mut words = text::words(line);
            let name = words.next().and_then(|word| word.strip_suffix(b":"));
            match (name, words.next().and_then(text::unsigned)) {
                (Some(name), Some(number)) => lines.push((name, number)),
                _ => strange(line),
            }
        }
        Self { lines }
    }

    /// The number of the line `name` as it stands there.
    pub(super) fn count(&self, name: &str) -> Option<u64> {
        let found = self.lines.iter().find(|(key, _)| *key == name.as_bytes());
        found.map(|(_, number)| *number)
    }

    /// The number of the line `name`, which the file gives in kB, in bytes.
    pub(super) fn bytes(&self, name: &str) -> Option<u64> {
        self.count(name).map(|kib| kib.saturating_mul(1024))
    }
}

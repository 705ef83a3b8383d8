//! `nstat`: every counter of the network protocols.
//!
//! Sources: `/proc/net/netstat`, `/proc/net/snmp`, `/proc/net/snmp6`, one line each, told apart by
//! the tag `name` (`influxdata/telegraf plugins/inputs/nstat/nstat.go`). A field is the protocol's
//! name and the counter's, as the files have them.

use super::net::proc_net;
use super::source::{Source, SourceError, Troubles};
use super::{Collector, Moment};
use crate::batch::{Batch, Line};
use crate::roots::Roots;
use crate::text;

/// What `nstat` emits; the default is that of the configuration that Telegraf is shipped with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NstatOptions {
    /// Also counters that are zero.
    pub dump_zeros: bool,
}

impl Default for NstatOptions {
    fn default() -> Self {
        Self { dump_zeros: true }
    }
}

/// The collector of `nstat`.
#[derive(Debug)]
pub(crate) struct Nstat {
    options: NstatOptions,
    source: Source,
    field: String,
}

impl Nstat {
    pub(crate) fn new(options: NstatOptions) -> Self {
        Self {
            options,
            source: Source::default(),
            field: String::new(),
        }
    }

    /// Adds one counter; what is no 63-bit number is left out, as some counters are.
    fn add<'a>(&mut self, line: Line<'a>, parts: [&[u8]; 2], number: &[u8]) -> Line<'a> {
        let [protocol, name] = parts.map(std::str::from_utf8);
        let (Ok(protocol), Ok(name), Some(number)) = (protocol, name, text::signed(number)) else {
            return line;
        };
        if number == 0 && !self.options.dump_zeros {
            return line;
        }
        self.field.clear();
        self.field.push_str(protocol);
        self.field.push_str(name);
        line.signed(&self.field, number)
    }

    /// A file in which a line of names stands above one of numbers, both opened by the protocol.
    fn pairs(&mut self, roots: &Roots, file: &str, out: &mut Batch, troubles: &mut Troubles) {
        let path = proc_net(roots, file);
        let mut source = std::mem::take(&mut self.source);
        if let Some(table) = troubles.note(source.read(&path)) {
            let mut line = out.line("nstat").tag("name", file);
            let mut rows = text::lines(table);
            while let Some(names) = rows.next() {
                let numbers = rows.next().unwrap_or_default();
                let (mut names_words, mut numbers_words) =
                    (text::words(names), text::words(numbers));
                let (heading, again) = (names_words.next(), numbers_words.next());
                let protocol = heading.and_then(|word| word.strip_suffix(b":"));
                let Some(protocol) = protocol.filter(|_| heading == again) else {
                    troubles.add(SourceError::strange(&path, names));
                    break;
                };
                for (name, number) in names_words.zip(numbers_words) {
                    line = self.add(line, [protocol, name], number);
                }
            }
            line.finish();
        }
        self.source = source;
    }

    /// The file in which a name and its number stand on a line of their own.
    fn snmp6(&mut self, roots: &Roots, out: &mut Batch, troubles: &mut Troubles) {
        let path = proc_net(roots, "snmp6");
        let mut source = std::mem::take(&mut self.source);
        // A kernel without IPv6 has no such file.
        if let Some(table) = source.read_optional(&path) {
            let mut line = out.line("nstat").tag("name", "snmp6");
            for row in text::lines(table) {
                let mut words = text::words(row);
                match (words.next(), words.next()) {
                    (Some(name), Some(number)) => line = self.add(line, [b"", name], number),
                    _ => troubles.add(SourceError::strange(&path, row)),
                }
            }
            line.finish();
        }
        self.source = source;
    }
}

impl Collector for Nstat {
    fn name(&self) -> &'static str {
        "nstat"
    }

    fn gather(&mut self, roots: &Roots, _at: Moment, out: &mut Batch) -> Result<(), Troubles> {
        let mut troubles = Troubles::default();
        self.pairs(roots, "netstat", out, &mut troubles);
        self.pairs(roots, "snmp", out, &mut troubles);
        self.snmp6(roots, out, &mut troubles);
        troubles.into_result()
    }
}

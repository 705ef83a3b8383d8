//! `net`: traffic of each network interface, and the counters of the network protocols.
//!
//! Sources: `/proc/net/dev`, `/proc/net/snmp` and `/sys/class/net`
//! (`influxdata/telegraf plugins/inputs/net/net.go`). With `HOST_PROC` set, the files of process
//! 1 are read instead: `net` is a link to `self/net`, which would be the container's own network.
//!
//! The line `interface=all` with the protocols' counters was removed from Telegraf in 1.37. The
//! widely used dashboards 928 and 5955 still need it, so that it is on by default here.

use std::path::PathBuf;

use super::source::{Source, SourceError, Troubles};
use super::{Collector, Moment};
use crate::batch::Batch;
use crate::glob::Filter;
use crate::roots::Roots;
use crate::text;

/// What `net` emits; the default is that of Telegraf up to 1.36.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetOptions {
    /// The line `interface=all` with the protocols' counters.
    pub legacy_protocol_stats: bool,
    /// Patterns of interfaces. Where `include` names any, only those are reported, up or not, as
    /// Telegraf's `interfaces` does; what `exclude` names never is.
    pub interfaces: Filter,
}

impl NetOptions {
    /// Default of what is excluded: a container's own end of the cable is reported by `docker`,
    /// and the host's end has a new random name at each start.
    pub const EXCLUDE: [&'static str; 1] = ["veth*"];
}

impl Default for NetOptions {
    fn default() -> Self {
        Self {
            legacy_protocol_stats: true,
            interfaces: Filter {
                include: Vec::new(),
                exclude: Self::EXCLUDE.map(str::to_owned).into(),
            },
        }
    }
}

/// The protocols whose counters are taken; the kernel writes no others here today.
const PROTOCOLS: [&str; 6] = ["ip", "icmp", "icmpmsg", "tcp", "udp", "udplite"];

/// Bits of `/sys/class/net/<interface>/flags` (`linux/if.h`).
const IFF_UP: u64 = 0x1;
const IFF_LOOPBACK: u64 = 0x8;

/// The collector of `net`.
#[derive(Debug)]
pub(crate) struct Net {
    options: NetOptions,
    table: Source,
    value: Source,
    field: String,
}

/// A file of the host's network.
pub(super) fn proc_net(roots: &Roots, file: &str) -> PathBuf {
    let of_init = roots.proc("1/net").join(file);
    if roots.proc_is_foreign() && of_init.exists() {
        of_init
    } else {
        roots.proc("net").join(file)
    }
}

/// A file that describes `interface`; `None` for a name that cannot be one.
fn class_net(roots: &Roots, interface: &[u8], file: &str) -> Option<PathBuf> {
    let name = std::str::from_utf8(interface).ok()?;
    let plain = !name.contains('/') && name != "." && name != "..";
    plain.then(|| roots.sys("class/net").join(name).join(file))
}

/// Whether `interface` is reported: it is up and no loopback. With `HOST_PROC` set every one is,
/// because `/sys` may show another network than the host's.
fn is_reported(roots: &Roots, interface: &[u8], value: &mut Source) -> bool {
    if roots.proc_is_foreign() {
        return true;
    }
    let flags = class_net(roots, interface, "flags")
        .and_then(|path| value.read_optional(&path))
        .and_then(|text| std::str::from_utf8(text).ok())
        .and_then(|text| u64::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok());
    match flags {
        Some(flags) => flags & IFF_UP != 0 && flags & IFF_LOOPBACK == 0,
        None => interface != b"lo",
    }
}

/// Mbit/s; -1 where the driver does not know.
fn speed(roots: &Roots, interface: &[u8], value: &mut Source) -> i64 {
    class_net(roots, interface, "speed")
        .and_then(|path| value.read_optional(&path))
        .and_then(|text| text::signed(text.trim_ascii()))
        .unwrap_or(-1)
}

impl Net {
    pub(crate) fn new(options: NetOptions) -> Self {
        Self {
            options,
            table: Source::default(),
            value: Source::default(),
            field: String::new(),
        }
    }

    fn interfaces(&mut self, roots: &Roots, out: &mut Batch, troubles: &mut Troubles) {
        let path = proc_net(roots, "dev");
        let Some(table) = troubles.note(self.table.read(&path)) else {
            return;
        };
        /// Two lines of headings.
        const HEADINGS: usize = 2;
        for row in text::lines(table).skip(HEADINGS) {
            let Some((interface, counters)) = parse_interface(row) else {
                troubles.add(SourceError::strange(&path, row));
                continue;
            };
            let filter = &self.options.interfaces;
            if !filter.takes(interface)
                || filter.include.is_empty() && !is_reported(roots, interface, &mut self.value)
            {
                continue;
            }
            let [
                bytes_recv,
                packets_recv,
                err_in,
                drop_in,
                ..,
                bytes_sent,
                packets_sent,
                err_out,
                drop_out,
            ] = counters;
            out.line("net")
                .tag("interface", interface)
                .unsigned("bytes_recv", bytes_recv)
                .unsigned("packets_recv", packets_recv)
                .unsigned("err_in", err_in)
                .unsigned("drop_in", drop_in)
                .unsigned("bytes_sent", bytes_sent)
                .unsigned("packets_sent", packets_sent)
                .unsigned("err_out", err_out)
                .unsigned("drop_out", drop_out)
                .signed("speed", speed(roots, interface, &mut self.value))
                .finish();
        }
    }

    fn protocols(&mut self, roots: &Roots, out: &mut Batch, troubles: &mut Troubles) {
        let path = proc_net(roots, "snmp");
        let Some(table) = troubles.note(self.table.read(&path)) else {
            return;
        };
        let mut line = out.line("net").tag("interface", "all");
        let mut rows = text::lines(table);
        // Each protocol has a line of names and one of numbers, both opened by its own name.
        while let Some(names) = rows.next() {
            let mut names_words = text::words(names);
            let (heading, numbers) = (names_words.next(), rows.next().unwrap_or_default());
            let mut numbers_words = text::words(numbers);
            if heading != numbers_words.next() {
                troubles.add(SourceError::strange(&path, names));
                break;
            }
            let name = heading.and_then(|word| word.strip_suffix(b":"));
            let protocol = PROTOCOLS.iter().find(|protocol| {
                name.is_some_and(|name| name.eq_ignore_ascii_case(protocol.as_bytes()))
            });
            let Some(protocol) = protocol else {
                continue;
            };
            for (name, number) in names_words.zip(numbers_words) {
                let (Ok(name), Some(number)) = (std::str::from_utf8(name), text::signed(number))
                else {
                    troubles.add(SourceError::strange(&path, numbers));
                    continue;
                };
                self.field.clear();
                self.field.push_str(protocol);
                self.field.push('_');
                self.field.push_str(name);
                self.field.make_ascii_lowercase();
                line = line.signed(&self.field, number);
            }
        }
        line.finish();
    }
}

/// Cuts `name: rx... tx...` into the name and the first twelve counters: eight received, four
/// sent. A name may hold a colon itself, as old alias interfaces do.
fn parse_interface(row: &[u8]) -> Option<(&[u8], [u64; 12])> {
    let colon = memchr::memrchr(b':', row)?;
    let name = row.get(..colon)?.trim_ascii();
    let mut words = text::words(row.get(colon + 1..)?);
    let mut counters = [0; 12];
    for counter in &mut counters {
        *counter = text::unsigned(words.next()?)?;
    }
    (!name.is_empty()).then_some((name, counters))
}

impl Collector for Net {
    fn name(&self) -> &'static str {
        "net"
    }

    fn gather(&mut self, roots: &Roots, _at: Moment, out: &mut Batch) -> Result<(), Troubles> {
        let mut troubles = Troubles::default();
        self.interfaces(roots, out, &mut troubles);
        if self.options.legacy_protocol_stats {
            self.protocols(roots, out, &mut troubles);
        }
        troubles.into_result()
    }
}

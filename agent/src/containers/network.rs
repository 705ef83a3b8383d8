//! What a container sent and received: its interfaces, as one of its processes sees them.

use std::path::PathBuf;

use crate::collect::Source;
use crate::roots::Roots;
use crate::text;

/// Counters of one interface, or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    pub(crate) rx_bytes: u64,
    pub(crate) rx_packets: u64,
    pub(crate) rx_errors: u64,
    pub(crate) rx_dropped: u64,
    pub(crate) tx_bytes: u64,
    pub(crate) tx_packets: u64,
    pub(crate) tx_errors: u64,
    pub(crate) tx_dropped: u64,
}

impl std::ops::AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        let add = |a: &mut u64, b: u64| *a = a.wrapping_add(b);
        add(&mut self.rx_bytes, other.rx_bytes);
        add(&mut self.rx_packets, other.rx_packets);
        add(&mut self.rx_errors, other.rx_errors);
        add(&mut self.rx_dropped, other.rx_dropped);
        add(&mut self.tx_bytes, other.tx_bytes);
        add(&mut self.tx_packets, other.tx_packets);
        add(&mut self.tx_errors, other.tx_errors);
        add(&mut self.tx_dropped, other.tx_dropped);
    }
}

/// The network that a process is in: the same text for all processes of it. `None` for a process
/// that is gone or that may not be looked at.
pub(crate) fn namespace(roots: &Roots, pid: u64) -> Option<PathBuf> {
    std::fs::read_link(roots.proc(format!("{pid}/ns/net"))).ok()
}

/// The interfaces of a process's network, without the loopback.
pub(crate) fn traffic(
    roots: &Roots,
    pid: u64,
    source: &mut Source,
) -> Option<Vec<(String, Traffic)>> {
    const HEADINGS: usize = 2;
    let text = source.read_optional(&roots.proc(format!("{pid}/net/dev")))?;
    let rows = text::lines(text).skip(HEADINGS).filter_map(parse);
    Some(rows.filter(|(name, _)| name != "lo").collect())
}

fn parse(row: &[u8]) -> Option<(String, Traffic)> {
    const COLUMNS: usize = 12;
    let colon = memchr::memrchr(b':', row)?;
    let name = String::from_utf8_lossy(row.get(..colon)?.trim_ascii()).into_owned();
    let mut numbers = [0; COLUMNS];
    let mut words = text::words(row.get(colon + 1..)?);
    for number in &mut numbers {
        *number = text::unsigned(words.next()?)?;
    }
    let [
        rx_bytes,
        rx_packets,
        rx_errors,
        rx_dropped,
        ..,
        tx_bytes,
        tx_packets,
        tx_errors,
        tx_dropped,
    ] = numbers;
    Some((
        name,
        Traffic {
            rx_bytes,
            rx_packets,
            rx_errors,
            rx_dropped,
            tx_bytes,
            tx_packets,
            tx_errors,
            tx_dropped,
        },
    ))
}

//! Line protocol in datagrams.
//!
//! InfluxDB drops a datagram whole when one of its lines is bad; here its good lines are stored and the bad
//! ones counted.

use tandem_line::{ParseOptions, lines};

use super::{InputCounters, UdpConfig, socket::Decode};
use crate::stamped::stamp;

/// Decodes for one listener.
#[derive(Debug)]
pub(super) struct Datagrams(ParseOptions);

impl Datagrams {
    pub(super) const fn new(config: UdpConfig) -> Self {
        Self(ParseOptions {
            precision: config.precision,
            unsigned: false,
        })
    }
}

impl Decode for Datagrams {
    fn decode(
        &mut self,
        datagram: &[u8],
        now_ns: i64,
        counters: &InputCounters,
        out: &mut Vec<u8>,
    ) -> u64 {
        let mut points = 0;
        for raw in lines(datagram) {
            match stamp(raw, self.0, now_ns, out) {
                Ok(()) => points += 1,
                Err(_) => counters.malformed.add(1),
            }
        }
        points
    }
}

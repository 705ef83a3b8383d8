//! collectd's binary protocol (`collectd.org/wiki/index.php/Binary_protocol`).
//!
//! A datagram is a list of parts. Most set one word of what follows (host, plugin, type, time), and a part of
//! values makes a value list of all that is set. Parts may be signed, or encrypted as one.

mod crypt;
mod packet;
mod points;
mod types;

use super::socket::Decode;
use super::{CollectdConfig, CollectdSecurity, InputCounters};

pub use crypt::CollectdAuthError;
pub use types::CollectdTypesError;

use crypt::Users;
use packet::{Malformed, ValueList};
use points::Points;
use types::Types;

/// Bytes of lines after which no more is made of a datagram. An ordinary one makes a few thousand.
const LINES_BYTES_MAX: usize = 1 << 20;

/// Makes points of datagrams, for one listener.
#[derive(Debug)]
pub(super) struct Decoder {
    security: CollectdSecurity,
    users: Users,
    points: Points,
}

impl Decoder {
    pub(super) fn new(config: &CollectdConfig) -> Result<Self, super::InputError> {
        let users = match &config.auth_file {
            Some(path) => Users::read(path)?,
            None if config.security == CollectdSecurity::None => Users::default(),
            None => return Err(CollectdAuthError::NoFile.into()),
        };
        Ok(Self {
            security: config.security,
            users,
            points: Points::new(Types::read(&config.types)?, config.multi_value),
        })
    }
}

impl Decode for Decoder {
    fn decode(
        &mut self,
        datagram: &[u8],
        now_ns: i64,
        counters: &InputCounters,
        out: &mut Vec<u8>,
    ) -> u64 {
        let start = out.len();
        let (mut points, mut is_over) = (0, false);
        let mut take = |list: &ValueList<'_>| {
            // Each value repeats the names before it, so that a datagram could become a hundred megabytes.
            is_over |= out.len() - start > LINES_BYTES_MAX;
            if !is_over {
                let wrote = self.points.write(list, now_ns, out);
                points += wrote.points;
                counters.not_a_number.add(wrote.not_numbers);
                counters.malformed.add(wrote.malformed);
            }
        };
        let read = packet::read(datagram, self.security, &self.users, &mut take);
        let read = if is_over {
            read.and(Err(Malformed::Torn))
        } else {
            read
        };
        match read {
            Ok(()) => points,
            // What was read before is good, unless it was not allowed to be there.
            Err(Malformed::Torn) => {
                counters.malformed.add(1);
                points
            }
            Err(Malformed::Untrusted) => {
                counters.malformed.add(1);
                out.truncate(start);
                0
            }
        }
    }
}

#[cfg(test)]
mod tests;

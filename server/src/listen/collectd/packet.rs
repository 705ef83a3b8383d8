//! The parts of a datagram.
//!
//! ```text
//! part     u16 type, u16 length with these four bytes, the rest; all big-endian
//! string   text and a NUL: 0 host, 2 plugin, 3 plugin instance, 4 type, 5 type instance
//! number   u64: 1 time in s, 8 time in 2⁻³⁰ s, 7 and 9 interval; others belong to notifications
//! values 6 u16 count, then a byte each: 0 counter, 1 gauge, 2 derive, 3 absolute; then 8 bytes each,
//!          a gauge little-endian
//! 0x200    HMAC-SHA-256 of all that follows, 32 bytes, then the user
//! 0x210    u16 length of the user, the user, 16 bytes of IV, then encrypted: SHA-1 of what follows, parts
//! ```

use super::super::CollectdSecurity;
use super::crypt::Users;

/// Why reading a datagram ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Malformed {
    /// It is not such a datagram, from some place on.
    Torn,
    /// It is not signed or encrypted as it must be, or not by a user that is known.
    Untrusted,
}

/// Some values of one thing at one time.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ValueList<'a> {
    pub(super) host: &'a [u8],
    pub(super) plugin: &'a [u8],
    pub(super) plugin_instance: &'a [u8],
    pub(super) kind: &'a [u8],
    pub(super) type_instance: &'a [u8],
    /// None when the datagram has none.
    pub(super) time_ns: Option<i64>,
    pub(super) values: Vec<f64>,
}

/// How deep encrypted parts may lie in one another; they never do.
const NESTING_MAX: usize = 2;

/// Hands each value list of a datagram to `take`.
pub(super) fn read(
    datagram: &[u8],
    security: CollectdSecurity,
    users: &Users,
    take: &mut impl FnMut(&ValueList<'_>),
) -> Result<(), Malformed> {
    let trusted = security == CollectdSecurity::None;
    read_parts(datagram, security, users, trusted, NESTING_MAX, take)
}

fn read_parts(
    mut rest: &[u8],
    security: CollectdSecurity,
    users: &Users,
    mut trusted: bool,
    nesting: usize,
    take: &mut impl FnMut(&ValueList<'_>),
) -> Result<(), Malformed> {
    let mut list = ValueList::default();
    while !rest.is_empty() {
        let (kind, part, after) = split(rest).ok_or(Malformed::Torn)?;
        rest = after;
        match kind {
            0 => list.host = text(part)?,
            2 => list.plugin = text(part)?,
            3 => list.plugin_instance = text(part)?,
            4 => list.kind = text(part)?,
            5 => list.type_instance = text(part)?,
            1 => list.time_ns = i64::try_from(number(part)?).ok().and_then(of_seconds),
            8 => list.time_ns = of_fractions(number(part)?),
            6 => {
                list.values = values(part)?;
                if !trusted {
                    return Err(Malformed::Untrusted);
                }
                take(&list);
            }
            0x200 => {
                // Without users nobody asked for a signature to be right.
                let (mac, user) = part.split_at_checked(32).ok_or(Malformed::Torn)?;
                if users.are_known() {
                    if !users.has_signed(user, mac, rest) {
                        return Err(Malformed::Untrusted);
                    }
                    trusted |= security != CollectdSecurity::Encrypt;
                    // What stands before is not signed, and must not be said of what is.
                    list = ValueList::default();
                }
            }
            0x210 => {
                let inner = users.decrypt(part).ok_or(Malformed::Untrusted)?;
                let nesting = nesting.checked_sub(1).ok_or(Malformed::Torn)?;
                read_parts(&inner, security, users, true, nesting, take)?;
            }
            // Intervals, notifications, and what is not known yet.
            _ => {}
        }
    }
    Ok(())
}

/// The first part, and what comes after it.
fn split(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (head, _) = bytes.split_first_chunk::<4>()?;
    let kind = u16::from_be_bytes([head[0], head[1]]);
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    let part = bytes.get(4..length)?;
    Some((kind, part, bytes.get(length..)?))
}

/// Bytes of a name; collectd's own have 128 at most, with the zero at their end.
const NAME_BYTES_MAX: usize = 256;

fn text(part: &[u8]) -> Result<&[u8], Malformed> {
    match part.split_last() {
        Some((0, text)) if text.len() < NAME_BYTES_MAX && !text.contains(&0) => Ok(text),
        _ => Err(Malformed::Torn),
    }
}

fn number(part: &[u8]) -> Result<u64, Malformed> {
    let bytes = part.try_into().map_err(|_| Malformed::Torn)?;
    Ok(u64::from_be_bytes(bytes))
}

fn of_seconds(seconds: i64) -> Option<i64> {
    seconds.checked_mul(1_000_000_000)
}

/// Nanoseconds of a number of 2⁻³⁰ seconds.
fn of_fractions(time: u64) -> Option<i64> {
    let seconds = i64::try_from(time >> 30).ok().and_then(of_seconds)?;
    let rest_ns = ((time & ((1 << 30) - 1)) * 1_000_000_000) >> 30;
    seconds.checked_add(i64::try_from(rest_ns).ok()?)
}

/// Values of a list; collectd's own types have a few. Each becomes a line with all names.
const VALUES_MAX: usize = 256;

fn values(part: &[u8]) -> Result<Vec<f64>, Malformed> {
    let (count, rest) = part.split_first_chunk::<2>().ok_or(Malformed::Torn)?;
    let count = usize::from(u16::from_be_bytes(*count));
    if count > VALUES_MAX {
        return Err(Malformed::Torn);
    }
    let (kinds, numbers) = rest.split_at_checked(count).ok_or(Malformed::Torn)?;
    let (numbers, []) = numbers.as_chunks::<8>() else {
        return Err(Malformed::Torn);
    };
    if numbers.len() != count {
        return Err(Malformed::Torn);
    }
    let values = kinds.iter().zip(numbers).map(|(kind, bytes)| match kind {
        0 | 3 => Ok(u64::from_be_bytes(*bytes) as f64),
        1 => Ok(f64::from_le_bytes(*bytes)),
        2 => Ok(i64::from_be_bytes(*bytes) as f64),
        _ => Err(Malformed::Torn),
    });
    values.collect()
}

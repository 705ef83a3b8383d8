//! What a relay must know of a body without parsing it.
//!
//! Two things: where a time has to be put in, because every store must give a line the same time;
//! and which lanes the body touches, because two bodies that touch the same series must reach a
//! store in order. A lane is a group of series: those of one host, where a series has the tag `host`, as all
//! that agents send have; so what one host sends is in one lane, and the bodies of other hosts need not wait
//! for it. Series without that tag are dealt to the [`LANES`] lanes by a hash of the whole key that knows
//! neither order of tags nor escapes. Every spelling of a series is in one lane.

use memchr::memmem::Finder;
use memchr::{memchr, memchr2, memrchr3};

use crate::key::key_end;
use crate::lines::{blanks, lines, unquoted_lines};

/// How many lanes there are: one per bit of a mask.
pub const LANES: u32 = u64::BITS;

/// What [`scan()`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Lines that are neither blank nor a comment, malformed ones among them.
    pub lines: u64,
    /// One bit for each lane that a line of the body is in.
    pub lanes: u64,
    /// Where ` TIME` has to be put in, ascending: the ends of the lines that have fields and no
    /// time. Malformed lines are left for a store to refuse.
    pub missing_time: Vec<usize>,
}

/// Scans a body, plain or already inflated. Allocates for lines without time, and a little for large bodies.
#[must_use]
pub fn scan(body: &[u8]) -> Scan {
    let plain = memchr2(b'"', b'\\', body).is_none();
    let mut found = Scan::default();
    let mut hosts = Hosts::new(body.len());
    let mut lines = if plain {
        unquoted_lines(body)
    } else {
        lines(body)
    };
    while let Some(range) = lines.next_range() {
        let line = &body[range.start..range.end];
        found.lines += 1;
        let (key_len, bit) = hosts.look(line, plain);
        found.lanes |= bit;
        let Some(key_len) = key_len else { continue };
        let rest = &line[key_len..];
        if if plain {
            plain_lacks_time(rest)
        } else {
            lacks_time(rest)
        } {
            found.missing_time.push(range.end);
        }
    }
    found
}

/// What stands before the value of the tag `host`.
const HOST: &[u8] = b",host=";

/// Finds keys and their lanes line by line; lines that follow one another mostly look alike.
struct Hosts<'a> {
    finder: Finder<'static>,
    /// Where the last line had its host.
    at: usize,
    last: &'a [u8],
    last_bit: u64,
    recent: Recent<'a>,
}

impl<'a> Hosts<'a> {
    fn new(body_bytes: usize) -> Self {
        Self {
            finder: Finder::new(HOST),
            at: 0,
            last: &[],
            last_bit: 0,
            recent: Recent::new(body_bytes),
        }
    }

    /// Where a line's key ends, if it has an end, and its lane as a mask; `plain` when no backslash is in it.
    fn look(&mut self, line: &'a [u8], plain: bool) -> (Option<usize>, u64) {
        if let Some((key, bit)) = self.recent.expected(line) {
            return (Some(key.len()), bit);
        }
        match key_end(line) {
            Some(end) => (Some(end), self.lane_bit(&line[..end], plain)),
            // Remembered, it might be taken for a key that ends where another one goes on behind an escape.
            None => (None, self.fresh_bit(line, plain)),
        }
    }

    /// The lane of a key, as a mask.
    fn lane_bit(&mut self, key: &'a [u8], plain: bool) -> u64 {
        let place = self.recent.place(key);
        if let Some(bit) = self.recent.bit(place, key) {
            return bit;
        }
        let bit = self.fresh_bit(key, plain);
        self.recent.put(place, key, bit);
        bit
    }

    fn fresh_bit(&mut self, key: &'a [u8], plain: bool) -> u64 {
        let guess = key.get(self.at..).unwrap_or_default();
        // What stands there may be inside of a value only behind a backslash.
        if plain && guess.starts_with(HOST) {
            return self.bit_at(key, self.at);
        }
        match host_at(&self.finder, key) {
            Some(at) => {
                self.at = at;
                self.bit_at(key, at)
            }
            None => 1 << lane(key),
        }
    }

    /// The lane of a key with its host there.
    fn bit_at(&mut self, key: &'a [u8], at: usize) -> u64 {
        let value = key.get(at + HOST.len()..).unwrap_or_default();
        let value = &value[..value_len(value)];
        if self.last_bit == 0 || value != self.last {
            self.last = value;
            self.last_bit = 1 << lane_of_host(value);
        }
        self.last_bit
    }
}

/// Keys that came lately, in the order in which they came: a large body has the same series again and again, mostly in
/// the same order, and comparing a line with the key that should be next costs a small part of looking through it.
/// One that comes out of turn is found by the place that its bytes give it. Small bodies have none.
#[derive(Debug)]
struct Recent<'a> {
    keys: Vec<(&'a [u8], u64)>,
    /// Which key should be next.
    next: usize,
    /// Which key is written over when there are as many as there may be.
    oldest: usize,
    /// By place, which key was put there last; a power of two of them, or none.
    places: Vec<u16>,
}

/// Shorter bodies have each series once, mostly.
const RECENT_BODY_BYTES_MIN: usize = 128 << 10;
/// Several times the hosts that one body is likely to speak of, so that few share a place.
const RECENT: usize = 1024;

impl<'a> Recent<'a> {
    fn new(body_bytes: usize) -> Self {
        let count = if body_bytes < RECENT_BODY_BYTES_MIN {
            0
        } else {
            RECENT
        };
        Self {
            keys: Vec::new(),
            next: 0,
            oldest: 0,
            places: vec![0; count],
        }
    }

    /// The key that should be next, if it is the line's. Where a key ends depends on its own bytes alone, so a
    /// line that begins with a whole key and a space has that key.
    fn expected(&mut self, line: &[u8]) -> Option<(&'a [u8], u64)> {
        let (key, bit) = *self.keys.get(self.next)?;
        if line.get(key.len()) != Some(&b' ') || !line.starts_with(key) {
            return None;
        }
        self.expect_behind(self.next);
        Some((key, bit))
    }

    fn expect_behind(&mut self, at: usize) {
        self.next = if at + 1 < self.keys.len() { at + 1 } else { 0 };
    }

    /// Where a key is, if it is remembered. Keys that differ in other bytes than these alone share a place.
    fn place(&self, key: &[u8]) -> usize {
        if self.places.is_empty() {
            return 0;
        }
        let word = |at: usize| {
            let bytes = key.get(at..).and_then(<[u8]>::first_chunk);
            bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
        };
        let end = key.len().saturating_sub(size_of::<u64>());
        let ats = [8, 16, 24, 32, end];
        let mixed = ats.into_iter().fold(key.len() as u64, |mixed, at| {
            (mixed.rotate_left(23) ^ word(at)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
        });
        (mixed >> (u64::BITS - RECENT.ilog2())) as usize
    }

    fn bit(&mut self, place: usize, key: &[u8]) -> Option<u64> {
        let at = usize::from(*self.places.get(place)?);
        let (known, bit) = *self.keys.get(at)?;
        if known != key {
            return None;
        }
        self.expect_behind(at);
        Some(bit)
    }

    fn put(&mut self, place: usize, key: &'a [u8], bit: u64) {
        let Some(kept) = self.places.get_mut(place) else {
            return;
        };
        let at = if self.keys.len() < RECENT {
            self.keys.push((key, bit));
            self.keys.len() - 1
        } else {
            self.oldest = (self.oldest + 1) % RECENT;
            self.keys[self.oldest] = (key, bit);
            self.oldest
        };
        *kept = at as u16;
        self.expect_behind(at);
    }
}

/// Where the tag `host` begins, if there is one.
fn host_at(finder: &Finder<'_>, key: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + finder.find(key.get(from..)?)?;
        // Behind a backslash the comma belongs to a name or a value.
        if at > 0 && key.get(at - 1) != Some(&b'\\') {
            return Some(at);
        }
        from = at + 1;
    }
}

/// How far a tag's value goes: to the first comma that no backslash stands before.
fn value_len(value: &[u8]) -> usize {
    let mut from = 0;
    while let Some(offset) = memchr(b',', value.get(from..).unwrap_or_default()) {
        let at = from + offset;
        if at == 0 || value.get(at - 1) != Some(&b'\\') {
            return at;
        }
        from = at + 1;
    }
    value.len()
}

/// FNV-1a of a host's name without backslashes, folded to a lane.
fn lane_of_host(value: &[u8]) -> u32 {
    let spelled = value.iter().filter(|byte| **byte != b'\\');
    let hash = spelled.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mixed = (hash ^ (hash >> 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> (u64::BITS - LANES.ilog2())) as u32
}

/// The lane of a key without the tag, below [`LANES`].
///
/// Sums over the bytes and their squares do not see their order, so they do not see the order of tags; a
/// backslash adds nothing. That they take anagrams for equal costs nothing but some concurrency. The compiler makes
/// vector instructions of one plain loop, not of one that is cut into pieces by hand.
fn lane(key: &[u8]) -> u32 {
    let add = |(sum, squares): (u16, u16), byte: &u8| {
        let x = u16::from(byte ^ b'\\');
        (sum.wrapping_add(x), squares.wrapping_add(x.wrapping_mul(x)))
    };
    let (sum, squares) = key.iter().fold((0, 0), add);
    let mixed = (u64::from(sum) << 32 | u64::from(squares)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((mixed ^ mixed >> 32).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (u64::BITS - LANES.ilog2()))
        as u32
}

/// Without quotes and backslashes, what follows the last blank is the fields, which hold a `=`, or
/// a time, which does not.
fn plain_lacks_time(rest: &[u8]) -> bool {
    // Nanoseconds of our days, as most lines have them.
    if let Some([b' ', digits @ ..]) = rest.last_chunk::<20>()
        && digits
            .iter()
            .fold(true, |all, byte| all & byte.is_ascii_digit())
    {
        return false;
    }
    let end = rest.len()
        - rest
            .iter()
            .rev()
            .take_while(|&&byte| is_blank(byte))
            .count();
    let rest = &rest[..end];
    let tail = memrchr3(b' ', b'\t', 0, rest).map_or(rest, |at| &rest[at + 1..]);
    memchr(b'=', tail).is_some()
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | 0)
}

/// The same for any line: finds the unquoted space that ends the fields.
fn lacks_time(rest: &[u8]) -> bool {
    let mut quoted = false;
    let (mut equals, mut commas) = (0_usize, 0_usize);
    let mut at = blanks(rest);
    while let Some(&byte) = rest.get(at) {
        match byte {
            b'\\' => at += 1,
            b'"' if equals > commas => quoted = !quoted,
            b'=' if !quoted => equals += 1,
            b',' if !quoted => commas += 1,
            b' ' if !quoted => break,
            _ => {}
        }
        at += 1;
    }
    let after = rest.get(at..).unwrap_or_default();
    equals > 0 && !quoted && blanks(after) == after.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filled(body: &str) -> String {
        let mut out = body.to_owned();
        for at in scan(body.as_bytes()).missing_time.into_iter().rev() {
            out.insert_str(at, " 7");
        }
        out
    }

    #[test]
    fn a_time_is_put_in_where_one_is_missing_and_nowhere_else() {
        for (body, want) in [
            ("m v=1", "m v=1 7"),
            ("m v=1\n", "m v=1 7\n"),
            ("m v=1\r\nn v=2 5\r\n", "m v=1 7\r\nn v=2 5\r\n"),
            (
                "a v=1 5\nb v=2\n\n# c v=1\nd v=3",
                "a v=1 5\nb v=2 7\n\n# c v=1\nd v=3 7",
            ),
            ("m  v=1  \nn v=1 -5  ", "m  v=1   7\nn v=1 -5  "),
            (
                "m v=\"a\nb c=1\" \nn v=\"\\\"\" 5",
                "m v=\"a\nb c=1\"  7\nn v=\"\\\"\" 5",
            ),
            ("m v=\"x=1 y\"", "m v=\"x=1 y\" 7"),
            ("m\\ x v=\"a\" 1\nm a\\ b=1", "m\\ x v=\"a\" 1\nm a\\ b=1 7"),
        ] {
            assert_eq!(filled(body), want, "{body:?}");
            assert_eq!(scan(filled(body).as_bytes()).missing_time, [0; 0]);
        }
    }

    #[test]
    fn malformed_lines_are_left_alone() {
        for body in ["m", "m,a=b", "m,a=b ", "m v", "m v=\"x", "m v=1 x", ",a=b"] {
            assert_eq!(filled(body), body);
            assert_eq!(scan(body.as_bytes()).lines, 1);
        }
    }

    #[test]
    fn every_spelling_of_a_series_is_in_one_lane() {
        let lanes = |body: &str| scan(body.as_bytes()).lanes;
        let lane = lanes("m=,host=a,cpu=0 v=1");
        assert_eq!(lane.count_ones(), 1);
        assert_eq!(lanes("m\\=,cpu=0,host=a v=2 5"), lane);
        assert_eq!(lanes("m=,cpu=0,host=a v=1\nm=,host=a,cpu=0 w=1"), lane);
    }

    #[test]
    fn what_one_host_sends_is_in_one_lane_and_only_a_real_tag_counts() {
        let lanes = |body: &str| scan(body.as_bytes()).lanes;
        let host = lanes("cpu,host=a\\,b v=1");
        assert_eq!(host.count_ones(), 1);
        for body in [
            "mem,cpu=0,host=a\\,b,zone=x v=1 5",
            "mem,zone=x,host=a\\,b v=1",
            "cpu,host=a\\,b v=1\nmem,a=1,host=a\\,b v=2\ndisk,path=/,host=a\\,b v=3",
        ] {
            assert_eq!(lanes(body), host, "{body}");
        }
        // A value that looks like the tag is none: the rest of the key decides.
        let odd = |rest: &str| lanes(&format!("m,x=\\,host=a{rest} v=1"));
        assert!((0..64).any(|n| odd(&format!(",y={n}")) != odd("")));
        assert_eq!(odd(",host=q"), lanes("n,host=q v=1"));
        assert_eq!(
            lanes("m,host=a v=1\nm,x=1 v=1").count_ones(),
            lanes("m,host=a v=1").count_ones() + 1
        );
    }

    #[test]
    fn hosts_spread_over_the_lanes() {
        for tag in ["host", "hostname"] {
            let body: String = (0..1000)
                .map(|n| format!("cpu,{tag}=host_{n} v=1\n"))
                .collect();
            assert!(scan(body.as_bytes()).lanes.count_ones() > 40, "{tag}");
        }
    }

    /// Keys that share a place of those remembered, and others that do not.
    #[test]
    fn what_came_before_does_not_change_the_lane_of_a_line() {
        let keys = (0..300).map(|n| match n % 3 {
            0 => format!("cpu,region=eu-west-1,datacenter=x,n={n},os=linux"),
            1 => format!("cpu,a=1,host=h{n}"),
            _ => format!("cpu,cpu=cpu-total,host=h{n},rack=1"),
        });
        let lines: Vec<String> = keys.map(|key| format!("{key} v=1\n")).collect();
        let alone = lines.iter().map(|line| scan(line.as_bytes()).lanes);
        let alone: Vec<u64> = alone.collect();
        let mut body = lines.concat();
        body.push_str(&lines.concat());
        let mut hosts = Hosts::new(RECENT_BODY_BYTES_MIN);
        for (line, want) in body.lines().zip(alone.iter().cycle()) {
            let key = &line.as_bytes()[..key_end(line.as_bytes()).unwrap()];
            assert_eq!(
                hosts.look(line.as_bytes(), true),
                (Some(key.len()), *want),
                "{line}"
            );
        }
    }

    /// A line without a space is no key, though another line begins with it and a space, an escaped one.
    #[test]
    fn only_whole_keys_are_expected() {
        let mut hosts = Hosts::new(RECENT_BODY_BYTES_MIN);
        assert_eq!(hosts.look(br"a\", false).0, None);
        assert_eq!(hosts.look(br"a\ b v=1", false).0, Some(4));
        assert_eq!(hosts.look(br"a\ b v=1", false).0, Some(4));
        assert_eq!(hosts.look(br"a\ b\ c v=1", false).0, Some(7));
    }

    proptest! {
        /// What is remembered changes nothing, whatever the order of keys, and how many there are.
        #[test]
        fn remembered_keys_are_found_as_fresh_ones_are(
            lines in proptest::collection::vec((0_usize..3000, 1_usize..40), 1..60),
        ) {
            let mut hosts = Hosts::new(RECENT_BODY_BYTES_MIN);
            let texts: Vec<Vec<u8>> = (0..3100)
                .map(|n| match n % 4 {
                    0 => format!("cpu,hostname=h{n},region=eu v=1"),
                    1 => format!("cpu,host=h{},cpu=c{n} v=1", n % 7),
                    2 => format!("m{n} v=1"),
                    _ => format!("m\\ {n},host=a\\ b v=1"),
                })
                .map(String::into_bytes)
                .collect();
            for (first, count) in lines {
                for line in &texts[first..first + count] {
                    let end = key_end(line).unwrap();
                    let bit = Hosts::new(0).lane_bit(&line[..end], false);
                    prop_assert_eq!(hosts.look(line, is_plain(line)), (Some(end), bit));
                }
            }
        }
    }

    fn is_plain(line: &[u8]) -> bool {
        !line.contains(&b'\\')
    }

    #[test]
    fn a_time_of_nineteen_digits_is_one_and_nothing_that_looks_like_it() {
        for (line, is_missing) in [
            ("m v=1 1451606400000000000", false),
            ("m v=1  1451606400000000000", false),
            ("m v=1 -145160640000000000", false),
            ("m v=1451606400000000000", true),
            ("m v=\"\",w= 1451606400000000000", false),
            ("m v=\" 1451606400000000000\"", true),
        ] {
            let missing = scan(line.as_bytes()).missing_time;
            assert_eq!(!missing.is_empty(), is_missing, "{line}");
        }
    }

    proptest! {
        /// A line that parses has a time in the eyes of the scan exactly when the parser finds one.
        #[test]
        fn scan_and_parser_agree(body in r#"(a|b,t=c|d\\ e) {1,2}(v=1|w="x(\\"| |\n|=)"|x\\==t,y="" )( 5| )?(\n| )?"#) {
            let mut missing = 0;
            for raw in lines(body.as_bytes()) {
                if crate::check(raw, crate::ParseOptions::default()).is_err() {
                    return Ok(());
                }
                let mut line = crate::Line::parse(raw, crate::ParseOptions::default()).unwrap();
                while line.next_field().unwrap().is_some() {}
                missing += usize::from(line.timestamp().unwrap().is_none());
            }
            prop_assert_eq!(scan(body.as_bytes()).missing_time.len(), missing);
        }
    }
}

//! What this process itself takes of the host, for its own reports and its own limits.

use std::path::Path;

use crate::collect::Source;
use crate::text;

/// What the process used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Time on processors, of all threads since the start.
    pub(crate) cpu_ns: u64,
    /// Resident memory now.
    pub(crate) rss_bytes: u64,
    /// What of it is in no file.
    pub(crate) heap_bytes: u64,
}

/// Reads it, from `/proc/self` and not from the host's, which may be another view; zero where the
/// kernel does not say.
pub(crate) fn read(source: &mut Source) -> Usage {
    let ticks = source
        .read_optional(Path::new("/proc/self/stat"))
        .and_then(parse_ticks);
    let (pages, of_files) = source
        .read_optional(Path::new("/proc/self/statm"))
        .and_then(parse_pages)
        .unwrap_or_default();
    let tick_ns = 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1);
    let page_bytes = rustix::param::page_size() as u64;
    Usage {
        cpu_ns: ticks.unwrap_or(0).saturating_mul(tick_ns),
        rss_bytes: pages.saturating_mul(page_bytes),
        heap_bytes: pages.saturating_sub(of_files).saturating_mul(page_bytes),
    }
}

/// Resident pages, and those of them that are files'.
fn parse_pages(statm: &[u8]) -> Option<(u64, u64)> {
    let mut words = text::words(statm).skip(1).map(text::unsigned);
    Some((words.next()??, words.next()??))
}

/// User and system time behind the name, which may hold anything.
fn parse_ticks(stat: &[u8]) -> Option<u64> {
    const USER_AT: usize = 11;
    let name_end = memchr::memrchr(b')', stat)?;
    let mut words = text::words(stat.get(name_end + 1..)?).skip(USER_AT);
    let (user, system) = (words.next()?, words.next()?);
    Some(text::unsigned(user)? + text::unsigned(system)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory() {
        let usage = read(&mut Source::default());
        assert!(usage.rss_bytes > 100_000);
        assert!(usage.heap_bytes > 0 && usage.heap_bytes < usage.rss_bytes);
        assert_eq!(parse_pages(b"900 70 20 8 0 9 0\n"), Some((70, 20)));
        assert_eq!(parse_pages(b"900 70"), None);
    }

    #[test]
    fn ticks_stand_behind_a_name_with_brackets() {
        let stat = b"7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 250 31 0 0 20 0 1";
        assert_eq!(parse_ticks(stat), Some(281));
        assert_eq!(parse_ticks(b"7 (a"), None);
    }
}

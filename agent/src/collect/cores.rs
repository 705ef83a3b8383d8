//! Where each processor is: on which core of which package.
//!
//! Source: `/proc/cpuinfo`, and `topology/core_id` under `/sys` where that does not say
//! (`shirou/gopsutil cpu/cpu_linux.go`).

use super::source::{Source, SourceError};
use crate::roots::Roots;
use crate::text;

/// The place of a processor; empty is what nobody says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Core {
    pub(super) core_id: String,
    pub(super) physical_id: String,
}

/// Cuts `key<blanks>: value`.
fn pair(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr::memchr(b':', line)?;
    let (key, value) = line.split_at(colon);
    Some((key.trim_ascii(), value.get(1..)?.trim_ascii()))
}

/// Processors by number.
pub(super) fn read(roots: &Roots, source: &mut Source) -> Result<Vec<(u64, Core)>, SourceError> {
    let mut cores: Vec<(u64, Core)> = Vec::new();
    for line in text::lines(source.read(&roots.proc("cpuinfo"))?) {
        let Some((key, value)) = pair(line) else {
            continue;
        };
        if key == b"processor" {
            cores.extend(text::unsigned(value).map(|number| (number, Core::default())));
        }
        let Some((_, core)) = cores.last_mut() else {
            continue;
        };
        let text = || String::from_utf8_lossy(value).into_owned();
        match key {
            b"core id" => core.core_id = text(),
            b"physical id" => core.physical_id = text(),
            _ => {}
        }
    }
    for (number, core) in &mut cores {
        if core.core_id.is_empty() {
            let path = format!("devices/system/cpu/cpu{number}/topology/core_id");
            let text = source.read_optional(&roots.sys(path)).unwrap_or_default();
            core.core_id = String::from_utf8_lossy(text.trim_ascii()).into_owned();
        }
    }
    Ok(cores)
}

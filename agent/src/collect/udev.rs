//! What udev knows of a block device: its properties, and further names in `/dev`.
//!
//! Source: `/run/udev/data/bMAJOR:MINOR`, where udev keeps a line `E:KEY=VALUE` for each property and
//! `S:NAME` for each link (`influxdata/telegraf plugins/inputs/diskio/diskio_linux.go`).

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::source::Source;
use crate::roots::Roots;
use crate::text;

/// A property of a device, or what is made a tag of one: key and value.
pub(super) type Property = (Box<[u8]>, Box<[u8]>);

/// One device's entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Udev {
    properties: Vec<Property>,
    /// Without `/dev/`.
    pub(super) links: Vec<Box<[u8]>>,
}

impl Udev {
    /// What udev knows; nothing where it says nothing.
    pub(super) fn read(path: &Path, source: &mut Source) -> Self {
        let mut udev = Self::default();
        for line in text::lines(source.read_optional(path).unwrap_or_default()) {
            match line.split_at_checked(2) {
                Some((b"S:", link)) => udev.links.push(link.into()),
                Some((b"E:", property)) => {
                    if let Some(equals) = memchr::memchr(b'=', property) {
                        let (key, value) = property.split_at(equals);
                        let value = value.get(1..).unwrap_or_default();
                        udev.properties.push((key.into(), value.into()));
                    }
                }
                _ => {}
            }
        }
        udev
    }

    /// A property; `DEVLINKS` are the links, with a blank between them.
    pub(super) fn property(&self, key: &[u8]) -> Option<Box<[u8]>> {
        if key == b"DEVLINKS" && !self.links.is_empty() {
            let paths = self.links.iter().map(|link| [&b"/dev/"[..], link].concat());
            let paths: Vec<Vec<u8>> = paths.collect();
            return Some(paths.join(&b' ').into());
        }
        let of_key = |(known, _): &&Property| **known == *key;
        let found = self.properties.iter().rfind(of_key);
        found.map(|(_, value)| value.clone())
    }

    /// `template` with properties in the place of `$NAME` and `${NAME}`; nothing where one is missing.
    pub(super) fn fill(&self, template: &str) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('$') {
            out.extend_from_slice(before.as_bytes());
            let Some((name, after)) = name_of(after) else {
                out.push(b'$');
                rest = after;
                continue;
            };
            out.extend_from_slice(&self.property(name.as_bytes())?);
            rest = after;
        }
        out.extend_from_slice(rest.as_bytes());
        Some(out)
    }
}

/// The name that stands behind a `$`, with or without braces, and what follows it.
fn name_of(text: &str) -> Option<(&str, &str)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if let Some(inner) = text.strip_prefix('{') {
        let (name, after) = inner.split_once('}')?;
        return (!name.is_empty() && name.chars().all(is_part)).then_some((name, after));
    }
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// Where udev keeps what it knows of the device of these numbers.
pub(super) fn path(roots: &Roots, major: u64, minor: u64) -> PathBuf {
    roots.run(format!("udev/data/b{major}:{minor}"))
}

/// When udev last changed it.
pub(super) fn changed_at(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).ok()?.modified().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_fill_templates_and_what_is_missing_fills_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b8:0");
        let text = "S:disk/by-id/ata-x\nI:77\nE:ID_FS_LABEL=data\nE:EMPTY=\nE:broken\nS:disk/y\n\
            E:ID_MODEL=a=b\nE\n";
        std::fs::write(&path, text).unwrap();
        let udev = Udev::read(&path, &mut Source::default());
        assert_eq!(
            udev.property(b"DEVLINKS").as_deref(),
            Some(&b"/dev/disk/by-id/ata-x /dev/disk/y"[..])
        );
        assert_eq!(udev.property(b"ID_MODEL").as_deref(), Some(&b"a=b"[..]));
        for (template, expected) in [
            ("$ID_FS_LABEL", Some("data")),
            ("disk-${ID_FS_LABEL}_$ID_MODEL.", Some("disk-data_a=b.")),
            ("$EMPTY", Some("")),
            ("plain", Some("plain")),
            ("5$ ${ ${x", Some("5$ ${ ${x")),
            ("$NO", None),
            ("${ID_FS_LABEL}$NO", None),
        ] {
            let filled = udev.fill(template);
            assert_eq!(filled.as_deref(), expected.map(str::as_bytes), "{template}");
        }
        let none = Udev::read(Path::new("/no/such"), &mut Source::default());
        assert_eq!(none, Udev::default());
        assert_eq!(none.property(b"DEVLINKS"), None);
    }
}

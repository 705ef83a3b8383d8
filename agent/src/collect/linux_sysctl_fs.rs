//! `linux_sysctl_fs`: the kernel's tables of files, inodes and entries, and their limits.
//!
//! Sources: small files in `/proc/sys/fs` (`influxdata/telegraf plugins/inputs/linux_sysctl_fs`).
//! Files that this kernel does not have cost their fields; that there is none at all is a trouble.

use super::source::{Source, SourceError, Troubles};
use super::{Collector, Moment};
use crate::batch::Batch;
use crate::roots::Roots;
use crate::text;

/// Files, and the fields of their numbers in order; an empty name stands for a number that is not
/// reported.
const FILES: [(&str, &[&str]); 9] = [
    ("aio-nr", &["aio-nr"]),
    ("aio-max-nr", &["aio-max-nr"]),
    ("dquot-nr", &["dquot-nr"]),
    ("dquot-max", &["dquot-max"]),
    ("super-nr", &["super-nr"]),
    ("super-max", &["super-max"]),
    (
        "inode-state",
        &["inode-nr", "inode-free-nr", "inode-preshrink-nr"],
    ),
    (
        "dentry-state",
        &[
            "dentry-nr",
            "dentry-unused-nr",
            "dentry-age-limit",
            "dentry-want-pages",
        ],
    ),
    ("file-nr", &["file-nr", "", "file-max"]),
];

/// The collector of `linux_sysctl_fs`.
#[derive(Debug, Default)]
pub(crate) struct LinuxSysctlFs {
    source: Source,
}

impl Collector for LinuxSysctlFs {
    fn name(&self) -> &'static str {
        "linux_sysctl_fs"
    }

    fn gather(&mut self, roots: &Roots, _at: Moment, out: &mut Batch) -> Result<(), Troubles> {
        let mut troubles = Troubles::default();
        let mut line = out.line("linux_sysctl_fs");
        let mut found = false;
        for (file, fields) in FILES {
            let path = roots.proc("sys/fs").join(file);
            let Some(text) = self.source.read_optional(&path) else {
                continue;
            };
            found = true;
            let mut words = text::words(text);
            for field in fields {
                match words.next().and_then(text::unsigned) {
                    Some(_) if field.is_empty() => {}
                    Some(number) => line = line.unsigned(field, number),
                    None => {
                        troubles.add(SourceError::strange(&path, text));
                        break;
                    }
                }
            }
        }
        line.finish();
        if !found {
            troubles.note(self.source.read(&roots.proc("sys/fs/file-nr")).map(drop));
        }
        troubles.into_result()
    }
}

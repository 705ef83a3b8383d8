//! `disk`: how full each mounted file system is.
//!
//! Sources: the host's mounts and `statfs(2)` of each (`influxdata/telegraf
//! plugins/inputs/disk/disk.go`, `plugins/common/psutil/ps.go`). A mount that does not answer is
//! left out and delays the others by one deadline, once.

mod mounts;
mod prober;

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use self::mounts::Mount;
use self::prober::{ProbeError, Prober, Usage};
use super::source::{Source, SourceError, Troubles};
use super::{Collector, Moment};
use crate::batch::Batch;
use crate::roots::Roots;
use crate::text;

/// How long one mount may take to answer.
const STATFS_DEADLINE: Duration = Duration::from_millis(500);

/// What `disk` reports; the default is that of the configuration that Telegraf is shipped with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskOptions {
    /// Only these mount points; all when empty.
    pub mount_points: Vec<String>,
    /// Types of file system to leave out; `autofs` always is, because asking it would mount.
    pub ignore_fs: Vec<String>,
    /// Mount options whose mounts are left out; `bind` stands for a bind mount.
    pub ignore_mount_opts: Vec<String>,
}

impl DiskOptions {
    /// Default of [`DiskOptions::ignore_fs`].
    pub const IGNORE_FS: [&'static str; 7] = [
        "tmpfs", "devtmpfs", "devfs", "iso9660", "overlay", "aufs", "squashfs",
    ];
}

impl Default for DiskOptions {
    fn default() -> Self {
        Self {
            mount_points: Vec::new(),
            ignore_fs: Self::IGNORE_FS.map(str::to_owned).into(),
            ignore_mount_opts: Vec::new(),
        }
    }
}

/// The collector of `disk`.
#[derive(Debug)]
pub(crate) struct Disk {
    options: DiskOptions,
    source: Source,
    prober: Prober,
}

impl Disk {
    pub(crate) fn new(options: DiskOptions) -> Self {
        Self::with_prober(options, Prober::new(STATFS_DEADLINE, prober::statfs))
    }

    fn with_prober(options: DiskOptions, prober: Prober) -> Self {
        Self {
            options,
            source: Source::default(),
            prober,
        }
    }

    /// One that asks no kernel: `ask` gives total, free and used bytes, all inodes and the free ones.
    #[cfg(test)]
    pub(super) fn answering(
        options: DiskOptions,
        ask: impl Fn(&Path) -> std::io::Result<[u64; 5]> + Send + Sync + 'static,
    ) -> Self {
        let usage = move |path: &Path| {
            let [total, free, used, inodes_total, inodes_free] = ask(path)?;
            Ok(Usage {
                total,
                free,
                used,
                inodes_total,
                inodes_free,
            })
        };
        Self::with_prober(options, Prober::new(STATFS_DEADLINE, usage))
    }

    fn is_wanted(&self, mount: &Mount) -> bool {
        let among = |list: &[String], text: &[u8]| list.iter().any(|item| item.as_bytes() == text);
        let options = &self.options;
        mount.fstype != b"autofs"
            && !among(&options.ignore_fs, &mount.fstype)
            && !mount
                .options
                .iter()
                .any(|option| among(&options.ignore_mount_opts, option))
            && (options.mount_points.is_empty()
                || among(&options.mount_points, mount.path.as_os_str().as_bytes()))
    }

    /// The mounts that are reported, each with where it is asked.
    fn wanted<'a>(&self, mounts: &'a [Mount], roots: &Roots) -> Vec<(&'a Mount, PathBuf)> {
        let listed: HashSet<&Path> = mounts.iter().map(|mount| mount.path.as_path()).collect();
        let mut wanted = Vec::new();
        for mount in mounts.iter().filter(|mount| self.is_wanted(mount)) {
            let asked = match roots.mount_prefix() {
                Some(prefix) if !mount.path.starts_with(prefix) => {
                    let relative = mount.path.strip_prefix("/").unwrap_or(&mount.path);
                    // Joining an empty path would end in a slash.
                    let seen_here = if relative.as_os_str().is_empty() {
                        prefix.to_path_buf()
                    } else {
                        prefix.join(relative)
                    };
                    // The host lists it under the prefix itself: reported there.
                    if listed.contains(seen_here.as_path()) {
                        continue;
                    }
                    seen_here
                }
                _ => mount.path.clone(),
            };
            wanted.push((mount, asked));
        }
        wanted
    }
}

/// Whether another host must answer for the mount.
fn needs_network(mount: &Mount) -> bool {
    const LOCAL: [&[u8]; 8] = [
        b"ext2", b"ext3", b"ext4", b"xfs", b"btrfs", b"f2fs", b"vfat", b"zfs",
    ];
    !LOCAL.contains(&mount.fstype.as_slice())
}

/// What the tag `device` is made of: the device, or the type where that says nothing.
fn device_name(mount: &Mount) -> &[u8] {
    match mount.device.as_slice() {
        b"" | b"none" => &mount.fstype,
        device => device,
    }
}

/// `text` without every `/dev/` in it, as Telegraf cuts it.
fn without_dev(text: &[u8]) -> Vec<u8> {
    const DEV: &[u8] = b"/dev/";
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memmem::find(rest, DEV) {
        let (before, after) = rest.split_at(at);
        out.extend_from_slice(before);
        rest = after.get(DEV.len()..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    out
}

/// The label of a file system: its device-mapper name, or what udev knows; empty when it has none.
fn label(device: &[u8], roots: &Roots, source: &mut Source) -> Vec<u8> {
    let name = Path::new(OsStr::from_bytes(
        device.strip_prefix(b"/dev/").unwrap_or(device),
    ));
    // Sources such as `server:/export` must not lead out of these directories.
    let inside = |part: Component<'_>| matches!(part, Component::Normal(_));
    if !name.components().all(inside) {
        return Vec::new();
    }
    let mapper = roots.sys("block").join(name).join("dm/name");
    if let Some(text) = source.read_optional(&mapper) {
        return text.trim_ascii().to_vec();
    }
    let Ok(stat) = rustix::fs::stat(roots.dev(name)) else {
        return Vec::new();
    };
    let (major, minor) = (
        rustix::fs::major(stat.st_rdev),
        rustix::fs::minor(stat.st_rdev),
    );
    let udev = roots.run(format!("udev/data/b{major}:{minor}"));
    let text = source.read_optional(&udev).unwrap_or_default();
    text::lines(text)
        .find_map(|line| line.strip_prefix(b"E:ID_FS_LABEL="))
        .unwrap_or_default()
        .to_vec()
}

/// The tag `path`: where the host sees the mount.
fn shown_path(mount: &Mount, roots: &Roots) -> PathBuf {
    let stripped = roots
        .mount_prefix()
        .and_then(|prefix| mount.path.strip_prefix(prefix).ok());
    Path::new("/").join(stripped.unwrap_or(&mount.path))
}

fn percent(used: u64, free: u64) -> f64 {
    let all = used as f64 + free as f64;
    if all == 0.0 {
        0.0
    } else {
        100.0 * used as f64 / all
    }
}

fn emit(mount: &Mount, usage: &Usage, label: &[u8], roots: &Roots, out: &mut Batch) {
    let inodes_used = usage.inodes_total.saturating_sub(usage.inodes_free);
    out.line("disk")
        .tag("path", shown_path(mount, roots).as_os_str().as_bytes())
        .tag("device", without_dev(device_name(mount)))
        .tag("fstype", &mount.fstype)
        .tag("mode", mount.mode())
        .tag("label", label)
        .unsigned("total", usage.total)
        .unsigned("free", usage.free)
        .unsigned("used", usage.used)
        .float("used_percent", percent(usage.used, usage.free))
        .unsigned("inodes_total", usage.inodes_total)
        .unsigned("inodes_free", usage.inodes_free)
        .unsigned("inodes_used", inodes_used)
        .float(
            "inodes_used_percent",
            percent(inodes_used, usage.inodes_free),
        )
        .finish();
}

impl Collector for Disk {
    fn name(&self) -> &'static str {
        "disk"
    }

    fn gather(&mut self, roots: &Roots, _at: Moment, out: &mut Batch) -> Result<(), Troubles> {
        let mut troubles = Troubles::default();
        let mounts = mounts::list(roots, &mut self.source, &mut troubles);
        let mounts = troubles.note(mounts).unwrap_or_default();
        let wanted = self.wanted(&mounts, roots);
        let asked: Vec<(PathBuf, bool)> = wanted
            .iter()
            .map(|(mount, asked)| (asked.clone(), needs_network(mount)))
            .collect();
        let answers = self.prober.ask_all(&asked);
        for ((mount, asked), answer) in wanted.into_iter().zip(answers) {
            match answer {
                // Pseudo file systems (proc, sysfs, cgroup) have no size.
                Ok(usage) if usage.total == 0 => {}
                Ok(usage) => {
                    let label = label(device_name(mount), roots, &mut self.source);
                    emit(mount, &usage, &label, roots, out);
                }
                // A mount that this user may not look at, or that is gone since, is no news.
                Err(ProbeError::Failed(_) | ProbeError::StillHangs) => {}
                Err(error) => troubles.add(SourceError::Other {
                    what: format!("{}: {error}", asked.display()),
                }),
            }
        }
        troubles.into_result()
    }
}

#[cfg(test)]
mod tests;

//! The host's mounts: `/proc/1/mountinfo`, or what else there is.
//!
//! Rules as in `shirou/gopsutil disk/disk_linux.go`: which name a mount's device gets, when it is
//! a bind mount, when it is read-only.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::collect::source::{Source, SourceError, Troubles};
use crate::roots::Roots;
use crate::text;

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// Where, in the view of the process whose mounts were listed; escapes decoded.
    pub(super) path: PathBuf,
    /// What is mounted, as in the file's source field, links resolved: `/dev/sda1`, `tmpfs`,
    /// `server:/export`.
    pub(super) device: Vec<u8>,
    /// The type of file system.
    pub(super) fstype: Vec<u8>,
    /// Mount options; `rw` or `ro` is what holds for mount and file system together, `bind` stands
    /// for a bind mount.
    pub(super) options: Vec<Vec<u8>>,
}

impl Mount {
    fn has(&self, wanted: &[u8]) -> bool {
        self.options.iter().any(|option| option == wanted)
    }

    /// The tag `mode`.
    pub(super) fn mode(&self) -> &'static str {
        if self.has(b"rw") {
            "rw"
        } else if self.has(b"ro") {
            "ro"
        } else {
            "unknown"
        }
    }
}

/// All mounts, in the kernel's order.
pub(super) fn list(
    roots: &Roots,
    source: &mut Source,
    troubles: &mut Troubles,
) -> Result<Vec<Mount>, SourceError> {
    let directories = match roots.mountinfo_dir() {
        Some(directory) => vec![directory.to_path_buf()],
        None => vec![roots.proc("1"), roots.proc("self")],
    };
    for directory in &directories {
        let path = directory.join("mountinfo");
        if let Some(text) = source.read_optional(&path) {
            return Ok(parse_mountinfo(text, &path, roots, troubles));
        }
        let path = directory.join("mounts");
        if let Some(text) = source.read_optional(&path) {
            return Ok(parse_mounts(text, &path, troubles));
        }
    }
    // All failed: read the first again for its error.
    let first = directories.first().cloned().unwrap_or_default();
    source.read(&first.join("mountinfo")).map(|_| Vec::new())
}

/// `36 35 98:0 /root /mnt rw,noatime master:1 - ext3 /dev/root rw,errors=continue`
/// (`proc_pid_mountinfo(5)`).
fn parse_mountinfo(text: &[u8], path: &Path, roots: &Roots, troubles: &mut Troubles) -> Vec<Mount> {
    let mut mounts = Vec::new();
    let mut first_devices: HashMap<&[u8], Vec<u8>> = HashMap::new();
    for line in text::lines(text) {
        match parse_mountinfo_line(line, roots, &mut first_devices) {
            Some(mount) => mounts.push(mount),
            None => troubles.add(SourceError::strange(path, line)),
        }
    }
    mounts
}

fn parse_mountinfo_line<'a>(
    line: &'a [u8],
    roots: &Roots,
    first_devices: &mut HashMap<&'a [u8], Vec<u8>>,
) -> Option<Mount> {
    let separator = memchr::memmem::find(line, b" - ")?;
    let mut words = text::words(line.get(..separator)?).skip(2);
    let (device_id, root, mount_point) = (words.next()?, words.next()?, words.next()?);
    let mount_options = words.next().unwrap_or_default();
    let mut words = text::words(line.get(separator + 3..)?);
    let (fstype, source) = (words.next()?, words.next()?);
    let super_options = words.next().unwrap_or_default();

    // Some virtual file systems (nsfs) tell what is mounted in the root field instead.
    let from_path = source.starts_with(b"/");
    let named = if from_path || root == b"/" {
        source
    } else {
        root
    };
    // The same file system mounted again keeps the name that it had first.
    let device = first_devices
        .entry(device_id)
        .or_insert_with(|| named.to_vec())
        .clone();
    let mut options = effective_options(mount_options, super_options);
    let is_subvolume = super_options
        .split(|&byte| byte == b',')
        .find_map(|option| option.strip_prefix(b"subvol="))
        == Some(root);
    if from_path && root != b"/" && !is_subvolume {
        options.push(b"bind".to_vec());
    }
    Some(Mount {
        path: PathBuf::from(std::ffi::OsString::from_vec(unescape(mount_point))),
        device: resolve(device, device_id, roots),
        fstype: fstype.to_vec(),
        options,
    })
}

/// `/dev/sda1 /mnt ext4 rw,noatime 0 0` (`fstab(5)`): kernels before 2.6.26.
fn parse_mounts(text: &[u8], path: &Path, troubles: &mut Troubles) -> Vec<Mount> {
    let mut mounts = Vec::new();
    for line in text::lines(text) {
        let mut words = text::words(line);
        let (Some(device), Some(mount_point), Some(fstype), Some(options)) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            troubles.add(SourceError::strange(path, line));
            continue;
        };
        mounts.push(Mount {
            path: PathBuf::from(std::ffi::OsString::from_vec(unescape(mount_point))),
            device: device.to_vec(),
            fstype: fstype.to_vec(),
            options: effective_options(options, b""),
        });
    }
    mounts
}

/// The mount's options with `rw` or `ro` as it holds for mount and file system together: a mount
/// can be written to only when both allow it.
fn effective_options(mount_options: &[u8], super_options: &[u8]) -> Vec<Vec<u8>> {
    let split = |options: &'_ [u8]| -> Vec<Vec<u8>> {
        options
            .split(|&byte| byte == b',')
            .filter(|option| !option.is_empty())
            .map(<[u8]>::to_vec)
            .collect()
    };
    let (mut options, super_options) = (split(mount_options), split(super_options));
    if super_options.iter().any(|option| option == b"ro") {
        options.retain(|option| option != b"rw" && option != b"ro");
        options.insert(0, b"ro".to_vec());
    }
    options
}

/// The device's name as the tag shall show it: device-mapper links become `dm-N`, `/dev/root` the
/// device that it stands for.
fn resolve(device: Vec<u8>, device_id: &[u8], roots: &Roots) -> Vec<u8> {
    if let Some(name) = device.strip_prefix(b"/dev/mapper/") {
        let link = roots.dev("mapper").join(OsStr::from_bytes(name));
        if let Some(target) = std::fs::canonicalize(link)
            .ok()
            .as_deref()
            .and_then(Path::file_name)
        {
            return [b"/dev/", target.as_bytes()].concat();
        }
    } else if device == b"/dev/root" {
        let link = roots.sys("dev/block").join(OsStr::from_bytes(device_id));
        if let Some(target) = std::fs::read_link(link)
            .ok()
            .as_deref()
            .and_then(Path::file_name)
        {
            return [b"/dev/", target.as_bytes()].concat();
        }
    }
    device
}

/// Decodes `\040` and the like; any other backslash stays.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'\\'
            && let Some((digits, after)) = rest.split_at_checked(3)
            && let Some(decoded) = octal(digits)
        {
            out.push(decoded);
            rest = after;
        } else {
            out.push(byte);
        }
    }
    out
}

fn octal(digits: &[u8]) -> Option<u8> {
    let number = digits.iter().try_fold(0_u32, |number, &digit| {
        matches!(digit, b'0'..=b'7').then(|| number * 8 + u32::from(digit - b'0'))
    })?;
    u8::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (Vec<Mount>, u64) {
        let mut troubles = Troubles::default();
        let mounts = parse_mountinfo(
            text.as_bytes(),
            Path::new("mountinfo"),
            &Roots::default(),
            &mut troubles,
        );
        (mounts, troubles.count())
    }

    fn only(text: &str) -> Mount {
        let (mut mounts, troubles) = parse(text);
        assert_eq!((mounts.len(), troubles), (1, 0), "{text}");
        mounts.remove(0)
    }

    #[test]
    fn a_mount_is_read_only_when_either_side_says_so() {
        for (mount, file_system, mode) in [
            ("rw,noatime", "rw", "rw"),
            ("ro", "rw", "ro"),
            ("rw", "ro,errors=remount-ro", "ro"),
            ("noatime", "size=1k", "unknown"),
            ("rw", "size=1k", "rw"),
        ] {
            let mount = only(&format!(
                "1 2 8:1 / /a {mount} - ext4 /dev/sda1 {file_system}"
            ));
            assert_eq!(mount.mode(), mode);
        }
    }

    #[test]
    fn binds_are_told_from_subvolumes() {
        let bind = only("1 2 8:1 /srv /a rw - ext4 /dev/sda1 rw");
        assert!(bind.has(b"bind"));
        let subvolume = only("1 2 0:40 /@home /home rw - btrfs /dev/sda2 rw,subvol=/@home");
        assert!(!subvolume.has(b"bind"));
        let below = only("1 2 0:40 /@home/x /x rw - btrfs /dev/sda2 rw,subvol=/@home");
        assert!(below.has(b"bind"));
        let namespace = only("1 2 0:4 net:[4026532] /run/netns/a rw - nsfs nsfs rw");
        assert!(!namespace.has(b"bind"));
        assert_eq!(namespace.device, b"net:[4026532]");
    }

    #[test]
    fn a_file_system_keeps_the_name_of_its_first_mount() {
        let (mounts, _) = parse(
            "1 2 8:1 / / rw - ext4 /dev/sda1 rw\n3 1 8:1 /x /y rw - ext4 /dev/disk/by-id/z rw\n",
        );
        assert_eq!(mounts[1].device, b"/dev/sda1");
    }

    #[test]
    fn strange_lines_cost_only_themselves() {
        let (mounts, troubles) = parse(
            "1 2 8:1 / / rw - ext4 /dev/sda1 rw\nnonsense\n1 2 8:2 / - \n - ext4 x\n1 2 3 4 5 - a",
        );
        assert_eq!((mounts.len(), troubles), (1, 4));
    }

    #[test]
    fn fields_that_old_kernels_lack_may_be_absent() {
        let mount = only("1 2 8:1 / /a - ext4 /dev/sda1");
        assert_eq!(mount.mode(), "unknown");
    }

    #[test]
    fn escapes_are_decoded_once() {
        assert_eq!(unescape(br"/a\040b\134040\011"), b"/a b\\040\t");
        assert_eq!(unescape(br"/a\9x\04"), br"/a\9x\04");
        assert_eq!(unescape(br"\777\"), br"\777\");
    }

    #[test]
    fn the_oldest_form_is_read_too() {
        let mut troubles = Troubles::default();
        let text = b"/dev/sda1 /mnt\\040x ext4 ro,noatime 0 0\nshort line\n";
        let mounts = parse_mounts(text, Path::new("mounts"), &mut troubles);
        assert_eq!(troubles.count(), 1);
        assert_eq!(mounts[0].path, Path::new("/mnt x"));
        assert_eq!(mounts[0].mode(), "ro");
    }
}

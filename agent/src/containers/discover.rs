//! Finds containers by the names of their groups, whoever runs them.
//!
//! | runtime | last part of the path |
//! |---|---|
//! | Docker | `docker-<id>.scope`, or `<id>` below `docker` |
//! | containerd (Kubernetes) | `cri-containerd-<id>.scope`, or `<id>` below `kubepods/…/pod…` |
//! | CRI-O | `crio-<id>.scope`, not `crio-conmon-…` |
//! | Podman | `libpod-<id>.scope`, not `libpod-conmon-…` |
//! | nerdctl | `nerdctl-<id>.scope` |
//! | LXC, nspawn | `lxc.payload.<name>`, `lxc/<name>`, `systemd-nspawn@<name>.service` |
//!
//! An id has 64 hexadecimal digits. What lies inside a container is not looked at: it may have a
//! systemd or an engine of its own. Walking costs the more the more services a host has, so that
//! it is done anew only when a directory that held a container changed, or [`WALK_EVERY`] passed.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How deep containers may lie.
const DEPTH_MAX: usize = 12;
/// Directories that one walk looks into.
const DIRECTORIES_MAX: usize = 20_000;
/// Containers that are reported.
const CONTAINERS_MAX: usize = 5_000;
/// A container that appears where none was before is found at the latest after this.
const WALK_EVERY: Duration = Duration::from_secs(10);
const ID_DIGITS: usize = 64;

/// Who runs a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runtime {
    Docker,
    Containerd,
    CriO,
    Podman,
    Lxc,
}

/// A container in the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) runtime: Runtime,
    /// 64 digits, or a name where the runtime has no ids.
    pub(crate) id: String,
    /// From the top of the tree.
    pub(crate) path: PathBuf,
}

/// Finds containers, and remembers them.
#[derive(Debug, Default)]
pub(crate) struct Walker {
    found: Vec<Found>,
    /// Directories that hold containers, with their number of entries, from the top of the tree.
    parents: Vec<(PathBuf, u64)>,
    walked_at_ns: Option<u64>,
}

fn is_id(text: &str) -> bool {
    text.len() == ID_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// What a directory is by its name and that of the one it lies in.
pub(crate) fn identify(parent: &str, name: &str) -> Option<(Runtime, String)> {
    const SCOPES: [(&str, Runtime); 5] = [
        ("docker-", Runtime::Docker),
        ("cri-containerd-", Runtime::Containerd),
        ("nerdctl-", Runtime::Containerd),
        ("crio-", Runtime::CriO),
        ("libpod-", Runtime::Podman),
    ];
    let plain = name.strip_suffix(".scope").unwrap_or(name);
    for (prefix, runtime) in SCOPES {
        if let Some(id) = plain.strip_prefix(prefix)
            && is_id(id)
        {
            return Some((runtime, id.to_owned()));
        }
    }
    if is_id(name) {
        let runtime = match parent {
            "docker" => Runtime::Docker,
            "libpod_parent" | "machine.slice" => Runtime::Podman,
            _ => Runtime::Containerd,
        };
        return Some((runtime, name.to_owned()));
    }
    let lxc = name
        .strip_prefix("lxc.payload.")
        .or_else(|| {
            name.strip_prefix("systemd-nspawn@")?
                .strip_suffix(".service")
        })
        .or_else(|| (parent == "lxc").then_some(name));
    lxc.filter(|name| !name.is_empty())
        .map(|name| (Runtime::Lxc, name.to_owned()))
}

impl Walker {
    /// The containers below `top`, sorted by path.
    pub(crate) fn find(&mut self, top: &Path, now_ns: u64) -> &[Found] {
        let every_ns = u64::try_from(WALK_EVERY.as_nanos()).unwrap_or(u64::MAX);
        let is_due = self
            .walked_at_ns
            .is_none_or(|at| now_ns.saturating_sub(at) >= every_ns);
        if is_due
            || self
                .parents
                .iter()
                .any(|(path, count)| entries(&top.join(path)) != *count)
        {
            self.walk(top);
            self.walked_at_ns = Some(now_ns);
        }
        &self.found
    }

    fn walk(&mut self, top: &Path) {
        self.found.clear();
        self.parents.clear();
        let mut open = vec![(PathBuf::new(), 0)];
        let mut looked = 0;
        while let Some((directory, depth)) = open.pop() {
            looked += 1;
            if looked > DIRECTORIES_MAX {
                break;
            }
            let Ok(entries_here) = std::fs::read_dir(top.join(&directory)) else {
                continue;
            };
            let parent = directory.file_name().unwrap_or_default().to_string_lossy();
            let mut holds_containers = false;
            for entry in entries_here.flatten() {
                if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    continue;
                }
                let name = entry.file_name();
                let path = directory.join(&name);
                match identify(&parent, &name.to_string_lossy()) {
                    Some((runtime, id)) if self.found.len() < CONTAINERS_MAX => {
                        holds_containers = true;
                        self.found.push(Found { runtime, id, path });
                    }
                    Some(_) => {}
                    None if depth < DEPTH_MAX => open.push((path, depth + 1)),
                    None => {}
                }
            }
            if holds_containers {
                let count = entries(&top.join(&directory));
                self.parents.push((directory, count));
            }
        }
        self.found.sort_by(|a, b| a.path.cmp(&b.path));
    }
}

/// A number that changes when a directory gets or loses one: their count, as the kernel keeps it
/// for directories of control groups.
fn entries(directory: &Path) -> u64 {
    std::fs::metadata(directory).map_or(0, |metadata| metadata.nlink())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(digit: char) -> String {
        digit.to_string().repeat(ID_DIGITS)
    }

    #[test]
    fn names_tell_the_runtime() {
        let a = id('a');
        for (parent, name, expected) in [
            (
                "system.slice",
                format!("docker-{a}.scope"),
                Some(Runtime::Docker),
            ),
            ("docker", a.clone(), Some(Runtime::Docker)),
            (
                "kubepods-burstable-pod1_2.slice",
                format!("cri-containerd-{a}.scope"),
                Some(Runtime::Containerd),
            ),
            ("pod1-2-3", a.clone(), Some(Runtime::Containerd)),
            ("default", a.clone(), Some(Runtime::Containerd)),
            ("x.slice", format!("crio-{a}.scope"), Some(Runtime::CriO)),
            ("x.slice", format!("crio-conmon-{a}.scope"), None),
            (
                "machine.slice",
                format!("libpod-{a}.scope"),
                Some(Runtime::Podman),
            ),
            ("machine.slice", format!("libpod-conmon-{a}.scope"), None),
            ("", "lxc.payload.web".into(), Some(Runtime::Lxc)),
            ("lxc", "101".into(), Some(Runtime::Lxc)),
            (
                "machine.slice",
                "systemd-nspawn@db.service".into(),
                Some(Runtime::Lxc),
            ),
            ("system.slice", "docker.service".into(), None),
            ("system.slice", "docker-abc.scope".into(), None),
            ("", "lxc.payload.".into(), None),
            ("docker", "g".repeat(ID_DIGITS), None),
        ] {
            let found = identify(parent, &name);
            assert_eq!(
                found.map(|(runtime, _)| runtime),
                expected,
                "{parent}/{name}"
            );
        }
    }

    #[test]
    fn a_new_container_beside_another_is_seen_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path();
        let make = |path: String| std::fs::create_dir_all(top.join(path)).unwrap();
        make("system.slice/ssh.service".into());
        make(format!("docker/{}/inner/docker/{}", id('a'), id('b')));
        let mut walker = Walker::default();
        let ids = |found: &[Found]| -> Vec<char> {
            found.iter().filter_map(|f| f.id.chars().next()).collect()
        };
        assert_eq!(ids(walker.find(top, 0)), ['a'], "not what lies inside");
        make(format!("docker/{}", id('c')));
        // Not every file system counts a directory's entries in its links.
        if entries(&top.join("docker")) > 2 {
            assert_eq!(ids(walker.find(top, 1)), ['a', 'c']);
        }
        make(format!("system.slice/docker-{}.scope", id('d')));
        let later = u64::try_from(WALK_EVERY.as_nanos()).unwrap() + 1;
        assert_eq!(ids(walker.find(top, later)), ['a', 'c', 'd']);
        assert!(Walker::default().find(Path::new("/no/such"), 0).is_empty());
    }
}

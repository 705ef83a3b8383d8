//! How this process takes memory: in small pages, and for a store, when nobody says how much, a share of
//! what it may use. That is what the machine has, or less where a control group (a container's
//! limit) says so.

use std::fs;
use std::path::Path;

/// A store takes at least this much, however small the machine.
const STORE_BYTES_MIN: u64 = 128 << 20;
/// A store takes at most this much by itself: more makes it hardly faster, and its restart slower.
const STORE_BYTES_MAX: u64 = 2 << 30;

/// Has the kernel give memory in pages of 4 KiB. The allocator asks for pages of 2 MiB where it can, and each is
/// zeroed and counted whole, however little of it is used: twice the memory under load, 40 MiB instead of 3 when
/// idle, and twice the kernel's time for writes.
pub(crate) fn use_small_pages() {
    // Where the kernel has none of it, there is nothing to do.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

/// The memory of each of `stores` stores in this process: together half of what there is, within
/// bounds.
pub(crate) fn store_bytes_max(stores: u64) -> u64 {
    share(usable_bytes(Path::new("/")), stores)
}

fn share(usable_bytes: Option<u64>, stores: u64) -> u64 {
    let share = usable_bytes.unwrap_or(0) / 2 / stores.max(1);
    share.clamp(STORE_BYTES_MIN, STORE_BYTES_MAX)
}

/// What this process may use; none where the system does not tell.
fn usable_bytes(root: &Path) -> Option<u64> {
    let machine = fs::read_to_string(root.join("proc/meminfo"))
        .ok()
        .and_then(|text| meminfo_total(&text));
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    machine.into_iter().chain(group_limits(root, &groups)).min()
}

fn meminfo_total(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// The limits of the control groups that this process is in, and of those around them. In a
/// container the group's own path is often not there, and its limit lies at the top.
fn group_limits(root: &Path, groups: &str) -> Vec<u64> {
    let mut limits = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else {
            continue;
        };
        let (top, file) = match controllers {
            "" => ("sys/fs/cgroup", "memory.max"),
            list if list.split(',').any(|c| c == "memory") => {
                ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let top = root.join(top);
        let mut at = Path::new(path.trim_start_matches('/'));
        loop {
            if let Ok(text) = fs::read_to_string(top.join(at).join(file)) {
                limits.extend(text.trim().parse::<u64>().ok());
            }
            match at.parent() {
                Some(parent) => at = parent,
                None => break,
            }
        }
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn the_tightest_limit_counts() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        assert_eq!(usable_bytes(root), None);
        write(
            root,
            "proc/meminfo",
            "MemTotal:       8000000 kB\nMemFree: 1 kB\n",
        );
        assert_eq!(usable_bytes(root), Some(8_192_000_000));
        write(root, "proc/self/cgroup", "0::/a/b\n");
        write(root, "sys/fs/cgroup/a/b/memory.max", "max\n");
        assert_eq!(usable_bytes(root), Some(8_192_000_000));
        write(root, "sys/fs/cgroup/a/memory.max", "1000000\n");
        assert_eq!(usable_bytes(root), Some(1_000_000));
    }

    #[test]
    fn a_container_sees_its_limit_at_the_top() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        write(root, "proc/self/cgroup", "0::/not/mounted/here\n");
        write(root, "sys/fs/cgroup/memory.max", "5000\n");
        assert_eq!(usable_bytes(root), Some(5000));
        write(
            root,
            "proc/self/cgroup",
            "9:cpu,memory:/docker/x\nbad line\n",
        );
        write(root, "sys/fs/cgroup/memory/memory.limit_in_bytes", "4000\n");
        assert_eq!(usable_bytes(root), Some(4000));
    }

    #[test]
    fn stores_share_half_within_bounds() {
        assert_eq!(share(Some(2 << 30), 1), 1 << 30);
        assert_eq!(share(Some(2 << 30), 2), 512 << 20);
        assert_eq!(share(Some(1 << 40), 2), STORE_BYTES_MAX);
        assert_eq!(share(Some(1 << 20), 2), STORE_BYTES_MIN);
        assert_eq!(share(None, 1), STORE_BYTES_MIN);
    }
}

//! Which version of control groups this host has, for each controller that is read.
//!
//! With version 2 there is one tree; with version 1 each controller has its own, and a container
//! has the same path in each; hybrid hosts have some controllers in either.

use std::path::{Path, PathBuf};

use crate::collect::Source;
use crate::roots::Roots;
use crate::text;

/// Where one controller's tree is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tree {
    /// A tree of version 1, of this controller alone.
    V1(PathBuf),
    /// The tree of version 2.
    V2(PathBuf),
}

/// Where the controllers are; `None` where the kernel has one not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    /// How much time is used.
    pub(crate) cpuacct: Option<Tree>,
    /// How time is limited.
    pub(crate) cpu: Option<Tree>,
    pub(crate) memory: Option<Tree>,
    pub(crate) io: Option<Tree>,
}

impl Tree {
    /// The top of the tree.
    pub(crate) fn root(&self) -> &Path {
        match self {
            Self::V1(root) | Self::V2(root) => root,
        }
    }
}

impl Hierarchy {
    /// Looks at `/sys/fs/cgroup`.
    pub(crate) fn detect(roots: &Roots, source: &mut Source) -> Self {
        let top = roots.sys("fs/cgroup");
        if top.join("cgroup.controllers").exists() {
            let tree = Some(Tree::V2(top));
            return Self {
                cpuacct: tree.clone(),
                cpu: tree.clone(),
                memory: tree.clone(),
                io: tree,
            };
        }
        let unified = top.join("unified");
        let in_unified = source
            .read_optional(&unified.join("cgroup.controllers"))
            .map(<[u8]>::to_vec)
            .unwrap_or_default();
        let place = |v1_names: &[&str], v2_name: &str| {
            let own = v1_names.iter().map(|name| top.join(name));
            if let Some(own) = own.into_iter().find(|path| path.is_dir()) {
                return Some(Tree::V1(own));
            }
            text::words(&in_unified)
                .any(|word| word == v2_name.as_bytes())
                .then(|| Tree::V2(unified.clone()))
        };
        Self {
            cpuacct: place(&["cpuacct", "cpu,cpuacct", "cpuacct,cpu"], "cpu"),
            cpu: place(&["cpu", "cpu,cpuacct", "cpuacct,cpu"], "cpu"),
            memory: place(&["memory"], "memory"),
            io: place(&["blkio"], "io"),
        }
    }

    /// The tree in which containers are looked for; any will do, they are in all.
    pub(crate) fn walked(&self) -> Option<&Path> {
        [&self.memory, &self.cpuacct, &self.io]
            .into_iter()
            .flatten()
            .next()
            .map(Tree::root)
    }

    /// The path of a process's group in the walked tree, from the text of its `/proc/PID/cgroup`.
    pub(crate) fn path_of(&self, text: &[u8]) -> Option<PathBuf> {
        let wanted: &[u8] = match self.memory.as_ref().or(self.cpuacct.as_ref())? {
            Tree::V2(_) => b"",
            Tree::V1(_) if self.memory.is_some() => b"memory",
            Tree::V1(_) => b"cpuacct",
        };
        for line in text::lines(text) {
            let mut parts = line.splitn(3, |&byte| byte == b':').skip(1);
            let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else {
                continue;
            };
            if controllers.split(|&byte| byte == b',').any(|c| c == wanted) {
                let path = std::str::from_utf8(path).ok()?.trim_start_matches('/');
                // Seen from another namespace a path leads upwards, and says nothing here.
                let is_plain = !path.is_empty() && !path.split('/').any(|part| part == "..");
                return is_plain.then(|| PathBuf::from(path));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn detect(dirs: &[&str], files: &[(&str, &str)]) -> (Hierarchy, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("sys/fs/cgroup");
        fs::create_dir_all(&top).unwrap();
        for name in dirs {
            fs::create_dir_all(top.join(name)).unwrap();
        }
        for (name, text) in files {
            fs::write(top.join(name), text).unwrap();
        }
        let hierarchy = Hierarchy::detect(&Roots::under(dir.path()), &mut Source::default());
        (hierarchy, dir)
    }

    #[test]
    fn one_tree_many_trees_and_both() {
        let (all, _dir) = detect(&[], &[("cgroup.controllers", "cpu io memory\n")]);
        assert!(matches!(all.memory, Some(Tree::V2(_))) && all.memory == all.io);
        let (legacy, _dir) = detect(&["cpu,cpuacct", "memory", "blkio"], &[]);
        assert!(matches!(&legacy.cpuacct, Some(Tree::V1(root)) if root.ends_with("cpu,cpuacct")));
        assert!(legacy.walked().unwrap().ends_with("memory"));
        let (hybrid, _dir) = detect(
            &["memory", "unified"],
            &[("unified/cgroup.controllers", "cpu io\n")],
        );
        assert!(matches!(&hybrid.io, Some(Tree::V2(root)) if root.ends_with("unified")));
        assert!(matches!(hybrid.memory, Some(Tree::V1(_))));
        let (none, _dir) = detect(&[], &[]);
        assert_eq!(none, Hierarchy::default());
        assert_eq!(none.walked(), None);
    }

    #[test]
    fn a_process_tells_its_group() {
        let (v2, _dir) = detect(&[], &[("cgroup.controllers", "memory\n")]);
        let path = v2.path_of(b"0::/system.slice/docker-ab.scope\n");
        assert_eq!(path, Some(PathBuf::from("system.slice/docker-ab.scope")));
        assert_eq!(v2.path_of(b"0::/../other\n"), None);
        assert_eq!(v2.path_of(b"0::/\nstrange"), None);
        let (v1, _dir) = detect(&["cpu,cpuacct", "memory"], &[]);
        let text = b"9:pids:/x\n5:memory:/docker/ab\n2:cpu,cpuacct:/y\n";
        assert_eq!(v1.path_of(text), Some(PathBuf::from("docker/ab")));
    }
}

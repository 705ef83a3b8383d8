//! The directories of a simulated file system: names as programs see them, names that the disk has, and
//! the operations between the two.
//!
//! An operation on names is whole or not done, a rename too. What is not synced may be lost in any
//! selection, as between directories that a file system journals on its own.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path};

use super::file::Fate;
use crate::Rng;

/// A file or directory, whatever its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NodeId(pub(super) u64);

/// The directory that always is.
pub(super) const ROOT: NodeId = NodeId(0);

type Names = BTreeMap<NodeId, BTreeMap<String, NodeId>>;

/// All directories.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    cached: Names,
    durable: Names,
    /// Operations not synced, in order; each a set of names with what they stand for now.
    unsynced: Vec<Vec<Entry>>,
}

/// One name in one directory and what it stands for, if anything.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) dir: NodeId,
    pub(super) name: String,
    pub(super) node: Option<NodeId>,
}

impl Tree {
    pub(super) fn new() -> Self {
        let names: Names = [(ROOT, BTreeMap::new())].into();
        Tree {
            cached: names.clone(),
            durable: names,
            unsynced: Vec::new(),
        }
    }

    pub(super) fn is_dir(&self, node: NodeId) -> bool {
        self.cached.contains_key(&node)
    }

    pub(super) fn add_dir(&mut self, node: NodeId) {
        self.cached.entry(node).or_default();
        self.durable.entry(node).or_default();
    }

    /// The names in a directory.
    pub(super) fn names(&self, dir: NodeId) -> io::Result<&BTreeMap<String, NodeId>> {
        self.cached
            .get(&dir)
            .ok_or_else(|| io::ErrorKind::NotADirectory.into())
    }

    /// What a path stands for.
    pub(super) fn resolve(&self, path: &Path) -> io::Result<NodeId> {
        let mut at = ROOT;
        for name in components(path)? {
            at = *self.names(at)?.get(name).ok_or(io::ErrorKind::NotFound)?;
        }
        Ok(at)
    }

    /// Whether a directory has a name for this.
    pub(super) fn holds(&self, dir: &Path, node: NodeId) -> bool {
        let names = self.resolve(dir).and_then(|dir| self.names(dir));
        names.is_ok_and(|names| names.values().any(|there| *there == node))
    }

    /// The directory and the name that a path stands for, whether or not it is there.
    pub(super) fn place(&self, path: &Path) -> io::Result<(NodeId, String)> {
        let mut names = components(path)?;
        let name = names.pop().ok_or(io::ErrorKind::InvalidInput)?;
        let mut dir = ROOT;
        for above in names {
            dir = *self.names(dir)?.get(above).ok_or(io::ErrorKind::NotFound)?;
        }
        if !self.is_dir(dir) {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok((dir, name.to_owned()))
    }

    /// Changes names, all at once.
    pub(super) fn change(&mut self, entries: Vec<Entry>) {
        apply(&mut self.cached, &entries);
        self.unsynced.push(entries);
    }

    /// Makes the names of `dir` durable, with all that the same operations did elsewhere and all that those build on.
    pub(super) fn sync(&mut self, dir: NodeId) {
        let mut dirs = BTreeSet::from([dir]);
        let mut synced = Vec::new();
        for at in (0..self.unsynced.len()).rev() {
            if self.unsynced[at].iter().any(|e| dirs.contains(&e.dir)) {
                dirs.extend(self.unsynced[at].iter().map(|e| e.dir));
                synced.push(self.unsynced.remove(at));
            }
        }
        for entries in synced.iter().rev() {
            apply(&mut self.durable, entries);
        }
    }

    /// The directories after a power loss.
    pub(super) fn after_crash(&self, fate: Fate, rng: &mut Rng) -> Tree {
        let mut found = self.durable.clone();
        for entries in &self.unsynced {
            let kept = match fate {
                Fate::AllLost => false,
                Fate::AllKept => true,
                Fate::Mixed => rng.chance(50),
            };
            if kept {
                apply(&mut found, entries);
            }
        }
        Tree {
            cached: found.clone(),
            durable: found,
            unsynced: Vec::new(),
        }
    }

    /// Everything that has a name.
    pub(super) fn named(&self) -> BTreeSet<NodeId> {
        self.cached
            .values()
            .flat_map(BTreeMap::values)
            .copied()
            .collect()
    }
}

fn apply(names: &mut Names, entries: &[Entry]) {
    for Entry { dir, name, node } in entries {
        let names = names.entry(*dir).or_default();
        match node {
            Some(node) => names.insert(name.clone(), *node),
            None => names.remove(name),
        };
    }
}

fn components(path: &Path) -> io::Result<Vec<&str>> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(name) => {
                names.push(name.to_str().ok_or(io::ErrorKind::InvalidInput)?);
            }
            Component::ParentDir | Component::Prefix(_) => {
                return Err(io::ErrorKind::InvalidInput.into());
            }
        }
    }
    Ok(names)
}

//! The state behind a simulated file system and all its handles, and the faults that a test has ordered.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;

use super::file::{Contents, Fate};
use super::tree::{NodeId, ROOT, Tree};
use crate::Rng;

/// Everything, under one lock.
#[derive(Debug)]
pub(super) struct World {
    pub(super) tree: Tree,
    pub(super) files: BTreeMap<NodeId, Contents>,
    pub(super) locked: BTreeSet<NodeId>,
    pub(super) capacity_bytes: Option<u64>,
    pub(super) rng: Rng,
    pub(super) calls: u64,
    pub(super) data_syncs: u64,
    /// What fails, once.
    pub(super) fault: Option<(FaultAt, io::ErrorKind)>,
    /// The power goes at the call of this number.
    pub(super) power_off_at: Option<u64>,
    pub(super) is_off: bool,
    /// Data syncs wait.
    pub(super) hold_syncs: bool,
    pub(super) syncs_held: usize,
    pub(super) lie: Option<Lie>,
    /// Syncs of both kinds that came to the end, over crashes too.
    syncs: u64,
    last_node: NodeId,
}

/// Which syncs do nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// Those of files.
    Data,
    /// Those of directories.
    Directories,
    /// The one of this number among all, counted from zero.
    One(u64),
}

/// What a call does to the contents of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// It writes bytes.
    Write,
    /// It syncs the data.
    Sync,
}

/// Which call fails.
#[derive(Debug)]
pub(super) enum FaultAt {
    /// The one of this number.
    Call(u64),
    /// The next that does this to a file in this directory.
    File(Op, PathBuf),
}

/// What becomes of a call.
pub(super) enum Verdict {
    Go,
    /// It fails, having done some part of its work.
    Fail(io::Error),
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        World {
            tree: Tree::new(),
            files: BTreeMap::new(),
            locked: BTreeSet::new(),
            capacity_bytes: None,
            rng: Rng::new(seed),
            calls: 0,
            data_syncs: 0,
            fault: None,
            power_off_at: None,
            is_off: false,
            hold_syncs: false,
            syncs_held: 0,
            lie: None,
            syncs: 0,
            last_node: ROOT,
        }
    }

    /// Counts a call, which may be one on the contents of a file, and says what becomes of it.
    ///
    /// # Errors
    /// When the power is off.
    pub(super) fn enter(&mut self, on: Option<(Op, NodeId)>) -> io::Result<Verdict> {
        if self.power_off_at == Some(self.calls) {
            self.is_off = true;
        }
        if self.is_off {
            return Err(power_is_off());
        }
        let call = self.calls;
        self.calls += 1;
        let is_hit = |(at, _): &mut (FaultAt, io::ErrorKind)| match (at, on) {
            (FaultAt::Call(number), _) => *number == call,
            (FaultAt::File(op, dir), Some((done, node))) => {
                *op == done && self.tree.holds(dir, node)
            }
            (FaultAt::File(..), None) => false,
        };
        Ok(match self.fault.take_if(is_hit) {
            Some((_, kind)) => Verdict::Fail(io::Error::new(kind, "simulated fault")),
            None => Verdict::Go,
        })
    }

    /// Counts a call that does nothing where it fails.
    pub(super) fn enter_whole(&mut self) -> io::Result<()> {
        match self.enter(None)? {
            Verdict::Go => Ok(()),
            Verdict::Fail(e) => Err(e),
        }
    }

    /// Counts a sync, and says whether it is only told to be done.
    pub(super) fn lies(&mut self, kind: Lie) -> bool {
        let number = self.syncs;
        self.syncs += 1;
        self.lie
            .is_some_and(|lie| lie == kind || lie == Lie::One(number))
    }

    pub(super) fn new_node(&mut self) -> NodeId {
        self.last_node = NodeId(self.last_node.0 + 1);
        self.last_node
    }

    pub(super) fn file(&mut self, node: NodeId) -> io::Result<&mut Contents> {
        self.files
            .get_mut(&node)
            .ok_or_else(|| io::ErrorKind::IsADirectory.into())
    }

    /// Bytes that can still be written.
    pub(super) fn available_bytes(&self) -> u64 {
        match self.capacity_bytes {
            Some(capacity_bytes) => capacity_bytes.saturating_sub(self.used_bytes()),
            None => 1 << 50,
        }
    }

    /// Bytes of the files that have a name.
    pub(super) fn used_bytes(&self) -> u64 {
        let named = self.tree.named();
        let of_named = |node: &NodeId| self.files.get(node).map_or(0, Contents::used_bytes);
        named.iter().map(of_named).sum()
    }

    /// The world after the power is back.
    pub(super) fn after_crash(&self, seed: u64) -> World {
        let mut rng = Rng::new(seed);
        let fate = match rng.within(0..8) {
            0 => Fate::AllLost,
            1 => Fate::AllKept,
            _ => Fate::Mixed,
        };
        let tree = self.tree.after_crash(fate, &mut rng);
        let named = tree.named();
        let files = self
            .files
            .iter()
            .filter(|(node, _)| named.contains(node))
            .map(|(node, contents)| (*node, contents.after_crash(fate, &mut rng)))
            .collect();
        World {
            tree,
            files,
            capacity_bytes: self.capacity_bytes,
            lie: self.lie,
            syncs: self.syncs,
            last_node: self.last_node,
            ..World::new(rng.next_u64())
        }
    }
}

pub(super) fn power_is_off() -> io::Error {
    io::Error::other("the simulated machine is off")
}

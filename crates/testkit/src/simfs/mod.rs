//! A file system in memory that behaves like a disk on its worst day.
//!
//! It keeps the contract at the head of `tandem_vfs` and no more than that: [`SimFs::crash`] gives the file system as a power
//! loss may leave it, where each unsynced write is kept, dropped, or torn at a byte or at sectors of
//! 512, and each unsynced operation on names is kept or dropped. A failed sync leaves changes that reads see and that no
//! later sync brings to the disk.
//!
//! Calls of [`Vfs`] and [`File`] are counted from zero (`exists` and dropping a lock are not calls), so a test can run a
//! scenario once, read [`SimFs::calls`], and run it again with a fault at each.

mod file;
mod tree;
mod world;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tandem_vfs::{DirLock, File, Vfs};

use tree::{Entry, NodeId};
use world::{FaultAt, Verdict, World};

pub use world::{Lie, Op};

/// The simulated file system. Clones are the same one.
#[derive(Clone)]
pub struct SimFs(Arc<Shared>);

struct Shared {
    world: Mutex<World>,
    /// Syncs are held or let go.
    syncs: Condvar,
}

impl SimFs {
    /// An empty file system. The seed decides how much a failing call gets done.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::from_world(World::new(seed))
    }

    /// Cuts the power and gives the file system as it may be found then. The old one and its handles fail from now on;
    /// asked again, with other seeds, it gives other states of the same moment. Faults and locks are gone, the
    /// capacity stays.
    #[must_use]
    pub fn crash(&self, seed: u64) -> SimFs {
        let mut world = self.world();
        world.is_off = true;
        self.0.syncs.notify_all();
        Self::from_world(world.after_crash(seed))
    }

    /// Cuts the power when `calls` more calls have been made: the one after those does nothing, and all fail from then on.
    pub fn power_off_after(&self, calls: u64) {
        let mut world = self.world();
        world.power_off_at = Some(world.calls + calls);
    }

    /// Lets the call after `calls` more calls fail, once, with an error of this kind. A write may have been done in part; a sync
    /// has lost some of what it should have made durable.
    pub fn fail_after(&self, calls: u64, kind: io::ErrorKind) {
        let mut world = self.world();
        world.fault = Some((FaultAt::Call(world.calls + calls), kind));
    }

    /// Lets the next call fail that does this to a file in `dir`, as [`SimFs::fail_after`] does: for where others make calls
    /// at the same time, so that none can be told by its number.
    pub fn fail_at(&self, op: Op, dir: &Path, kind: io::ErrorKind) {
        self.world().fault = Some((FaultAt::File(op, dir.to_owned()), kind));
    }

    /// Takes back what [`SimFs::fail_after`], [`SimFs::fail_at`] and [`SimFs::power_off_after`] ordered and what has not come yet.
    pub fn calm(&self) {
        let mut world = self.world();
        world.fault = None;
        world.power_off_at = None;
    }

    /// Whether the power is off.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.world().is_off
    }

    /// From now on some syncs do nothing and say `Ok`, after crashes too: what a program that forgets them would do.
    pub fn lie(&self, lie: Lie) {
        self.world().lie = Some(lie);
    }

    /// Whether the fault that [`SimFs::fail_after`] or [`SimFs::fail_at`] ordered is still to come.
    #[must_use]
    pub fn fault_is_pending(&self) -> bool {
        self.world().fault.is_some()
    }

    /// Limits the bytes of all files together, or lifts the limit. Beyond it, writes fail with `StorageFull`.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.world().capacity_bytes = bytes;
    }

    /// Bytes of all files together, reserved ones included.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.world().used_bytes()
    }

    /// Calls made so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.world().calls
    }

    /// Data syncs done so far.
    #[must_use]
    pub fn data_syncs(&self) -> u64 {
        self.world().data_syncs
    }

    /// Lets every data sync wait until [`SimFs::release_syncs`].
    pub fn hold_syncs(&self) {
        self.world().hold_syncs = true;
    }

    /// Ends the waiting of [`SimFs::hold_syncs`].
    pub fn release_syncs(&self) {
        self.world().hold_syncs = false;
        self.0.syncs.notify_all();
    }

    /// Data syncs that wait now.
    #[must_use]
    pub fn held_syncs(&self) -> usize {
        self.world().syncs_held
    }

    /// Returns when `count` data syncs are waiting.
    pub fn wait_for_held_syncs(&self, count: usize) {
        let world = self.world();
        drop(
            self.0
                .syncs
                .wait_while(world, |world| world.syncs_held < count)
                .unwrap_or_else(PoisonError::into_inner),
        );
    }

    fn from_world(world: World) -> Self {
        SimFs(Arc::new(Shared {
            world: Mutex::new(world),
            syncs: Condvar::new(),
        }))
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_node(&self, path: &Path, writable: bool) -> io::Result<Arc<dyn File>> {
        let mut world = self.world();
        world.enter_whole()?;
        let node = world.tree.resolve(path)?;
        world.file(node)?;
        Ok(self.handle(node, writable))
    }

    fn handle(&self, node: NodeId, writable: bool) -> Arc<dyn File> {
        Arc::new(SimFile {
            fs: self.clone(),
            node,
            writable,
        })
    }
}

impl fmt::Debug for SimFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimFs").finish_non_exhaustive()
    }
}

impl Vfs for SimFs {
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut world = self.world();
        world.enter_whole()?;
        let (dir, name) = world.tree.place(path)?;
        if world.tree.names(dir)?.contains_key(&name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let node = world.new_node();
        world.files.insert(node, file::Contents::default());
        world.tree.change(vec![Entry {
            dir,
            name,
            node: Some(node),
        }]);
        Ok(self.handle(node, true))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.open_node(path, true)
    }

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.open_node(path, false)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.enter_whole()?;
        let mut whole = std::path::PathBuf::new();
        for component in path.components() {
            whole.push(component);
            match world.tree.resolve(&whole) {
                Ok(node) if world.tree.is_dir(node) => {}
                Ok(_) => return Err(io::ErrorKind::AlreadyExists.into()),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    let (dir, name) = world.tree.place(&whole)?;
                    let node = world.new_node();
                    world.tree.add_dir(node);
                    world.tree.change(vec![Entry {
                        dir,
                        name,
                        node: Some(node),
                    }]);
                }
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut world = self.world();
        world.enter_whole()?;
        let dir = world.tree.resolve(path)?;
        Ok(world.tree.names(dir)?.keys().cloned().collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.enter_whole()?;
        let node = world.tree.resolve(from)?;
        let (from_dir, from_name) = world.tree.place(from)?;
        let (to_dir, to_name) = world.tree.place(to)?;
        match world.tree.names(to_dir)?.get(&to_name) {
            // Two names of one file: nothing is done.
            Some(there) if *there == node => return Ok(()),
            Some(there) if world.tree.is_dir(*there) => {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            _ => {}
        }
        world.tree.change(vec![
            Entry {
                dir: from_dir,
                name: from_name,
                node: None,
            },
            Entry {
                dir: to_dir,
                name: to_name,
                node: Some(node),
            },
        ]);
        Ok(())
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.enter_whole()?;
        let node = world.tree.resolve(from)?;
        world.file(node)?;
        let (dir, name) = world.tree.place(to)?;
        if world.tree.names(dir)?.contains_key(&name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        world.tree.change(vec![Entry {
            dir,
            name,
            node: Some(node),
        }]);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.enter_whole()?;
        let node = world.tree.resolve(path)?;
        world.file(node)?;
        let (dir, name) = world.tree.place(path)?;
        world.tree.change(vec![Entry {
            dir,
            name,
            node: None,
        }]);
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.enter_whole()?;
        let node = world.tree.resolve(path)?;
        if !world.tree.names(node)?.is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        let (dir, name) = world.tree.place(path)?;
        world.tree.change(vec![Entry {
            dir,
            name,
            node: None,
        }]);
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.enter_whole()?;
        let dir = world.tree.resolve(path)?;
        world.tree.names(dir)?;
        if !world.lies(Lie::Directories) {
            world.tree.sync(dir);
        }
        Ok(())
    }

    fn lock_dir(&self, path: &Path) -> io::Result<Box<dyn DirLock>> {
        let mut world = self.world();
        world.enter_whole()?;
        let dir = world.tree.resolve(path)?;
        if !world.tree.names(dir)?.contains_key("LOCK") {
            let node = world.new_node();
            world.files.insert(node, file::Contents::default());
            world.tree.change(vec![Entry {
                dir,
                name: "LOCK".to_owned(),
                node: Some(node),
            }]);
        }
        if !world.locked.insert(dir) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(SimLock {
            fs: self.clone(),
            dir,
        }))
    }

    fn available_bytes(&self, path: &Path) -> io::Result<u64> {
        let mut world = self.world();
        world.enter_whole()?;
        world.tree.resolve(path)?;
        Ok(world.available_bytes())
    }

    fn exists(&self, path: &Path) -> bool {
        let world = self.world();
        !world.is_off && world.tree.resolve(path).is_ok()
    }
}

#[derive(Debug)]
struct SimLock {
    fs: SimFs,
    dir: NodeId,
}

impl DirLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.fs.world().locked.remove(&self.dir);
    }
}

#[derive(Debug)]
struct SimFile {
    fs: SimFs,
    node: NodeId,
    writable: bool,
}

impl SimFile {
    fn check_writable(&self) -> io::Result<()> {
        if self.writable {
            Ok(())
        } else {
            Err(io::ErrorKind::PermissionDenied.into())
        }
    }
}

impl File for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut world = self.fs.world();
        world.enter_whole()?;
        Ok(world.file(self.node)?.read(buf, offset))
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.check_writable()?;
        let mut world = self.fs.world();
        let verdict = world.enter(Some((Op::Write, self.node)))?;
        let part = world.rng.below(buf.len() + 1);
        if let Verdict::Fail(e) = verdict {
            world.file(self.node)?.write(&buf[..part], offset);
            return Err(e);
        }
        let available = world.available_bytes();
        let contents = world.file(self.node)?;
        let end = offset + buf.len() as u64;
        if end.saturating_sub(contents.used_bytes()) > available {
            let room = (contents.used_bytes() + available).saturating_sub(offset);
            let part = part.min(usize::try_from(room).unwrap_or(usize::MAX));
            contents.write(&buf[..part], offset);
            return Err(io::ErrorKind::StorageFull.into());
        }
        contents.write(buf, offset);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut world = self.fs.world();
        if world.hold_syncs {
            world.syncs_held += 1;
            self.fs.0.syncs.notify_all();
            world = self
                .fs
                .0
                .syncs
                .wait_while(world, |world| world.hold_syncs && !world.is_off)
                .unwrap_or_else(PoisonError::into_inner);
            world.syncs_held -= 1;
        }
        let world = &mut *world;
        match world.enter(Some((Op::Sync, self.node)))? {
            Verdict::Go => {
                world.data_syncs += 1;
                let lies = world.lies(Lie::Data);
                let contents = world.file(self.node)?;
                if !lies {
                    contents.sync();
                }
                Ok(())
            }
            Verdict::Fail(e) => {
                let mut rng = world.rng.clone();
                world.file(self.node)?.fail_sync(&mut rng);
                world.rng = rng;
                Err(e)
            }
        }
    }

    fn len(&self) -> io::Result<u64> {
        let mut world = self.fs.world();
        world.enter_whole()?;
        Ok(world.file(self.node)?.cached.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check_writable()?;
        let mut world = self.fs.world();
        world.enter_whole()?;
        let available = world.available_bytes();
        let contents = world.file(self.node)?;
        if len.saturating_sub(contents.used_bytes()) > available {
            return Err(io::ErrorKind::StorageFull.into());
        }
        contents.set_len(len);
        Ok(())
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        self.check_writable()?;
        let mut world = self.fs.world();
        world.enter_whole()?;
        let available = world.available_bytes();
        let contents = world.file(self.node)?;
        if len.saturating_sub(contents.used_bytes()) > available {
            return Err(io::ErrorKind::StorageFull.into());
        }
        contents.reserved_bytes = contents.reserved_bytes.max(len);
        Ok(())
    }
}

#[cfg(test)]
mod tests;

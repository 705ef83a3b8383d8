//! Databases that a backend refuses until an operator mends something: what waits for that, out of
//! the way of all other databases.
//!
//! ```text
//! <queue>/held/<FNV-1a of the database's name, hex>/cursor   the queue's UUID, a blank, the name
//!                                                  /hints/   a log as that of the queue
//! ```
//!
//! The drainer of the queue moves a hint that is refused here, and with it what has to come behind
//! it: all of the database, all of the retention policy, or the lanes of the hint, as the refusal
//! says. A drainer of its own tries the first hints now and then. A hint is durable here before the
//! queue's cursor passes it, so a crash in between has it twice, in order, which is harmless.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tandem_http::Answer;
use tandem_seglog::Sequence;
use tandem_vfs::Vfs;
use tokio::sync::oneshot;

use crate::backlog::{Backlog, Opening};
use crate::batch::Head;
use crate::hint;
use crate::identity::make_dir;
use crate::lane::Lanes;
use crate::marks::Settle;
use crate::queue::QueueError;
use crate::scope::{Domain, Kind};
use crate::verdict::Lack;

/// Databases held at once; what goes beyond waits in the queue itself.
const DATABASES_MAX: usize = 64;

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Held {
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    id: String,
    bytes_max: u64,
    lanes: Arc<Lanes>,
    databases: Mutex<BTreeMap<Domain, Database>>,
}

#[derive(Debug)]
struct Database {
    backlog: Arc<Backlog>,
    /// Nothing of it may pass.
    whole: bool,
    /// Nothing for these retention policies may pass.
    policies: BTreeSet<String>,
    /// Nothing in these lanes may pass.
    lanes: u64,
    is_empty: bool,
}

/// Where a hint that comes out of the queue goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// To the backend.
    Free,
    /// Behind what is held of this database.
    Behind(Domain),
}

/// A hint that was moved.
#[derive(Debug)]
pub(crate) enum Moved {
    /// To a database whose drainer runs.
    Known,
    /// To one that needs a drainer.
    New(Domain, Arc<Backlog>),
    /// Not moved: too many databases are held.
    No,
    /// Not moved, for the disk failed; but the database needs a drainer from now on.
    Failed(Domain, Arc<Backlog>),
}

impl Held {
    /// Opens what is held in `dir`, making it where there is nothing. Blocks.
    pub(crate) fn open(
        vfs: &Arc<dyn Vfs>,
        dir: &Path,
        opening: Opening<'_>,
        lanes: Arc<Lanes>,
        corruptions: &mut Vec<String>,
    ) -> Result<Self, QueueError> {
        make_dir(&**vfs, dir)?;
        let mut databases = BTreeMap::new();
        for name in vfs.read_dir(dir).unwrap_or_default() {
            let Ok(domain) = Domain::from_str_radix(&name, 16) else {
                continue;
            };
            let (backlog, recovery) = Backlog::open(vfs, &dir.join(&name), opening, lanes.clone())?;
            corruptions.extend(recovery.corruptions.iter().map(|c| format!("{c:?}")));
            databases.insert(domain, Database::new(Arc::new(backlog)));
        }
        Ok(Self {
            vfs: vfs.clone(),
            dir: dir.to_owned(),
            id: opening.id.to_owned(),
            bytes_max: opening.bytes_max,
            lanes,
            databases: Mutex::new(databases),
        })
    }

    /// What needs a drainer at the start.
    pub(crate) fn backlogs(&self) -> Vec<(Domain, Arc<Backlog>)> {
        let databases = self.lock();
        let pair = |(domain, database): (&Domain, &Database)| (*domain, database.backlog.clone());
        databases.iter().map(pair).collect()
    }

    /// Names and figures of the databases that are held: hints, bytes.
    pub(crate) fn figures(&self) -> Vec<(String, u64, u64)> {
        let databases = self.lock();
        let waiting = databases.values().filter(|database| !database.is_empty);
        waiting
            .map(|database| {
                let (batches, bytes) = database.backlog.pending();
                (database.backlog.note.trim().to_owned(), batches, bytes)
            })
            .collect()
    }

    /// Hints and bytes of them; bytes on disk; the oldest receipt or 0.
    pub(crate) fn totals(&self) -> (u64, u64, u64, u64) {
        let databases = self.lock();
        let (mut batches, mut bytes, mut on_disk, mut oldest) = (0, 0, 0, 0);
        for database in databases.values() {
            let pending = database.backlog.pending();
            batches += pending.0;
            bytes += pending.1;
            on_disk += database.backlog.bytes_total();
            let head = database.backlog.head_received_ns();
            if head > 0 && (oldest == 0 || head < oldest) {
                oldest = head;
            }
        }
        (batches, bytes, on_disk, oldest)
    }

    /// The backlog that takes most of the disk.
    pub(crate) fn largest(&self) -> Option<Arc<Backlog>> {
        let databases = self.lock();
        let largest = databases.values().max_by_key(|d| d.backlog.bytes_total());
        largest.map(|database| database.backlog.clone())
    }

    /// Where a hint goes.
    pub(crate) fn way(&self, head: &Head) -> Way {
        let databases = self.lock();
        if databases.values().all(Database::is_clear) {
            return Way::Free;
        }
        match (head.scope.kind, head.scope.domain) {
            // One that concerns all databases cannot wait for one of them, or all would.
            (Kind::Make, _) | (_, None) => Way::Free,
            (kind, Some(domain)) => match databases.get(&domain) {
                Some(database) if !database.is_clear() => {
                    let free = kind == Kind::Write && !database.blocks(head);
                    if free { Way::Free } else { Way::Behind(domain) }
                }
                _ => Way::Free,
            },
        }
    }

    /// Moves a hint here, refused for lack of something, or because it must come behind what is
    /// here already; durable on `Ok`. Its lanes stay spilled, and who waits for its `result` waits on. Blocks.
    pub(crate) fn hold(
        &self,
        head: &Head,
        body: &Bytes,
        lack: Option<Lack>,
        result: &mut Option<oneshot::Sender<Answer>>,
    ) -> Result<Moved, QueueError> {
        let Some(domain) = head.scope.domain else {
            return Ok(Moved::No);
        };
        let (backlog, is_new) = {
            let mut databases = self.lock();
            let is_new = !databases.contains_key(&domain);
            if is_new {
                if databases.len() >= DATABASES_MAX {
                    return Ok(Moved::No);
                }
                databases.insert(domain, self.make(domain, &head.place().0)?);
            }
            let Some(database) = databases.get(&domain) else {
                return Ok(Moved::No);
            };
            (database.backlog.clone(), is_new)
        };
        let encode = |out: &mut Vec<u8>| {
            hint::encode_head(head, false, out);
            out.extend_from_slice(body);
        };
        // Not under the lock: whoever asks how things are need not wait for the disk.
        let staged = backlog.stage(Settle::Now, encode, |sequence| {
            if let Some(result) = result.take() {
                backlog.expects(sequence, result);
            }
        });
        let committed = match staged {
            Ok((staged, ticket)) => backlog.commit(&staged, head.scope, &ticket),
            Err((error, _)) => Err(error),
        };
        if let Some(database) = self.lock().get_mut(&domain)
            && committed.is_ok()
        {
            if database.is_empty {
                backlog.head_received(head.received_ns);
            }
            database.take(head, lack);
        }
        match committed {
            // Its drainer has to run, whatever became of this hint.
            Err(error) if !is_new => Err(error.into()),
            Err(_) => Ok(Moved::Failed(domain, backlog)),
            Ok(()) if is_new => Ok(Moved::New(domain, backlog)),
            Ok(()) => Ok(Moved::Known),
        }
    }

    /// The drainer has passed all below `next`. If that is all there is, the database is free again.
    pub(crate) fn release(&self, domain: Domain, next: Sequence) {
        let mut databases = self.lock();
        if let Some(database) = databases.get_mut(&domain)
            && database.backlog.is_drained(next)
        {
            *database = Database {
                is_empty: true,
                lanes: 0,
                ..Database::new(database.backlog.clone())
            };
        }
    }

    /// Where what is held of a database lies.
    pub(crate) fn dir_of(&self, domain: Domain) -> PathBuf {
        self.dir.join(format!("{domain:016x}"))
    }

    fn make(&self, domain: Domain, name: &str) -> Result<Database, QueueError> {
        let dir = self.dir_of(domain);
        make_dir(&*self.vfs, &dir)?;
        let opening = Opening {
            name,
            id: &self.id,
            note: &format!(" {name}"),
            bytes_max: self.bytes_max,
            now_ns: 0,
            write_timeout: Duration::ZERO,
        };
        let (backlog, _) = Backlog::open(&self.vfs, &dir, opening, self.lanes.clone())?;
        Ok(Database::new(Arc::new(backlog)))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Domain, Database>> {
        self.databases
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Database {
    /// After a start nobody knows why hints are held, so their lanes stand for all reasons.
    fn new(backlog: Arc<Backlog>) -> Self {
        Self {
            whole: false,
            policies: BTreeSet::new(),
            lanes: backlog.lanes_recovered,
            is_empty: backlog.pending().0 == 0,
            backlog,
        }
    }

    /// Whether nothing of it is held, nor may be found here after a restart.
    fn is_clear(&self) -> bool {
        self.is_empty && !self.backlog.has_doubts()
    }

    fn blocks(&self, head: &Head) -> bool {
        self.whole
            || self.backlog.has_doubts()
            || self.lanes & head.scope.lanes != 0
            || !self.policies.is_empty() && self.policies.contains(&head.place().1)
    }

    fn take(&mut self, head: &Head, lack: Option<Lack>) {
        let was_empty = std::mem::take(&mut self.is_empty);
        match lack {
            // What comes behind a statement that destroys must stay behind it.
            _ if head.scope.kind == Kind::Destroy => self.whole = true,
            Some(Lack::Database) => self.whole = true,
            Some(Lack::Policy) => {
                self.policies.insert(head.place().1);
            }
            Some(Lack::Right) => self.lanes |= head.scope.lanes,
            // What it was to follow may be gone by now; then it is itself what others follow.
            None if was_empty || self.lanes & head.scope.lanes != 0 => {
                self.lanes |= head.scope.lanes;
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tandem_testkit::SimFs;

    use super::*;
    use crate::scope::Scope;

    fn head(query: &str, lanes: u64) -> Head {
        let mut head = Head {
            query: query.into(),
            lines: 1,
            ..Head::default()
        };
        head.scope = Scope::write(&head.place().0, lanes);
        head
    }

    fn open(fs: &SimFs) -> Held {
        let vfs: Arc<dyn Vfs> = Arc::new(fs.clone());
        let opening = Opening {
            name: "b",
            id: "0123",
            note: "",
            bytes_max: 1 << 20,
            now_ns: 0,
            write_timeout: Duration::ZERO,
        };
        let lanes = Arc::new(Lanes::default());
        Held::open(&vfs, Path::new("/held"), opening, lanes, &mut Vec::new()).unwrap()
    }

    #[test]
    fn the_refusal_says_what_has_to_wait() {
        let body = Bytes::from_static(b"m v=1 1");
        for (lack, same_lane, same_policy, neither) in [
            (Lack::Database, true, true, true),
            (Lack::Policy, false, true, false),
            (Lack::Right, true, false, false),
        ] {
            let held = open(&SimFs::new(1));
            let refused = head("db=d&rp=x", 0b1);
            assert_eq!(held.way(&refused), Way::Free);
            let moved = held.hold(&refused, &body, Some(lack), &mut None).unwrap();
            let domain = refused.scope.domain.unwrap();
            let behind = |query, lanes| held.way(&head(query, lanes)) == Way::Behind(domain);
            assert_eq!(behind("db=d", 0b1), same_lane, "{lack:?}");
            assert_eq!(behind("db=d&rp=x", 0b10), same_policy, "{lack:?}");
            assert_eq!(behind("db=d", 0b10), neither, "{lack:?}");
            assert_eq!(held.way(&head("db=other&rp=x", 0b1)), Way::Free);
            let Moved::New(_, backlog) = moved else {
                panic!("{moved:?}");
            };
            assert_eq!(held.figures(), [("d".into(), 1, backlog.pending().1)]);
            backlog.advance(2, &[]).unwrap();
            held.release(domain, 2);
            assert!(!behind("db=d&rp=x", 0b1));
        }
    }

    /// Writes that were acknowledged after it went first, and it took them away.
    #[test]
    fn a_statement_that_is_held_is_not_overtaken_after_a_start_either() {
        let fs = SimFs::new(1);
        let held = open(&fs);
        let mut statement = head("db=d", 0);
        statement.target = crate::batch::Target::Query;
        statement.scope.kind = Kind::Destroy;
        let body = Bytes::from_static(b"q=DROP%20MEASUREMENT%20m");
        let lack = Some(Lack::Right);
        held.hold(&statement, &body, lack, &mut None).unwrap();
        let behind = Way::Behind(statement.scope.domain.unwrap());
        assert_eq!(held.way(&head("db=d", 0b1)), behind);
        drop(held);
        assert_eq!(open(&fs).way(&head("db=d", 0b1)), behind);
    }

    #[test]
    fn what_is_held_is_held_after_a_start_too() {
        let fs = SimFs::new(1);
        let held = open(&fs);
        let refused = head("db=d", 0b101);
        let body = Bytes::from_static(b"m v=1 1");
        let lack = Some(Lack::Database);
        held.hold(&refused, &body, lack, &mut None).unwrap();
        drop(held);
        let held = open(&fs);
        let domain = refused.scope.domain.unwrap();
        assert_eq!(held.way(&head("db=d", 0b100)), Way::Behind(domain));
        assert_eq!(held.figures()[0].0, "d");
        assert_eq!(held.backlogs().len(), 1);
    }
}

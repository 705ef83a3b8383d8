//! All that is kept on disk for one backend.
//!
//! ```text
//! <data>/<backend's name>/id       the queue's UUID, as text
//!                        /running  there while a relay runs, and after one that was killed
//!                        /cursor   all hints below it are passed; carries the UUID too
//!                        /doubt    from where on hints are void, after a sync that failed
//!                        /hints/   the log of hints
//!                        /held/    hints of databases that the backend refuses for now
//!                        /dead/    a log of what the backend refused for good
//!                        /gaps/    a log of what it will never get
//! ```
//!
//! A queue belongs to the backend's configured name, never to its address or its place in the
//! configuration, and nothing here is ever removed because no backend has its name.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tandem_http::Answer;
use tandem_seglog::Sequence;
use tandem_vfs::Vfs;
use thiserror::Error;
use tokio::sync::oneshot;

use crate::backlog::{Backlog, Opening};
use crate::batch::Batch;
use crate::config::Overflow;
use crate::dead::DeadLetters;
use crate::gap::Gaps;
use crate::held::Held;
use crate::hint;
use crate::identity::identity;
use crate::lane::{Lanes, Turn};
use crate::marks::Settle;

/// How long a batch waits for the drainer to drop older ones.
const ROOM_WAIT_MAX: Duration = Duration::from_secs(4);
/// How often it looks.
const ROOM_LOOK_DELAY: Duration = Duration::from_millis(5);
/// The reasons in the gap list.
const DROPPED_NEWEST: &str = "the queue was full, the newest were dropped";
pub(crate) const DROPPED_OLDEST: &str = "the queue was full, the oldest were dropped";

/// Why a queue could not be opened.
#[derive(Debug, Error)]
pub enum QueueError {
    /// The name cannot be that of a directory.
    #[error("backend name {0:?}: use letters, digits, '-', '_' and '.', not starting with '.'")]
    Name(String),
    /// The directory belongs to another queue.
    #[error(
        "{}: the cursor is of queue {cursor}, the id file says {id}; move the wrong one away",
        dir.display()
    )]
    Foreign {
        /// The queue's directory.
        dir: PathBuf,
        /// What the id file holds.
        id: String,
        /// What the cursor holds.
        cursor: String,
    },
    /// The file system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// The dead letters have no room for another one.
    #[error(
        "the dead letters have reached their bound of {bytes_max} bytes; what was not moved is still held"
    )]
    DeadFull {
        /// The bound.
        bytes_max: u64,
    },
    /// The log or the cursor could not be opened or written.
    #[error("the hinted-handoff log")]
    Log(#[from] tandem_seglog::Error),
}

/// Why a batch did not get into the log. Nothing of it is durable that counts.
#[derive(Debug, Error)]
pub(crate) enum SpillError {
    #[error("its queue is full ({bytes} of {bytes_max} bytes)")]
    Full { bytes: u64, bytes_max: u64 },
    #[error("its queue failed: {0}")]
    Log(#[from] tandem_seglog::Error),
}

/// What became of a batch that went to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spilled {
    /// It is durable there.
    Hint(Sequence),
    /// It was dropped, as the operator chose, and its loss is durable in the gap list. Its lanes are
    /// as after an error.
    Dropped,
}

/// The bounds of a queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) bytes_max: u64,
    pub(crate) dead_bytes_max: u64,
    pub(crate) overflow: Overflow,
}

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Queue {
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    pub(crate) main: Arc<Backlog>,
    pub(crate) held: Held,
    pub(crate) dead: DeadLetters,
    pub(crate) gaps: Gaps,
    lanes: Arc<Lanes>,
    bounds: Bounds,
}

/// What was found on disk at the start.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    pub(crate) hints: u64,
    /// The last relay was killed: writes of it that have no hint may still be under way.
    pub(crate) was_killed: bool,
    pub(crate) corruptions: Vec<String>,
}

fn mark_running(vfs: &dyn Vfs, dir: &Path, path: &Path) -> Result<(), QueueError> {
    let made = vfs
        .create_new(path)
        .map(drop)
        .and_then(|()| vfs.sync_dir(dir));
    made.map_err(|source| QueueError::Io {
        action: "make",
        path: path.to_owned(),
        source,
    })
}

/// Refuses names that cannot be an identity.
pub(crate) fn check_name(name: &str) -> Result<(), QueueError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || name.starts_with('.') || !name.bytes().all(allowed) {
        return Err(QueueError::Name(name.to_owned()));
    }
    Ok(())
}

impl Queue {
    /// Opens the queue of the backend `name` below `data_dir`, making it where there is none, and
    /// marks the lanes of the hints in it as spilled. Blocks.
    ///
    /// A hint whose live write had begun is not sent before `write_timeout` has passed since.
    pub(crate) fn open(
        vfs: &Arc<dyn Vfs>,
        data_dir: &Path,
        name: &str,
        bounds: Bounds,
        (now_ns, write_timeout): (i64, Duration),
        lanes: Arc<Lanes>,
    ) -> Result<(Self, Recovered), QueueError> {
        check_name(name)?;
        let dir = data_dir.join(name);
        let id = identity(&**vfs, data_dir, &dir)?;
        let opening = Opening {
            name,
            id: &id,
            note: "",
            bytes_max: bounds.bytes_max,
            now_ns,
            write_timeout,
        };
        let (main, recovery) = Backlog::open(vfs, &dir, opening, lanes.clone())?;
        let mut corruptions: Vec<String> = recovery
            .corruptions
            .iter()
            .map(|c| format!("{c:?}"))
            .collect();
        let held_dir = dir.join("held");
        let held = Held::open(vfs, &held_dir, opening, lanes.clone(), &mut corruptions)?;
        let dead = DeadLetters::open(vfs, &dir.join("dead"), bounds.dead_bytes_max)?;
        let gaps = Gaps::open(vfs, &dir.join("gaps"))?;
        let running = dir.join("running");
        let was_killed = vfs.exists(&running);
        if !was_killed {
            mark_running(&**vfs, &dir, &running)?;
        }
        let recovered = Recovered {
            was_killed,
            hints: main.pending().0 + held.totals().0,
            corruptions,
        };
        let queue = Self {
            vfs: vfs.clone(),
            dir,
            main: Arc::new(main),
            held,
            dead,
            gaps,
            lanes,
            bounds,
        };
        Ok((queue, recovered))
    }

    /// Every write has come to its end, so the next relay need not wait for any. Blocks.
    pub(crate) fn close(&self) -> io::Result<()> {
        self.vfs.remove_file(&self.dir.join("running"))?;
        self.vfs.sync_dir(&self.dir)
    }

    /// Puts a batch into the log; durable on `Ok`. Blocks.
    ///
    /// `turn` is how the batch got its lanes; they are handed over to the hint as soon as it has
    /// its place in the log. What the backend says to the hint goes to `result`. On an error, and when it was dropped, the lanes of a `Live` turn are
    /// flying again, and those of a `Spill` turn are free.
    pub(crate) fn spill(
        &self,
        batch: &Batch,
        turn: Turn,
        settle: Settle,
        result: Option<oneshot::Sender<Answer>>,
    ) -> Result<Spilled, SpillError> {
        let scope = batch.head.scope;
        let leave = || {
            if turn == Turn::Spill {
                self.lanes.unstaged(scope);
            }
        };
        if !self.has_room(batch.bytes()) {
            let outcome = match self.bounds.overflow {
                Overflow::DropNewest => {
                    let body = batch.body.concat();
                    let counted = self.gaps.record(&batch.head, &body, DROPPED_NEWEST);
                    Some(counted.map(|()| Spilled::Dropped).map_err(Into::into))
                }
                Overflow::DropOldest if self.makes_room(batch.bytes()) => None,
                Overflow::Refuse | Overflow::DropOldest => Some(Err(SpillError::Full {
                    bytes: self.bytes_total(),
                    bytes_max: self.bounds.bytes_max,
                })),
            };
            if let Some(outcome) = outcome {
                leave();
                return outcome;
            }
        }
        let encode = |out: &mut Vec<u8>| {
            hint::encode_head(&batch.head, turn == Turn::Live, out);
            for slice in &batch.body {
                out.extend_from_slice(slice);
            }
        };
        let handed_over = |sequence| {
            if let Some(result) = result {
                self.main.expects(sequence, result);
            }
            match turn {
                Turn::Live => self.lanes.flown_to_hint(scope),
                Turn::Spill => self.lanes.staged(scope),
            }
        };
        let taken_back = || match turn {
            Turn::Live => self.lanes.hint_to_flown(scope),
            Turn::Spill => self.lanes.drained([scope]),
        };
        match self.main.stage(settle, encode, handed_over) {
            Ok((staged, ticket)) => match self.main.commit(&staged, scope, &ticket) {
                Ok(()) => Ok(Spilled::Hint(staged.sequence)),
                Err(error) => {
                    taken_back();
                    Err(error.into())
                }
            },
            Err((error, had_place)) => {
                if had_place {
                    taken_back();
                } else {
                    leave();
                }
                Err(error.into())
            }
        }
    }

    /// Hints that are not passed, bytes of them, and when the oldest was received, or 0.
    pub(crate) fn pending(&self) -> (u64, u64, u64) {
        let (batches, bytes) = self.main.pending();
        let (held_batches, held_bytes, _, held_oldest) = self.held.totals();
        let oldest = [self.main.head_received_ns(), held_oldest];
        let oldest = oldest.into_iter().filter(|at| *at > 0).min();
        (
            batches + held_batches,
            bytes + held_bytes,
            oldest.unwrap_or(0),
        )
    }

    /// Bytes on disk of what waits.
    pub(crate) fn bytes_total(&self) -> u64 {
        self.main.bytes_total() + self.held.totals().2
    }

    /// The bound of [`Queue::bytes_total`].
    pub(crate) const fn bytes_max(&self) -> u64 {
        self.bounds.bytes_max
    }

    fn has_room(&self, bytes: u64) -> bool {
        self.bytes_total() + bytes <= self.bounds.bytes_max
    }

    /// Has the oldest batches dropped, and waits for it; false when that takes too long.
    fn makes_room(&self, bytes: u64) -> bool {
        let begun = std::time::Instant::now();
        let mut asked: Option<Arc<Backlog>> = None;
        while begun.elapsed() < ROOM_WAIT_MAX && !self.has_room(bytes) {
            let held = self.held.largest();
            let held = held.filter(|held| held.bytes_total() > self.main.bytes_total());
            let largest = held.unwrap_or_else(|| self.main.clone());
            largest.ask_for_room();
            asked = Some(largest);
            std::thread::sleep(ROOM_LOOK_DELAY);
        }
        // An older batch that is just being delivered makes the drainer wait; what it would then drop is newer, and
        // nobody needs it gone. Others that wait ask for themselves.
        if let Some(asked) = asked {
            asked.has_room_again();
        }
        self.has_room(bytes)
    }
}

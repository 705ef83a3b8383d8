//! Group commit: one leader at a time writes and syncs everything that was staged until then.
//!
//! Two locks, taken in this order where both are: `writer`, held by the leader while it writes and syncs, and `state`,
//! held only for memory work, so that staging goes on during a sync. Who wants a record durable and finds
//! no leader becomes it, takes everything staged, and wakes the others when done.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tandem_vfs::{DirLock, Vfs};

use crate::group::{Group, Ticket};
use crate::recovery::Recovered;
use crate::segment::Segment;
use crate::spare::Spares;
use crate::stats::Counters;
use crate::writer::{WriteError, Writer};
use crate::{Error, Options, Sequence, quarantine};

/// The largest staging buffer kept for the next group.
const SPARE_BYTES_MAX: usize = 4 << 20;

/// What the clones and readers of a log share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) dir: PathBuf,
    options: Options,
    state: Mutex<State>,
    writer: Mutex<Writer>,
    /// Held while segments are removed.
    pub(crate) cutting: Mutex<()>,
    pub(crate) spares: Arc<Spares>,
    pub(crate) counters: Arc<Counters>,
    /// A group was settled, or the leader is gone.
    pub(crate) settled: Condvar,
    /// A leader that gathers has enough.
    gathered: Condvar,
    _lock: Box<dyn DirLock>,
}

/// What is staged, what is durable, and where.
#[derive(Debug)]
pub(crate) struct State {
    /// Staged frames, of which the first `staged_bytes` are whole.
    pub(crate) pending: Vec<u8>,
    pub(crate) staged_bytes: usize,
    /// The group of what is staged, and the number of its first record.
    group: Arc<Group>,
    pub(crate) pending_first: Sequence,
    /// The group that the leader is writing.
    in_flight: Option<Arc<Group>>,
    pub(crate) next_sequence: Sequence,
    pub(crate) durable_end: Sequence,
    /// Oldest first, never empty; the last one is written to.
    pub(crate) segments: VecDeque<Segment>,
    leading: bool,
    spare: Vec<u8>,
    /// What stopped the log for good: a failed sync, or a leader that panicked.
    pub(crate) failed: Option<Error>,
}

/// What a leader does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    Write,
    WriteAndRotate,
    WriteAndTrim,
    WriteAndClean,
}

impl Shared {
    pub(crate) fn new(
        vfs: Arc<dyn Vfs>,
        dir: PathBuf,
        options: Options,
        lock: Box<dyn DirLock>,
        recovered: Recovered,
    ) -> Self {
        let Recovered {
            active,
            segments,
            next_sequence,
            spares,
            ..
        } = recovered;
        let spares = Arc::new(spares);
        let counters = Arc::new(Counters::default());
        Shared {
            writer: Mutex::new(Writer::new(
                Arc::clone(&vfs),
                dir.clone(),
                options.clone(),
                Arc::clone(&spares),
                Arc::clone(&counters),
                active,
            )),
            vfs,
            dir,
            options,
            state: Mutex::new(State {
                pending: Vec::new(),
                staged_bytes: 0,
                group: Arc::default(),
                pending_first: next_sequence,
                in_flight: None,
                next_sequence,
                durable_end: next_sequence,
                segments,
                leading: false,
                spare: Vec::new(),
                failed: None,
            }),
            cutting: Mutex::new(()),
            spares,
            counters,
            settled: Condvar::new(),
            gathered: Condvar::new(),
            _lock: lock,
        }
    }

    /// The state. A thread that panicked under this lock (in an encoder) left at most an unfinished frame, which
    /// [`Shared::room`] drops.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the file of a segment that is cut is kept. One that was damaged is not: its bytes have a second name.
    pub(crate) fn keeps(&self, path: &Path) -> bool {
        self.spares.have_room() && !self.vfs.exists(&quarantine::kept_path(path))
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.settled
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn broken(&self) -> Error {
        Error::Broken {
            dir: self.dir.clone(),
        }
    }

    /// Makes all that is staged or being written durable.
    pub(crate) fn settle_all(&self) -> Result<(), Error> {
        let state = self.lock();
        let group = match &state.in_flight {
            Some(group) if state.staged_bytes == 0 => Arc::clone(group),
            None if state.staged_bytes == 0 => return state.check(&self.dir),
            _ => Arc::clone(&state.group),
        };
        self.settle(state, &group)
    }

    /// Writes what is staged and begins a new segment.
    pub(crate) fn rotate(&self) -> Result<(), Error> {
        self.lead_alone(Task::WriteAndRotate)
    }

    /// Writes what is staged and cuts what an earlier segment left behind it.
    pub(crate) fn trim(&self) -> Result<(), Error> {
        self.lead_alone(Task::WriteAndTrim)
    }

    /// Writes what is staged and makes sure that what failed before is cut off.
    pub(crate) fn clean(&self) -> Result<(), Error> {
        self.lead_alone(Task::WriteAndClean)
    }

    fn lead_alone(&self, task: Task) -> Result<(), Error> {
        let mut state = self.lock();
        while state.leading {
            state = self.wait(state);
        }
        self.lead(state, task).1
    }

    /// Waits until the group has an outcome, leading where nobody does.
    pub(crate) fn settle<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        group: &Group,
    ) -> Result<(), Error> {
        loop {
            if let Some(outcome) = group.outcome() {
                return outcome;
            }
            if state.leading {
                state = self.wait(state);
                continue;
            }
            state = self.gather(state);
            let (after, result) = self.lead(state, Task::Write);
            if group.outcome().is_none() {
                // Only where the log had been stopped before.
                return result.and_then(|()| Err(self.broken()));
            }
            state = after;
        }
    }

    pub(crate) fn record_length(&self, bytes: usize) -> Result<u32, Error> {
        let bytes_max = self.options.record_bytes_max;
        match u32::try_from(bytes) {
            Ok(length) if length <= bytes_max => Ok(length),
            _ => Err(Error::TooLarge { bytes, bytes_max }),
        }
    }

    /// The state, with room for one more record.
    pub(crate) fn room(&self) -> Result<MutexGuard<'_, State>, Error> {
        let mut state = self.lock();
        loop {
            state.check(&self.dir)?;
            if state.staged_bytes < self.options.pending_bytes_max {
                let staged_bytes = state.staged_bytes;
                state.pending.truncate(staged_bytes);
                return Ok(state);
            }
            if state.leading {
                state = self.wait(state);
            } else {
                let (after, result) = self.lead(state, Task::Write);
                result?;
                state = after;
            }
        }
    }

    /// Counts in the record that was just put into the pending buffer.
    pub(crate) fn staged(&self, state: &mut State) -> Ticket {
        let sequence = state.next_sequence;
        state.next_sequence += 1;
        state.staged_bytes = state.pending.len();
        if state.leading && state.staged_bytes >= self.options.pending_bytes_max {
            self.gathered.notify_all();
        }
        Ticket {
            sequence,
            group: Arc::clone(&state.group),
        }
    }

    /// Stops the log for good. What is staged fails at once and gives its numbers back, for nobody will write
    /// it; what is being written gets an outcome of its own.
    pub(crate) fn stop(&self, state: &mut State, error: &Error) {
        state.failed.get_or_insert_with(|| error.clone());
        let pending_first = state.pending_first;
        state.rewind(pending_first, error);
        self.settled.notify_all();
        self.gathered.notify_all();
    }

    /// Takes the lead and lets others stage for `commit_delay`.
    fn gather<'a>(&self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let delay = self.options.commit_delay;
        if delay.is_zero() {
            return state;
        }
        state.leading = true;
        let (mut state, _) = self
            .gathered
            .wait_timeout_while(state, delay, |state| {
                state.failed.is_none() && state.staged_bytes < self.options.pending_bytes_max
            })
            .unwrap_or_else(PoisonError::into_inner);
        state.leading = false;
        state
    }

    /// Writes everything staged as one group. Nobody else may be leading.
    fn lead<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        task: Task,
    ) -> (MutexGuard<'a, State>, Result<(), Error>) {
        if let Err(e) = state.check(&self.dir) {
            return (state, Err(e));
        }
        let staged_bytes = std::mem::take(&mut state.staged_bytes);
        if staged_bytes == 0 && task == Task::Write {
            return (state, Ok(()));
        }
        let spare = std::mem::take(&mut state.spare);
        let mut frames = std::mem::replace(&mut state.pending, spare);
        frames.truncate(staged_bytes);
        let group = std::mem::take(&mut state.group);
        let durable_end = state.durable_end;
        let group_end = state.next_sequence;
        state.pending_first = group_end;
        state.in_flight = Some(Arc::clone(&group));
        state.leading = true;
        drop(state);

        let mut leadership = Leadership {
            shared: self,
            done: false,
        };
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut written = Ok(());
        if !frames.is_empty() {
            written = writer.write(&mut frames, durable_end, group_end);
        }
        if let Err(WriteError::Refused(_)) = &written
            && let Err(e @ WriteError::Sync(_)) = writer.clean()
        {
            written = Err(e);
        }
        let rotated = match task {
            Task::WriteAndRotate if written.is_ok() => writer.rotate(group_end),
            Task::WriteAndTrim if written.is_ok() => writer.trim(),
            Task::WriteAndClean if written.is_ok() => writer.clean(),
            _ => Ok(()),
        };
        leadership.done = true;

        let mut state = self.lock();
        state.leading = false;
        state.in_flight = None;
        for segment in writer.take_changes() {
            match state.segments.back_mut() {
                Some(last) if last.id == segment.id => *last = segment,
                _ => state.segments.push_back(segment),
            }
        }
        drop(writer);
        frames.clear();
        if frames.capacity() <= SPARE_BYTES_MAX {
            state.spare = frames;
        }
        let stopped = match written.as_ref().and(rotated.as_ref()) {
            Err(WriteError::Sync(e)) => Some(e.clone()),
            _ => None,
        };
        let result = match written {
            Ok(()) => {
                state.durable_end = group_end;
                group.settle(Ok(()));
                rotated.map_err(WriteError::into_inner)
            }
            Err(e) => {
                let error = e.into_inner();
                group.settle(Err(error.clone()));
                let durable_end = state.durable_end;
                state.rewind(durable_end, &error);
                Err(error)
            }
        };
        if let Some(error) = stopped {
            self.stop(&mut state, &error);
        }
        self.settled.notify_all();
        (state, result)
    }
}

impl State {
    pub(crate) fn check(&self, dir: &Path) -> Result<(), Error> {
        match &self.failed {
            Some(e) => Err(Error::Failed {
                dir: dir.to_owned(),
                source: Arc::new(e.clone()),
            }),
            None => Ok(()),
        }
    }

    /// Fails what is staged; the numbers from `to` on are given out again.
    pub(crate) fn rewind(&mut self, to: Sequence, error: &Error) {
        std::mem::take(&mut self.group).settle(Err(error.clone()));
        self.pending.clear();
        self.staged_bytes = 0;
        self.pending_first = to;
        self.next_sequence = to;
    }
}

/// The lead, while the state is not locked. A leader that panics stops the log, so that nobody waits for ever.
struct Leadership<'a> {
    shared: &'a Shared,
    done: bool,
}

impl Drop for Leadership<'_> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let mut state = self.shared.lock();
        let error = self.shared.broken();
        state.leading = false;
        if let Some(group) = state.in_flight.take() {
            group.settle(Err(error.clone()));
        }
        let durable_end = state.durable_end;
        state.rewind(durable_end, &error);
        state.failed = Some(error);
        self.shared.settled.notify_all();
    }
}

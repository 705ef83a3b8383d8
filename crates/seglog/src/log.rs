//! The log: staging, group commit, and the segments in use.
//!
//! Two locks, taken in this order where both are: `writer`, held by the one leader while it writes and syncs,
//! and `state`, held only for memory work, so that staging goes on during a sync. Who wants a record
//! durable and finds no leader becomes it, takes everything staged, and wakes the others when done.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tandem_vfs::{DirLock, Vfs};

use crate::frame::{self, FrameHeader};
use crate::group::{Group, Ticket};
use crate::recovery::{self, Recovered};
use crate::segment::Segment;
use crate::writer::{WriteError, Writer};
use crate::{Error, Options, Reader, Recovery, Sequence, UserError, Visitor};

/// The largest staging buffer kept for the next group.
const SPARE_BYTES_MAX: usize = 4 << 20;

/// An open log. Clones are the same log; its directory stays locked until the last clone and the
/// last reader are gone. Records that were staged and never committed are lost then.
#[derive(Clone, Debug)]
pub struct Log {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) dir: PathBuf,
    options: Options,
    state: Mutex<State>,
    writer: Mutex<Writer>,
    /// Held while segments are removed.
    cutting: Mutex<()>,
    /// A group was settled, or the leader is gone.
    settled: Condvar,
    /// A leader that gathers has enough.
    gathered: Condvar,
    _lock: Box<dyn DirLock>,
}

#[derive(Debug)]
pub(crate) struct State {
    /// Staged frames, of which the first `staged_bytes` are whole.
    pending: Vec<u8>,
    staged_bytes: usize,
    /// The group of what is staged, and the number of its first record.
    group: Arc<Group>,
    pending_first: Sequence,
    /// The group that the leader is writing.
    in_flight: Option<Arc<Group>>,
    next_sequence: Sequence,
    pub(crate) durable_end: Sequence,
    /// Oldest first, never empty; the last one is written to.
    pub(crate) segments: VecDeque<Segment>,
    leading: bool,
    spare: Vec<u8>,
    /// What stopped the log for good: a failed sync, or a leader that panicked.
    failed: Option<Error>,
}

impl Log {
    /// Opens the log in `dir`, which is made if missing, and hands every record that survived to
    /// `visit`, in order. On `Ok` all of them are durable, as is the directory.
    ///
    /// The directory is locked ([`Vfs::lock_dir`]): it must not be one that the caller has locked already.
    ///
    /// # Errors
    /// [`Error::Locked`] when someone has it open; [`Error::Visit`] with the visitor's error;
    /// [`Error::Version`] and [`Error::Twins`] when the files ask for a decision; [`Error::Io`].
    /// Damage is no error: see [`Recovery::corruptions`].
    pub fn open(
        vfs: Arc<dyn Vfs>,
        dir: &Path,
        options: Options,
        visit: &mut Visitor<'_>,
    ) -> Result<(Log, Recovery), Error> {
        let lock = recovery::prepare_dir(&*vfs, dir)?;
        let Recovered {
            recovery,
            active,
            segments,
            next_sequence,
        } = recovery::recover(&*vfs, dir, &options, visit)?;
        let writer = Writer::new(Arc::clone(&vfs), dir.to_owned(), options.clone(), active);
        let log = Log {
            shared: Arc::new(Shared {
                vfs,
                dir: dir.to_owned(),
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
                writer: Mutex::new(writer),
                cutting: Mutex::new(()),
                settled: Condvar::new(),
                gathered: Condvar::new(),
                _lock: lock,
            }),
        };
        Ok((log, recovery))
    }

    /// Stages one record made of `parts`, end to end. It is not durable before [`Log::commit`].
    ///
    /// Cheap, unless `pending_bytes_max` is reached: then it writes what is staged, or waits for the one who does.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Failed`], and at `pending_bytes_max` whatever `commit` gives. Nothing was staged.
    pub fn append(&self, parts: &[&[u8]]) -> Result<Ticket, Error> {
        let bytes = parts.iter().map(|part| part.len()).sum();
        let length = self.shared.record_length(bytes)?;
        let record_crc = frame::record_crc(parts);
        let mut state = self.shared.room()?;
        let header = FrameHeader {
            length,
            sequence: state.next_sequence,
            durable_end: state.next_sequence,
            previous_crc: 0,
            record_crc,
        };
        state.pending.extend_from_slice(&header.encode(0));
        for part in parts {
            state.pending.extend_from_slice(part);
        }
        Ok(self.shared.staged(&mut state))
    }

    /// As [`Log::append`], with a record that `encode` puts behind what the buffer holds. It is told the number that
    /// the record will have, and must only add to the buffer. No other record is staged meanwhile.
    ///
    /// A number that is not above the one before means that records staged since have failed and
    /// their numbers are given out again: an encoder whose records build on one another checks this.
    ///
    /// # Errors
    /// [`Error::Encode`] with the encoder's own, and those of `append`. Nothing was staged. [`Error::Broken`] when
    /// the encoder removed what was not its own: all that was staged is lost.
    pub fn append_with(
        &self,
        encode: impl FnOnce(Sequence, &mut Vec<u8>) -> Result<(), UserError>,
    ) -> Result<Ticket, Error> {
        let mut state = self.shared.room()?;
        let sequence = state.next_sequence;
        let start = state.pending.len();
        let body = start + frame::HEADER_BYTES;
        state.pending.resize(body, 0);
        if let Err(e) = encode(sequence, &mut state.pending) {
            state.pending.truncate(start);
            return Err(Error::Encode { source: e.into() });
        }
        let Some(record) = state.pending.get(body..) else {
            let broken = self.shared.broken();
            let pending_first = state.pending_first;
            state.rewind(pending_first, &broken);
            self.shared.settled.notify_all();
            return Err(broken);
        };
        let record_crc = frame::record_crc(&[record]);
        let length = match self.shared.record_length(record.len()) {
            Ok(length) => length,
            Err(e) => {
                state.pending.truncate(start);
                return Err(e);
            }
        };
        let header = FrameHeader {
            length,
            sequence,
            durable_end: sequence,
            previous_crc: 0,
            record_crc,
        };
        if let Some(place) = state.pending.get_mut(start..body) {
            place.copy_from_slice(&header.encode(0));
        }
        Ok(self.shared.staged(&mut state))
    }

    /// Returns when the record is durable, and with it all before it. Whoever comes first writes for all that wait.
    ///
    /// # Errors
    /// Why the group of this record failed: it is not acknowledged, and may or may not be found after a crash.
    /// After [`Error::Io`] the log goes on (unless that was a sync; then every later call gives [`Error::Failed`]).
    pub fn commit(&self, ticket: &Ticket) -> Result<(), Error> {
        self.shared.settle(self.shared.lock(), &ticket.group)
    }

    /// Makes everything staged so far durable.
    ///
    /// # Errors
    /// As [`Log::commit`].
    pub fn commit_all(&self) -> Result<(), Error> {
        let state = self.shared.lock();
        let group = match &state.in_flight {
            Some(group) if state.staged_bytes == 0 => Arc::clone(group),
            None if state.staged_bytes == 0 => return state.check(&self.shared.dir),
            _ => Arc::clone(&state.group),
        };
        self.shared.settle(state, &group)
    }

    /// Writes what is staged and begins a new segment, unless the last one is empty. Then
    /// [`Log::cut_below`] the next sequence frees everything before.
    ///
    /// # Errors
    /// As [`Log::commit`].
    pub fn rotate(&self) -> Result<(), Error> {
        let mut state = self.shared.lock();
        while state.leading {
            state = self.shared.wait(state);
        }
        self.shared.lead(state, Task::WriteAndRotate).1
    }

    /// Removes the segments all of whose records are below `sequence`, oldest first, never the last one. On `Ok` they
    /// are gone for good; after a crash a segment may be back only if all younger ones are there too.
    ///
    /// # Errors
    /// [`Error::Io`]; the segments not yet removed stay, and a later call tries again.
    /// [`Error::Failed`] once a sync has failed.
    pub fn cut_below(&self, sequence: Sequence) -> Result<(), Error> {
        let shared = &*self.shared;
        let _cutting = shared
            .cutting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        loop {
            let mut state = shared.lock();
            state.check(&shared.dir)?;
            let Some(second) = state.segments.get(1) else {
                return Ok(());
            };
            if second.previous_end > sequence {
                return Ok(());
            }
            let Some(segment) = state.segments.pop_front() else {
                return Ok(());
            };
            drop(state);
            let path = segment.id.path(&shared.dir);
            if let Err(e) = shared.vfs.remove_file(&path)
                && e.kind() != std::io::ErrorKind::NotFound
            {
                shared.lock().segments.push_front(segment);
                return Err(Error::io("remove", &path, e));
            }
            // One by one: were two removals open at once, the younger alone might survive a crash.
            if let Err(e) = shared.vfs.sync_dir(&shared.dir) {
                let error = Error::io("sync", &shared.dir, e);
                let mut state = shared.lock();
                state.segments.push_front(segment);
                state.failed.get_or_insert(error.clone());
                return Err(error);
            }
        }
    }

    /// Follows the records from `from` on (or the first there is, if later), those already durable and those to come.
    #[must_use]
    pub fn reader(&self, from: Sequence) -> Reader {
        Reader::new(Arc::clone(&self.shared), from)
    }

    /// All records below this are durable.
    #[must_use]
    pub fn durable_end(&self) -> Sequence {
        self.shared.lock().durable_end
    }

    /// The number that the next staged record gets.
    #[must_use]
    pub fn next_sequence(&self) -> Sequence {
        self.shared.lock().next_sequence
    }

    /// The first record that is still there has this number, or a later one.
    #[must_use]
    pub fn first_sequence(&self) -> Sequence {
        let state = self.shared.lock();
        state.segments.front().map_or(0, |s| s.first_sequence)
    }

    /// Bytes in the segments, staged ones not included.
    #[must_use]
    pub fn bytes_total(&self) -> u64 {
        self.shared.lock().segments.iter().map(|s| s.bytes).sum()
    }

    /// How many segments there are; at least one.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.shared.lock().segments.len()
    }

    /// Why the log stopped for good, if it did.
    ///
    /// # Errors
    /// [`Error::Failed`] after a failed sync.
    pub fn check(&self) -> Result<(), Error> {
        self.shared.lock().check(&self.shared.dir)
    }
}

/// What a leader does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    Write,
    WriteAndRotate,
}

impl Shared {
    /// The state. A thread that panicked under this lock (in an encoder) left at most an unfinished frame, which
    /// [`Shared::room`] drops.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.settled
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn broken(&self) -> Error {
        Error::Broken {
            dir: self.dir.clone(),
        }
    }

    /// Waits until the group has an outcome, leading where nobody does.
    fn settle<'a>(&'a self, mut state: MutexGuard<'a, State>, group: &Group) -> Result<(), Error> {
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

    fn record_length(&self, bytes: usize) -> Result<u32, Error> {
        let bytes_max = self.options.record_bytes_max;
        match u32::try_from(bytes) {
            Ok(length) if length <= bytes_max => Ok(length),
            _ => Err(Error::TooLarge { bytes, bytes_max }),
        }
    }

    /// The state, with room for one more record.
    fn room(&self) -> Result<MutexGuard<'_, State>, Error> {
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
    fn staged(&self, state: &mut State) -> Ticket {
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
                state.staged_bytes < self.options.pending_bytes_max
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
            written = writer.write(&mut frames, durable_end);
        }
        let mut rotated = Ok(());
        if written.is_ok() && task == Task::WriteAndRotate {
            rotated = writer.rotate(group_end);
        }
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
        if let Err(WriteError::Sync(e)) = written.as_ref().and(rotated.as_ref()) {
            state.failed = Some(e.clone());
        }
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
        self.settled.notify_all();
        (state, result)
    }
}

impl State {
    fn check(&self, dir: &Path) -> Result<(), Error> {
        match &self.failed {
            Some(e) => Err(Error::Failed {
                dir: dir.to_owned(),
                source: Arc::new(e.clone()),
            }),
            None => Ok(()),
        }
    }

    /// Fails what is staged; the numbers from `to` on are given out again.
    fn rewind(&mut self, to: Sequence, error: &Error) {
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

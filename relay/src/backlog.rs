//! Hints in a log, and the cursor below which all of them are passed.
//!
//! A backend has one for what it did not confirm, and further ones for databases that it refuses
//! (`held`). What always holds: a hint is counted in its lanes before anyone can see it as durable,
//! and until the durable cursor of the backlog that holds it last has passed it. One that failed is counted until it is
//! certain that no start finds it (`doubt`).

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tandem_http::Answer;
use tandem_seglog::{Cursor, Log, Options, Reader, Recovery, Sequence};
use tandem_vfs::Vfs;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use tracing::error;

use crate::doubt;
use crate::hint::{self, Record};
use crate::lane::Lanes;
use crate::marks::{Marks, Settle};
use crate::queue::QueueError;
use crate::scope::{Kind, Scope};

/// Segments of a log; smaller ones where the log's bound is small.
const SEGMENT_BYTES_MAX: u64 = 16 << 20;
/// Longer than any batch: bodies have their own bounds.
const RECORD_BYTES_MAX: u32 = 1 << 30;
/// So much that is passed may stay on disk while hints wait: giving space back keeps a disk busy, by its journal and by
/// discards, and the sync of a hint would wait for that.
const PASSED_BYTES_MAX: u64 = 512 << 20;
/// A drained log that is larger than this gets a new, empty segment.
const IDLE_BYTES_MAX: u64 = 1 << 20;

/// How a log of a queue with this bound is kept.
pub(crate) fn options(bytes_max: u64, first_sequence: Sequence) -> Options {
    Options {
        segment_bytes_max: SEGMENT_BYTES_MAX.min(bytes_max / 8),
        record_bytes_max: RECORD_BYTES_MAX,
        first_sequence,
        ..Options::default()
    }
}

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Backlog {
    /// As it was given when the cursor was made.
    pub(crate) note: String,
    /// Lanes of the hints that were found at the start.
    pub(crate) lanes_recovered: u64,
    log: Log,
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    cursor: Mutex<Cursor>,
    /// What failed hints touch that a later start may find.
    doubts: Mutex<Vec<Scope>>,
    lanes: Arc<Lanes>,
    marks: Mutex<Marks>,
    /// Something changed that the drainer may wait for.
    wake: Notify,
    bytes_max: u64,
    /// Bytes that the drainer is asked to drop, oldest first.
    drop_bytes: AtomicU64,
    /// It, or its disk, is so full that nobody is spared and nothing stays that is passed.
    is_tight: AtomicBool,
    batches: AtomicU64,
    bytes: AtomicU64,
    /// Time of receipt of the oldest hint; 0 without one.
    head_received_ns: AtomicU64,
}

/// A hint that needs no more dealing with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passed {
    pub(crate) sequence: Sequence,
    /// `None` when another backlog has it now, and its lanes with it.
    pub(crate) scope: Option<Scope>,
    pub(crate) bytes: u64,
}

/// A hint that has its place in the log, durable or not.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Staged {
    pub(crate) sequence: Sequence,
    pub(crate) staging: u64,
    pub(crate) bytes: u64,
}

/// What is opened, and how.
#[derive(Clone, Copy)]
pub(crate) struct Opening<'a> {
    pub(crate) name: &'a str,
    /// Of the queue; stands in the cursor.
    pub(crate) id: &'a str,
    /// Stands behind it when the cursor is made.
    pub(crate) note: &'a str,
    pub(crate) bytes_max: u64,
    pub(crate) now_ns: i64,
    /// A hint whose live write had begun is not sent before this has passed since.
    pub(crate) write_timeout: Duration,
}

impl Backlog {
    /// Opens `hints/` and `cursor` in `dir`, which must be there, and marks the lanes of the hints
    /// as spilled. Blocks.
    pub(crate) fn open(
        vfs: &Arc<dyn Vfs>,
        dir: &Path,
        opening: Opening<'_>,
        lanes: Arc<Lanes>,
    ) -> Result<(Self, Recovery), QueueError> {
        let mut cursor = Cursor::open(&**vfs, &dir.join("cursor"))?;
        if cursor.payload().is_empty() {
            let mut payload = [opening.id, opening.note].concat().into_bytes();
            payload.truncate(Cursor::PAYLOAD_BYTES_MAX);
            cursor.store_with(cursor.value(), &payload)?;
        } else if !cursor.payload().starts_with(opening.id.as_bytes()) {
            return Err(QueueError::Foreign {
                dir: dir.to_owned(),
                id: opening.id.to_owned(),
                cursor: String::from_utf8_lossy(cursor.payload()).into_owned(),
            });
        }
        let from = cursor.value().max(1);
        let note = cursor.payload().get(opening.id.len()..).unwrap_or_default();
        let note = String::from_utf8_lossy(note).into_owned();
        let void_from = doubt::void_from(&**vfs, dir)?;
        let mut void = Vec::new();
        let mut marks = Marks::default();
        let mut lanes_seen = 0;
        let (mut batches, mut bytes, mut head_received_ns) = (0, 0, 0);
        let mut visit = |sequence: Sequence, record: &[u8]| {
            if sequence < from {
                return Ok(());
            }
            match hint::decode(record) {
                Ok(Record::Hint { head, sent, .. }) => {
                    lanes.recovered(head.scope);
                    // A statement has no lanes, and stands before all of its database.
                    lanes_seen |= match head.scope.kind {
                        Kind::Write => head.scope.lanes,
                        Kind::Make | Kind::Destroy => u64::MAX,
                    };
                    if batches == 0 {
                        head_received_ns = u64::try_from(head.received_ns).unwrap_or(0);
                    }
                    batches += 1;
                    bytes += record.len() as u64;
                    if void_from.is_some_and(|from| sequence >= from) {
                        void.push(sequence);
                    } else if sent {
                        let since = opening.now_ns.saturating_sub(head.received_ns);
                        let since = Duration::from_nanos(u64::try_from(since).unwrap_or(0));
                        let wait = opening.write_timeout.saturating_sub(since);
                        marks.recovered(sequence, Instant::now() + wait);
                    }
                }
                Ok(Record::Cancel(cancelled)) if cancelled >= from => {
                    marks.cancel(cancelled, false);
                }
                Ok(Record::Cancel(_)) => {}
                Err(e) => {
                    error!(backend = opening.name, sequence, error = %e, "a record is skipped");
                }
            }
            Ok(())
        };
        let (log, recovery) = Log::open(
            vfs.clone(),
            &dir.join("hints"),
            options(opening.bytes_max, from),
            &mut visit,
        )?;
        if let Some(from) = void_from {
            for sequence in void {
                log.append(&[&hint::encode_cancel(sequence)])?;
                marks.cancel(sequence, true);
            }
            log.commit_all()?;
            doubt::take_back(&**vfs, dir, from)?;
        }
        let backlog = Self {
            note,
            lanes_recovered: lanes_seen,
            log,
            vfs: vfs.clone(),
            dir: dir.to_owned(),
            cursor: Mutex::new(cursor),
            doubts: Mutex::default(),
            lanes,
            marks: Mutex::new(marks),
            wake: Notify::new(),
            bytes_max: opening.bytes_max,
            drop_bytes: AtomicU64::new(0),
            is_tight: AtomicBool::new(false),
            batches: AtomicU64::new(batches),
            bytes: AtomicU64::new(bytes),
            head_received_ns: AtomicU64::new(head_received_ns),
        };
        backlog.look_for_room(backlog.log.bytes_total());
        Ok((backlog, recovery))
    }

    /// Stages a hint that `encode` writes. `staged` is called as soon as it has its place, before
    /// anyone can make it durable. Then [`Backlog::commit`]. The error says whether `staged` was called.
    pub(crate) fn stage(
        &self,
        settle: Settle,
        encode: impl FnOnce(&mut Vec<u8>),
        staged: impl FnOnce(Sequence),
    ) -> Result<(Staged, tandem_seglog::Ticket), (tandem_seglog::Error, bool)> {
        let mut place = Staged::default();
        let mut has_place = false;
        let appended = self.log.append_with(|sequence, out| {
            let start = out.len();
            encode(out);
            // Counted in here: once the record is staged, another's commit may make it durable.
            let staging = self.marks().staged(sequence, settle);
            let bytes = (out.len() - start) as u64;
            self.batches.fetch_add(1, Ordering::Relaxed);
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
            staged(sequence);
            has_place = true;
            place = Staged {
                sequence,
                staging,
                bytes,
            };
            Ok(())
        });
        match appended {
            Ok(ticket) => Ok((place, ticket)),
            Err(error) => {
                if has_place {
                    self.unstaged(&place);
                }
                Err((error, has_place))
            }
        }
    }

    /// Makes a staged hint durable. On an error it does not count any more, but for its lanes; and while a later start
    /// may find it, what it touches is spilled.
    pub(crate) fn commit(
        &self,
        staged: &Staged,
        scope: Scope,
        ticket: &tandem_seglog::Ticket,
    ) -> Result<(), tandem_seglog::Error> {
        match self.log.commit(ticket) {
            Ok(()) => {
                self.wake.notify_one();
                Ok(())
            }
            Err(error) => {
                self.unstaged(staged);
                // Maybe the disk is full: then what is passed must not stay, though the drainer may have nothing to do.
                self.is_tight.store(true, Ordering::Relaxed);
                let passed = self.lock_cursor().value();
                let _ = self.log.cut_below(passed);
                self.lanes.recovered(scope);
                self.lock_doubts().push(scope);
                self.settle_doubts();
                self.wake.notify_one();
                Err(error)
            }
        }
    }

    /// Whether a later start may find hints that failed.
    pub(crate) fn has_doubts(&self) -> bool {
        !self.lock_doubts().is_empty()
    }

    /// Sees to it that no later start finds hints that failed; false when that has to be tried again. Blocks.
    pub(crate) fn settle_doubts(&self) -> bool {
        let mut doubts = self.lock_doubts();
        if doubts.is_empty() {
            return true;
        }
        let settled = match self.log.settle_end() {
            Err(tandem_seglog::Error::Failed { .. }) => {
                let durable_end = self.log.durable_end();
                doubt::declare_void(&*self.vfs, &self.dir, durable_end)
            }
            settled => settled,
        };
        if let Err(error) = &settled {
            error!(%error, "a batch that failed may come to light after a restart; its series wait");
            return false;
        }
        self.lanes.drained(doubts.drain(..));
        true
    }

    fn unstaged(&self, staged: &Staged) {
        self.marks().unstaged(staged.sequence, staged.staging);
        self.count_off(staged.bytes);
    }

    /// See [`Marks::settle`].
    pub(crate) fn settle(&self, sequence: Sequence, settle: Settle) {
        self.marks().settle(sequence, settle);
        self.wake.notify_one();
    }

    /// Takes a hint back: it is not sent. Durable on `Ok`. Blocks.
    ///
    /// Unless its live write has `landed`, that still has to settle before the hint is passed:
    /// until then it is in the way of whatever has to follow it.
    pub(crate) fn cancel(
        &self,
        sequence: Sequence,
        landed: bool,
    ) -> Result<(), tandem_seglog::Error> {
        self.marks().cancel(sequence, landed);
        self.wake.notify_one();
        let ticket = self.log.append(&[&hint::encode_cancel(sequence)])?;
        self.log.commit(&ticket)?;
        self.wake.notify_one();
        Ok(())
    }

    /// See [`Marks::due`].
    pub(crate) fn due(&self, sequence: Sequence) -> (Settle, bool) {
        self.marks().due(sequence)
    }

    /// See [`Marks::expects`].
    pub(crate) fn expects(&self, sequence: Sequence, result: oneshot::Sender<Answer>) {
        self.marks().expects(sequence, result);
    }

    /// See [`Marks::take_expectation`].
    pub(crate) fn take_expectation(&self, sequence: Sequence) -> Option<oneshot::Sender<Answer>> {
        self.marks().take_expectation(sequence)
    }

    /// See [`Marks::answered`].
    pub(crate) fn answered(&self, sequence: Sequence, answer: Answer) {
        self.marks().answered(sequence, answer);
    }

    /// Whether no live write of a hint is under way, nor may be applied late.
    pub(crate) fn all_are_settled(&self) -> bool {
        self.marks().all_are_settled()
    }

    /// Waits for a hint, a settling, a cancel or a wish to drop after the last call.
    pub(crate) async fn changed(&self) {
        self.wake.notified().await;
    }

    /// Reads the hints that the cursor has not passed.
    pub(crate) fn reader(&self) -> Reader {
        let from = self.lock_cursor().value().max(1);
        self.log.reader(from)
    }

    /// True when nothing durable is left at or above `next`.
    pub(crate) fn is_drained(&self, next: Sequence) -> bool {
        self.log.durable_end() <= next
    }

    /// Moves the cursor to `next`: all hints below are passed; `passed` are those since the last
    /// call. Then, and only when that is durable, their lanes may be live again. Blocks.
    ///
    /// A cursor whose sync failed takes no more; a new one takes its place, or nothing would be live before the
    /// next start.
    pub(crate) fn advance(
        &self,
        next: Sequence,
        passed: &[Passed],
    ) -> Result<(), tandem_seglog::Error> {
        let mut cursor = self.lock_cursor();
        match cursor.store(next) {
            Err(tandem_seglog::Error::Failed { .. }) => cursor.store_anew(&*self.vfs, next)?,
            stored => stored?,
        }
        drop(cursor);
        let mut marks = self.marks();
        for hint in passed {
            marks.forget(hint.sequence);
        }
        drop(marks);
        for hint in passed {
            self.count_off(hint.bytes);
        }
        self.lanes
            .drained(passed.iter().filter_map(|hint| hint.scope));
        Ok(())
    }

    /// Gives back the space of what lies below `next`, which the cursor has passed: all of it when nothing waits or room
    /// is tight, otherwise what is more than may stay. Blocks.
    pub(crate) fn tidy(&self, next: Sequence) -> Result<(), tandem_seglog::Error> {
        let total = self.log.bytes_total();
        let is_tight = self.look_for_room(total);
        if self.is_drained(next) {
            if total > IDLE_BYTES_MAX.min(self.bytes_max / 8) {
                self.log.rotate()?;
            }
        } else {
            let passed = total.saturating_sub(self.bytes.load(Ordering::Relaxed));
            if !is_tight && passed <= PASSED_BYTES_MAX {
                return Ok(());
            }
        }
        self.log.cut_below(next)
    }

    /// Finds out whether room is tight: the log is half full, or its disk has less free than may stay of what is
    /// passed.
    fn look_for_room(&self, total: u64) -> bool {
        let free = self.vfs.available_bytes(&self.dir).unwrap_or(0);
        let is_tight = total > self.bytes_max / 2 || free < PASSED_BYTES_MAX;
        self.is_tight.store(is_tight, Ordering::Relaxed);
        is_tight
    }

    /// Whether room is tight, as far as is known.
    pub(crate) fn is_tight(&self) -> bool {
        self.is_tight.load(Ordering::Relaxed)
    }

    /// Asks the drainer to drop so much that at least one segment is cut, unless it has been asked already.
    pub(crate) fn ask_for_room(&self) {
        let bytes = SEGMENT_BYTES_MAX.min(self.bytes_max / 8) * 2;
        let asked = |owed: u64| (owed == 0).then_some(bytes);
        let _ = self
            .drop_bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, asked);
        self.wake.notify_one();
    }

    /// What the drainer is asked to drop.
    pub(crate) fn bytes_to_drop(&self) -> u64 {
        self.drop_bytes.load(Ordering::Relaxed)
    }

    /// Nobody needs the room any more.
    pub(crate) fn has_room_again(&self) {
        self.drop_bytes.store(0, Ordering::Relaxed);
    }

    /// The drainer has dropped so much.
    pub(crate) fn dropped(&self, bytes: u64) {
        let less = |owed: u64| Some(owed.saturating_sub(bytes));
        let _ = self
            .drop_bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// The oldest hint was received then.
    pub(crate) fn head_received(&self, received_ns: i64) {
        let received_ns = u64::try_from(received_ns).unwrap_or(0);
        self.head_received_ns.store(received_ns, Ordering::Relaxed);
    }

    /// When the oldest hint was received; 0 without one.
    pub(crate) fn head_received_ns(&self) -> u64 {
        match self.batches.load(Ordering::Relaxed) {
            0 => 0,
            _ => self.head_received_ns.load(Ordering::Relaxed),
        }
    }

    /// Hints behind the cursor, and bytes of them.
    pub(crate) fn pending(&self) -> (u64, u64) {
        (
            self.batches.load(Ordering::Relaxed),
            self.bytes.load(Ordering::Relaxed),
        )
    }

    /// Why the log takes no more, if it does not.
    pub(crate) fn check(&self) -> Result<(), tandem_seglog::Error> {
        self.log.check()
    }

    /// Bytes on disk.
    pub(crate) fn bytes_total(&self) -> u64 {
        self.log.bytes_total()
    }

    fn count_off(&self, bytes: u64) {
        self.batches.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn marks(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_doubts(&self) -> MutexGuard<'_, Vec<Scope>> {
        self.doubts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_cursor(&self) -> MutexGuard<'_, Cursor> {
        self.cursor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

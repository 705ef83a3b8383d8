//! The catalog itself: opening, the one way in which it changes, compaction.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tandem_seglog::{Log, Options as LogOptions, Sequence, UserError};
use tandem_vfs::Vfs;

use crate::entry::Kind;
use crate::error::CatalogError;
use crate::options::Options;
use crate::place::Place;
use crate::record::{self, Edit, Op};
use crate::report::{OpenReport, ViewFound};
use crate::state::{State, entry_bytes};
use crate::users::User;
use crate::view::{Misfit, View};

/// A segment of the log; a snapshot longer than this has one of its own.
const SEGMENT_BYTES_MAX: u64 = 4 << 20;
/// A segment without a record: its header.
const SEGMENT_BYTES_MIN: u64 = 48;
/// The log is compacted when it is this many times as long as the entries.
const LOG_FACTOR: u64 = 4;

/// Users, grants, continuous queries and subscriptions, durable.
///
/// Safe to share between threads. Questions are answered from memory or by a short read; an operation
/// takes an fsync, one after another.
#[derive(Debug)]
pub struct Catalog {
    options: Options,
    writer: Mutex<Writer>,
    view: View,
    users: AtomicUsize,
    admins: AtomicUsize,
    /// Set when the view missed an operation.
    stopped: AtomicBool,
    report: OpenReport,
}

/// What an operation needs to itself.
pub(crate) struct Writer {
    log: Log,
    /// Where the log is.
    place: Place,
    /// The last record says nothing, so damage to those before it cannot pass for a torn end.
    is_proven: bool,
    /// Of all entries.
    bytes: u64,
}

impl Writer {
    /// Makes a record durable.
    fn write(&mut self, record: &[u8]) -> Result<Place, tandem_seglog::Error> {
        let ticket = self.log.append(&[record])?;
        self.log.commit(&ticket)?;
        self.place = self.place.after(ticket.sequence(), record);
        self.is_proven = record.is_empty();
        Ok(self.place)
    }
}

impl Catalog {
    /// Opens the catalog whose log is in `dir/log`, through `vfs`; directories are made if missing. The view is in
    /// `view_dir`, which is reached as sled does, around `vfs`, with a file `view.seal` beside it: normally
    /// `dir/view`.
    ///
    /// # Errors
    /// [`CatalogError::Damaged`] with the name of the file when the log has lost operations, and
    /// [`CatalogError::Shortened`] when it has lost its end or is gone and the view tells;
    /// [`CatalogError::Log`] when it is in use or cannot be read; [`CatalogError::Record`]; and when the
    /// view cannot be made.
    pub fn open(
        vfs: Arc<dyn Vfs>,
        dir: &Path,
        view_dir: &Path,
        options: Options,
    ) -> Result<Self, CatalogError> {
        let log_dir = dir.join("log");
        // The view is made when the log's first segment is durable.
        if view_dir.exists() && !holds_segment(&*vfs, &log_dir) {
            return Err(CatalogError::Shortened {
                dir: dir.to_owned(),
                last: 0,
                known: None,
            });
        }
        let mut state = State::default();
        let mut unknown = None;
        let mut visit = |sequence: Sequence, record: &[u8]| -> Result<(), UserError> {
            let op = Op::decode(record).map_err(|_| {
                unknown = Some(sequence);
                UserError::from("it means nothing")
            })?;
            state.apply(sequence, record, op);
            Ok(())
        };
        let opened = Log::open(vfs, &log_dir, log_options(&options), &mut visit);
        if let Some(sequence) = unknown {
            return Err(CatalogError::Record {
                dir: log_dir,
                sequence,
            });
        }
        let (log, recovery) = opened.map_err(log_error("open the log"))?;
        let next = log.next_sequence();
        let is_whole = state.is_whole(next, &recovery.corruptions);
        let is_proven = state.is_proven || next == 1;
        let place = Place {
            last: next.saturating_sub(1),
            chain: state.place.chain,
        };
        let (view, found) = match View::open(view_dir, place, !is_whole)? {
            Ok(view) => (view, ViewFound::Fits),
            Err(_) if !is_whole => {
                return Err(CatalogError::Damaged {
                    dir: dir.to_owned(),
                    corruptions: recovery.corruptions,
                });
            }
            Err(Misfit::Later(known)) => {
                return Err(CatalogError::Shortened {
                    dir: dir.to_owned(),
                    last: place.last,
                    known: Some(known),
                });
            }
            Err(Misfit::Rebuild(found)) => (View::build(view_dir, place, &state.entries)?, found),
        };
        drop(state);
        // Of a log with holes, the view alone knows what was said.
        let place = view.place()?.unwrap_or(place);
        let catalog = Self {
            writer: Mutex::new(Writer {
                log,
                place,
                is_proven,
                bytes: 0,
            }),
            view,
            users: AtomicUsize::new(0),
            admins: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            report: OpenReport {
                records: recovery.records,
                view: found,
                corruptions: recovery.corruptions,
                healed: !is_whole,
            },
            options,
        };
        {
            let mut writer = catalog.writer();
            for entry in catalog.view.scan(&[])? {
                let (key, value) = entry?;
                writer.bytes += entry_bytes(&key, &value);
            }
            if !is_whole {
                catalog
                    .compact(&mut writer)
                    .map_err(log_error("mend the log"))?;
            }
        }
        catalog.count_users()?;
        Ok(catalog)
    }

    /// What opening found.
    #[must_use]
    pub fn report(&self) -> &OpenReport {
        &self.report
    }

    /// How many users there are.
    #[must_use]
    pub fn user_count(&self) -> usize {
        self.users.load(Ordering::Acquire)
    }

    /// Whether one of them may do everything.
    #[must_use]
    pub fn admin_exists(&self) -> bool {
        self.admins.load(Ordering::Acquire) > 0
    }

    /// Bytes of the log, for statistics.
    #[must_use]
    pub fn log_bytes(&self) -> u64 {
        self.writer().log.bytes_total()
    }

    /// Where `dir` has its view when nobody says otherwise.
    #[must_use]
    pub fn view_dir(dir: &Path) -> PathBuf {
        dir.join("view")
    }

    pub(crate) fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The view, unless it missed an operation.
    pub(crate) fn view(&self) -> Result<&View, CatalogError> {
        if self.stopped.load(Ordering::Acquire) {
            return Err(CatalogError::Stopped);
        }
        Ok(&self.view)
    }

    /// Refuses a name that is too long.
    pub(crate) fn check_name(&self, what: &'static str, name: &str) -> Result<(), CatalogError> {
        check_bytes(what, name.len(), self.options.name_bytes_max)
    }

    /// Refuses a text that is too long.
    pub(crate) fn check_text(&self, what: &'static str, bytes: usize) -> Result<(), CatalogError> {
        check_bytes(what, bytes, self.options.text_bytes_max)
    }

    /// The number that the next operation will have.
    pub(crate) fn next(&self, writer: &Writer) -> Sequence {
        writer.log.next_sequence()
    }

    /// Makes an operation durable, then seen. An empty one does nothing.
    pub(crate) fn commit(&self, writer: &mut Writer, op: &Op) -> Result<(), CatalogError> {
        if op.is_empty() {
            return Ok(());
        }
        let view = self.view()?;
        let (mut added, mut removed) = (0, 0);
        for edit in &op.edits {
            let (Edit::Put(key, _) | Edit::Remove(key)) = edit else {
                continue;
            };
            if let Some(old) = view.get(key)? {
                removed += entry_bytes(key, &old);
            }
            if let Edit::Put(key, value) = edit {
                added += entry_bytes(key, value);
            }
        }
        let bytes = (writer.bytes + added).saturating_sub(removed);
        let bytes_max = self.options.state_bytes_max;
        if bytes > bytes_max && added > removed {
            return Err(CatalogError::Full { bytes_max });
        }
        let record = op.encode();
        let place = writer
            .write(&record)
            .map_err(log_error("write to the log"))?;
        if let Err(error) = view.apply(place, op) {
            self.stopped.store(true, Ordering::Release);
            return Err(error);
        }
        writer.bytes = bytes;
        if op.edits.iter().any(is_about_users) {
            self.count_users()?;
        }
        self.compact_when_due(writer);
        Ok(())
    }

    /// A log that cannot be compacted (a full disk) is only longer than it need be; the next operation
    /// tries again.
    fn compact_when_due(&self, writer: &mut Writer) {
        let due = self.options.log_bytes_min.max(writer.bytes * LOG_FACTOR);
        if writer.log.bytes_total() > due {
            let _ = self.compact(writer);
        }
    }

    /// Writes everything anew as one record, and frees what was before it.
    fn compact(&self, writer: &mut Writer) -> Result<(), tandem_seglog::Error> {
        let unreadable = |error: CatalogError| tandem_seglog::Error::Encode {
            source: Arc::new(error),
        };
        let mut entries = Vec::new();
        for entry in self.view.scan(&[]).map_err(unreadable)? {
            entries.push(entry.map_err(unreadable)?);
        }
        let snapshot = record::snapshot(entries.into_iter());
        writer.log.rotate()?;
        let place = writer.write(&snapshot)?;
        if let Err(error) = self.view.apply(place, &Op::default()) {
            self.stopped.store(true, Ordering::Release);
            return Err(unreadable(error));
        }
        self.prove(writer)?;
        writer.log.cut_below(place.last)
    }

    /// Writes a record without edits behind the last one. The log tells damage from a torn end by what
    /// later records prove, and the last record has none: after this one, damage to it would be
    /// reported instead of taken for an operation that never came to be.
    fn prove(&self, writer: &mut Writer) -> Result<(), tandem_seglog::Error> {
        if writer.is_proven || self.stopped.load(Ordering::Acquire) {
            return Ok(());
        }
        let place = writer.write(&[])?;
        if let Err(error) = self.view.apply(place, &Op::default()) {
            self.stopped.store(true, Ordering::Release);
            return Err(tandem_seglog::Error::Encode {
                source: Arc::new(error),
            });
        }
        Ok(())
    }

    fn count_users(&self) -> Result<(), CatalogError> {
        let (mut users, mut admins) = (0, 0);
        for entry in self.view.scan(&Kind::User.key(&[]))? {
            let (key, value) = entry?;
            let user = User::decode(&key, &value).map_err(|_| self.view.malformed())?;
            users += 1;
            admins += usize::from(user.admin);
        }
        self.users.store(users, Ordering::Release);
        self.admins.store(admins, Ordering::Release);
        Ok(())
    }
}

impl fmt::Debug for Writer {
    /// Not the log: its buffer may hold a record.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl Drop for Catalog {
    fn drop(&mut self) {
        // Nothing acknowledged depends on it.
        let _ = self.prove(&mut self.writer());
    }
}

/// Whether the log has a segment, which is there from the first start on.
fn holds_segment(vfs: &dyn Vfs, dir: &Path) -> bool {
    let names = vfs.read_dir(dir).unwrap_or_default();
    let holds = |name: &String| {
        let opened = vfs.open_read(&dir.join(name)).and_then(|file| file.len());
        // Of what cannot be opened the log tells.
        opened.map_or(true, |bytes| bytes >= SEGMENT_BYTES_MIN)
    };
    names.iter().filter(|n| n.ends_with(".seg")).any(holds)
}

fn is_about_users(edit: &Edit) -> bool {
    match edit {
        Edit::Put(key, _) | Edit::Remove(key) => key.first() == Some(&(Kind::User as u8)),
        Edit::Clear => true,
    }
}

fn check_bytes(what: &'static str, bytes: usize, bytes_max: usize) -> Result<(), CatalogError> {
    if bytes > bytes_max {
        return Err(CatalogError::TooLong {
            what,
            bytes,
            bytes_max,
        });
    }
    Ok(())
}

fn log_options(options: &Options) -> LogOptions {
    // A snapshot has a byte of its own before each entry.
    let snapshot_bytes_max = options
        .state_bytes_max
        .saturating_mul(2)
        .saturating_add(1 << 20);
    let record_bytes_max = u32::try_from(snapshot_bytes_max).unwrap_or(u32::MAX);
    LogOptions {
        segment_bytes_max: SEGMENT_BYTES_MAX,
        record_bytes_max,
        pending_bytes_max: usize::try_from(record_bytes_max).unwrap_or(usize::MAX),
        ..LogOptions::default()
    }
}

fn log_error(action: &'static str) -> impl FnOnce(tandem_seglog::Error) -> CatalogError {
    move |source| CatalogError::Log { action, source }
}

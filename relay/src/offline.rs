//! Queues on disk as a tool sees them: what waits, for whom and why; and dead letters on their way
//! back.
//!
//! Everything but [`requeue`] and [`bury`] only reads, without a lock, so it works beside a running
//! relay; what it sees of a log that is being written is a moment of it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tandem_http::{Client, ClientConfig, Url, gunzip};
use tandem_seglog::{Cursor, Options, Sequence, UserError, peek};
use tandem_vfs::Vfs;

use crate::backlog::options;
use crate::batch::{Head, Target};
use crate::config::{Config, Overflow};
use crate::dead;
use crate::gap::{self, Gap};
use crate::hint::{self, Record};
use crate::lane::Lanes;
use crate::marks::Settle;
use crate::queue::{Bounds, Queue, QueueError, check_name};

/// Why a batch that an operator buried is a dead letter.
const BURIED: &str = "buried by an operator while it was held";
/// A gzip body is shown up to here.
const INFLATED_BYTES_MAX: usize = 256 << 20;

/// A part of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What the backend did not confirm.
    Hints,
    /// What it refuses until an operator mends something.
    Held,
    /// What it refused for good.
    Dead,
}

/// A batch in a queue.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// Where it is.
    pub part: Part,
    /// Its number there.
    pub sequence: u64,
    /// The database that its request names.
    pub database: String,
    /// The retention policy; empty for the default one.
    pub retention_policy: String,
    /// The unit of its times, as its request names it.
    pub precision: String,
    /// Who sent it, as its credentials name them; `None` without credentials, or with such as name nobody.
    pub user: Option<String>,
    /// Lines in it.
    pub lines: u64,
    /// When it was received, in nanoseconds since 1970.
    pub received_ns: i64,
    /// What the backend said, of a dead letter.
    pub reason: Option<String>,
    /// Bytes of its record.
    pub bytes: u64,
    head: Head,
    body: Bytes,
}

/// A queue at one moment.
#[derive(Clone, Debug, Default)]
pub struct QueueSummary {
    /// The backend's name.
    pub name: String,
    /// Batches and bytes by part: hints, held, dead.
    pub parts: [(u64, u64); 3],
    /// The oldest receipt of a batch that waits, in nanoseconds since 1970.
    pub oldest_ns: Option<i64>,
    /// Databases of which something is held.
    pub held: Vec<String>,
    /// What the backend will never get.
    pub gaps: Vec<Gap>,
    /// Damaged places and records that cannot be read.
    pub faults: Vec<String>,
}

/// How a replay went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Batches that were stored.
    pub stored: u64,
    /// What was refused: number and answer.
    pub refused: Vec<(u64, String)>,
}

impl Waiting {
    /// The lines, inflated; a body that is no line protocol comes as it is.
    #[must_use]
    pub fn text(&self) -> Bytes {
        if self.head.gzip
            && let Ok(plain) = gunzip(std::slice::from_ref(&self.body), INFLATED_BYTES_MAX)
        {
            return plain.into();
        }
        self.body.clone()
    }

    /// True when the body is lines, not a statement or another protocol's bytes.
    #[must_use]
    pub fn is_lines(&self) -> bool {
        self.head.target == Target::Write
    }
}

/// The names of the queues in a relay's directory.
///
/// # Errors
/// [`QueueError::Io`] when it cannot be read.
pub fn names(vfs: &dyn Vfs, data_dir: &Path) -> Result<Vec<String>, QueueError> {
    let found = vfs.read_dir(data_dir).map_err(|source| QueueError::Io {
        action: "read",
        path: data_dir.to_owned(),
        source,
    })?;
    let is_queue = |name: &String| vfs.exists(&data_dir.join(name).join("id"));
    let mut names: Vec<String> = found.into_iter().filter(is_queue).collect();
    names.sort();
    Ok(names)
}

/// Looks through a whole queue, every checksum included.
///
/// # Errors
/// [`QueueError`] where it cannot be read at all; damage is among the faults.
pub fn summary(vfs: &dyn Vfs, data_dir: &Path, name: &str) -> Result<QueueSummary, QueueError> {
    check_name(name)?;
    let mut summary = QueueSummary {
        name: name.to_owned(),
        ..QueueSummary::default()
    };
    let mut faults = Vec::new();
    let all = [Part::Hints, Part::Held, Part::Dead];
    visit(vfs, data_dir, name, &all, &mut faults, &mut |waiting| {
        let (batches, bytes) = &mut summary.parts[waiting.part as usize];
        *batches += 1;
        *bytes += waiting.bytes;
        if waiting.part != Part::Dead {
            let oldest = summary.oldest_ns.unwrap_or(i64::MAX);
            summary.oldest_ns = Some(oldest.min(waiting.received_ns));
        }
        if waiting.part == Part::Held && !summary.held.contains(&waiting.database) {
            summary.held.push(waiting.database);
        }
    })?;
    let dir = data_dir.join(name).join("gaps");
    if vfs.exists(&dir) {
        let gaps = &mut summary.gaps;
        let mut read =
            |_: Sequence, record: &[u8]| -> Result<(), UserError> { Ok(gap::visit(record, gaps)?) };
        let found = peek(vfs, &dir, &Options::default(), &mut read)?;
        faults.extend(found.recovery.corruptions.iter().map(|c| format!("{c:?}")));
    }
    summary.faults = faults;
    Ok(summary)
}

/// Hands each batch that waits to `each`, in order; damage goes to `faults`.
///
/// # Errors
/// [`QueueError`] where a log cannot be read at all.
pub fn visit(
    vfs: &dyn Vfs,
    data_dir: &Path,
    name: &str,
    parts: &[Part],
    faults: &mut Vec<String>,
    each: &mut dyn FnMut(Waiting),
) -> Result<(), QueueError> {
    check_name(name)?;
    let dir = data_dir.join(name);
    if parts.contains(&Part::Hints) {
        hints(vfs, &dir, Part::Hints, faults, each)?;
    }
    if parts.contains(&Part::Held) {
        for held in vfs.read_dir(&dir.join("held")).unwrap_or_default() {
            hints(vfs, &dir.join("held").join(held), Part::Held, faults, each)?;
        }
    }
    if parts.contains(&Part::Dead) && vfs.exists(&dir.join("dead")) {
        let mut unreadable = Vec::new();
        let mut read = |sequence: Sequence, record: &[u8]| {
            let letter = dead::decode(record);
            let waiting = letter.ok().and_then(|letter| {
                let (head, body) = hint_of(letter.hint)?;
                let reason = Some(letter.reason);
                Some(waiting(Part::Dead, sequence, head, body, reason))
            });
            match waiting {
                Some(waiting) => each(waiting),
                None => unreadable.push(format!("dead letter {sequence} cannot be read")),
            }
            Ok(())
        };
        let found = peek(vfs, &dir.join("dead"), &options(u64::MAX, 1), &mut read)?;
        faults.extend(found.recovery.corruptions.iter().map(|c| format!("{c:?}")));
        faults.extend(unreadable);
    }
    Ok(())
}

/// The hints behind the cursor that are not cancelled.
fn hints(
    vfs: &dyn Vfs,
    dir: &Path,
    part: Part,
    faults: &mut Vec<String>,
    each: &mut dyn FnMut(Waiting),
) -> Result<(), QueueError> {
    let cursor = dir.join("cursor");
    if !vfs.exists(&cursor) || !vfs.exists(&dir.join("hints")) {
        return Ok(());
    }
    let from = Cursor::open(vfs, &cursor)?.value();
    let log = dir.join("hints");
    let mut cancelled: HashSet<Sequence> = HashSet::new();
    let mut unreadable = Vec::new();
    let mut read = |sequence: Sequence, record: &[u8]| {
        match hint::decode(record) {
            Ok(Record::Cancel(hint)) => {
                cancelled.insert(hint);
            }
            Ok(Record::Hint { .. }) => {}
            Err(_) if sequence < from => {}
            Err(_) => unreadable.push(format!("hint {sequence} cannot be read")),
        }
        Ok(())
    };
    let found = peek(vfs, &log, &options(u64::MAX, 1), &mut read)?;
    faults.extend(found.recovery.corruptions.iter().map(|c| format!("{c:?}")));
    faults.extend(unreadable);
    let mut read = |sequence: Sequence, record: &[u8]| {
        if sequence >= from
            && !cancelled.contains(&sequence)
            && let Some((head, body)) = hint_of(record)
        {
            each(waiting(part, sequence, head, body, None));
        }
        Ok(())
    };
    peek(vfs, &log, &options(u64::MAX, 1), &mut read)?;
    Ok(())
}

fn hint_of(record: &[u8]) -> Option<(Head, Bytes)> {
    match hint::decode(record).ok()? {
        Record::Hint { head, body_at, .. } => {
            Some((head, Bytes::copy_from_slice(record.get(body_at..)?)))
        }
        Record::Cancel(_) => None,
    }
}

fn waiting(
    part: Part,
    sequence: Sequence,
    head: Head,
    body: Bytes,
    reason: Option<String>,
) -> Waiting {
    let (database, retention_policy) = head.place();
    let params = tandem_http::Params::parse(&head.query);
    Waiting {
        part,
        sequence,
        database,
        retention_policy,
        precision: params.get("precision").unwrap_or_default().to_owned(),
        user: head.user(),
        lines: head.lines,
        received_ns: head.received_ns,
        reason,
        bytes: body.len() as u64,
        head,
        body,
    }
}

/// Sends what waits to a server, in order, and leaves it where it is: sent twice is sent once.
///
/// # Errors
/// [`QueueError`] where the queue cannot be read. What the server says is in the result.
pub async fn replay(
    vfs: Arc<dyn Vfs>,
    data_dir: &Path,
    name: &str,
    parts: &[Part],
    to: &Url,
) -> Result<Replayed, QueueError> {
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<Waiting>(16);
    let (dir, name, parts): (PathBuf, String, Vec<Part>) =
        (data_dir.to_owned(), name.to_owned(), parts.to_vec());
    let reading = tokio::task::spawn_blocking(move || {
        visit(
            &*vfs,
            &dir,
            &name,
            &parts,
            &mut Vec::new(),
            &mut |waiting| {
                // An error: nobody wants more.
                let _ = sender.blocking_send(waiting);
            },
        )
    });
    let client = Client::new(ClientConfig::default());
    let mut replayed = Replayed::default();
    while let Some(mut waiting) = receiver.recv().await {
        if to.credentials().is_some() {
            waiting.head.forget_credentials();
        }
        let call = waiting.head.call(vec![waiting.body]);
        match client.send(to, call).await {
            Ok(answer) if answer.status.is_success() => replayed.stored += 1,
            Ok(answer) => {
                let body = answer.body.into_bytes();
                let text = format!(
                    "{} {}",
                    answer.status,
                    String::from_utf8_lossy(&body).trim()
                );
                replayed.refused.push((waiting.sequence, text));
            }
            Err(error) => replayed.refused.push((waiting.sequence, error.to_string())),
        }
    }
    match reading.await {
        Ok(read) => read.map(|()| replayed),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Puts dead letters back behind the hints of their queue, those for `database` only if one is named.
/// The relay must be stopped. Gives how many.
///
/// # Errors
/// [`QueueError`], among them that the queue is in use. What was not moved stays.
pub fn requeue(
    vfs: &Arc<dyn Vfs>,
    data_dir: &Path,
    name: &str,
    database: Option<&str>,
) -> Result<u64, QueueError> {
    let (queue, was_killed) = open(vfs, data_dir, name)?;
    let mut sort = |letter: &dead::Letter<'_>| -> Result<bool, tandem_seglog::Error> {
        let Some((head, body)) = hint_of(letter.hint) else {
            return Ok(false);
        };
        if database.is_some_and(|wanted| head.place().0 != wanted) {
            return Ok(false);
        }
        let encode = |out: &mut Vec<u8>| {
            hint::encode_head(&head, false, out);
            out.extend_from_slice(&body);
        };
        let staged = queue.main.stage(Settle::Now, encode, |_| ());
        let (staged, ticket) = staged.map_err(|(error, _)| error)?;
        queue.main.commit(&staged, head.scope, &ticket)?;
        Ok(true)
    };
    let dir = data_dir.join(name).join("dead");
    let taken = queue.dead.take_out(&**vfs, &dir, &mut sort)?;
    close(&queue, was_killed);
    Ok(taken)
}

/// Makes dead letters of what is held, so that what waits behind it goes on: of one database only if one is named, and
/// of one user's batches only if one is (`Some("")` for those without credentials). The relay must be stopped.
/// Gives how many.
///
/// # Errors
/// [`QueueError`], among them that the queue is in use, and that the dead letters have no room for the next one. What
/// was not moved stays; after a crash the last one may be in both places.
pub fn bury(
    vfs: &Arc<dyn Vfs>,
    data_dir: &Path,
    name: &str,
    database: Option<&str>,
    user: Option<&str>,
    now_ns: i64,
) -> Result<u64, QueueError> {
    let (queue, was_killed) = open(vfs, data_dir, name)?;
    let mut buried = 0;
    let mut outcome = Ok(());
    for (domain, backlog) in queue.held.backlogs() {
        let mut each = |held: Waiting| {
            let wanted = database.is_none_or(|database| held.database == database)
                && user.is_none_or(|user| held.user.as_deref().unwrap_or_default() == user);
            if !wanted || outcome.is_err() {
                return;
            }
            let body = [held.body];
            outcome = match queue.dead.bury(&held.head, &body, BURIED, now_ns) {
                // Nothing of it is under way: the relay is stopped.
                Ok(true) => backlog.cancel(held.sequence, true).map_err(Into::into),
                Ok(false) => Err(QueueError::DeadFull {
                    bytes_max: Config::DEAD_BYTES_MAX,
                }),
                Err(error) => Err(error.into()),
            };
            buried += u64::from(outcome.is_ok());
        };
        let dir = queue.held.dir_of(domain);
        hints(&**vfs, &dir, Part::Held, &mut Vec::new(), &mut each)?;
    }
    close(&queue, was_killed);
    outcome.map(|()| buried)
}

/// The queue, as a relay would open it, and whether that relay was killed.
fn open(vfs: &Arc<dyn Vfs>, data_dir: &Path, name: &str) -> Result<(Queue, bool), QueueError> {
    let bounds = Bounds {
        bytes_max: Config::QUEUE_BYTES_MAX,
        dead_bytes_max: Config::DEAD_BYTES_MAX,
        overflow: Overflow::Refuse,
    };
    let lanes = Arc::new(Lanes::default());
    let opened = Queue::open(vfs, data_dir, name, bounds, (0, Duration::ZERO), lanes);
    opened.map(|(queue, recovered)| (queue, recovered.was_killed))
}

fn close(queue: &Queue, was_killed: bool) {
    if !was_killed {
        // Should it fail, the next relay waits a while for writes that are not there.
        let _ = queue.close();
    }
}

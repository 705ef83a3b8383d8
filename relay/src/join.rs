//! Small writes, joined for a moment into one: fewer requests for the backends, and a little more patience
//! from the clients. Off unless the operator sets a delay.
//!
//! Only what is alike is joined: the same query string, credentials and kind. A client is told 204 when the
//! whole was taken everywhere. Anything else, and each write goes its own way again, in the order in which
//! they came, so that every client gets the answer to what it sent, and one bad line costs nobody else
//! anything. Points that were stored by the first attempt are then written once more, which changes nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tandem_http::{Body, Response, StatusCode, empty};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::answer::Level;
use crate::batch::{Batch, Target};
use crate::seam::can_be_followed;
use crate::service::Service;
use crate::write::unavailable;

/// Larger ones go by themselves.
const PART_BYTES_MAX: u64 = 32 << 10;
/// What is open at once; what is of yet another kind goes by itself.
const KINDS_MAX: usize = 1024;

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Joiner {
    /// Nothing is joined while it is zero.
    delay: Duration,
    bytes_max: u64,
    open: Mutex<HashMap<Kind, Open>>,
    opened: std::sync::atomic::AtomicU64,
}

/// What can be joined.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kind {
    query: String,
    authorization: Option<Vec<u8>>,
    content_type: Option<Vec<u8>>,
}

#[derive(Debug)]
struct Open {
    number: u64,
    bytes: u64,
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    batch: Batch,
    client: oneshot::Sender<Response<Body>>,
}

impl Joiner {
    pub(crate) fn new(delay: Duration, bytes_max: u64) -> Self {
        Self {
            delay,
            bytes_max,
            ..Self::default()
        }
    }

    /// Takes a batch in, if it is for here; gives what is full, and what is new and has to be closed in time.
    fn add(&self, batch: Batch, client: oneshot::Sender<Response<Body>>) -> Added {
        let kind = Kind {
            query: batch.head.query.clone(),
            authorization: batch.head.authorization.clone(),
            content_type: batch.head.content_type.clone(),
        };
        let mut open = self.lock();
        let bytes = batch.bytes();
        let number = self
            .opened
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let is_new = !open.contains_key(&kind);
        let entry = open.entry(kind.clone()).or_insert_with(|| Open {
            number,
            bytes: 0,
            parts: Vec::new(),
        });
        entry.bytes += bytes;
        entry.parts.push(Part { batch, client });
        if entry.bytes >= self.bytes_max {
            let parts = open.remove(&kind).map(|open| open.parts);
            return Added::Full(parts.unwrap_or_default());
        }
        if is_new {
            Added::New(kind, number)
        } else {
            Added::Waits
        }
    }

    /// What is to be sent of a kind; nothing when it has been sent already.
    fn close(&self, kind: &Kind, number: u64) -> Vec<Part> {
        let mut open = self.lock();
        if open.get(kind).is_some_and(|open| open.number == number) {
            return open.remove(kind).map(|open| open.parts).unwrap_or_default();
        }
        Vec::new()
    }

    fn is_for(&self, batch: &Batch, level: Level) -> bool {
        let head = &batch.head;
        !self.delay.is_zero()
            && level == Level::Kept
            && head.target == Target::Write
            && !head.gzip
            && batch.bytes() <= PART_BYTES_MAX
            && matches!(&batch.body[..], [.., last] if can_be_followed(last))
            && self.lock().len() < KINDS_MAX
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Kind, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Added {
    Waits,
    New(Kind, u64),
    Full(Vec<Part>),
}

impl Service {
    /// Brings a batch to every backend, alone or with others. Not to be dropped before it ends.
    pub(crate) async fn relay_joined(
        self: &Arc<Self>,
        batch: Batch,
        level: Level,
    ) -> Response<Body> {
        if !self.joiner.is_for(&batch, level) {
            return self.fan_out(Arc::new(batch), level).await;
        }
        let (client, answer) = oneshot::channel();
        let (service, busy) = (self.clone(), self.busy.subscribe());
        match self.joiner.add(batch, client) {
            Added::Waits => {}
            Added::New(kind, number) => {
                tokio::spawn(async move {
                    tokio::time::sleep(service.joiner.delay).await;
                    let parts = service.joiner.close(&kind, number);
                    service.send_joined(parts).await;
                    drop(busy);
                });
            }
            Added::Full(parts) => {
                tokio::spawn(async move {
                    service.send_joined(parts).await;
                    drop(busy);
                });
            }
        }
        // Whoever has it answers, unless the process ends.
        answer
            .await
            .unwrap_or_else(|_| unavailable("tandem relay: it is being stopped"))
    }

    async fn send_joined(self: &Arc<Self>, parts: Vec<Part>) {
        let (batches, clients): (Vec<_>, Vec<_>) = parts
            .into_iter()
            .map(|part| (part.batch, part.client))
            .unzip();
        let mut batches: Vec<Batch> = batches;
        let memory = taken_together(&mut batches);
        let batches: Vec<Arc<Batch>> = batches.into_iter().map(Arc::new).collect();
        if batches.len() > 1 {
            let mut whole = joined(&batches);
            whole.memory = memory;
            let whole = Arc::new(whole);
            let response = self.fan_out(whole, Level::Kept).await;
            if response.status() == StatusCode::NO_CONTENT {
                for client in clients {
                    // Its client may have gone.
                    let _ = client.send(empty(StatusCode::NO_CONTENT));
                }
                return;
            }
        }
        for (batch, client) in batches.into_iter().zip(clients) {
            let _ = client.send(self.fan_out(batch, Level::Kept).await);
        }
    }
}

/// One batch of several: their bytes as they are, each ending in a newline.
fn joined(batches: &[Arc<Batch>]) -> Batch {
    let mut head = batches
        .first()
        .map(|first| first.head.clone())
        .unwrap_or_default();
    head.lines = batches.iter().map(|batch| batch.head.lines).sum();
    head.scope.lanes = batches
        .iter()
        .fold(0, |lanes, batch| lanes | batch.head.scope.lanes);
    let mut body: Vec<Bytes> = Vec::new();
    for batch in batches {
        body.extend(batch.body.iter().cloned());
        let last = batch.body.iter().rev().find_map(|slice| slice.last());
        if last.is_some_and(|last| *last != b'\n') {
            body.push(Bytes::from_static(b"\n"));
        }
    }
    Batch {
        head,
        body,
        memory: None,
    }
}

/// Makes one share of the memory budget of all, which lasts as long as the last use of any of them.
fn taken_together(batches: &mut [Batch]) -> Option<Arc<OwnedSemaphorePermit>> {
    let mut whole: Option<OwnedSemaphorePermit> = None;
    for batch in batches.iter_mut() {
        if let Some(own) = batch.memory.take().and_then(Arc::into_inner) {
            match &mut whole {
                Some(whole) => whole.merge(own),
                None => whole = Some(own),
            }
        }
    }
    let whole = whole.map(Arc::new);
    for batch in batches {
        batch.memory.clone_from(&whole);
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Head;
    use crate::scope::Scope;

    fn batch(body: &'static str, lanes: u64) -> Batch {
        Batch {
            head: Head {
                query: "db=d".into(),
                lines: 1,
                scope: Scope::write("d", lanes),
                ..Head::default()
            },
            body: vec![Bytes::from_static(body.as_bytes())],
            memory: None,
        }
    }

    #[test]
    fn bodies_are_joined_with_newlines_and_without_copying() {
        let parts = [
            batch("a v=1 1", 1),
            batch("b v=1 1\n", 2),
            batch("c v=1 1", 4),
        ]
        .map(Arc::new);
        let whole = joined(&parts);
        assert_eq!(whole.body.concat(), b"a v=1 1\nb v=1 1\nc v=1 1\n");
        assert_eq!(whole.body[0].as_ptr(), parts[0].body[0].as_ptr());
        assert_eq!((whole.head.lines, whole.head.scope.lanes), (3, 7));
    }

    #[test]
    fn only_what_is_alike_is_joined_and_what_is_full_goes_at_once() {
        let joiner = Joiner {
            delay: Duration::from_millis(5),
            bytes_max: 20,
            ..Joiner::default()
        };
        let client = || oneshot::channel().0;
        let Added::New(kind, number) = joiner.add(batch("a v=1 1\n", 1), client()) else {
            panic!("the first of its kind");
        };
        let mut other = batch("a v=1 1\n", 1);
        other.head.query = "db=e".into();
        assert!(matches!(joiner.add(other, client()), Added::New(..)));
        assert!(matches!(
            joiner.add(batch("a v=2 1\n", 1), client()),
            Added::Waits
        ));
        let Added::Full(parts) = joiner.add(batch("a v=3 1\n", 1), client()) else {
            panic!("more than 20 bytes");
        };
        assert_eq!(parts.len(), 3);
        assert!(
            joiner.close(&kind, number).is_empty(),
            "it has gone already"
        );
        let small = batch("a v=1 1\n", 1);
        assert!(joiner.is_for(&small, Level::Kept) && !joiner.is_for(&small, Level::All));
        assert!(
            !Joiner::default().is_for(&small, Level::Kept),
            "off by default"
        );
    }
}

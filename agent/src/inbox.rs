//! Where the gatherer leaves its records for the sender, without ever waiting for it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use crate::config::Config;
use crate::counters::{Counters, Fate};
use crate::record::Record;

/// A bounded queue: what does not fit pushes out the oldest.
#[derive(Debug)]
pub(crate) struct Inbox {
    queue: Mutex<Queue>,
    arrived: Notify,
    closed: watch::Sender<bool>,
    bytes_max: usize,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Queue {
    records: VecDeque<Record>,
    bytes: usize,
    /// Settings that the sender has not seen yet.
    config: Option<Box<Config>>,
    /// Someone asked for everything to be sent now.
    is_flush: bool,
}

impl Inbox {
    pub(crate) fn new(bytes_max: usize, counters: Arc<Counters>) -> Self {
        Self {
            queue: Mutex::default(),
            arrived: Notify::new(),
            closed: watch::Sender::new(false),
            bytes_max,
            counters,
        }
    }

    /// Takes a record over; its lines are buffered from now on, or, where it is larger than the
    /// whole queue may be, dropped.
    pub(crate) fn push(&self, mut record: Record) {
        let mut queue = self.lock();
        record.hold(&self.counters);
        self.counters.gathered(record.lines, record.body.len());
        queue.bytes += record.body.len();
        queue.records.push_back(record);
        while queue.bytes > self.bytes_max {
            let Some(oldest) = queue.records.pop_front() else {
                break;
            };
            queue.bytes -= oldest.body.len();
            self.counters.settle(oldest.lines, Fate::Dropped);
        }
        drop(queue);
        self.arrived.notify_one();
    }

    /// Whether it is half full, so that what comes next may push out the oldest.
    pub(crate) fn is_crowded(&self) -> bool {
        self.lock().bytes > self.bytes_max / 2
    }

    /// Has the sender take other settings on.
    pub(crate) fn set_config(&self, config: Box<Config>) {
        self.lock().config = Some(config);
        self.arrived.notify_one();
    }

    /// Settings that came since the last call.
    pub(crate) fn take_config(&self) -> Option<Box<Config>> {
        self.lock().config.take()
    }

    /// Has the sender send what waits, now.
    pub(crate) fn flush(&self) {
        self.lock().is_flush = true;
        self.arrived.notify_one();
    }

    /// Whether that was asked for since the last call.
    pub(crate) fn take_flush(&self) -> bool {
        std::mem::take(&mut self.lock().is_flush)
    }

    /// No more records will come.
    pub(crate) fn close(&self) {
        self.closed.send_replace(true);
        self.arrived.notify_one();
    }

    /// All records there are, oldest first.
    pub(crate) fn take(&self) -> VecDeque<Record> {
        let mut queue = self.lock();
        queue.bytes = 0;
        std::mem::take(&mut queue.records)
    }

    /// Whether it was closed; what came before is still to be taken.
    pub(crate) fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    /// Waits until it is closed.
    pub(crate) async fn closed(&self) {
        // The sending half lives in here: waiting cannot fail.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }

    /// Waits until something came or the inbox was closed since the last call.
    pub(crate) async fn changed(&self) {
        self.arrived.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn record(text: &'static str) -> Record {
        Record::new(1, 0, Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn the_oldest_make_room_and_are_counted() {
        let counters = Arc::new(Counters::default());
        let inbox = Inbox::new(10, Arc::clone(&counters));
        for text in ["aaaa", "bbbb", "cccc"] {
            inbox.push(record(text));
        }
        let accounts = counters.read();
        assert_eq!(
            (accounts.gathered, accounts.buffered, accounts.dropped),
            (3, 2, 1)
        );
        assert!(accounts.is_balanced());
        assert_eq!(inbox.take(), [record("bbbb"), record("cccc")]);
        inbox.push(record("far too long to fit"));
        assert_eq!(inbox.take(), []);
        assert!(!inbox.is_closed());
        inbox.close();
        assert!(inbox.is_closed());
    }
}

//! From the inbox to a relay, past an outage of any length.
//!
//! While a relay answers, records go from memory straight out. At the first failure everything
//! that waits is put into the spool, and so is everything that comes, until the spool was sent to
//! its end: so nothing is lost when the agent is killed during an outage, memory stays small, and
//! no series' older line is sent after its newer one.
//!
//! What could not be written to the spool either (a full disk) waits in memory up to its limit,
//! where the oldest makes room.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::config::Output;
use crate::counters::{Counters, add};
use crate::inbox::Inbox;
use crate::record::Record;
use crate::spool::Spool;
use crate::throttle::Throttle;
use crate::uplink::{Outcome, Uplink};
use crate::verdict::Verdict;

/// Sends what comes into the inbox.
#[derive(Debug)]
pub(crate) struct Sender {
    uplink: Uplink,
    inbox: Arc<Inbox>,
    spool: Spool,
    /// Taken from the inbox and in no other place.
    memory: VecDeque<Record>,
    output: Output,
    counters: Arc<Counters>,
    /// How often in a row it failed; 0 while a relay answers.
    failures: u32,
    /// Nothing is sent before.
    not_before: Instant,
    rejected: Throttle,
    spool_failed: Throttle,
}

/// Where the records of a request came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Memory,
    Spool,
}

impl Sender {
    pub(crate) fn new(
        uplink: Uplink,
        inbox: Arc<Inbox>,
        spool: Spool,
        output: Output,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            uplink,
            inbox,
            spool,
            memory: VecDeque::new(),
            output,
            counters,
            failures: 0,
            not_before: Instant::now(),
            rejected: Throttle::default(),
            spool_failed: Throttle::default(),
        }
    }

    /// Sends until the inbox is closed; then what is left is sent, or spooled for the next start.
    pub(crate) async fn run(&mut self) {
        let inbox = Arc::clone(&self.inbox);
        let stop_timeout = self.output.stop_timeout;
        // A request under way at the stop is not waited for longer than this.
        let stop = async {
            inbox.closed().await;
            tokio::time::sleep(stop_timeout).await;
        };
        let mut stop = std::pin::pin!(stop);
        tokio::select! {
            () = self.create_database() => {}
            () = &mut stop => {}
        }
        while !self.inbox.is_closed() {
            self.take_in();
            let now = Instant::now();
            if self.has_work() && now >= self.not_before {
                tokio::select! {
                    () = self.send_some(self.output.request_timeout) => {}
                    () = &mut stop => {}
                }
                continue;
            }
            let pause = self.not_before;
            tokio::select! {
                () = self.inbox.changed() => {}
                () = tokio::time::sleep_until(pause), if self.has_work() => {}
            }
        }
        self.finish().await;
    }

    async fn create_database(&mut self) {
        let made = self.uplink.create_database(self.output.request_timeout);
        if let Err(reason) = made.await {
            warn!("the database was not made: {reason}");
        }
    }

    /// The last request, and the spool for what it did not settle.
    async fn finish(&mut self) {
        self.take_in();
        if self.failures == 0 && self.spool.is_empty() && !self.memory.is_empty() {
            let timeout = self.output.stop_timeout;
            // Over all relays: what is not settled by then is spooled.
            let _ = tokio::time::timeout(timeout, self.send_some(timeout)).await;
        }
        self.spool_memory();
    }

    fn has_work(&self) -> bool {
        !self.memory.is_empty() || !self.spool.is_empty()
    }

    /// Takes what came, and spools it while the spool must go first.
    fn take_in(&mut self) {
        self.memory.extend(self.inbox.take());
        if self.failures > 0 || !self.spool.is_empty() {
            self.spool_memory();
        }
    }

    /// Moves all that is in memory into the spool. Where that fails it stays, within its limit.
    fn spool_memory(&mut self) {
        while let Some(record) = self.memory.front() {
            if let Err(error) = self.spool.append(record) {
                if let Some(silent) = self.spool_failed.speak(Instant::now().into_std()) {
                    error!(silent, "cannot spool, lines wait in memory: {error}");
                }
                self.bound_memory();
                return;
            }
            self.memory.pop_front();
        }
    }

    fn bound_memory(&mut self) {
        let mut bytes: usize = self.memory.iter().map(|record| record.body.len()).sum();
        while bytes > self.output.memory_bytes_max {
            let Some(oldest) = self.memory.pop_front() else {
                return;
            };
            bytes -= oldest.body.len();
            self.counters.settle(oldest.lines, &self.counters.dropped);
        }
    }

    /// Sends the oldest records in one request, the spool's first. Dropped half-way, it leaves
    /// them where they were.
    async fn send_some(&mut self, timeout: Duration) {
        let (from, records) = match self.oldest() {
            Ok(oldest) => oldest,
            Err(error) => {
                // The disk cannot be read: what is newer must not overtake what lies there.
                if let Some(silent) = self.spool_failed.speak(Instant::now().into_std()) {
                    error!(silent, "cannot read the spool: {error}");
                }
                self.back_off();
                return;
            }
        };
        if records.is_empty() {
            return;
        }
        let body: Vec<Bytes> = records.iter().map(|record| record.body.clone()).collect();
        let outcome = self.uplink.write(&body, timeout).await;
        match outcome.verdict {
            Verdict::Later | Verdict::NoDatabase => self.failed(&outcome),
            // One of them is the cause: each goes alone.
            Verdict::Refused | Verdict::TooLarge if records.len() > 1 => {
                self.send_each(from, &records, timeout).await;
            }
            verdict => self.account(from, &records, verdict, &outcome.reason),
        }
    }

    /// Sends records one by one until one must wait.
    async fn send_each(&mut self, from: Origin, records: &[Record], timeout: Duration) {
        for record in records {
            let body = [record.body.clone()];
            let outcome = self.uplink.write(&body, timeout).await;
            match outcome.verdict {
                Verdict::Later | Verdict::NoDatabase => {
                    self.failed(&outcome);
                    return;
                }
                verdict => {
                    let one = std::slice::from_ref(record);
                    self.account(from, one, verdict, &outcome.reason);
                }
            }
        }
    }

    /// The oldest records that fit into one request.
    fn oldest(&mut self) -> Result<(Origin, Vec<Record>), tandem_seglog::Error> {
        if !self.spool.is_empty() {
            let records = self.spool.peek(self.output.request_bytes_max)?;
            let records: Vec<Record> = records.cloned().collect();
            if !records.is_empty() {
                return Ok((Origin::Spool, records));
            }
        }
        let mut bytes_left = self.output.request_bytes_max;
        let fits = |(at, record): &(usize, &Record)| {
            let fits = *at == 0 || record.body.len() <= bytes_left;
            bytes_left = bytes_left.saturating_sub(record.body.len());
            fits
        };
        let fitting = self.memory.iter().enumerate().take_while(fits);
        let records = fitting.map(|(_, record)| record.clone()).collect();
        Ok((Origin::Memory, records))
    }

    /// Takes settled records out of where they came from and books their lines.
    fn account(&mut self, from: Origin, records: &[Record], verdict: Verdict, reason: &str) {
        let lines: u64 = records.iter().map(|record| record.lines).sum();
        let rejected = match verdict {
            Verdict::Written => 0,
            Verdict::WrittenBut(rejected) => rejected.min(lines),
            _ => lines,
        };
        let counters = Arc::clone(&self.counters);
        counters.settle(lines - rejected, &counters.written);
        counters.settle(rejected, &counters.rejected);
        if rejected > 0 {
            add(&counters.write_errors, 1);
            if let Some(silent) = self.rejected.speak(Instant::now().into_std()) {
                warn!(lines = rejected, silent, "lines rejected: {reason}");
            }
        }
        if std::mem::take(&mut self.failures) > 0 {
            info!("the relay answers again");
        }
        self.not_before = Instant::now();
        match from {
            Origin::Memory => drop(self.memory.drain(..records.len())),
            Origin::Spool => {
                if let Err(error) = self.spool.settle(records.len()) {
                    error!("the spool's position is not stored, lines may be sent again: {error}");
                }
                let bytes: usize = records.iter().map(|record| record.body.len()).sum();
                let rate = self.output.drain_bytes_per_second.max(1);
                self.not_before += Duration::from_secs_f64(bytes as f64 / rate as f64);
            }
        }
    }

    /// No relay took the request: what waits goes to disk, and the next try is later.
    fn failed(&mut self, outcome: &Outcome) {
        add(&self.counters.write_errors, 1);
        if self.failures == 0 {
            warn!("no relay takes lines, they are spooled: {}", outcome.reason);
        }
        self.back_off();
        self.spool_memory();
    }

    fn back_off(&mut self) {
        const DOUBLINGS_MAX: u32 = 16;
        let doubled = self.output.retry_delay * (1 << self.failures.min(DOUBLINGS_MAX));
        let delay = doubled.min(self.output.retry_delay_max);
        // Many agents lose their relay at the same moment; they should not come back at one.
        let spread = delay.mul_f64(0.25 * (tandem_vfs::random_u64() % 1024) as f64 / 1024.0);
        self.failures = self.failures.saturating_add(1);
        self.not_before = Instant::now() + delay.saturating_sub(spread);
    }
}

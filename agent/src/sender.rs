//! From the inbox to a relay, past an outage of any length.
//!
//! While a relay answers, records go from memory straight out: at once, or gathered for a while
//! where settings say so. At the first failure everything that waits is put into the spool, and so
//! is everything that comes, until a relay takes something again: so nothing is lost when the agent
//! is killed during an outage, and memory stays small. Then what is new goes out first, and the
//! spool behind it at a bounded rate, so that dashboards live again at once and a relay that is
//! just back is not flooded.
//!
//! What could not be written to the spool either (a full disk) waits in memory up to its limit,
//! where the oldest makes room.

mod bisect;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tandem_vfs::Clock;
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::config::{Config, Output};
use crate::counters::{Counters, Fate};
use crate::inbox::Inbox;
use crate::record::Record;
use crate::spool::Spool;
use crate::throttle::Throttle;
use crate::uplink::{Outcome, Uplink};
use crate::verdict::Verdict;

/// How often the spool is looked through for what is too old.
const EXPIRE_EVERY: Duration = Duration::from_secs(60);
/// Longest pause that a relay may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// Sends what comes into the inbox.
#[derive(Debug)]
pub(crate) struct Sender {
    uplink: Uplink,
    inbox: Arc<Inbox>,
    spool: Spool,
    /// Taken from the inbox and in no other place.
    memory: VecDeque<Record>,
    /// Came while a request was under way, found no room in the spool, and follows what is in memory.
    waiting: VecDeque<Record>,
    /// When what is in memory goes out; nothing while there is none.
    flush_at: Option<Instant>,
    output: Output,
    counters: Arc<Counters>,
    clock: Arc<dyn Clock>,
    /// How often in a row it failed; 0 while a relay answers.
    failures: u32,
    /// While no relay answers, nothing is sent before.
    not_before: Instant,
    /// Nothing is sent from the spool before.
    drain_at: Instant,
    expire_at: Instant,
    rejected: Throttle,
    spool_failed: Throttle,
}

/// Where the records of a request come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Memory,
    Spool,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Send(Origin),
    /// Until something comes, or until then.
    Wait(Option<Instant>),
}

impl Sender {
    pub(crate) fn new(
        config: &Config,
        inbox: Arc<Inbox>,
        spool: Spool,
        counters: Arc<Counters>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let now = Instant::now();
        Self {
            uplink: Uplink::new(config),
            inbox,
            spool,
            memory: VecDeque::new(),
            waiting: VecDeque::new(),
            flush_at: None,
            output: config.output.clone(),
            counters,
            clock,
            failures: 0,
            not_before: now,
            drain_at: now,
            expire_at: now,
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
            match self.next(Instant::now()) {
                Next::Send(origin) => {
                    tokio::select! {
                        () = self.send_some(origin, self.output.request_timeout) => {}
                        () = &mut stop => {}
                    }
                }
                Next::Wait(until) => {
                    let far = Instant::now() + EXPIRE_EVERY;
                    tokio::select! {
                        () = self.inbox.changed() => {}
                        () = tokio::time::sleep_until(until.unwrap_or(far)) => {}
                    }
                }
            }
        }
        self.finish().await;
    }

    async fn create_database(&mut self) {
        if !self.output.create_database {
            return;
        }
        let made = self.uplink.create_database(self.output.request_timeout);
        if let Err(reason) = made.await {
            warn!("the database was not made: {reason}");
        }
    }

    /// The last request, and the spool for what it did not settle.
    async fn finish(&mut self) {
        self.take_in();
        if self.failures == 0 && !self.memory.is_empty() {
            let timeout = self.output.stop_timeout;
            // Over all relays: what is not settled by then is spooled.
            let _ = tokio::time::timeout(timeout, self.send_some(Origin::Memory, timeout)).await;
        }
        self.spool_memory();
    }

    /// Takes settings and records that came; while no relay answers, records go to the spool.
    fn take_in(&mut self) {
        if let Some(config) = self.inbox.take_config() {
            self.uplink = Uplink::new(&config);
            self.spool.set_bytes_max(config.output.spool_bytes_max);
            self.output = config.output.clone();
            // What was wrong may be right now.
            self.not_before = Instant::now();
            self.flush_at = None;
        }
        self.memory.append(&mut self.waiting);
        self.memory.extend(self.inbox.take());
        let now = Instant::now();
        if self.inbox.take_flush() {
            self.flush_at = Some(now);
            self.not_before = now;
        }
        if self.memory.is_empty() {
            self.flush_at = None;
        } else if self.flush_at.is_none() {
            let jitter = spread(self.output.flush_jitter);
            self.flush_at = Some(now + self.output.flush_interval + jitter);
        }
        if now >= self.expire_at {
            self.expire_at = now + EXPIRE_EVERY;
            self.expire();
        }
        if self.failures > 0 {
            self.spool_memory();
        }
    }

    /// Gives up what waited for longer than it may.
    fn expire(&mut self) {
        let age_ns = i64::try_from(self.output.spool_age_max.as_nanos()).unwrap_or(i64::MAX);
        let oldest_ns = self.clock.now_ns().saturating_sub(age_ns);
        if let Err(error) = self.spool.expire(oldest_ns)
            && let Some(silent) = self.spool_failed.speak(Instant::now().into_std())
        {
            error!(silent, "cannot read the spool: {error}");
        }
    }

    fn next(&self, now: Instant) -> Next {
        if self.failures > 0 {
            let origin = if self.spool.is_empty() {
                Origin::Memory
            } else {
                Origin::Spool
            };
            let has_work = origin == Origin::Spool || !self.memory.is_empty();
            return match (has_work, now >= self.not_before) {
                (true, true) => Next::Send(origin),
                (true, false) => Next::Wait(Some(self.not_before)),
                (false, _) => Next::Wait(None),
            };
        }
        let waiting: usize = self.memory.iter().map(|record| record.body.len()).sum();
        let is_full = waiting >= self.output.request_bytes_max;
        if !self.memory.is_empty() && (is_full || self.flush_at.is_none_or(|at| now >= at)) {
            return Next::Send(Origin::Memory);
        }
        if self.spool.is_empty() {
            return Next::Wait(self.flush_at);
        }
        if now >= self.drain_at {
            return Next::Send(Origin::Spool);
        }
        let first = self
            .flush_at
            .map_or(self.drain_at, |at| at.min(self.drain_at));
        Next::Wait(Some(first))
    }

    /// Moves all that is in memory into the spool. Where that fails it stays, within its limit.
    fn spool_memory(&mut self) {
        self.memory.append(&mut self.waiting);
        while let Some(record) = self.memory.front() {
            if let Err(error) = self.spool.append(record, self.output.spool_free_bytes_min) {
                if let Some(silent) = self.spool_failed.speak(Instant::now().into_std()) {
                    error!(silent, "cannot spool, lines wait in memory: {error}");
                }
                self.bound_memory();
                return;
            }
            self.memory.pop_front();
        }
        self.flush_at = None;
    }

    fn bound_memory(&mut self) {
        let mut bytes: usize = self.memory.iter().map(|record| record.body.len()).sum();
        while bytes > self.output.memory_bytes_max {
            let Some(oldest) = self.memory.pop_front() else {
                return;
            };
            bytes -= oldest.body.len();
            self.counters.settle(oldest.lines, Fate::Dropped);
        }
    }

    /// Sends the oldest records of one place in one request. Dropped half-way, it leaves them
    /// where they were.
    async fn send_some(&mut self, from: Origin, timeout: Duration) {
        let records = match self.oldest(from) {
            Ok(oldest) => oldest,
            Err(error) => {
                if let Some(silent) = self.spool_failed.speak(Instant::now().into_std()) {
                    error!(silent, "cannot read the spool: {error}");
                }
                self.drain_at = Instant::now() + self.output.retry_delay_max;
                if self.failures > 0 {
                    self.back_off(None);
                }
                return;
            }
        };
        if records.is_empty() {
            return;
        }
        let body: Vec<Bytes> = records.iter().map(|record| record.body.clone()).collect();
        let began = Instant::now();
        let room = Room {
            inbox: &self.inbox,
            spool: &mut self.spool,
            waiting: &mut self.waiting,
            free_bytes_min: self.output.spool_free_bytes_min,
        };
        let outcome = room.during(self.uplink.write(&body, timeout)).await;
        self.counters.time_write(began.elapsed());
        match outcome.verdict {
            Verdict::Later | Verdict::NoDatabase => self.failed(&outcome),
            // One of their lines is the cause.
            Verdict::Refused | Verdict::TooLarge => {
                let said = (records.len() == 1).then_some(outcome.reason);
                self.send_each(from, &records, said, timeout).await;
            }
            verdict => self.account(from, &records, verdict, &outcome.reason),
        }
    }

    /// Sends records one by one, in ever smaller parts, until one must wait; `said` is what a single one was
    /// refused with.
    async fn send_each(
        &mut self,
        from: Origin,
        records: &[Record],
        said: Option<String>,
        timeout: Duration,
    ) {
        for record in records {
            let room = Room {
                inbox: &self.inbox,
                spool: &mut self.spool,
                waiting: &mut self.waiting,
                free_bytes_min: self.output.spool_free_bytes_min,
            };
            let sending = bisect::send(&mut self.uplink, record, timeout, said.clone());
            let sent = room.during(sending).await;
            match sent {
                Ok((verdict, reason)) => {
                    let one = std::slice::from_ref(record);
                    self.account(from, one, verdict, &reason);
                }
                Err(outcome) => {
                    self.failed(&outcome);
                    return;
                }
            }
        }
    }

    /// The oldest records that fit into one request.
    fn oldest(&mut self, from: Origin) -> Result<Vec<Record>, tandem_seglog::Error> {
        if from == Origin::Spool {
            let records = self.spool.peek(self.output.request_bytes_max)?;
            return Ok(records.cloned().collect());
        }
        let mut bytes_left = self.output.request_bytes_max;
        let fits = |(at, record): &(usize, &Record)| {
            let fits = *at == 0 || record.body.len() <= bytes_left;
            bytes_left = bytes_left.saturating_sub(record.body.len());
            fits
        };
        let fitting = self.memory.iter().enumerate().take_while(fits);
        Ok(fitting.map(|(_, record)| record.clone()).collect())
    }

    /// Takes settled records out of where they came from and books their lines.
    fn account(&mut self, from: Origin, records: &[Record], verdict: Verdict, reason: &str) {
        let lines: u64 = records.iter().map(|record| record.lines).sum();
        let bytes: usize = records.iter().map(|record| record.body.len()).sum();
        let rejected = match verdict {
            Verdict::Written => 0,
            Verdict::WrittenBut(rejected) => rejected.min(lines),
            _ => lines,
        };
        self.counters.settle(lines - rejected, Fate::Written);
        self.counters.settle(rejected, Fate::Rejected);
        self.counters.change(|accounts| {
            accounts.written_bytes += bytes as u64;
            accounts.write_errors += u64::from(rejected > 0);
        });
        if rejected > 0
            && let Some(silent) = self.rejected.speak(Instant::now().into_std())
        {
            warn!(lines = rejected, silent, "lines rejected: {reason}");
        }
        if std::mem::take(&mut self.failures) > 0 {
            info!("the relay answers again");
        }
        match from {
            Origin::Memory => {
                self.memory.drain(..records.len().min(self.memory.len()));
            }
            Origin::Spool => {
                if let Err(error) = self.spool.settle(records.len()) {
                    error!("the spool's position is not stored, lines may be sent again: {error}");
                }
                let rate = self.output.drain_bytes_per_second.max(1);
                self.drain_at =
                    Instant::now() + Duration::from_secs_f64(bytes as f64 / rate as f64);
            }
        }
    }

    /// No relay took the request: what waits goes to disk, and the next try is later.
    fn failed(&mut self, outcome: &Outcome) {
        self.counters.change(|accounts| accounts.write_errors += 1);
        if self.failures == 0 {
            warn!("no relay takes lines, they are spooled: {}", outcome.reason);
        }
        self.back_off(outcome.retry_after);
        self.spool_memory();
    }

    fn back_off(&mut self, asked_for: Option<Duration>) {
        const DOUBLINGS_MAX: u32 = 16;
        let doubled = self.output.retry_delay * (1 << self.failures.min(DOUBLINGS_MAX));
        let delay = doubled.min(self.output.retry_delay_max);
        // Many agents lose their relay at the same moment; they should not come back at one.
        let mut delay = delay.saturating_sub(spread(delay / 4));
        if let Some(asked_for) = asked_for {
            delay = delay.max(asked_for.min(RETRY_AFTER_MAX));
        }
        self.failures = self.failures.saturating_add(1);
        self.not_before = Instant::now() + delay;
    }
}

/// Where records go that come while a request is under way, which may take as long as all relays together may
/// keep it waiting: more may come in that time than memory holds, so they go to disk before the oldest are pushed out.
struct Room<'a> {
    inbox: &'a Inbox,
    spool: &'a mut Spool,
    waiting: &'a mut VecDeque<Record>,
    free_bytes_min: u64,
}

impl Room<'_> {
    /// Makes room as long as `request` is under way.
    async fn during<T>(mut self, request: impl Future<Output = T>) -> T {
        let mut request = std::pin::pin!(request);
        loop {
            tokio::select! {
                done = &mut request => return done,
                () = self.inbox.changed() => self.make(),
            }
        }
    }

    fn make(&mut self) {
        // What waits already had no room; the inbox then pushes out its oldest, and counts them.
        if !self.waiting.is_empty() || !self.inbox.is_crowded() {
            return;
        }
        let mut records = self.inbox.take();
        while let Some(record) = records.front() {
            if self
                .spool
                .append_in_room(record, self.free_bytes_min)
                .is_err()
            {
                break;
            }
            records.pop_front();
        }
        *self.waiting = records;
    }
}

/// A duration below `most`, by chance.
fn spread(most: Duration) -> Duration {
    most.mul_f64((tandem_vfs::random_u64() % 1024) as f64 / 1024.0)
}

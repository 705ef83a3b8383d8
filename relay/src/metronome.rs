//! Ticks while requests come in, for the sake of everybody else's timers.
//!
//! Each request sets a few, for what never happens: a slow backend, a stalled client. A timer that is due
//! before all others makes tokio wake the thread that waits for the network, by a system call, so that it
//! waits for less long; with one timer that is always due sooner, that happens once a tick, not several
//! times a request. Nothing ticks while nothing comes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

const TICK: Duration = Duration::from_millis(20);
/// Ticks without a request after which it stops.
const IDLE_TICKS: u32 = 50;

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Metronome {
    is_heard: AtomicBool,
    begin: Notify,
}

impl Metronome {
    /// A request has come.
    pub(crate) fn heard(&self) {
        if !self.is_heard.swap(true, Ordering::Relaxed) {
            self.begin.notify_one();
        }
    }

    /// Ticks for ever.
    pub(crate) async fn run(&self) {
        loop {
            self.begin.notified().await;
            let mut idle = 0;
            while idle < IDLE_TICKS {
                tokio::time::sleep(TICK).await;
                idle += 1;
                if self.is_heard.swap(false, Ordering::Relaxed) {
                    idle = 0;
                }
            }
        }
    }
}

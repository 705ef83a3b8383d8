//! The thread that compacts in the background.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::worker::Compactor;
use crate::thread;

/// How often the thread looks when nobody wakes it: cold shards become due by time alone.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long after a failure it looks again.
const RETRY_AFTER: Duration = Duration::from_secs(30);
/// Added to the niceness of the thread: about a fifth of the share of another.
const NICENESS: i32 = 7;

/// The thread; it ends, and breaks off a merge under way, when this is dropped.
#[derive(Debug)]
pub(crate) struct CompactionThread {
    compactor: Arc<Compactor>,
    signal: Arc<Signal>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Signal {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stop: bool,
    look: bool,
    /// It cannot do what is due, and waits: after a failure, and while the disk is full.
    stuck: bool,
}

impl Signal {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CompactionThread {
    pub(crate) fn start(compactor: Arc<Compactor>) -> std::io::Result<Self> {
        let signal = Arc::new(Signal::default());
        let (theirs, worker) = (Arc::clone(&signal), Arc::clone(&compactor));
        let thread = thread::spawn("store-compact", move || run(&theirs, &worker))?;
        Ok(Self {
            compactor,
            signal,
            thread: Some(thread),
        })
    }

    /// Has the thread look now: there are new files.
    pub(crate) fn wake(&self) {
        self.signal.lock().look = true;
        self.signal.changed.notify_all();
    }

    /// Makes the thread end, soon; it is joined when this is dropped.
    pub(crate) fn stop(&self) {
        self.compactor.stop();
        self.signal.lock().stop = true;
        self.signal.changed.notify_all();
    }

    /// Waits while compaction is behind, for `limit` at most, so that files cannot pile up. Does
    /// not wait for a thread that cannot do its work.
    pub(crate) fn wait_while_behind(&self, limit: Duration) {
        let mut left = limit;
        let pause = Duration::from_millis(50);
        while self.compactor.is_behind() && !left.is_zero() {
            {
                let state = self.signal.lock();
                if state.stuck || state.stop {
                    return;
                }
            }
            self.wake();
            std::thread::sleep(pause.min(left));
            left = left.saturating_sub(pause);
        }
    }
}

impl Drop for CompactionThread {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store's compaction thread panicked");
        }
    }
}

fn run(signal: &Signal, compactor: &Compactor) {
    give_way();
    loop {
        {
            let state = signal.lock();
            let stuck = state.stuck;
            let wait = if stuck { RETRY_AFTER } else { LOOK_EVERY };
            let mut state = signal
                .changed
                .wait_timeout_while(state, wait, |s| !s.stop && (stuck || !s.look))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            if state.stop {
                return;
            }
            state.look = false;
        }
        let stuck = match compactor.run_due(&|| signal.lock().look) {
            // What is due when all is done cannot be done.
            Ok(all) => all && compactor.is_behind(),
            Err(error) => {
                tracing::error!(
                    error = crate::maintain::chain(&error),
                    "compaction failed; nothing is lost, and it is tried again"
                );
                true
            }
        };
        signal.lock().stuck = stuck;
    }
}

/// Lowers the priority of this thread. A system that refuses is no reason not to compact.
fn give_way() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::debug!(%error, "cannot lower the priority of the compaction thread");
    }
}

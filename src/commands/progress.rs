//! How far a long command is: a line on the terminal with rate and time left, drawn again a few times a second and
//! gone at the end. Where standard error is no terminal there is none of it.
//!
//! A thread of its own draws, so that a command that hangs is seen to hang and none is slowed down. What a command
//! prints meanwhile goes through [`Progress::aside`], which takes the line away first.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::text;

/// Between two drawings.
const INTERVAL: Duration = Duration::from_millis(250);
/// A command that is over sooner draws nothing.
const QUIET: Duration = Duration::from_millis(700);
/// Signs of the bar.
const BAR_CHARS: usize = 24;
/// Clears the line.
const CLEAR: &str = "\r\x1b[K";

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Bytes,
    Things,
}

/// See the module's head. Clones count for the same line.
#[derive(Clone, Debug)]
pub(super) struct Progress(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    what: String,
    unit: Unit,
    /// 0 where it is not known.
    total: AtomicU64,
    done: AtomicU64,
    begun: Instant,
    /// Held while the terminal is written to; whether a line stands there.
    drawn: Mutex<bool>,
}

/// Draws until it is dropped.
#[derive(Debug)]
pub(super) struct Drawing {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Counts up to `total`, 0 where that is not known. The line is there as long as what comes with it.
    pub(super) fn begin(what: impl Into<String>, total: u64, unit: Unit) -> (Self, Drawing) {
        Self::begin_if(true, what, total, unit)
    }

    /// As [`Progress::begin`], and never drawn unless `is_wanted`: what a command prints may be its data.
    pub(super) fn begin_if(
        is_wanted: bool,
        what: impl Into<String>,
        total: u64,
        unit: Unit,
    ) -> (Self, Drawing) {
        let progress = Self(Arc::new(Shared {
            what: what.into(),
            unit,
            total: AtomicU64::new(total),
            done: AtomicU64::new(0),
            begun: Instant::now(),
            drawn: Mutex::new(false),
        }));
        let mut drawing = Drawing {
            stop: None,
            thread: None,
        };
        if is_wanted && io::stderr().is_terminal() {
            let (stop, stopped) = mpsc::channel::<()>();
            let own = progress.clone();
            drawing.stop = Some(stop);
            drawing.thread = Some(std::thread::spawn(move || {
                while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                    own.draw();
                }
                own.aside(|| {});
            }));
        }
        (progress, drawing)
    }

    /// So much more is done.
    pub(super) fn add(&self, amount: u64) {
        self.0.done.fetch_add(amount, Ordering::Relaxed);
    }

    /// It is so much more in all than was said.
    pub(super) fn expect(&self, amount: u64) {
        self.0.total.fetch_add(amount, Ordering::Relaxed);
    }

    /// What was counted was the way to here; from now on it is up to `total`.
    pub(super) fn restart(&self, total: u64) {
        self.0.total.store(total, Ordering::Relaxed);
        self.0.done.store(0, Ordering::Relaxed);
    }

    /// Prints something that stays, above the line.
    pub(super) fn aside(&self, print: impl FnOnce()) {
        let mut drawn = self.0.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut *drawn) {
            let _ = io::stderr().write_all(CLEAR.as_bytes());
        }
        print();
    }

    fn draw(&self) {
        let elapsed = self.0.begun.elapsed();
        if elapsed < QUIET {
            return;
        }
        let line = line(
            &self.0.what,
            self.0.done.load(Ordering::Relaxed),
            self.0.total.load(Ordering::Relaxed),
            elapsed,
            self.0.unit,
        );
        let mut drawn = self.0.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        // That the terminal is gone is no reason to end.
        let _ = write!(io::stderr(), "{CLEAR}{line}");
        *drawn = true;
    }
}

impl Drop for Drawing {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn line(what: &str, done: u64, total: u64, elapsed: Duration, unit: Unit) -> String {
    let amount = |n: u64| match unit {
        Unit::Bytes => text::bytes(n),
        Unit::Things => text::count(n),
    };
    let per_s = (done as f64 / elapsed.as_secs_f64().max(0.001)) as u64;
    let rate = format!("{}/s", amount(per_s));
    // Some is read twice: what is over its total is nearly done.
    let done = if total == 0 { done } else { done.min(total) };
    if total == 0 {
        return format!("{what}: {}, {rate}, {}", amount(done), span(elapsed));
    }
    let filled = usize::try_from(done.saturating_mul(BAR_CHARS as u64) / total).unwrap_or(0);
    let percent = done.saturating_mul(100) / total;
    let left = match per_s {
        0 => "time left unknown".to_owned(),
        rate => format!("{} left", span(Duration::from_secs((total - done) / rate))),
    };
    format!(
        "{what}: [{:#<filled$}{:.<empty$}] {percent:>3} % of {}, {rate}, {left}",
        "",
        "",
        amount(total),
        empty = BAR_CHARS - filled.min(BAR_CHARS),
    )
}

fn span(time: Duration) -> String {
    match time.as_secs() {
        s @ ..60 => format!("{s} s"),
        s @ ..3600 => format!("{} min {} s", s / 60, s % 60),
        s => format!("{} h {} min", s / 3600, s % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(done: u64, total: u64, elapsed_s: u64, expected: &str) {
        let elapsed = Duration::from_secs(elapsed_s);
        assert_eq!(line("verify", done, total, elapsed, Unit::Bytes), expected);
    }

    #[test]
    fn a_line_tells_share_rate_and_time_left() {
        check(
            1 << 20,
            4 << 20,
            2,
            "verify: [######..................]  25 % of 4.0 MiB, 512.0 KiB/s, 6 s left",
        );
        check(
            0,
            4 << 20,
            2,
            "verify: [........................]   0 % of 4.0 MiB, 0 B/s, time left unknown",
        );
        check(
            9 << 20,
            4 << 20,
            1,
            "verify: [########################] 100 % of 4.0 MiB, 9.0 MiB/s, 0 s left",
        );
        check(3 << 20, 0, 90, "verify: 3.0 MiB, 34.1 KiB/s, 1 min 30 s");
    }

    #[test]
    fn nothing_is_drawn_where_there_is_no_terminal() {
        // Of a test: standard error is caught, or a pipe; if it is a terminal the line goes again.
        let (progress, drawing) = Progress::begin("x", 2, Unit::Things);
        progress.add(1);
        assert_eq!(drawing.thread.is_some(), io::stderr().is_terminal());
        drop(drawing);
        let mut said = false;
        progress.aside(|| said = true);
        assert!(said && !*progress.0.drawn.lock().unwrap());
    }
}

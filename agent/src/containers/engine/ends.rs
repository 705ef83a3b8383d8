//! The ends of containers, seen at once.
//!
//! An engine tells of an end when it has cleaned up: then the group with the last numbers is gone. So the first
//! process of each container is watched, by a descriptor of its own (`pidfd_open(2)`), and its group is read the
//! moment it ends, which is some milliseconds before. Where that cannot be (another view of processes than the
//! engine's, an old kernel, no descriptors left), a container's last numbers are those of the last gather.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Poll, Token};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::containers::registry::Meta;

/// Of more containers, the ends are not watched.
const WATCHED_MAX: usize = 5_000;
/// Handled at once; of more at the same moment the others come next.
const EVENTS_MAX: usize = 64;
/// Stands for the stream of the engine's events.
const STREAM: Token = Token(0);

/// The processes that are watched, and the stream that is waited for beside them.
#[derive(Debug)]
pub(super) struct Ends {
    poll: Poll,
    events: mio::Events,
    /// By container: its process and the number it has in `poll`.
    watched: BTreeMap<String, Watched>,
    next: usize,
}

#[derive(Debug)]
struct Watched {
    pid: u64,
    token: Token,
    /// Closed, it leaves the poll.
    _process: OwnedFd,
}

impl Ends {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: mio::Events::with_capacity(EVENTS_MAX),
            watched: BTreeMap::new(),
            next: STREAM.0 + 1,
        })
    }

    /// Waits for this stream, too. What came before is to be read first.
    pub(super) fn add_stream(&self, stream: RawFd) -> io::Result<()> {
        let mut source = SourceFd(&stream);
        self.poll
            .registry()
            .register(&mut source, STREAM, Interest::READABLE)
    }

    /// Watches the process of a container that runs.
    pub(super) fn watch(&mut self, meta: &Meta) {
        let is_watched = |watched: &Watched| watched.pid == meta.pid;
        if meta.pid == 0 || self.watched.get(&meta.id).is_some_and(is_watched) {
            return;
        }
        self.watched.remove(&meta.id);
        if self.watched.len() < WATCHED_MAX && is_of_container(meta) {
            // What cannot be watched is known from the engine alone.
            let _ = self.add(meta);
        }
    }

    fn add(&mut self, meta: &Meta) -> io::Result<()> {
        let pid = i32::try_from(meta.pid).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or(io::ErrorKind::InvalidInput)?;
        let process = pidfd_open(pid, PidfdFlags::empty())?;
        let token = Token(self.next);
        let descriptor = process.as_raw_fd();
        let mut source = SourceFd(&descriptor);
        self.poll
            .registry()
            .register(&mut source, token, Interest::READABLE)?;
        self.next += 1;
        let watched = Watched {
            pid: meta.pid,
            token,
            _process: process,
        };
        self.watched.insert(meta.id.clone(), watched);
        Ok(())
    }

    /// Forgets a container.
    pub(super) fn forget(&mut self, id: &str) {
        self.watched.remove(id);
    }

    /// Waits until the stream has something, or for `patience`; the containers that ended meanwhile, which are
    /// watched no more.
    pub(super) fn wait(&mut self, patience: Duration) -> io::Result<Vec<String>> {
        match self.poll.poll(&mut self.events, Some(patience)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(Vec::new()),
            other => other?,
        }
        let mut ended = Vec::new();
        for event in &self.events {
            let of_event = |(_, watched): &(&String, &Watched)| watched.token == event.token();
            if let Some((id, _)) = self.watched.iter().find(of_event) {
                ended.push(id.clone());
            }
        }
        for id in &ended {
            self.watched.remove(id);
        }
        Ok(ended)
    }
}

/// Whether the process of that number is, in this process's own view, one of the container: the engine may have
/// another view.
fn is_of_container(meta: &Meta) -> bool {
    let groups = std::fs::read(format!("/proc/{}/cgroup", meta.pid)).unwrap_or_default();
    memchr::memmem::find(&groups, meta.id.as_bytes()).is_some()
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    use std::process::Command;

    use super::*;

    fn meta(id: &str, pid: u32) -> Meta {
        Meta {
            id: id.to_owned(),
            pid: pid.into(),
            ..Meta::default()
        }
    }

    #[test]
    fn an_end_and_news_both_wake() {
        let mut ends = Ends::new().unwrap();
        let (mut engine, stream) = UnixStream::pair().unwrap();
        ends.add_stream(stream.as_raw_fd()).unwrap();
        let mut child = Command::new("sleep").arg("100").spawn().unwrap();
        // Past the look at its group, which is this test's own.
        ends.add(&meta("a", child.id())).unwrap();
        assert!(ends.wait(Duration::from_millis(1)).unwrap().is_empty());
        let began = std::time::Instant::now();
        engine.write_all(b"x").unwrap();
        assert!(ends.wait(Duration::from_secs(60)).unwrap().is_empty());
        child.kill().unwrap();
        assert_eq!(ends.wait(Duration::from_secs(60)).unwrap(), ["a"]);
        assert!(began.elapsed() < Duration::from_secs(60), "it did not wait");
        assert!(ends.watched.is_empty(), "once is enough");
        child.wait().unwrap();
    }

    #[test]
    fn a_process_that_is_not_the_containers_is_not_watched() {
        let mut ends = Ends::new().unwrap();
        for pid in [std::process::id(), 0, u32::MAX] {
            ends.watch(&meta(&"ab".repeat(32), pid));
        }
        assert!(ends.watched.is_empty());
    }
}

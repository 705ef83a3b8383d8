//! Asks file systems how full they are without ever waiting for a dead one for long.
//!
//! `statfs(2)` on a mount whose NFS server is gone does not return. So each call is made on a
//! helper thread and waited for until a deadline. A thread that misses it is left alone with its
//! mount, which is not asked again until the thread comes back, and another helper takes its
//! place. What always holds: at most [`STUCK_MAX`] threads wait for dead mounts; the last places
//! are kept for file systems that do not need a network.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::time::Duration;

use thiserror::Error;

/// Threads that may hang at a time.
const STUCK_MAX: usize = 8;
/// Of these, those that only file systems of this host may use.
const STUCK_KEPT_FOR_LOCAL: usize = 2;
/// Enough for one system call.
const STACK_BYTES: usize = 64 << 10;

/// Space and inodes of a file system, in bytes and numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) total: u64,
    /// What ordinary users may still write.
    pub(super) free: u64,
    pub(super) used: u64,
    pub(super) inodes_total: u64,
    pub(super) inodes_free: u64,
}

/// Why there is no answer about a mount.
#[derive(Debug, Error)]
pub(super) enum ProbeError {
    #[error("statfs failed: {0}")]
    Failed(io::Error),
    #[error("statfs did not return within {} ms; the mount is left out until it does", .0.as_millis())]
    Hangs(Duration),
    /// Said when the mount began to hang; not again at each gather.
    #[error("statfs still hangs")]
    StillHangs,
    #[error("not asked: {0} mounts hang")]
    TooMany(usize),
    #[error("no thread to ask it on: {0}")]
    NoThread(io::Error),
}

type Ask = dyn Fn(&Path) -> io::Result<Usage> + Send + Sync;
type Answer = io::Result<Usage>;
type Answered = Result<Usage, ProbeError>;

/// The helper threads.
pub(super) struct Prober {
    ask: Arc<Ask>,
    deadline: Duration,
    helper: Option<Helper>,
    stuck: Vec<(PathBuf, Receiver<Answer>)>,
}

struct Helper {
    questions: Sender<PathBuf>,
    answers: Receiver<Answer>,
}

impl std::fmt::Debug for Prober {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let stuck: Vec<_> = self.stuck.iter().map(|(path, _)| path).collect();
        f.debug_struct("Prober").field("stuck", &stuck).finish()
    }
}

impl Prober {
    /// Asks with `ask`, and waits `deadline` for each answer.
    pub(super) fn new(
        deadline: Duration,
        ask: impl Fn(&Path) -> io::Result<Usage> + Send + Sync + 'static,
    ) -> Self {
        Self {
            ask: Arc::new(ask),
            deadline,
            helper: None,
            stuck: Vec::new(),
        }
    }

    /// How full the file systems at these paths are, each with whether another host answers for it; in order.
    pub(super) fn ask_all(&mut self, mounts: &[(PathBuf, bool)]) -> Vec<Answered> {
        self.release();
        let mut results: Vec<Option<Answered>> = mounts.iter().map(|_| None).collect();
        // All questions go to a helper at once. Where it stays with one, those behind it go to another.
        loop {
            let mut asked = Vec::new();
            for (result, (path, needs_network)) in results.iter_mut().zip(mounts) {
                if result.is_none() {
                    match self.refusal(path, *needs_network) {
                        Some(refusal) => *result = Some(Err(refusal)),
                        None => asked.push((result, path)),
                    }
                }
            }
            if asked.is_empty() {
                break;
            }
            let helper = match self.helper.take() {
                Some(helper) => Ok(helper),
                None => Helper::start(Arc::clone(&self.ask)),
            };
            match helper {
                Ok(helper) => self.hear(helper, asked),
                Err(error) => {
                    for (result, _) in asked {
                        *result = Some(Err(ProbeError::NoThread(error.kind().into())));
                    }
                }
            }
        }
        // None is left without one.
        results.into_iter().flatten().collect()
    }

    /// Asks `helper` about all of `asked`, and takes its answers until one does not come.
    fn hear(&mut self, helper: Helper, asked: Vec<(&mut Option<Answered>, &PathBuf)>) {
        for (_, path) in &asked {
            // One that ended does not answer, which shows below.
            let _ = helper.questions.send((*path).clone());
        }
        for (result, path) in asked {
            match helper.answers.recv_timeout(self.deadline) {
                Ok(answer) => *result = Some(answer.map_err(ProbeError::Failed)),
                Err(RecvTimeoutError::Timeout) => {
                    // Without its questions' sender the thread ends as soon as the call returns, or with the next
                    // answer that nobody takes.
                    self.stuck.push((path.clone(), helper.answers));
                    *result = Some(Err(ProbeError::Hangs(self.deadline)));
                    return;
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let gone = io::Error::other("the helper thread ended");
                    *result = Some(Err(ProbeError::Failed(gone)));
                    return;
                }
            }
        }
        self.helper = Some(helper);
    }

    /// Why the file system at `path` is not asked.
    fn refusal(&self, path: &Path, needs_network: bool) -> Option<ProbeError> {
        if self.stuck.iter().any(|(stuck, _)| stuck == path) {
            return Some(ProbeError::StillHangs);
        }
        let kept = if needs_network {
            STUCK_KEPT_FOR_LOCAL
        } else {
            0
        };
        (self.stuck.len() + kept >= STUCK_MAX).then_some(ProbeError::TooMany(self.stuck.len()))
    }

    /// Forgets the mounts whose threads came back.
    fn release(&mut self) {
        self.stuck
            .retain(|(_, answers)| matches!(answers.try_recv(), Err(TryRecvError::Empty)));
    }
}

impl Helper {
    fn start(ask: Arc<Ask>) -> io::Result<Self> {
        let (questions, asked) = channel::<PathBuf>();
        let (answer, answers) = channel();
        std::thread::Builder::new()
            .name("agent-statfs".into())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                while let Ok(path) = asked.recv() {
                    if answer.send(ask(&path)).is_err() {
                        return;
                    }
                }
            })?;
        Ok(Self { questions, answers })
    }
}

/// The kernel's answer (`shirou/gopsutil disk/disk_unix.go`).
pub(super) fn statfs(path: &Path) -> io::Result<Usage> {
    let stat = rustix::fs::statfs(path)?;
    let block_bytes = u64::try_from(stat.f_bsize).unwrap_or(0);
    let bytes = |blocks: u64| blocks.saturating_mul(block_bytes);
    Ok(Usage {
        total: bytes(stat.f_blocks),
        free: bytes(stat.f_bavail),
        used: bytes(stat.f_blocks.saturating_sub(stat.f_bfree)),
        inodes_total: stat.f_files,
        inodes_free: stat.f_ffree,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::sync_channel;

    use super::*;

    impl Prober {
        fn ask(&mut self, path: &Path, needs_network: bool) -> Answered {
            let mut answers = self.ask_all(&[(path.to_path_buf(), needs_network)]);
            assert_eq!(answers.len(), 1);
            answers.remove(0)
        }
    }

    /// A file system where paths under `/dead` hang until told to go on.
    fn prober() -> (Prober, std::sync::mpsc::SyncSender<()>) {
        let (wake, sleeping) = sync_channel(0);
        let sleeping = Mutex::new(sleeping);
        // Long enough for a busy machine to answer in time.
        let prober = Prober::new(Duration::from_millis(250), move |path| {
            if path.starts_with("/dead") {
                let _ = sleeping.lock().unwrap().recv();
            }
            if path == Path::new("/denied") {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            Ok(Usage {
                total: 7,
                ..Usage::default()
            })
        });
        (prober, wake)
    }

    #[test]
    fn a_dead_mount_is_waited_for_once_and_the_others_answer() {
        let (mut prober, wake) = prober();
        assert_eq!(prober.ask(Path::new("/"), false).unwrap().total, 7);
        let dead = Path::new("/dead");
        assert!(matches!(prober.ask(dead, true), Err(ProbeError::Hangs(_))));
        assert!(matches!(
            prober.ask(dead, true),
            Err(ProbeError::StillHangs)
        ));
        assert_eq!(prober.ask(Path::new("/"), false).unwrap().total, 7);
        // The server is back: the thread returns, and the mount is asked again.
        wake.send(()).unwrap();
        while matches!(prober.ask(dead, true), Err(ProbeError::StillHangs)) {
            std::thread::yield_now();
        }
        assert!(prober.stuck.len() <= 1);
    }

    #[test]
    fn mounts_behind_a_dead_one_are_asked_by_another_helper() {
        let (mut prober, _wake) = prober();
        let mounts = ["/", "/dead/1", "/denied", "/a", "/dead/2", "/b"];
        let mounts = mounts.map(|path| (PathBuf::from(path), false));
        let answers = prober.ask_all(&mounts);
        let what = |answer: &Answered| match answer {
            Ok(_) => "usage",
            Err(ProbeError::Failed(_)) => "failed",
            Err(ProbeError::Hangs(_)) => "hangs",
            Err(ProbeError::StillHangs) => "still",
            Err(other) => panic!("{other}"),
        };
        let heard: Vec<&str> = answers.iter().map(what).collect();
        assert_eq!(
            heard,
            ["usage", "hangs", "failed", "usage", "hangs", "usage"]
        );
        let again: Vec<&str> = prober.ask_all(&mounts).iter().map(what).collect();
        assert_eq!(
            again,
            ["usage", "still", "failed", "usage", "still", "usage"]
        );
        assert_eq!(prober.stuck.len(), 2);
        assert!(prober.ask_all(&[]).is_empty());
    }

    #[test]
    fn dead_network_mounts_leave_places_for_local_ones() {
        let (mut prober, _wake) = prober();
        let mut hanging = 0;
        for number in 0..STUCK_MAX * 2 {
            let path = PathBuf::from(format!("/dead/{number}"));
            match prober.ask(&path, true).unwrap_err() {
                ProbeError::Hangs(_) => hanging += 1,
                ProbeError::TooMany(stuck) => assert_eq!(stuck, hanging),
                other => panic!("{other}"),
            }
        }
        assert_eq!(hanging, STUCK_MAX - STUCK_KEPT_FOR_LOCAL);
        assert_eq!(prober.ask(Path::new("/"), false).unwrap().total, 7);
    }

    #[test]
    fn an_error_is_an_answer() {
        let (mut prober, _wake) = prober();
        let error = prober.ask(Path::new("/denied"), false).unwrap_err();
        assert!(matches!(error, ProbeError::Failed(_)), "{error}");
        assert_eq!(prober.ask(Path::new("/"), false).unwrap().total, 7);
    }

    #[test]
    fn the_root_has_a_size() {
        let usage = statfs(Path::new("/")).unwrap();
        assert!(usage.total > 0 && usage.used <= usage.total);
    }
}

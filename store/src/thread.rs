//! Threads of the store. A panic in one stops the process.
//!
//! A store whose flushes or compactions have silently ended would take writes until memory is used up, and
//! then none. The binary ends at every panic; here the same holds where panics unwind, as in tests.

use std::io;
use std::thread::{Builder, JoinHandle};

/// Starts a thread.
pub(crate) fn spawn(
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let fuse = Fuse(name.into());
    Builder::new().name(name.into()).spawn(move || {
        let _fuse = fuse;
        work();
    })
}

struct Fuse(String);

impl Drop for Fuse {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(
                thread = self.0,
                "a thread of the store panicked; the process ends"
            );
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Stdio};

    use super::*;

    const CHILD: &str = "TANDEM_TEST_PANICKING_CHILD";

    #[test]
    fn a_panic_ends_the_process() {
        if std::env::var_os(CHILD).is_some() {
            let thread = spawn("store-test", || panic!("as it should")).unwrap();
            let _ = thread.join();
            return;
        }
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "thread::tests::a_panic_ends_the_process"])
            .env(CHILD, "1")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert_eq!(child.signal(), Some(6), "{child}");
    }

    #[test]
    fn a_thread_that_ends_ends_nothing() {
        spawn("store-test", || {}).unwrap().join().unwrap();
    }
}

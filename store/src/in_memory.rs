//! Work that must not wait for a disk.
//!
//! A thread that has more to do may read what is decoded already, and nothing else: within [`in_memory`] every read of
//! a block file on this thread fails at once. What fails so is to be done again elsewhere.

use std::cell::Cell;
use std::io;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Free,
    InMemory,
    /// A read was refused.
    Refused,
}

thread_local! {
    static MODE: Cell<Mode> = const { Cell::new(Mode::Free) };
}

/// Runs `work` without waiting for a disk. Also says whether that was in vain: whether something had to be read, so
/// that what `work` returned means nothing.
pub fn in_memory<T>(work: impl FnOnce() -> T) -> (T, bool) {
    /// Also after a panic the thread is free again.
    struct Free;
    impl Drop for Free {
        fn drop(&mut self) {
            MODE.set(Mode::Free);
        }
    }
    MODE.set(Mode::InMemory);
    let _free = Free;
    let result = work();
    (result, MODE.get() == Mode::Refused)
}

/// Fails where nothing may be read.
pub(crate) fn check() -> io::Result<()> {
    if MODE.get() == Mode::Free {
        return Ok(());
    }
    MODE.set(Mode::Refused);
    Err(io::ErrorKind::WouldBlock.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_fail_inside_and_are_remembered() {
        assert!(check().is_ok());
        assert_eq!(in_memory(|| 7), (7, false));
        let (inside, in_vain) = in_memory(|| {
            let elsewhere = std::thread::spawn(|| check().is_ok()).join().unwrap();
            (check().unwrap_err().kind(), elsewhere)
        });
        assert_eq!((inside, in_vain), ((io::ErrorKind::WouldBlock, true), true));
        assert!(check().is_ok());
        let panicked = std::panic::catch_unwind(|| in_memory(|| panic!("a bug")));
        assert!(panicked.is_err() && check().is_ok());
    }
}

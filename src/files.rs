//! How many files the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the number of open files as far as the system lets it, as programs in Go do by themselves. Systems
/// start with 1,024 for the sake of an old call that is not used here; connections and block files need more.
pub(crate) fn allow_many() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // Without it, fewer connections are taken, and a line in the log says so.
        let _ = setrlimit(
            Resource::Nofile,
            Rlimit {
                current: limit.maximum,
                maximum: limit.maximum,
            },
        );
    }
}

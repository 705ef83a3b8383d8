//! Follows a container engine over its API (Docker's, which Podman speaks too): the list once,
//! then its events. Numbers are never asked for.
//!
//! A thread of its own does so, because an engine may hang: nothing waits for it. While events come
//! in, the state in the [`Registry`] is the engine's; when the connection breaks, the state stays
//! and the thread starts over, after a pause that grows.

mod answers;
mod chunks;
mod disk_usage;
mod ends;
mod follow;
mod socket;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use thiserror::Error;

use super::registry::Registry;
use crate::roots::Roots;

/// Enough for parsing answers, whose nesting is bounded.
const STACK_BYTES: usize = 512 << 10;

/// Where an engine listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// A socket in the file system.
    Unix(PathBuf),
    /// `host:port`, such as a proxy that lets only harmless questions through.
    Tcp(String),
}

/// A text is no endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is no engine's address; give it as unix:///var/run/docker.sock or tcp://HOST:PORT")]
pub(crate) struct EndpointError(String);

/// A running follower; dropped, its thread ends soon.
#[derive(Debug)]
pub(crate) struct Engine {
    stop: Arc<AtomicBool>,
}

impl Endpoint {
    /// Takes a text apart.
    pub(crate) fn parse(text: &str) -> Result<Self, EndpointError> {
        let bad = || EndpointError(text.to_owned());
        let (scheme, rest) = text.split_once("://").ok_or_else(bad)?;
        let rest = rest.trim_end_matches('/');
        match scheme {
            "unix" if rest.starts_with('/') => Ok(Self::Unix(rest.into())),
            "tcp" | "http" if rest.contains(':') && !rest.contains('/') => {
                Ok(Self::Tcp(rest.to_owned()))
            }
            _ => Err(bad()),
        }
    }
}

impl Engine {
    /// Starts to follow; what is learnt goes into `registry`.
    ///
    /// # Errors
    /// Where there is no thread to be had.
    pub(crate) fn start(
        endpoint: Endpoint,
        registry: Arc<Registry>,
        roots: Roots,
        tag_env: Vec<String>,
        asks_disk_usage: bool,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let mut follower = follow::Follower::new(endpoint, registry, roots, tag_env, stopped);
        if asks_disk_usage {
            follower.ask_disk_usage();
        }
        std::thread::Builder::new()
            .name("agent-engine".into())
            .stack_size(STACK_BYTES)
            .spawn(move || follower.run())?;
        Ok(Self { stop })
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;

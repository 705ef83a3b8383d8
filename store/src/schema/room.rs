//! What the schemas of all databases of a store may take together.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes in use and their bound.
#[derive(Debug)]
pub(crate) struct SchemaRoom {
    bytes: AtomicUsize,
    bytes_max: usize,
}

impl SchemaRoom {
    /// An empty one.
    pub(crate) const fn new(bytes_max: usize) -> Self {
        Self {
            bytes: AtomicUsize::new(0),
            bytes_max,
        }
    }

    /// Takes so many bytes; false when they are not there.
    pub(super) fn take(&self, bytes: usize) -> bool {
        let more = |used: usize| used.checked_add(bytes).filter(|all| *all <= self.bytes_max);
        let order = Ordering::Relaxed;
        self.bytes.fetch_update(order, order, more).is_ok()
    }

    /// Gives back what was taken.
    pub(super) fn give(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Bytes in use.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The bound of it.
    pub(crate) const fn bytes_max(&self) -> usize {
        self.bytes_max
    }
}

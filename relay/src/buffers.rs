//! Buffers for large bodies, used again: fresh memory costs a page fault for every 4 KiB, which is more
//! than copying them.
//!
//! A small body gets memory of its own, exactly as long as it is. Bytes of a large one go back here when the
//! last backend has let go of them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;

/// Shorter bodies get memory of their own.
const LARGE_BYTES_MIN: usize = 128 << 10;
/// Capacities are multiples of this, so that one buffer fits bodies of about one length.
const STEP_BYTES: usize = 256 << 10;
/// What lies idle.
const IDLE_BYTES_MAX: usize = 16 << 20;

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    idle: Mutex<Idle>,
}

#[derive(Debug, Default)]
struct Idle {
    /// The last used one last.
    buffers: Vec<Vec<u8>>,
    bytes: usize,
}

/// A full buffer, on its way.
struct Lent {
    buffer: Vec<u8>,
    home: Weak<Buffers>,
}

impl Buffers {
    /// An empty buffer with room for so many bytes.
    pub(crate) fn take(&self, bytes: usize) -> Vec<u8> {
        if bytes < LARGE_BYTES_MIN {
            return Vec::with_capacity(bytes);
        }
        let mut idle = self.lock();
        // One that is far too large would pin what nobody uses.
        let fits = |buffer: &Vec<u8>| {
            (bytes..=bytes.saturating_mul(2).max(2 * STEP_BYTES)).contains(&buffer.capacity())
        };
        if let Some(at) = idle.buffers.iter().rposition(fits) {
            let mut buffer = idle.buffers.remove(at);
            idle.bytes -= buffer.capacity();
            buffer.clear();
            return buffer;
        }
        drop(idle);
        Vec::with_capacity(bytes.next_multiple_of(STEP_BYTES))
    }

    /// The bytes of a buffer; it comes back when nobody needs them any more.
    pub(crate) fn freeze(self: &Arc<Self>, buffer: Vec<u8>) -> Bytes {
        if buffer.capacity() < LARGE_BYTES_MIN {
            return buffer.into();
        }
        Bytes::from_owner(Lent {
            buffer,
            home: Arc::downgrade(self),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(home) = self.home.upgrade() {
            let buffer = std::mem::take(&mut self.buffer);
            let mut idle = home.lock();
            if idle.bytes + buffer.capacity() <= IDLE_BYTES_MAX {
                idle.bytes += buffer.capacity();
                idle.buffers.push(buffer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_buffer_comes_back_when_its_last_slice_is_dropped_and_a_small_one_does_not() {
        let buffers = Arc::new(Buffers::default());
        let mut buffer = buffers.take(1 << 20);
        let at = buffer.as_ptr();
        buffer.extend_from_slice(b"abc");
        let bytes = buffers.freeze(buffer);
        let slice = bytes.slice(1..2);
        drop(bytes);
        let other = buffers.take(1 << 20);
        assert!(other.as_ptr() != at, "still in use");
        assert_eq!(&slice[..], b"b");
        drop(slice);
        let again = buffers.take(900 << 10);
        assert_eq!((again.as_ptr(), again.len()), (at, 0));
        drop(buffers.freeze(again));
        assert!(
            buffers.take(200 << 10).capacity() < 1 << 20,
            "too large for this"
        );
        assert_eq!(buffers.freeze(b"x".to_vec()), "x");
    }

    #[test]
    fn what_lies_idle_is_bounded() {
        let buffers = Arc::new(Buffers::default());
        let taken: Vec<_> = (0..40).map(|_| buffers.take(1 << 20)).collect();
        for buffer in taken {
            drop(buffers.freeze(buffer));
        }
        assert!(buffers.lock().bytes <= IDLE_BYTES_MAX && !buffers.lock().buffers.is_empty());
    }
}

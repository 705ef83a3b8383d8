//! Buffers for bodies, used again: memory that is new for every request has to be zeroed by the kernel
//! first, which costs more than the parsing of what goes into it.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// Buffers kept for the next requests.
const KEPT_MAX: usize = 4;
/// Bytes of a buffer that is kept; together they are what an idle server may hold.
const KEPT_BYTES_MAX: usize = 4 << 20;

/// See the module's head.
#[derive(Clone, Debug, Default)]
pub(crate) struct Buffers {
    spare: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// A buffer that goes back when it is dropped.
#[derive(Debug)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    home: Buffers,
}

impl Buffers {
    /// An empty buffer.
    pub(crate) fn take(&self) -> Buffer {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        Buffer {
            bytes: spare.pop().unwrap_or_default(),
            home: self.clone(),
        }
    }
}

impl Deref for Buffer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        let mut spare = self
            .home
            .spare
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if (1..=KEPT_BYTES_MAX).contains(&bytes.capacity()) && spare.len() < KEPT_MAX {
            spare.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_empty_and_with_its_memory() {
        let buffers = Buffers::default();
        let mut buffer = buffers.take();
        buffer.extend_from_slice(&[7; 1000]);
        let at = buffer.as_ptr();
        drop(buffer);
        let again = buffers.take();
        assert_eq!((again.as_ptr(), again.len()), (at, 0));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let buffers = Buffers::default();
        let taken: Vec<Buffer> = (0..20)
            .map(|_| {
                let mut buffer = buffers.take();
                buffer.reserve(10);
                buffer
            })
            .collect();
        drop(taken);
        let mut large = buffers.take();
        large.reserve(KEPT_BYTES_MAX + 1);
        drop(large);
        let spare = buffers.spare.lock().unwrap();
        assert_eq!(spare.len(), KEPT_MAX - 1);
        assert!(spare.iter().all(|bytes| bytes.capacity() <= KEPT_BYTES_MAX));
    }
}

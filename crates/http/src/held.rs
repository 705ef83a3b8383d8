//! The bytes of bodies that are held at once: bounded, and taken as they come.
//!
//! A length that was announced takes nothing. Else a few senders that promise much and send nothing would
//! keep all others out.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::BodyError;

/// What is taken at a time once a body is larger than that.
const STEP_KIB: u32 = 64;

/// Room for the bodies of many requests.
#[derive(Clone, Debug)]
pub struct Room {
    free_kib: Arc<Semaphore>,
    max_kib: u32,
    wait: Duration,
}

/// What one body has of it, until this is dropped.
#[derive(Debug)]
pub struct Held {
    room: Room,
    permit: Option<OwnedSemaphorePermit>,
}

impl Room {
    /// Room for `bytes_max`, rounded up to a KiB; who needs more than is left waits for `wait` at most.
    #[must_use]
    pub fn new(bytes_max: usize, wait: Duration) -> Self {
        let max_kib = u32::try_from(bytes_max.div_ceil(1024)).unwrap_or(u32::MAX >> 4);
        let max_kib = max_kib.min(u32::MAX >> 4);
        Self {
            free_kib: Arc::new(Semaphore::new(max_kib as usize)),
            max_kib,
            wait,
        }
    }

    /// Nothing of it yet.
    #[must_use]
    pub fn begin(&self) -> Held {
        Held {
            room: self.clone(),
            permit: None,
        }
    }
}

impl Held {
    /// Takes what `bytes` need beyond what is held. A body that is larger than all the room takes all of it.
    ///
    /// # Errors
    /// [`BodyError::NoRoom`] when others hold it for too long.
    pub(crate) async fn cover(&mut self, bytes: u64) -> Result<(), BodyError> {
        let needed_kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX >> 4);
        let held_kib = self
            .permit
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits);
        let held_kib = u32::try_from(held_kib).unwrap_or(u32::MAX);
        if needed_kib.min(self.room.max_kib) <= held_kib {
            return Ok(());
        }
        let wanted_kib = match needed_kib {
            0..STEP_KIB => needed_kib,
            _ => needed_kib.next_multiple_of(STEP_KIB),
        };
        let more_kib = wanted_kib.min(self.room.max_kib) - held_kib;
        let taking = self.room.free_kib.clone().acquire_many_owned(more_kib);
        let Ok(Ok(more)) = tokio::time::timeout(self.room.wait, taking).await else {
            return Err(BodyError::NoRoom);
        };
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            None => self.permit = Some(more),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_are_taken_as_they_come_and_given_back() {
        let room = Room::new(200 << 10, Duration::from_millis(10));
        let free = || room.free_kib.available_permits();
        let (mut one, mut other) = (room.begin(), room.begin());
        assert_eq!(free(), 200);
        one.cover(1).await.unwrap();
        one.cover(1000).await.unwrap();
        assert_eq!(free(), 199);
        one.cover(65 << 10).await.unwrap();
        assert_eq!(free(), 72);
        assert!(matches!(
            other.cover(100 << 10).await,
            Err(BodyError::NoRoom)
        ));
        other.cover(50 << 10).await.unwrap();
        drop(one);
        assert_eq!(free(), 150);
        drop(other);
        // A body that is larger than the room takes all of it.
        let mut large = room.begin();
        large.cover(u64::MAX).await.unwrap();
        large.cover(u64::MAX).await.unwrap();
        assert_eq!(free(), 0);
        drop(large);
        assert_eq!(free(), 200);
    }
}

//! The contents of a simulated file: what programs see, what the disk has, and the changes between the two.

use std::mem;

use crate::Rng;

/// The unit in which a disk writes whole or not at all.
const SECTOR_BYTES: u64 = 512;

/// A file's contents.
#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    /// What a read sees.
    pub(super) cached: Vec<u8>,
    /// What is sure to be on the disk.
    durable: Vec<u8>,
    /// What has changed since the last sync, in order.
    unsynced: Vec<Change>,
    /// Space set aside, counted as used.
    pub(super) reserved_bytes: u64,
}

#[derive(Clone, Debug)]
enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    SetLen(u64),
}

impl Contents {
    pub(super) fn used_bytes(&self) -> u64 {
        self.reserved_bytes.max(self.cached.len() as u64)
    }

    pub(super) fn read(&self, buf: &mut [u8], offset: u64) -> usize {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let held = self.cached.get(offset..).unwrap_or_default();
        let count = held.len().min(buf.len());
        buf[..count].copy_from_slice(&held[..count]);
        count
    }

    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) {
        if bytes.is_empty() {
            return;
        }
        put(&mut self.cached, bytes, offset);
        self.unsynced.push(Change::Write {
            offset,
            bytes: bytes.to_owned(),
        });
    }

    pub(super) fn set_len(&mut self, len: u64) {
        if len == self.cached.len() as u64 {
            // Nothing to do, as far as the system knows: after a failed sync the disk may differ.
            return;
        }
        self.cached.resize(len as usize, 0);
        self.reserved_bytes = self.reserved_bytes.min(len);
        self.unsynced.push(Change::SetLen(len));
    }

    /// Brings what has changed since the last sync to the disk, and no more: see [`Contents::fail_sync`].
    pub(super) fn sync(&mut self) {
        for change in mem::take(&mut self.unsynced) {
            change.apply(&mut self.durable);
        }
    }

    /// A sync that failed: some of the changes reached the disk, and none is tried again, because the kernel takes the
    /// pages for clean now. Reads still see them.
    pub(super) fn fail_sync(&mut self, rng: &mut Rng) {
        for change in mem::take(&mut self.unsynced) {
            change.survive(&mut self.durable, rng);
        }
    }

    /// The contents after a power loss.
    pub(super) fn after_crash(&self, fate: Fate, rng: &mut Rng) -> Contents {
        let mut found = self.durable.clone();
        match fate {
            Fate::AllLost => {}
            Fate::AllKept => {
                for change in &self.unsynced {
                    change.apply(&mut found);
                }
            }
            Fate::Mixed => {
                for change in &self.unsynced {
                    change.survive(&mut found, rng);
                }
            }
        }
        Contents {
            cached: found.clone(),
            durable: found,
            unsynced: Vec::new(),
            reserved_bytes: 0,
        }
    }
}

/// What a power loss does to all that was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    AllLost,
    AllKept,
    /// Each change has its own fate.
    Mixed,
}

impl Change {
    fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Change::Write { offset, bytes } => put(image, bytes, *offset),
            Change::SetLen(len) => image.resize(*len as usize, 0),
        }
    }

    /// Applies the change as a power loss may leave it: whole, not at all, up to some byte, or in some of its sectors.
    fn survive(&self, image: &mut Vec<u8>, rng: &mut Rng) {
        match self {
            Change::SetLen(_) => {
                if rng.chance(50) {
                    self.apply(image);
                }
            }
            Change::Write { offset, bytes } => match rng.within(0..4) {
                0 => {}
                1 => self.apply(image),
                2 => put(image, &bytes[..rng.below(bytes.len() + 1)], *offset),
                _ => put_some_sectors(image, bytes, *offset, rng),
            },
        }
    }
}

fn put_some_sectors(image: &mut Vec<u8>, bytes: &[u8], offset: u64, rng: &mut Rng) {
    let end = offset + bytes.len() as u64;
    if rng.chance(50) && (image.len() as u64) < end {
        // The length was written, the data not: zeros.
        image.resize(end as usize, 0);
    }
    let mut from = offset;
    while from < end {
        let to = end.min((from / SECTOR_BYTES + 1) * SECTOR_BYTES);
        if rng.chance(50) {
            let sector = &bytes[(from - offset) as usize..(to - offset) as usize];
            put(image, sector, from);
        }
        from = to;
    }
}

fn put(image: &mut Vec<u8>, bytes: &[u8], offset: u64) {
    if bytes.is_empty() {
        return;
    }
    let start = offset as usize;
    let end = start + bytes.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    image[start..end].copy_from_slice(bytes);
}

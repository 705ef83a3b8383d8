//! Words in blocks, addressed by 32 bits: where the rows of a memtable lie.
//!
//! What is allocated never moves and is never freed alone: the whole goes at once. Blocks grow from
//! a few KiB to 256 KiB, so that a memtable of a few rows is small and a large one wastes little.

/// Bits of an address that say where in its block.
const OFFSET_BITS: u32 = 15;
/// Words of a block, but for one that holds a single allocation longer than that.
const BLOCK_WORDS_MAX: usize = 1 << OFFSET_BITS;
/// Words of the first block.
const BLOCK_WORDS_MIN: usize = 256;

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Words {
    blocks: Vec<Vec<u64>>,
    bytes: usize,
}

impl Words {
    /// Takes `count` zeros and returns their address.
    pub(super) fn allocate(&mut self, count: usize) -> u32 {
        let fits = self
            .blocks
            .last()
            .is_some_and(|block| block.len() + count <= block.capacity().min(BLOCK_WORDS_MAX));
        if !fits {
            let usual = BLOCK_WORDS_MIN << self.blocks.len().min(7);
            let block = Vec::with_capacity(count.max(usual.min(BLOCK_WORDS_MAX)));
            self.bytes += block.capacity() * 8 + size_of::<Vec<u64>>();
            self.blocks.push(block);
        }
        let block_number = self.blocks.len() - 1;
        let block = &mut self.blocks[block_number];
        let offset = block.len();
        block.resize(offset + count, 0);
        let address = block_number << OFFSET_BITS | offset;
        u32::try_from(address).expect("a memtable is bounded to 2 GiB, addresses reach 32")
    }

    /// The words from an address to the end of its block.
    pub(super) fn from(&self, address: u32) -> &[u64] {
        let (block, offset) = split(address);
        &self.blocks[block][offset..]
    }

    /// As [`Words::from`], to be changed.
    pub(super) fn tail_mut(&mut self, address: u32) -> &mut [u64] {
        let (block, offset) = split(address);
        &mut self.blocks[block][offset..]
    }

    /// Bytes taken from the allocator.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// What [`Words::bytes`] must be, counted anew.
    #[cfg(test)]
    pub(super) fn bytes_counted(&self) -> usize {
        let blocks = self.blocks.iter();
        blocks
            .map(|block| block.capacity() * 8 + size_of::<Vec<u64>>())
            .sum()
    }
}

const fn split(address: u32) -> (usize, usize) {
    (
        (address >> OFFSET_BITS) as usize,
        address as usize & (BLOCK_WORDS_MAX - 1),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_at_an_address_stays_there() {
        let mut words = Words::default();
        let mut places = Vec::new();
        for count in (0..600).map(|n| 1 + n * 7 % 400).chain([100_000, 3]) {
            let address = words.allocate(count);
            assert!(words.from(address)[..count].iter().all(|w| *w == 0));
            words.tail_mut(address)[..count].fill(address.into());
            places.push((address, count));
        }
        for (address, count) in places {
            let stored = &words.from(address)[..count];
            assert!(stored.iter().all(|w| *w == u64::from(address)));
        }
        assert_eq!(words.bytes(), words.bytes_counted());
    }
}

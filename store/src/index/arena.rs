//! Items in blocks, addressed by 32 bits: where the texts and records of the index lie.
//!
//! What is pushed lies in one piece and never moves. It is freed as a whole, when the index is
//! written anew without what was removed from it. `OFFSET_BITS` of an address say where in a
//! block, so a block has at most `1 << OFFSET_BITS` items; the first one starts small.

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Arena<T, const OFFSET_BITS: u32> {
    blocks: Vec<Vec<T>>,
}

impl<T: Copy, const OFFSET_BITS: u32> Arena<T, OFFSET_BITS> {
    const BLOCK_ITEMS: usize = 1 << OFFSET_BITS;

    /// Copies `items`, at most a block of them, and returns their address.
    pub(super) fn push(&mut self, items: &[T]) -> u32 {
        assert!(items.len() <= Self::BLOCK_ITEMS, "keys are bounded");
        let fits = self
            .blocks
            .last()
            .is_some_and(|block| block.len() + items.len() < Self::BLOCK_ITEMS);
        if !fits {
            let full = if self.blocks.is_empty() {
                0
            } else {
                Self::BLOCK_ITEMS
            };
            self.blocks.push(Vec::with_capacity(full.max(items.len())));
        }
        let number = self.blocks.len() - 1;
        let block = &mut self.blocks[number];
        let address = (number << OFFSET_BITS) + block.len();
        block.extend_from_slice(items);
        u32::try_from(address).expect("nothing is pushed when the arena is full")
    }

    /// The items from an address to the end of its block.
    pub(super) fn from(&self, address: u32) -> &[T] {
        let block = &self.blocks[(address >> OFFSET_BITS) as usize];
        &block[address as usize & (Self::BLOCK_ITEMS - 1)..]
    }

    /// True when addresses run out; a few blocks are kept back for what is under way.
    pub(super) fn is_full(&self) -> bool {
        self.blocks.len() + 8 > 1 << (32 - OFFSET_BITS)
    }

    /// Bytes taken from the allocator.
    pub(super) fn heap_bytes(&self) -> usize {
        let items: usize = self.blocks.iter().map(Vec::capacity).sum();
        items * size_of::<T>() + self.blocks.capacity() * size_of::<Vec<T>>()
    }
}

/// Items of a block of [`Blocks`].
const BLOCK_ITEMS: usize = 1 << 12;

/// A long vector in blocks, so that growing it never copies more than one.
#[derive(Debug)]
pub(super) struct Blocks<T> {
    blocks: Vec<Vec<T>>,
    len: u32,
}

impl<T> Default for Blocks<T> {
    fn default() -> Self {
        Self {
            blocks: Vec::new(),
            len: 0,
        }
    }
}

impl<T> Blocks<T> {
    pub(super) const fn len(&self) -> u32 {
        self.len
    }

    pub(super) fn push(&mut self, item: T) {
        if (self.len as usize).is_multiple_of(BLOCK_ITEMS) {
            let full = if self.len == 0 { 0 } else { BLOCK_ITEMS };
            self.blocks.push(Vec::with_capacity(full));
        }
        if let Some(block) = self.blocks.last_mut() {
            block.push(item);
        }
        self.len += 1;
    }

    /// The item at a place below [`Blocks::len`].
    pub(super) fn get(&self, at: u32) -> &T {
        &self.blocks[at as usize / BLOCK_ITEMS][at as usize % BLOCK_ITEMS]
    }

    /// The same, to be changed.
    pub(super) fn get_mut(&mut self, at: u32) -> &mut T {
        &mut self.blocks[at as usize / BLOCK_ITEMS][at as usize % BLOCK_ITEMS]
    }

    /// Bytes taken from the allocator.
    pub(super) fn heap_bytes(&self) -> usize {
        let items: usize = self.blocks.iter().map(Vec::capacity).sum();
        items * size_of::<T>() + self.blocks.capacity() * size_of::<Vec<T>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_is_found_at_its_address() {
        let mut arena = Arena::<u8, 10>::default();
        let texts: Vec<Vec<u8>> = (0..500_usize).map(|n| vec![n as u8; n * 7 % 900]).collect();
        let places: Vec<u32> = texts.iter().map(|text| arena.push(text)).collect();
        for (text, place) in texts.iter().zip(places) {
            assert_eq!(arena.from(place)[..text.len()], **text);
        }
        assert!(arena.heap_bytes() > 200_000);
        assert!(!arena.is_full());
    }

    #[test]
    fn blocks_are_one_vector() {
        let mut blocks = Blocks::default();
        (0..10_000_u32).for_each(|n| blocks.push(n));
        *blocks.get_mut(9_999) = 7;
        assert_eq!((*blocks.get(5_000), *blocks.get(9_999)), (5_000, 7));
        assert_eq!(blocks.len(), 10_000);
    }
}

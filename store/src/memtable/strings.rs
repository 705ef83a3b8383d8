//! The strings of a memtable: bytes in blocks, never moved, freed as a whole.
//!
//! A string is found by one word: its address in the upper 37 bits, its length in the lower 27.

use super::STRING_BYTES_MAX;

/// Bits of an address that say where in its block.
const OFFSET_BITS: u32 = 20;
/// Bits of a word that hold the length.
const LEN_BITS: u32 = 27;
/// Bytes of a block, but for one that holds a single longer string.
const BLOCK_BYTES_MAX: usize = 1 << OFFSET_BITS;
/// Bytes of the first block.
const BLOCK_BYTES_MIN: usize = 1 << 10;

const _: () = assert!(STRING_BYTES_MAX < 1 << LEN_BITS);

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Strings {
    blocks: Vec<Vec<u8>>,
    bytes: usize,
}

impl Strings {
    /// Copies a string and returns its word.
    pub(super) fn push(&mut self, text: &[u8]) -> u64 {
        if text.is_empty() {
            return 0;
        }
        let fits = self
            .blocks
            .last()
            .is_some_and(|block| block.len() + text.len() <= block.capacity().min(BLOCK_BYTES_MAX));
        if !fits {
            let usual = BLOCK_BYTES_MIN << self.blocks.len().min(10);
            let block = Vec::with_capacity(text.len().max(usual.min(BLOCK_BYTES_MAX)));
            self.bytes += block.capacity() + size_of::<Vec<u8>>();
            self.blocks.push(block);
        }
        let block_number = self.blocks.len() - 1;
        let block = &mut self.blocks[block_number];
        let address = (block_number as u64) << OFFSET_BITS | block.len() as u64;
        block.extend_from_slice(text);
        address << LEN_BITS | text.len() as u64
    }

    /// The string of a word.
    pub(super) fn get(&self, word: u64) -> &[u8] {
        let len = (word & ((1 << LEN_BITS) - 1)) as usize;
        if len == 0 {
            return b"";
        }
        let address = word >> LEN_BITS;
        let offset = address as usize & (BLOCK_BYTES_MAX - 1);
        &self.blocks[(address >> OFFSET_BITS) as usize][offset..offset + len]
    }

    /// Bytes taken from the allocator.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// What [`Strings::bytes`] must be, counted anew.
    #[cfg(test)]
    pub(super) fn bytes_counted(&self) -> usize {
        let blocks = self.blocks.iter();
        blocks
            .map(|block| block.capacity() + size_of::<Vec<u8>>())
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_of_all_lengths_are_found_again() {
        let mut strings = Strings::default();
        let texts: Vec<Vec<u8>> = (0..400_usize)
            .map(|n| vec![n as u8; n * n % 9000])
            .chain([vec![7; BLOCK_BYTES_MAX + 5], vec![8; 3]])
            .collect();
        let words: Vec<u64> = texts.iter().map(|text| strings.push(text)).collect();
        for (text, word) in texts.iter().zip(words) {
            assert_eq!(strings.get(word), text);
        }
        assert_eq!(strings.bytes(), strings.bytes_counted());
    }
}

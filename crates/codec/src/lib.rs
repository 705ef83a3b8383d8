//! Column encodings: slices of values in, few bytes out, and back bit for bit.
//!
//! A *chunk* is a run of *pages* of one column. What is expensive to learn about numbers (pco's
//! bins) is learnt once for the chunk and stored once, as the chunk's *metadata*; each page is
//! then decoded alone, with that metadata and its count of values. Booleans, strings and masks
//! need no metadata: their pages stand alone.
//!
//! What always holds:
//!
//! - Decoding gives the bits that were encoded, `-0.0` and every NaN included.
//! - Every decoder takes any bytes: it answers `Err` for what no encoder wrote, never panics, and
//!   allocates no more than the caller's bound on values (or bytes of strings) asks for, beside a
//!   constant for pco's tables (below 4 MiB).
//! - A decoder takes all of its bytes: what is left over is an error.
//! - Nothing here is checksummed. Whoever stores the bytes does that.
//!
//! # Bytes
//!
//! The first byte of every page names its encoding, so that encodings can be added; each module's
//! head maps the rest.
//!
//! | byte | page |
//! |---|---|
//! | `0x01` | numbers, all equal ([`number`]) |
//! | `0x02` | numbers, plain |
//! | `0x03` | numbers, pco with the chunk's metadata |
//! | `0x10` | timestamps, runs of even steps ([`time`]); `0x02` and `0x03` as for integers |
//! | `0x20`, `0x21` | booleans, all false, all true ([`boolean`]) |
//! | `0x22`, `0x23` | booleans, bitmap, runs |
//! | `0x30` | strings, all equal ([`string`]) |
//! | `0x31`, `0x32` | strings, plain, dictionary |
//! | `0x33`, `0x34` | the same, compressed with zstd |
//! | `0x40` | mask, all written ([`mask`]) |
//! | `0x41`, `0x42` | mask, bitmap, runs |
//!
//! `varint` is LEB128 of at most ten bytes; `zigzag` a varint of `(n << 1) ^ (n >> 63)`; fixed
//! integers are little-endian.

pub mod boolean;
mod error;
mod input;
pub mod mask;
pub mod number;
pub mod string;
pub mod time;

pub use error::CodecError;
pub use input::{Input, write_varint, write_zigzag};

/// How hard to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effort {
    /// Fast, for a flush: two to three times faster than [`Effort::Cold`] for a few per cent
    /// more bytes.
    Hot,
    /// Small, for compaction.
    Cold,
}

impl Effort {
    /// The level handed to pco.
    const fn pco_level(self) -> usize {
        match self {
            Self::Hot => 4,
            Self::Cold => 8,
        }
    }

    /// The level handed to zstd.
    const fn zstd_level(self) -> i32 {
        match self {
            Self::Hot => 1,
            Self::Cold => 9,
        }
    }
}

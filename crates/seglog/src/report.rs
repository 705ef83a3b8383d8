//! What opening a log found: how much was visited, what a crash cut short, what is damaged.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use crate::Sequence;

/// What opening a log found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Records visited.
    pub records: u64,
    /// Records of a group that a crash cut short; none of them was acknowledged.
    pub torn_tail: Option<TornTail>,
    /// Damage to what had been durable, oldest first. Reported at each open until the segment is cut.
    pub corruptions: Vec<Corruption>,
}

/// Bytes cut off the end of the last segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The segment.
    pub file: PathBuf,
    /// Where it was cut; zero where it was removed, its header never having been written whole.
    pub offset: u64,
    /// How much was cut.
    pub bytes: u64,
}

/// Damage to what had been durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corruption {
    /// What is damaged.
    pub damage: Damage,
    /// The segment concerned, or the one before a lost segment.
    pub file: PathBuf,
    /// Where the damage begins.
    pub offset: u64,
    /// The records lost; empty where none is known to be.
    pub sequences: Range<Sequence>,
    /// The second name under which the damaged bytes are kept; none where that failed or nothing is there to be kept.
    pub kept: Option<PathBuf>,
}

/// What is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// A segment's header; its records may all be good.
    Header,
    /// Records, or the bytes where they were.
    Records,
    /// A whole segment is not there.
    LostSegment,
}

impl fmt::Display for Corruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        match self.damage {
            Damage::Header => write!(f, "{file}: the segment header is damaged")?,
            Damage::Records => write!(f, "{file}: damaged at byte {}", self.offset)?,
            Damage::LostSegment => write!(f, "{file}: the segment behind it is lost")?,
        }
        if !self.sequences.is_empty() {
            let Range { start, end } = self.sequences;
            write!(f, ", records {start}..{end} are lost")?;
        }
        if let Some(kept) = &self.kept {
            write!(f, "; kept as {}", kept.display())?;
        }
        Ok(())
    }
}

//! By which ways statements get at what they answer, and how often each was taken.
//!
//! The plain executor defines what a statement means; everything else is a *fast path* with a
//! precondition, and has to give the same. Tests run a statement both ways and look here whether a fast path
//! was taken at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// Each row is read and computed for itself.
    Rows,
    /// Functions over windows are computed from slices of columns.
    Windows,
    /// As `Windows`, some windows after the other, as they are asked for.
    Slabs,
    /// Some rows were answered by the statistics of their page.
    Statistics,
    /// `first()` and `last()` are read from their end.
    Ends,
    /// Two threads share the series.
    Threads,
    /// Rows go from columns to the result.
    Columns,
    /// Rows of functions go from kernels to the result.
    Lines,
    /// The first rows of many series are chosen by their times, and only then read.
    Late,
}

impl Path {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Rows,
        Self::Windows,
        Self::Slabs,
        Self::Statistics,
        Self::Ends,
        Self::Threads,
        Self::Columns,
        Self::Lines,
        Self::Late,
    ];

    /// The name in `EXPLAIN`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Windows => "windows",
            Self::Slabs => "slabs",
            Self::Statistics => "statistics",
            Self::Ends => "ends",
            Self::Threads => "threads",
            Self::Columns => "columns",
            Self::Lines => "lines",
            Self::Late => "late",
        }
    }
}

/// Which ways may be taken, and which were. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Paths {
    plain: bool,
    eager: bool,
    counts: Arc<[AtomicU64; 9]>,
}

impl Paths {
    /// The plain executor alone.
    #[must_use]
    pub fn plain() -> Self {
        Self {
            plain: true,
            ..Self::default()
        }
    }

    /// Every fast path as soon as it is possible, however little there is to read, and little at once:
    /// for tests.
    #[must_use]
    pub fn eager() -> Self {
        Self {
            eager: true,
            ..Self::default()
        }
    }

    /// The same choice of ways, with counts of its own.
    pub(crate) fn counting_anew(&self) -> Self {
        Self {
            counts: Arc::default(),
            ..self.clone()
        }
    }

    /// The ways that were taken, each with how often.
    pub(crate) fn taken(&self) -> String {
        let counts = Path::ALL.map(|path| (path.name(), self.count(path)));
        let taken = counts.iter().filter(|(_, count)| *count > 0);
        let texts: Vec<String> = taken
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        texts.join(", ")
    }

    /// Whether fast paths are taken that are not worth it.
    pub(crate) const fn is_eager(&self) -> bool {
        self.eager
    }

    /// Whether only the plain executor may be used.
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        self.plain
    }

    /// How often a path was taken: once for each group, batch of groups or page that took it.
    #[must_use]
    pub fn count(&self, path: Path) -> u64 {
        self.counts[path as usize].load(Ordering::Relaxed)
    }

    pub(crate) fn took(&self, path: Path) {
        self.counts[path as usize].fetch_add(1, Ordering::Relaxed);
    }
}

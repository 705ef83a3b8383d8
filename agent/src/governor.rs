//! The agent's own limits: when its collectors take more time on processors than they may, or the
//! process more memory, the costliest collector waits longer between two gathers. When there is
//! room again, it comes back step by step.

use std::time::{Duration, Instant};

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// So many looks in a row must be far below the limit before a step is taken back.
const CALM_LOOKS: u32 = 6;
/// What counts as far below the limit.
const CALM_PART: f64 = 0.4;

/// What the agent may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// Percent of one processor, for gathering.
    pub cpu_percent: f64,
    /// Resident memory of the process; `None` where other roles live in it.
    pub memory_bytes: Option<u64>,
}

impl Budget {
    /// Default of [`Budget::cpu_percent`].
    pub const CPU_PERCENT: f64 = 5.0;
    /// Default of [`Budget::memory_bytes`] for a process of its own.
    pub const MEMORY_BYTES: u64 = 64 << 20;
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            cpu_percent: Self::CPU_PERCENT,
            memory_bytes: None,
        }
    }
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Decision {
    Keep,
    /// The costliest collector must wait longer; with what is taken of what limit, as text.
    SlowDown(Over),
    /// The one that was slowed down last may come back a step.
    SpeedUp,
}

/// Which limit is passed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Over {
    CpuPercent(f64),
    MemoryBytes(u64),
}

impl std::fmt::Display for Over {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::CpuPercent(percent) => write!(f, "{percent:.1} % of a processor"),
            Self::MemoryBytes(bytes) => write!(f, "{} MiB of memory", bytes >> 20),
        }
    }
}

/// Looks at what is taken, and decides.
#[derive(Debug)]
pub(crate) struct Governor {
    budget: Budget,
    last: Option<Instant>,
    spent: Duration,
    calm: u32,
}

impl Governor {
    pub(crate) fn new(budget: Budget) -> Self {
        Self {
            budget,
            last: None,
            spent: Duration::ZERO,
            calm: 0,
        }
    }

    pub(crate) fn set_budget(&mut self, budget: Budget) {
        self.budget = budget;
    }

    /// A gather took so much time on a processor.
    pub(crate) fn spend(&mut self, cpu: Duration) {
        self.spent += cpu;
    }

    /// What to do at `now`; `rss_bytes` is asked for when it is time to look.
    pub(crate) fn decide(&mut self, now: Instant, rss_bytes: impl FnOnce() -> u64) -> Decision {
        let Some(last) = self.last else {
            self.last = Some(now);
            return Decision::Keep;
        };
        let passed = now.saturating_duration_since(last);
        if passed < LOOK_EVERY {
            return Decision::Keep;
        }
        self.last = Some(now);
        let spent = std::mem::take(&mut self.spent);
        let percent = 100.0 * spent.as_secs_f64() / passed.as_secs_f64();
        let rss_bytes = rss_bytes();
        let over_memory = self.budget.memory_bytes.filter(|most| rss_bytes > *most);
        if percent > self.budget.cpu_percent {
            self.calm = 0;
            return Decision::SlowDown(Over::CpuPercent(percent));
        }
        if over_memory.is_some() {
            self.calm = 0;
            return Decision::SlowDown(Over::MemoryBytes(rss_bytes));
        }
        if percent > self.budget.cpu_percent * CALM_PART {
            self.calm = 0;
            return Decision::Keep;
        }
        self.calm += 1;
        if self.calm < CALM_LOOKS {
            return Decision::Keep;
        }
        self.calm = 0;
        Decision::SpeedUp
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_much_slows_down_and_calm_speeds_up() {
        let budget = Budget {
            cpu_percent: 5.0,
            memory_bytes: Some(1000),
        };
        let mut governor = Governor::new(budget);
        let mut now = Instant::now();
        let mut look = |spent_ms: u64, rss: u64| {
            governor.spend(Duration::from_millis(spent_ms));
            now += LOOK_EVERY;
            governor.decide(now, || rss)
        };
        assert_eq!(look(9999, 1), Decision::Keep, "nothing to compare with");
        let Decision::SlowDown(Over::CpuPercent(_)) = look(600, 1) else {
            panic!("it is too much");
        };
        assert_eq!(look(100, 2000), Decision::SlowDown(Over::MemoryBytes(2000)));
        assert_eq!(look(300, 1), Decision::Keep);
        for _ in 1..CALM_LOOKS {
            assert_eq!(look(10, 1), Decision::Keep);
        }
        assert_eq!(look(10, 1), Decision::SpeedUp);
        assert_eq!(look(10, 1), Decision::Keep);
    }
}

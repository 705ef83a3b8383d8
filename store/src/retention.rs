//! Retention: shards whose rows are all past their policy's duration are dropped as a whole.
//!
//! A clock that is set wrong must not cost data: InfluxDB takes its host's word and drops every
//! shard at once when the clock jumps ahead. Here the time has a witness: the newest row in the
//! store. While the clock is not much later than that, it is believed. A clock far ahead of all
//! data is believed only after it has gone on steadily for a day (a store that gets no data any more
//! then still forgets); until then shards are dropped as of the newest row. A jump while data comes
//! in thus drops nothing. Rows that are much later than the time that was believed last are no
//! witnesses: one with a wrong time would speak for every jump up to it.
//!
//! Writes go by the same time: after a jump, rows of the true time are not refused as expired.

use tandem_model::ShardId;

use crate::core::Core;
use crate::error::StoreError;

/// How far the clock may be ahead of the newest row and be believed at once.
const AHEAD_NS_MAX: i64 = 24 * 3_600_000_000_000;
/// How long a clock that is further ahead has to go steadily.
const STEADY_NS_MIN: i64 = 24 * 3_600_000_000_000;
/// The longest step of a steady clock from one look to the next, beside the time between looks.
const STEP_NS_MAX: i64 = 3_600_000_000_000;

/// What was seen of the clock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Trust {
    /// When the clock was first seen so far ahead, and what it said at the last look.
    ahead: Option<(i64, i64)>,
    /// What the clock said when it was last believed.
    believed_ns: Option<i64>,
}

impl Trust {
    /// The time as of which shards may be dropped. `newest_ns` is that of the newest row, `interval_ns`
    /// the time between looks.
    pub(crate) fn time(&mut self, now_ns: i64, newest_ns: i64, interval_ns: i64) -> i64 {
        self.ahead = self.ahead_since(now_ns, newest_ns, interval_ns);
        if !is_steady(self.ahead) {
            return newest_ns;
        }
        self.believed_ns = Some(now_ns);
        now_ns
    }

    /// What [`Trust::time`] would give, without a look.
    pub(crate) fn peek(&self, now_ns: i64, newest_ns: i64, interval_ns: i64) -> i64 {
        match is_steady(self.ahead_since(now_ns, newest_ns, interval_ns)) {
            true => now_ns,
            false => newest_ns,
        }
    }

    /// Rows that are later are no witnesses.
    fn witness_ns_max(&self, now_ns: i64, interval_ns: i64) -> i64 {
        let believed_ns = self.believed_ns.unwrap_or(now_ns);
        believed_ns
            .saturating_add(AHEAD_NS_MAX)
            .saturating_add(interval_ns)
    }

    /// Since when a clock that says `now_ns` has been far ahead, and what it says; `None` when it is not.
    fn ahead_since(&self, now_ns: i64, newest_ns: i64, interval_ns: i64) -> Option<(i64, i64)> {
        if now_ns.saturating_sub(newest_ns) <= AHEAD_NS_MAX {
            return None;
        }
        let step_max = interval_ns.saturating_add(STEP_NS_MAX);
        let since_ns = match self.ahead {
            Some((since_ns, last_ns))
                if (0..=step_max).contains(&now_ns.saturating_sub(last_ns)) =>
            {
                since_ns
            }
            _ => now_ns,
        };
        Some((since_ns, now_ns))
    }
}

/// True for a clock that is not far ahead, or has gone on so for long.
fn is_steady(ahead: Option<(i64, i64)>) -> bool {
    ahead.is_none_or(|(since_ns, now_ns)| now_ns.saturating_sub(since_ns) >= STEADY_NS_MIN)
}

/// Drops the shards that are past their time, all with one change of the manifest. Returns how many.
pub(crate) fn enforce(core: &Core, trust: &mut Trust) -> Result<usize, StoreError> {
    let now_ns = core.options.clock.now_ns();
    let shards = core.shards();
    if shards.is_empty() {
        return Ok(0);
    }
    let interval_ns = interval_ns(core);
    let newest_ns = newest(core, trust.witness_ns_max(now_ns, interval_ns));
    let time_ns = trust.time(now_ns, newest_ns, interval_ns);
    let expired: Vec<ShardId> = shards
        .iter()
        .filter(|shard| shard.expires_ns.is_some_and(|at_ns| at_ns < time_ns))
        .map(|shard| shard.id)
        .collect();
    if expired.is_empty() {
        return Ok(0);
    }
    core.drop_shards(&expired)?;
    tracing::info!(
        shards = expired.len(),
        "dropped shards past their retention"
    );
    Ok(expired.len())
}

/// The time as of which a write may take rows for expired whose policy has rows already, when its
/// clock says `now_ns`.
pub(crate) fn expiry_time(core: &Core, trust: &Trust, now_ns: i64) -> i64 {
    let interval_ns = interval_ns(core);
    let newest_ns = newest(core, trust.witness_ns_max(now_ns, interval_ns));
    trust.peek(now_ns, newest_ns, interval_ns)
}

/// The time between looks.
fn interval_ns(core: &Core) -> i64 {
    let interval = core.options.retention_check_interval.as_nanos();
    i64::try_from(interval).unwrap_or(i64::MAX)
}

/// The time of the newest row of all databases; shards with rows later than `witness_ns_max` are left
/// out. Before all time where there is none.
fn newest(core: &Core, witness_ns_max: i64) -> i64 {
    let databases = core.databases();
    let newest = databases.iter().filter_map(|database| {
        let policies = database.policies();
        policies
            .all_shards()
            .filter_map(|shard| shard.newest_ns())
            .filter(|&newest_ns| newest_ns <= witness_ns_max)
            .max()
    });
    newest.max().unwrap_or(i64::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_NS: i64 = 3_600_000_000_000;
    const LOOK_NS: i64 = HOUR_NS / 2;

    #[test]
    fn a_clock_that_fits_the_data_is_believed() {
        let mut trust = Trust::default();
        for now_ns in [100 * HOUR_NS, 124 * HOUR_NS, 90 * HOUR_NS] {
            assert_eq!(trust.time(now_ns, 100 * HOUR_NS, LOOK_NS), now_ns);
        }
    }

    #[test]
    fn a_jump_is_believed_after_a_steady_day_only() {
        let mut trust = Trust::default();
        let (newest_ns, jumped_ns) = (100 * HOUR_NS, 9000 * HOUR_NS);
        let mut now_ns = jumped_ns;
        while now_ns < jumped_ns + STEADY_NS_MIN {
            assert_eq!(trust.time(now_ns, newest_ns, LOOK_NS), newest_ns);
            now_ns += LOOK_NS;
        }
        assert_eq!(trust.time(now_ns, newest_ns, LOOK_NS), now_ns);
        // It jumps again.
        now_ns += 5000 * HOUR_NS;
        assert_eq!(trust.time(now_ns, newest_ns, LOOK_NS), newest_ns);
        // And back.
        now_ns -= 5000 * HOUR_NS;
        assert_eq!(trust.time(now_ns, newest_ns, LOOK_NS), newest_ns);
        // Data of that time is proof.
        assert_eq!(trust.time(now_ns, now_ns - HOUR_NS, LOOK_NS), now_ns);
    }

    #[test]
    fn what_is_much_later_than_the_last_believed_time_is_no_witness() {
        let mut trust = Trust::default();
        let now_ns = 100 * HOUR_NS;
        let late_ns = now_ns + AHEAD_NS_MAX + LOOK_NS;
        assert_eq!(trust.witness_ns_max(now_ns, LOOK_NS), late_ns);
        trust.time(now_ns, now_ns, LOOK_NS);
        let jumped_ns = 9000 * HOUR_NS;
        assert_eq!(trust.witness_ns_max(jumped_ns, LOOK_NS), late_ns);
        assert_eq!(trust.time(jumped_ns, now_ns, LOOK_NS), now_ns);
        assert_eq!(trust.peek(jumped_ns, now_ns, LOOK_NS), now_ns);
        assert_eq!(trust.witness_ns_max(jumped_ns, LOOK_NS), late_ns);
        assert_eq!(
            trust.peek(now_ns + LOOK_NS, now_ns, LOOK_NS),
            now_ns + LOOK_NS
        );
    }

    #[test]
    fn the_ends_of_time_do_no_harm() {
        let mut trust = Trust::default();
        assert_eq!(trust.time(i64::MAX, i64::MIN, i64::MAX), i64::MIN);
        assert_eq!(trust.time(i64::MIN, i64::MAX, i64::MAX), i64::MIN);
    }
}

//! Makes the next shard of a policy a little before the newest one ends, so that the first rows of a
//! new range do not all wait for the manifest's sync (InfluxDB's `[shard-precreation]`).
//!
//! As in InfluxDB, only where the newest shard ends within the advance period: a store with old data
//! gets none. InfluxDB goes on for a policy that nobody writes to any more, with one empty shard after
//! the other. Here the newest shard must have a row: an empty one is followed by no other.

use crate::core::Core;
use crate::error::StoreError;

/// Makes the shards that are due; returns how many.
pub(crate) fn precreate(core: &Core) -> Result<usize, StoreError> {
    let advance_ns = i64::try_from(core.options.shard_advance.as_nanos()).unwrap_or(i64::MAX);
    if advance_ns == 0 {
        return Ok(0);
    }
    let now_ns = core.options.clock.now_ns();
    let until_ns = now_ns.saturating_add(advance_ns);
    let mut made = 0;
    for database in core.databases() {
        let mut due = Vec::new();
        {
            let policies = database.policies();
            for policy in policies.list.iter() {
                let Some(newest) = policies.newest_shard(&policy.name) else {
                    continue;
                };
                // The last shard of all time has no next one.
                let next_ns = newest.range.max_ns.saturating_add(1);
                if newest.newest_ns().is_some()
                    && next_ns > now_ns
                    && next_ns < until_ns
                    && next_ns <= tandem_model::MAX_TIME_NS
                {
                    due.push((policy.clone(), next_ns));
                }
            }
        }
        for (policy, next_ns) in due {
            match core.shard_for(&database, &policy, next_ns, std::iter::empty()) {
                Ok(_) => made += 1,
                // Dropped meanwhile.
                Err(StoreError::DatabaseNotFound(_) | StoreError::PolicyNotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(made)
}

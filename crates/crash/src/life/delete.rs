//! Deletes of all kinds, retention, and merging of files.

use std::collections::BTreeSet;

use roaring::RoaringBitmap;
use tandem_model::{SeriesId, TimeRange};
use tandem_store::{PolicyChoice, ShardInfo};
use tandem_vfs::Clock;

use super::Life;
use crate::model::Effect;
use crate::observe::text;
use crate::op::Target;

impl Life {
    /// Deletes the series whose key holds `part`, as a query finds them.
    pub(super) fn delete(
        &mut self,
        target: Target,
        part: &str,
        range: TimeRange,
    ) -> Result<(), String> {
        let database = target.database();
        if !self.history.live().databases.contains_key(&database) {
            let refused = self
                .store()
                .delete(&database, &RoaringBitmap::new(), range)
                .is_err();
            return if refused {
                Ok(())
            } else {
                Err(format!("deleted from {database}, which is not there"))
            };
        }
        let view = self.store().view(&database, PolicyChoice::All, range);
        let view = view.map_err(text)?;
        let (mut ids, mut series) = (RoaringBitmap::new(), BTreeSet::new());
        for measurement in view.measurements() {
            for id in view.series(&measurement) {
                let key = String::from_utf8_lossy(&view.series_key(SeriesId(id))).into_owned();
                if key.contains(part) {
                    ids.insert(id);
                    series.insert(key);
                }
            }
        }
        let deleted = self.store().delete(&database, &ids, range);
        let effect = Effect::Delete {
            database,
            series,
            range,
        };
        self.note(deleted, effect)
    }

    pub(super) fn drop_series(&mut self, target: Target, part: &str) -> Result<(), String> {
        self.delete(target, part, TimeRange::ALL)
    }

    pub(super) fn drop_measurement(&mut self, target: Target, name: &str) -> Result<(), String> {
        let database = target.database();
        if !self.history.live().databases.contains_key(&database) {
            return Ok(());
        }
        let dropped = self.store().drop_measurement(&database, name.as_bytes());
        let effect = Effect::DropMeasurement(database, name.into());
        self.note(dropped.map(drop), effect)
    }

    pub(super) fn drop_shard(&mut self, nth: usize) -> Result<(), String> {
        let shards = self.store().shards();
        let Some(shard) = shards.get(nth) else {
            return Ok(());
        };
        let dropped = self.store().drop_shard(shard.id);
        self.note(dropped, drop_range(shard))
    }

    /// Drops the shards whose last row is past its policy's duration by the clock, all or none. The
    /// clock never is far from the data here; where there is no data, nothing is dropped.
    pub(super) fn enforce_retention(&mut self) -> Result<(), String> {
        let now_ns = self.clock.now_ns();
        let shards = self.store().shards();
        let expired: Vec<&ShardInfo> = shards
            .iter()
            .filter(|shard| shard.expires_ns.is_some_and(|at_ns| at_ns < now_ns))
            .collect();
        let effects = expired.iter().map(|shard| drop_range(shard)).collect();
        let dropped = self.store().enforce_retention();
        if let Ok(count) = dropped
            && count != expired.len()
            && self.history.live().rows() > 0
        {
            return Err(format!("retention dropped {count} of {expired:?}"));
        }
        if expired.is_empty() {
            // Nothing was to be done, and that proves nothing about what failed before.
            return self.must_work("retention", dropped);
        }
        self.note(dropped.map(drop), Effect::All(effects))
    }

    pub(super) fn compact(&mut self) -> Result<(), String> {
        self.must_work("compact", self.store().compact())
    }
}

fn drop_range(shard: &ShardInfo) -> Effect {
    Effect::DropRange {
        database: shard.database.clone(),
        policy: shard.policy.clone(),
        range: shard.range,
    }
}

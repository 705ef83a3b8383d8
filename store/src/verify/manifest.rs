//! What a manifest's state must satisfy, whatever the files hold.

use std::collections::BTreeSet;

use crate::manifest::State;

/// What is wrong, and with which file if it is about one.
pub(super) fn faults(state: &State) -> Vec<(String, Option<String>)> {
    let mut faults = Vec::new();
    let mut ids = BTreeSet::new();
    for (id, database) in &state.databases {
        if id.0 >= state.next_database {
            faults.push((
                format!("database {id} has an id that is not given out"),
                None,
            ));
        }
        let mut end = 0;
        for segment in &database.segments {
            let name = format!("data/{id}/index/{}", segment.name());
            if segment.first_series != end {
                let what = format!("its series begin at {}, not {end}", segment.first_series);
                faults.push((what, Some(name.clone())));
            }
            end = segment.first_series.saturating_add(segment.count);
            if segment.id >= state.next_file || !ids.insert(segment.id) {
                faults.push(("its id is not its own".into(), Some(name)));
            }
        }
    }
    for (id, shard) in &state.shards {
        let policy = state
            .databases
            .get(&shard.database)
            .and_then(|d| d.policies.iter().find(|p| p.name == shard.policy));
        if policy.is_none() {
            let what = format!("shard {id} belongs to a database or policy that is not there");
            faults.push((what, None));
        }
        if shard.start_ns > shard.end_ns || id.0 >= state.next_shard {
            faults.push((format!("shard {id} cannot be"), None));
        }
        let mut last: Option<u64> = None;
        for file in &shard.files {
            let name = format!("data/{}/{id}/{}", shard.database, file.name());
            let is_ordered = last.is_none_or(|last| last < file.min_sequence)
                && file.min_sequence <= file.max_sequence;
            if !is_ordered {
                let what = format!(
                    "its sequences {}..={} are not above those of the file before, which end at {}",
                    file.min_sequence,
                    file.max_sequence,
                    last.unwrap_or(0)
                );
                faults.push((what, Some(name.clone())));
            }
            if file.max_sequence > state.flushed_to {
                let what = format!(
                    "its sequences go to {}, and the manifest is flushed to {} only",
                    file.max_sequence, state.flushed_to
                );
                faults.push((what, Some(name.clone())));
            }
            last = Some(file.max_sequence);
            if file.id >= state.next_file || !ids.insert(file.id) {
                faults.push(("its id is not its own".into(), Some(name)));
            }
        }
    }
    let mut shards: Vec<_> = state.shards.iter().collect();
    shards.sort_by_key(|(id, s)| (s.database, s.policy.clone(), s.start_ns, **id));
    for pair in shards.windows(2) {
        if let [(a, first), (b, second)] = pair
            && (first.database, &first.policy) == (second.database, &second.policy)
            && first.end_ns >= second.start_ns
        {
            faults.push((format!("shards {a} and {b} overlap in time"), None));
        }
    }
    for (id, record) in &state.tombstones {
        let is_lost = |shard| {
            let found = state.shards.get(shard);
            found.is_none_or(|s| s.database != record.database)
        };
        if record.shards.iter().any(is_lost) {
            faults.push((
                format!("deletion {id} is about a shard that is not there"),
                None,
            ));
        }
    }
    faults
}

//! Which part of a store a backup, a restore or an export is about.

use std::path::Path;

use tandem_model::{DatabaseId, ShardId};
use tandem_vfs::Vfs;

use super::error::SnapshotError;
use crate::manifest::State;

/// See the module's head. Without a database it is all of the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// One database.
    pub database: Option<String>,
    /// One retention policy of that database.
    pub retention_policy: Option<String>,
    /// Some shards of that database; none stands for all.
    pub shards: Vec<u64>,
}

impl Selection {
    /// The part of `state` that is selected, the rest being as if it had never been.
    pub(super) fn apply(&self, mut state: State) -> Result<State, SnapshotError> {
        let Some(name) = &self.database else {
            if self.retention_policy.is_some() || !self.shards.is_empty() {
                return Err(SnapshotError::NotThere(
                    "a retention policy or shard needs its database named as well".into(),
                ));
            }
            return Ok(state);
        };
        let found = state.databases.iter().find(|(_, d)| d.name == *name);
        let Some((&id, _)) = found else {
            let names: Vec<&str> = state.databases.values().map(|d| d.name.as_str()).collect();
            return Err(SnapshotError::NotThere(format!(
                "database not found: {name}; there are: {}",
                names.join(", ")
            )));
        };
        state.databases.retain(|other, _| *other == id);
        state.shards.retain(|_, shard| shard.database == id);
        if let Some(policy) = &self.retention_policy {
            self.keep_policy(&mut state, id, policy)?;
        }
        if !self.shards.is_empty() {
            for asked in &self.shards {
                if !state.shards.contains_key(&ShardId(*asked)) {
                    return Err(SnapshotError::NotThere(format!(
                        "shard not found: {asked}; `tandem inspect` lists those of the database"
                    )));
                }
            }
            state
                .shards
                .retain(|shard, _| self.shards.contains(&shard.0));
        }
        let shards = &state.shards;
        state.tombstones.retain(|_, record| {
            record.shards.retain(|shard| shards.contains_key(shard));
            !record.shards.is_empty()
        });
        Ok(state)
    }

    fn keep_policy(
        &self,
        state: &mut State,
        id: DatabaseId,
        policy: &str,
    ) -> Result<(), SnapshotError> {
        if let Some(database) = state.databases.get_mut(&id)
            && !database.policies.keep_only(policy)
        {
            return Err(SnapshotError::NotThere(format!(
                "retention policy not found: {policy}"
            )));
        }
        state.shards.retain(|_, shard| shard.policy == policy);
        Ok(())
    }
}

/// The directories and files that a store with this manifest has, relative to its own directory.
pub(crate) fn dirs_and_files(state: &State) -> (Vec<String>, Vec<String>) {
    let (mut dirs, mut files) = (Vec::new(), Vec::new());
    for (id, database) in &state.databases {
        let dir = format!("data/{id}/index");
        files.extend(
            database
                .segments
                .iter()
                .map(|s| format!("{dir}/{}", s.name())),
        );
        dirs.push(dir);
    }
    for (id, shard) in &state.shards {
        let dir = format!("data/{}/{id}", shard.database);
        files.extend(shard.files.iter().map(|f| format!("{dir}/{}", f.name())));
        dirs.push(dir);
    }
    (dirs, files)
}

/// True when there is a manifest, so that the directory is a store's or a copy's.
pub(crate) fn is_store(vfs: &dyn Vfs, dir: &Path) -> bool {
    let names = vfs.read_dir(&dir.join("manifest"));
    names.is_ok_and(|names| names.iter().any(|name| name.ends_with(".seg")))
}

//! The logs beside the manifest. Of the WAL every frame, every record, and that its rows have series and shards.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use tandem_model::{DatabaseId, SeriesId};
use tandem_seglog::{Error, Peek, peek};

use super::Check;
use crate::batch::SeriesRef;
use crate::error::StoreError;
use crate::frame;
use crate::index::SeriesTable;
use crate::manifest::State;
use crate::schema::Schemas;
use crate::snapshot::{CATALOG_LOG_DIR, SnapshotError, log_options};

/// How often a log that is in use is read again before its damage is believed.
const TRIES_MAX: u32 = 5;
const RETRY_DELAY: Duration = Duration::from_millis(20);

/// What a pass over the records found.
#[derive(Default)]
struct Records {
    count: u64,
    first: Option<u64>,
    /// Series that the records define.
    defined: BTreeMap<DatabaseId, BTreeSet<SeriesId>>,
    malformed: Vec<u64>,
    /// Sequences of records with rows of a series that nothing defines.
    strange: Vec<u64>,
    /// Rows of shards and databases that are gone.
    dropped_rows: u64,
}

impl Check<'_> {
    /// The frames of the catalog's log; what they say is not this crate's.
    pub(super) fn catalog(&mut self) -> Result<(), SnapshotError> {
        let dir = self.dir.join(CATALOG_LOG_DIR);
        if !self.vfs.exists(&dir) {
            return Ok(());
        }
        for attempt in 0..TRIES_MAX {
            let read = peek(&**self.vfs, &dir, &log_options(), &mut |_, _| Ok(()));
            let is_last = !self.is_running || attempt + 1 == TRIES_MAX;
            match read {
                Ok(log) if log.recovery.corruptions.is_empty() => return Ok(()),
                Ok(log) if is_last => {
                    for corruption in &log.recovery.corruptions {
                        let what = corruption.to_string();
                        self.fault(corruption.file.clone(), corruption.offset, what);
                    }
                    return Ok(());
                }
                Err(error) if is_last => {
                    return Err(StoreError::log("read the catalog's log")(error).into());
                }
                _ => std::thread::sleep(RETRY_DELAY),
            }
        }
        Ok(())
    }

    pub(super) fn wal(
        &mut self,
        state: &State,
        tables: &BTreeMap<DatabaseId, SeriesTable>,
    ) -> Result<(), SnapshotError> {
        let dir = self.dir.join("wal");
        let mut tries = 0;
        let (records, log) = loop {
            tries += 1;
            let mut records = Records::default();
            let read = peek(
                &**self.vfs,
                &dir,
                &log_options(),
                &mut |sequence, record| {
                    records.visit(state, tables, sequence, record);
                    Ok(())
                },
            );
            let again = self.is_running && tries < TRIES_MAX;
            match read {
                Ok(log) if log.recovery.corruptions.is_empty() || !again => break (records, log),
                Ok(_) => {}
                Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                    if !self.vfs.exists(&dir) {
                        self.note("there is no WAL: nothing has been written yet".into());
                        return Ok(());
                    }
                    if !again {
                        self.note("the WAL kept changing and was not checked".into());
                        return Ok(());
                    }
                }
                Err(error) => return Err(StoreError::log("read WAL")(error).into()),
            }
            std::thread::sleep(RETRY_DELAY);
        };
        self.report.wal_records = records.count;
        self.tell_log(state, &records, &log);
        Ok(())
    }

    fn tell_log(&mut self, state: &State, records: &Records, log: &Peek) {
        let wal = self.dir.join("wal");
        for corruption in &log.recovery.corruptions {
            let what = corruption.to_string();
            self.fault(corruption.file.clone(), corruption.offset, what);
        }
        for (sequences, what) in [
            (
                &records.malformed,
                "is malformed although its checksum fits",
            ),
            (
                &records.strange,
                "has rows of a series that nothing defines",
            ),
        ] {
            if let Some(first) = sequences.first() {
                let more = match sequences.len() {
                    1 => String::new(),
                    count => format!(", and {} more", count - 1),
                };
                self.fault(wal.clone(), 0, format!("record {first} {what}{more}"));
            }
        }
        // A gap may be where a newer manifest than the one that was read is flushed further.
        if let Some(first) = records.first
            && first > state.flushed_to.saturating_add(1)
            && !self.is_running
            && !state
                .tombstones
                .values()
                .any(|t| t.tombstone.sequence >= first.saturating_sub(1))
        {
            let what = format!(
                "it begins with record {first}, block files end with {}",
                state.flushed_to
            );
            self.fault(wal, 0, what);
        }
        if records.dropped_rows > 0 {
            self.note(format!(
                "the WAL has {} rows of databases or shards that were dropped or not selected",
                records.dropped_rows
            ));
        }
        if let Some(torn) = &log.recovery.torn_tail
            && !self.is_running
        {
            self.note(format!(
                "{}: what follows byte {} was not acknowledged; opening cuts it off",
                torn.file.display(),
                torn.offset
            ));
        }
    }
}

impl Records {
    fn visit(
        &mut self,
        state: &State,
        tables: &BTreeMap<DatabaseId, SeriesTable>,
        sequence: u64,
        record: &[u8],
    ) {
        self.count += 1;
        self.first.get_or_insert(sequence);
        let schemas = Schemas::default();
        let decoded =
            frame::database_of(record).and_then(|id| Ok((id, frame::decode(record, &schemas)?)));
        let Ok((database, decoded)) = decoded else {
            self.malformed.push(sequence);
            return;
        };
        if sequence <= state.flushed_to {
            return;
        }
        let Some(table) = tables.get(&database) else {
            self.dropped_rows += decoded.batch.rows.len() as u64;
            return;
        };
        let new: BTreeSet<SeriesId> = decoded.new_series.iter().map(|(id, _)| *id).collect();
        self.defined.entry(database).or_default().extend(new);
        let defined = self.defined.get(&database);
        let is_known =
            |id: SeriesId| table.contains(id) || defined.is_some_and(|ids| ids.contains(&id));
        let strange = decoded.batch.rows.iter().any(|row| match row.series {
            SeriesRef::Known(id) => !is_known(id),
            SeriesRef::Unknown(_) => true,
        });
        if strange {
            self.strange.push(sequence);
        }
        for (shard, rows) in &decoded.groups {
            if !state.shards.contains_key(shard) {
                self.dropped_rows += rows.len() as u64;
            }
        }
    }
}

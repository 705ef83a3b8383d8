//! Records of the logs, and the list of a backup.

use crate::frame::{self, Frame};
use crate::manifest::fuzz_record;
use crate::schema::Schemas;
use crate::snapshot::BackupList;

/// Reads a record of the WAL.
pub fn wal(input: &[u8]) {
    let schemas = Schemas::default();
    let Ok(decoded) = frame::decode(input, &schemas) else {
        return;
    };
    let database = frame::database_of(input).expect("the record was read");
    let encode = |decoded: &frame::Decoded| {
        let series = decoded.new_series.iter().map(|(id, key)| (*id, &**key));
        let groups = decoded.groups.iter().map(|(shard, rows)| (*shard, &**rows));
        let mut out = Vec::new();
        Frame {
            database,
            new_series: &series.collect::<Vec<_>>(),
            batch: &decoded.batch,
            groups: &groups.collect::<Vec<_>>(),
        }
        .encode(&mut out);
        out
    };
    let written = encode(&decoded);
    let again = frame::decode(&written, &schemas).expect("what was written");
    assert_eq!(encode(&again), written);
}

/// Reads a record of the manifest, and applies its edits.
pub fn manifest(input: &[u8]) {
    fuzz_record(input);
}

/// Reads the list of a backup.
pub fn list(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let Ok(list) = BackupList::decode(text) else {
        return;
    };
    let again = BackupList::decode(&list.encode()).expect("what was written");
    assert_eq!(again, list);
}

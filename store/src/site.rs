//! What a directory is before a store is opened or made in it: not every one may become a store.
//!
//! A backup looks like a store and would be one after a start, which writes into the files that the backup's list vouches
//! for. The directory of an InfluxDB has a `data` and a `wal` of its own, and what a store does not know in `data` it
//! removes. And data files without a manifest are a store that has lost it. All three are told before anything
//! is made or changed, not even a lock.

use std::path::Path;

use tandem_vfs::Vfs;

use crate::error::StoreError;
use crate::snapshot::{LIST_FILE, RESTORING_FILE};
use crate::unknown::holds_files;

/// What the system puts into the root of a disk.
const LOST_AND_FOUND: &str = "lost+found";
/// What each database of an InfluxDB has, by version: the files of its series, the policy that it is made with.
const OF_DATABASES: [&str; 2] = ["_series", "autogen"];

/// Refuses a directory in which no store may be opened or made. Changes nothing.
///
/// # Errors
/// [`StoreError::IsBackup`], [`StoreError::Restoring`], [`StoreError::IsInfluxDb`]; [`StoreError::Corrupt`] for data
/// without a manifest.
pub(crate) fn check_site(vfs: &dyn Vfs, dir: &Path) -> Result<(), StoreError> {
    if vfs.exists(&dir.join(LIST_FILE)) {
        return Err(StoreError::IsBackup(dir.into()));
    }
    // What it lacks of a store, the next restore brings.
    if vfs.exists(&dir.join(RESTORING_FILE)) {
        return Err(StoreError::Restoring(dir.into()));
    }
    let manifest = dir.join("manifest");
    if names(vfs, &manifest).iter().any(|n| n.ends_with(".seg")) {
        return Ok(());
    }
    if is_of_influxdb(vfs, dir) {
        return Err(StoreError::IsInfluxDb(dir.into()));
    }
    let data = dir.join("data");
    if vfs.exists(&data)
        && holds_files(vfs, &data).map_err(StoreError::io("list directory", &data))?
    {
        return Err(StoreError::without_manifest(dir));
    }
    Ok(())
}

/// Whether an InfluxDB keeps its data here, or in one of the three directories that it has.
fn is_of_influxdb(vfs: &dyn Vfs, dir: &Path) -> bool {
    let (data, wal) = (dir.join("data"), dir.join("wal"));
    vfs.exists(&dir.join("meta").join("meta.db"))
        || vfs.exists(&dir.join("meta.db"))
        // A store has numbers there, and in its WAL no directories.
        || dirs(vfs, &data).iter().any(|name| !is_number(name))
        || !dirs(vfs, &wal).is_empty()
        || [dir, &data]
            .iter()
            .any(|place| names(vfs, place).iter().any(|name| is_database(vfs, &place.join(name))))
}

fn is_database(vfs: &dyn Vfs, dir: &Path) -> bool {
    OF_DATABASES.iter().any(|name| vfs.exists(&dir.join(name)))
}

/// Whether a store may have made it in `data`: a database, or what was kept of one.
fn is_number(name: &str) -> bool {
    let number = name.split_once('.').map_or(name, |(number, _)| number);
    number.parse::<u32>().is_ok()
}

/// What is in a directory; nothing when it is not there, or no directory.
fn names(vfs: &dyn Vfs, dir: &Path) -> Vec<String> {
    vfs.read_dir(dir).unwrap_or_default()
}

fn dirs(vfs: &dyn Vfs, dir: &Path) -> Vec<String> {
    let mut names = names(vfs, dir);
    names.retain(|name| name != LOST_AND_FOUND && vfs.read_dir(&dir.join(name)).is_ok());
    names
}

#[cfg(test)]
mod tests {
    use tandem_testkit::SimFs;

    use super::*;

    /// A directory with these directories (`…/`) and files in it.
    fn site(paths: &[&str]) -> SimFs {
        let fs = SimFs::new(1);
        for path in paths {
            let path = Path::new("/d").join(path);
            if path.to_string_lossy().ends_with('/') {
                fs.create_dir_all(&path).unwrap();
            } else {
                fs.create_dir_all(path.parent().unwrap()).unwrap();
                fs.create_new(&path).unwrap();
            }
        }
        fs
    }

    fn check(paths: &[&str]) -> Result<(), StoreError> {
        check_site(&site(paths), Path::new("/d"))
    }

    #[test]
    fn what_is_a_store_or_may_become_one_is_let_through() {
        for paths in [
            &[][..],
            &["tandem.toml", "tls/key.pem", "lost+found/"],
            &[
                "LOCK",
                "store-id",
                "manifest/1.seg",
                "data/0/index/",
                "wal/1.seg",
            ],
            // The first start was cut short.
            &["LOCK", "store-id", "manifest/", "data/", "data/lost+found/"],
            // Somebody else's files beside a store that works.
            &["manifest/1.seg", "meta/meta.db"],
        ] {
            assert!(check(paths).is_ok(), "{paths:?}: {:?}", check(paths));
        }
    }

    #[test]
    fn a_backup_is_no_store() {
        let error = check(&["BACKUP", "manifest/1.seg", "data/0/index/1.sidx"]).unwrap_err();
        assert!(matches!(error, StoreError::IsBackup(_)), "{error}");
        let text = error.to_string();
        assert!(text.contains("tandem restore /d --data-dir"), "{text}");
    }

    #[test]
    fn an_influxdb_is_no_store_whichever_of_its_directories_is_named() {
        for paths in [
            &["meta/meta.db"][..],
            &["meta.db"],
            &["data/telegraf/autogen/2/"],
            &["data/7/_series/00/"],
            &["wal/telegraf/autogen/2/_00001.wal"],
            &["telegraf/_series/", "_internal/monitor/1/"],
            &["telegraf/autogen/2/1.tsm"],
        ] {
            let error = check(paths).unwrap_err();
            assert!(
                matches!(error, StoreError::IsInfluxDb(_)),
                "{paths:?}: {error}"
            );
            assert!(
                error.to_string().contains("influx_inspect export"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_restore_that_was_cut_short_is_told_as_that() {
        let error = check(&["RESTORING", "data/0/1/1.blk"]).unwrap_err();
        assert!(matches!(error, StoreError::Restoring(_)), "{error}");
    }

    #[test]
    fn data_without_a_manifest_is_a_store_that_lost_it() {
        let error = check(&["data/0/1/0000000000000001.blk"]).unwrap_err();
        assert!(error.to_string().contains("manifest"), "{error}");
    }
}

//! Backups and restores: what was acknowledged before a backup began is in it, whatever the store does meanwhile, and
//! what is damaged is refused.

mod common;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use common::real::{WEEK_NS, assert_sound, backup, check, contents, open, sample, vfs, write};
use tandem_store::{
    BackupOptions, BackupReport, Options, RestoreOptions, Selection, SnapshotError, Store,
    StoreError,
};
use tempfile::TempDir;

#[test]
fn a_backup_restores_what_was_there() {
    let home = TempDir::new().unwrap();
    let path = |name: &str| home.path().join(name);
    let store = sample(&path("store"));
    let (a, b) = (contents(&store, "a"), contents(&store, "b"));
    let report = backup(&path("store"), &path("full"), &BackupOptions::default());
    assert_eq!(report.missing, Vec::<PathBuf>::new());
    // What comes later does not show.
    write(&store, "a", "cpu,host=later u=1i 1");
    store.flush().unwrap();
    store.compact().unwrap();
    drop(store);

    assert_sound(&path("store"));
    assert_sound(&path("full"));
    let restored = tandem_store::restore(
        &vfs(),
        &path("full"),
        &path("new"),
        &RestoreOptions::default(),
    )
    .unwrap();
    assert!(restored.files > 3 && restored.missing.is_empty());
    let verified = assert_sound(&path("new"));
    assert!(verified.values > 0 && verified.wal_records > 0);
    let store = open(&path("new"));
    assert_eq!(contents(&store, "a"), a);
    assert_eq!(contents(&store, "b"), b);
    // It is a store like any other, and what is written now is newer than all that was restored.
    write(&store, "a", "cpu,host=h1 u=71i 1");
    store.close().unwrap();
    drop(store);
    assert_sound(&path("new"));
    let after = contents(&open(&path("new")), "a");
    assert!(after.contains(&"cpu,host=h1 u=Integer(71) 1".to_owned()));
    assert!(!after.contains(&"cpu,host=h1 u=Integer(70) 1".to_owned()));
}

/// Writers, flushes, compactions, drops and deletions go on while backups are made one after another.
#[test]
fn what_was_acknowledged_before_is_in_every_backup_of_a_busy_store() {
    let home = TempDir::new().unwrap();
    let dir = home.path().join("store");
    let options = Options {
        memtable_bytes_max: 4 << 20,
        wal_bytes_max: 1 << 20,
        free_bytes_min: 0,
        ..Options::default()
    };
    let store = Arc::new(Store::open(vfs(), &dir, options).unwrap());
    store.create_database("a", None).unwrap();
    let acknowledged: Arc<[AtomicU64; 2]> = Arc::default();
    let stop = Arc::new(AtomicBool::new(false));
    let mut threads = Vec::new();
    for writer in 0..2 {
        let (store, acknowledged) = (Arc::clone(&store), Arc::clone(&acknowledged));
        let stop = Arc::clone(&stop);
        threads.push(std::thread::spawn(move || {
            let mut next = 0;
            while !stop.load(Ordering::Relaxed) {
                let body: String = (next..next + 50)
                    .map(|n| format!("n,w={writer},s={} v={n}i {n}\n", n % 97))
                    .collect();
                write(&store, "a", &body);
                next += 50;
                acknowledged[writer].store(next, Ordering::SeqCst);
            }
        }));
    }
    {
        let (store, stop) = (Arc::clone(&store), Arc::clone(&stop));
        threads.push(std::thread::spawn(move || {
            let mut round = 0;
            while !stop.load(Ordering::Relaxed) {
                round += 1;
                store.flush().unwrap();
                store.compact().unwrap();
                let name = format!("gone{}", round % 2);
                store.create_database(&name, None).unwrap();
                write(&store, &name, "x y=1 1");
                write(&store, "a", &format!("doomed,r={round} x=1 {round}"));
                store.drop_measurement("a", b"doomed").unwrap();
                store.drop_database(&name).unwrap();
            }
        }));
    }
    for round in 0..6 {
        let before = [0, 1].map(|w| acknowledged[w].load(Ordering::SeqCst));
        let target = home.path().join(format!("backup{round}"));
        backup(&dir, &target, &BackupOptions::default());
        let (report, findings) = check(&target, &[]);
        assert_eq!(report.faults, 0, "round {round}: {findings:#?}");
        let copy = home.path().join("copy");
        tandem_store::restore(&vfs(), &target, &copy, &RestoreOptions::default()).unwrap();
        let restored = open(&copy);
        assert_eq!(restored.report().quarantined, Vec::<PathBuf>::new());
        let all = contents(&restored, "a");
        for (writer, acknowledged) in before.into_iter().enumerate() {
            let held = all
                .iter()
                .filter(|line| line.contains(&format!(",w={writer} ")))
                .count() as u64;
            assert!(
                held >= acknowledged,
                "round {round}: {held} of {acknowledged}"
            );
        }
        for line in all.iter().filter(|line| line.starts_with("n,")) {
            let (value, time) = line.rsplit_once(' ').unwrap();
            assert!(value.ends_with(&format!("v=Integer({time})")), "{line}");
        }
        drop(restored);
        fs::remove_dir_all(&copy).unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    threads.into_iter().for_each(|t| t.join().unwrap());
}

#[test]
fn an_incremental_backup_has_what_is_new_and_needs_its_chain() {
    let home = TempDir::new().unwrap();
    let path = |name: &str| home.path().join(name);
    let store = sample(&path("store"));
    let full = backup(&path("store"), &path("full"), &BackupOptions::default());
    write(&store, "a", &format!("cpu,host=h1 u=5i {}", 9 * WEEK_NS));
    store.flush().unwrap();
    let on = |base: &str| BackupOptions {
        base: Some(path(base)),
        ..BackupOptions::default()
    };
    let first = backup(&path("store"), &path("inc1"), &on("full"));
    write(&store, "a", &format!("cpu,host=h2 u=6i {}", 9 * WEEK_NS));
    store.flush().unwrap();
    let second = backup(&path("store"), &path("inc2"), &on("inc1"));
    let expected = contents(&store, "a");
    drop(store);

    let own = |report: &BackupReport| {
        let data = report
            .list
            .files
            .iter()
            .filter(|f| f.path.starts_with("data/"));
        data.filter(|f| f.holder.is_none()).count()
    };
    assert!(own(&full) > 4);
    // The first also has what only the WAL had before: a file of each database, and a new series.
    assert_eq!((own(&first), own(&second)), (4, 1));
    assert_eq!(second.list.bases.len(), 2);
    assert_sound(&path("inc2"));

    let restore = |from: &str, to: &str, chain: Vec<PathBuf>| {
        let options = RestoreOptions {
            chain,
            ..RestoreOptions::default()
        };
        tandem_store::restore(&vfs(), &path(from), &path(to), &options)
    };
    restore("inc2", "new", Vec::new()).unwrap();
    assert_eq!(contents(&open(&path("new")), "a"), expected);

    // Without a link of the chain nothing is restored, and the text says what is missing.
    fs::create_dir(path("elsewhere")).unwrap();
    fs::rename(path("full"), path("elsewhere/moved")).unwrap();
    let error = restore("inc2", "broken", Vec::new()).unwrap_err();
    assert!(matches!(error, SnapshotError::MissingLink { holder, .. } if holder == full.list.id));
    let text = error.to_string();
    assert!(text.contains("full") && text.contains("--chain"), "{text}");
    assert!(!path("broken/manifest").exists());
    let (report, _) = check(&path("inc2"), &[]);
    assert!(report.faults > 0);
    let chain = vec![path("elsewhere/moved")];
    restore("inc2", "again", chain).unwrap();
    assert_eq!(contents(&open(&path("again")), "a"), expected);
}

#[test]
fn the_base_must_be_of_the_same_store() {
    let home = TempDir::new().unwrap();
    let path = |name: &str| home.path().join(name);
    drop(sample(&path("one")));
    drop(sample(&path("two")));
    backup(&path("one"), &path("full"), &BackupOptions::default());
    let options = BackupOptions {
        base: Some(path("full")),
        ..BackupOptions::default()
    };
    let error = tandem_store::backup(&vfs(), &path("two"), &path("inc"), &options).unwrap_err();
    assert!(matches!(error, SnapshotError::BadBase { .. }), "{error}");
    assert!(!path("inc").exists() && !path("inc.partial").exists());
    // A restored store is another one than its original.
    tandem_store::restore(
        &vfs(),
        &path("full"),
        &path("copy"),
        &RestoreOptions::default(),
    )
    .unwrap();
    drop(open(&path("copy")));
    tandem_store::backup(&vfs(), &path("copy"), &path("inc"), &options).unwrap_err();
}

#[test]
fn a_part_of_a_store_can_be_backed_up_and_restored() {
    let home = TempDir::new().unwrap();
    let path = |name: &str| home.path().join(name);
    let store = sample(&path("store"));
    let (a, b) = (contents(&store, "a"), contents(&store, "b"));
    let shards: Vec<u64> = store.shards().iter().map(|s| s.id.0).collect();
    drop(store);
    let part = |database: &str| Selection {
        database: Some(database.into()),
        ..Selection::default()
    };
    let options = BackupOptions {
        selection: part("b"),
        ..BackupOptions::default()
    };
    backup(&path("store"), &path("b"), &options);
    backup(&path("store"), &path("full"), &BackupOptions::default());
    assert_sound(&path("b"));
    let restore = |from: &str, to: &str, selection| {
        let options = RestoreOptions {
            selection,
            ..RestoreOptions::default()
        };
        tandem_store::restore(&vfs(), &path(from), &path(to), &options).unwrap();
        assert_sound(&path(to));
        open(&path(to))
    };
    let only_b = restore("b", "from_b", Selection::default());
    assert_eq!(only_b.databases(), ["b"]);
    assert_eq!(contents(&only_b, "b"), b);
    let only_a = restore("full", "from_full", part("a"));
    assert_eq!(only_a.databases(), ["a"]);
    assert_eq!(contents(&only_a, "a"), a);

    let first_shard = Selection {
        shards: vec![shards[0]],
        ..part("a")
    };
    let options = BackupOptions {
        selection: first_shard,
        ..BackupOptions::default()
    };
    backup(&path("store"), &path("shard"), &options);
    let one = restore("shard", "from_shard", Selection::default());
    let expected: Vec<String> = a
        .iter()
        .filter(|line| line.rsplit(' ').next().unwrap().parse::<i64>().unwrap() < WEEK_NS / 2)
        .cloned()
        .collect();
    assert_eq!(contents(&one, "a"), expected);

    for (selection, text) in [
        (part("none"), "there are: a, b"),
        (
            Selection {
                shards: vec![999],
                ..part("a")
            },
            "shard not found",
        ),
    ] {
        let options = BackupOptions {
            selection,
            ..BackupOptions::default()
        };
        let error = tandem_store::backup(&vfs(), &path("store"), &path("x"), &options).unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
        assert!(!path("x").exists());
    }
}

#[test]
fn a_database_is_added_to_another_store_under_another_name() {
    let home = TempDir::new().unwrap();
    let path = |name: &str| home.path().join(name);
    let source = sample(&path("source"));
    let expected = contents(&source, "a");
    drop(source);
    backup(&path("source"), &path("full"), &BackupOptions::default());
    // A young store: its sequences are far below those of the backup.
    let target = open(&path("target"));
    target.create_database("a", None).unwrap();
    write(&target, "a", "own x=1 1");
    let own = contents(&target, "a");
    drop(target);
    let options = RestoreOptions {
        selection: Selection {
            database: Some("a".into()),
            ..Selection::default()
        },
        ..RestoreOptions::default()
    };
    let add = |name: &str| {
        tandem_store::restore_database(&vfs(), &path("full"), &path("target"), name, &options)
    };
    add("a").unwrap_err();
    add("again").unwrap();
    add("twice").unwrap();
    assert_sound(&path("target"));
    let target = open(&path("target"));
    assert_eq!(contents(&target, "a"), own);
    assert_eq!(contents(&target, "again"), expected);
    assert_eq!(contents(&target, "twice"), expected);
    // What is written now is newer, in memory and in files.
    write(&target, "again", "cpu,host=h1 u=71i 1\nfresh,host=z x=1 1");
    let newer = "cpu,host=h1 u=Integer(71) 1".to_owned();
    assert!(contents(&target, "again").contains(&newer));
    target.flush().unwrap();
    target.compact().unwrap();
    assert!(contents(&target, "again").contains(&newer));
    assert_eq!(contents(&target, "twice"), expected);
    drop(target);
    assert_sound(&path("target"));
    let target = open(&path("target"));
    assert!(contents(&target, "again").contains(&newer));
    // A store that someone has open is left alone.
    let error = add("more").unwrap_err();
    assert!(
        matches!(error, SnapshotError::Store(StoreError::InUse(_))),
        "{error}"
    );
}

/// Files say up to which deletion they are free of deleted rows, in ids of their store: those change as well.
#[test]
fn deletions_hide_what_they_hid_under_new_ids() {
    let home = TempDir::new().unwrap();
    let path = |name: &str| home.path().join(name);
    let source = open(&path("source"));
    source.create_database("a", None).unwrap();
    for round in 0..30 {
        write(
            &source,
            "a",
            &format!("kept x={round} {round}\nearly x=1 {round}\nlate x=1 {round}"),
        );
        source.flush().unwrap();
    }
    source.drop_measurement("a", b"early").unwrap();
    write(&source, "a", "kept x=1 100\nlate x=1 100");
    source.flush().unwrap();
    source.compact().unwrap();
    write(&source, "a", "late x=1 101");
    source.drop_measurement("a", b"late").unwrap();
    write(&source, "a", "late x=2 102");
    let expected = contents(&source, "a");
    assert_eq!(
        expected
            .iter()
            .filter(|line| !line.starts_with("kept"))
            .count(),
        1
    );
    drop(source);
    backup(&path("source"), &path("full"), &BackupOptions::default());
    let options = RestoreOptions {
        selection: Selection {
            database: Some("a".into()),
            ..Selection::default()
        },
        ..RestoreOptions::default()
    };
    drop(open(&path("target")));
    for name in ["b", "c"] {
        tandem_store::restore_database(&vfs(), &path("full"), &path("target"), name, &options)
            .unwrap();
    }
    for _ in 0..2 {
        let target = open(&path("target"));
        assert_eq!(contents(&target, "b"), expected);
        assert_eq!(contents(&target, "c"), expected);
        target.compact().unwrap();
        assert_eq!(contents(&target, "b"), expected);
        target.close().unwrap();
    }
    assert_sound(&path("target"));
}

#[test]
fn a_damaged_backup_is_refused_and_nothing_is_made() {
    let home = TempDir::new().unwrap();
    let path = |name: &str| home.path().join(name);
    drop(sample(&path("store")));
    let report = backup(&path("store"), &path("full"), &BackupOptions::default());
    for file in &report.list.files {
        let place = path("full").join(&file.path);
        let good = fs::read(&place).unwrap();
        let mut bad = good.clone();
        let middle = bad.len() / 2;
        bad[middle] ^= 1;
        // Block files are links: a new file keeps the store's as it is.
        fs::remove_file(&place).unwrap();
        fs::write(&place, &bad).unwrap();
        let error = tandem_store::restore(
            &vfs(),
            &path("full"),
            &path("new"),
            &RestoreOptions::default(),
        )
        .unwrap_err();
        assert!(
            matches!(&error, SnapshotError::Damaged { file, .. } if *file == place),
            "{}: {error}",
            file.path
        );
        assert!(!path("new/RESTORING").exists() && !path("new/data").exists());
        let (report, _) = check(&path("full"), &[]);
        assert!(report.faults > 0, "{}", file.path);
        fs::write(&place, &good).unwrap();
    }
    // What is left of the failed ones is no hindrance.
    tandem_store::restore(
        &vfs(),
        &path("full"),
        &path("new"),
        &RestoreOptions::default(),
    )
    .unwrap();
    assert_sound(&path("new"));
}

#[test]
fn nothing_is_overwritten() {
    let home = TempDir::new().unwrap();
    let path = |name: &str| home.path().join(name);
    drop(sample(&path("store")));
    backup(&path("store"), &path("full"), &BackupOptions::default());
    let again = tandem_store::backup(
        &vfs(),
        &path("store"),
        &path("full"),
        &BackupOptions::default(),
    );
    assert!(matches!(again, Err(SnapshotError::Exists(_))));
    for taken in ["store", "full"] {
        let error = tandem_store::restore(
            &vfs(),
            &path("full"),
            &path(taken),
            &RestoreOptions::default(),
        )
        .unwrap_err();
        assert!(matches!(error, SnapshotError::NotEmpty(_)), "{error}");
    }
    assert_sound(&path("store"));
    let empty = home.path().join("empty");
    fs::create_dir(&empty).unwrap();
    for result in [
        tandem_store::backup(&vfs(), &empty, &path("x"), &BackupOptions::default()).map(|_| ()),
        tandem_store::verify(&vfs(), &empty, &[], &mut |_| ()).map(|_| ()),
        tandem_store::inspect(&vfs(), &empty).map(|_| ()),
    ] {
        assert!(matches!(result, Err(SnapshotError::NotAStore(_))));
    }
    let error =
        tandem_store::restore(&vfs(), &empty, &path("x"), &RestoreOptions::default()).unwrap_err();
    assert!(matches!(error, SnapshotError::NotABackup(_)));
}

#[test]
fn a_restore_that_was_cut_short_is_no_store_and_can_be_run_again() {
    let home = TempDir::new().unwrap();
    let path = |name: &str| home.path().join(name);
    drop(sample(&path("store")));
    backup(&path("store"), &path("full"), &BackupOptions::default());
    let new = path("new");
    fs::create_dir_all(new.join("data/0/0")).unwrap();
    fs::write(new.join("data/0/0/half.blk"), b"x").unwrap();
    fs::write(new.join("RESTORING"), b"").unwrap();
    let error = Store::open(vfs(), &new, Options::default()).unwrap_err();
    assert!(matches!(error, StoreError::Restoring(_)), "{error}");
    tandem_store::restore(&vfs(), &path("full"), &new, &RestoreOptions::default()).unwrap();
    assert_sound(&new);
}

/// The name of the default policy is no policy, and went with it.
#[test]
fn a_restored_database_knows_the_name_of_its_dropped_default_policy() {
    let home = TempDir::new().unwrap();
    let path = |name: &str| home.path().join(name);
    let store = sample(&path("store"));
    let name = store.default_policy("a").unwrap();
    store.drop_policy("a", &name).unwrap();
    drop(store);
    backup(&path("store"), &path("full"), &BackupOptions::default());
    let options = RestoreOptions::default();
    tandem_store::restore(&vfs(), &path("full"), &path("new"), &options).unwrap();
    assert_sound(&path("new"));
    let store = open(&path("new"));
    assert_eq!(store.default_policy("a").unwrap(), name);
    let policies = store.retention_policies("a").unwrap();
    assert!(policies.iter().all(|policy| policy.name != name));
}

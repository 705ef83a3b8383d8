//! Backups, restores and the check of everything: what was acknowledged before a backup began is in it, whatever the
//! store does meanwhile, and what is damaged is found or refused.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tandem_model::{FieldValue, Precision, SeriesId, TimeRange};
use tandem_store::{
    BackupOptions, BackupReport, Finding, Options, Order, PolicyChoice, RestoreOptions, Selection,
    SnapshotError, Store, StoreError, VerifyReport, WriteRequest,
};
use tandem_vfs::{RealFs, Vfs};
use tempfile::TempDir;

const HOUR_NS: i64 = 3_600_000_000_000;
const WEEK_NS: i64 = 7 * 24 * HOUR_NS;

fn vfs() -> Arc<dyn Vfs> {
    Arc::new(RealFs)
}

fn open(dir: &Path) -> Store {
    let options = Options {
        background: false,
        free_bytes_min: 0,
        ..Options::default()
    };
    Store::open(vfs(), dir, options).unwrap()
}

fn write(store: &Store, database: &str, body: &str) {
    let request = WriteRequest {
        database,
        retention_policy: None,
        precision: Precision::Nanosecond,
        now_ns: 0,
    };
    store.write(&request, body.as_bytes()).unwrap();
}

/// Every value of a database, as text, sorted.
fn contents(store: &Store, database: &str) -> Vec<String> {
    let view = store
        .view(database, PolicyChoice::All, TimeRange::ALL)
        .unwrap();
    let mut all = Vec::new();
    for measurement in view.measurements() {
        let fields: Vec<Vec<u8>> = view
            .fields(&measurement)
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        let names: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
        for id in view.series(&measurement) {
            let key = view.series_key(SeriesId(id));
            let key = String::from_utf8_lossy(&key).into_owned();
            let mut reader = view.read(SeriesId(id), &names, TimeRange::ALL, Order::Ascending);
            while let Some(rows) = reader.next().unwrap() {
                for (at, time) in rows.times_ns.iter().enumerate() {
                    for (name, column) in names.iter().zip(&rows.columns) {
                        if let Some(value) = column.as_ref().and_then(|c| c.get(at)) {
                            let name = String::from_utf8_lossy(name);
                            all.push(format!("{key} {name}={} {time}", text(value)));
                        }
                    }
                }
            }
        }
    }
    all.sort();
    all
}

fn text(value: FieldValue<'_>) -> String {
    format!("{value:?}")
}

fn backup(dir: &Path, target: &Path, options: &BackupOptions) -> BackupReport {
    tandem_store::backup(&vfs(), dir, target, options).unwrap()
}

fn check(dir: &Path, chain: &[PathBuf]) -> (VerifyReport, Vec<Finding>) {
    let mut findings = Vec::new();
    let report = tandem_store::verify(&vfs(), dir, chain, &mut |f| findings.push(f)).unwrap();
    (report, findings)
}

#[track_caller]
fn assert_sound(dir: &Path) -> VerifyReport {
    let (report, findings) = check(dir, &[]);
    assert_eq!(report.faults, 0, "{findings:#?}");
    report
}

/// A store with two databases, files, index segments, a deletion, and rows that are in its WAL alone.
fn sample(dir: &Path) -> Store {
    let store = open(dir);
    store.create_database("a", None).unwrap();
    store.create_database("b", None).unwrap();
    for round in 0..3_i64 {
        for host in 0..20 {
            let time = round * WEEK_NS + host;
            write(
                &store,
                "a",
                &format!(
                    "cpu,host=h{host} u={round}i,v=0.{host},s=\"x{round}\",t=true {time}\nmem,host=h{host} f=1 {time}"
                ),
            );
        }
        write(&store, "b", &format!("other x={round} {round}"));
        store.flush().unwrap();
    }
    store.drop_measurement("a", b"mem").unwrap();
    write(&store, "a", "cpu,host=new u=7i 5\ncpu,host=h1 u=70i 1");
    write(&store, "b", "other x=99 0");
    store
}

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

#[test]
fn every_fault_is_found_where_it_is() {
    let home = TempDir::new().unwrap();
    let dir = home.path().join("store");
    let store = sample(&dir);
    drop(store);
    assert_sound(&dir);
    let mut files = Vec::new();
    let mut dirs = vec![dir.clone()];
    while let Some(path) = dirs.pop() {
        for entry in fs::read_dir(&path).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => dirs.push(path),
                false => files.push(path),
            }
        }
    }
    files.retain(|path| {
        let extension = path.extension().and_then(|e| e.to_str());
        matches!(extension, Some("blk" | "sidx"))
            || path.starts_with(dir.join("wal")) && extension == Some("seg")
    });
    assert!(files.len() > 6);
    for path in files {
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        // The first record of a log; whatever is in the middle of the others.
        let at = if path.extension().unwrap() == "seg" {
            90
        } else {
            bad.len() / 2
        };
        bad[at] ^= 1;
        fs::write(&path, &bad).unwrap();
        let (report, findings) = check(&dir, &[]);
        let is_told = |f: &Finding| matches!(f, Finding::Fault { file, .. } if *file == path);
        assert!(
            report.faults > 0 && findings.iter().any(is_told),
            "{}: {findings:#?}",
            path.display()
        );
        fs::remove_file(&path).unwrap();
        let (report, _) = check(&dir, &[]);
        if path.extension().unwrap() != "seg" {
            assert!(report.faults > 0, "{} is gone", path.display());
        }
        fs::write(&path, &good).unwrap();
    }
    let stray = dir.join("data/0/stray.blk");
    fs::write(&stray, b"x").unwrap();
    let (report, _) = check(&dir, &[]);
    assert_eq!(report.faults, 1);
    // Beside a process that has the store open it may be a file that is being made.
    let store = open(&dir);
    fs::write(&stray, b"x").unwrap();
    let (report, findings) = check(&dir, &[]);
    assert_eq!(report.faults, 0, "{findings:#?}");
    drop(store);
}

#[test]
fn an_inspection_adds_up() {
    let home = TempDir::new().unwrap();
    let dir = home.path().join("store");
    let store = sample(&dir);
    let found = tandem_store::inspect(&vfs(), &dir).unwrap();
    assert_eq!(found.damaged, []);
    let names: Vec<&str> = found.databases.iter().map(|d| d.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(found.wal.rows, 3);
    let a = &found.databases[0];
    let shards: Vec<_> = a.policies.iter().flat_map(|(_, shards)| shards).collect();
    assert_eq!(shards.len(), 3);
    let cpu = a.measurements.iter().find(|m| m.name == b"cpu").unwrap();
    assert_eq!((cpu.series, cpu.rows), (20, 60));
    let columns: Vec<(&[u8], u64)> = cpu
        .columns
        .iter()
        .map(|c| (c.name.as_slice(), c.values))
        .collect();
    assert_eq!(
        columns,
        [(&b"s"[..], 60), (b"t", 60), (b"u", 60), (b"v", 60)]
    );
    let strings = &cpu.columns[0];
    assert_eq!(strings.raw_bytes, 60 * 2);
    let bytes: u64 = shards.iter().map(|s| s.files.1).sum();
    let measurements: u64 = a.measurements.iter().map(|m| m.bytes).sum();
    assert!(measurements < bytes);
    for m in &a.measurements {
        let columns: u64 = m.columns.iter().map(|c| c.bytes).sum();
        assert!(columns + m.time_bytes < m.bytes);
    }
    drop(store);
}

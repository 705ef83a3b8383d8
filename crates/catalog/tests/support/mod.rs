//! A catalog on a simulated disk, its view in a directory of this host, and all it knows as text.

#![allow(dead_code, reason = "each test takes what it needs")]

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tandem_catalog::{Catalog, CatalogError, Granted, Mode, Options};
use tandem_testkit::SimFs;
use tandem_vfs::Vfs;
use tempfile::TempDir;

/// Where the catalog is on the simulated disk.
pub(crate) const DIR: &str = "/data/catalog";

/// A disk with the directory above the catalog's.
pub(crate) fn disk(seed: u64) -> SimFs {
    let fs = SimFs::new(seed);
    fs.create_dir_all(Path::new("/data")).unwrap();
    fs.sync_dir(Path::new("/")).unwrap();
    fs
}

/// Room for a view.
pub(crate) fn view() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Options whose log is compacted every few operations.
pub(crate) fn small() -> Options {
    Options {
        log_bytes_min: 600,
        ..Options::default()
    }
}

pub(crate) fn open(fs: &SimFs, view: &TempDir) -> Result<Catalog, CatalogError> {
    open_with(fs, view, small())
}

pub(crate) fn open_with(
    fs: &SimFs,
    view: &TempDir,
    options: Options,
) -> Result<Catalog, CatalogError> {
    let vfs: Arc<dyn Vfs> = Arc::new(fs.clone());
    Catalog::open(vfs, Path::new(DIR), &view.path().join("view"), options)
}

/// The files below a directory.
pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// Copies the files below a directory.
pub(crate) fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(file, target).unwrap();
    }
}

/// One operation.
pub(crate) type Step = fn(&Catalog) -> Result<(), CatalogError>;

/// A short life with every kind of operation.
pub(crate) const LIFE: &[Step] = &[
    |c| c.create_user("root", "hash-1", true),
    |c| c.create_user("bob", "hash-2", false),
    |c| c.grant("bob", "db0", Granted::Read),
    |c| c.grant("bob", "db1", Granted::All),
    |c| c.create_continuous_query("db0", "q", "CREATE CONTINUOUS QUERY q …"),
    |c| {
        let queries = c.continuous_queries(Some("db0"))?;
        queries.iter().try_for_each(|q| c.set_last_run(q, 60_000))
    },
    |c| c.create_subscription("db0", "rp", "s", Mode::Any, &["udp://h:1".into()]),
    |c| {
        c.create_subscription(
            "db1",
            "rp",
            "t",
            Mode::All,
            &["udp://h:1".into(), "http://h:2".into()],
        )
    },
    |c| c.revoke("bob", "db1", Granted::Write),
    |c| c.set_password_hash("bob", "hash-3"),
    |c| c.create_user("eve", "hash-4", false),
    |c| c.grant("eve", "db0", Granted::Write),
    |c| c.set_admin("eve", true),
    |c| c.drop_user("bob"),
    |c| c.forget_policy("db0", "rp"),
    |c| c.create_continuous_query("db1", "r", "CREATE CONTINUOUS QUERY r …"),
    |c| c.drop_continuous_query("db1", "r"),
    |c| c.drop_subscription("db1", "rp", "t"),
    |c| c.forget_database("db0"),
    |c| c.set_admin("eve", false),
];

/// All that a catalog knows.
pub(crate) fn dump(catalog: &Catalog) -> String {
    let mut text = String::new();
    for user in catalog.users().unwrap() {
        writeln!(text, "user {} {} {}", user.name, user.hash, user.admin).unwrap();
        for (database, granted) in catalog.grants(&user.name).unwrap() {
            assert_eq!(catalog.granted(&user.name, &database).unwrap(), granted);
            writeln!(text, "  {database} {granted}").unwrap();
        }
    }
    for query in catalog.continuous_queries(None).unwrap() {
        let run = catalog.last_run(&query).unwrap();
        writeln!(
            text,
            "query {} {} {} {run:?}",
            query.database, query.name, query.text
        )
        .unwrap();
    }
    for one in catalog.subscriptions(None).unwrap() {
        let (database, policy, name) = (&one.database, &one.policy, &one.name);
        writeln!(
            text,
            "subscription {database} {policy} {name} {} {:?}",
            one.mode, one.destinations
        )
        .unwrap();
    }
    let admins = catalog.users().unwrap().iter().any(|user| user.admin);
    assert_eq!(catalog.admin_exists(), admins);
    assert_eq!(catalog.user_count(), catalog.users().unwrap().len());
    text
}

/// What is known before the first step and after each.
pub(crate) fn story() -> Vec<String> {
    let (fs, view) = (disk(0), view());
    let catalog = open(&fs, &view).unwrap();
    let mut story = vec![dump(&catalog)];
    for step in LIFE {
        step(&catalog).unwrap();
        story.push(dump(&catalog));
    }
    story
}

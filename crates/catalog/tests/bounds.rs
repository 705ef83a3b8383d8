//! Nothing grows without bound: not the entries, not the log, not a name.

mod support;

use support::{disk, dump, open, open_with, view};
use tandem_catalog::{CatalogError, Granted, Options};

#[test]
fn the_log_is_compacted() {
    let (fs, view) = (disk(1), view());
    let catalog = open(&fs, &view).unwrap();
    catalog.create_user("bob", "hash", false).unwrap();
    for round in 0..300 {
        let granted = [Granted::Read, Granted::Write][round % 2];
        catalog.grant("bob", "db0", granted).unwrap();
        assert!(catalog.log_bytes() < 2000, "{} bytes", catalog.log_bytes());
    }
    let known = dump(&catalog);
    drop(catalog);
    assert_eq!(dump(&open(&fs, &support::view()).unwrap()), known);
}

#[test]
fn what_changes_nothing_is_not_written() {
    let (fs, view) = (disk(1), view());
    let catalog = open(&fs, &view).unwrap();
    catalog.create_user("bob", "hash", false).unwrap();
    catalog.grant("bob", "db0", Granted::Read).unwrap();
    let (bytes, calls) = (catalog.log_bytes(), fs.calls());
    catalog.grant("bob", "db0", Granted::Read).unwrap();
    catalog.set_admin("bob", false).unwrap();
    catalog.drop_continuous_query("db0", "none").unwrap();
    catalog.forget_database("none").unwrap();
    assert_eq!((catalog.log_bytes(), fs.calls()), (bytes, calls));
}

#[test]
fn a_full_catalog_refuses_what_makes_it_longer_and_nothing_else() {
    let (fs, view) = (disk(1), view());
    let options = Options {
        state_bytes_max: 400,
        ..Options::default()
    };
    let catalog = open_with(&fs, &view, options).unwrap();
    let mut users = 0;
    let error = loop {
        match catalog.create_user(&format!("user-{users}"), "hash", false) {
            Ok(()) => users += 1,
            Err(error) => break error,
        }
    };
    assert!(
        matches!(error, CatalogError::Full { bytes_max: 400 }),
        "{error}"
    );
    assert_eq!(catalog.user_count(), users);
    assert!((5..20).contains(&users), "{users}");
    catalog.set_password_hash("user-0", "HASH").unwrap();
    catalog.drop_user("user-1").unwrap();
    catalog.create_user("user-x", "hash", false).unwrap();
}

#[test]
fn names_and_texts_have_a_longest() {
    let (fs, view) = (disk(1), view());
    let catalog = open(&fs, &view).unwrap();
    let long = "x".repeat(Options::NAME_BYTES_MAX + 1);
    let error = catalog.create_user(&long, "hash", false).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a user name of 1025 bytes is longer than the 1024 allowed"
    );
    assert!(catalog.create_user(&long[1..], "hash", false).is_ok());
    let text = "x".repeat(Options::TEXT_BYTES_MAX + 1);
    assert!(catalog.create_continuous_query("db", "q", &text).is_err());
    assert!(matches!(
        catalog.create_user("", "hash", false),
        Err(CatalogError::NameRequired)
    ));
}

#[test]
fn no_hash_shows_in_debug() {
    let (fs, view) = (disk(1), view());
    let catalog = open(&fs, &view).unwrap();
    catalog.create_user("bob", "secret-hash", false).unwrap();
    let shown = format!("{catalog:?} {:?}", catalog.users().unwrap());
    assert!(
        shown.contains("bob") && !shown.contains("secret"),
        "{shown}"
    );
}

//! A call fails: the operation under way is refused, everything else stays as it was and can be asked for, and a
//! restart finds what was acknowledged.

mod support;

use std::io::ErrorKind;

use support::{LIFE, disk, dump, open, story, view};

#[test]
fn an_operation_that_fails_is_not_seen() {
    let story = story();
    for kind in [ErrorKind::StorageFull, ErrorKind::Other] {
        for call in 0.. {
            let (fs, view) = (disk(call), view());
            let catalog = open(&fs, &view).unwrap();
            fs.fail_after(call, kind);
            let mut failed = None;
            for (at, step) in LIFE.iter().enumerate() {
                if step(&catalog).is_err() {
                    failed = Some(at);
                    break;
                }
                assert_eq!(dump(&catalog), story[at + 1], "{kind} at call {call}");
            }
            let at = failed.unwrap_or(LIFE.len());
            assert_eq!(dump(&catalog), story[at], "{kind} at call {call}");
            let pending = fs.fault_is_pending();
            drop(catalog);
            let found = dump(&open(&fs.crash(1), &view).unwrap());
            let after = story.get(at + 1).unwrap_or(&story[at]);
            assert!(
                found == story[at] || found == *after,
                "{kind} at call {call}: {found}"
            );
            if pending {
                break;
            }
        }
    }
}

/// A full disk refuses operations and is over when there is room again.
#[test]
fn a_full_disk_passes() {
    let (fs, view) = (disk(3), view());
    let catalog = open(&fs, &view).unwrap();
    catalog.create_user("root", "hash", true).unwrap();
    fs.set_capacity(Some(fs.used_bytes()));
    let error = catalog.create_user("bob", "hash", false).unwrap_err();
    assert!(error.to_string().contains("write to the log"), "{error}");
    assert!(catalog.user("bob").unwrap().is_none());
    assert!(catalog.user("root").unwrap().is_some());
    fs.set_capacity(None);
    catalog.create_user("bob", "hash", false).unwrap();
    assert_eq!(catalog.user_count(), 2);
}

//! The power goes at every call of a life with compactions and a reopening: what was acknowledged is found, and nothing
//! in part. The view outlives the crash, so it is also older than the log it meets.

mod support;

use support::{LIFE, copy, disk, dump, open, story, view};
use tandem_catalog::CatalogError;
use tandem_testkit::SimFs;
use tempfile::TempDir;

/// Runs the steps from `done` on, closing the catalog in the middle; counts those that were acknowledged.
fn live(fs: &SimFs, view: &TempDir, done: &mut usize) -> Result<(), CatalogError> {
    while *done < LIFE.len() {
        let half = if *done < LIFE.len() / 2 {
            LIFE.len() / 2
        } else {
            LIFE.len()
        };
        let catalog = open(fs, view)?;
        for step in &LIFE[*done..half] {
            step(&catalog)?;
            *done += 1;
        }
    }
    Ok(())
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_happens_in_part() {
    let story = story();
    let fs = disk(0);
    let before = fs.calls();
    live(&fs, &view(), &mut 0).unwrap();
    let calls = fs.calls() - before;
    assert!(calls > 60, "{calls}");
    for call in 0..calls {
        let (fs, left) = (disk(call), view());
        let mut done = 0;
        fs.power_off_after(call);
        // Not an error where the power goes in the compaction behind the last operation.
        let _ = live(&fs, &left, &mut done);
        for seed in 0..3 {
            let at = format!("power off at call {call}, crash {seed}, {done} acknowledged");
            let (fs, view) = (fs.crash(seed), view());
            copy(left.path(), view.path());
            let catalog = open(&fs, &view).unwrap_or_else(|error| panic!("{at}: {error}"));
            let found = dump(&catalog);
            // The step under way may have happened; it has, or it has not.
            let after = story.get(done + 1).unwrap_or(&story[done]);
            assert!(found == story[done] || found == *after, "{at}: {found}");
            assert!(catalog.report().corruptions.is_empty(), "{at}");
            catalog.create_user("later", "hash", true).unwrap();
            let now = dump(&catalog);
            drop(catalog);
            assert_eq!(dump(&open(&fs.crash(seed), &view).unwrap()), now, "{at}");
        }
    }
}

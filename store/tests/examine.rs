//! The check of everything finds each fault where it is, and an inspection adds up.

mod common;

use std::fs;

use common::real::{assert_sound, check, open, sample, vfs};
use tandem_store::Finding;
use tempfile::TempDir;

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

//! The Debian package that `cargo deb` makes of Cargo.toml has all that its units start, and names nothing that is not
//! there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn metadata() -> Table {
    let manifest: Table = fs::read_to_string(root().join("Cargo.toml"))
        .unwrap()
        .parse()
        .unwrap();
    manifest["package"]["metadata"]["deb"]
        .as_table()
        .unwrap()
        .clone()
}

/// The files of the package by their places in it, with where they come from.
fn assets(deb: &Table) -> BTreeMap<PathBuf, PathBuf> {
    let mut all = BTreeMap::new();
    for asset in deb["assets"].as_array().unwrap() {
        let text = |at: usize| asset[at].as_str().unwrap();
        let (from, to, mode) = (text(0), text(1), text(2));
        let is_program = from.starts_with("target/release/");
        assert_eq!(mode, if is_program { "755" } else { "644" }, "{from}");
        assert!(to.ends_with('/') && !to.starts_with('/'), "{to}");
        let mut files = vec![root().join(from)];
        if let Some((dir, pattern)) = from.rsplit_once('/').filter(|(_, name)| name.contains('*')) {
            let ending = pattern.strip_prefix('*').unwrap();
            let entries = fs::read_dir(root().join(dir)).unwrap();
            let paths = entries.map(|entry| entry.unwrap().path());
            files = paths
                .filter(|path| path.to_string_lossy().ends_with(ending))
                .collect();
        }
        assert!(!files.is_empty(), "{from}: no such files");
        for file in files {
            assert!(
                is_program || file.is_file(),
                "{} is not there",
                file.display()
            );
            let place = Path::new("/").join(to).join(file.file_name().unwrap());
            assert!(
                all.insert(place.clone(), file).is_none(),
                "{} twice",
                place.display()
            );
        }
    }
    all
}

#[test]
fn the_package_has_what_its_units_start() {
    let assets = assets(&metadata());
    let units: Vec<_> = assets
        .iter()
        .filter(|(place, _)| place.starts_with("/usr/lib/systemd/system"))
        .collect();
    assert_eq!(
        units.len(),
        fs::read_dir(root().join("deploy/systemd")).unwrap().count()
    );
    for (place, file) in units {
        let text = fs::read_to_string(file).unwrap();
        let start = text
            .lines()
            .find_map(|line| line.strip_prefix("ExecStart="))
            .unwrap();
        // The program and its configuration.
        let named: Vec<&str> = start
            .split(' ')
            .filter(|word| word.starts_with('/'))
            .collect();
        assert_eq!(named.len(), 2, "{start}");
        for path in named {
            assert!(
                assets.contains_key(Path::new(path)),
                "{} starts {path}",
                place.display()
            );
        }
        let documented = text
            .lines()
            .find_map(|line| line.strip_prefix("Documentation=file:"));
        if let Some(path) = documented {
            assert!(
                assets.contains_key(Path::new(path)),
                "{} names {path}",
                place.display()
            );
        }
    }
}

#[test]
fn a_removal_stops_each_unit_and_takes_no_data() {
    let dir = root().join(metadata()["maintainer-scripts"].as_str().unwrap());
    let script = |name: &str| fs::read_to_string(dir.join(name)).unwrap();
    let (before, after) = (script("prerm"), script("postrm"));
    for unit in fs::read_dir(root().join("deploy/systemd")).unwrap() {
        let unit = unit.unwrap().file_name().into_string().unwrap();
        assert!(before.contains(&unit), "{unit} is not stopped");
    }
    for text in [&before, &after] {
        assert!(text.starts_with("#!/bin/sh\n") && text.contains("\nset -e\n"));
        assert!(!text.contains("rm -"), "{text}");
    }
}

#[test]
fn what_people_edit_is_kept_at_an_upgrade() {
    let deb = metadata();
    let assets = assets(&deb);
    let kept: Vec<&Path> = deb["conf-files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| Path::new(file.as_str().unwrap()))
        .collect();
    let edited: Vec<&Path> = assets
        .keys()
        .map(PathBuf::as_path)
        .filter(|place| place.starts_with("/etc"))
        .collect();
    assert_eq!(edited.len(), kept.len());
    for place in edited {
        assert!(kept.contains(&place), "{} is no conf-file", place.display());
    }
    for key in [
        "maintainer",
        "copyright",
        "section",
        "depends",
        "extended-description",
    ] {
        assert!(
            deb.get(key)
                .and_then(Value::as_str)
                .is_some_and(|text| !text.is_empty()),
            "{key}"
        );
    }
    assert!(
        root()
            .join(deb["license-file"][0].as_str().unwrap())
            .is_file()
    );
}

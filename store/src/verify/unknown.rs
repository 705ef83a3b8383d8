//! Files that nothing names.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::Check;
use crate::manifest::State;
use crate::snapshot::{LIST_FILE, RESTORING_FILE, SnapshotError, dirs_and_files};
use crate::store_id::STORE_ID_FILE;

impl Check<'_> {
    /// Tells of files that the manifest does not name. Those that recovery keeps on purpose are told as notes, and so is
    /// everything while a process may be making files.
    pub(super) fn unknown_files(&mut self, state: &State) -> Result<(), SnapshotError> {
        let (dirs, files) = dirs_and_files(state);
        let known: BTreeSet<String> = dirs.into_iter().chain(files).collect();
        let parents: BTreeSet<String> = known
            .iter()
            .flat_map(|path| Path::new(path).ancestors().skip(1))
            .map(|path| path.to_string_lossy().into_owned())
            .collect();
        let mut unknown = Vec::new();
        let list = |dir: &Path| {
            self.vfs
                .read_dir(dir)
                .map_err(SnapshotError::io("list directory", dir))
        };
        for name in list(self.dir)? {
            match name.as_str() {
                "LOCK" | "lost+found" | "ballast" | STORE_ID_FILE | LIST_FILE | RESTORING_FILE
                | "data" | "catalog" => {}
                "wal" | "manifest" => {
                    let dir = self.dir.join(&name);
                    for file in list(&dir)? {
                        if !is_of_log(&file) {
                            unknown.push(dir.join(file));
                        }
                    }
                }
                _ => unknown.push(self.dir.join(name)),
            }
        }
        let mut open = vec!["data".to_owned()];
        while let Some(dir) = open.pop() {
            let path = self.dir.join(&dir);
            if !self.vfs.exists(&path) {
                continue;
            }
            for name in list(&path)? {
                let below = format!("{dir}/{name}");
                if known.contains(&below) || parents.contains(&below) {
                    if !name.contains('.') {
                        open.push(below);
                    }
                } else {
                    unknown.push(self.dir.join(below));
                }
            }
        }
        unknown.sort();
        for path in unknown {
            self.tell_unknown(path);
        }
        Ok(())
    }

    fn tell_unknown(&mut self, path: PathBuf) {
        let name = path.to_string_lossy();
        if name.ends_with(".damaged") || name.ends_with(".orphan") {
            let what = "kept by a recovery; remove it once nobody wants to save more from it";
            self.note(format!("{name}: {what}"));
        } else if self.is_running {
            self.note(format!(
                "{name}: not named by the manifest (yet, or any more)"
            ));
        } else {
            let what = "nothing names it; opening the store removes it if it is in `data`";
            self.fault(path, 0, what);
        }
    }
}

fn is_of_log(name: &str) -> bool {
    name == "LOCK" || name.ends_with(".seg") || name.ends_with(".spare")
}

//! The text files of the repository.
//!
//! The tree is walked, not asked of git: a release's archive has no `.git`. What is built or
//! fetched is left out by the name of its directory.

use std::{fs, io, path::Path};

use anyhow::Context;

/// Directories that hold nothing written by hand, wherever they are.
const BUILT: [&str; 4] = ["target", "node_modules", "dist", ".git"];
/// At the root: where `tandem up` keeps its data.
const DATA: &str = "data";
/// A text written by hand is far below this.
const TEXT_BYTES_MAX: u64 = 4 << 20;

/// Name (relative, with `/`) and text of every file below `root` that is UTF-8, in order of name.
pub(super) fn texts(root: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let mut texts = Vec::new();
    walk(root, "", &mut texts).with_context(|| format!("read the tree {}", root.display()))?;
    texts.sort();
    Ok(texts)
}

fn walk(directory: &Path, prefix: &str, texts: &mut Vec<(String, String)>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let relative = format!("{prefix}{name}");
        let kind = entry.file_type()?;
        if kind.is_dir() {
            if !BUILT.contains(&name.as_str()) && relative != DATA {
                walk(&entry.path(), &format!("{relative}/"), texts)?;
            }
        } else if kind.is_file()
            && entry.metadata()?.len() <= TEXT_BYTES_MAX
            && let Ok(text) = String::from_utf8(fs::read(entry.path())?)
        {
            texts.push((relative, text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_things_data_and_bytes_are_left_out() {
        let root = tempfile::tempdir().expect("a directory");
        for (name, bytes) in [
            ("a.rs", &b"//! a"[..]),
            ("b/data/kept.txt", b"kept"),
            ("b/target/left.txt", b"left"),
            ("data/left.txt", b"left"),
            ("ui/node_modules/x/left.js", b"left"),
            ("bytes", b"\xff\xfe"),
        ] {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
            fs::write(path, bytes).expect("a file");
        }
        let names: Vec<String> = texts(root.path())
            .expect("the tree")
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, ["a.rs", "b/data/kept.txt"]);
    }
}

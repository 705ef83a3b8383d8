//! Which crate of the workspace may import which.
//!
//! The table is the architecture: leaves know nothing of the rooms above them, the store and the
//! query engine know no HTTP, and the roles (agent, relay, server) meet in the binary alone.
//! Dependencies of tests are free, since tests may well look from above.

use std::{collections::BTreeMap, path::Path, process::Command};

use anyhow::{Context, bail};
use serde_json::Value as Json;

use super::Finding;

/// A crate and what it may import, all without their prefix `tandem-`. Below are the leaves, above
/// who uses them.
///
/// Beyond the drawing "line, influxql, codec → model; store → model line codec seglog vfs;
/// query → store influxql; relay → model line influxql seglog http; agent → model line seglog http;
/// server → query store catalog http; catalog → seglog" there are these, each with its reason:
/// - `query` and `server` name `model`: series keys, values and times are the words in which the
///   store answers them.
/// - `relay` and `agent` name `vfs`: they hand a file system and a clock to `seglog`, the real ones
///   in the binary and simulated ones in tests.
/// - `catalog` names `vfs`: it hands a file system to `seglog`.
/// - `server` names `line`: points that come by other protocols become lines, and lines get their times.
/// - `server` names `influxql`: it parses the text of a query to learn what a statement needs (read
///   or change, which database) before it queues for execution.
const ALLOWED: [(&str, &[&str]); 18] = [
    ("model", &[]),
    ("vfs", &[]),
    ("http", &[]),
    ("line", &["model"]),
    ("influxql", &["model"]),
    ("codec", &["model"]),
    ("seglog", &["vfs"]),
    ("testkit", &["vfs"]),
    ("catalog", &["seglog", "vfs"]),
    ("store", &["codec", "line", "model", "seglog", "vfs"]),
    ("query", &["influxql", "model", "store"]),
    (
        "relay",
        &["http", "influxql", "line", "model", "seglog", "vfs"],
    ),
    ("agent", &["http", "line", "model", "seglog", "vfs"]),
    (
        "server",
        &[
            "catalog", "http", "influxql", "line", "model", "query", "store",
        ],
    ),
    (
        "benches",
        &[
            "codec", "influxql", "line", "model", "query", "server", "store", "vfs",
        ],
    ),
    ("crash", &["model", "store", "testkit", "vfs"]),
    (
        "differential",
        &["influxql", "line", "model", "query", "store", "vfs"],
    ),
    ("xtask", &[]),
];
/// The package of the binary, which wires everything together.
const BINARY: &str = "tandem";
/// What the binary leaves to tests.
const TESTS_ONLY: &str = "testkit";

/// A package of the workspace.
#[derive(Debug)]
pub(super) struct Package {
    /// With its prefix.
    name: String,
    /// Of its `Cargo.toml`, relative to the root.
    file: String,
    /// The text of its `Cargo.toml`, to find lines in.
    manifest: String,
    /// The workspace's crates that it imports outside tests (build scripts count).
    imports: Vec<String>,
}

/// The packages of the workspace at `root`, as cargo reads them.
pub(super) fn packages(root: &Path) -> anyhow::Result<Vec<Package>> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["metadata", "--no-deps", "--format-version", "1"]);
    let output = command
        .current_dir(root)
        .output()
        .context("run cargo metadata")?;
    if !output.status.success() {
        bail!(
            "cargo metadata: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let metadata: Json = serde_json::from_slice(&output.stdout).context("read cargo metadata")?;
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata lists no packages")?;
    packages.iter().map(|package| read(root, package)).collect()
}

fn read(root: &Path, package: &Json) -> anyhow::Result<Package> {
    let text = |value: &Json| value.as_str().map(str::to_owned);
    let name = text(&package["name"]).context("a package has no name")?;
    let path = text(&package["manifest_path"]).context("a package has no manifest")?;
    let file = Path::new(&path)
        .strip_prefix(root)
        .unwrap_or(Path::new(&path));
    let manifest = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let imports = package["dependencies"].as_array().into_iter().flatten();
    let imports = imports
        .filter(|dependency| dependency["path"].is_string() && dependency["kind"] != "dev")
        .filter_map(|dependency| text(&dependency["name"]))
        .collect();
    let file = file.to_string_lossy().replace('\\', "/");
    Ok(Package {
        name,
        file,
        manifest,
        imports,
    })
}

/// Every import that the table does not allow.
pub(super) fn check(packages: &[Package]) -> Vec<Finding> {
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.into_iter().collect();
    let mut findings = Vec::new();
    for package in packages {
        let (file, name) = (package.file.as_str(), short(&package.name));
        let row = allowed.get(name);
        if row.is_none() && package.name != BINARY {
            let advice = format!(
                "say in xtask's tidy/imports.rs what {} may import",
                package.name
            );
            findings.push(Finding::new(file, 1, advice));
            continue;
        }
        for import in &package.imports {
            let wanted = short(import);
            let fits = row.map_or(wanted != TESTS_ONLY, |row| row.contains(&wanted));
            if !fits {
                let advice = format!(
                    "{name} must not import {wanted}: move what it needs down to a crate that both know{}",
                    if wanted == TESTS_ONLY {
                        ", or make it a dev-dependency"
                    } else {
                        ""
                    }
                );
                findings.push(Finding::new(
                    file,
                    line_of(&package.manifest, import),
                    advice,
                ));
            }
        }
    }
    findings
}

fn short(name: &str) -> &str {
    name.strip_prefix("tandem-").unwrap_or(name)
}

/// The line of a manifest that names `import`; 1 when it hides behind another name.
fn line_of(manifest: &str, import: &str) -> usize {
    let names = |line: &str| {
        line.split(|c: char| !(c.is_alphanumeric() || c == '-' || c == '_'))
            .any(|word| word == import)
    };
    manifest.lines().position(names).map_or(1, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn findings(name: &str, imports: &[&str]) -> Vec<Finding> {
        let lines: Vec<String> = imports
            .iter()
            .map(|import| format!("{import}.workspace = true"))
            .collect();
        check(&[Package {
            name: name.to_owned(),
            file: format!("{name}/Cargo.toml"),
            manifest: format!("[dependencies]\n{}\n", lines.join("\n")),
            imports: imports.iter().map(|&import| import.to_owned()).collect(),
        }])
    }

    #[test]
    fn what_the_table_allows_passes() {
        assert_eq!(findings("tandem-store", &["tandem-vfs", "tandem-line"]), []);
        assert_eq!(
            findings("tandem", &["tandem-relay", "tandem-agent", "tandem-server"]),
            []
        );
        assert_eq!(findings("tandem-http", &[]), []);
    }

    #[test]
    fn what_it_does_not_allow_is_found_at_its_line() {
        let found = findings("tandem-store", &["tandem-vfs", "tandem-http"]);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].file.as_str(), found[0].line),
            ("tandem-store/Cargo.toml", 3)
        );
        assert!(
            found[0].advice.starts_with("store must not import http"),
            "{found:?}"
        );
        for (name, import) in [
            ("tandem-relay", "tandem-server"),
            ("tandem-server", "tandem-agent"),
            ("tandem-model", "tandem-vfs"),
            ("xtask", "tandem-http"),
        ] {
            assert_eq!(findings(name, &[import]).len(), 1, "{name} {import}");
        }
    }

    #[test]
    fn only_tests_import_the_testkit() {
        for name in ["tandem", "tandem-store", "tandem-seglog"] {
            assert_eq!(findings(name, &["tandem-testkit"]).len(), 1, "{name}");
        }
    }

    #[test]
    fn a_new_crate_needs_its_row() {
        let found = findings("tandem-novelty", &["tandem-seglog"]);
        assert!(
            found[0].advice.contains("what tandem-novelty may import"),
            "{found:?}"
        );
    }

    #[test]
    fn the_table_names_only_rows_and_has_no_circle() {
        for (name, row) in ALLOWED {
            for import in row {
                let below = ALLOWED.iter().position(|(other, _)| other == import);
                let own = ALLOWED.iter().position(|(other, _)| *other == name);
                assert!(
                    below.is_some() && below < own,
                    "{import} does not stand above {name}"
                );
            }
        }
    }

    #[test]
    fn cargo_tells_every_package() {
        let packages = packages(&crate::root().expect("a root")).expect("packages");
        let relay = packages
            .iter()
            .find(|package| package.name == "tandem-relay")
            .expect("the relay");
        assert_eq!(relay.file, "relay/Cargo.toml");
        assert!(
            relay.imports.contains(&"tandem-seglog".to_owned()),
            "{relay:?}"
        );
        assert!(
            !relay.imports.contains(&"tandem-testkit".to_owned()),
            "{relay:?}"
        );
    }
}

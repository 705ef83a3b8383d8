//! `cargo xtask differential`: builds the store and the comparing program, and runs that.

use std::path::Path;

use anyhow::ensure;

use crate::proof::{cargo, run};

/// Hands `options` to `tandem-differential`; true when it found no difference.
pub(crate) fn differential(root: &Path, options: &[&str]) -> anyhow::Result<bool> {
    let mut build = cargo();
    build.args(["build", "--quiet", "--bin", "tandem"]);
    build.args(["--package", "tandem", "--package", "tandem-differential"]);
    build.args(["--bin", "tandem-differential"]);
    ensure!(run(&mut build, root)?, "cargo build failed");
    let mut command = cargo();
    command.args(["run", "--quiet", "--package", "tandem-differential", "--"]);
    run(command.args(options), root)
}

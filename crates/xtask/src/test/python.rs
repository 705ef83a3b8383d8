//! Python's package `influxdb`, unchanged, against the running appliance, and against a store with
//! authentication.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use super::{
    Bench, Tally,
    appliance::Store,
    process::{on_path, run_aloud},
};

const LIMIT: Duration = Duration::from_secs(5 * 60);
/// The last version of the 1.x client, and what its data frames need.
const PACKAGE: &str = "influxdb==5.3.2";
const FRAMES: &str = "pandas==2.2.3";
/// What makes a store ask for passwords.
const GUARD: &str = "[store]
auth-enabled = true
admin-user = \"root\"
admin-password = \"s3cret\"
";
const SCRIPT: &str = "crates/xtask/clients/python_influxdb.py";
/// Debian's own Python is the one that `python3-venv` belongs to.
const PYTHONS: [&str; 2] = ["/usr/bin/python3", "python3"];

pub(super) fn run(bench: &mut Bench<'_>) -> anyhow::Result<Tally> {
    let python = match environment(&super::appliance::scratch(bench.root)?) {
        Ok(python) => python,
        Err(why) => return Ok(bench.missing(&format!("Python's {PACKAGE} is not there: {why:#}"))),
    };
    let root = bench.root;
    let guarded = Store::configured(root, "guarded", GUARD, true)?;
    let appliance = bench.appliance()?;
    let mut command = Command::new(python);
    let addresses = [
        appliance.api,
        appliance.relay,
        appliance.backup,
        guarded.api,
    ];
    command
        .arg(SCRIPT)
        .args(addresses.map(|address| address.to_string()));
    let finished = run_aloud(command.current_dir(root), LIMIT)?;
    Ok(super::browser::judge(SCRIPT, &finished))
}

/// The interpreter of a virtual environment in `scratch` that holds the package.
fn environment(scratch: &Path) -> anyhow::Result<PathBuf> {
    let home = scratch.join("python");
    let python = home.join("bin/python");
    let ready = |python: &Path| {
        let mut command = Command::new(python);
        command.args(["-c", "import influxdb, pandas"]);
        command.output().is_ok_and(|output| output.status.success())
    };
    if ready(&python) {
        return Ok(python);
    }
    let mut last = anyhow::anyhow!("python3 is not installed");
    for base in PYTHONS
        .into_iter()
        .filter(|base| Path::new(base).is_file() || on_path(base))
    {
        match make(base, &home) {
            Ok(()) if ready(&python) => return Ok(python),
            Ok(()) => last = anyhow::anyhow!("{PACKAGE} does not load in {base}"),
            Err(why) => last = why,
        }
    }
    Err(last)
}

fn make(base: &str, home: &Path) -> anyhow::Result<()> {
    let made = run_aloud(
        Command::new(base).args(["-m", "venv", "--clear"]).arg(home),
        LIMIT,
    )?;
    anyhow::ensure!(made.success, "{base} -m venv: {}", made.how);
    let mut pip = Command::new(home.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", PACKAGE, FRAMES]);
    let done = run_aloud(&mut pip, LIMIT)?;
    anyhow::ensure!(done.success, "pip install {PACKAGE} {FRAMES}: {}", done.how);
    Ok(())
}

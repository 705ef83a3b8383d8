//! Commands of `tandem` that do something and end, and a store process beside them.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Command, Output, Stdio},
};

use super::process::{Process, free_addresses};

/// Whether `program` is found on the path.
pub(crate) fn on_path(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|dir| dir.join(program).is_file())
}

/// Runs `tandem` with `arguments` in `dir` to its end.
pub(crate) fn run(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tandem"))
        .args(arguments)
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
        .expect("run tandem")
}

/// As [`run`]; it must do well. What it printed to stdout.
#[track_caller]
pub(crate) fn good(dir: &Path, arguments: &[&str]) -> String {
    let output = run(dir, arguments);
    assert!(
        output.status.success(),
        "{arguments:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("text")
}

/// As [`run`]; it must fail. What it printed to stderr.
#[track_caller]
pub(crate) fn bad(dir: &Path, arguments: &[&str]) -> String {
    let output = run(dir, arguments);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{arguments:?} did well: {text}");
    assert!(!text.contains("panicked"), "{arguments:?}: {text}");
    text
}

/// A store process on `data` in `home`, with further options, and where its API is.
pub(crate) fn store(home: &Path, data: &str, options: &[&str]) -> (Process, SocketAddr) {
    let [address] = free_addresses();
    let text = address.to_string();
    let mut arguments = vec![
        "store",
        "--http",
        &text,
        "--admin",
        "off",
        "--data-dir",
        data,
    ];
    arguments.extend(options);
    let mut process = Process::start(&arguments, home, &data.replace('/', "_"));
    process.await_ping(address);
    (process, address)
}

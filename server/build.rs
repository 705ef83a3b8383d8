//! Builds the browser page from `ui/` and lists its files for embedding.
//!
//! The page is built in a copy below `OUT_DIR`, so that the source tree stays clean, and only when
//! something in `ui/` has changed. Texts are embedded compressed too, so that nothing is to be compressed while
//! serving. Where that cannot be done (no Node.js, no npm registry, or
//! `TANDEM_UI=off`) the build goes on with a plain page that says so.

use std::{
    env,
    error::Error,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

/// What the page is made of, below `ui/`.
const SOURCES: [&str; 7] = [
    "package.json",
    "package-lock.json",
    "tsconfig.json",
    "vite.config.ts",
    "index.html",
    "src",
    "public",
];

use flate2::{Compression, write::GzEncoder};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    let ui =
        PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or("CARGO_MANIFEST_DIR is not set")?)
            .join("../ui");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=TANDEM_UI");
    for source in SOURCES
        .iter()
        .map(|source| ui.join(source))
        .filter(|source| source.exists())
    {
        println!("cargo::rerun-if-changed={}", source.display());
    }
    let files = match build(&ui, &out) {
        Ok(dist) => compressed(list(&dist)?, &out.join("compressed"))?,
        Err(why) => {
            println!(
                "cargo::warning=the browser page is left out, a plain one takes its place: {why}"
            );
            Vec::new()
        }
    };
    fs::write(out.join("assets.rs"), table(&files))?;
    Ok(())
}

/// Builds the page; returns the directory of its files.
fn build(ui: &Path, out: &Path) -> Outcome<PathBuf> {
    if env::var("TANDEM_UI").is_ok_and(|value| value == "off") {
        return Err("TANDEM_UI=off".into());
    }
    let work = out.join("ui");
    for source in SOURCES {
        let (from, to) = (ui.join(source), work.join(source));
        if to.is_dir() {
            fs::remove_dir_all(&to)?;
        }
        if from.exists() {
            copy(&from, &to)?;
        }
    }
    // The installed packages stay as long as the lock file is the same.
    let (lock, installed) = (
        fs::read(work.join("package-lock.json"))?,
        work.join("installed.lock"),
    );
    if fs::read(&installed).ok().as_ref() != Some(&lock) {
        let install = [
            "ci",
            "--omit=dev",
            "--no-audit",
            "--no-fund",
            "--prefer-offline",
            "--fetch-retries=1",
            "--fetch-timeout=20000",
        ];
        run(Command::new("npm").args(install).current_dir(&work))?;
        fs::write(&installed, &lock)?;
    }
    let dist = out.join("page");
    let build = [
        "run",
        "--silent",
        "build",
        "--",
        "--emptyOutDir",
        "--logLevel",
        "warn",
        "--outDir",
    ];
    run(Command::new("npm")
        .args(build)
        .arg(&dist)
        .current_dir(&work))?;
    if !dist.join("index.html").is_file() {
        return Err("it was built without an index.html".into());
    }
    Ok(dist)
}

fn run(command: &mut Command) -> Outcome<()> {
    let what = format!("{command:?}");
    let output = command
        .output()
        .map_err(|error| format!("{what}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default();
    Err(format!("{what}: {}: {last}", output.status).into())
}

fn copy(from: &Path, to: &Path) -> Outcome<()> {
    if from.is_dir() {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
        return Ok(());
    }
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::copy(from, to)?;
    Ok(())
}

/// All files below `dist`, with their paths in a URL, sorted.
fn list(dist: &Path) -> Outcome<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    let mut open = vec![dist.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else {
                let parts = path
                    .strip_prefix(dist)?
                    .iter()
                    .map(|part| part.to_string_lossy());
                files.push((parts.collect::<Vec<_>>().join("/"), path));
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Name, content, and content after gzip, of each file; the last is the second where it is no smaller.
fn compressed(
    files: Vec<(String, PathBuf)>,
    into: &Path,
) -> Outcome<Vec<(String, PathBuf, PathBuf)>> {
    fs::create_dir_all(into)?;
    let mut all = Vec::new();
    for (at, (name, path)) in files.into_iter().enumerate() {
        let content = fs::read(&path)?;
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&content)?;
        let smaller = encoder.finish()?;
        if smaller.len() < content.len() {
            let place = into.join(format!("{at}.gz"));
            fs::write(&place, smaller)?;
            all.push((name, path, place));
        } else {
            all.push((name, path.clone(), path));
        }
    }
    Ok(all)
}

/// The source text of the table, which `src/page.rs` includes.
fn table(files: &[(String, PathBuf, PathBuf)]) -> String {
    let mut text = String::from("&[\n");
    for (name, path, compressed) in files {
        let [path, compressed] = [path, compressed].map(|path| path.display().to_string());
        text +=
            &format!("    ({name:?}, include_bytes!({path:?}), include_bytes!({compressed:?})),\n");
    }
    text + "]\n"
}

//! Has the linker pack what the loader must adjust at the start: 750 KiB of the program become 10, which each process
//! would read and keep. The C library must know of it, which glibc does since 2.36, in 2022; where it is older, or
//! not asked because the program is built for another machine, all stays as it was.

use std::process::Command;

/// The first minor version of glibc 2 that takes packed relocations.
const MINOR_MIN: u32 = 36;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let is_native = variable("HOST") == variable("TARGET");
    let is_gnu = variable("CARGO_CFG_TARGET_ENV") == "gnu";
    if is_native && is_gnu && glibc_minor().is_some_and(|minor| minor >= MINOR_MIN) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The minor version of this machine's glibc 2.
fn glibc_minor() -> Option<u32> {
    let output = Command::new("getconf")
        .arg("GNU_LIBC_VERSION")
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.trim().strip_prefix("glibc 2.")?.parse().ok()
}

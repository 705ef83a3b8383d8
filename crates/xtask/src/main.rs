//! Automation of the repository: `cargo xtask …`.

fn main() {}

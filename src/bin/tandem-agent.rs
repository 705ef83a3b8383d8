//! The program `tandem-agent`: what `tandem agent` becomes once it has read its settings.

use std::process::ExitCode;

fn main() -> ExitCode {
    tandem::agent()
}

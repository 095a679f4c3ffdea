//! The `wharf` command. Calls the library, never decides anything itself.

use std::process::ExitCode;

fn main() -> ExitCode {
    wharf::cli::main(std::env::args_os())
}

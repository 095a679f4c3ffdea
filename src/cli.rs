//! The command line: arguments in, one engine call, output and an exit code out.

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the program.
pub fn main(_args: impl Iterator<Item = OsString>) -> ExitCode {
    ExitCode::FAILURE
}

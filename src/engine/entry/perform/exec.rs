//! The last step: the program. It returns only on failure, and then says what was missing.

use std::ffi::CStr;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::{AccessFlags, access, execve, read};

use super::Broken;
use crate::engine::entry::plan::Program;
use crate::engine::entry::report::{Interpreter, StepPart};

/// Executes `program`; returns only on failure, with the most useful error. If the program exists
/// and its interpreter does not, the interpreter is reported.
pub(super) fn exec(program: &Program) -> Broken {
    let mut failure = Broken(StepPart::Whole, Errno::ENOENT);
    for path in &program.paths {
        let Err(errno) = execve(path, &program.argv, &program.environment);
        if !matches!(errno, Errno::ENOENT | Errno::ENOTDIR) {
            failure = errno.into();
        } else if is_there(path) {
            failure = Broken(StepPart::Source, errno);
        }
    }
    failure
}

/// Finds the interpreter of `program`, which exists.
pub(super) fn interpreter(program: &Program) -> Interpreter {
    let Some(path) = program.paths.iter().find(|it| is_there(it)) else {
        return Interpreter::UNKNOWN;
    };
    // The kernel reads as much of a script's first line.
    let mut start = [0; 256];
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let count = open(path.as_c_str(), flags, Mode::empty()).and_then(|it| read(&it, &mut start));
    Interpreter::of_script(start.get(..count.unwrap_or(0)).unwrap_or_default())
}

fn is_there(path: &CStr) -> bool {
    access(path, AccessFlags::F_OK).is_ok()
}

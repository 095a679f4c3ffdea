//! The last step: the program. It returns only on failure, and then says what was missing.

use std::ffi::CStr;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::{AccessFlags, access, execve, read};

use super::{Broken, Part};
use crate::engine::plan::Program;
use crate::engine::sys;

/// The longest name of an interpreter that is reported; a longer one is cut.
pub(in crate::engine) const NAME: usize = 64;

/// The name of an interpreter, filled up with zeros; it travels in a report of fixed size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Interpreter(pub(in crate::engine) [u8; NAME]);

impl Interpreter {
    /// No script, or one that cannot be read.
    pub(in crate::engine) const UNKNOWN: Self = Self([0; NAME]);

    /// Returns the name without what fills it up.
    pub(in crate::engine) fn name(&self) -> &[u8] {
        self.0.split(|it| *it == 0).next().unwrap_or_default()
    }

    /// Takes the name from the beginning of a script.
    fn of_script(start: &[u8]) -> Self {
        let line = start.strip_prefix(b"#!").and_then(|it| it.split(|it| *it == b'\n').next());
        let mut words = line.unwrap_or_default().split(|it| matches!(it, b' ' | b'\t'));
        let word = words.find(|it| !it.is_empty()).unwrap_or_default();
        let mut name = Self::UNKNOWN;
        name.0.iter_mut().zip(word).for_each(|(to, from)| *to = *from);
        name
    }
}

/// Executes `program`; returns only on failure, with the error that says most. Where the program
/// is there and what is to interpret it is not, the source is at fault.
pub(super) fn exec(program: &Program) -> Broken {
    if let Err(errno) = sys::close_on_exec_from(3) {
        return errno.into();
    }
    let mut failure = Broken(Part::Whole, Errno::ENOENT);
    for path in &program.paths {
        let Err(errno) = execve(path, &program.argv, &program.environment);
        if !matches!(errno, Errno::ENOENT | Errno::ENOTDIR) {
            failure = errno.into();
        } else if is_there(path) {
            failure = Broken(Part::Source, errno);
        }
    }
    failure
}

/// Finds out what `program`, which is there, is to be interpreted by.
pub(super) fn interpreter(program: &Program) -> Interpreter {
    let Some(path) = program.paths.iter().find(|it| is_there(it)) else {
        return Interpreter::UNKNOWN;
    };
    // Its size is the kernel's for the first line of a script.
    let mut start = [0; 256];
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let count = open(path.as_c_str(), flags, Mode::empty()).and_then(|it| read(&it, &mut start));
    Interpreter::of_script(start.get(..count.unwrap_or(0)).unwrap_or_default())
}

fn is_there(path: &CStr) -> bool {
    access(path, AccessFlags::F_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interpreter_stands_in_the_first_line() {
        let name = |start: &[u8]| Interpreter::of_script(start).name().to_vec();
        assert_eq!(name(b"#!/bin/sh\necho"), b"/bin/sh");
        assert_eq!(name(b"#! \t/usr/bin/env -S python3\n"), b"/usr/bin/env");
        assert_eq!(name(b"#!/bin/bash\r\n"), b"/bin/bash\r");
        assert_eq!(name(b"\x7fELF"), b"");
        assert_eq!(name(b"#!"), b"");
        assert_eq!(name(&[b"#!", [b'x'; 200].as_slice()].concat()).len(), NAME);
    }
}

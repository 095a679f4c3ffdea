//! The memory that holds the arguments and the environment of this process, which others see in
//! `/proc`.

use std::ffi::CStr;
use std::slice;

/// Shows `title` in place of the arguments that this process was started with, and overwrites its
/// environment. Neither may be read afterwards.
pub(in crate::engine) fn forget_origin(title: &CStr) {
    forget_arguments(title);
    forget_environment();
}

fn forget_arguments(title: &CStr) {
    unsafe extern "C" {
        /// The first argument itself, see program_invocation_name(3).
        static program_invocation_name: *mut libc::c_char;
    }
    let length = std::env::args_os().map(|it| it.len() + 1).sum();
    // SAFETY: the C library has set it before main, and the caller is single-threaded.
    let first = unsafe { program_invocation_name };
    if length == 0 || first.is_null() {
        return;
    }
    // SAFETY: the kernel puts the arguments, each with its NUL, one after the other into memory that
    // the process may write. Nothing refers to them: those above are copies.
    let memory = unsafe { slice::from_raw_parts_mut(first.cast::<u8>(), length) };
    memory.fill(0);
    for (byte, of_title) in memory.iter_mut().zip(title.to_bytes()) {
        *byte = *of_title;
    }
}

fn forget_environment() {
    unsafe extern "C" {
        static environ: *mut *mut libc::c_char;
    }
    // SAFETY: the caller is single-threaded, so nobody changes the list meanwhile.
    let mut place = unsafe { environ };
    while !place.is_null() {
        // SAFETY: the list ends in a null pointer, which ends the loop.
        let string = unsafe { place.read() };
        if string.is_null() {
            return;
        }
        // SAFETY: each string in the list ends in a NUL.
        let length = unsafe { libc::strlen(string) };
        // SAFETY: the strings are this process's own to write, see environ(7).
        unsafe { string.write_bytes(0, length) };
        // SAFETY: this was not the end of the list.
        place = unsafe { place.add(1) };
    }
}

//! SELinux as far as containers need it: whether this kernel uses it, and the context of a process.

use std::fs;
use std::io;
use std::path::Path;

use crate::engine::host::Host;

/// Returns whether the kernel uses SELinux.
pub(in crate::engine) fn is_enabled() -> bool {
    Path::new("/sys/fs/selinux/enforce").exists()
}

/// Returns the context of the process `pid`.
pub(in crate::engine) fn context(host: &Host, pid: i32) -> io::Result<String> {
    let context = fs::read_to_string(host.of_process(pid, "attr/current"))?;
    Ok(context.trim_end_matches(['\n', '\0']).to_owned())
}

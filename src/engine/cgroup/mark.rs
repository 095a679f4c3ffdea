//! Marks the directories that wharf makes above the groups of containers, so that the last container
//! in one removes it, whichever made it. A mark is an extended attribute of the directory, and goes
//! with it.

use std::ffi::CStr;
use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::Path;

use crate::engine::sys::xattr;

const MARK: &CStr = c"user.wharf.made";

/// Marks `dir`. Before Linux 5.7 this is refused; then only the container that made it removes it.
pub(super) fn set(dir: &Path) {
    _ = File::open(dir).map(|it| xattr::set(it.as_fd(), MARK, b"1"));
}

/// Returns whether `dir` has the mark.
pub(super) fn has(dir: &Path) -> bool {
    let all = File::open(dir).ok().and_then(|it| xattr::all(it.as_fd()).ok());
    all.is_some_and(|it| it.iter().any(|(name, _)| name.as_c_str() == MARK))
}

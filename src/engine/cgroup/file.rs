//! How cgroup files are read and written, and the names in them.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use crate::engine::host::short::{read_short, text_at_once};

/// Where processes are moved from the group in which wharf creates its own.
pub(super) const LEAF: &str = "wharf.leaf";

/// Writes all of `value` with one write(2), as cgroup files want it.
pub(super) fn write_once(file: &Path, value: &[u8]) -> io::Result<()> {
    File::options().write(true).open(file)?.write_all(value)
}

/// Reads the flag `key` of a `cgroup.events` file.
pub(super) fn event(text: &str, key: &str) -> Option<bool> {
    let line = text.lines().find_map(|it| it.strip_prefix(key)?.strip_prefix(' '))?;
    Some(line.trim() == "1")
}

/// Reads a file of words in one line, such as controllers; empty if it cannot be read.
pub(super) fn words_of(path: &Path) -> Vec<String> {
    let text = text_at_once(path).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

/// Reads a file with a word in each line, such as processes, which the kernel hands out in parts; empty
/// if it cannot be read.
pub(super) fn lines_of(path: &Path) -> Vec<String> {
    let text = File::open(path).and_then(|it| read_short(it, u64::MAX)).unwrap_or_default();
    String::from_utf8_lossy(&text).split_whitespace().map(str::to_owned).collect()
}

/// Returns the controller that a cgroup file's name begins with.
pub(super) fn controller_of(file: &str) -> &str {
    file.split_once('.').map_or(file, |(controller, _)| controller)
}

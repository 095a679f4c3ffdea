//! The lxcpath on disk: finding, reading, locking and atomically replacing containers' files.

use std::path::PathBuf;

/// Returns the lxcpath to use when none was named.
pub fn default_lxcpath() -> PathBuf {
    PathBuf::from("/var/lib/lxc")
}

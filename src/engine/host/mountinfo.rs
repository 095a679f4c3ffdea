//! The kernel's table of mounts; see `proc_pid_mountinfo(5)`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

/// The table's path below /proc.
pub(in crate::engine) const FILE: &str = "self/mountinfo";

/// Which field of a line is the mount point.
const POINT: usize = 4;

/// Returns where something is mounted, in the order of the table's `text`.
pub(in crate::engine) fn points(text: &[u8]) -> impl Iterator<Item = PathBuf> {
    let fields =
        text.split(|it| *it == b'\n').filter_map(|it| it.split(|it| *it == b' ').nth(POINT));
    fields.map(unescaped)
}

/// Undoes mountinfo's `\040` for blank, tab, newline and backslash.
pub(in crate::engine) fn unescaped(text: &[u8]) -> PathBuf {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        if let (b'\\', Some((digits, after))) = (*first, tail.split_first_chunk::<3>())
            && let Some(byte) = octal(*digits)
        {
            plain.push(byte);
            rest = after;
        } else {
            plain.push(*first);
            rest = tail;
        }
    }
    PathBuf::from(OsString::from_vec(plain))
}

fn octal(digits: [u8; 3]) -> Option<u8> {
    u8::from_str_radix(str::from_utf8(&digits).ok()?, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_point_may_hold_blanks() {
        let text =
            b"30 1 0:2 / /a\\040b\\134 rw - tmpfs none rw\n31 1 0:2 / /c rw - tmpfs none rw\n";
        let points: Vec<PathBuf> = points(text).collect();
        assert_eq!(points, [PathBuf::from("/a b\\"), PathBuf::from("/c")]);
    }
}

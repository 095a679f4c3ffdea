//! The difference of two texts as diff -u prints it, safe for a terminal. Pure.

use std::fmt::Write as _;
use std::path::Path;

use similar::{ChangeTag, TextDiff};

use crate::engine::shown::shown;

/// Lines around a change.
const CONTEXT: usize = 3;

/// Returns how `before`, the content of `file`, becomes `after`; nothing if they are the same.
pub(super) fn unified(file: &Path, before: &[u8], after: &[u8]) -> String {
    let [before, after] = [before, after].map(String::from_utf8_lossy);
    let difference = TextDiff::from_lines(before.as_ref(), after.as_ref());
    let mut text = String::new();
    for hunk in difference.unified_diff().context_radius(CONTEXT).iter_hunks() {
        if text.is_empty() {
            let file = file.to_string_lossy();
            // Writing to a String cannot fail.
            _ = writeln!(text, "--- {0}\n+++ {0}", shown(&file));
        }
        _ = writeln!(text, "{}", hunk.header());
        for change in hunk.iter_changes() {
            let sign = match change.tag() {
                ChangeTag::Equal => ' ',
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
            };
            let line = change.value().trim_end_matches(['\n', '\r']);
            _ = writeln!(text, "{sign}{}", shown(line));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_reads_as_diff_prints_it() {
        let before = b"a\nlxc.tty = 1\nb\x1b[2J\n";
        let said = unified(Path::new("/c"), before, b"a\nlxc.tty.max = 1\nb\x1b[2J\n");
        let expected =
            "--- /c\n+++ /c\n@@ -1,3 +1,3 @@\n a\n-lxc.tty = 1\n+lxc.tty.max = 1\n b\\x1b[2J\n";
        assert_eq!(said, expected);
        assert_eq!(unified(Path::new("/c"), before, before), "");
    }
}

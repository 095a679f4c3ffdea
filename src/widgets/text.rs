//! Text that is broken into lines of the width that there is.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::pen::Pen;

/// The signs that join the parts of a path, a key or an assignment.
const JOINTS: &str = "=/._,:";

/// Breaks `text` into lines of at most `room` cells: at blanks, and within a word that is too long
/// for a line after a sign that joins its parts, so that numbers and names stay whole.
pub fn wrap(text: &str, room: usize) -> Vec<&str> {
    let mut lines = Vec::new();
    for line in text.lines() {
        let mut rest = line;
        while super::pen::width(rest) > room && room > 0 {
            let (head, tail) = rest.split_at(break_at(rest, room));
            lines.push(head.trim_end());
            rest = tail.trim_start();
        }
        if !rest.is_empty() || line.is_empty() {
            lines.push(rest);
        }
    }
    lines
}

/// Returns the byte at which a line that is too long is broken; after at least one character.
fn break_at(text: &str, room: usize) -> usize {
    let mut used = 0;
    let mut blank = None;
    let mut joint = None;
    for (at, it) in text.char_indices() {
        used += super::pen::width(it.encode_utf8(&mut [0; 4]));
        if used > room {
            let word = text.get(blank.map_or(0, |it| it + 1)..).unwrap_or_default();
            let word = word.split(' ').next().unwrap_or_default();
            let within = joint.filter(|_| super::pen::width(word) > room);
            return within.max(blank).unwrap_or_else(|| at.max(it.len_utf8()));
        }
        if it == ' ' && at > 0 {
            blank = Some(at);
        } else if JOINTS.contains(it) {
            joint = Some(at + 1);
        }
    }
    text.len()
}

/// Draws `text` wrapped into `area`.
pub fn paragraph(text: &str, style: Style, area: Rect, buf: &mut Buffer) {
    for (line, row) in wrap(text, usize::from(area.width)).into_iter().zip(area.rows()) {
        Pen::line(buf, row).put(line, style);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_break_at_blanks() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrap("-s lxc.net=536870912 x", 12), ["-s lxc.net=", "536870912 x"]);
        assert_eq!(wrap("at /var/lib/lxc/web", 10), ["at /var/", "lib/lxc/", "web"]);
        assert_eq!(wrap("one a.b", 6), ["one", "a.b"]);
        assert_eq!(wrap("漢漢", 1), ["漢", "漢"]);
        assert_eq!(wrap("a\n\nb", 9), ["a", "", "b"]);
        assert_eq!(wrap(" x", 1), ["", "x"]);
    }
}

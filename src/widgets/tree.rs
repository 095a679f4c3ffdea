//! The lines of a forest, drawn in front of a row.

use ratatui::style::Style;

use super::look::Glyphs;
use super::pen::Pen;

/// Cells of a level.
pub const LEVEL: usize = 3;

/// Draws the lines of a node. `later` says for every level below the root, the node's own last,
/// whether a later sibling follows there; a root has no levels and gets no lines. The first
/// `hidden` levels are scrolled out of sight.
pub fn branches(pen: &mut Pen<'_>, later: &[bool], hidden: usize, glyphs: &Glyphs, style: Style) {
    let Some((own, above)) = later.get(hidden..).and_then(<[bool]>::split_last) else { return };
    for more in above {
        pen.put(if *more { glyphs.pipe } else { "   " }, style);
    }
    pen.put(if *own { glyphs.branch } else { glyphs.last }, style);
}

#[cfg(test)]
mod tests {
    use ratatui::buffer::Buffer;
    use ratatui::layout::Rect;

    use super::super::look::tests::lines;
    use super::*;

    #[test]
    fn lines_join_siblings() {
        let mut buf = Buffer::empty(Rect::new(0, 0, 9, 4));
        let rows: [&[bool]; 4] = [&[], &[true], &[true, false], &[false]];
        for (later, y) in rows.into_iter().zip(0..) {
            let mut pen = Pen::new(&mut buf, 0, y, 9);
            branches(&mut pen, later, 0, &Glyphs::UNICODE, Style::new());
            pen.put("x", Style::new());
        }
        assert_eq!(lines(&buf), ["x        ", "├─ x     ", "│  └─ x  ", "└─ x     "]);
    }

    #[test]
    fn deep_nodes_are_drawn_as_deep_as_they_are_and_scrolled_to() {
        let later = [false; 12];
        let mut buf = Buffer::empty(Rect::new(0, 0, 40, 2));
        for (hidden, y) in [(0, 0), (10, 1)] {
            let mut pen = Pen::new(&mut buf, 0, y, 40);
            branches(&mut pen, &later, hidden, &Glyphs::UNICODE, Style::new());
            pen.put("x", Style::new());
        }
        let shown = lines(&buf);
        assert_eq!(shown[0].trim_end(), format!("{}└─ x", " ".repeat(11 * LEVEL)));
        assert_eq!(shown[1].trim_end(), format!("{}└─ x", " ".repeat(LEVEL)));
    }
}

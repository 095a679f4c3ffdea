//! The lines of a forest, drawn in front of a row.

use ratatui::style::Style;

use super::look::Glyphs;
use super::pen::Pen;

/// Deepest level that is drawn; a deeper node stands as deep as this.
const MAX_DEPTH: usize = 8;

/// Draws the lines of a node. `later` tells for every level below the root, the node's own last,
/// whether a later sibling follows there; a root has none and gets no lines.
pub fn branches(pen: &mut Pen<'_>, later: &[bool], glyphs: &Glyphs, style: Style) {
    let Some((own, above)) = later.split_last() else { return };
    for more in above.iter().take(MAX_DEPTH) {
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
            branches(&mut pen, later, &Glyphs::UNICODE, Style::new());
            pen.put("x", Style::new());
        }
        assert_eq!(lines(&buf), ["x        ", "├─ x     ", "│  └─ x  ", "└─ x     "]);
    }
}

//! A frame as a picture: cells in, SVG out. Lines, bars and dots are drawn as shapes, so that they
//! join without seams whatever font a viewer has. Pure; knows no container.

mod glyph;

use std::fmt::Write as _;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};

/// One cell, in units of the picture. The font's letters are as wide as a cell.
const CELL_WIDTH: usize = 9;
const CELL_HEIGHT: usize = 19;
const FONT_SIZE: usize = 15;
/// From the top of a cell to the baseline.
const BASELINE: usize = 14;
/// Between the window's edge and the first cell.
const MARGIN: usize = 14;
/// The radius of the window's corners.
const CORNER: usize = 10;
const FONT: &str = "'DejaVu Sans Mono', Menlo, Consolas, monospace";

/// The terminal's own colours, for cells without a colour.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub foreground: u32,
    pub background: u32,
}

impl Window {
    pub const DARK: Self = Self { foreground: 0xcd_d6f4, background: 0x11_111b };
    pub const LIGHT: Self = Self { foreground: 0x4c_4f69, background: 0xef_f1f5 };

    fn paint(self, cell: &Cell) -> CellPaint {
        let foreground = colour(cell.fg);
        let background = colour(cell.bg);
        let modifier = cell.modifier - Modifier::REVERSED;
        if cell.modifier.contains(Modifier::REVERSED) {
            CellPaint {
                foreground: background.unwrap_or(self.background),
                background: Some(foreground.unwrap_or(self.foreground)),
                modifier,
            }
        } else {
            let foreground = foreground.unwrap_or(self.foreground);
            CellPaint { foreground, background, modifier }
        }
    }
}

/// Draws `buf` as a window of a terminal.
pub fn svg(buf: &Buffer, window: Window) -> String {
    let (columns, rows) = (usize::from(buf.area.width), usize::from(buf.area.height));
    let width = columns * CELL_WIDTH + 2 * MARGIN;
    let height = rows * CELL_HEIGHT + 2 * MARGIN;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\">\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"{CORNER}\" fill=\"#{:06x}\"/>\n\
         <g font-family=\"{FONT}\" font-size=\"{FONT_SIZE}\" xml:space=\"preserve\">\n",
        window.background
    );
    for (row, cells) in buf.content.chunks(columns.max(1)).enumerate() {
        let top = MARGIN + row * CELL_HEIGHT;
        let mut painter = SvgRow { out: &mut out, window, top };
        painter.backgrounds(cells);
        painter.letters(cells);
    }
    out.push_str("</g>\n</svg>\n");
    out
}

/// How a cell is painted, with reversal applied.
#[derive(Clone, Copy, PartialEq, Eq)]
struct CellPaint {
    foreground: u32,
    /// None: the window's.
    background: Option<u32>,
    modifier: Modifier,
}

/// One row of the picture.
struct SvgRow<'o> {
    out: &'o mut String,
    window: Window,
    top: usize,
}

impl SvgRow<'_> {
    fn backgrounds(&mut self, cells: &[Cell]) {
        let window = self.window;
        for (start, run) in runs(cells, |it| window.paint(it).background) {
            let Some(colour) = run.first().and_then(|it| window.paint(it).background) else {
                continue;
            };
            let (x, width) = (left(start), run.len() * CELL_WIDTH);
            let top = self.top;
            self.line(format_args!(
                "<rect x=\"{x}\" y=\"{top}\" width=\"{width}\" height=\"{CELL_HEIGHT}\" \
                 fill=\"#{colour:06x}\"/>"
            ));
        }
    }

    fn letters(&mut self, cells: &[Cell]) {
        let window = self.window;
        let kind = |it: &Cell| {
            (window.paint(it), glyph::is_shape(it.symbol()), glyph::is_line(it.symbol()))
        };
        for (start, run) in runs(cells, kind) {
            let Some(first) = run.first() else { continue };
            let paint = window.paint(first);
            if glyph::is_shape(first.symbol()) {
                self.shapes(start, run, paint);
            } else {
                self.text(start, run, paint);
            }
        }
    }

    fn shapes(&mut self, start: usize, run: &[Cell], paint: CellPaint) {
        let mut path = String::new();
        for (index, cell) in run.iter().enumerate() {
            glyph::draw(cell.symbol(), left(start + index), self.top, &mut path);
        }
        let (colour, style) = (paint.foreground, style(paint.modifier & Modifier::DIM));
        let lines = run.first().is_some_and(|it| glyph::is_line(it.symbol()));
        if lines {
            self.line(format_args!("<g fill=\"none\" stroke=\"#{colour:06x}\"{style}>{path}</g>"));
        } else {
            self.line(format_args!("<g fill=\"#{colour:06x}\"{style}>{path}</g>"));
        }
    }

    fn text(&mut self, start: usize, run: &[Cell], paint: CellPaint) {
        let mut text = String::new();
        let mut skip = 0;
        for cell in run {
            if skip > 0 {
                skip -= 1;
                continue;
            }
            escape(cell.symbol(), &mut text);
            skip = crate::widgets::pen::width(cell.symbol()).saturating_sub(1);
        }
        let kept = text.trim_end();
        if kept.trim_start().is_empty() {
            return;
        }
        // Leading blanks are left out: not every viewer keeps them.
        let lead = kept.len() - kept.trim_start().len();
        let tail = text.len() - kept.len();
        let (x, y) = (left(start + lead), self.top + BASELINE);
        let length = (run.len() - lead - tail) * CELL_WIDTH;
        let (colour, style) = (paint.foreground, style(paint.modifier));
        let kept = kept.trim_start();
        self.line(format_args!(
            "<text x=\"{x}\" y=\"{y}\" textLength=\"{length}\" fill=\"#{colour:06x}\"{style}>\
             {kept}</text>"
        ));
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        _ = writeln!(self.out, "{text}");
    }
}

const fn left(column: usize) -> usize {
    MARGIN + column * CELL_WIDTH
}

/// Splits cells into runs of equal `kind`, each with the column it starts at.
fn runs<K: PartialEq>(
    cells: &[Cell],
    kind: impl Fn(&Cell) -> K,
) -> impl Iterator<Item = (usize, &[Cell])> {
    let mut at = 0;
    cells.chunk_by(move |one, other| kind(one) == kind(other)).map(move |run| {
        let start = at;
        at += run.len();
        (start, run)
    })
}

fn style(modifier: Modifier) -> String {
    let mut style = String::new();
    for (flag, text) in [
        (Modifier::BOLD, " font-weight=\"bold\""),
        (Modifier::DIM, " opacity=\"0.6\""),
        (Modifier::ITALIC, " font-style=\"italic\""),
        (Modifier::UNDERLINED, " text-decoration=\"underline\""),
        (Modifier::CROSSED_OUT, " text-decoration=\"line-through\""),
    ] {
        if modifier.contains(flag) {
            style.push_str(text);
        }
    }
    style
}

fn escape(text: &str, out: &mut String) {
    for it in text.chars() {
        match it {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            it if it.is_control() => out.push(char::REPLACEMENT_CHARACTER),
            it => out.push(it),
        }
    }
}

/// The sixteen colours of a terminal, as the dark theme's palette has them.
const SIXTEEN: [u32; 16] = [
    0x45_475a, 0xf3_8ba8, 0xa6_e3a1, 0xf9_e2af, 0x89_b4fa, 0xf5_c2e7, 0x94_e2d5, 0xba_c2de,
    0x58_5b70, 0xf3_8ba8, 0xa6_e3a1, 0xf9_e2af, 0x89_b4fa, 0xf5_c2e7, 0x94_e2d5, 0xcd_d6f4,
];

/// Returns red, green and blue; none for the terminal's own colour.
fn colour(colour: Color) -> Option<u32> {
    let index = match colour {
        Color::Reset => return None,
        Color::Rgb(red, green, blue) => return Some(u32::from_be_bytes([0, red, green, blue])),
        Color::Indexed(index) => index,
        Color::Black => 0,
        Color::Red => 1,
        Color::Green => 2,
        Color::Yellow => 3,
        Color::Blue => 4,
        Color::Magenta => 5,
        Color::Cyan => 6,
        Color::Gray => 7,
        Color::DarkGray => 8,
        Color::LightRed => 9,
        Color::LightGreen => 10,
        Color::LightYellow => 11,
        Color::LightBlue => 12,
        Color::LightMagenta => 13,
        Color::LightCyan => 14,
        Color::White => 15,
    };
    Some(indexed(index))
}

/// Returns a colour of xterm's 256.
fn indexed(index: u8) -> u32 {
    if let Some(it) = SIXTEEN.get(usize::from(index)) {
        return *it;
    }
    let [red, green, blue] = if index >= 232 {
        [8 + 10 * (index - 232); 3]
    } else {
        let step = |it: u8| if it == 0 { 0 } else { 55 + 40 * it };
        let cube = index - 16;
        [step(cube / 36), step(cube / 6 % 6), step(cube % 6)]
    };
    u32::from_be_bytes([0, red, green, blue])
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    use super::*;

    #[test]
    fn a_frame_becomes_a_picture() {
        let mut buf = Buffer::empty(Rect::new(0, 0, 12, 2));
        buf.set_string(0, 0, "a <b> 漢 ▌", Style::new().fg(Color::Rgb(1, 2, 3)));
        buf.set_string(0, 1, "x", Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD));
        let svg = svg(&buf, Window::DARK);
        assert!(svg.contains("fill=\"#010203\">a &lt;b&gt; 漢</text>"), "{svg}");
        assert!(svg.contains("<rect x=\"95\""), "the mark is a shape: {svg}");
        assert!(svg.contains("fill=\"#cdd6f4\"/>"), "{svg}");
        assert!(svg.contains("font-weight=\"bold\">x</text>"), "{svg}");
        assert!(svg.ends_with("</svg>\n"));
    }

    #[test]
    fn dim_lines_are_dim() {
        let mut buf = Buffer::empty(Rect::new(0, 0, 4, 1));
        buf.set_string(0, 0, "──", Style::new());
        buf.set_string(2, 0, "──", Style::new().add_modifier(Modifier::DIM));
        let svg = svg(&buf, Window::DARK);
        assert_eq!(svg.matches("stroke=\"#cdd6f4\">").count(), 1, "{svg}");
        assert_eq!(svg.matches("stroke=\"#cdd6f4\" opacity").count(), 1, "{svg}");
    }

    #[test]
    fn colours_of_the_cube_are_xterms() {
        assert_eq!(indexed(16), 0);
        assert_eq!(indexed(231), 0xff_ffff);
        assert_eq!(indexed(111), 0x87_afff);
        assert_eq!(indexed(244), 0x80_8080);
    }
}

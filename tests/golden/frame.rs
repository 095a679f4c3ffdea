//! One frame as text that can be read and compared: its characters, below them for each cell the
//! letter of its style, and the definition of each style in every colour mode.

use std::fmt::Write as _;
use std::sync::LazyLock;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};
use regex::Regex;

/// A time of day, which depends on the time zone.
static CLOCK: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b[0-2][0-9]:[0-5][0-9]:[0-5][0-9]\b").unwrap());
/// Begins a frame in a file.
const HEAD: &str = "\n== ";
/// Begins the part of the styles.
const STYLES: &str = "-- styles";
/// Begins the definitions of the styles.
const LEGEND: &str = "-- legend";
/// Letters for styles, in the order in which they first appear.
const LETTERS: &str =
    ".abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&*+<=>?@^_~";
/// Rows of a difference that are shown.
const SHOWN: usize = 6;

/// The letters of a frame, and its styles in every mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) size: (u16, u16),
    rows: Vec<String>,
    /// For each cell the index of its style in the legend.
    styles: Vec<Vec<usize>>,
    /// The definition of each style, the modes side by side.
    legend: Vec<String>,
}

impl Frame {
    /// Joins the frames of all modes.
    pub(crate) fn of(size: (u16, u16), modes: &[&str], bufs: &[Buffer]) -> Self {
        let mut frame = Self { size, rows: Vec::new(), styles: Vec::new(), legend: Vec::new() };
        let width = usize::from(size.0);
        for y in 0..usize::from(size.1) {
            let row = |buf: &Buffer| text(&buf.content[y * width..(y + 1) * width]);
            frame.rows.push(row(&bufs[0]));
            for (mode, buf) in modes.iter().zip(bufs) {
                assert_eq!(row(buf), row(&bufs[0]), "colours change the letters in mode {mode}");
            }
            let styles = (y * width..(y + 1) * width).map(|at| {
                let parts = modes.iter().zip(bufs);
                let parts: Vec<String> = parts
                    .map(|(mode, buf)| format!("{mode} {}", style(&buf.content[at])))
                    .collect();
                frame.place(parts.join(" | "))
            });
            let styles = styles.collect();
            frame.styles.push(styles);
        }
        frame
    }

    fn place(&mut self, style: String) -> usize {
        let known = self.legend.iter().position(|it| *it == style);
        known.unwrap_or_else(|| {
            self.legend.push(style);
            self.legend.len() - 1
        })
    }

    pub(crate) fn write(&self) -> String {
        let mut out = format!("== {}x{}\n", self.size.0, self.size.1);
        let letters: Vec<char> = LETTERS.chars().collect();
        for row in &self.rows {
            _ = writeln!(out, "{row}|");
        }
        _ = writeln!(out, "{STYLES}");
        for row in &self.styles {
            let row: String = row.iter().map(|at| letters[*at]).collect();
            _ = writeln!(out, "{row}");
        }
        _ = writeln!(out, "{LEGEND}");
        for (at, style) in self.legend.iter().enumerate() {
            _ = writeln!(out, "{} {style}", letters[at]);
        }
        out
    }

    /// Reads what [`Self::write`] wrote, however many there are.
    pub(crate) fn read_all(text: &str) -> Vec<Self> {
        let text = format!("\n{text}");
        let parts = text.split(HEAD).skip(1);
        parts.map(|it| Self::read(it).unwrap_or_else(|| panic!("cannot be read: {it}"))).collect()
    }

    fn read(text: &str) -> Option<Self> {
        let (size, rest) = text.split_once('\n')?;
        let (width, height) = size.split_once('x')?;
        let (rows, rest) = rest.split_once(STYLES)?;
        let (styles, legend) = rest.split_once(LEGEND)?;
        let place = |it: char| LETTERS.chars().position(|letter| letter == it);
        let styles = styles.trim_start_matches('\n').lines();
        Some(Self {
            size: (width.parse().ok()?, height.parse().ok()?),
            rows: rows.lines().map(|it| it.strip_suffix('|').unwrap_or(it).to_owned()).collect(),
            styles: styles.map(|it| it.chars().map(place).collect()).collect::<Option<_>>()?,
            legend: legend
                .lines()
                .filter_map(|it| Some(it.split_once(' ')?.1.to_owned()))
                .collect(),
        })
    }

    /// Describes where `now` differs: rows with other letters, then rows with other styles.
    pub(crate) fn differs(&self, now: &Self, title: &str) -> Option<String> {
        let mut lines = Vec::new();
        for (y, (then, new)) in self.rows.iter().zip(&now.rows).enumerate() {
            if then != new {
                lines.push(format!("  row {y:2} was {then}\n         is {new}"));
            } else if let Some(words) = self.restyled(now, y) {
                lines.push(format!("  row {y:2}     {then}\n{words}"));
            }
        }
        if lines.is_empty() {
            return None;
        }
        let more = lines.len().saturating_sub(SHOWN);
        lines.truncate(SHOWN);
        if more > 0 {
            lines.push(format!("  and {more} rows more"));
        }
        Some(format!("{title}:\n{}", lines.join("\n")))
    }

    fn restyled(&self, now: &Self, y: usize) -> Option<String> {
        let style = |frame: &Self, x: usize| -> String {
            let place = frame.styles.get(y).and_then(|row| row.get(x));
            place.and_then(|at| frame.legend.get(*at)).cloned().unwrap_or_default()
        };
        let differs = |x: &usize| style(self, *x) != style(now, *x);
        let all: Vec<usize> = (0..usize::from(self.size.0)).filter(differs).collect();
        let first = all.first()?;
        let marks: String =
            (0..=*all.last()?).map(|x| if all.contains(&x) { '^' } else { ' ' }).collect();
        let (was, is) = (style(self, *first), style(now, *first));
        let modes = was.split(" | ").zip(is.split(" | ")).filter(|(was, is)| was != is);
        let modes: Vec<String> =
            modes.map(|(was, is)| format!("         {was} became {is}")).collect();
        Some(format!("             {marks}\n{}", modes.join("\n")))
    }
}

/// The letters of a row, the time of day masked.
fn text(cells: &[Cell]) -> String {
    let mut row = String::new();
    let mut skip = 0;
    for cell in cells {
        if skip > 0 {
            skip -= 1;
            continue;
        }
        row.push_str(cell.symbol());
        skip = unicode_width::UnicodeWidthStr::width(cell.symbol()).saturating_sub(1);
    }
    CLOCK.replace_all(&row, "hh:mm:ss").into_owned()
}

/// A cell's style in few letters, such as `fg #cdd6f4 bg 237 bold`; `-` is the terminal's own.
fn style(cell: &Cell) -> String {
    let mut words = Vec::new();
    for (word, colour) in [("fg", cell.fg), ("bg", cell.bg)] {
        // Numbers of the 256, names of the sixteen, and `#` with red, green and blue.
        if colour != Color::Reset {
            words.push(format!("{word} {colour}").to_lowercase());
        }
    }
    for (word, flag) in [
        ("bold", Modifier::BOLD),
        ("dim", Modifier::DIM),
        ("reversed", Modifier::REVERSED),
        ("underlined", Modifier::UNDERLINED),
        ("italic", Modifier::ITALIC),
    ] {
        if cell.modifier.contains(flag) {
            words.push(word.to_owned());
        }
    }
    if words.is_empty() { "-".to_owned() } else { words.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    fn frame(words: &str, style: Style) -> Frame {
        let mut buf = Buffer::empty(Rect::new(0, 0, 12, 1));
        buf.set_string(0, 0, words, style);
        Frame::of((12, 1), &["true", "none"], &[buf.clone(), buf])
    }

    #[test]
    fn a_frame_is_read_as_it_was_written() {
        let it = frame("a│b 12:34:56", Style::new().fg(Color::Rgb(1, 2, 3)).bold());
        assert_eq!(Frame::read_all(&it.write()), std::slice::from_ref(&it));
        assert!(it.write().contains("a│b hh:mm:ss|"));
        assert_eq!(it.differs(&it, "list"), None);
    }

    #[test]
    fn what_differs_is_shown_where_it_does() {
        let plain = frame("web", Style::new());
        let told = plain.differs(&frame("wab", Style::new()), "list").unwrap();
        assert!(told.contains("was web") && told.contains("is wab"), "{told}");
        let told = plain.differs(&frame("web", Style::new().bold()), "list").unwrap();
        assert!(told.contains("^^^\n") && told.contains("none - became none bold"), "{told}");
    }
}

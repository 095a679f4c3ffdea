//! The guest's terminal, using alacritty's engine. The only file that uses that engine.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use alacritty_terminal::event::{Event, EventListener};
use alacritty_terminal::grid::{Dimensions, Scroll};
use alacritty_terminal::index::{Column, Line};
use alacritty_terminal::term::cell::{Cell as GuestCell, Flags};
use alacritty_terminal::term::{Config, Osc52, Term, TermMode};
use alacritty_terminal::vte::ansi::{Color as GuestColour, NamedColor, Processor, Timeout};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use super::super::pen::Pen;
use super::sanitizer::Sanitizer;
use super::{GuestScreen, Modes, MouseMode, Size};

/// Lines of scrollback.
const SCROLLBACK: usize = 1000;
/// Bytes of answers kept until they are taken; further queries of a guest get no answer.
const MAX_ANSWERS: usize = 4096;
/// Smallest terminal: a wide character needs two columns.
const MIN_COLUMNS: u16 = 2;
/// Largest terminal, in columns and in rows.
const MAX_SIDE: u16 = 1000;

/// A terminal for one guest.
pub struct Emulator {
    term: Term<Answers>,
    parser: Processor<Never>,
    sanitizer: Sanitizer,
    answers: Answers,
    passed: String,
}

impl Emulator {
    pub fn new(size: Size) -> Self {
        let config = Config {
            scrolling_history: SCROLLBACK,
            kitty_keyboard: false,
            osc52: Osc52::Disabled,
            ..Config::default()
        };
        let answers = Answers::default();
        Self {
            term: Term::new(config, &Sides::of(size), answers.clone()),
            parser: Processor::new(),
            sanitizer: Sanitizer::default(),
            answers,
            passed: String::new(),
        }
    }
}

impl GuestScreen for Emulator {
    fn feed(&mut self, bytes: &[u8]) {
        self.passed.clear();
        self.sanitizer.pass(bytes, &mut self.passed);
        self.parser.advance(&mut self.term, self.passed.as_bytes());
    }

    fn resize(&mut self, size: Size) {
        self.term.resize(Sides::of(size));
    }

    fn answers(&mut self) -> Vec<u8> {
        std::mem::take(&mut *self.answers.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn modes(&self) -> Modes {
        let mode = self.term.mode();
        Modes {
            application_cursor: mode.contains(TermMode::APP_CURSOR),
            bracketed_paste: mode.contains(TermMode::BRACKETED_PASTE),
            alternate_screen: mode.contains(TermMode::ALT_SCREEN),
            mouse: mode.intersects(TermMode::MOUSE_MODE).then(|| MouseMode {
                drags: mode.intersects(TermMode::MOUSE_DRAG | TermMode::MOUSE_MOTION),
                sgr: mode.contains(TermMode::SGR_MOUSE),
            }),
        }
    }

    fn scroll(&mut self, lines: i32) {
        self.term.scroll_display(Scroll::Delta(lines));
    }

    fn scrolled(&self) -> usize {
        self.term.grid().display_offset()
    }

    fn paint(&self, area: Rect, buf: &mut Buffer) {
        let area = area.intersection(buf.area);
        let grid = self.term.grid();
        let rows = area.height.min(u16::try_from(grid.screen_lines()).unwrap_or(u16::MAX));
        let columns = usize::from(area.width).min(grid.columns());
        let mut text = String::new();
        for row in 0..rows {
            let line = Line(i32::from(row)) - grid.display_offset();
            let cells = &grid[line];
            let mut pen = Pen::new(buf, area.x, area.y + row, area.width);
            for column in 0..columns {
                let cell = &cells[Column(column)];
                draw(cell, pen.to(column), &mut text);
            }
        }
    }

    fn cursor(&self) -> Option<(u16, u16)> {
        if !self.term.mode().contains(TermMode::SHOW_CURSOR) || self.scrolled() > 0 {
            return None;
        }
        let point = self.term.grid().cursor.point;
        Some((u16::try_from(point.column.0).ok()?, u16::try_from(point.line.0).ok()?))
    }
}

impl fmt::Debug for Emulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emulator").finish_non_exhaustive()
    }
}

/// Draws one cell of the guest; the right half of a wide character came with the left.
fn draw(cell: &GuestCell, pen: &mut Pen<'_>, text: &mut String) {
    if cell.flags.contains(Flags::WIDE_CHAR_SPACER) {
        return;
    }
    text.clear();
    let blank = cell.c.is_control() || cell.flags.contains(Flags::HIDDEN);
    text.push(if blank { ' ' } else { cell.c });
    text.extend(cell.zerowidth().unwrap_or_default());
    pen.put(text, style(cell));
}

fn style(cell: &GuestCell) -> Style {
    let mut style = Style::new().fg(colour(cell.fg)).bg(colour(cell.bg));
    for (flag, modifier) in [
        (Flags::BOLD, Modifier::BOLD),
        (Flags::DIM, Modifier::DIM),
        (Flags::ITALIC, Modifier::ITALIC),
        (Flags::ALL_UNDERLINES, Modifier::UNDERLINED),
        (Flags::STRIKEOUT, Modifier::CROSSED_OUT),
        (Flags::INVERSE, Modifier::REVERSED),
    ] {
        if cell.flags.intersects(flag) {
            style = style.add_modifier(modifier);
        }
    }
    style
}

/// The guest's colours are the terminal's own sixteen, its 256, or any.
const fn colour(colour: GuestColour) -> Color {
    match colour {
        GuestColour::Spec(rgb) => Color::Rgb(rgb.r, rgb.g, rgb.b),
        GuestColour::Indexed(index) => Color::Indexed(index),
        GuestColour::Named(named) => match named {
            NamedColor::Black | NamedColor::DimBlack => Color::Black,
            NamedColor::Red | NamedColor::DimRed => Color::Red,
            NamedColor::Green | NamedColor::DimGreen => Color::Green,
            NamedColor::Yellow | NamedColor::DimYellow => Color::Yellow,
            NamedColor::Blue | NamedColor::DimBlue => Color::Blue,
            NamedColor::Magenta | NamedColor::DimMagenta => Color::Magenta,
            NamedColor::Cyan | NamedColor::DimCyan => Color::Cyan,
            NamedColor::White | NamedColor::DimWhite => Color::Gray,
            NamedColor::BrightBlack => Color::DarkGray,
            NamedColor::BrightRed => Color::LightRed,
            NamedColor::BrightGreen => Color::LightGreen,
            NamedColor::BrightYellow => Color::LightYellow,
            NamedColor::BrightBlue => Color::LightBlue,
            NamedColor::BrightMagenta => Color::LightMagenta,
            NamedColor::BrightCyan => Color::LightCyan,
            NamedColor::BrightWhite => Color::White,
            NamedColor::Foreground
            | NamedColor::Background
            | NamedColor::Cursor
            | NamedColor::BrightForeground
            | NamedColor::DimForeground => Color::Reset,
        },
    }
}

/// Columns and rows in the engine's form.
struct Sides {
    columns: usize,
    rows: usize,
}

impl Sides {
    fn of(size: Size) -> Self {
        Self {
            columns: usize::from(size.columns.clamp(MIN_COLUMNS, MAX_SIDE)),
            rows: usize::from(size.rows.clamp(1, MAX_SIDE)),
        }
    }
}

impl Dimensions for Sides {
    fn total_lines(&self) -> usize {
        self.rows
    }

    fn screen_lines(&self) -> usize {
        self.rows
    }

    fn columns(&self) -> usize {
        self.columns
    }
}

/// The terminal's answers to the guest. All other events (title, clipboard, colours, bell) are
/// dropped here: they are requests to a terminal that is not the guest's.
#[derive(Clone, Default)]
struct Answers(Arc<Mutex<Vec<u8>>>);

impl EventListener for Answers {
    fn send_event(&self, event: Event) {
        let Event::PtyWrite(text) = event else { return };
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() + text.len() <= MAX_ANSWERS {
            answers.extend_from_slice(text.as_bytes());
        }
    }
}

/// Synchronized updates of a guest are shown as they arrive: our own frames are always complete,
/// and a guest that begins an update and does not end it must not freeze.
#[derive(Default)]
struct Never;

impl Timeout for Never {
    fn set_timeout(&mut self, _duration: Duration) {}

    fn clear_timeout(&mut self) {}

    fn pending_timeout(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::look::tests::lines;
    use super::*;

    fn shown(columns: u16, rows: u16, bytes: &[u8]) -> (Emulator, Vec<String>) {
        let mut guest = Emulator::new(Size { columns, rows });
        guest.feed(bytes);
        let mut buf = Buffer::empty(Rect::new(0, 0, columns, rows));
        guest.paint(buf.area, &mut buf);
        (guest, lines(&buf))
    }

    #[test]
    fn text_colours_and_moves_become_cells() {
        let (guest, text) = shown(6, 2, "ab\x1b[2;3H漢x".as_bytes());
        assert_eq!(text, ["ab    ", "  漢 x "]);
        assert_eq!(guest.cursor(), Some((5, 1)));
        let mut buf = Buffer::empty(Rect::new(0, 0, 6, 1));
        let mut guest = Emulator::new(Size { columns: 6, rows: 1 });
        guest.feed(b"\x1b[1;31mr");
        guest.paint(buf.area, &mut buf);
        assert_eq!(buf.content[0].fg, Color::Red);
        assert!(buf.content[0].modifier.contains(Modifier::BOLD));
    }

    #[test]
    fn answers_go_to_the_guest_and_have_an_end() {
        let (mut guest, _) = shown(9, 2, b"ab\x1b[6n");
        assert_eq!(guest.answers(), b"\x1b[1;3R");
        assert!(guest.answers().is_empty());
        guest.feed(&b"\x1b[6n".repeat(9000));
        assert!(guest.answers().len() <= MAX_ANSWERS);
    }

    #[test]
    fn the_past_can_be_seen_and_left() {
        let (mut guest, _) = shown(4, 2, b"1\r\n2\r\n3");
        guest.scroll(1);
        assert_eq!((guest.scrolled(), guest.cursor()), (1, None));
        let mut buf = Buffer::empty(Rect::new(0, 0, 4, 2));
        guest.paint(buf.area, &mut buf);
        assert_eq!(lines(&buf), ["1   ", "2   "]);
        guest.scroll(-9);
        assert_eq!(guest.scrolled(), 0);
    }

    #[test]
    fn programs_say_how_they_want_their_keys() {
        let (guest, _) = shown(4, 2, b"\x1b[?1h\x1b[?2004h\x1b[?1049h\x1b[?1002h\x1b[?1006h");
        let all = Modes {
            application_cursor: true,
            bracketed_paste: true,
            alternate_screen: true,
            mouse: Some(MouseMode { drags: true, sgr: true }),
        };
        assert_eq!(guest.modes(), all);
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            "[ -~]{0,20}".prop_map(String::into_bytes),
            "\\PC{0,12}".prop_map(String::into_bytes),
            ("[?>=!]?[0-9;:]{0,8}", "[@-~]").prop_map(|(a, b)| format!("\x1b[{a}{b}").into_bytes()),
            "[ -~]{1,3}".prop_map(|it| format!("\x1b{it}").into_bytes()),
            Just(b"\r\n\n\t\x08".to_vec()),
        ];
        prop::collection::vec(piece, 0..40).prop_map(|it| it.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn no_guest_breaks_the_screen(
            steps in prop::collection::vec((bytes(), 0_u16..500, 0_u16..500, -50_i32..50), 1..5)
        ) {
            let mut guest = Emulator::new(Size { columns: 80, rows: 24 });
            for (bytes, columns, rows, lines) in steps {
                guest.feed(&bytes);
                guest.resize(Size { columns: columns % 120, rows: rows % 60 });
                guest.feed(&bytes);
                guest.scroll(lines);
                guest.resize(Size { columns, rows });
                let mut buf = Buffer::empty(Rect::new(0, 0, columns % 100, rows % 50));
                guest.paint(buf.area, &mut buf);
                for cell in &buf.content {
                    prop_assert!(!cell.symbol().chars().any(char::is_control));
                }
                _ = guest.cursor();
            }
        }
    }
}

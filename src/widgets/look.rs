//! How widgets look: one style for each role, and one set of glyphs. Chooses nothing.

use ratatui::style::{Modifier, Style};

/// The styles and glyphs that widgets paint with. The names are the roles of a theme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// Ordinary text.
    pub fg: Style,
    /// Units, headings, less important text.
    pub dim: Style,
    /// The lines of boxes.
    pub line: Style,
    /// The background of the header row.
    pub bar: Style,
    /// The focused border, the cursor, the active tab.
    pub accent: Style,
    /// The background of the row under the cursor.
    pub select: Style,
    /// What the operator has marked.
    pub mark: Style,
    /// Running, succeeded.
    pub ok: Style,
    /// In a transient state.
    pub busy: Style,
    pub frozen: Style,
    /// Stopped, nothing happens.
    pub idle: Style,
    /// Close to a limit.
    pub warn: Style,
    /// Failed, or at a limit.
    pub bad: Style,
    /// The letters of keys.
    pub key: Style,
    /// Graphs and bars below [`MID_FROM`].
    pub lo: Style,
    /// Graphs and bars from there to [`HI_FROM`].
    pub mid: Style,
    /// Graphs and bars from there on.
    pub hi: Style,
    pub glyphs: &'static Glyphs,
}

/// From this share of the whole graphs and bars take the colour `mid`, and figures that of a warning.
pub const MID_FROM: f32 = 0.7;
/// From this share of the whole graphs and bars take the colour `hi`, and figures that of bad news.
pub const HI_FROM: f32 = 0.9;

impl Look {
    /// Returns the style of matching letters.
    pub const fn hit(&self) -> Style {
        self.accent.add_modifier(Modifier::BOLD)
    }

    /// Returns the style of stale data, which must still be readable.
    pub fn faded(&self) -> Style {
        let style = self.dim.remove_modifier(Modifier::BOLD);
        // Also where the dim text has no colour, nothing keeps its own.
        style.fg(style.fg.unwrap_or_default())
    }

    /// Returns the style of a share of the whole, 0 to 1.
    pub fn share(&self, share: f32) -> Style {
        if share >= HI_FROM {
            self.hi
        } else if share >= MID_FROM {
            self.mid
        } else {
            self.lo
        }
    }
}

/// Every drawn sign that is not text. All are one cell wide, except those of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glyphs {
    pub top_left: &'static str,
    pub top_right: &'static str,
    pub bottom_left: &'static str,
    pub bottom_right: &'static str,
    pub horizontal: &'static str,
    pub vertical: &'static str,
    /// A node that has younger siblings, three cells.
    pub branch: &'static str,
    /// The last node of its parent, three cells.
    pub last: &'static str,
    /// An ancestor that has younger siblings, three cells.
    pub pipe: &'static str,
    pub cursor: &'static str,
    pub mark: &'static str,
    pub running: &'static str,
    pub starting: &'static str,
    pub stopping: &'static str,
    pub frozen: &'static str,
    pub stopped: &'static str,
    pub failed: &'static str,
    pub ok: &'static str,
    pub warn: &'static str,
    pub bad: &'static str,
    pub down: &'static str,
    pub up: &'static str,
    pub arrow: &'static str,
    pub enter: &'static str,
    pub updown: &'static str,
    pub leftright: &'static str,
    pub path: &'static str,
    pub less: &'static str,
    pub more: &'static str,
    pub ellipsis: char,
    pub dot: &'static str,
    pub unknown: &'static str,
    pub caret: &'static str,
    pub separator: &'static str,
    /// The line below a graph: known, and almost 0.
    pub base: &'static str,
    /// Bars by eighths of a cell, thinnest first; the last is a full cell.
    pub eighths: [&'static str; 8],
    /// Only ASCII is drawn, so no braille, which has two values and four heights to a cell.
    pub ascii: bool,
}

impl Glyphs {
    /// For terminals that show UTF-8. No sign is emoji-capable, since those are drawn two cells
    /// wide.
    pub const UNICODE: Self = Self {
        top_left: "╭",
        top_right: "╮",
        bottom_left: "╰",
        bottom_right: "╯",
        horizontal: "─",
        vertical: "│",
        branch: "├─ ",
        last: "└─ ",
        pipe: "│  ",
        cursor: "▸",
        mark: "▌",
        running: "●",
        starting: "◐",
        stopping: "◑",
        frozen: "◆",
        stopped: "○",
        failed: "×",
        ok: "✓",
        warn: "▲",
        bad: "×",
        down: "▼",
        up: "▲",
        arrow: "→",
        enter: "↵",
        updown: "↑↓",
        leftright: "←→",
        path: "▸",
        less: "‹",
        more: "›",
        ellipsis: '…',
        dot: "·",
        unknown: "–",
        caret: "▏",
        separator: "│",
        base: "▁",
        eighths: ["▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"],
        ascii: false,
    };

    /// For terminals that show only ASCII.
    pub const ASCII: Self = Self {
        top_left: "+",
        top_right: "+",
        bottom_left: "+",
        bottom_right: "+",
        horizontal: "-",
        vertical: "|",
        branch: "|- ",
        last: "`- ",
        pipe: "|  ",
        cursor: ">",
        mark: "*",
        running: "*",
        starting: "+",
        stopping: "~",
        frozen: "#",
        stopped: "o",
        failed: "x",
        ok: "+",
        warn: "!",
        bad: "x",
        down: "v",
        up: "^",
        arrow: ">",
        enter: "RET",
        updown: "up/down",
        leftright: "left/right",
        path: ">",
        less: "<",
        more: ">",
        ellipsis: '~',
        dot: ".",
        unknown: "-",
        caret: "_",
        separator: "|",
        base: "_",
        eighths: [".", ".", "-", "-", "=", "=", "#", "#"],
        ascii: true,
    };
}

#[cfg(test)]
pub(crate) mod tests {
    use ratatui::buffer::{Buffer, Cell};
    use ratatui::style::Color;

    use super::*;

    /// A look without any colour.
    pub(crate) fn plain() -> Look {
        let it = Style::new();
        Look {
            fg: it,
            dim: it,
            line: it,
            bar: it,
            accent: it,
            select: it,
            mark: it,
            ok: it,
            busy: it,
            frozen: it,
            idle: it,
            warn: it,
            bad: it,
            key: it,
            lo: it,
            mid: it,
            hi: it,
            glyphs: &Glyphs::UNICODE,
        }
    }

    /// The text of every row.
    pub(crate) fn lines(buf: &Buffer) -> Vec<String> {
        buf.content
            .chunks(usize::from(buf.area.width).max(1))
            .map(|row| row.iter().map(Cell::symbol).collect())
            .collect()
    }

    #[test]
    fn stale_data_is_plain_and_not_too_dark() {
        let look = Look { dim: Style::new().dark_gray().bold(), ..plain() };
        let faded = look.faded();
        assert_eq!((faded.fg, faded.add_modifier), (look.dim.fg, Modifier::empty()));
        let look = Look { dim: Style::new().dim(), ..plain() };
        assert_eq!(look.faded().fg, Some(Color::Reset), "no colour of its own is kept");
    }

    #[test]
    fn shares_have_three_colours() {
        let look = Look { hi: Style::new().bold(), mid: Style::new().dim(), ..plain() };
        assert_eq!(look.share(MID_FROM - 0.01), look.lo);
        assert_eq!(look.share(MID_FROM), look.mid);
        assert_eq!(look.share(HI_FROM), look.hi);
        assert_eq!(look.share(7.0), look.hi);
    }
}

//! How many colours the terminal shows, and whether it shows more than ASCII. Decided only from the
//! environment: querying a terminal takes longer than drawing the first frame.

use std::ffi::OsString;

use ratatui::style::Color;

/// How many colours the terminal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColourDepth {
    None,
    Sixteen,
    /// The 256 colours of xterm.
    Deep,
    True,
}

/// Terminals that show every colour and do not always announce it in COLORTERM (over ssh, for
/// example).
const TRUE_COLOUR: [&str; 6] = ["alacritty", "foot", "ghostty", "kitty", "wezterm", "direct"];

impl ColourDepth {
    /// Decides from NO_COLOR, COLORTERM and TERM.
    pub fn of(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let text = |name: &str| variable(name).unwrap_or_default().to_string_lossy().into_owned();
        let (colours, term) = (text("COLORTERM"), text("TERM"));
        if !text("NO_COLOR").is_empty() || term == "dumb" {
            Self::None
        } else if matches!(colours.as_str(), "truecolor" | "24bit")
            || TRUE_COLOUR.iter().any(|it| term.contains(it))
        {
            Self::True
        } else if term.contains("256color") {
            Self::Deep
        } else {
            Self::Sixteen
        }
    }

    /// Returns the colour nearest to `rgb` that the terminal shows.
    pub(super) fn colour(self, rgb: u32) -> Color {
        let [_, red, green, blue] = rgb.to_be_bytes();
        match self {
            Self::True => Color::Rgb(red, green, blue),
            Self::Deep => Color::Indexed(nearest(red, green, blue)),
            Self::Sixteen | Self::None => Color::Reset,
        }
    }
}

/// Returns whether the terminal can only print lines, such as that of an editor.
pub fn cannot_draw(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    variable("TERM").is_some_and(|it| it == "dumb")
}

/// Returns whether the terminal shows UTF-8: if the locale says so, and it is not the kernel's own
/// console, whose fonts lack braille and eighths.
pub fn draws_unicode(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let text = |name: &str| variable(name).filter(|it| !it.is_empty());
    let locale = text("LC_ALL").or_else(|| text("LC_CTYPE")).or_else(|| text("LANG"));
    let locale = locale.unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let utf8 = locale.contains("utf-8") || locale.contains("utf8");
    utf8 && !matches!(text("TERM"), Some(term) if term == "linux" || term == "dumb")
}

/// The steps of the colour cube of xterm.
const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];

/// Returns the nearest of the 256 colours: from the cube, or from the greys.
fn nearest(red: u8, green: u8, blue: u8) -> u8 {
    let step = |value: u8| -> (u8, u8) {
        let best = STEPS.iter().zip(0_u8..).min_by_key(|(it, _)| it.abs_diff(value));
        best.map_or((0, 0), |(it, index)| (*it, index))
    };
    let [r, g, b] = [step(red), step(green), step(blue)];
    let average = (u16::from(red) + u16::from(green) + u16::from(blue)) / 3;
    let shade = average.saturating_sub(3).div_euclid(10).min(23) as u8;
    let grey = 8 + 10 * shade;
    let distance = |r: u8, g: u8, b: u8| -> u32 {
        [(r, red), (g, green), (b, blue)]
            .iter()
            .map(|(a, b)| u32::from(a.abs_diff(*b)).pow(2))
            .sum()
    };
    if distance(grey, grey, grey) < distance(r.0, g.0, b.0) {
        232 + shade
    } else {
        16 + 36 * r.1 + 6 * g.1 + b.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> impl Fn(&str) -> Option<OsString> {
        move |name| pairs.iter().find(|it| it.0 == name).map(|it| it.1.into())
    }

    #[test]
    fn the_environment_tells_the_depth() {
        for (pairs, expected) in [
            (&[("TERM", "xterm-256color"), ("COLORTERM", "truecolor")][..], ColourDepth::True),
            (&[("TERM", "xterm-256color")], ColourDepth::Deep),
            (&[("TERM", "xterm-kitty")], ColourDepth::True),
            (&[("TERM", "linux")], ColourDepth::Sixteen),
            (&[("TERM", "dumb")], ColourDepth::None),
            (&[("NO_COLOR", "1"), ("COLORTERM", "truecolor")], ColourDepth::None),
            (&[("NO_COLOR", ""), ("COLORTERM", "truecolor")], ColourDepth::True),
            (&[], ColourDepth::Sixteen),
        ] {
            assert_eq!(ColourDepth::of(environment(pairs)), expected, "{pairs:?}");
        }
    }

    #[test]
    fn ascii_is_chosen_when_the_locale_or_the_console_asks_for_it() {
        for (pairs, expected) in [
            (&[("LANG", "de_AT.UTF-8"), ("TERM", "xterm")][..], true),
            (&[("LANG", "C.utf8")], true),
            (&[("LANG", "C.UTF-8"), ("LC_ALL", "C")], false),
            (&[("LANG", "C.UTF-8"), ("LC_ALL", "")], true),
            (&[("LANG", "C.UTF-8"), ("TERM", "linux")], false),
            (&[], false),
        ] {
            assert_eq!(draws_unicode(environment(pairs)), expected, "{pairs:?}");
        }
    }

    #[test]
    fn greys_come_from_the_greys() {
        assert_eq!(nearest(0x31, 0x32, 0x44), 237);
        assert_eq!(nearest(0xff, 0xff, 0xff), 231);
        assert_eq!(nearest(0, 0, 0), 16);
    }
}

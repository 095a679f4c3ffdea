//! Themes: the colour of each role, on terminals of every colour depth. Decides once, at the start;
//! paints nothing.

mod depth;

pub use depth::{ColourDepth, cannot_draw, draws_unicode};

use ratatui::style::{Color, Modifier, Style};
use serde::Deserialize;

use crate::widgets::look::{Glyphs, Look};

/// The themes that come with wharf.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Theme {
    #[default]
    Dark,
    Light,
    HighContrast,
    /// For people who cannot distinguish red from green (the palette of Okabe and Ito).
    ColourBlind,
    /// The terminal's own sixteen colours.
    #[serde(rename = "16")]
    Sixteen,
    /// No colour at all.
    Mono,
}

impl Theme {
    /// Every theme, in the order of the help.
    pub const ALL: [Self; 6] =
        [Self::Dark, Self::Light, Self::HighContrast, Self::ColourBlind, Self::Sixteen, Self::Mono];

    /// Returns its name in the settings.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Dark => "dark",
            Self::Light => "light",
            Self::HighContrast => "high-contrast",
            Self::ColourBlind => "colour-blind",
            Self::Sixteen => "16",
            Self::Mono => "mono",
        }
    }

    /// Makes the styles of this theme for a terminal of `depth`.
    pub fn look(self, depth: ColourDepth, glyphs: &'static Glyphs) -> Look {
        let colours = match (self, depth) {
            (Self::Mono, _) | (_, ColourDepth::None) => return mono(glyphs),
            (Self::Sixteen, _) | (_, ColourDepth::Sixteen) => return sixteen(glyphs),
            (Self::Dark, _) => &DARK,
            (Self::Light, _) => &LIGHT,
            (Self::HighContrast, _) => &HIGH_CONTRAST,
            (Self::ColourBlind, _) => &COLOUR_BLIND,
        };
        colours.look(depth, glyphs)
    }
}

/// Red, green and blue of each role. Only highlighted rows have a background: the rest is the
/// terminal's own.
struct Colours {
    fg: u32,
    dim: u32,
    line: u32,
    bar: u32,
    accent: u32,
    select: u32,
    mark: u32,
    ok: u32,
    busy: u32,
    frozen: u32,
    idle: u32,
    warn: u32,
    bad: u32,
    key: u32,
    lo: u32,
    mid: u32,
    hi: u32,
}

const DARK: Colours = Colours {
    fg: 0xcd_d6f4,
    dim: 0x7f_849c,
    line: 0x58_5b70,
    bar: 0x1e_1e2e,
    accent: 0x89_b4fa,
    select: 0x31_3244,
    mark: 0xf5_c2e7,
    ok: 0xa6_e3a1,
    busy: 0xf9_e2af,
    frozen: 0x74_c7ec,
    idle: 0x7f_849c,
    warn: 0xfa_b387,
    bad: 0xf3_8ba8,
    key: 0x89_dceb,
    lo: 0x94_e2d5,
    mid: 0xf9_e2af,
    hi: 0xf3_8ba8,
};

const LIGHT: Colours = Colours {
    fg: 0x4c_4f69,
    dim: 0x64_6880,
    line: 0xac_b0be,
    bar: 0xe6_e9ef,
    accent: 0x1a_5ae0,
    select: 0xcc_d0da,
    mark: 0xa8_3289,
    ok: 0x27_7a1e,
    busy: 0x8a_5600,
    frozen: 0x18_6b80,
    idle: 0x64_6880,
    warn: 0xb0_4400,
    bad: 0xd2_0f39,
    key: 0x03_698f,
    lo: 0x0e_7c86,
    mid: 0xa5_6f0f,
    hi: 0xd2_0f39,
};

const HIGH_CONTRAST: Colours = Colours {
    fg: 0xff_ffff,
    dim: 0xd0_d0d0,
    line: 0xc0_c0c0,
    bar: 0x00_005f,
    accent: 0x5f_d7ff,
    select: 0x00_00af,
    mark: 0xff_87ff,
    ok: 0x5f_ff5f,
    busy: 0xff_ff5f,
    frozen: 0x5f_ffff,
    idle: 0xd0_d0d0,
    warn: 0xff_af00,
    bad: 0xff_5f5f,
    key: 0x5f_ffff,
    lo: 0x5f_ff5f,
    mid: 0xff_ff5f,
    hi: 0xff_5f5f,
};

const COLOUR_BLIND: Colours = Colours {
    fg: 0xcd_d6f4,
    dim: 0x8a_8fa8,
    line: 0x58_5b70,
    bar: 0x1e_1e2e,
    accent: 0x56_b4e9,
    select: 0x31_3244,
    mark: 0xcc_79a7,
    ok: 0x56_b4e9,
    busy: 0xf0_e442,
    frozen: 0x99_ccff,
    idle: 0x8a_8fa8,
    warn: 0xe6_9f00,
    bad: 0xd5_5e00,
    key: 0xf0_e442,
    lo: 0x56_b4e9,
    mid: 0xe6_9f00,
    hi: 0xd5_5e00,
};

impl Colours {
    fn look(&self, depth: ColourDepth, glyphs: &'static Glyphs) -> Look {
        let fg = |rgb: u32| Style::new().fg(depth.colour(rgb));
        let bg = |rgb: u32| Style::new().bg(depth.colour(rgb));
        Look {
            fg: fg(self.fg),
            dim: fg(self.dim),
            line: fg(self.line),
            bar: bg(self.bar),
            accent: fg(self.accent).add_modifier(Modifier::BOLD),
            select: bg(self.select),
            mark: fg(self.mark),
            ok: fg(self.ok),
            busy: fg(self.busy),
            frozen: fg(self.frozen),
            idle: fg(self.idle),
            warn: fg(self.warn),
            bad: fg(self.bad).add_modifier(Modifier::BOLD),
            key: fg(self.key).add_modifier(Modifier::BOLD),
            lo: fg(self.lo),
            mid: fg(self.mid),
            hi: fg(self.hi),
            glyphs,
        }
    }
}

/// Less important text is dim, not bright black: that is hard to read on most terminals, and the
/// background itself in some palettes.
const fn sixteen(glyphs: &'static Glyphs) -> Look {
    let plain = Style::new();
    let bold = plain.add_modifier(Modifier::BOLD);
    let dim = plain.add_modifier(Modifier::DIM);
    Look {
        fg: plain,
        dim,
        line: plain.fg(Color::DarkGray),
        bar: plain,
        accent: bold.fg(Color::LightBlue),
        select: plain.add_modifier(Modifier::REVERSED),
        mark: plain.fg(Color::Magenta),
        ok: plain.fg(Color::Green),
        busy: plain.fg(Color::Yellow),
        frozen: plain.fg(Color::Cyan),
        idle: dim,
        warn: bold.fg(Color::Yellow),
        bad: bold.fg(Color::Red),
        key: bold.fg(Color::Cyan),
        lo: plain.fg(Color::Green),
        mid: plain.fg(Color::Yellow),
        hi: plain.fg(Color::Red),
        glyphs,
    }
}

/// Distinguishes roles only by weight; signs and words do the rest.
const fn mono(glyphs: &'static Glyphs) -> Look {
    let plain = Style::new();
    let bold = plain.add_modifier(Modifier::BOLD);
    let dim = plain.add_modifier(Modifier::DIM);
    Look {
        fg: plain,
        dim,
        line: dim,
        bar: plain,
        accent: bold,
        select: plain.add_modifier(Modifier::REVERSED),
        mark: bold,
        ok: plain,
        busy: plain,
        frozen: plain,
        idle: dim,
        warn: bold,
        bad: bold,
        key: bold,
        lo: plain,
        mid: plain,
        hi: bold,
        glyphs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colour_no_style_has_one() {
        for theme in Theme::ALL {
            let look = theme.look(ColourDepth::None, &Glyphs::ASCII);
            for style in [look.fg, look.accent, look.select, look.bad, look.key, look.hi] {
                assert_eq!((style.fg, style.bg), (None, None), "{}", theme.word());
            }
        }
    }

    /// How well two colours can be told apart, 1 to 21, as the WCAG define it.
    fn contrast(one: u32, other: u32) -> f64 {
        let linear = |it: u8| {
            let it = f64::from(it) / 255.0;
            if it <= 0.03928 { it / 12.92 } else { ((it + 0.055) / 1.055).powf(2.4) }
        };
        let luminance = |rgb: u32| {
            let [_, red, green, blue] = rgb.to_be_bytes().map(linear);
            0.2126 * red + 0.7152 * green + 0.0722 * blue
        };
        let (one, other) = (luminance(one) + 0.05, luminance(other) + 0.05);
        (one / other).max(other / one)
    }

    #[test]
    fn every_colour_can_be_read() {
        use crate::ui::screenshot::Window;
        for (name, it, window) in [
            ("dark", &DARK, Window::DARK),
            ("light", &LIGHT, Window::LIGHT),
            ("high-contrast", &HIGH_CONTRAST, Window::DARK),
            ("colour-blind", &COLOUR_BLIND, Window::DARK),
        ] {
            let letters = [
                it.fg, it.dim, it.accent, it.mark, it.ok, it.busy, it.frozen, it.idle, it.warn,
                it.bad, it.key,
            ];
            for rgb in letters {
                assert!(contrast(rgb, window.background) >= 4.5, "{name} {rgb:06x}");
                assert!(contrast(rgb, it.bar) >= 4.0, "{name} {rgb:06x} in the header");
                assert!(contrast(rgb, it.select) >= 3.0, "{name} {rgb:06x} under the cursor");
            }
            for rgb in [it.lo, it.mid, it.hi] {
                assert!(contrast(rgb, window.background) >= 3.0, "{name} {rgb:06x} in a graph");
            }
        }
        for depth in [ColourDepth::Sixteen, ColourDepth::None] {
            let look = Theme::Dark.look(depth, &Glyphs::UNICODE);
            for style in [look.fg, look.dim, look.idle] {
                assert_eq!(style.fg, None, "{depth:?}: the terminal's own is never invisible");
            }
        }
    }

    #[test]
    fn sixteen_colours_stay_the_terminals_own() {
        let look = Theme::Dark.look(ColourDepth::Sixteen, &Glyphs::UNICODE);
        assert_eq!(look.ok.fg, Some(Color::Green));
        assert_eq!(look, Theme::Sixteen.look(ColourDepth::True, &Glyphs::UNICODE));
    }

    #[test]
    fn deep_colours_are_the_nearest_of_256() {
        let look = Theme::Dark.look(ColourDepth::Deep, &Glyphs::UNICODE);
        assert_eq!(look.accent.fg, Some(Color::Indexed(111)));
        let look = Theme::Dark.look(ColourDepth::True, &Glyphs::UNICODE);
        assert_eq!(look.accent.fg, Some(Color::Rgb(0x89, 0xb4, 0xfa)));
    }
}

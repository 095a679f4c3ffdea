//! The cgroup pane: limits and counters by controller, each with what is used of it; for a stopped
//! container, the limits of its configuration.

use std::borrow::Cow;

use ratatui::style::{Modifier, Style};

use super::canvas::Canvas;
use super::words;
use crate::command::Action;
use crate::command::action::InDetail;
use crate::engine::Name;
use crate::engine::sample::{CgroupFile, Container, Limit};
use crate::engine::shown::shown;
use crate::format;
use crate::ui::effect::Act;
use crate::ui::model::Model;
use crate::ui::model::detail::{DetailScreen, Tab};
use crate::ui::texts::NOT_SET;
use crate::ui::value::{self, Whole};
use crate::ui::{allowed, texts};
use crate::widgets::field::Field;
use crate::widgets::frame::Frame;
use crate::widgets::gauge::gauge;
use crate::widgets::look::Look;
use crate::widgets::pen::{Pen, Piece, width};
use crate::widgets::table::scroll;
use crate::widgets::text::{paragraph, wrap};

/// Cells for the name of a file.
const NAMES: usize = 32;
/// The same for a whole key of the configuration.
const KEYS: usize = 44;
/// Widest value of a limit, so that its usage is close by.
const VALUES: usize = 24;
/// Widest field for a value under edit.
const FIELD: usize = 40;
/// The minimum width of a value beside its usage.
const LEAST_VALUE: usize = 5;
/// Cells of a usual quota, which is the longest value of a limit.
const QUOTA: usize = 13;
/// The indentation of a note relative to the name of its file.
const INDENT: usize = 4;
/// With fewer rows the notes on a value are as short as possible.
const ROOM_FOR_NOTES: usize = 8;
/// Cells between a change and the warning beside it.
const GAP: usize = 3;
/// Cells for the usage of a limit beside its bar: the figure and the percentage.
const FIGURES: usize = 16;
/// Cells of the narrowest and of the widest bar.
const BARS: (usize, usize) = (5, 40);

/// From this width on each file is explained, in at least so many cells.
const EXPLAINED_FROM: usize = 150;
const EXPLAINED: usize = 48;
/// Cells of a file with a bar of the widest.
const FILE: usize = 2 + NAMES + 1 + VALUES + FIGURES + BARS.1 + 1;

/// One line of the pane.
enum PaneRow<'a> {
    /// The controller, and the version of its files; a configuration has none.
    Head(&'a str, Option<u8>),
    File(&'a CgroupFile),
    /// A note on the file above: an error, or the effect of the value under edit.
    Note(Vec<(String, Style)>),
}

/// Returns those of `hints`, for a key that edits and one for `more` files, that apply here.
fn promised<'a, 'b>(model: &Model, more: bool, hints: &'a [Piece<'b>; 4]) -> &'a [Piece<'b>] {
    let (edit, files) = (0, 2);
    let edits = allowed::barred(model, Action::Detail(InDetail::Edit)).is_none();
    let end = if more { hints.len() } else { files };
    hints.get(if edits { edit } else { files }..end).unwrap_or_default()
}

/// Paints the pane.
pub(super) fn pane(model: &Model, canvas: Canvas<'_>) {
    let look = canvas.look;
    let Some(screen) = &model.detail else { return };
    let Some(container) = model.container(&screen.name) else { return };
    let files = texts::cgroup_rows(model, screen);
    let count = container.detail.as_ref().map_or(0, |it| it.files.len());
    let all = if screen.cgroup.all { " fewer".to_owned() } else { format!(" all {count} files") };
    let configured = files.first().is_some_and(|it| value::is_key(&it.file));
    // A configuration does not have more files to show.
    let more = !configured && (screen.cgroup.all || files.len() < count);
    let edit = if more { " edit  " } else { " edit" };
    let focused = screen.focus == Tab::Cgroup;
    let key = if focused { look.glyphs.enter } else { "e" };
    let hints = [(key, look.key), (edit, look.dim), ("a", look.key), (&all, look.dim)];
    let hints = promised(model, more, &hints);
    let together: Vec<&str> = screen.together.iter().map(Name::as_str).collect();
    let together = format!("  for {}", together.join(", "));
    let title = if configured { "Limits for the next start" } else { "Cgroup" };
    let mut left = vec![(title, look.accent)];
    if !screen.together.is_empty() {
        left.push((&together, look.mark));
    }
    let at = texts::place(&screen.cgroup, &files) + 1;
    let foot = format!("{at}/{}", files.len());
    // Each group of files has a heading.
    let mut heads: Vec<&str> = files.iter().map(|it| texts::group(it)).collect();
    heads.dedup();
    let long = files.len() + heads.len() + 2 > usize::from(canvas.area.height);
    let frame = Frame {
        foot: if long { &[(&foot, look.dim)] } else { &[] },
        // While a value is edited, those keys are letters of it.
        right: if files.is_empty() || screen.cgroup.edit.is_some() { &[] } else { hints },
        focused,
        ..Frame::titled(look, &left)
    };
    let mut canvas = canvas.framed(frame);
    if files.is_empty() {
        nothing(model, container, canvas);
        return;
    }
    let place = texts::place(&screen.cgroup, &files);
    let room = usize::from(canvas.area.width).saturating_sub(INDENT);
    let widest = files.iter().map(|it| width(&it.file)).max().unwrap_or(0);
    let height = usize::from(canvas.area.height);
    let short = height < ROOM_FOR_NOTES;
    let pane = CgroupPane { model, screen, container, look, widest, short };
    let (rows, at) = pane.rows(&files, place, room);
    // The notes below the row are visible, too, as far as there is room.
    let below = rows.iter().skip(at + 1).take_while(|it| matches!(it, PaneRow::Note(_)));
    let below = (at + below.count().max(1)).min(rows.len().saturating_sub(1));
    let first = scroll(screen.cgroup.first, below, rows.len(), height).min(at);
    for ((index, row), line) in rows.iter().enumerate().skip(first).zip(canvas.rows()) {
        pane.paint(row, focused && index == at, &mut canvas.pen_at(line));
    }
}

/// Paints why there are no files.
fn nothing(model: &Model, container: &Container, canvas: Canvas<'_>) {
    if container.hidden {
        words::why_hidden(canvas);
        return;
    }
    let looked = container.detail.as_ref().is_some_and(|it| it.cgroup.is_none());
    let words = if !container.state.is_active() {
        texts::nothing_runs(model, container)
    } else if looked {
        "it has no cgroup of its own, and so no limits".to_owned()
    } else {
        "looking …".to_owned()
    };
    let Canvas { look, area, buf } = canvas.padded();
    paragraph(&words, look.dim, area, buf);
}

/// The data that the pane is painted from.
struct CgroupPane<'a> {
    model: &'a Model,
    screen: &'a DetailScreen,
    container: &'a Container,
    look: &'a Look,
    /// Cells of the longest name of a file.
    widest: usize,
    /// There are few rows: notes take as few as they can.
    short: bool,
}

impl<'a> CgroupPane<'a> {
    /// Returns the lines, and which of them is the file at `place`; notes have `room` cells.
    fn rows(
        &self,
        files: &[&'a CgroupFile],
        place: usize,
        room: usize,
    ) -> (Vec<PaneRow<'a>>, usize) {
        let (screen, look) = (self.screen, self.look);
        let mut rows = Vec::with_capacity(files.len() + 8);
        let mut group = "";
        let mut at = 0;
        for (index, file) in files.iter().enumerate() {
            if texts::group(file) != group {
                group = texts::group(file);
                let version = (!value::is_key(&file.file)).then_some(file.version);
                rows.push(PaneRow::Head(group, version));
            }
            if index == place {
                at = rows.len();
            }
            rows.push(PaneRow::File(file));
            let refused = screen.cgroup.refused.as_ref().filter(|(name, _)| *name == file.file);
            if index == place
                && let Some(input) = &screen.cgroup.edit
            {
                rows.extend(self.preview(file, &input.text(), room));
            }
            if index == place {
                let lines = self.together();
                rows.extend(lines.iter().flat_map(|(words, style)| notes(words, *style, room)));
            }
            if let Some((_, reason)) = refused {
                rows.extend(notes(reason, look.bad, room));
            }
        }
        (rows, at)
    }

    /// The values of the others that are changed together, or the result for each.
    fn together(&self) -> Vec<(String, Style)> {
        let (screen, look) = (self.screen, self.look);
        if screen.cgroup.edit.is_none() {
            let line = |(name, outcome): &(Name, Result<String, String>)| match outcome {
                Ok(words) => (format!("{} {name}  {words}", look.glyphs.ok), look.ok),
                Err(why) => (format!("{} {name}  {why}", look.glyphs.bad), look.bad),
            };
            return screen.cgroup.results.iter().map(line).collect();
        }
        let olds = self.olds();
        // A short pane has them in front of the new value.
        if olds.is_empty() || self.short {
            return Vec::new();
        }
        vec![(format!("now: {olds}"), look.mark)]
    }

    /// The values now of all that are changed together, if they are; empty: one is, or they are not
    /// known yet.
    fn olds(&self) -> String {
        let cgroup = &self.screen.cgroup;
        let file = cgroup.cursor.as_deref().unwrap_or_default();
        let old = |(name, old): &(Name, Result<Option<String>, String>)| match old {
            Ok(Some(old)) => format!("{name} {}", value::shown(file, old)),
            Ok(None) => format!("{name} {NOT_SET}"),
            Err(why) => format!("{name}: {why}"),
        };
        let olds: Vec<String> = cgroup.olds.iter().map(old).collect();
        shown(&olds.join(", ")).into_owned()
    }

    /// The effect of the text typed for `file`: the old and the new value, the immediate effect,
    /// and the equivalent command, in notes of at most `room` cells.
    fn preview(&self, file: &CgroupFile, typed: &str, room: usize) -> Vec<PaneRow<'static>> {
        let look = self.look;
        let (name, typed) = (&file.file, typed.trim());
        let old = file.value.as_ref().map(|it| value::shown(name, it));
        let olds = self.olds();
        // Where there is room, the values of several stand on a line of their own.
        let was = match (olds.is_empty(), self.short) {
            (true, _) => old.as_deref().unwrap_or(NOT_SET),
            (false, true) => &olds,
            (false, false) => "all",
        };
        if (olds.is_empty() || self.short) && old.as_deref().unwrap_or_default() == typed {
            let words = format!("{was} now   {}", value::advice(name));
            return notes(&words, look.dim, room);
        }
        let removes = typed.is_empty() && value::is_key(name);
        let kernel = if removes {
            Ok(String::new())
        } else {
            value::parse(name, typed, texts::whole(self.model))
        };
        match kernel {
            // It is already said below that it was refused.
            Err(reason) if self.screen.cgroup.refused == Some((name.clone(), reason.clone())) => {
                Vec::new()
            }
            Err(reason) => notes(&reason, look.warn, room),
            Ok(kernel) => {
                let new = if removes { NOT_SET.to_owned() } else { value::shown(name, &kernel) };
                let change = format!("{was} {} {new}", look.glyphs.arrow);
                let mut rows = self.change(change, self.warnings(file, &kernel), room);
                let act = if value::is_key(name) {
                    Act::Keep { file: name.clone(), value: Some(typed.to_owned()) }
                } else {
                    Act::Set { file: name.clone(), value: typed.to_owned() }
                };
                let command = format!("$ {}", self.command(&act));
                if self.short {
                    rows.push(PaneRow::Note(vec![(command, look.dim)]));
                } else {
                    rows.extend(notes(&command, look.dim, room));
                }
                rows
            }
        }
    }

    /// What changes, and what may be unwanted about it: beside it, or below if it does not fit.
    fn change(
        &self,
        change: String,
        warning: Option<String>,
        room: usize,
    ) -> Vec<PaneRow<'static>> {
        let look = self.look;
        let Some(warning) = warning.map(|it| format!("{} {it}", look.glyphs.warn)) else {
            return notes(&change, look.fg, room);
        };
        if width(&change) + GAP + width(&warning) <= room {
            let warning = format!("{:GAP$}{warning}", "");
            return vec![PaneRow::Note(vec![(change, look.fg), (warning, look.warn)])];
        }
        let mut rows = notes(&change, look.fg, room);
        rows.extend(notes(&warning, look.warn, room));
        rows
    }

    /// The command line that does the same, to all that are changed together.
    fn command(&self, act: &Act) -> String {
        let wharf = &self.model.program;
        match self.screen.together.as_slice() {
            [] => act.command_line(wharf, self.container.name.as_str()),
            all => {
                let names: Vec<&str> = all.iter().map(Name::as_str).collect();
                let line = act.command_line(wharf, "$it");
                format!("for it in {}; do {line}; done", names.join(" "))
            }
        }
    }

    /// Possibly unwanted effects of the value, on each that it is written to.
    fn warnings(&self, file: &CgroupFile, kernel: &str) -> Option<String> {
        if self.screen.together.is_empty() {
            return Self::warning(self.container, file, kernel);
        }
        let all = self.screen.together.iter().filter_map(|it| self.model.container(it));
        let one = |it: &Container| Some((it.name.clone(), Self::warning(it, file, kernel)?));
        let all: Vec<(Name, String)> = all.filter_map(one).collect();
        match all.as_slice() {
            [] => None,
            // A short pane needs its rows for the command, too.
            [(name, words), rest @ ..] if self.short && !rest.is_empty() => {
                Some(format!("{name} and {} more: {words}", rest.len()))
            }
            all => {
                let all: Vec<String> =
                    all.iter().map(|(it, words)| format!("{it}: {words}")).collect();
                Some(all.join("; "))
            }
        }
    }

    fn warning(container: &Container, file: &CgroupFile, kernel: &str) -> Option<String> {
        let files = container.detail.as_ref().map_or(&[][..], |it| &it.files);
        let other = |name: &str| {
            let same =
                |it: &&CgroupFile| it.version == file.version && value::file_of(&it.file) == name;
            let other = files.iter().find(same)?;
            // A configuration contains sizes as they were typed.
            value::parse(name, other.value.as_deref()?, Whole::default()).ok()
        };
        (!kernel.is_empty())
            .then(|| value::warning(&file.file, kernel, &container.counters, &other))?
    }

    /// Paints one line; where there is room, files are explained beside it.
    fn paint(&self, row: &PaneRow<'_>, current: bool, pen: &mut Pen<'_>) {
        let look = self.look;
        match row {
            PaneRow::Head(group, version) => {
                pen.skip(1).put(&group.to_uppercase(), look.dim.add_modifier(Modifier::BOLD));
                if let Some(version) = version {
                    pen.right(&format!("v{version} "), look.dim);
                }
            }
            PaneRow::File(file) => {
                if current {
                    pen.wash(look.select);
                }
                let wide = pen.left();
                let file_cells =
                    if wide < EXPLAINED_FROM { wide } else { FILE.min(wide - EXPLAINED) };
                self.file(file, current, &mut pen.part(file_cells));
                pen.skip(2).clip(&value::explained(&file.file), look.dim, look.glyphs.ellipsis);
            }
            PaneRow::Note(pieces) => {
                pen.skip(INDENT);
                for (words, style) in pieces {
                    pen.clip(words, *style, look.glyphs.ellipsis);
                }
            }
        }
    }

    /// Paints one file: its name, its value or the field for another, and its usage.
    fn file(&self, file: &CgroupFile, current: bool, pen: &mut Pen<'_>) {
        let look = self.look;
        if current {
            pen.put(look.glyphs.cursor, look.accent).to(0);
        }
        let name = if file.writable && file.applies { look.fg } else { look.dim };
        let spare = pen.left().saturating_sub(FIGURES + BARS.0 + QUOTA + 3);
        let names = if value::is_key(&file.file) { KEYS } else { NAMES };
        let names = names.min(spare.max(pen.left() / 2 - pen.left() / 7));
        let mut title = Cow::from(&file.file);
        if value::is_key(&title) && self.widest > names {
            // If not all whole keys fit, the part that distinguishes the spellings comes first.
            title = format!("v{} {}", file.version, value::file_of(&file.file)).into();
        }
        pen.skip(2).part(names).clip(&title, name, look.glyphs.ellipsis);
        pen.skip(1);
        let edit = self.screen.cgroup.edit.as_ref().filter(|_| current);
        let rest = pen.left().saturating_sub(FIGURES);
        let bar = (rest / 4).max(rest.saturating_sub(VALUES)).clamp(BARS.0, BARS.1);
        let usage = FIGURES + bar;
        // The usage gives way to the value itself, and even more to one under edit.
        let limited = edit.is_none()
            && pen.left() >= usage + LEAST_VALUE
            && used_figure(self.container, &file.file).0.is_some();
        let room = if limited {
            pen.left().saturating_sub(usage).min(VALUES)
        } else if edit.is_some() {
            pen.left().min(FIELD)
        } else {
            pen.left()
        };
        let mut part = pen.part(room);
        match edit {
            Some(input) => {
                part.put("[", look.accent);
                let mut field = part.part(part.left().saturating_sub(1));
                let style = look.fg;
                Field { look, input, hint: "", focused: true, style }.draw(&mut field);
                part.put("]", look.accent);
            }
            None => match &file.value {
                Some(it) if it.is_empty() => _ = part.put(NOT_SET, look.dim),
                Some(it) => {
                    let text = if file.writable {
                        value::shown(&file.file, it)
                    } else {
                        value::rounded(&file.file, it)
                    };
                    let text = text.replace('\n', "  ");
                    part.clip(&shown(&text), name, look.glyphs.ellipsis);
                }
                None if value::is_key(&file.file) => _ = part.put(NOT_SET, look.dim),
                None => _ = part.put(look.glyphs.unknown, look.dim),
            },
        }
        if edit.is_none() && !file.applies {
            let here = 3 - file.version;
            part.skip(2).clip(&format!("not used on v{here}"), look.dim, look.glyphs.ellipsis);
        }
        if limited {
            self.used(&file.file, bar, pen);
        }
    }

    /// Paints the usage of the limit in `file`: the figure, a bar of this many cells, a percentage.
    fn used(&self, file: &str, bar: usize, pen: &mut Pen<'_>) {
        let look = self.look;
        let (Some(figure), share) = used_figure(self.container, file) else { return };
        pen.part(9).right(&figure, look.fg);
        pen.skip(1);
        if let Some(share) = share {
            gauge(pen, bar, share, look);
            let (text, style) = words::share(share, look);
            // The percent sign comes before the sign of one close to its limit, or the blank for it.
            let text = text.replace(['!', ' '], "") + if text.ends_with('!') { "%!" } else { "% " };
            pen.part(6).right(&text, style);
        }
    }
}

/// Breaks `words` into notes of at most `room` cells.
fn notes(words: &str, style: Style, room: usize) -> Vec<PaneRow<'static>> {
    let lines = wrap(words, room).into_iter();
    lines.map(|it| PaneRow::Note(vec![(it.to_owned(), style)])).collect()
}

/// The usage of the limit in `file`, as a figure and a share of the limit.
fn used_figure(container: &Container, file: &str) -> (Option<String>, Option<f32>) {
    let counters = &container.counters;
    match file {
        "memory.max" | "memory.limit_in_bytes" => {
            let share = crate::ui::model::filter::memory_share(container);
            (counters.memory_bytes.map(|it| format!("{} used", format::bytes(it))), share)
        }
        "pids.max" => {
            let share = match (counters.pids, counters.pids_max) {
                (Some(used), Some(Limit::At(most))) => Some(used as f32 / most.max(1) as f32),
                (_, Some(Limit::At(_) | Limit::Max) | None) => None,
            };
            (counters.pids.map(|it| format!("{it} used")), share)
        }
        "cpu.max" | "cpu.cfs_quota_us" => {
            let share = counters.cpu_quota_percent.zip(counters.cpu_percent);
            let share = share.map(|(most, used)| used / most.max(1.0));
            (counters.cpu_percent.map(|it| format!("{}% used", format::whole(it))), share)
        }
        _ => (None, None),
    }
}

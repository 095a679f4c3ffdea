//! Panes of plain lines: log, events, configuration, network, mounts; and the first run's text.

use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::{Position, Rect};
use ratatui::style::{Modifier, Style};
use regex::Regex;

use super::canvas::Canvas;
use super::events::{self, Named};
use super::places;
use crate::command::Action;
use crate::command::action::Anywhere;
use crate::engine::sample::{Detail, HIDDEN, Sample};
use crate::engine::shown::shown;
use crate::ui::layout::NARROW;
use crate::ui::model::Model;
use crate::ui::model::detail::{DetailScreen, Search, Tab};
use crate::ui::texts;
use crate::widgets::frame::Frame;
use crate::widgets::look::Look;
use crate::widgets::pen::Pen;
use crate::widgets::table::scroll;
use crate::widgets::text::{paragraph, wrap};

/// Widest line of the greeting.
const MEASURE: usize = 64;

/// Paints the pane `tab`.
pub(super) fn pane(model: &Model, tab: Tab, canvas: Canvas<'_>) {
    let canvas = places::configured(model, tab, canvas);
    let look = canvas.look;
    let Some(screen) = &model.detail else { return };
    let count = texts::line_count(model, tab);
    let rows = usize::from(canvas.area.height.saturating_sub(2));
    let first = first(screen, tab, count, rows);
    let foot = format!("{}/{count}", (first + rows).min(count));
    let follows = matches!(tab, Tab::Log | Tab::Events) && screen.follow;
    let right = match (follows, tab) {
        (true, _) => format!("follow {}", look.glyphs.down),
        (false, Tab::Network) => places::traffic(model).unwrap_or_default(),
        (false, _) => String::new(),
    };
    let search = screen.search.as_ref().filter(|_| screen.focus == tab);
    let line = search.map(|it| it.line.text()).unwrap_or_default();
    let hits = search.map(|it| hits(it, &texts::found(model))).unwrap_or_default();
    let mut left = vec![(tab.title(), look.accent)];
    if search.is_some() {
        let caret = if search.is_some_and(|it| it.typing) { look.glyphs.caret } else { "" };
        left.extend([("  / ", look.key), (&line, look.accent), (caret, look.accent)]);
        left.push((&hits, look.dim));
    }
    let frame = Frame {
        right: &[(right.as_str(), look.dim)],
        foot: if count > rows { &[(foot.as_str(), look.dim)] } else { &[] },
        focused: screen.focus == tab,
        ..Frame::titled(look, &left)
    };
    let mut canvas = canvas.framed(frame);
    if count == 0 {
        let Canvas { look, area, buf } = canvas.padded();
        paragraph(&shown(&nothing(model, tab)), look.dim, area, buf);
        return;
    }
    let detail = model.current().and_then(|it| it.detail.as_ref());
    match (tab, detail) {
        (Tab::Log, _) => {
            let lines = texts::log_lines(model);
            for (line, row) in lines.iter().skip(first).zip(canvas.rows()) {
                log_line(line, look, &mut canvas.pen_at(row));
            }
        }
        (Tab::Events, _) => {
            event_lines(model, screen.event_row(count), first, &mut canvas);
        }
        (Tab::Config, Some(detail)) => config_lines(model, detail, first, &mut canvas),
        (Tab::Network, _) => places::network(model, first, &mut canvas),
        (Tab::Mounts, Some(detail)) => places::mounts(detail, first, &mut canvas),
        _ => (),
    }
    if let Some(search) = search {
        show_found(search, first, &mut canvas);
    }
}

/// Paints the configuration from the `first` line on; the one that is to blame has a sign.
fn config_lines(model: &Model, detail: &Detail, first: usize, canvas: &mut Canvas<'_>) {
    let look = canvas.look;
    let blamed = texts::blamed_line(model);
    let text = detail.config.as_deref().unwrap_or_default();
    for ((at, line), row) in text.lines().enumerate().skip(first).zip(canvas.rows()) {
        let mut pen = canvas.pen_at(row);
        if blamed == Some(at) {
            pen.put(look.glyphs.bad, look.bad).to(0);
        }
        places::config_line(line, look, &mut pen);
    }
}

/// Paints the events from the `first` on, that of row `at` under the cursor.
fn event_lines(model: &Model, at: usize, first: usize, canvas: &mut Canvas<'_>) {
    let look = canvas.look;
    let shown = texts::events_of_current(model).enumerate().skip(first);
    for ((index, event), row) in shown.zip(canvas.rows()) {
        let mut pen = canvas.pen_at(row);
        if index == at {
            pen.wash(look.select).put(look.glyphs.cursor, look.accent).to(0);
        }
        events::line(model, event, Named::Above, look, &mut pen);
    }
}

/// Shows which of how many matches is the current one.
fn hits(search: &Search, found: &[usize]) -> String {
    let at = search.at.and_then(|line| found.iter().position(|it| *it == line));
    match (at, found.len()) {
        _ if search.pattern.is_none() => String::new(),
        (Some(at), count) => format!("  {} of {count}", at + 1),
        (None, count) => format!("  {count} found"),
    }
}

/// Highlights the matches on the painted rows.
fn show_found(search: &Search, first: usize, canvas: &mut Canvas<'_>) {
    let look = canvas.look;
    let Some(pattern) = &search.pattern else { return };
    for (row, line) in canvas.rows().zip(first..) {
        // Distinct without colours, too.
        let style = if search.at == Some(line) {
            look.mark.add_modifier(Modifier::REVERSED)
        } else {
            look.accent.add_modifier(Modifier::UNDERLINED)
        };
        for at in found_cells(pattern, row, canvas.buf) {
            if let Some(cell) = canvas.buf.cell_mut(at) {
                cell.set_style(style);
            }
        }
    }
}

/// Returns the positions of the cells of `row` that match `pattern`.
fn found_cells(pattern: &Regex, row: Rect, buf: &Buffer) -> Vec<Position> {
    let mut text = String::new();
    let mut starts = Vec::new();
    for at in row.positions() {
        starts.push((text.len(), at));
        text.push_str(buf.cell(at).map_or("", Cell::symbol));
    }
    let hits: Vec<_> = pattern.find_iter(&text).map(|it| it.range()).collect();
    let is_found = |at: usize| hits.iter().any(|it| it.contains(&at));
    starts.into_iter().filter(|(at, _)| is_found(*at)).map(|(_, position)| position).collect()
}

/// Paints the first screen of an operator without containers.
pub(super) fn welcome(model: &Model, canvas: Canvas<'_>) {
    let look = canvas.look;
    let mut canvas = if model.size.0 < NARROW {
        canvas
    } else {
        canvas.framed(Frame::titled(look, &[("Containers", look.accent)]))
    };
    let Some(sample) = &model.sample else {
        canvas.pen().skip(2).put("looking …", look.dim);
        return;
    };
    let lines = greeting(model, sample, look, usize::from(canvas.area.width).saturating_sub(4));
    let spare = usize::from(canvas.area.height).saturating_sub(lines.len());
    let rows = canvas.rows().skip(spare.min(usize::from(canvas.area.height / 4)));
    for (line, row) in lines.iter().zip(rows) {
        let mut pen = canvas.pen_at(row);
        pen.skip(2);
        for (text, style) in line {
            pen.clip(text, *style, look.glyphs.ellipsis);
        }
    }
}

/// A line of the greeting.
type GreetingLine = Vec<(String, Style)>;

/// Returns the lines of the first screen, each of at most `room` cells.
fn greeting(model: &Model, sample: &Sample, look: &Look, room: usize) -> Vec<GreetingLine> {
    const WORKS: &str = "creates one that works at once: it shares this machine's files, and has \
                         processes, mounts, cgroups and a console of its own.";
    let said = |sign: &str, style: Style, words: &str, words_style: Style| -> Vec<GreetingLine> {
        let indent = sign.chars().count();
        let lines = wrap(words, room.min(MEASURE).saturating_sub(indent)).into_iter().enumerate();
        let line = |(at, it): (usize, &str)| {
            let sign = if at == 0 { sign.to_owned() } else { " ".repeat(indent) };
            vec![(sign, style), (it.to_owned(), words_style)]
        };
        lines.map(line).collect()
    };
    let head = match &sample.trouble {
        None => "There are no containers yet.",
        Some(_) => "No containers can be shown.",
    };
    let mut lines = vec![vec![(head.to_owned(), look.fg)], Vec::new()];
    if let Some(barred) = model.refusal(Action::Shell(Anywhere::New)) {
        lines.extend(said("None can be created: ", look.dim, &barred, look.dim));
    } else {
        lines.push(vec![
            ("n".to_owned(), look.key),
            (" then ".to_owned(), look.dim),
            (look.glyphs.enter.to_owned(), look.key),
        ]);
        lines.extend(said("   ", look.dim, WORKS, look.dim));
    }
    lines.push(Vec::new());
    let warn = format!("{} ", look.glyphs.warn);
    if let Some(trouble) = &sample.trouble {
        lines.extend(said(&warn, look.warn, &shown(trouble), look.warn));
    }
    if let Some(others) = texts::unmanaged(sample) {
        lines.extend(said(&warn, look.warn, &shown(&others), look.fg));
    }
    for lack in &sample.host.lacks {
        lines.extend(said(&warn, look.warn, &shown(&lack.why), look.dim));
    }
    while lines.last().is_some_and(Vec::is_empty) {
        lines.pop();
    }
    lines
}

fn first(screen: &DetailScreen, tab: Tab, count: usize, rows: usize) -> usize {
    if tab == Tab::Events {
        return scroll(screen.first_event, screen.event_row(count), count, rows);
    }
    let most = count.saturating_sub(rows);
    let tail = tab == Tab::Log && (screen.follow || screen.focus != tab);
    if tail { most } else { screen.scroll.min(most) }
}

/// Returns why the pane has no lines.
fn nothing(model: &Model, tab: Tab) -> String {
    let container = model.current();
    if container.is_some_and(|it| it.hidden) {
        return HIDDEN.to_owned();
    }
    let unread = || {
        let defined = container.filter(|it| it.defined)?;
        Some(defined.trouble.clone().unwrap_or_else(|| "its configuration is empty".to_owned()))
    };
    match (tab, &model.log) {
        (Tab::Log, Some((name, Err(reason)))) if model.current_name() == Some(name) => {
            return reason.clone();
        }
        (Tab::Log, _) => "the console has printed nothing yet",
        (Tab::Events, _) => "nothing has happened yet",
        (Tab::Config, _) => return unread().unwrap_or_else(|| "no configuration file".to_owned()),
        (Tab::Network, _) => {
            "no interfaces of its own: it shares the host's network, or is stopped"
        }
        (Tab::Mounts, _) => "no mounts of its own, or it is stopped",
        (Tab::Overview | Tab::Processes | Tab::Cgroup | Tab::Console, _) => "",
    }
    .to_owned()
}

/// Words that deserve attention, the worst first.
const ALARMING: [&str; 4] = ["panic", "fatal", "error", "warn"];

fn log_line(line: &str, look: &Look, pen: &mut Pen<'_>) {
    let text = texts::plain(line);
    let text = shown(&text);
    let lower = text.to_ascii_lowercase();
    let found = ALARMING.iter().find_map(|it| Some((lower.find(it)?, *it)));
    pen.skip(1);
    // Only the word has a colour: a log that is all red says nothing.
    let Some((at, word)) = found else {
        pen.clip(&text, look.fg, look.glyphs.ellipsis);
        return;
    };
    let (before, rest) = text.split_at(at);
    let (word_itself, after) = rest.split_at(word.len());
    let style = if word == "warn" { look.warn } else { look.bad };
    pen.clip(before, look.fg, look.glyphs.ellipsis);
    pen.clip(word_itself, style, look.glyphs.ellipsis);
    pen.clip(after, look.fg, look.glyphs.ellipsis);
}

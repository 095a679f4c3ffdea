//! Finds lines in the texts of an open container: the log, events, configuration, mounts.

use crossterm::event::{KeyCode, KeyEvent};
use regex::{Regex, RegexBuilder};

use super::typing;
use crate::ui::effect::Effect;
use crate::ui::layout;
use crate::ui::model::Model;
use crate::ui::model::detail::{Search, Tab};
use crate::ui::texts;

/// Opens the search line, or clears it.
pub(super) fn open(model: &mut Model) {
    if let Some(detail) = &mut model.detail {
        detail.search = Some(Search { typing: true, ..Search::default() });
    }
}

/// Applies a key to the search line: the newest match is shown at once.
pub(super) fn edit(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let Some(detail) = &mut model.detail else { return Vec::new() };
    let Some(search) = &mut detail.search else { return Vec::new() };
    match key.code {
        KeyCode::Esc => detail.search = None,
        KeyCode::Enter if search.line.is_empty() => detail.search = None,
        KeyCode::Enter => search.typing = false,
        _ => {
            if typing::edit(&mut search.line, key) {
                retry(model);
            }
        }
    }
    Vec::new()
}

/// Gives pasted text to the line.
pub(super) fn paste(model: &mut Model, text: &str) {
    if let Some(search) = model.detail.as_mut().and_then(|it| it.search.as_mut()) {
        search.line.insert(text);
        retry(model);
    }
}

/// Goes to the next match.
pub(super) fn next(model: &mut Model) {
    let found = texts::found(model);
    let next = match at(model) {
        Some(at) => found.iter().find(|it| **it > at),
        None => found.last(),
    };
    go(model, next.copied(), found.is_empty());
}

/// Goes to the previous match.
pub(super) fn previous(model: &mut Model) {
    let found = texts::found(model);
    let previous = match at(model) {
        Some(at) => found.iter().rev().find(|it| **it < at),
        None => found.last(),
    };
    go(model, previous.copied(), found.is_empty());
}

/// The line of the last match.
fn at(model: &Model) -> Option<usize> {
    model.detail.as_ref()?.search.as_ref()?.at
}

fn go(model: &mut Model, line: Option<usize>, nothing: bool) {
    match line {
        Some(line) => show(model, line),
        None if nothing => model.refuse("nothing found"),
        None => model.say(crate::ui::model::Tone::Plain, "no more matches in this direction"),
    }
}

fn retry(model: &mut Model) {
    let Some(search) = model.detail.as_mut().and_then(|it| it.search.as_mut()) else { return };
    search.pattern = pattern(&search.line.text());
    search.at = None;
    if let Some(line) = texts::found(model).last() {
        show(model, *line);
    }
}

/// Puts `line` in the middle of the pane and stops following the end.
fn show(model: &mut Model, line: usize) {
    let Some(focus) = model.detail.as_ref().map(|it| it.focus) else { return };
    let rows = layout::pane_rows(model, focus);
    let most = texts::line_count(model, focus).saturating_sub(rows);
    let Some(detail) = &mut model.detail else { return };
    // The events have a cursor, and scroll with it.
    let events = focus == Tab::Events;
    detail.scroll = if events { line } else { line.saturating_sub(rows / 2).min(most) };
    detail.follow = false;
    if let Some(search) = &mut detail.search {
        search.at = Some(line);
    }
}

/// Parses the input as a regular expression, else as plain text. None: nothing was typed.
fn pattern(typed: &str) -> Option<Regex> {
    if typed.is_empty() {
        return None;
    }
    let any_case = !typed.chars().any(char::is_uppercase);
    let build = |text: &str| RegexBuilder::new(text).case_insensitive(any_case).build();
    build(typed).or_else(|_not_one| build(&regex::escape(typed))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_letters_find_large_ones_and_half_an_expression_is_text() {
        let finds = |typed: &str, line: &str| pattern(typed).unwrap().is_match(line);
        assert!(finds("error|warn", "an ERROR"));
        assert!(!finds("Error", "an error"));
        assert!(finds("f(", "call f(x)"));
        assert!(pattern("").is_none());
    }
}

//! The line above the footer that says how many containers are marked, and which keys act on them.
//! Paints nothing.

use ratatui::layout::Position;

use super::hints::{Click, GAP, Hint, INDENT, marked, name, of, parsed, taken};
use super::layout;
use super::model::Model;
use crate::command::Action;
use crate::command::action::{Do, InDetail};
use crate::engine::Name;
use crate::widgets::pen::width;

/// Minimum cells for the names of the marked that are not on the screen.
const LEAST_NAMES: usize = 16;

const KEYS: [Action; 4] = [
    Action::Act(Do::Freeze),
    Action::Act(Do::Stop),
    Action::Act(Do::Restart),
    Action::Detail(InDetail::Limits),
];

/// What the line shows, from left to right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkLine<'a> {
    pub words: String,
    /// The marked containers that are not on the screen, and the cells for their names.
    pub unseen: Vec<&'a Name>,
    pub names: usize,
    /// The keys that there is room for, [`GAP`] cells before each.
    pub hints: Vec<Hint>,
}

impl MarkLine<'_> {
    /// Returns what its keys do.
    pub fn actions(&self) -> impl Iterator<Item = Action> {
        self.hints.iter().filter_map(|it| match it.click {
            Click::Runs(action) => Some(action),
            Click::Presses(_) => None,
        })
    }
}

impl Model {
    /// Returns the line about the marked containers, if it is on the screen.
    pub fn mark_line(&self) -> Option<MarkLine<'_>> {
        let one = layout::regions(self.size).notice;
        if !self.shows_marks() || one.height == 0 || self.status().is_some() {
            return None;
        }
        let many = self.list.marks.len();
        let hidden = match self.hidden_marks() {
            0 => String::new(),
            hidden => format!(", {hidden} hidden"),
        };
        // The others are marked in their rows.
        let seen: Vec<&Name> = layout::list_shown(self).map(|it| &it.name).collect();
        let unseen: Vec<&Name> = self.list.marks.iter().filter(|it| !seen.contains(it)).collect();
        let elsewhere = if unseen.is_empty() { "" } else { ", out of sight:" };
        let words = format!("{many} marked{hidden}{elsewhere}");
        let back = if self.list.filter_text.is_empty() { "Esc unmark" } else { "Esc clear filter" };
        let back = parsed(back, self.glyphs);
        let keys: Vec<Hint> = KEYS.map(|it| for_all(self, it)).into();
        let mut left = usize::from(one.width).saturating_sub(INDENT + width(&words));
        let all = unseen.iter().map(|it| it.as_str().len() + 1).sum::<usize>();
        let beside = left.saturating_sub(taken(&keys) + taken(&back));
        let names = beside.max(LEAST_NAMES).min(all).min(left.saturating_sub(taken(&back)));
        left -= names;
        let mut hints = Vec::with_capacity(keys.len() + 1);
        for key in keys {
            if taken(&hints) + key.width() + GAP + taken(&back) > left {
                break;
            }
            hints.push(key);
        }
        hints.extend(back);
        Some(MarkLine { words, unseen, names, hints })
    }

    /// Returns the effect of a click on a key of that line.
    pub fn mark_click(&self, at: Position) -> Option<Click> {
        let line = self.mark_line().filter(|_| layout::regions(self.size).notice.contains(at))?;
        let mut x = INDENT + width(&line.words) + line.names;
        for hint in line.hints {
            x += GAP;
            let end = x + hint.width();
            if (x..end).contains(&usize::from(at.x)) {
                return Some(hint.click).filter(|_| hint.alive);
            }
            x = end;
        }
        None
    }
}

/// The key of `action`, and on how many of the marked it acts.
fn for_all(model: &Model, action: Action) -> Hint {
    let many = model.list.marks.len();
    let all = if many == 2 { "both" } else { "all" };
    let of_them = marked(model, action).filter(|it| (1..many).contains(it));
    let whom = of_them.map_or_else(|| all.to_owned(), |it| it.to_string());
    let words = format!(" {} {whom}", name(model, action));
    Hint { words, ..of(model, action, model.glyphs) }
}

//! What each question says, and what a click on one of its answers does. Asks nothing itself.

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::{Position, Rect};

use super::layout;
use super::model::Model;
use super::model::overlay::{NameFor, Overlay, Proposal};
use super::theme::{ColourDepth, Theme};
use crate::engine::Name;
use crate::widgets::field::Input;
use crate::widgets::look::Look;
use crate::widgets::pen::Piece;
use crate::widgets::prompt::{NameGrid, Names, Prompt, room_for_text};
use crate::widgets::text::wrap;

/// Makes the question of `overlay`, as it stands in `area`, for `then`; none: it asks nothing.
pub fn with<T>(
    overlay: &Overlay,
    area: Rect,
    look: &Look,
    then: impl FnOnce(Prompt<'_>) -> T,
) -> Option<T> {
    match overlay {
        Overlay::Confirm { question, proposal, yes, .. } => {
            let names = proposal.names();
            let hidden = hidden(proposal);
            let spared = spared(proposal, "left out");
            let lines = wrap(question, room_for_text(area)).into_iter().map(|it| (it, look.fg));
            let lines = lines.chain(hidden.as_deref().map(|it| (it, look.warn)));
            let lines = lines.chain(spared.as_deref().map(|it| (it, look.fg)));
            let pieces: Vec<[Piece<'_>; 1]> = lines.map(|it| [it]).collect();
            let text: Vec<&[Piece<'_>]> = pieces.iter().map(<[Piece<'_>; 1]>::as_slice).collect();
            Some(then(Prompt {
                text: &text,
                names: Names { all: &names, style: look.mark, first: proposal.first },
                ..yes_or_no(*yes, look)
            }))
        }
        Overlay::Ask { question, yes, .. } => {
            let lines = wrap(question, room_for_text(area));
            let pieces: Vec<[Piece<'_>; 1]> = lines.iter().map(|it| [(&**it, look.fg)]).collect();
            let text: Vec<&[Piece<'_>]> = pieces.iter().map(<[Piece<'_>; 1]>::as_slice).collect();
            Some(then(Prompt { text: &text, ..yes_or_no(*yes, look) }))
        }
        Overlay::TypeName { word, typed, proposal } => {
            Some(destroy(word, typed, proposal, look, then))
        }
        Overlay::Exec { name, line } => Some(exec(name, line, look, then)),
        Overlay::NewName { name, naming, line } => Some(new_name(name, *naming, line, look, then)),
        Overlay::Find(_)
        | Overlay::Trash { .. }
        | Overlay::Snapshots { .. }
        | Overlay::Signal { .. }
        | Overlay::Journal { .. }
        | Overlay::Events { .. }
        | Overlay::Whole { .. } => None,
    }
}

/// Returns the key that does what the answer at `at` says, if there is one.
pub fn answer(model: &Model, at: Position) -> Option<KeyEvent> {
    let overlay = model.overlay.as_ref()?;
    let area = layout::question(model.size);
    let answer = with(overlay, area, &colourless(model), |it| it.answer_at(area, at))??;
    let keys: &[KeyCode] = match overlay {
        Overlay::Confirm { .. } | Overlay::Ask { .. } => &[KeyCode::Esc, KeyCode::Char('y')],
        Overlay::TypeName { .. } => &[KeyCode::Esc],
        Overlay::Exec { .. } | Overlay::NewName { .. } => &[KeyCode::Enter],
        Overlay::Find(_)
        | Overlay::Trash { .. }
        | Overlay::Snapshots { .. }
        | Overlay::Signal { .. }
        | Overlay::Journal { .. }
        | Overlay::Events { .. }
        | Overlay::Whole { .. } => &[],
    };
    keys.get(answer).copied().map(KeyEvent::from)
}

/// Returns how the names of the question are laid out, if one is asked.
pub fn names(model: &Model) -> Option<NameGrid> {
    let area = layout::question(model.size);
    with(model.overlay.as_ref()?, area, &colourless(model), |it| it.grid(area))
}

/// Colours do not change where something is.
fn colourless(model: &Model) -> Look {
    Theme::Mono.look(ColourDepth::None, model.glyphs)
}

fn yes_or_no(yes: bool, look: &Look) -> Prompt<'_> {
    Prompt {
        look,
        title: ("Really?", look.accent),
        text: &[],
        names: Names::NONE,
        field: None,
        complaint: None,
        answers: &["No", "Yes (y)"],
        chosen: usize::from(yes),
    }
}

/// Warns that the question is about containers that the list does not show, on a line of its own,
/// so that no screen is too narrow for it.
fn hidden(proposal: &Proposal) -> Option<String> {
    let count = proposal.hidden;
    (count > 0).then(|| format!("{count} hidden by the filter!"))
}

/// Says that marked containers are left out, which the list of names does not show.
fn spared(proposal: &Proposal, why: &str) -> Option<String> {
    let count = proposal.spared;
    (count > 0).then(|| format!("{count} marked {why}"))
}

fn exec<T>(name: &Name, line: &Input, look: &Look, then: impl FnOnce(Prompt<'_>) -> T) -> T {
    let title = format!("Run inside {name}");
    then(Prompt {
        title: (&title, look.accent),
        text: &[&[("It runs in a terminal of its own.", look.dim)]],
        field: Some(("$", line)),
        answers: &["Run (Enter)"],
        ..yes_or_no(false, look)
    })
}

fn new_name<T>(
    name: &Name,
    naming: NameFor,
    line: &Input,
    look: &Look,
    then: impl FnOnce(Prompt<'_>) -> T,
) -> T {
    let (title, says, answer) = match naming {
        NameFor::Clone => {
            (format!("Clone {name}"), "The copy gets its own addresses.", "Clone (Enter)")
        }
        NameFor::Rename => {
            (format!("Rename {name}"), "Its paths and host name follow.", "Rename (Enter)")
        }
    };
    let typed = line.text();
    let wrong = !typed.is_empty() && typed.parse::<Name>().is_err();
    then(Prompt {
        title: (&title, look.accent),
        text: &[&[(says, look.dim)]],
        field: Some(("new name:", line)),
        complaint: wrong.then_some(("letters, digits, . _ and - only", look.bad)),
        answers: &[answer],
        ..yes_or_no(false, look)
    })
}

fn destroy<T>(
    word: &str,
    typed: &Input,
    proposal: &Proposal,
    look: &Look,
    then: impl FnOnce(Prompt<'_>) -> T,
) -> T {
    let names = proposal.names();
    let title = match names.len() {
        1 => "Destroy".to_owned(),
        many => format!("Destroy {many} containers"),
    };
    let (label, hidden) = (format!("type \"{word}\":"), hidden(proposal));
    let [complaint, keeps] = match names.len() {
        1 => ["that is not the name", "Esc keeps it"],
        _ => ["that is not it", "Esc keeps them"],
    };
    let spared = spared(proposal, "cannot be destroyed now");
    let removed = [("Moved to the trash; z undoes it.", look.fg)];
    let files = [("Files shared from elsewhere stay.", look.fg)];
    let warnings = [hidden, spared].into_iter().flatten().collect::<Vec<_>>();
    let warnings: Vec<[Piece<'_>; 1]> = warnings.iter().map(|it| [(&**it, look.warn)]).collect();
    let mut text: Vec<&[Piece<'_>]> = vec![&removed];
    // A short screen has no room for this as well.
    text.extend((warnings.len() < 2).then_some(files.as_slice()));
    text.extend(warnings.iter().map(<[Piece<'_>; 1]>::as_slice));
    let wrong = !typed.is_empty() && !word.starts_with(&typed.text());
    then(Prompt {
        title: (&title, look.bad),
        text: &text,
        names: Names { all: &names, style: look.bad, first: proposal.first },
        field: Some((&label, typed)),
        complaint: wrong.then_some((complaint, look.bad)),
        answers: &[keeps],
        ..yes_or_no(false, look)
    })
}

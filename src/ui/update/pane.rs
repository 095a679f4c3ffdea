//! The program in the pane: a console or a command inside a container. Handles its keys, its mouse
//! and its end.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseEvent, MouseEventKind};
use ratatui::layout::Position;

use super::detail;
use crate::engine::Name;
use crate::engine::command_words;
use crate::ui::effect::Effect;
use crate::ui::focus::Focus;
use crate::ui::layout;
use crate::ui::model::detail::Tab;
use crate::ui::model::overlay::{Ask, Overlay};
use crate::ui::model::{Model, PaneProgram, PaneScreen, Runs, Tone};

/// The key after which wharf gets the next one: C-].
const ESCAPE: char = ']';

/// Opens the console of the current container, or goes back to the program that runs in its pane: a
/// command would end with it.
pub(super) fn open_console(model: &mut Model) -> Vec<Effect> {
    let Some(name) = model.current_name().cloned() else { return Vec::new() };
    let left = model.pane.as_ref().filter(|it| it.name == name && it.ended.is_none());
    if let Some(PaneScreen { what, kind, .. }) = left {
        let (what, kind) = (what.clone(), *kind);
        return open(model, PaneProgram { name, what, args: Vec::new(), kind });
    }
    let args = ["console", "-t", "0", "-e", "none", name.as_str()].map(str::to_owned).to_vec();
    ask_or_open(model, PaneProgram { name, what: "console".to_owned(), args, kind: Runs::Console })
}

/// Runs the command `line`, in which quotes group words, inside the container `name`.
pub(super) fn open_exec(model: &mut Model, name: Name, line: &str) -> Vec<Effect> {
    let Ok(words) = command_words(line) else {
        model.refuse(format!("{line}: a closing quote is missing"));
        return Vec::new();
    };
    let mut args = vec!["attach".to_owned(), name.to_string(), "--".to_owned()];
    args.extend(words);
    ask_or_open(model, PaneProgram { name, what: line.to_owned(), args, kind: Runs::Command })
}

/// Returns which command runs in the pane and would end with it; a console continues without it.
pub(super) fn running_command(model: &Model) -> Option<String> {
    let pane = model.pane.as_ref().filter(|it| it.kind == Runs::Command && it.ended.is_none())?;
    Some(format!("{} still runs in {}", pane.what, pane.name))
}

/// Applies a key while the program has the keyboard.
pub(super) fn press(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let Some(pane) = &mut model.pane else { return Vec::new() };
    let escape = key.modifiers.contains(KeyModifiers::CONTROL)
        && matches!(key.code, KeyCode::Char(ESCAPE | '5'));
    if !std::mem::replace(&mut pane.escaped, false) {
        pane.escaped = escape;
        return match key.code {
            _ if escape => Vec::new(),
            _ if pane.ended.is_none() => vec![Effect::TypeInPane(key)],
            KeyCode::Enter | KeyCode::Esc => close(model),
            // A key meant for the program is dropped, and is not a key of wharf's.
            _ => Vec::new(),
        };
    }
    match key.code {
        KeyCode::Char('c' | 'd' | 'q') if pane.ended.is_some() && !escape => close(model),
        KeyCode::Char('c' | 'd') if !escape => {
            leave(model);
            Vec::new()
        }
        KeyCode::Char('q') => close(model),
        KeyCode::Char('z') => {
            pane.full = !pane.full;
            Vec::new()
        }
        _ if escape && pane.ended.is_none() => vec![Effect::TypeInPane(key)],
        _ => Vec::new(),
    }
}

/// Gives pasted text to the program.
pub(super) fn paste(model: &Model, text: &str) -> Vec<Effect> {
    let runs = model.pane.as_ref().is_some_and(|it| it.ended.is_none());
    if runs { vec![Effect::PasteInPane(text.to_owned())] } else { Vec::new() }
}

/// Sends a mouse event to the program, in coordinates of its own terminal; none: it happened
/// outside of the pane, where a press applies to what is there. The wheel always applies to the
/// pane.
pub(super) fn mouse(model: &Model, event: MouseEvent) -> Option<Vec<Effect>> {
    let area = layout::pane(model)?;
    let full = model.pane.as_ref().is_some_and(|it| it.full);
    let wheel = matches!(event.kind, MouseEventKind::ScrollUp | MouseEventKind::ScrollDown);
    if !area.contains(Position::new(event.column, event.row)) && !wheel {
        return full.then(Vec::new);
    }
    let within =
        |at: u16, from: u16, size: u16| at.saturating_sub(from).min(size.saturating_sub(1));
    Some(vec![Effect::MouseInPane(MouseEvent {
        column: within(event.column, area.x, area.width),
        row: within(event.row, area.y, area.height),
        ..event
    })])
}

/// Takes the keyboard from the program, which continues.
pub(super) const fn leave(model: &mut Model) {
    if let Some(pane) = &mut model.pane {
        pane.typing = false;
        pane.escaped = false;
        pane.full = false;
    }
}

/// Gives the keyboard back to the program in the pane of the open container, if there is one.
pub(super) fn enter(model: &mut Model) {
    let open = model.detail.as_ref().map(|it| &it.name);
    if let Some(pane) = model.pane.as_mut().filter(|it| Some(&it.name) == open) {
        pane.typing = true;
    }
}

/// Informs the program of its terminal's new size.
pub(super) fn resize(model: &mut Model) -> Vec<Effect> {
    let Some(area) = layout::pane(model) else { return Vec::new() };
    let Some(pane) = &mut model.pane else { return Vec::new() };
    let size = (area.height.max(1), area.width.max(1));
    if pane.size == size {
        return Vec::new();
    }
    pane.size = size;
    vec![Effect::ResizePane { rows: size.0, columns: size.1 }]
}

/// Notes that the program ended; its last output stays on the screen until a key is pressed. The
/// end of an earlier program is ignored.
pub(super) fn ended(model: &mut Model, number: u64, how: String) -> Vec<Effect> {
    if let Some(pane) = model.pane.as_mut().filter(|it| it.number == number) {
        let said = format!("{} in {}: {how}", pane.what, pane.name);
        pane.ended = Some(how);
        // The footer says it beside the pane.
        if model.focus() != Focus::Program {
            model.say(Tone::Plain, said);
        }
    }
    Vec::new()
}

/// Opens `program`, after a question if a running command would end.
fn ask_or_open(model: &mut Model, program: PaneProgram) -> Vec<Effect> {
    match running_command(model).filter(|_| !runs_already(model, &program)) {
        None => open(model, program),
        Some(command) => {
            let question =
                format!("{command} and ends when {} takes its pane. Continue?", program.what);
            model.overlay = Some(Overlay::Ask { question, ask: Ask::Open(program), yes: false });
            Vec::new()
        }
    }
}

fn runs_already(model: &Model, program: &PaneProgram) -> bool {
    model
        .pane
        .as_ref()
        .is_some_and(|it| it.name == program.name && it.what == program.what && it.ended.is_none())
}

/// Opens `program` in the pane, or returns to it.
pub(super) fn open(model: &mut Model, program: PaneProgram) -> Vec<Effect> {
    let wide = model.size.0 >= layout::MIDDLE;
    let tab = if wide { Tab::Overview } else { Tab::Console };
    let stays = model.detail.as_ref().is_some_and(|it| it.tab == Tab::Console || it.tab == tab);
    let mut effects = if stays { Vec::new() } else { detail::open(model, tab) };
    detail::focus(model, Tab::Console);
    if runs_already(model, &program) {
        enter(model);
        return effects;
    }
    if model.pane.is_some() {
        effects.push(Effect::ClosePane);
    }
    let PaneProgram { name, what, args, kind } = program;
    model.opened += 1;
    let number = model.opened;
    model.pane = Some(PaneScreen {
        number,
        name,
        what,
        kind,
        size: (0, 0),
        typing: true,
        escaped: false,
        full: false,
        ended: None,
    });
    let area = layout::pane(model).unwrap_or_default();
    let (rows, columns) = (area.height.max(1), area.width.max(1));
    if let Some(pane) = &mut model.pane {
        pane.size = (rows, columns);
    }
    effects.push(Effect::OpenPane { number, args, rows, columns });
    effects
}

fn close(model: &mut Model) -> Vec<Effect> {
    model.pane = None;
    vec![Effect::ClosePane]
}

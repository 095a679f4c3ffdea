//! The program in the pane: a console or a command inside a container. Its keys and its end.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::detail;
use crate::engine::Name;
use crate::engine::config::command_words;
use crate::ui::effect::Effect;
use crate::ui::layout;
use crate::ui::model::detail::Tab;
use crate::ui::model::{Model, PaneScreen, Tone};

/// The key that gives the next one to wharf: C-].
const ESCAPE: char = ']';

/// Tells whether keys go to the program in the pane.
pub(super) fn has_keyboard(model: &Model) -> bool {
    let on_screen = layout::pane(model).is_some();
    model.overlay.is_none() && on_screen && model.pane.as_ref().is_some_and(|it| it.typing)
}

/// Opens the console of the current container, or goes back to the one that is open.
pub(super) fn open_console(model: &mut Model) -> Vec<Effect> {
    let Some(name) = model.current_name().cloned() else { return Vec::new() };
    let args = ["console", "-t", "0", "-e", "none", name.as_str()].map(str::to_owned).to_vec();
    open(model, name, "console", args)
}

/// Runs the command `line`, in which quotes keep words together, inside the container `name`.
pub(super) fn open_exec(model: &mut Model, name: Name, line: &str) -> Vec<Effect> {
    let Ok(words) = command_words(line) else {
        model.say(Tone::Bad, format!("{line}: a closing quote is missing"));
        return Vec::new();
    };
    let mut args = vec!["attach".to_owned(), name.to_string(), "--".to_owned()];
    args.extend(words);
    open(model, name, line, args)
}

/// Applies a key while the program has the keyboard.
pub(super) fn press(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let Some(pane) = &mut model.pane else { return Vec::new() };
    let escape = key.modifiers.contains(KeyModifiers::CONTROL)
        && matches!(key.code, KeyCode::Char(ESCAPE | '5'));
    if pane.ended.is_some() {
        // What was meant for the program is for nobody, and no key of wharf's.
        let closes = matches!(key.code, KeyCode::Enter | KeyCode::Esc) || escape;
        return if closes { close(model) } else { Vec::new() };
    }
    if !pane.escaped {
        pane.escaped = escape;
        return if escape { Vec::new() } else { vec![Effect::TypeInPane(key)] };
    }
    pane.escaped = false;
    match key.code {
        KeyCode::Char('c' | 'd') if !escape => {
            pane.typing = false;
            pane.full = false;
            resize(model)
        }
        KeyCode::Char('q') => close(model),
        KeyCode::Char('z') => {
            pane.full = !pane.full;
            resize(model)
        }
        _ if escape => vec![Effect::TypeInPane(key)],
        _ => Vec::new(),
    }
}

/// Gives pasted text to the program.
pub(super) fn paste(text: &str) -> Vec<Effect> {
    vec![Effect::PasteInPane(text.to_owned())]
}

/// Tells the program how large its terminal is now.
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

/// Notes that the program ended; its last words stay on the screen until a key.
pub(super) fn ended(model: &mut Model, how: String) -> Vec<Effect> {
    if let Some(pane) = &mut model.pane {
        let said = format!("{} in {}: {how}", pane.what, pane.name);
        pane.ended = Some(how);
        model.say(Tone::Plain, said);
    }
    Vec::new()
}

fn open(model: &mut Model, name: Name, what: &str, args: Vec<String>) -> Vec<Effect> {
    let wide = model.size.0 >= layout::MIDDLE;
    let tab = if wide { Tab::Overview } else { Tab::Console };
    let stays = model.detail.as_ref().is_some_and(|it| it.tab == Tab::Console || it.tab == tab);
    let mut effects = if stays { Vec::new() } else { detail::open(model, tab) };
    detail::focus(model, Tab::Console);
    let same = |it: &&mut PaneScreen| it.name == name && it.what == what && it.ended.is_none();
    if let Some(pane) = model.pane.as_mut().filter(same) {
        pane.typing = true;
        return effects;
    }
    if model.pane.is_some() {
        effects.push(Effect::ClosePane);
    }
    model.pane = Some(PaneScreen {
        name,
        what: what.to_owned(),
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
    effects.push(Effect::OpenPane { args, rows, columns });
    effects
}

fn close(model: &mut Model) -> Vec<Effect> {
    model.pane = None;
    vec![Effect::ClosePane]
}

//! Encodes mouse events as the bytes that a program on an xterm expects. Pure.

use crossterm::event::{KeyCode, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

use super::keys;
use crate::widgets::grid::Modes;

/// Lines that one notch of the wheel moves, as xterm does it.
pub const NOTCH: u8 = 3;
/// What is added to every number in the old form, so that it can be printed.
const OLD_BASE: u16 = 32;
/// The number of a release in the old form, which does not say which button.
const RELEASED: u16 = 3;
/// Added for a move with a button held down.
const MOVED: u16 = 32;

/// Returns what a terminal sends for `event`; none: the program did not ask for it.
pub fn encode(event: MouseEvent, modes: Modes) -> Option<Vec<u8>> {
    let wanted = modes.mouse?;
    let (code, released) = match event.kind {
        MouseEventKind::Down(button) => (number(button), false),
        MouseEventKind::Up(button) => (number(button), true),
        MouseEventKind::Drag(button) if wanted.drags => (number(button) + MOVED, false),
        MouseEventKind::ScrollUp => (64, false),
        MouseEventKind::ScrollDown => (65, false),
        MouseEventKind::ScrollLeft => (66, false),
        MouseEventKind::ScrollRight => (67, false),
        MouseEventKind::Drag(_) | MouseEventKind::Moved => return None,
    };
    let keys = event.modifiers;
    let held = 4 * u16::from(keys.contains(KeyModifiers::SHIFT))
        + 8 * u16::from(keys.contains(KeyModifiers::ALT))
        + 16 * u16::from(keys.contains(KeyModifiers::CONTROL));
    let (column, row) = (event.column + 1, event.row + 1);
    if wanted.sgr {
        let end = if released { 'm' } else { 'M' };
        return Some(format!("\u{1b}[<{};{column};{row}{end}", code + held).into_bytes());
    }
    let code = if released { RELEASED } else { code };
    let mut bytes = b"\x1b[M".to_vec();
    for number in [code + held, column, row] {
        // The old form cannot express columns beyond 223.
        bytes.push(u8::try_from(number + OLD_BASE).ok()?);
    }
    Some(bytes)
}

/// Returns what the wheel sends to a full-screen program that did not ask for the mouse: arrow
/// keys, since it has no scrollback.
pub fn arrows(kind: MouseEventKind, modes: Modes) -> Vec<u8> {
    let code = match kind {
        MouseEventKind::ScrollUp => KeyCode::Up,
        MouseEventKind::ScrollDown => KeyCode::Down,
        MouseEventKind::Down(_)
        | MouseEventKind::Up(_)
        | MouseEventKind::Drag(_)
        | MouseEventKind::Moved
        | MouseEventKind::ScrollLeft
        | MouseEventKind::ScrollRight => return Vec::new(),
    };
    keys::encode(code.into(), modes).repeat(usize::from(NOTCH))
}

const fn number(button: MouseButton) -> u16 {
    match button {
        MouseButton::Left => 0,
        MouseButton::Middle => 1,
        MouseButton::Right => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::widgets::grid::MouseMode;

    fn sent(kind: MouseEventKind, modifiers: KeyModifiers, modes: Modes) -> Option<String> {
        let event = MouseEvent { kind, column: 4, row: 1, modifiers };
        encode(event, modes).map(|it| String::from_utf8(it).unwrap())
    }

    #[test]
    fn the_mouse_is_sent_as_xterm_sends_it() {
        let left = MouseButton::Left;
        let (none, control) = (KeyModifiers::NONE, KeyModifiers::CONTROL);
        let modes = |mouse| Modes { mouse: Some(mouse), ..Modes::default() };
        let (new, old) = (modes(MouseMode { drags: true, sgr: true }), modes(MouseMode::default()));
        for (kind, keys, modes, expected) in [
            (MouseEventKind::Down(left), none, new, Some("\x1b[<0;5;2M")),
            (MouseEventKind::Up(left), none, new, Some("\x1b[<0;5;2m")),
            (MouseEventKind::Drag(left), none, new, Some("\x1b[<32;5;2M")),
            (MouseEventKind::ScrollUp, control, new, Some("\x1b[<80;5;2M")),
            (MouseEventKind::Down(MouseButton::Right), none, old, Some("\x1b[M\"%\"")),
            (MouseEventKind::Up(left), none, old, Some("\x1b[M#%\"")),
            (MouseEventKind::Drag(left), none, old, None),
            (MouseEventKind::Moved, none, new, None),
            (MouseEventKind::Down(left), none, Modes::default(), None),
        ] {
            assert_eq!(sent(kind, keys, modes).as_deref(), expected, "{kind:?}");
        }
    }

    #[test]
    fn the_wheel_is_arrow_keys_to_who_did_not_ask_for_the_mouse() {
        let modes = Modes { application_cursor: true, ..Modes::default() };
        assert_eq!(arrows(MouseEventKind::ScrollUp, modes), b"\x1bOA\x1bOA\x1bOA");
        assert!(arrows(MouseEventKind::Moved, modes).is_empty());
    }
}

//! Keys that edit one line of text.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::widgets::field::Input;

/// Applies an editing key to `input` and returns whether it was one.
pub(in crate::ui) fn edit(input: &mut Input, key: KeyEvent) -> bool {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('a') if control => input.home(),
        KeyCode::Char('e') if control => input.end(),
        KeyCode::Char('u') if control => input.delete_to_start(),
        KeyCode::Char('k') if control => input.delete_to_end(),
        KeyCode::Char('w') if control => input.delete_word(),
        KeyCode::Char(it) if !control => input.insert(it.encode_utf8(&mut [0; 4])),
        KeyCode::Backspace => _ = input.backspace(),
        KeyCode::Delete => input.delete(),
        KeyCode::Left => input.left(),
        KeyCode::Right => input.right(),
        KeyCode::Home => input.home(),
        KeyCode::End => input.end(),
        _ => return false,
    }
    true
}

//! From key presses to actions, by the table in [`crate::command`]. Keeps no state of its own.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::command::action::{SHORTCUTS, Shortcut};
use crate::command::{Action, Scope};
use crate::widgets::look::Glyphs;

/// The meaning of the keys typed so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Action(Action),
    /// More keys must follow.
    Prefix,
    Nothing,
}

/// Looks up `typed`, keys joined by spaces, in `scopes`, the innermost first.
pub fn find(scopes: &[Scope], typed: &str) -> Found {
    for scope in scopes {
        let mut here = SHORTCUTS.iter().filter(|it| it.scope == *scope);
        if let Some(shortcut) = here.find(|it| it.keys.contains(&typed)) {
            return Found::Action(shortcut.action);
        }
    }
    if following(scopes, typed).next().is_some() { Found::Prefix } else { Found::Nothing }
}

/// Lists the commands that `prefix` can go on to, each with the rest of its keys.
pub fn following<'a>(
    scopes: &'a [Scope],
    prefix: &'a str,
) -> impl Iterator<Item = (&'static str, &'static Shortcut)> + 'a {
    SHORTCUTS.iter().filter(|it| scopes.contains(&it.scope)).flat_map(move |it| {
        let rest = move |keys: &&'static str| keys.strip_prefix(prefix)?.strip_prefix(' ');
        it.keys.iter().filter_map(rest).map(move |keys| (keys, it))
    })
}

#[expect(clippy::wildcard_enum_match_arm, reason = "no other key has a name in the table")]
/// Returns the name of a pressed key as the table writes it, such as `s`, `C-l` or `PgUp`.
pub fn name(key: KeyEvent) -> Option<String> {
    let plain = match key.code {
        KeyCode::Char(' ') => "Spc".to_owned(),
        KeyCode::Char(it) => it.to_string(),
        KeyCode::Enter => "Enter".to_owned(),
        KeyCode::Esc => "Esc".to_owned(),
        KeyCode::Tab => "Tab".to_owned(),
        KeyCode::BackTab => return Some("S-Tab".to_owned()),
        KeyCode::Backspace => "BS".to_owned(),
        KeyCode::Delete => "Del".to_owned(),
        KeyCode::Up => "Up".to_owned(),
        KeyCode::Down => "Down".to_owned(),
        KeyCode::Left => "Left".to_owned(),
        KeyCode::Right => "Right".to_owned(),
        KeyCode::PageUp => "PgUp".to_owned(),
        KeyCode::PageDown => "PgDn".to_owned(),
        KeyCode::Home => "Home".to_owned(),
        KeyCode::End => "End".to_owned(),
        KeyCode::F(it) => format!("F{it}"),
        KeyCode::Insert => "Ins".to_owned(),
        _ => return None,
    };
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    let alt = key.modifiers.contains(KeyModifiers::ALT);
    Some(match (control, alt) {
        (true, _) => format!("C-{plain}"),
        (false, true) => format!("M-{plain}"),
        (false, false) => plain,
    })
}

/// Returns the key that the table calls `name`, if it is one of those that scripts press.
pub fn key(name: &str) -> Option<KeyEvent> {
    let control = name.strip_prefix("C-");
    let code = match control.unwrap_or(name) {
        "Spc" => KeyCode::Char(' '),
        "Enter" => KeyCode::Enter,
        "Esc" => KeyCode::Esc,
        "Tab" => KeyCode::Tab,
        "Up" => KeyCode::Up,
        "Down" => KeyCode::Down,
        "Home" => KeyCode::Home,
        "End" => KeyCode::End,
        plain => {
            let mut letters = plain.chars();
            let (letter, None) = (letters.next()?, letters.next()) else { return None };
            KeyCode::Char(letter)
        }
    };
    let held = if control.is_some() { KeyModifiers::CONTROL } else { KeyModifiers::NONE };
    Some(KeyEvent::new(code, held))
}

/// Returns `key` as the footer shows it: Enter as a sign.
pub const fn sign(key: &'static str, glyphs: &Glyphs) -> &'static str {
    match key.as_bytes() {
        b"Enter" => glyphs.enter,
        _ => key,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::action::{Anywhere, InDetail};

    const LIST: &[Scope] = &[Scope::List, Scope::Container, Scope::Everywhere];

    #[test]
    fn a_prefix_waits_for_its_second_key() {
        assert_eq!(find(LIST, "o"), Found::Prefix);
        assert_eq!(find(LIST, "g c"), Found::Action(Action::Shell(Anywhere::GoContainers)));
        assert_eq!(find(LIST, "o x"), Found::Nothing);
        assert!(following(LIST, "o").count() >= 6);
    }

    #[test]
    fn the_inner_scope_wins() {
        let cgroup = [Scope::Cgroup, Scope::List];
        assert_eq!(find(&cgroup, "Enter"), Found::Action(Action::Detail(InDetail::Edit)));
        assert_eq!(find(LIST, "Enter"), Found::Action(Action::Detail(InDetail::Open)));
    }

    #[test]
    fn keys_have_the_names_of_the_table() {
        let press = |code, modifiers| name(KeyEvent::new(code, modifiers)).unwrap();
        assert_eq!(press(KeyCode::Char('l'), KeyModifiers::CONTROL), "C-l");
        assert_eq!(press(KeyCode::Char('S'), KeyModifiers::SHIFT), "S");
        assert_eq!(press(KeyCode::BackTab, KeyModifiers::SHIFT), "S-Tab");
        assert_eq!(press(KeyCode::Char(' '), KeyModifiers::NONE), "Spc");
        for known in ["Spc", "Enter", "Esc", "Tab", "Up", "Down", "Home", "End", "s", "C-l"] {
            assert_eq!(key(known).and_then(name).as_deref(), Some(known));
        }
        assert_eq!(key("two"), None);
    }
}

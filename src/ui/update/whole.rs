//! One line of the journal or of the events, shown in full, which can be copied.

use crossterm::event::{KeyCode, KeyEvent};

use super::travel::step;
use crate::engine::event::Event;
use crate::engine::shown::shown;
use crate::format;
use crate::ui::effect::Effect;
use crate::ui::model::detail::Tab;
use crate::ui::model::overlay::Overlay;
use crate::ui::model::{JournalEntry, Model, Noted, Tone};
use crate::ui::{layout, texts};
use crate::widgets::text::wrap;

/// Opens or copies the line under the cursor of `list`; none: the key does neither, or there is
/// none.
pub(super) fn open(model: &mut Model, list: &Overlay, key: KeyEvent) -> Option<Vec<Effect>> {
    let (title, text) = match list {
        Overlay::Journal { at } => entry(model, model.journal.get(*at)?),
        Overlay::Events { at } => ("What happened", event(model.events.get(*at)?)),
        Overlay::Find(_)
        | Overlay::Confirm { .. }
        | Overlay::Ask { .. }
        | Overlay::TypeName { .. }
        | Overlay::Exec { .. }
        | Overlay::NewName { .. }
        | Overlay::Trash { .. }
        | Overlay::Snapshots { .. }
        | Overlay::Signal { .. }
        | Overlay::Whole { .. } => return None,
    };
    let back = list.clone();
    match key.code {
        KeyCode::Enter => {
            let back = Some(Box::new(back));
            model.overlay = Some(Overlay::Whole { title, text, first: 0, back });
            Some(Vec::new())
        }
        KeyCode::Char('y') => {
            model.overlay = Some(back);
            Some(copy(model, text))
        }
        _ => None,
    }
}

/// Opens the message above the footer.
pub(super) fn open_message(model: &mut Model) {
    match model.message() {
        Some(text) => {
            model.overlay = Some(Overlay::Whole { title: "Message", text, first: 0, back: None });
        }
        None => model.say(Tone::Plain, "there is no message"),
    }
}

/// Opens the event under the cursor of an open container.
pub(super) fn open_event(model: &mut Model) {
    let Some(text) = event_under_cursor(model) else { return };
    model.overlay = Some(Overlay::Whole { title: "What happened", text, first: 0, back: None });
}

/// Returns all of the event under the cursor of an open container.
pub(super) fn event_under_cursor(model: &Model) -> Option<String> {
    let detail = model.detail.as_ref().filter(|it| it.focus == Tab::Events)?;
    let events: Vec<&Event> = texts::events_of_current(model).collect();
    events.get(detail.event_row(events.len())).map(|it| event(it))
}

/// Applies a key to a line that is open.
pub(super) fn press(model: &mut Model, whole: Overlay, key: KeyEvent) -> Vec<Effect> {
    let Overlay::Whole { title, text, first, back } = whole else { return Vec::new() };
    if matches!(key.code, KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q')) {
        model.overlay = back.map(|it| *it);
        return Vec::new();
    }
    let lines = wrap(&text, layout::whole_room(model.size)).len();
    let most = lines.saturating_sub(layout::whole_rows(model.size));
    let first = step(model, key, first, most + 1).unwrap_or(first);
    let copied = (key.code == KeyCode::Char('y')).then(|| text.clone());
    model.overlay = Some(Overlay::Whole { title, text, first, back });
    copied.map_or_else(Vec::new, |it| copy(model, it))
}

fn copy(model: &mut Model, text: String) -> Vec<Effect> {
    model.say(Tone::Good, "copied the whole text");
    vec![Effect::Copy(text)]
}

fn entry(model: &Model, entry: &JournalEntry) -> (&'static str, String) {
    let at = format::clock(entry.at);
    match &entry.noted {
        Noted::Done { name, act, outcome } => {
            let outcome = match outcome {
                None => "in progress",
                Some(Ok(words) | Err(words)) => words,
            };
            let (word, line) = (act.word(), act.command_line(&model.program, name.as_str()));
            let (outcome, line) = (shown(outcome), shown(&line));
            ("What was done", format!("{at}  {name}  {word}\n\n{outcome}\n\n$ {line}"))
        }
        Noted::Refused(why) => ("What was refused", format!("{at}\n\n{}", shown(why))),
    }
}

fn event(event: &Event) -> String {
    let at = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(event.at_ms);
    format!("{}  {}\n\n{}", format::clock(at), event.name, shown(&texts::event_words(event)))
}

#[cfg(test)]
mod tests {
    use crossterm::event::KeyModifiers;

    use super::super::tests::{container, model, name, press};
    use super::*;
    use crate::engine::state::State;
    use crate::ui::effect::Act;

    #[test]
    fn a_refusal_is_read_whole_and_copied() {
        let mut model = model((40, 10), vec![container("web", State::Running)]);
        let why = format!("cannot stop `web`: {}", "so it is ".repeat(60));
        let at = model.now;
        let outcome = Some(Err(why.clone()));
        let noted = Noted::Done { name: name("web"), act: Act::Stop, outcome };
        model.journal.push(JournalEntry { at, noted });
        press(&mut model, "J Enter");
        let Some(Overlay::Whole { text, .. }) = &model.overlay else { panic!("not opened") };
        let text = text.clone();
        assert!(
            text.contains(why.trim_end()) && text.ends_with("$ wharf stop -t 10 web"),
            "{text}"
        );
        let last = KeyEvent::new(KeyCode::End, KeyModifiers::NONE);
        let open = model.overlay.take().unwrap();
        assert_eq!(super::press(&mut model, open, last), []);
        let Some(Overlay::Whole { first, .. }) = &model.overlay else { panic!("closed") };
        assert!(*first > 0, "it does not scroll");
        assert_eq!(press(&mut model, "y"), [Effect::Copy(text.clone())]);
        press(&mut model, "Esc");
        assert_eq!(model.overlay, Some(Overlay::Journal { at: 0 }));
        assert_eq!(press(&mut model, "y"), [Effect::Copy(text)]);
    }
}

//! Clicks on what names a key: hints, answers, fields of the form.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::Position;

use super::*;
use crate::ui::hints::{self, hints};
use crate::ui::layout;
use crate::ui::model::create::{FormRow, SourceKind};
use crate::ui::model::overlay::Overlay;
use crate::ui::prompts;

fn click(model: &mut Model, column: u16, row: u16) -> Vec<Effect> {
    let kind = MouseEventKind::Down(MouseButton::Left);
    let event = MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE };
    let effects = update(model, Message::Mouse(event));
    effects.into_iter().filter(|it| !matches!(it, Effect::Look(_) | Effect::ReadLog(_))).collect()
}

/// Clicks on the hint with these words in the last row.
fn click_hint(model: &mut Model, words: &str) -> Vec<Effect> {
    let mut x = hints::INDENT;
    for hint in hints(model, model.glyphs) {
        if hint.words.trim() == words {
            return click(model, x as u16, model.size.1 - 1);
        }
        x += hint.width() + hints::GAP;
    }
    panic!("no hint {words:?} in {:?}", hints(model, model.glyphs));
}

/// Clicks on the answer that this key gives.
fn click_answer(model: &mut Model, key: KeyCode) -> Vec<Effect> {
    let (width, height) = model.size;
    let places = (0..height).flat_map(|y| (0..width).map(move |x| Position::new(x, y)));
    let mut hits = places.filter(|it| prompts::answer(model, *it).is_some_and(|it| it.code == key));
    let at = hits.next().unwrap();
    drop(hits);
    click(model, at.x, at.y)
}

#[test]
fn a_click_on_a_hint_does_what_it_names_and_a_dead_one_nothing() {
    let mut model = three();
    assert_eq!(click_hint(&mut model, "freeze"), act("api", Act::Freeze));
    assert_eq!(click_hint(&mut model, "start"), [], "it runs already");
    assert_eq!(model.notice, None);
    _ = click_hint(&mut model, "help");
    assert!(matches!(model.overlay, Some(Overlay::Find(_))));
    _ = click_hint(&mut model, "back");
    assert_eq!(model.overlay, None);
    press(&mut model, "/ d");
    _ = click_hint(&mut model, "clear");
    assert!(!model.list.filtering && model.list.filter_text.is_empty());
    // Beside them there is nothing to press.
    assert_eq!(click(&mut model, 119, 35), []);
}

#[test]
fn a_click_on_an_answer_gives_it() {
    let many = (1..9).map(|it| container(&format!("c{it}"), State::Running));
    let mut model = model((120, 36), many.collect());
    let stops = |it: &[Effect]| matches!(it, [Effect::Act { act: Act::Stop, .. }, ..]);
    press(&mut model, "a S");
    assert!(matches!(model.overlay, Some(Overlay::Confirm { .. })), "{:?}", model.overlay);
    assert_eq!(click_answer(&mut model, KeyCode::Esc), []);
    assert_eq!(model.overlay, None);
    press(&mut model, "S");
    assert!(stops(&click_answer(&mut model, KeyCode::Char('y'))));
    assert_eq!(model.overlay, None);

    let mut model = three();
    press(&mut model, "j D");
    assert!(matches!(model.overlay, Some(Overlay::TypeName { .. })));
    _ = click_answer(&mut model, KeyCode::Esc);
    assert_eq!(model.overlay, None);
    press(&mut model, "k x");
    let run = click_answer(&mut model, KeyCode::Enter);
    assert!(matches!(run[..], [Effect::OpenPane { .. }]), "{run:?}");
}

#[test]
fn a_click_goes_to_a_field_of_the_form_and_chooses_the_next_kind_of_files() {
    for size in [(200, 50), (120, 36), (80, 24), (40, 10)] {
        let mut model = three();
        _ = update(&mut model, Message::Resized(size.0, size.1));
        press(&mut model, "n");
        let rows = layout::form(size).rows;
        assert_eq!(model.draft.row, FormRow::Name);
        _ = click(&mut model, rows.x + 4, rows.y + 1);
        assert_eq!(model.draft.row, FormRow::Source, "{size:?}");
        assert_eq!(model.draft.source, SourceKind::Host);
        _ = click(&mut model, rows.x + 4, rows.y + 1);
        assert_eq!(model.draft.source, SourceKind::Directory, "{size:?}");
        _ = click(&mut model, rows.x + 4, rows.y);
        assert_eq!(model.draft.row, FormRow::Name, "{size:?}");
        _ = click_hint(&mut model, "field");
        assert_eq!(model.draft.row, FormRow::Source, "{size:?}");
    }
}

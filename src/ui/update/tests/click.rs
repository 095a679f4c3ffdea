//! Clicks on what names a key: hints, answers, fields of the form.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Position, Rect};

use super::*;
use crate::command::Action;
use crate::command::action::{Anywhere, Do};
use crate::ui::footer::hints;
use crate::ui::hints::{self, Click};
use crate::ui::layers;
use crate::ui::layout;
use crate::ui::model::create::{FormRow, SourceKind};
use crate::ui::model::detail::Tab;
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
fn the_keys_of_the_marks_are_in_one_row_and_can_be_clicked() {
    let mut model = three();
    press(&mut model, "Home Spc G Spc");
    let line = model.mark_line().unwrap();
    assert!(line.actions().any(|it| it == Action::Act(Do::Freeze)), "{line:?}");
    let twice = |it: &hints::Hint| matches!(it.click, Click::Runs(action) if line.actions().any(|it| it == action));
    assert!(!hints(&model, model.glyphs).iter().any(twice));
    let freeze = Some(Click::Runs(Action::Act(Do::Freeze)));
    let row = model.size.1 - 2;
    let clicks = |x: &u16| model.mark_click(Position::new(*x, row)) == freeze;
    let x = (0..model.size.0).find(clicks).unwrap();
    let effects = click(&mut model, x, row);
    assert_eq!(effects, [act("api", Act::Freeze), act("web", Act::Freeze)].concat());
    // What was marked is not any more.
    assert_eq!((model.mark_line(), model.mark_click(Position::new(x, row))), (None, None));
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

/// A press of the button, or a notch of the wheel, in the middle of `area`.
fn wheel(model: &mut Model, kind: MouseEventKind, area: Rect) {
    let (column, row) = (area.x + area.width / 2, area.y + area.height / 2);
    let event = MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE };
    _ = update(model, Message::Mouse(event));
}

#[test]
fn the_wheel_over_the_peek_moves_its_processes_and_elsewhere_the_list() {
    for size in [(120, 36), (160, 48), (200, 50)] {
        let mut web = with_detail(container("web", State::Running));
        let processes = &mut web.detail.as_mut().unwrap().processes;
        *processes = (0..80).map(|pid| Process { pid, ..Process::default() }).collect();
        let others = (1..9).map(|it| container(&format!("x{it}"), State::Running));
        let mut model = model(size, [web].into_iter().chain(others).collect());
        let areas = layout::list(&model);
        let [processes, graphs] = areas.peek.unwrap();
        wheel(&mut model, MouseEventKind::ScrollDown, processes);
        assert_eq!((model.list.peek_first, model.list.row), (3, 0), "{size:?}");
        wheel(&mut model, MouseEventKind::ScrollUp, processes);
        assert_eq!((model.list.peek_first, model.list.row), (0, 0), "{size:?}");
        for _ in 0..40 {
            wheel(&mut model, MouseEventKind::ScrollDown, processes);
        }
        assert_eq!(model.list.peek_first, 80 - layout::peek_rows(&model), "{size:?}");
        wheel(&mut model, MouseEventKind::ScrollDown, graphs);
        // The processes of another container are shown from their beginning.
        assert_eq!((model.list.peek_first, model.list.row), (0, 3), "{size:?}");
        assert_eq!(click(&mut model, processes.x + 3, processes.y + 3), []);
        assert_eq!((model.list.row, model.detail.is_none()), (3, true), "{size:?}");
    }
}

#[test]
fn a_click_on_an_event_goes_there_and_another_opens_it() {
    for size in [(120, 36), (80, 24), (40, 10)] {
        let mut model = model(size, vec![with_detail(container("web", State::Running))]);
        for at in 0..50 {
            let what = What::Signal { pid: at, signal: 1 };
            let at_ms = START.as_millis() as u64;
            let event = Event { at_ms, lxcpath: "/var/lib/lxc".into(), name: name("web"), what };
            _ = update(&mut model, Message::Happened(event));
        }
        press(&mut model, "Enter 6");
        let (_, area) = layout::detail(&model).panes[0];
        let inner = layout::inside(area);
        let row = |model: &Model| model.detail.as_ref().unwrap().event_row(50);
        assert_eq!(row(&model), 49);
        // The newest is in the last row.
        let first = 50 - usize::from(inner.height);
        _ = click(&mut model, inner.x + 5, inner.y + 1);
        assert_eq!((row(&model), model.overlay.is_none()), (first + 1, true), "{size:?}");
        // Nothing moves under the mouse.
        _ = click(&mut model, inner.x + 5, inner.y + 1);
        let Some(Overlay::Whole { text, .. }) = &model.overlay else { panic!("{size:?}") };
        assert!(text.ends_with(&format!("signal 1 to pid {}", first + 1)), "{text}");
        press(&mut model, "Esc");
        // The frame is not a row.
        _ = click(&mut model, area.x + 5, area.y);
        assert_eq!((row(&model), model.overlay.is_none()), (first + 1, true), "{size:?}");
    }
}

#[test]
fn rows_that_were_scrolled_stay_under_the_mouse() {
    let mut web = with_detail(container("web", State::Running));
    let detail = web.detail.as_mut().unwrap();
    detail.processes = (0..80).map(|pid| Process { pid, ..Process::default() }).collect();
    let file = detail.files[0].clone();
    detail.files =
        (0..80).map(|at| CgroupFile { file: format!("memory.f{at:02}"), ..file.clone() }).collect();
    for size in [(120, 36), (80, 24), (40, 10)] {
        let mut model = model(size, vec![web.clone()]);
        let inside = |model: &Model, tab| {
            let panes = layout::detail(model).panes;
            layout::inside(panes.into_iter().find(|(it, _)| *it == tab).unwrap().1)
        };
        press(&mut model, "Enter 2 G");
        let inner = inside(&model, Tab::Processes);
        let forest = |model: &Model| model.detail.as_ref().unwrap().forest.row;
        // The titles are in the first line.
        let first = 80 - (usize::from(inner.height) - 1);
        for line in [1, 2, 1] {
            _ = click(&mut model, inner.x + 5, inner.y + line);
            assert_eq!(forest(&model), first + usize::from(line) - 1, "{size:?}");
        }
        // A pane without the focus shows the same rows.
        if size.0 >= layout::MIDDLE {
            press(&mut model, "1 2 G 1 Tab");
            let inner = inside(&model, Tab::Processes);
            _ = click(&mut model, inner.x + 5, inner.y + 1);
            assert_eq!(forest(&model), 80 - (usize::from(inner.height) - 1), "{size:?}");
        }
        press(&mut model, "3 a G");
        let inner = inside(&model, Tab::Cgroup);
        let limit = |model: &Model| model.detail.as_ref().unwrap().cgroup.cursor.clone();
        _ = click(&mut model, inner.x + 5, inner.y);
        let top = limit(&model);
        _ = click(&mut model, inner.x + 5, inner.y + 1);
        assert_ne!(limit(&model), top, "{size:?}");
        _ = click(&mut model, inner.x + 5, inner.y);
        assert_eq!(limit(&model), top, "{size:?}");
        // The name of the group comes back with its first file.
        press(&mut model, "Home");
        assert_eq!(model.detail.as_ref().unwrap().cgroup.first, 0);
    }
}

#[test]
fn a_click_on_the_process_under_the_cursor_hides_its_children_or_shows_them() {
    let mut model = three();
    press(&mut model, "G Enter 2");
    let (_, area) = layout::detail(&model).panes[0];
    let (x, y) = (area.x + 4, area.y + 2);
    let folded = |model: &Model| model.detail.as_ref().unwrap().forest.folded.len();
    // The second has a child, the third has none.
    _ = click(&mut model, x, y + 1);
    assert_eq!(folded(&model), 0);
    _ = click(&mut model, x, y + 1);
    assert_eq!(folded(&model), 1);
    _ = click(&mut model, x, y + 1);
    assert_eq!(folded(&model), 0);
    _ = click(&mut model, x, y + 2);
    _ = click(&mut model, x, y + 2);
    let forest = &model.detail.as_ref().unwrap().forest;
    assert_eq!((forest.folded.len(), forest.row), (0, 2));
}

#[test]
fn keys_beside_a_message_can_be_clicked() {
    for size in [(120, 36), (80, 24), (40, 10)] {
        let mut model = model(size, three().containers().to_vec());
        press(&mut model, "f");
        _ = update(&mut model, done("api", Act::Freeze, Ok(Outcome::Done)));
        let frozen = vec![container("api", State::Frozen), container("db", State::Stopped)];
        _ = update(&mut model, sampled(frozen));
        let row = model.size.1 - 2;
        let place = |model: &Model, action| {
            let click = Some(Click::Runs(action));
            (0..size.0).find(|it| model.status_click(Position::new(*it, row)) == click).unwrap()
        };
        // Where space is short, only undo is named.
        if size.0 >= layout::NARROW {
            let journal = place(&model, Action::Shell(Anywhere::Journal));
            _ = click(&mut model, journal, row);
            assert!(matches!(model.overlay, Some(Overlay::Journal { .. })), "{size:?}");
            press(&mut model, "Esc");
        }
        let undo = place(&model, Action::Act(Do::Undo));
        assert_eq!(click(&mut model, undo, row), act("api", Act::Thaw), "{size:?}");
    }
}

#[test]
fn the_event_under_the_cursor_stays_there_when_the_oldest_is_forgotten() {
    let mut model = model((80, 24), vec![with_detail(container("web", State::Running))]);
    let happens = |model: &mut Model, pid| {
        let what = What::Signal { pid, signal: 1 };
        let at_ms = START.as_millis() as u64;
        let event = Event { at_ms, lxcpath: "/var/lib/lxc".into(), name: name("web"), what };
        _ = update(model, Message::Happened(event));
    };
    (0..500).for_each(|pid| happens(&mut model, pid));
    let opened = |model: &Model| match &model.overlay {
        Some(Overlay::Whole { text, .. }) => text.clone(),
        other => panic!("{other:?}"),
    };
    press(&mut model, "g m Up Up");
    happens(&mut model, 500);
    press(&mut model, "Enter");
    assert!(opened(&model).ends_with("pid 497"), "{}", opened(&model));
    happens(&mut model, 501);
    press(&mut model, "Esc Enter");
    assert!(opened(&model).ends_with("pid 497"), "{}", opened(&model));
    press(&mut model, "Esc Esc Enter 6 Up Up");
    happens(&mut model, 502);
    press(&mut model, "Enter");
    assert!(opened(&model).ends_with("pid 499"), "{}", opened(&model));
}

/// Opens a layer by `keys` in a model with many entries for each.
fn layered(size: (u16, u16), keys: &str) -> Model {
    let mut model = model(size, three().containers().to_vec());
    for at in 0..40 {
        let what = What::Signal { pid: at, signal: 1 };
        let at_ms = START.as_millis() as u64;
        let event = Event { at_ms, lxcpath: "/var/lib/lxc".into(), name: name("web"), what };
        _ = update(&mut model, Message::Happened(event));
        model.refuse(format!("refused {at}"));
    }
    press(&mut model, keys);
    model
}

/// Returns a cell of the first row of the layer that has an entry.
fn first_row(model: &Model) -> Position {
    let (width, height) = model.size;
    let all = (0..height).map(|y| Position::new(width / 2, y));
    let mut rows = all.filter(|it| layers::entry_at(model, *it).is_some());
    rows.next().unwrap()
}

#[test]
fn a_click_in_a_layer_goes_to_the_entry_and_another_opens_it() {
    for size in [(200, 50), (120, 36), (80, 24), (40, 10)] {
        for keys in ["J", "g m"] {
            let mut model = layered(size, keys);
            let at = |model: &Model| match &model.overlay {
                Some(Overlay::Journal { at } | Overlay::Events { at }) => *at,
                other => panic!("{other:?}"),
            };
            let newest = at(&model);
            let top = first_row(&model);
            let entry = layers::entry_at(&model, top).unwrap();
            assert!(entry < newest, "{size:?}");
            _ = click(&mut model, top.x, top.y);
            assert_eq!((at(&model), layers::entry_at(&model, top)), (entry, Some(entry)));
            // Nothing has moved under the mouse.
            _ = click(&mut model, top.x, top.y);
            let Some(Overlay::Whole { text, .. }) = &model.overlay else {
                panic!("{size:?} {keys}")
            };
            let number =
                if keys == "J" { format!("refused {entry}") } else { format!("pid {entry}") };
            assert!(text.ends_with(&number), "{size:?} {text}");
            press(&mut model, "Esc");
            assert_eq!((at(&model), layers::entry_at(&model, top)), (entry, Some(entry)));
            // The frame and what is beside the layer are no entries.
            _ = click(&mut model, 0, 0);
            assert_eq!(at(&model), entry);
        }
    }
}

#[test]
fn a_click_in_help_or_palette_chooses_and_another_runs_it() {
    for size in [(200, 50), (120, 36), (80, 24), (40, 10)] {
        for keys in ["? f r e e z", ": f r e e z"] {
            let mut model = layered(size, keys);
            let first = first_row(&model);
            // The row below, then the one that is wanted.
            if layers::entry_at(&model, Position::new(first.x, first.y + 1)).is_some() {
                assert_eq!(click(&mut model, first.x, first.y + 1), []);
                assert_eq!(click(&mut model, first.x, first.y), []);
            }
            assert_eq!(click(&mut model, first.x, first.y), act("api", Act::Freeze), "{size:?}");
            assert_eq!(model.overlay, None);
        }
    }
}

#[test]
fn a_click_on_a_signal_only_chooses_it() {
    let mut model = layered((80, 24), "G Enter 2 K");
    let first = first_row(&model);
    for row in [1, 1, 0, 0] {
        assert_eq!(click(&mut model, first.x, first.y + row), []);
        let Some(Overlay::Signal { at, .. }) = &model.overlay else { panic!() };
        assert_eq!(*at, usize::from(row));
    }
    assert!(matches!(
        press(&mut model, "Enter")[..],
        [Effect::Act { act: Act::Signal { .. }, .. }]
    ));
}

#[test]
fn the_wheel_moves_in_every_layer_and_scrolls_the_names_of_a_question() {
    for (keys, size) in [("J", (80, 24)), ("g m", (40, 10)), ("?", (120, 36)), (":", (40, 10))] {
        let mut model = layered(size, keys);
        let all = Rect::new(0, 0, size.0, size.1);
        let first = layers::first(&model).unwrap();
        for _ in 0..20 {
            wheel(&mut model, MouseEventKind::ScrollUp, all);
        }
        assert_eq!(layers::first(&model), Some(0), "{keys}");
        for _ in 0..20 {
            wheel(&mut model, MouseEventKind::ScrollDown, all);
        }
        assert!(layers::first(&model).unwrap() >= first.max(1), "{keys}");
    }
    let many = (10..72).map(|it| container(&format!("op-{it}"), State::Stopped));
    let mut model = model((40, 10), many.collect());
    press(&mut model, "a D");
    for _ in 0..40 {
        wheel(&mut model, MouseEventKind::ScrollDown, Rect::new(0, 0, 40, 10));
    }
    let last = |model: &Model| prompts::names(model).unwrap().last_first();
    let Some(Overlay::TypeName { proposal, .. }) = &model.overlay else { panic!() };
    assert_eq!((proposal.first, proposal.first > 5), (last(&model), true));
}

#[test]
fn a_second_click_opens_an_entry_whose_foot_has_taken_its_row() {
    for size in [(120, 36), (80, 24), (40, 10)] {
        let mut model = three();
        _ = update(&mut model, Message::Resized(size.0, size.1));
        let outcome = Some(Ok("done".to_owned()));
        model.note(Noted::Done { name: name("web"), act: Act::Freeze, outcome });
        for at in 1..60 {
            model.refuse(format!("mount /srv/shop{at} on srv/shop: no such file or directory"));
        }
        press(&mut model, "J Home");
        let layer = layers::journal(&model, 0);
        let shown = layer.rows.height / layer.lines;
        let last = (layer.rows.x + 5, layer.rows.y + shown * layer.lines - 1);
        for _ in 0..2 {
            assert!(matches!(model.overlay, Some(Overlay::Journal { .. })), "{size:?}");
            _ = click(&mut model, last.0, last.1);
        }
        let Some(Overlay::Whole { text, .. }) = &model.overlay else { panic!("{size:?}") };
        assert!(text.contains(&format!("/srv/shop{} ", shown - 1)), "{size:?}: {text}");
    }
}

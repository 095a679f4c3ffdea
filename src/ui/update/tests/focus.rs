//! Input reaches the part that has the keyboard, and nothing below it.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};

use super::*;
use crate::command::Action;
use crate::command::action::InDetail;
use crate::ui::focus::Focus;
use crate::ui::model::detail::Tab;
use crate::ui::model::overlay::{Ask, Overlay};

fn mouse(model: &mut Model, kind: MouseEventKind, column: u16, row: u16) -> Vec<Effect> {
    let event = MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE };
    let effects = update(model, Message::Mouse(event));
    effects.into_iter().filter(|it| !matches!(it, Effect::Look(_) | Effect::ReadLog(_))).collect()
}

fn click(model: &mut Model, column: u16, row: u16) -> Vec<Effect> {
    mouse(model, MouseEventKind::Down(MouseButton::Left), column, row)
}

fn wheel_down(model: &mut Model) {
    _ = mouse(model, MouseEventKind::ScrollDown, 30, 10);
}

fn control(model: &mut Model, key: char) -> Vec<Effect> {
    update(model, Message::Key(KeyEvent::new(KeyCode::Char(key), KeyModifiers::CONTROL)))
}

/// A list of nine, of which the first is under the cursor.
fn nine() -> Model {
    let all = (1..10).map(|it| with_detail(container(&format!("c{it}"), State::Running)));
    model((120, 36), all.collect())
}

#[test]
fn the_console_is_that_of_the_cursor_whatever_is_marked() {
    let both = || {
        let all = vec![container("c1", State::Running), container("c2", State::Stopped)];
        model((120, 36), all)
    };
    let console = Action::Detail(InDetail::Console);
    // A mark moves the cursor on.
    let mut model = both();
    _ = press(&mut model, "Spc");
    assert_eq!(model.current_name(), Some(&name("c2")));
    assert!(model.refusal(console).is_some());
    let mut model = both();
    _ = press(&mut model, "j Spc k");
    assert_eq!(model.current_name(), Some(&name("c1")));
    assert_eq!(model.refusal(console), None);
}

#[test]
fn pasted_words_are_searched_from_the_first_that_is_found() {
    let mut model = nine();
    _ = press(&mut model, "? Down Down Down");
    _ = update(&mut model, Message::Paste("freeze".to_owned()));
    let Some(Overlay::Find(find)) = &model.overlay else { panic!("{:?}", model.overlay) };
    assert_eq!(find.at, 0);
}

#[test]
fn a_digit_opens_its_tab_from_the_list() {
    // What happened to a container is shown below the list, with 7 for its configuration.
    let mut model = nine();
    _ = press(&mut model, "j 7");
    let detail = model.detail.as_ref().unwrap();
    assert_eq!((&detail.name, detail.focus), (&name("c2"), Tab::Config));
}

#[test]
fn a_click_selects_and_another_opens() {
    let mut model = nine();
    // Below the header, the frame and the titles.
    assert_eq!(click(&mut model, 20, 5), []);
    assert_eq!((model.list.cursor.clone(), model.detail.is_none()), (Some(name("c3")), true));
    _ = click(&mut model, 20, 5);
    assert_eq!(model.detail.as_ref().map(|it| &it.name), Some(&name("c3")));
}

#[test]
fn neither_click_nor_wheel_reaches_what_lies_below() {
    type Open = fn(&mut Model);
    let layers: [(&str, Focus, Open); 9] = [
        ("the form", Focus::Form, |it| _ = press(it, "n")),
        ("help", Focus::Overlay, |it| _ = press(it, "?")),
        ("the palette", Focus::Overlay, |it| _ = press(it, ":")),
        ("the journal", Focus::Overlay, |it| _ = press(it, "J")),
        ("a command", Focus::Overlay, |it| _ = press(it, "x")),
        ("a question", Focus::Overlay, |it| _ = press(it, "a S")),
        ("what may follow", Focus::Popup, |it| _ = press(it, "o")),
        ("a value", Focus::Value, |it| _ = press(it, "e Enter")),
        ("a search", Focus::Search, |it| _ = press(it, "l /")),
    ];
    for (layer, focus, open) in layers {
        let mut model = nine();
        open(&mut model);
        assert_eq!(model.focus(), focus, "{layer}");
        let tab = model.detail.as_ref().map(|it| it.tab);
        for _ in 0..2 {
            wheel_down(&mut model);
            let mut effects = click(&mut model, 20, 5);
            effects.retain(|it| !matches!(it, Effect::ReadStart { .. }));
            assert_eq!(effects, [], "{layer}");
            assert_eq!(model.list.cursor, Some(name("c1")), "{layer}");
            assert_eq!(model.detail.as_ref().map(|it| it.tab), tab, "{layer}");
            if focus == Focus::Popup {
                assert_eq!(model.typed, "", "a press beside it closes it");
                break;
            }
        }
    }
}

#[test]
fn the_wheel_moves_what_has_the_keyboard() {
    let mut model = nine();
    wheel_down(&mut model);
    assert_eq!(model.list.row, 3);
    press(&mut model, "?");
    wheel_down(&mut model);
    assert!(matches!(&model.overlay, Some(Overlay::Find(it)) if it.at == 3));
    press(&mut model, "Esc Enter");
    wheel_down(&mut model);
    let forest = &model.detail.as_ref().unwrap().forest;
    assert_eq!((forest.row, model.list.row), (3, 3));
}

#[test]
fn a_click_focuses_a_pane_a_row_or_a_tab() {
    let mut model = nine();
    press(&mut model, "Enter");
    let focus = |it: &Model| it.detail.as_ref().map(|it| (it.tab, it.focus)).unwrap();
    // The limits stand at the right: their frame, the name of the group, two files.
    _ = click(&mut model, 80, 6);
    assert_eq!(focus(&model), (Tab::Overview, Tab::Cgroup));
    assert_eq!(model.detail.as_ref().unwrap().cgroup.cursor.as_deref(), Some("memory.high"));
    _ = click(&mut model, 80, 6);
    assert_eq!(model.focus(), Focus::Value, "a press on the limit under the cursor edits it");
    press(&mut model, "Esc");
    _ = click(&mut model, 10, 7);
    let forest = &model.detail.as_ref().unwrap().forest;
    assert_eq!((focus(&model).1, forest.row), (Tab::Processes, 2));
    let title = crate::ui::layout::tabs(&model).remove(4);
    assert_eq!(title.tab, Tab::Log);
    _ = click(&mut model, title.area.x + 1, title.area.y);
    assert_eq!(focus(&model), (Tab::Log, Tab::Log));
}

#[test]
fn the_mouse_can_be_given_back_and_taken_again() {
    let mut model = nine();
    for (captured, said) in [(false, "m takes it back"), (true, "m gives it back")] {
        assert_eq!(press(&mut model, "m"), [Effect::CaptureMouse(captured)]);
        assert!(model.notice.as_ref().unwrap().text.ends_with(said));
    }
}

/// The console of c1 in its pane.
fn in_pane() -> Model {
    let mut model = nine();
    let opened = press(&mut model, "c");
    assert!(matches!(opened[..], [Effect::OpenPane { .. }]), "{opened:?}");
    assert_eq!(model.focus(), Focus::Program);
    model
}

fn ended(number: u64) -> Message {
    Message::PaneEnded { number, how: "exit 1".to_owned() }
}

#[test]
fn the_mouse_in_the_pane_is_the_programs() {
    let mut model = in_pane();
    let area = crate::ui::layout::pane(&model).unwrap();
    let effects = click(&mut model, area.x + 3, area.y + 2);
    assert!(matches!(effects[..], [Effect::MouseInPane(MouseEvent { column: 3, row: 2, .. })]));
    let wheel = mouse(&mut model, MouseEventKind::ScrollUp, 0, 0);
    assert!(matches!(wheel[..], [Effect::MouseInPane(MouseEvent { column: 0, row: 0, .. })]));
    // A press beside it takes the keyboard away, a press in it gives it back.
    assert_eq!(click(&mut model, 80, 6), []);
    assert_eq!(model.focus(), Focus::Detail);
    assert_eq!(click(&mut model, area.x + 3, area.y + 2), []);
    assert_eq!(model.focus(), Focus::Program);
    // In full screen only the last line is beside it.
    _ = control(&mut model, ']');
    press(&mut model, "z");
    assert_eq!(click(&mut model, 5, 35), []);
    assert_eq!(model.focus(), Focus::Program);
}

#[test]
fn after_the_end_no_key_of_the_pane_opens_anything() {
    for keys in ["c", "d", "q"] {
        let mut model = in_pane();
        _ = update(&mut model, ended(1));
        assert_eq!(press(&mut model, "l s"), []);
        assert_eq!(update(&mut model, Message::Paste("reboot".to_owned())), []);
        assert_eq!(control(&mut model, ']'), []);
        assert!(model.pane.as_ref().unwrap().escaped);
        assert_eq!(press(&mut model, keys), [Effect::ClosePane], "{keys}");
        assert_eq!((&model.pane, &model.overlay), (&None, &None), "{keys}");
    }
    // It ends between the two keys.
    let mut model = in_pane();
    _ = control(&mut model, ']');
    _ = update(&mut model, ended(1));
    assert_eq!(press(&mut model, "c"), [Effect::ClosePane]);
    assert_eq!(model.pane, None);
}

#[test]
fn the_end_of_one_program_is_not_that_of_the_next() {
    let mut model = in_pane();
    _ = control(&mut model, ']');
    press(&mut model, "c");
    press(&mut model, "x t o p Enter");
    // It comes when the command already has the pane of the console.
    _ = update(&mut model, ended(1));
    let pane = model.pane.as_ref().unwrap();
    assert_eq!((pane.what.as_str(), &pane.ended, &model.notice), ("top", &None, &None));
    _ = update(&mut model, ended(2));
    assert_eq!(model.pane.as_ref().unwrap().ended.as_deref(), Some("exit 1"));
}

#[test]
fn a_command_in_the_pane_is_not_ended_without_a_word() {
    let mut model = nine();
    let run = |it: &mut Model| {
        press(it, "x t o p Enter");
        assert_eq!(it.pane.as_ref().map(|it| it.what.as_str()), Some("top"));
        _ = control(it, ']');
        press(it, "c")
    };
    assert_eq!(run(&mut model), []);
    assert_eq!(press(&mut model, "q"), []);
    let Some(Overlay::Ask { question, ask: Ask::Quit, .. }) = &model.overlay else { panic!() };
    assert_eq!(question, "top still runs in c1 and ends when wharf quits. Quit?");
    assert_eq!(press(&mut model, "Enter"), [], "no is the answer that Enter gives");
    assert_eq!(press(&mut model, "q y"), [Effect::Quit]);
    // Another command in its place asks first.
    assert_eq!(press(&mut model, "x l s Enter"), []);
    assert!(matches!(&model.overlay, Some(Overlay::Ask { ask: Ask::Open(_), .. })));
    let effects = press(&mut model, "y");
    assert!(matches!(effects[..], [Effect::ClosePane, Effect::OpenPane { .. }]), "{effects:?}");
    // A console continues without its pane.
    _ = control(&mut model, ']');
    let opened = press(&mut model, "q c");
    assert!(matches!(opened[..], [Effect::ClosePane, Effect::OpenPane { .. }]), "{opened:?}");
    _ = control(&mut model, ']');
    assert_eq!(press(&mut model, "c q"), [Effect::Quit]);
}

#[test]
fn the_key_of_the_console_leads_back_to_the_command_in_the_pane() {
    let mut model = nine();
    press(&mut model, "x t o p Enter");
    _ = control(&mut model, ']');
    assert_eq!(press(&mut model, "c"), []);
    assert!(model.pane.as_ref().is_some_and(|it| !it.typing), "C-] c leaves it");
    assert_eq!(press(&mut model, "c"), []);
    assert!(model.pane.as_ref().is_some_and(|it| it.what == "top" && it.typing));
    assert_eq!(model.overlay, None);
}

#[test]
fn escape_goes_back_to_where_one_came_from() {
    let mut model = nine();
    for keys in ["e", "l", "Enter", "e 5", "l 1", "Enter 3"] {
        press(&mut model, keys);
        assert!(model.detail.is_some(), "{keys}");
        let steps = keys.split(' ').count();
        for _ in 1..steps {
            press(&mut model, "Esc");
            assert!(model.detail.is_some(), "{keys}");
        }
        press(&mut model, "Esc");
        assert!(model.detail.is_none(), "{keys}");
    }
}

#[test]
fn escape_shows_all_again_before_it_unmarks() {
    let mut model = nine();
    press(&mut model, "Spc / 5 Enter");
    assert_eq!((model.list.marks.len(), model.hidden_marks()), (1, 1));
    press(&mut model, "Esc");
    assert_eq!((model.shown().count(), model.list.marks.len()), (9, 1));
    press(&mut model, "Esc");
    assert_eq!(model.list.marks.len(), 0);
}

#[test]
fn a_filter_that_makes_no_sense_is_not_kept() {
    let mut model = nine();
    press(&mut model, "/ d : Enter");
    assert_eq!(model.focus(), Focus::Filter);
    assert!(model.list.filter_error.is_some());
    press(&mut model, "Esc");
    assert_eq!((model.focus(), model.shown().count()), (Focus::List, 9));
}

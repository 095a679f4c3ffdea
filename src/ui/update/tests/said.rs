//! What is said above the footer can be read whole, there and in the journal.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};

use super::*;
use crate::ui::model::overlay::Overlay;

const WHY: &str = "mount /srv/shop on srv/shop: no such file or directory; make it, or take \
                   lxc.mount.entry out of /var/lib/lxc/db/config";

/// A list whose last start failed with [`WHY`].
fn refused(size: (u16, u16)) -> Model {
    let mut model = model(size, three().containers().to_vec());
    press(&mut model, "j s");
    _ = update(&mut model, done("db", Act::Start, Err(WHY.to_owned())));
    model
}

fn rows(model: &Model) -> u16 {
    model.status_area().map_or(0, |it| it.height)
}

fn keys(model: &Model) -> Vec<String> {
    model.status().map_or_else(Vec::new, |it| it.hints.into_iter().map(|it| it.key).collect())
}

#[test]
fn a_long_refusal_is_whole_until_the_next_key_and_then_names_the_key_that_opens_it() {
    for (size, has_box) in [((120, 36), true), ((80, 24), true), ((40, 10), false)] {
        let mut model = refused(size);
        // Where a box says it, the message leaves the keys of that uncovered.
        assert_eq!(rows(&model) == 1, has_box, "{size:?}");
        press(&mut model, "Up Down");
        assert_eq!(rows(&model), 1, "{size:?}");
        let said = model.status().unwrap();
        assert!(!has_box || said.text.ends_with("the reason is above"), "{said:?}");
        assert!(keys(&model).contains(&"w".to_owned()), "{said:?}");
        press(&mut model, "w");
        let Some(Overlay::Whole { text, .. }) = &model.overlay else { panic!("{size:?}") };
        assert!(text.ends_with(WHY), "{text}");
        let text = text.clone();
        assert_eq!(press(&mut model, "y"), [Effect::Copy(text)]);
    }
}

#[test]
fn a_refusal_that_fits_takes_one_row_and_no_further_key() {
    let mut model = three();
    press(&mut model, "s");
    assert_eq!((rows(&model), keys(&model)), (1, vec!["J".to_owned()]));
    press(&mut model, "j");
    assert_eq!((rows(&model), keys(&model)), (1, vec!["J".to_owned()]));
}

#[test]
fn the_key_that_is_for_text_is_not_named_while_text_is_typed() {
    let mut model = refused((40, 10));
    press(&mut model, "n");
    assert!(!keys(&model).contains(&"w".to_owned()), "{:?}", model.status());
    press(&mut model, "w");
    assert!(model.overlay.is_none() && model.draft.name.text() == "w");
}

#[test]
fn a_click_on_a_message_does_not_reach_what_it_covers() {
    let many = (1..8).map(|it| container(&format!("c{it}"), State::Stopped));
    let mut model = model((40, 10), many.collect());
    press(&mut model, "s");
    _ = update(&mut model, done("c1", Act::Start, Err(WHY.to_owned())));
    let area = model.status_area().unwrap();
    assert!(area.y <= 7, "it does not reach the list");
    let kind = MouseEventKind::Down(MouseButton::Left);
    let event = MouseEvent { kind, column: 3, row: area.y, modifiers: KeyModifiers::NONE };
    let cursor = model.list.cursor.clone();
    _ = update(&mut model, Message::Mouse(event));
    assert_eq!((model.list.cursor.clone(), model.detail.is_none()), (cursor, true));
    assert_eq!(rows(&model), 1);
}

#[test]
fn trouble_that_does_not_fit_names_the_key_that_opens_it() {
    let trouble = Some(WHY.to_owned());
    let web = Container { trouble, ..container("web", State::Running) };
    let mut model = model((40, 10), vec![web]);
    assert_eq!((rows(&model), keys(&model)), (1, vec!["w".to_owned()]));
    press(&mut model, "w");
    let Some(Overlay::Whole { text, .. }) = &model.overlay else { panic!("not opened") };
    assert_eq!(text, &format!("web: {WHY}"));
}

#[test]
fn with_nothing_to_read_that_is_said() {
    let mut model = three();
    press(&mut model, "w");
    assert_eq!(model.notice.as_ref().unwrap().text, "there is no message");
}

#[test]
fn what_is_refused_is_in_the_journal_once() {
    let refusals = |model: &Model| -> Vec<String> {
        let refused = model.journal.iter().filter_map(|it| match &it.noted {
            Noted::Refused(why) => Some(why.clone()),
            Noted::Done { .. } => None,
        });
        refused.collect()
    };
    for (keys, why) in [
        ("s s", "start: api is already running"),
        ("/ d : 5 Enter", "filter: d: is not a filter"),
        ("n . . / x Enter", "not created: "),
        ("j j Enter 6 / z Enter n", "nothing found"),
        ("j j e Enter C-u x Enter", "memory.max: "),
    ] {
        let mut model = three();
        press(&mut model, keys);
        let all = refusals(&model);
        assert!(matches!(&all[..], [it] if it.starts_with(why)), "{keys}: {all:?}");
        model.overlay = None;
        model.creating = false;
        press(&mut model, "Esc Esc Esc Esc J Enter");
        let Some(Overlay::Whole { text, .. }) = &model.overlay else {
            panic!("{keys}: not opened")
        };
        assert!(text.contains(&all[0]), "{text}");
    }
}

#[test]
fn the_last_output_is_read_again_until_all_of_it_must_be_there() {
    let exit = Some(engine::exit::Exit::Code(3));
    let dead = Container { last_exit: exit, ..container("web", State::Stopped) };
    let mut model = model((80, 24), vec![dead.clone()]);
    let mut reads = |after: u64| {
        let since = Some(SystemTime::UNIX_EPOCH + START - Duration::from_secs(after));
        // Nothing of it was there when it was read.
        _ = update(&mut model, Message::Log { name: name("web"), text: Ok(String::new()) });
        let effects = update(&mut model, sampled(vec![Container { since, ..dead.clone() }]));
        effects.contains(&Effect::ReadLog(name("web")))
    };
    assert!(reads(1) && reads(5));
    assert!(!reads(6));
}

//! Acts are undone, but never one that is not named on the screen.

use super::*;
use crate::ui::model::overlay::Overlay;

#[test]
fn undo_thaws_what_was_frozen_and_nothing_twice() {
    let mut model = three();
    press(&mut model, "f");
    _ = update(&mut model, done("api", Act::Freeze, Ok(Outcome::Done)));
    assert_eq!(press(&mut model, "z"), act("api", Act::Thaw));
    _ = update(&mut model, done("api", Act::Thaw, Ok(Outcome::Done)));
    assert_eq!(press(&mut model, "z"), []);
    assert!(model.notice.as_ref().unwrap().text.contains("nothing to undo"));
}

#[test]
fn undo_never_reaches_past_what_it_is_offered_beside() {
    let mut model = three();
    press(&mut model, "f");
    _ = update(&mut model, done("api", Act::Freeze, Ok(Outcome::Done)));
    // Something else is done, which cannot be undone.
    press(&mut model, "j s");
    _ = update(&mut model, done("db", Act::Start, Ok(Outcome::Done)));
    assert_eq!(model.way_back(), None);
    for answer in ["n", "Enter"] {
        assert_eq!(press(&mut model, "z"), []);
        let Some(Overlay::Ask { question, .. }) = &model.overlay else { panic!("no question") };
        assert_eq!(question, "Undo an earlier change: thaw api?");
        assert_eq!(press(&mut model, answer), []);
        assert_eq!(model.undo.len(), 1);
    }
    assert_eq!(press(&mut model, "z y"), act("api", Act::Thaw));
    _ = update(&mut model, done("api", Act::Thaw, Ok(Outcome::Done)));
    assert_eq!(press(&mut model, "Z"), act("api", Act::Freeze), "it stands beside what was undone");
}

#[test]
fn an_act_not_named_on_the_screen_is_named_before_it_is_undone() {
    let mut model = three();
    press(&mut model, "f");
    _ = update(&mut model, done("api", Act::Freeze, Ok(Outcome::Done)));
    let later = model.now + Duration::from_mins(1);
    _ = update(&mut model, Message::Tick { now: later, quiet: Duration::ZERO });
    assert_eq!(press(&mut model, "z"), []);
    assert_eq!(press(&mut model, "y"), act("api", Act::Thaw));
}

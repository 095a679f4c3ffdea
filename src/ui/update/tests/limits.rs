//! Limits are changed, taken back, done again, kept, and changed for several containers at once.

use super::*;
use crate::engine::limits::Kept;

fn set(value: &str) -> Act {
    Act::Set { file: "memory.max".to_owned(), value: value.to_owned() }
}

fn changed(old: &str, new: &str) -> Outcome {
    Outcome::Changed(Change { file: "memory.max".to_owned(), old: old.into(), new: new.into() })
}

fn control(model: &mut Model, key: char) -> Vec<Effect> {
    update(model, Message::Key(KeyEvent::new(KeyCode::Char(key), KeyModifiers::CONTROL)))
}

/// Opens the limit of `web` and types `keys` over the value it has.
fn edit(keys: &str) -> (Model, Vec<Effect>) {
    let mut model = three();
    press(&mut model, "G e Enter");
    let effects = press(&mut model, keys);
    (model, effects)
}

#[test]
fn typing_replaces_the_offered_value() {
    assert_eq!(edit("7 6 8 M Enter").1, act("web", set("805306368")));
}

#[test]
fn arrows_step_the_value() {
    assert_eq!(edit("Up Up Enter").1, act("web", set("671088640")));
    assert_eq!(edit("Down Enter").1, act("web", set("469762048")));
}

#[test]
fn what_was_taken_back_can_be_done_again() {
    let (mut model, _) = edit("1 G Enter");
    _ = update(&mut model, done("web", set("1073741824"), Ok(changed("5\n", "1073741824\n"))));
    assert_eq!(press(&mut model, "z"), act("web", set("5")));
    _ = update(&mut model, done("web", set("5"), Ok(changed("1073741824\n", "5\n"))));
    assert_eq!(press(&mut model, "Z"), act("web", set("1073741824")));
    _ = update(&mut model, done("web", set("1073741824"), Ok(changed("5\n", "1073741824\n"))));
    assert_eq!(press(&mut model, "Z"), [], "nothing is left to do again");
    assert_eq!(press(&mut model, "z"), act("web", set("5")));
}

#[test]
fn a_changed_limit_can_be_kept_in_the_configuration() {
    let (mut model, _) = edit("1 G Enter");
    assert_eq!(control(&mut model, 's'), [], "nothing was changed yet");
    _ = update(&mut model, done("web", set("1073741824"), Ok(changed("5\n", "1073741824\n"))));
    let keep = |value: Option<&str>| Act::Keep {
        file: "memory.max".to_owned(),
        value: value.map(str::to_owned),
    };
    assert_eq!(control(&mut model, 's'), act("web", keep(Some("1073741824"))));
    let kept = Kept { key: "lxc.cgroup2.memory.max".to_owned(), old: None };
    let outcome = Ok(Outcome::Kept(kept));
    _ = update(&mut model, done("web", keep(Some("1073741824")), outcome));
    assert_eq!(press(&mut model, "z"), act("web", keep(None)));
}

#[test]
fn one_edit_changes_all_that_are_marked() {
    let mut model = three();
    press(&mut model, "Spc j Spc");
    assert_eq!(model.list.marks.len(), 2);
    press(&mut model, "G e Enter");
    let both = ["api", "web"].map(|it| act(it, set("1024")).remove(0));
    assert_eq!(press(&mut model, "1 K Enter"), both);
}

#[test]
fn lost_limits_are_set_anew_with_one_key_where_there_are_some() {
    let mut model = three();
    assert_eq!(press(&mut model, "G A"), []);
    assert!(model.notice.as_ref().unwrap().text.contains("web has all the limits"));
    let lost = || {
        let lost_limits = vec!["memory.max".to_owned()];
        Container { lost_limits, ..with_detail(container("web", State::Running)) }
    };
    _ = update(&mut model, sampled(vec![container("api", State::Running), lost()]));
    assert_eq!(press(&mut model, "A"), act("web", Act::Again));
    let change = |new: &str| Change {
        file: "memory.max".to_owned(),
        old: "max\n".to_owned(),
        new: format!("{new}\n"),
    };
    let outcome = Ok(Outcome::SetAnew(vec![change("536870912")]));
    _ = update(&mut model, done("web", Act::Again, outcome));
    assert!(model.notice.as_ref().unwrap().text.contains("memory.max = 512M again"));
    assert_eq!(model.undo, [], "what was meant to hold is not taken back");
    // Of several that are marked, it goes to those that have lost some.
    let both = vec![container("api", State::Running), lost()];
    _ = update(&mut model, sampled(both));
    assert_eq!(press(&mut model, "a A"), act("web", Act::Again));
}

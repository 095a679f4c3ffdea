//! Limits are changed, undone, redone, saved, and changed for several containers at once.

use super::*;
use crate::engine::limits::KeptLimit;
use crate::ui::model::overlay::Overlay;

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
    assert_eq!(edit("7 6 8 M Enter").1, act("web", set("768M")));
}

#[test]
fn arrows_step_the_value() {
    assert_eq!(edit("Up Up Enter").1, act("web", set("640M")));
    assert_eq!(edit("Down Enter").1, act("web", set("448M")));
}

#[test]
fn undone_acts_can_be_redone() {
    let (mut model, _) = edit("1 G Enter");
    _ = update(&mut model, done("web", set("1G"), Ok(changed("5\n", "1073741824\n"))));
    assert_eq!(press(&mut model, "z"), act("web", set("5")));
    _ = update(&mut model, done("web", set("5"), Ok(changed("1073741824\n", "5\n"))));
    assert_eq!(press(&mut model, "Z"), act("web", set("1073741824")));
    _ = update(&mut model, done("web", set("1073741824"), Ok(changed("5\n", "1073741824\n"))));
    assert_eq!(press(&mut model, "Z"), [], "nothing is left to do again");
    // It is not the change named on the screen, so there is a question.
    assert_eq!(press(&mut model, "z y"), act("web", set("5")));
}

#[test]
fn a_changed_limit_can_be_kept_in_the_configuration() {
    let (mut model, _) = edit("1 G Enter");
    assert_eq!(control(&mut model, 's'), [], "nothing was changed yet");
    _ = update(&mut model, done("web", set("1G"), Ok(changed("5\n", "1073741824\n"))));
    let keep = |value: Option<&str>| Act::Keep {
        file: "memory.max".to_owned(),
        value: value.map(str::to_owned),
    };
    assert_eq!(control(&mut model, 's'), act("web", keep(Some("1G"))));
    let new = Some("1G".to_owned());
    let kept =
        KeptLimit { key: "lxc.cgroup2.memory.max".to_owned(), old: None, new, reversible: true };
    let outcome = Ok(Outcome::Kept(kept));
    _ = update(&mut model, done("web", keep(Some("1G")), outcome));
    assert_eq!(press(&mut model, "z"), act("web", keep(None)));
}

/// The list with `db`, which does not run, under the cursor; its configuration sets one limit.
fn configured() -> Model {
    let mut db = container("db", State::Stopped);
    let row = |file: &str, value: Option<&str>| CgroupFile {
        controller: "memory".to_owned(),
        version: 2,
        file: file.to_owned(),
        value: value.map(str::to_owned),
        writable: true,
        applies: true,
    };
    let files = vec![row("lxc.cgroup2.memory.max", Some("64M")), row("lxc.cgroup2.pids.max", None)];
    db.detail = Some(Detail { files, ..Detail::default() });
    model((120, 36), vec![db, with_detail(container("web", State::Running))])
}

fn keep(file: &str, value: Option<&str>) -> Act {
    Act::Keep { file: file.to_owned(), value: value.map(str::to_owned) }
}

#[test]
fn limits_of_a_stopped_container_are_changed_in_its_configuration() {
    let mut model = configured();
    let effects = press(&mut model, "e Enter 1 2 8 M Enter");
    let set = keep("lxc.cgroup2.memory.max", Some("128M"));
    assert_eq!(effects, act("db", set.clone()));
    let kept = KeptLimit {
        key: "lxc.cgroup2.memory.max".to_owned(),
        old: Some("64M".to_owned()),
        new: Some("128M".to_owned()),
        reversible: true,
    };
    let other = KeptLimit { reversible: false, ..kept.clone() };
    assert_eq!(crate::ui::model::undo::inverse(&set, &Outcome::Kept(other)), None);
    _ = update(&mut model, done("db", set, Ok(Outcome::Kept(kept))));
    let said = &model.notice.as_ref().unwrap().text;
    assert!(said.contains("lxc.cgroup2.memory.max  64M → 128M, in the configuration"), "{said}");
    assert_eq!(press(&mut model, "z"), act("db", keep("lxc.cgroup2.memory.max", Some("64M"))));
}

#[test]
fn the_line_of_the_limit_that_killed_is_under_the_cursor() {
    for (file, key) in [
        ("memory.max", "lxc.cgroup2.memory.max"),
        ("memory.limit_in_bytes", "lxc.cgroup.memory.limit_in_bytes"),
    ] {
        let mut db = container("db", State::Stopped);
        db.died_of_memory = true;
        db.oom_last = Some(OomKill { limit_file: Some(file.to_owned()), ..oom_kill("java") });
        let mut model = model((120, 36), vec![db]);
        press(&mut model, "e");
        assert_eq!(model.detail.unwrap().cgroup.cursor.as_deref(), Some(key));
    }
}

#[test]
fn an_empty_value_takes_a_limit_out_of_the_configuration() {
    let mut model = configured();
    press(&mut model, "e Enter");
    control(&mut model, 'u');
    assert_eq!(press(&mut model, "Enter"), act("db", keep("lxc.cgroup2.memory.max", None)));
}

#[test]
fn a_refused_line_is_typed_once_more() {
    let mut model = configured();
    press(&mut model, "e Enter 9 Enter");
    let refused = Err("lxc.bogus (line 3)".to_owned());
    _ = update(&mut model, done("db", keep("lxc.cgroup2.memory.max", Some("9")), refused));
    let cgroup = &model.detail.as_ref().unwrap().cgroup;
    assert_eq!(cgroup.edit.as_ref().unwrap().text(), "9");
    assert!(cgroup.refused.as_ref().unwrap().1.contains("line 3"));
}

#[test]
fn one_edit_changes_all_that_are_marked() {
    let mut model = three();
    press(&mut model, "Spc j Spc");
    assert_eq!(model.list.marks.len(), 2);
    let asked = press(&mut model, "G e Enter");
    let names = vec![name("api"), name("web")];
    assert_eq!(asked, [Effect::ReadLimits { file: "memory.max".to_owned(), names }]);
    let both = ["api", "web"].map(|it| act(it, set("1K")).remove(0));
    let values = vec![(name("api"), Ok(None)), (name("web"), Ok(Some("67108864".to_owned())))];
    _ = update(&mut model, Message::Limits { file: "memory.max".to_owned(), values });
    assert_eq!(press(&mut model, "1 K Enter"), [], "asks first");
    let Some(Overlay::Confirm { proposal, question, .. }) = &model.overlay else { panic!() };
    assert_eq!(question, "set memory.max of 2 containers?");
    assert_eq!(proposal.names(), ["api  not set → 1K", "web  64M → 1K"]);
    assert_eq!(press(&mut model, "y"), both);
    // Each is reported, with the whole reason.
    _ = update(&mut model, done("api", set("1K"), Ok(changed("max\n", "1024\n"))));
    _ = update(&mut model, done("web", set("1K"), Err("it is in use".to_owned())));
    let results = &model.detail.as_ref().unwrap().cgroup.results;
    assert_eq!(results.len(), 2);
    assert_eq!(results[1], (name("web"), Err("it is in use".to_owned())));
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
    assert_eq!(model.undo, [], "a restored limit is not undone");
    // With several marked, it applies to those that have lost some.
    let both = vec![container("api", State::Running), lost()];
    _ = update(&mut model, sampled(both));
    assert_eq!(press(&mut model, "a A"), act("web", Act::Again));
}

#[test]
fn a_limit_that_is_not_read_yet_is_not_edited_silently() {
    let mut model = model((80, 24), vec![container("web", State::Running)]);
    press(&mut model, "e Enter");
    let said = model.notice.as_ref().map(|it| it.text.as_str());
    assert_eq!(said, Some("the limits have not been read yet"));
}

//! What is kept of containers: copies, other names, snapshots and the trash. Asks and chooses; the
//! acts themselves begin as all others.

use crossterm::event::{KeyCode, KeyEvent};

use super::travel::step;
use super::{act, typing};
use crate::command::{self, Verb};
use crate::engine::Name;
use crate::engine::snapshot::Snapshot;
use crate::engine::trash::{InTrash, TrashId};
use crate::ui::effect::{Act, Effect};
use crate::ui::model::Model;
use crate::ui::model::overlay::{NameFor, Overlay, Proposal};
use crate::ui::{allowed, layers};
use crate::widgets::field::Input;

/// What was read, in words if it could not be.
type RowsRead<T> = Option<Result<Vec<T>, String>>;

/// Asks for the name of a copy of the current container, or its own.
pub(super) fn ask_name(model: &mut Model, naming: NameFor) -> Vec<Effect> {
    if let Some(name) = model.current_name().cloned() {
        let line = Input::offer(name.as_str());
        model.overlay = Some(Overlay::NewName { name, naming, line });
    }
    Vec::new()
}

/// Applies a key to the line with that name.
pub(super) fn press_name(
    model: &mut Model,
    name: Name,
    naming: NameFor,
    mut line: Input,
    key: KeyEvent,
) -> Vec<Effect> {
    if key.code == KeyCode::Enter
        && let Ok(to) = line.text().parse::<Name>()
    {
        let act = match naming {
            NameFor::Clone => Act::Clone { to },
            NameFor::Rename => Act::Rename { to },
        };
        return act::run_all(model, vec![(name, act)]);
    }
    typing::edit(&mut line, key);
    model.overlay = Some(Overlay::NewName { name, naming, line });
    Vec::new()
}

/// Opens the trash, the newest first.
pub(super) fn open_trash(model: &mut Model) -> Vec<Effect> {
    model.overlay = Some(Overlay::Trash { at: 0, found: None });
    vec![Effect::ReadTrash]
}

/// Shows what is in it.
pub(super) fn learn_trash(model: &mut Model, read: Result<Vec<InTrash>, String>) -> Vec<Effect> {
    if let Some(Overlay::Trash { found, .. }) = &mut model.overlay {
        *found = Some(read);
    }
    Vec::new()
}

/// Applies a key to the trash.
pub(super) fn press_trash(
    model: &mut Model,
    at: usize,
    found: RowsRead<InTrash>,
    key: KeyEvent,
) -> Vec<Effect> {
    let rows = found.as_ref().and_then(|it| it.as_ref().ok()).map_or(&[][..], Vec::as_slice);
    if let (KeyCode::Enter, Some(chosen)) = (key.code, rows.get(at)) {
        if let Some(why) = allowed::barred_verb(model, Verb::RestoreTrashed) {
            model.refuse(format!("bring back: {why}"));
            model.overlay = Some(Overlay::Trash { at, found });
            return Vec::new();
        }
        let id = chosen.id.clone();
        return act::run_all(model, vec![(id.name().clone(), Act::BringBack(id))]);
    }
    let chosen = match key.code {
        KeyCode::Char('D') => rows.get(at).map_or(&[][..], std::slice::from_ref),
        KeyCode::Char('E') => rows,
        _ => &[],
    };
    let ids: Vec<TrashId> = chosen.iter().map(|it| it.id.clone()).collect();
    if !ids.is_empty() {
        ask_to_remove(model, ids, Overlay::Trash { at, found });
    } else if let Some(at) = step(model, key, at, rows.len()) {
        model.overlay = Some(Overlay::Trash { at, found });
    }
    Vec::new()
}

/// Asks whether these are to go for good.
fn ask_to_remove(model: &mut Model, mut ids: Vec<TrashId>, back: Overlay) {
    if let Some(why) = allowed::barred_verb(model, Verb::EmptyTrash) {
        model.refuse(format!("remove for good: {why}"));
        model.overlay = Some(back);
        return;
    }
    let labels: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let question = match ids.len() {
        1 => "Remove for good? Nothing brings it back.".to_owned(),
        many => format!("Remove these {many} for good? Nothing brings them back."),
    };
    // Copies are older than what they were made of, and go first.
    ids.sort();
    let Some(name) = ids.first().map(|it| it.name().clone()) else { return };
    let acts = vec![(name, Act::RemoveTrashed(ids))];
    let proposal = Proposal { acts, labels, hidden: 0, spared: 0, first: 0 };
    let back = Some(Box::new(back));
    model.overlay = Some(Overlay::Confirm { question, proposal, yes: false, back });
}

/// Opens the snapshots of the current container.
pub(super) fn open_snapshots(model: &mut Model) -> Vec<Effect> {
    let Some(name) = model.current_name().cloned() else { return Vec::new() };
    model.overlay = Some(Overlay::Snapshots { name: name.clone(), at: 0, found: None });
    vec![Effect::ReadSnapshots(name)]
}

/// Shows them.
pub(super) fn learn_snapshots(
    model: &mut Model,
    of: &Name,
    read: Result<Vec<Snapshot>, String>,
) -> Vec<Effect> {
    if let Some(Overlay::Snapshots { name, found, .. }) = &mut model.overlay
        && name == of
    {
        *found = Some(read);
    }
    Vec::new()
}

/// Applies a key to the snapshots: the first row takes one, the others restore theirs after a
/// question, since what the container has now goes.
pub(super) fn press_snapshots(
    model: &mut Model,
    name: Name,
    at: usize,
    found: RowsRead<Snapshot>,
    key: KeyEvent,
) -> Vec<Effect> {
    let kept = found.as_ref().and_then(|it| it.as_ref().ok());
    let snap = at.checked_sub(1).and_then(|row| Some(kept?.get(row)?.name.clone()));
    match (key.code, snap) {
        (KeyCode::Enter, None) if at > 0 => return Vec::new(),
        (KeyCode::Enter, snap) => {
            if let Some(why) = refused(model, &name) {
                model.refuse(why);
                model.overlay = Some(Overlay::Snapshots { name, at, found });
                return Vec::new();
            }
            let Some(snap) = snap else {
                return act::run_all(model, vec![(name, Act::Snapshot)]);
            };
            let question = format!("Give {name} the state of {snap}? What it has now is lost.");
            let back = Overlay::Snapshots { name: name.clone(), at, found };
            ask(model, question, (name, Act::Replace { snap }), back);
            return Vec::new();
        }
        (KeyCode::Char('D'), Some(snap)) => {
            if let Some(why) = allowed::barred_verb(model, Verb::Snapshot) {
                model.refuse(format!("delete snapshot: {why}"));
                model.overlay = Some(Overlay::Snapshots { name, at, found });
                return Vec::new();
            }
            let question = format!("Delete {snap} of {name}? Nothing brings it back.");
            let back = Overlay::Snapshots { name: name.clone(), at, found };
            ask(model, question, (name, Act::DeleteSnapshot { snap }), back);
            return Vec::new();
        }
        _ => (),
    }
    if let Some(at) = step(model, key, at, layers::snapshot_rows(found.as_ref())) {
        model.overlay = Some(Overlay::Snapshots { name, at, found });
    }
    Vec::new()
}

/// Returns why no snapshot of the container can be taken or restored now; none: it can.
fn refused(model: &Model, name: &Name) -> Option<String> {
    if let Some(why) = allowed::barred_verb(model, Verb::Snapshot) {
        return Some(format!("snapshot: {why}"));
    }
    let container = model.current().filter(|it| it.name == *name)?;
    let refusal = command::of(Verb::Snapshot)?.allowed(container.state).err()?;
    Some(format!("{name} {}: stop it first (S)", refusal.why))
}

fn ask(model: &mut Model, question: String, act: (Name, Act), back: Overlay) {
    let proposal = Proposal { acts: vec![act], labels: Vec::new(), hidden: 0, spared: 0, first: 0 };
    let back = Some(Box::new(back));
    model.overlay = Some(Overlay::Confirm { question, proposal, yes: false, back });
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::{act, container, model, name, press};
    use super::super::update;
    use super::*;
    use crate::engine::State;
    use crate::ui::Rights;
    use crate::ui::effect::Outcome;
    use crate::ui::message::{Done, Message};

    fn stopped() -> Model {
        model((120, 36), vec![container("web", State::Stopped)])
    }

    fn done(act: Act, outcome: Outcome) -> Message {
        let took = Duration::from_millis(5);
        Message::Done(Done {
            name: name("web"),
            act,
            notes: Vec::new(),
            outcome: Ok(outcome),
            took,
        })
    }

    #[test]
    fn what_was_destroyed_is_brought_back_by_undo_and_from_the_trash() {
        let mut model = stopped();
        let id: TrashId = "web@20261127-160312".parse().unwrap();
        assert_eq!(press(&mut model, "D w e b Enter"), act("web", Act::Destroy));
        _ = update(&mut model, done(Act::Destroy, Outcome::Trashed(id.clone())));
        assert!(model.notice.as_ref().unwrap().text.contains("moved to the trash"));
        assert_eq!(press(&mut model, "z"), act("web", Act::BringBack(id.clone())));
        _ = update(&mut model, done(Act::BringBack(id.clone()), Outcome::Done));
        assert_eq!(press(&mut model, "Z"), act("web", Act::Destroy));
        _ = update(&mut model, done(Act::Destroy, Outcome::Trashed(id.clone())));
        assert_eq!(press(&mut model, "g t"), [Effect::ReadTrash]);
        let found = vec![InTrash { id: id.clone(), bytes: None, goes: None }];
        _ = update(&mut model, Message::Trash(Ok(found.clone())));
        assert_eq!(press(&mut model, "Enter"), act("web", Act::BringBack(id)));
        model.rights = Rights::ReadOnly;
        press(&mut model, "g t");
        _ = update(&mut model, Message::Trash(Ok(found)));
        assert_eq!(press(&mut model, "Enter"), []);
        assert!(model.notice.as_ref().unwrap().text.contains("read-only"));
        assert!(matches!(model.overlay, Some(Overlay::Trash { found: Some(_), .. })));
        assert_eq!(press(&mut model, "D"), []);
        assert!(model.notice.as_ref().unwrap().text.contains("remove for good"));
        assert!(matches!(model.overlay, Some(Overlay::Trash { found: Some(_), .. })));
    }

    #[test]
    fn what_leaves_the_trash_does_not_hold_a_container_of_the_same_name() {
        let mut model = model_of_running();
        model.failures.insert(name("web"), "its own".to_owned());
        let id: TrashId = "web@20261127-160312".parse().unwrap();
        let remove = Act::RemoveTrashed(vec![id.clone()]);
        press(&mut model, "g t");
        let found = vec![InTrash { id, bytes: None, goes: None }];
        _ = update(&mut model, Message::Trash(Ok(found)));
        assert_eq!(press(&mut model, "D y"), act("web", remove.clone()));
        assert!(model.jobs.is_empty() && model.failures.contains_key(&name("web")));
        assert_eq!(press(&mut model, "S"), act("web", Act::Stop));
        _ = update(&mut model, done(remove, Outcome::Done));
        let said = &model.notice.as_ref().unwrap().text;
        assert!(said.starts_with("web@20261127-160312  removed for good in "), "{said}");
        assert!(model.jobs.contains_key(&name("web")), "it is still being stopped");
    }

    #[test]
    fn no_leads_back_to_the_list() {
        let mut model = stopped();
        press(&mut model, "N");
        let snapshot = Snapshot { name: name("snap0"), taken: None, comment: None };
        let found = Message::Snapshots { name: name("web"), snapshots: Ok(vec![snapshot]) };
        _ = update(&mut model, found);
        press(&mut model, "j");
        let list = model.overlay.clone();
        for keys in ["Enter Esc", "Enter n", "D Enter", "D q"] {
            assert_eq!(press(&mut model, keys), [], "{keys}");
            assert_eq!(model.overlay, list, "{keys}");
        }
    }

    #[test]
    fn a_copy_and_another_name_are_asked_for_and_checked() {
        let mut model = stopped();
        assert_eq!(press(&mut model, "C C-u w 2 / Enter"), []);
        assert!(model.overlay.is_some(), "it is no name");
        let clone = Act::Clone { to: name("w2") };
        assert_eq!(press(&mut model, "C-u w 2 Enter"), act("web", clone.clone()));
        _ = update(&mut model, done(clone, Outcome::Done));
        let mut model = stopped();
        let rename = Act::Rename { to: name("db") };
        assert_eq!(press(&mut model, "R C-u d b Enter"), act("web", rename.clone()));
        _ = update(&mut model, done(rename, Outcome::Done));
        assert_eq!(press(&mut model, "z"), act("db", Act::Rename { to: name("web") }));
    }

    #[test]
    fn a_snapshot_is_taken_at_once_and_restored_after_a_question() {
        let mut model = stopped();
        assert_eq!(press(&mut model, "N"), [Effect::ReadSnapshots(name("web"))]);
        assert_eq!(press(&mut model, "Enter"), act("web", Act::Snapshot));
        _ = update(&mut model, done(Act::Snapshot, Outcome::Snapped(name("snap0"))));
        assert!(model.notice.as_ref().unwrap().text.contains("kept as snap0"));
        press(&mut model, "N");
        let snapshot = Snapshot { name: name("snap0"), taken: None, comment: None };
        let snapshots = Ok(vec![snapshot]);
        _ = update(&mut model, Message::Snapshots { name: name("web"), snapshots });
        assert_eq!(press(&mut model, "j Enter"), []);
        let restore = act("web", Act::Replace { snap: name("snap0") });
        assert_eq!(press(&mut model, "y"), restore);
    }

    #[test]
    fn what_is_kept_goes_for_good_after_a_question() {
        let mut model = stopped();
        let ids: Vec<TrashId> =
            ["web@20261127-160312", "web@20261126-160312", "db@20261125-160312"]
                .map(|it| it.parse().unwrap())
                .into();
        let all = |ids: &[TrashId]| -> Vec<InTrash> {
            ids.iter().map(|id| InTrash { id: id.clone(), bytes: None, goes: None }).collect()
        };
        press(&mut model, "g t");
        _ = update(&mut model, Message::Trash(Ok(all(&ids))));
        assert_eq!(press(&mut model, "j D"), []);
        assert_eq!(press(&mut model, "y"), act("web", Act::RemoveTrashed(vec![ids[1].clone()])));
        let mut model = stopped();
        press(&mut model, "g t");
        _ = update(&mut model, Message::Trash(Ok(all(&ids))));
        assert_eq!(press(&mut model, "E Esc"), [], "it was not meant");
        press(&mut model, "E");
        let Some(Overlay::Confirm { question, .. }) = &model.overlay else { panic!("no question") };
        assert_eq!(question, "Remove these 3 for good? Nothing brings them back.");
        // Copies are older than what they were made of.
        let oldest_first = Act::RemoveTrashed(ids.iter().rev().cloned().collect());
        assert_eq!(press(&mut model, "y"), act("db", oldest_first));

        let mut model = model_of_running();
        assert_eq!(press(&mut model, "N"), [Effect::ReadSnapshots(name("web"))]);
        let snapshot = Snapshot { name: name("snap0"), taken: None, comment: None };
        let found = Message::Snapshots { name: name("web"), snapshots: Ok(vec![snapshot]) };
        _ = update(&mut model, found);
        assert_eq!(press(&mut model, "Enter"), [], "it runs");
        assert!(model.notice.as_ref().unwrap().text.contains("stop it first"));
        let delete = act("web", Act::DeleteSnapshot { snap: name("snap0") });
        assert_eq!(press(&mut model, "j D y"), delete);
    }

    fn model_of_running() -> Model {
        model((120, 36), vec![container("web", State::Running)])
    }
}

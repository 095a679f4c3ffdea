//! Keys of the form for a new container.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{act, typing};
use crate::engine::Name;
use crate::engine::create::{Create, StartingPoint};
use crate::ui::command_line;
use crate::ui::effect::{Act, Effect};
use crate::ui::model::{Model, Tone, Way};

/// Opens the form, with the saved draft.
pub(super) fn open(model: &mut Model) -> Vec<Effect> {
    model.draft.offered = free_name(&names(model));
    model.creating = true;
    read_start(model)
}

fn names(model: &Model) -> Vec<String> {
    let containers = model.sample.iter().flat_map(|it| &it.containers);
    containers.map(|it| it.name.to_string()).collect()
}

/// Returns the first of `web`, `web2`, `web3` … that no container has.
fn free_name(taken: &[String]) -> String {
    let numbered = (2..=taken.len() + 2).map(|number| format!("web{number}"));
    std::iter::once("web".to_owned())
        .chain(numbered)
        .find(|it| !taken.contains(it))
        .unwrap_or_default()
}

/// Applies a key to the form.
pub(super) fn press(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    let form = &mut model.draft;
    match key.code {
        KeyCode::Esc => model.creating = false,
        KeyCode::Char('s') if control => return submit(model, false),
        KeyCode::Char('y') if control => return copy(model),
        KeyCode::Enter => return submit(model, true),
        KeyCode::Char('t') if control => return submit(model, true),
        KeyCode::Tab | KeyCode::Down => form.step(1),
        KeyCode::BackTab | KeyCode::Up => form.step(-1),
        KeyCode::Left if form.row.is_choice() => return choose(model, -1),
        KeyCode::Right | KeyCode::Char(' ') if form.row.is_choice() => return choose(model, 1),
        _ => {
            if let Some(input) = form.input() {
                typing::edit(input, key);
            }
        }
    }
    Vec::new()
}

/// Gives pasted text to the field under edit.
pub(super) fn paste(model: &mut Model, text: &str) {
    if let Some(input) = model.draft.input() {
        input.insert(text);
    }
}

/// Returns what the form orders; a fault is reported as `not_done` and its field entered.
fn order(model: &mut Model, not_done: &str) -> Option<(Name, Create)> {
    model.draft.tried = true;
    let names = names(model);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let memory = model.sample.as_ref().and_then(|it| it.host.memory_bytes);
    match model.draft.order(&names, memory) {
        Ok(order) => Some(order),
        Err(fault) => {
            model.draft.row = fault.row;
            let field = model.draft.label(fault.row);
            model.refuse(format!("{not_done}: {field}: {}", fault.text));
            None
        }
    }
}

fn submit(model: &mut Model, start: bool) -> Vec<Effect> {
    let Some((name, create)) = order(model, "not created") else { return Vec::new() };
    model.creating = false;
    model.draft.name.clear();
    let effect = act::begin_all(model, vec![(name, Act::Create { create, start })], Way::Anew);
    effect.into_iter().collect()
}

/// Copies the equivalent command line, once it is valid.
fn copy(model: &mut Model) -> Vec<Effect> {
    let Some((name, create)) = order(model, "not copied") else { return Vec::new() };
    let line = command_line::create(&model.program, name.as_str(), &create);
    model.say(Tone::Good, format!("copied {line}"));
    vec![Effect::Copy(line)]
}

/// Chooses for the current field, and reads what it then starts from.
pub(super) fn choose(model: &mut Model, by: isize) -> Vec<Effect> {
    let form = &mut model.draft;
    let before = form.base();
    form.choose(by);
    if form.base() == before { Vec::new() } else { read_start(model) }
}

/// Asks the creation in progress to end without a result.
pub(super) fn cancel(model: &mut Model) -> Vec<Effect> {
    let Some(name) = model.creation().map(|(name, _)| name.clone()) else { return Vec::new() };
    if let Some(job) = model.jobs.get_mut(&name) {
        job.cancelled = true;
    }
    // It is said in the place of this.
    model.notice = None;
    vec![Effect::Cancel(name)]
}

/// Asks what the new container would start from.
fn read_start(model: &mut Model) -> Vec<Effect> {
    model.draft.start = None;
    let name = model.draft.offered.parse();
    let create = model.draft.base();
    name.map_or_else(|_none_is_free| Vec::new(), |name| vec![Effect::ReadStart { name, create }])
}

/// Takes in what `create` would start from, if that is still what the form asks for.
pub(super) fn learn(model: &mut Model, create: &Create, start: Result<StartingPoint, String>) {
    if *create == model.draft.base() {
        model.draft.start = Some(start);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::engine::create::Purpose;
    use crate::engine::progress::Reached;
    use crate::ui::message::Message;
    use crate::ui::model::create::{FormRow, SourceKind};
    use crate::ui::update::update;

    fn press_all(model: &mut Model, keys: &[KeyCode]) -> Vec<Effect> {
        keys.iter().flat_map(|it| press(model, KeyEvent::new(*it, KeyModifiers::NONE))).collect()
    }

    #[test]
    fn fields_are_walked_around_and_the_host_has_no_place() {
        let mut model = Model::new((120, 36), SystemTime::UNIX_EPOCH);
        press_all(&mut model, &[KeyCode::Tab, KeyCode::Tab]);
        assert_eq!(model.draft.row, FormRow::Network);
        press_all(&mut model, &[KeyCode::Up, KeyCode::Right, KeyCode::Down]);
        assert_eq!((model.draft.source, model.draft.row), (SourceKind::Directory, FormRow::Place));
        press_all(&mut model, &[KeyCode::BackTab; 3]);
        assert_eq!(model.draft.row, FormRow::Pids);
    }

    #[test]
    fn a_fault_is_said_and_a_good_form_becomes_an_act() {
        let mut model = Model::new((120, 36), SystemTime::UNIX_EPOCH);
        _ = open(&mut model);
        let save = KeyEvent::new(KeyCode::Char('s'), KeyModifiers::CONTROL);
        model.draft.name.insert("../x");
        assert!(press(&mut model, save).is_empty());
        let said = &model.notice.as_ref().unwrap().text;
        assert!(model.creating && said.starts_with("not created: "), "{said}");
        model.draft.name.clear();
        model.draft.row = FormRow::Command;
        paste(&mut model, "/bin/sh");
        let effects = press(&mut model, save);
        assert!(matches!(effects.as_slice(),
            [Effect::Act { name, act: Act::Create { start: false, .. } }] if name.as_str() == "web"));
        assert!(!model.creating);
    }

    #[test]
    fn a_choice_reads_what_the_container_then_starts_from() {
        let mut model = Model::new((120, 36), SystemTime::UNIX_EPOCH);
        let reads = |create: &Create| {
            [Effect::ReadStart { name: "web".parse().unwrap(), create: create.clone() }]
        };
        assert_eq!(open(&mut model), reads(&Create::default()));
        let start = StartingPoint { networks: vec!["x".to_owned()], ..StartingPoint::default() };
        learn(&mut model, &Create::default(), Ok(start.clone()));
        assert_eq!(model.draft.start, Some(Ok(start.clone())));
        // Where the files come from does not matter.
        model.draft.row = FormRow::Source;
        assert_eq!(press_all(&mut model, &[KeyCode::Right]), []);
        model.draft.row = FormRow::Purpose;
        let system = Create { purpose: Purpose::System, ..Create::default() };
        assert_eq!(press_all(&mut model, &[KeyCode::Right]), reads(&system));
        assert_eq!(model.draft.start, None);
        model.draft.row = FormRow::Network;
        let complex = Create { config: Some("complex".into()), ..system.clone() };
        assert_eq!(press_all(&mut model, &[KeyCode::Right]), reads(&complex));
        // The answer to the earlier question comes late.
        learn(&mut model, &system, Ok(start));
        assert_eq!(model.draft.start, None);
        model.draft.place.insert("/srv/web");
        let (_, create) = model.draft.order(&[], None).unwrap();
        assert_eq!((create.config, create.purpose), (complex.config, Purpose::System));
    }

    #[test]
    fn a_creation_says_how_far_it_is_and_is_cancelled_by_a_key() {
        let mut model = Model::new((80, 24), SystemTime::UNIX_EPOCH);
        _ = open(&mut model);
        let save = KeyEvent::new(KeyCode::Char('s'), KeyModifiers::CONTROL);
        _ = press(&mut model, save);
        let web: Name = "web".parse().unwrap();
        let reached = Reached { stage: "unpacking", done_bytes: 1 << 20, whole_bytes: 4 << 20 };
        let seconds = |it| SystemTime::UNIX_EPOCH + Duration::from_secs(it);
        for message in [
            Message::Reached { name: web.clone(), reached },
            Message::Tick { now: seconds(1), quiet: Duration::ZERO },
        ] {
            assert_eq!(update(&mut model, message), []);
        }
        let status = model.status().unwrap();
        assert_eq!(status.text, "web: unpacking 25% of 4.0M (1.0M)");
        assert_eq!(status.hints.first().unwrap().key, "C-x");
        for (keys, effects) in [('q', vec![]), ('n', vec![])] {
            let key = KeyEvent::from(KeyCode::Char(keys));
            assert_eq!(update(&mut model, Message::Key(key)), effects, "it asks first");
        }
        let cancel = KeyEvent::new(KeyCode::Char('x'), KeyModifiers::CONTROL);
        assert_eq!(update(&mut model, Message::Key(cancel)), [Effect::Cancel(web)]);
        assert_eq!(model.status().unwrap().text, "web: cancelling");
    }

    #[test]
    fn the_command_line_is_copied_whole_once_nothing_is_missing() {
        let mut model = Model::new((80, 24), SystemTime::UNIX_EPOCH);
        _ = open(&mut model);
        model.draft.source = SourceKind::Directory;
        let copy = KeyEvent::new(KeyCode::Char('y'), KeyModifiers::CONTROL);
        assert_eq!(press(&mut model, copy), []);
        let said = &model.notice.as_ref().unwrap().text;
        assert!(said.starts_with("not copied: ") && said.contains("an absolute path"), "{said}");
        assert_eq!(model.draft.row, FormRow::Place);
        paste(&mut model, "/srv/web");
        let line = "wharf create web --dir /srv/web".to_owned();
        assert_eq!(press(&mut model, copy), [Effect::Copy(line)]);
    }
}

//! The model changes as an operator expects.

mod click;
mod focus;
mod limits;
#[path = "../../../tests/golden/made_up.rs"]
mod made_up;
mod said;
mod search;
mod undo;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::update;
use crate::engine::cgroup::Layout;
use crate::engine::event::{Event, What};
use crate::engine::limits::Change;
use crate::engine::oom::OomKill;
use crate::engine::process::Process;
use crate::engine::sample::{CgroupFile, Container, Counters, Detail, HostSample, Limit, Psi};
use crate::engine::state::State;
use crate::engine::{self, Name};
use crate::ui::effect::{Act, Effect, Outcome};
use crate::ui::keymap;
use crate::ui::message::{ActFailure, Done, Message};
use crate::ui::model::{Model, Noted};

pub(in crate::ui) const START: Duration = Duration::from_secs(1_790_000_000);

pub(in crate::ui) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(in crate::ui) fn container(text: &str, state: State) -> Container {
    let active = state.is_active();
    Container {
        since: Some(SystemTime::UNIX_EPOCH + START - Duration::from_hours(2)),
        init_pid: active.then_some(4231),
        counters: if active { counters() } else { Counters::default() },
        ..made_up::container(name(text), state)
    }
}

fn counters() -> Counters {
    Counters {
        cpu_percent: Some(42.1),
        memory_bytes: Some(488 << 20),
        memory_max_bytes: Some(Limit::At(512 << 20)),
        pids: Some(24),
        pids_max: Some(Limit::Max),
        psi: Psi { cpu: Some(2.0), memory: Some(31.0), io: Some(0.0) },
        ..Counters::default()
    }
}

pub(in crate::ui) fn with_detail(mut container: Container) -> Container {
    let process = |pid, depth, command: &str, later: &[bool]| Process {
        depth,
        later_siblings: later.to_vec(),
        ..made_up::process(pid, command)
    };
    let file = |file: &str, value: &str| made_up::file("memory", file, value);
    container.detail = Some(Detail {
        processes: vec![
            process(4231, 0, "init", &[false]),
            process(4250, 1, "nginx: master", &[false, true]),
            process(4251, 2, "nginx: worker", &[false, true, false]),
            process(4260, 1, "sshd", &[false, false]),
        ],
        files: vec![file("memory.max", "536870912"), file("memory.high", "max")],
        ..Detail::default()
    });
    container
}

pub(in crate::ui) fn sampled(containers: Vec<Container>) -> Message {
    let host = HostSample {
        hostname: "vm".to_owned(),
        layout: Some(Layout::Hybrid),
        cpus: Some(2),
        cpu_used: Some(1.42),
        memory_bytes: Some(23 << 30),
        memory_used_bytes: Some(3 << 30),
        ..HostSample::default()
    };
    let taken = SystemTime::UNIX_EPOCH + START;
    Message::Sampled(Arc::new(made_up::sample(taken, host, containers)))
}

pub(in crate::ui) fn model(size: (u16, u16), containers: Vec<Container>) -> Model {
    let mut model = Model::new(size, SystemTime::UNIX_EPOCH + START);
    _ = update(&mut model, sampled(containers));
    model
}

pub(in crate::ui) fn press(model: &mut Model, keys: &str) -> Vec<Effect> {
    let keys = keys.split(' ').map(|it| keymap::key(it).unwrap());
    let effects = keys.flat_map(|it| update(model, Message::Key(it))).collect::<Vec<_>>();
    effects.into_iter().filter(|it| !matches!(it, Effect::Look(_) | Effect::ReadLog(_))).collect()
}

fn three() -> Model {
    let running = |it| container(it, State::Running);
    let stopped = container("db", State::Stopped);
    model((120, 36), vec![running("api"), stopped, with_detail(running("web"))])
}

pub(super) fn act(of: &str, act: Act) -> Vec<Effect> {
    vec![Effect::Act { name: name(of), act }]
}

fn done(of: &str, act: Act, outcome: Result<Outcome, String>) -> Message {
    let outcome =
        outcome.map_err(|reason| ActFailure { verb: act.verb(), whole: reason.clone(), reason });
    let (notes, took) = (Vec::new(), Duration::from_millis(84));
    Message::Done(Done { name: name(of), act, notes, outcome, took })
}

#[test]
fn the_cursor_stays_with_its_container() {
    let mut model = three();
    press(&mut model, "j j");
    assert_eq!(model.current_name(), Some(&name("web")));
    let running = |it| container(it, State::Running);
    _ = update(&mut model, sampled(vec![running("aaa"), running("api"), running("web")]));
    assert_eq!(model.current_name(), Some(&name("web")));
    press(&mut model, "O");
    assert_eq!((model.current_name(), model.list.row), (Some(&name("web")), 0));
}

#[test]
fn the_cursor_stays_inside_a_shrinking_list() {
    let mut model = three();
    press(&mut model, "G");
    _ = update(&mut model, sampled(vec![container("api", State::Running)]));
    assert_eq!(model.current_name(), Some(&name("api")));
    _ = update(&mut model, sampled(Vec::new()));
    assert_eq!(model.current_name(), None);
}

pub(in crate::ui) fn oom_kill(process: &str) -> OomKill {
    OomKill {
        at_ms: START.as_millis() as u64,
        pid: 3911,
        process: process.to_owned(),
        held_bytes: Some(131 << 20),
        group: Some("/lxc.payload.web".to_owned()),
        limit_file: Some("memory.max".to_owned()),
        limit_bytes: Some(128 << 20),
    }
}

/// The kernel kills `process` in the container just now.
pub(in crate::ui) fn oom_happened(model: &mut Model, of: &str, process: &str) {
    let what = What::OomKill { count: 1, last: Some(oom_kill(process)) };
    let at_ms = START.as_millis() as u64;
    let event = Event { at_ms, lxcpath: "/var/lib/lxc".into(), name: name(of), what };
    _ = update(model, Message::Happened(event));
}

#[test]
fn the_limit_that_killed_is_under_the_cursor() {
    let mut model = three();
    press(&mut model, "G");
    oom_happened(&mut model, "web", "java");
    press(&mut model, "e");
    let detail = model.detail.as_ref().unwrap();
    assert_eq!(detail.cgroup.cursor.as_deref(), Some("memory.max"));
}

/// Time passes without a sample.
pub(in crate::ui) fn pass(model: &mut Model, quiet: Duration) {
    let now = SystemTime::UNIX_EPOCH + START + quiet;
    _ = update(model, Message::Tick { now, quiet });
}

#[test]
fn what_was_seen_is_old_after_two_refreshes() {
    let mut model = three();
    for (refresh, fresh, old) in [(1, 2000, 2001), (5, 10_000, 10_001)] {
        model.refresh = Duration::from_secs(refresh);
        pass(&mut model, Duration::from_millis(fresh));
        assert_eq!(model.stale(), None);
        pass(&mut model, Duration::from_millis(old));
        assert_eq!(model.stale(), Some(Duration::from_millis(old)));
    }
    model.held = true;
    assert_eq!(model.stale(), None, "the operator wanted it so");
    model.held = false;
    _ = update(&mut model, sampled(vec![container("api", State::Running)]));
    assert_eq!(model.stale(), None);
}

#[test]
fn what_is_done_has_its_own_time_and_not_the_last_samples() {
    let mut model = three();
    pass(&mut model, Duration::from_secs(50));
    press(&mut model, "f");
    let now = SystemTime::UNIX_EPOCH + START + Duration::from_secs(50);
    assert_eq!(model.jobs[&name("api")].since, now);
    assert_eq!(model.journal.last().map(|it| it.at), Some(now));
    assert_eq!(model.seen(), SystemTime::UNIX_EPOCH + START);
}

#[test]
fn a_second_effect_on_the_same_container_is_refused() {
    let mut model = three();
    assert_eq!(press(&mut model, "f"), act("api", Act::Freeze));
    assert_eq!(press(&mut model, "r"), []);
    assert!(model.notice.as_ref().unwrap().text.contains("freeze is still in progress"));
    _ = update(&mut model, done("api", Act::Freeze, Ok(Outcome::Done)));
    assert_eq!(press(&mut model, "r"), act("api", Act::Restart));
}

#[test]
fn what_is_to_be_known_besides_is_said_with_the_outcome() {
    let mut model = three();
    let note = "Proxmox manages it (/etc/pve/lxc/web.conf); its own command is `pct start web`";
    for (outcome, said) in [(Ok(Outcome::Done), "db  started"), (Err("no".to_owned()), "no; Pro")] {
        press(&mut model, "Home j s");
        let Message::Done(done) = done("db", Act::Start, outcome) else { unreachable!() };
        _ = update(&mut model, Message::Done(Done { notes: vec![note.to_owned()], ..done }));
        let text = &model.notice.as_ref().unwrap().text;
        assert!(text.starts_with(said) && text.ends_with(note), "{text}");
        let Noted::Done { outcome: Some(kept), .. } = &model.journal.last().unwrap().noted else {
            panic!("{:?}", model.journal);
        };
        assert!(kept.as_ref().unwrap_or_else(|it| it).ends_with(note));
    }
}

#[test]
fn what_was_said_before_does_not_hide_what_begins() {
    let mut model = three();
    press(&mut model, "f");
    _ = update(&mut model, done("api", Act::Freeze, Ok(Outcome::Done)));
    assert!(model.notice.is_some());
    press(&mut model, "S");
    assert_eq!(model.notice, None, "the time that is left is on that line");
}

#[test]
fn a_second_stop_kills() {
    let mut model = three();
    assert_eq!(press(&mut model, "S"), act("api", Act::Stop));
    assert_eq!(press(&mut model, "S"), act("api", Act::Kill));
    _ = update(&mut model, done("api", Act::Stop, Ok(Outcome::Done)));
    assert!(model.jobs.contains_key(&name("api")), "the kill is still in progress");
    _ = update(&mut model, done("api", Act::Kill, Ok(Outcome::Done)));
    assert!(model.jobs.is_empty());
}

#[test]
fn an_action_that_does_not_fit_is_refused_with_the_reason() {
    let mut model = three();
    assert_eq!(press(&mut model, "s"), []);
    assert!(model.notice.as_ref().unwrap().text.contains("is already running"));
    assert_eq!(press(&mut model, "j f"), []);
    assert!(model.notice.as_ref().unwrap().text.contains("start it first"));
}

#[test]
fn destroying_waits_until_the_name_is_typed() {
    let mut model = three();
    assert_eq!(press(&mut model, "j D d Enter"), []);
    assert_eq!(press(&mut model, "b Enter"), act("db", Act::Destroy));
}

#[test]
fn marks_are_acted_on_together() {
    let mut model = three();
    let freeze = |of| Effect::Act { name: name(of), act: Act::Freeze };
    assert_eq!(press(&mut model, "a f"), [freeze("api"), freeze("web")]);
}

#[test]
fn stopping_many_waits_for_consent() {
    let all = ["a", "b", "c", "d"].map(|it| container(it, State::Running)).to_vec();
    let mut model = model((80, 24), all);
    assert_eq!(press(&mut model, "a S Enter"), []);
    assert_eq!(press(&mut model, "S y").len(), 4);
}

#[test]
fn the_end_of_a_run_ends_its_undo_steps() {
    let mut model = three();
    press(&mut model, "f");
    _ = update(&mut model, done("api", Act::Freeze, Ok(Outcome::Done)));
    let stopped = What::State { from: State::Stopping, to: State::Stopped };
    for of in ["web", "api"] {
        assert_eq!(model.undo.len(), 1);
        let event = Event::now(std::path::Path::new("/x"), &name(of), stopped.clone());
        _ = update(&mut model, Message::Happened(event));
    }
    assert_eq!(model.undo, []);
    assert_eq!(press(&mut model, "z"), []);
}

#[test]
fn a_limit_is_checked_written_and_taken_back() {
    let mut model = three();
    press(&mut model, "G e 3 Enter");
    let typed: Vec<KeyEvent> = "768M".chars().map(|it| KeyCode::Char(it).into()).collect();
    _ = update(&mut model, Message::Key(KeyEvent::new(KeyCode::Char('u'), KeyModifiers::CONTROL)));
    assert_eq!(press(&mut model, "x Enter"), [], "no size is refused before it is written");
    assert!(model.detail.as_ref().unwrap().cgroup.refused.is_some());
    _ = update(&mut model, Message::Key(KeyEvent::new(KeyCode::Char('u'), KeyModifiers::CONTROL)));
    for key in typed {
        _ = update(&mut model, Message::Key(key));
    }
    let set = |value: &str| Act::Set { file: "memory.max".to_owned(), value: value.to_owned() };
    assert_eq!(press(&mut model, "Enter"), act("web", set("768M")));
    let change = Change {
        file: "memory.max".to_owned(),
        old: "536870912\n".to_owned(),
        new: "805306368\n".to_owned(),
    };
    _ = update(&mut model, done("web", set("768M"), Ok(Outcome::Changed(change))));
    assert_eq!(press(&mut model, "z"), act("web", set("536870912")));
}

#[test]
fn a_refusal_by_the_kernel_is_shown_in_its_row() {
    let mut model = three();
    press(&mut model, "G e 3");
    let set = Act::Set { file: "memory.max".to_owned(), value: "1".to_owned() };
    _ = update(&mut model, done("web", set, Err("write memory.max: busy".to_owned())));
    let refused = model.detail.as_ref().unwrap().cgroup.refused.clone().unwrap();
    assert_eq!(refused, ("memory.max".to_owned(), "write memory.max: busy".to_owned()));
}

#[test]
fn the_filter_narrows_as_it_is_typed() {
    let mut model = three();
    press(&mut model, "/ w e b");
    assert_eq!(model.shown().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["web"]);
    press(&mut model, "Esc");
    assert_eq!(model.shown().count(), 3);
    for (filter, expected) in [("state:stopped", 1), ("!web", 2), ("~^(a|d)", 2), ("mem:>80%", 2)] {
        model.list.filter_text.set(filter);
        super::list::refilter(&mut model);
        assert_eq!(model.shown().count(), expected, "{filter}");
    }
}

#[test]
fn scattered_letters_find_only_what_nothing_else_does() {
    let mut model = three();
    for (typed, expected) in [("b", "db,web"), ("ap", "api"), ("wb", "web"), ("xyz", "")] {
        model.list.filter_text.set(typed);
        super::list::refilter(&mut model);
        let shown: Vec<&str> = model.shown().map(|it| it.name.as_str()).collect();
        assert_eq!(shown.join(","), expected, "{typed}");
    }
}

#[test]
fn the_cursor_goes_to_the_best_of_what_the_filter_finds() {
    let mut model = three();
    press(&mut model, "/ D B");
    assert_eq!(model.list.cursor, Some(name("db")));
    press(&mut model, "Esc / w");
    assert_eq!(model.list.cursor, Some(name("web")));
    // The current filter is edited.
    press(&mut model, "Enter / e b Enter");
    assert_eq!(model.list.filter_text.text(), "web");
}

#[test]
fn marks_that_the_filter_hides_are_counted_before_an_act() {
    let mut model = three();
    press(&mut model, "a / w e b Enter");
    assert_eq!(press(&mut model, "f"), []);
    let Some(crate::ui::model::overlay::Overlay::Confirm { proposal, .. }) = &model.overlay else {
        panic!("no question")
    };
    assert_eq!((proposal.acts.len(), proposal.hidden), (2, 1));
    assert_eq!(press(&mut model, "y").len(), 2);
}

#[test]
fn escape_goes_back_one_level_and_never_leaves() {
    let mut model = three();
    press(&mut model, "G Enter 3");
    for _ in 0..5 {
        assert_eq!(press(&mut model, "Esc"), []);
    }
    assert!(model.detail.is_none());
    assert_eq!(press(&mut model, "q"), [Effect::Quit]);
}

#[test]
fn a_paused_screen_does_not_change() {
    let mut model = three();
    assert_eq!(press(&mut model, "P"), [Effect::Hold(true)]);
    _ = update(&mut model, sampled(Vec::new()));
    assert_eq!(model.containers().len(), 3);
}

#[test]
fn help_runs_the_line_it_found() {
    let mut model = three();
    assert_eq!(press(&mut model, "? f r e e z e Enter"), act("api", Act::Freeze));
}

#[test]
fn left_folds_and_from_a_leaf_goes_to_the_parent() {
    let mut model = three();
    press(&mut model, "G Enter 2 j j");
    let left = |model: &mut Model| {
        _ = update(model, Message::Key(KeyEvent::new(KeyCode::Left, KeyModifiers::NONE)));
        let forest = &model.detail.as_ref().unwrap().forest;
        (forest.cursor.map(|it| it.pid), forest.folded.len())
    };
    assert_eq!(left(&mut model), (Some(4250), 0), "the worker has no children");
    assert_eq!(left(&mut model), (Some(4250), 1), "its parent hides them");
    assert_eq!(left(&mut model), (Some(4231), 1), "nothing is left to hide");
}

#[test]
fn help_finds_what_a_thing_is_for() {
    let first = |word: &str| {
        let mut model = three();
        press(&mut model, &format!("? {}", word.split("").collect::<Vec<_>>().join(" ").trim()));
        let Some(crate::ui::model::overlay::Overlay::Find(find)) = &model.overlay else { panic!() };
        crate::ui::layers::found(find).first().map(|it| it.name)
    };
    assert_eq!(first("mem"), Some("limits"));
    assert_eq!(first("shell"), Some("exec"));
    assert_eq!(first("freeze"), Some("freeze"));
}

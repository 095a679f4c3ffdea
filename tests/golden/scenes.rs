//! The scenes: the operator's actions before each frame.

use std::time::Duration;

use wharf::engine::State;
use wharf::engine::create::StartingPoint;
use wharf::engine::limits::Change;
use wharf::engine::sample::{Ability, Detail, Lack, Limit, Unmanaged};
use wharf::engine::snapshot::Snapshot;
use wharf::engine::trash::InTrash;
use wharf::ui::Rights;
use wharf::ui::effect::{Act, Outcome};
use wharf::ui::message::{ActFailure, Done, Message};
use wharf::ui::model::Model;
use wharf::widgets::look::Glyphs;

use super::UNICODE;
use super::stage::{
    configured, containers, give, last_words, log, name, now, of, press, sampled, watched, write,
};

/// One screen, at any size.
pub(crate) struct Scene {
    pub(crate) name: &'static str,
    pub(crate) glyphs: &'static Glyphs,
    pub(crate) model: fn((u16, u16)) -> Model,
    /// What a program in the pane has written, as a script of the shell.
    pub(crate) output: Option<&'static str>,
}

const fn scene(name: &'static str, model: fn((u16, u16)) -> Model) -> Scene {
    Scene { name, glyphs: UNICODE, model, output: None }
}

pub(crate) const SCENES: &[Scene] = &[
    scene("list", |size| keyed(size, "G k k k")),
    Scene { glyphs: &Glyphs::ASCII, ..scene("list-ascii", |size| keyed(size, "G k k k")) },
    scene("list-first", |size| keyed(size, "Home")),
    scene("list-by-cpu", |size| keyed(size, "o c Home")),
    scene("list-marked", |size| keyed(size, "G k k k Spc Down Spc")),
    scene("list-filter", |size| keyed(size, "/ w e b")),
    scene("list-filter-kept", |size| keyed(size, "/ p r o d Enter")),
    scene("list-no-match", |size| keyed(size, "/ q q q")),
    scene("list-bad-filter", |size| keyed(size, "/ m e m : > x")),
    scene("list-oom", oom_killed),
    scene("list-frozen", |size| keyed(size, "Home Down")),
    scene("list-faulty", |size| silent(keyed(size, "G"), "worker")),
    scene("list-lost-limit", |size| keyed(size, "G k")),
    scene("list-stopping", stopping),
    scene("list-failed", failed),
    scene("list-failed-read", |size| {
        let mut model = failed(size);
        press(&mut model, "Up Down");
        model
    }),
    scene("list-old", old),
    scene("list-unmanaged", unmanaged),
    scene("list-stranger", stranger),
    scene("list-read-only", |size| Model { rights: Rights::ReadOnly, ..keyed(size, "G k k k") }),
    scene("welcome", |size| of(size, |_| Vec::new())),
    scene("looking", |size| Model::new(size, now())),
    scene("container", |size| open(size, "")),
    scene("container-processes", |size| open(size, "2 Down Down Down")),
    scene("container-cgroup", |size| open(size, "3")),
    scene("container-cgroup-all", |size| open(size, "3 a")),
    scene("container-limit", limit),
    scene("container-limit-wrong", |size| open(size, "3 Home Down Down Down Enter C-u x y")),
    scene("container-changed", changed),
    scene("container-console", |size| open(size, "4")),
    scene("container-log", |size| open(size, "5")),
    scene("container-search", |size| open(size, "5 / e r r Enter n")),
    scene("container-events", |size| open(size, "6")),
    scene("container-config", |size| open(size, "7")),
    scene("container-network", |size| open(size, "8")),
    scene("container-mounts", |size| open(size, "9")),
    scene("container-dead", dead),
    scene("container-dead-cgroup", |size| {
        let mut model = dead(size);
        press(&mut model, "3");
        model
    }),
    scene("container-signal", |size| open(size, "2 Down Down Down K")),
    scene("container-exec", |size| open(size, "x")),
    Scene {
        output: Some(
            "printf 'running 3 tests\\n\\033[32mok\\033[0m cart\\n\\033[31mFAILED\\033[0m login\\n'",
        ),
        ..scene("container-exec-ended", exec_ended)
    },
    scene("create", creating),
    scene("create-filled", create),
    scene("create-directory", create_directory),
    scene("create-system", create_system),
    scene("help", |size| keyed(size, "?")),
    scene("help-search", |size| keyed(size, "? l i m i t")),
    scene("palette", |size| keyed(size, ": f r")),
    scene("keys-sort", |size| keyed(size, "o")),
    scene("keys-go", |size| keyed(size, "g")),
    scene("confirm", |size| keyed(size, "Esc a S")),
    scene("destroy", |size| keyed(size, "Home Down Down D")),
    scene("destroy-many", |size| keyed(size, "Home Down Down Spc Down Down Down Spc Down Spc D x")),
    scene("destroyed", destroyed),
    scene("trash", trash),
    scene("trash-empty", |size| {
        let mut model = keyed(size, "g t");
        give(&mut model, Message::Trash(Ok(Vec::new())));
        model
    }),
    scene("snapshots", snapshots),
    scene("clone", |size| keyed(size, "Home Down Down C")),
    scene("rename-wrong", |size| keyed(size, "Home Down Down R C-u a /")),
    scene("limits-together", together),
    scene("journal", journal),
    scene("events", |size| keyed(size, "g m")),
];

fn keyed(size: (u16, u16), keys: &str) -> Model {
    let mut model = watched(size);
    press(&mut model, keys);
    model
}

/// The container `web-01` with its log, and then `keys`.
fn open(size: (u16, u16), keys: &str) -> Model {
    let mut model = keyed(size, "G k k k Enter");
    give(&mut model, log());
    if !keys.is_empty() {
        press(&mut model, keys);
        give(&mut model, log());
    }
    model
}

fn limit(size: (u16, u16)) -> Model {
    let mut model = open(size, "3 Home Down Down Down Enter C-u");
    write(&mut model, "256M");
    model
}

fn done(model: &mut Model, text: &str, act: Act, outcome: Result<Outcome, &str>, took: u64) {
    let verb = act.verb();
    let outcome = outcome.map_err(|reason| ActFailure {
        verb,
        whole: format!("{} {text}: {reason}", act.word()),
        reason: reason.to_owned(),
    });
    let took = Duration::from_millis(took);
    give(model, Message::Done(Done { name: name(text), act, notes: Vec::new(), outcome, took }));
}

fn changed(size: (u16, u16)) -> Model {
    let mut model = limit(size);
    press(&mut model, "Enter");
    let file = "memory.max".to_owned();
    let new = "268435456".to_owned();
    let act = Act::Set { file: file.clone(), value: "256M".to_owned() };
    let change = Change { file, old: "335544320".to_owned(), new: new.clone() };
    done(&mut model, "web-01", act, Ok(Outcome::Changed(change)), 3);
    let mut containers = containers(60);
    for container in containers.iter_mut().filter(|it| it.detail.is_some()) {
        container.counters.memory_max_bytes = Some(Limit::At(256 << 20));
        container.counters.memory_bytes = Some(251 << 20);
        for file in container.detail.iter_mut().flat_map(|it| &mut it.files) {
            match file.file.as_str() {
                "memory.max" => file.value = Some(new.clone()),
                "memory.current" => file.value = Some((251_u64 << 20).to_string()),
                _ => (),
            }
        }
    }
    give(&mut model, sampled(60, containers));
    model
}

fn stopping(size: (u16, u16)) -> Model {
    let mut model = keyed(size, "G k k k S");
    give(
        &mut model,
        Message::Tick { now: now() + Duration::from_secs(3), quiet: Duration::from_millis(900) },
    );
    model
}

/// After the log of `text` was read, which is empty.
fn silent(mut model: Model, text: &str) -> Model {
    give(&mut model, last_words(text, ""));
    model
}

const DEAD: &str = "migrate-2026-09-customers";

fn oom_killed(size: (u16, u16)) -> Model {
    let mut model = keyed(size, "Home Down Down Down Down Down");
    give(&mut model, last_words(DEAD, "copying customers\n40000 of 1200000 rows\nKilled\n"));
    model
}

fn dead(size: (u16, u16)) -> Model {
    let mut model = oom_killed(size);
    press(&mut model, "Enter");
    let mut containers = containers(60);
    for it in containers.iter_mut().filter(|it| it.name == name(DEAD)) {
        it.detail = Some(Detail { files: configured(), ..Detail::default() });
    }
    give(&mut model, sampled(60, containers));
    model
}

const REFUSED: &str = "mount /srv/shop on srv/shop: no such file or directory; make it, or take \
                       lxc.mount.entry out of /var/lib/lxc/build-cache/config";

fn failed(size: (u16, u16)) -> Model {
    let mut model = keyed(size, "Home Down Down s");
    done(&mut model, "build-cache", Act::Start, Err(REFUSED), 61);
    silent(model, "build-cache")
}

fn old(size: (u16, u16)) -> Model {
    let mut model = keyed(size, "G k k k");
    give(
        &mut model,
        Message::Tick { now: now() + Duration::from_secs(52), quiet: Duration::from_secs(52) },
    );
    model
}

fn unmanaged(size: (u16, u16)) -> Model {
    let mut model = of(size, |second| containers(second).into_iter().take(4).collect());
    let Message::Sampled(sample) = sampled(60, containers(60).into_iter().take(4).collect()) else {
        return model;
    };
    let mut sample = sample.as_ref().clone();
    sample.unmanaged = vec![Unmanaged {
        name: "two words".to_owned(),
        state: State::Running,
        defined: true,
        why: "wharf's names have no blanks".to_owned(),
    }];
    give(&mut model, Message::Sampled(sample.into()));
    model
}

/// A user other than root.
fn stranger(size: (u16, u16)) -> Model {
    let mut model = keyed(size, "G k k k");
    let Message::Sampled(sample) = sampled(60, containers(60)) else { return model };
    let mut sample = sample.as_ref().clone();
    let lack = |of, why: &str| Lack { of, why: why.to_owned() };
    sample.host.lacks = vec![
        lack(Ability::Enter, "cannot enter containers: not root"),
        lack(Ability::Others, "cannot reach the containers of others: not root"),
        lack(Ability::Groups, "cannot change limits: /sys/fs/cgroup is not writable"),
        lack(Ability::Store, "cannot write below /var/lib/lxc: permission denied"),
    ];
    give(&mut model, Message::Sampled(sample.into()));
    model
}

fn exec_ended(size: (u16, u16)) -> Model {
    let mut model = open(size, "x C-u");
    write(&mut model, "make -C /srv/app test");
    press(&mut model, "Enter");
    give(&mut model, Message::PaneEnded { number: 1, how: "exit 2".to_owned() });
    model
}

fn creating(size: (u16, u16)) -> Model {
    let mut model = keyed(size, "n");
    start_from(&mut model, Some("/etc/lxc/default.conf"), "veth on lxcbr0");
    model
}

/// Says what the container in the form would start from.
fn start_from(model: &mut Model, file: Option<&str>, network: &str) {
    let start = StartingPoint {
        file: file.map(Into::into),
        networks: vec![network.to_owned()],
        ..StartingPoint::default()
    };
    give(model, Message::Start { create: model.draft.base(), start: Ok(start) });
}

fn create(size: (u16, u16)) -> Model {
    let mut model = creating(size);
    for text in ["web-04", "", "", "/usr/bin/python3 -m http.server", "512M", "50%"] {
        write(&mut model, text);
        press(&mut model, "Tab");
    }
    model
}

fn create_directory(size: (u16, u16)) -> Model {
    let mut model = keyed(size, "n Tab");
    give(
        &mut model,
        Message::Key(crossterm::event::KeyEvent::from(crossterm::event::KeyCode::Right)),
    );
    press(&mut model, "Tab");
    start_from(&mut model, None, "only a loopback");
    model
}

fn create_system(size: (u16, u16)) -> Model {
    let mut model = keyed(size, "n Tab Spc Spc Spc Tab");
    write(&mut model, "docker://debian:12");
    press(&mut model, "Tab Spc Tab Spc Spc Spc Tab");
    start_from(&mut model, None, "macvlan on eth0");
    press(&mut model, "Up Up");
    model
}

fn together(size: (u16, u16)) -> Model {
    let mut model = keyed(size, "G k k k Spc Spc Up Up e");
    give(&mut model, sampled(60, containers(60)));
    press(&mut model, "Home Down Down Down Enter C-u");
    let now = |text: &str, value: &str| (name(text), Ok(Some(value.to_owned())));
    let values = vec![now("web-01", "335544320"), now("web-02", "536870912")];
    give(&mut model, Message::Limits { file: "memory.max".to_owned(), values });
    write(&mut model, "256M");
    model
}

fn destroyed(size: (u16, u16)) -> Model {
    let mut model = keyed(size, "Home Down Down D");
    write(&mut model, "build-cache");
    press(&mut model, "Enter");
    let id = "build-cache@20261127-160312".parse().unwrap();
    done(&mut model, "build-cache", Act::Destroy, Ok(Outcome::Trashed(id)), 4);
    model
}

fn trash(size: (u16, u16)) -> Model {
    let mut model = keyed(size, "g t");
    let since = |days: u64| now() - Duration::from_hours(24 * days) - Duration::from_mins(7);
    let in_trash = |name: &str, days: u64, bytes: Option<u64>| {
        let at = jiff::Timestamp::try_from(since(days)).unwrap();
        let id = format!("{name}@{}", at.strftime("%Y%m%d-%H%M%S")).parse().unwrap();
        InTrash { id, bytes, goes: since(days).checked_add(Duration::from_hours(24 * 7)) }
    };
    let found = vec![
        in_trash("build-cache", 0, Some(812 << 20)),
        in_trash("web-01", 2, Some(3 << 30)),
        in_trash("web-01", 6, None),
    ];
    give(&mut model, Message::Trash(Ok(found)));
    press(&mut model, "Down");
    model
}

fn snapshots(size: (u16, u16)) -> Model {
    let mut model = keyed(size, "Home Down Down N");
    let snapshot = |number: u8, comment: Option<&str>| Snapshot {
        name: name(&format!("snap{number}")),
        taken: Some(format!("2026:11:2{number} 16:31:18")),
        comment: comment.map(str::to_owned),
    };
    let snapshots = Ok(vec![snapshot(0, Some("before the upgrade\n")), snapshot(1, None)]);
    let of = model.current_name().unwrap().clone();
    give(&mut model, Message::Snapshots { name: of, snapshots });
    press(&mut model, "Down");
    model
}

fn journal(size: (u16, u16)) -> Model {
    let mut model = keyed(size, "G k k k f");
    done(&mut model, "web-01", Act::Freeze, Ok(Outcome::Done), 12);
    let mut frozen = containers(60);
    for it in frozen.iter_mut().filter(|it| it.name == name("web-01")) {
        it.state = State::Frozen;
    }
    give(&mut model, sampled(60, frozen));
    press(&mut model, "f");
    done(&mut model, "web-01", Act::Thaw, Ok(Outcome::Done), 9);
    give(&mut model, sampled(60, containers(60)));
    press(&mut model, "r");
    done(&mut model, "web-01", Act::Restart, Ok(Outcome::Done), 9349);
    press(&mut model, "Home Down Down s");
    done(&mut model, "build-cache", Act::Start, Err(REFUSED), 61);
    press(&mut model, "J");
    model
}

//! What the screen requests, as plain data, and the only place that carries it out.

use std::time::Duration;

use crossterm::event::{KeyEvent, MouseEvent};

use super::{command_line, value};
use crate::engine::create::{Copy, Create, StartingPoint};
use crate::engine::limits::{Change, KeptLimit};
use crate::engine::process::Process;
use crate::engine::progress::Progress;
use crate::engine::proxmox::Pct;
use crate::engine::sampler::Interest;
use crate::engine::snapshot::{Restored, Snapshot};
use crate::engine::start::Start;
use crate::engine::stop::Stop;
use crate::engine::trash::{InTrash, TrashId};
use crate::engine::{Engine, Error, Name, Verb};

/// How long a guest gets to halt before it is killed.
pub const STOP_GRACE: Duration = Duration::from_secs(10);

/// An action outside of the model.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Work on one container, on a thread of its own.
    Act {
        name: Name,
        act: Act,
    },
    /// Asks the creation of a container to end without a result.
    Cancel(Name),
    /// Reads the log of a container.
    ReadLog(Name),
    /// Reads one limit of several containers.
    ReadLimits {
        file: String,
        names: Vec<Name>,
    },
    /// Reads what a creation would start from.
    ReadStart {
        name: Name,
        create: Create,
    },
    /// Reads what is in the trash.
    ReadTrash,
    /// Reads the snapshots of a container.
    ReadSnapshots(Name),
    /// What the sampler must read.
    Look(Interest),
    /// Sample now, without waiting for the end of the interval.
    SampleNow,
    /// Stop or resume sampling.
    Hold(bool),
    /// Runs a program of this executable in the pane: `console NAME`, `attach NAME -- …`.
    OpenPane {
        number: u64,
        args: Vec<String>,
        rows: u16,
        columns: u16,
    },
    TypeInPane(KeyEvent),
    PasteInPane(String),
    /// What the mouse did, in places of the program's terminal.
    MouseInPane(MouseEvent),
    ResizePane {
        rows: u16,
        columns: u16,
    },
    ClosePane,
    Copy(String),
    CaptureMouse(bool),
    Redraw,
    Suspend,
    Quit,
}

/// An act on one container.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    Start,
    Stop,
    Kill,
    Restart,
    Freeze,
    Thaw,
    /// Moves it to the trash.
    Destroy,
    /// Brings it back from there.
    BringBack(TrashId),
    /// Removes these from there for good, in this order; the containers that have their names now are
    /// none of its concern.
    RemoveTrashed(Vec<TrashId>),
    Clone {
        to: Name,
    },
    Rename {
        to: Name,
    },
    Snapshot,
    /// Gives it the state of a snapshot.
    Replace {
        snap: Name,
    },
    DeleteSnapshot {
        snap: Name,
    },
    Set {
        file: String,
        value: String,
    },
    /// Restores the limits that the kernel has lost.
    Again,
    /// Writes a limit to the configuration; without a value removes it.
    Keep {
        file: String,
        value: Option<String>,
    },
    Signal {
        process: Process,
        signal: i32,
    },
    Create {
        create: Create,
        start: bool,
    },
}

/// The result of an act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    Changed(Change),
    /// All limits that were restored.
    SetAnew(Vec<Change>),
    Kept(KeptLimit),
    Trashed(TrashId),
    /// What the snapshot that was taken is called.
    Snapped(Name),
}

impl Act {
    /// Returns the engine's verb.
    pub const fn verb(&self) -> Verb {
        match self {
            Self::Start => Verb::Start,
            Self::Stop | Self::Kill => Verb::Stop,
            Self::Restart => Verb::Restart,
            Self::Freeze => Verb::Freeze,
            Self::Thaw => Verb::Unfreeze,
            Self::Destroy => Verb::Destroy,
            Self::BringBack(_) => Verb::RestoreTrashed,
            Self::RemoveTrashed(_) => Verb::EmptyTrash,
            Self::Clone { .. } => Verb::Clone,
            Self::Rename { .. } => Verb::Rename,
            Self::Snapshot | Self::Replace { .. } | Self::DeleteSnapshot { .. } => Verb::Snapshot,
            Self::Set { .. } | Self::Again => Verb::SetCgroup,
            Self::Keep { .. } => Verb::KeepLimit,
            Self::Signal { .. } => Verb::Signal,
            Self::Create { .. } => Verb::Create,
        }
    }

    /// Returns whether it may copy many files, so that it shows how far it is and can be cancelled.
    pub const fn copies(&self) -> bool {
        matches!(
            self,
            Self::Create { .. } | Self::Clone { .. } | Self::Snapshot | Self::Replace { .. }
        )
    }

    /// Returns whether it works on the container of that name, so that nothing else may at the time.
    pub const fn holds(&self) -> bool {
        !matches!(self, Self::RemoveTrashed(_))
    }

    /// Returns a word for the act, as in "web: start …".
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Kill => "kill",
            Self::Restart => "restart",
            Self::Freeze => "freeze",
            Self::Thaw => "thaw",
            Self::Destroy => "destroy",
            Self::BringBack(_) => "bring back",
            Self::RemoveTrashed(_) => "remove for good",
            Self::Clone { .. } => "clone",
            Self::Rename { .. } => "rename",
            Self::Snapshot => "snapshot",
            Self::Replace { .. } => "restore",
            Self::DeleteSnapshot { .. } => "delete snapshot",
            Self::Set { .. } => "set",
            Self::Again => "restore limits",
            Self::Keep { .. } => "keep",
            Self::Signal { .. } => "signal",
            Self::Create { .. } => "create",
        }
    }

    /// Returns the equivalent command line for `name`; `wharf` is how to call the program for the
    /// same containers.
    pub fn command_line(&self, wharf: &str, name: &str) -> String {
        let grace = STOP_GRACE.as_secs();
        match self {
            Self::Start => format!("{wharf} start {name}"),
            Self::Stop => format!("{wharf} stop -t {grace} {name}"),
            Self::Kill => format!("{wharf} stop -k {name}"),
            Self::Restart => format!("{wharf} stop -r -t {grace} {name}"),
            Self::Freeze => format!("{wharf} freeze {name}"),
            Self::Thaw => format!("{wharf} unfreeze {name}"),
            Self::Destroy => format!("{wharf} destroy {name}"),
            Self::BringBack(id) => format!("{wharf} trash restore {id}"),
            Self::RemoveTrashed(ids) => {
                let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
                format!("{wharf} trash empty -y {}", ids.join(" "))
            }
            Self::DeleteSnapshot { snap } => format!("{wharf} snapshot {name} delete {snap}"),
            Self::Clone { to } => format!("{wharf} clone {name} {to}"),
            Self::Rename { to } => format!("{wharf} rename {name} {to}"),
            Self::Snapshot => format!("{wharf} snapshot {name}"),
            Self::Replace { snap } => format!("{wharf} snapshot {name} restore {snap}"),
            Self::Set { file, value } => {
                format!("{wharf} cgroup {name} {file} {}", command_line::quoted(value))
            }
            Self::Again => format!("{wharf} cgroup --again {name}"),
            Self::Keep { file, value: Some(value) } => {
                format!("{wharf} cgroup {name} {file} {} --keep", command_line::quoted(value))
            }
            Self::Keep { file, value: None } if value::is_key(file) => {
                format!("{wharf} cgroup {name} {file} '' --keep")
            }
            Self::Keep { file, value: None } => {
                format!("remove {file} from the configuration of {name}")
            }
            Self::Signal { process, signal } => format!("kill -{signal} {}", process.pid),
            Self::Create { create, start: true } => {
                let create = command_line::create(wharf, name, create);
                format!("{create} && {wharf} start {name}")
            }
            Self::Create { create, start: false } => command_line::create(wharf, name, create),
        }
    }
}

/// Carries out `act` on `name`, with notes on what else the operator should know. Blocks until the
/// engine has answered; a creation says how far it is and can be cancelled.
pub fn run(
    engine: &Engine,
    name: &Name,
    act: &Act,
    progress: &Progress,
    notes: &mut Vec<String>,
) -> Result<Outcome, Error> {
    let mut stop = |way: Stop| {
        notes.extend(engine.proxmox_command(name, way.into()));
        engine.stop(name, way)
    };
    let gently = Stop::Gently { timeout: Some(STOP_GRACE), then_kill: true };
    match act {
        Act::Start => {
            notes.extend(engine.proxmox_command(name, Pct::Start));
            engine.start(name, &Start::default())?;
        }
        Act::Stop => stop(gently)?,
        Act::Kill => stop(Stop::Kill)?,
        Act::Restart => stop(Stop::Reboot { timeout: Some(STOP_GRACE), then_kill: true })?,
        Act::Freeze => engine.freeze(name)?,
        Act::Thaw => engine.unfreeze(name)?,
        Act::Destroy
        | Act::BringBack(_)
        | Act::Clone { .. }
        | Act::Rename { .. }
        | Act::Snapshot
        | Act::RemoveTrashed(_)
        | Act::DeleteSnapshot { .. }
        | Act::Replace { .. } => return files(engine, name, act, progress, notes),
        Act::Set { file, value } => {
            return engine.cgroup_set(name, file, value).map(Outcome::Changed);
        }
        Act::Again => return engine.cgroup_again(name).map(Outcome::SetAnew),
        Act::Keep { file, value } => {
            return engine.cgroup_keep(name, file, value.as_deref()).map(Outcome::Kept);
        }
        Act::Signal { process, signal } => engine.signal(name, process, *signal)?,
        Act::Create { create, start } => {
            notes.extend(engine.create_watched(name, create, progress)?.notes());
            if *start {
                engine.start(name, &Start::default())?;
            }
        }
    }
    Ok(Outcome::Done)
}

/// Carries out what concerns the files of a stopped container.
fn files(
    engine: &Engine,
    name: &Name,
    act: &Act,
    progress: &Progress,
    notes: &mut Vec<String>,
) -> Result<Outcome, Error> {
    match act {
        Act::Destroy => {
            let Some(trashed) = engine.discard(name)? else { return Ok(Outcome::Done) };
            notes.extend(trashed.notes);
            // What the trash removes by itself meanwhile is said, and its failure is not this act's.
            let gone = engine.expire_trash().unwrap_or_default().into_iter();
            let gone = gone.filter(|it| it.failed.is_none());
            notes.extend(gone.map(|it| format!("the trash has removed {} for good", it.id)));
            Ok(Outcome::Trashed(trashed.id))
        }
        Act::BringBack(id) => {
            notes.extend(engine.restore_trashed(&id.to_string(), Some(name))?.notes);
            Ok(Outcome::Done)
        }
        Act::Clone { to } => {
            notes.extend(engine.copy(to, &Copy::of(name.clone()), progress)?.remarks());
            Ok(Outcome::Done)
        }
        Act::Rename { to } => {
            notes.extend(engine.rename(name, to)?);
            Ok(Outcome::Done)
        }
        Act::Replace { snap } => {
            engine.restore_snapshot(name, snap.as_str(), Restored::Same, progress)?;
            Ok(Outcome::Done)
        }
        Act::RemoveTrashed(ids) => {
            // One that is refused does not keep the others.
            let mut failed = ids.iter().filter_map(|id| engine.remove_trashed(id).err());
            let first = failed.next();
            notes.extend(failed.map(|it| format!("{:#}", engine.explain(it))));
            first.map_or(Ok(Outcome::Done), Err)
        }
        Act::DeleteSnapshot { snap } => {
            engine.delete_snapshot(name, snap.as_str())?;
            Ok(Outcome::Done)
        }
        Act::Snapshot => engine.take_snapshot(name, None, progress).map(Outcome::Snapped),
        Act::Start
        | Act::Stop
        | Act::Kill
        | Act::Restart
        | Act::Freeze
        | Act::Thaw
        | Act::Set { .. }
        | Act::Again
        | Act::Keep { .. }
        | Act::Signal { .. }
        | Act::Create { .. } => Ok(Outcome::Done),
    }
}

/// Reads what is in the trash, the newest first, or returns in words why it cannot.
pub fn read_trash(engine: &Engine) -> Result<Vec<InTrash>, String> {
    let trashed = engine.trashed().map_err(|it| it.reason())?;
    Ok(trashed.into_iter().rev().collect())
}

/// Reads the snapshots of a container, or returns in words why it cannot.
pub fn read_snapshots(engine: &Engine, name: &Name) -> Result<Vec<Snapshot>, String> {
    Ok(engine.snapshots(name).map_err(|it| it.reason())?.all)
}

/// Reads `file` of a container, or what its configuration sets for it; none: not set.
pub fn read_limit(engine: &Engine, name: &Name, file: &str) -> Result<Option<String>, String> {
    engine.limit(name, file).map_err(|it| it.reason())
}

/// Reads what `create` would start from, or returns in words why it cannot be created.
pub fn read_start(engine: &Engine, name: &Name, create: &Create) -> Result<StartingPoint, String> {
    engine.starting_point(name, create).map_err(|it| it.reason())
}

/// Reads the latest output of the container's console, or returns in words why it cannot.
pub fn read_log(engine: &Engine, name: &Name) -> Result<String, String> {
    let bytes = engine.console_output(name).map_err(|it| it.reason())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Host, Lxcpath};

    #[test]
    fn acts_on_what_proxmox_manages_name_its_own_command() {
        let dir = tempfile::tempdir().unwrap();
        let host = Host::below(dir.path());
        std::fs::create_dir_all(host.proxmox()).unwrap();
        std::fs::write(host.proxmox().join("101.conf"), "").unwrap();
        let engine = Engine::over(Lxcpath::open(&host, &dir.path().join("lxc")));
        let name = "101".parse().unwrap();
        for (act, pct) in [
            (Act::Start, "pct start 101"),
            (Act::Stop, "pct shutdown 101"),
            (Act::Kill, "pct stop 101"),
            (Act::Restart, "pct reboot 101"),
        ] {
            let mut notes = Vec::new();
            assert!(
                run(&engine, &name, &act, &Progress::default(), &mut notes).is_err(),
                "there is no such container"
            );
            assert!(notes.concat().contains(&format!("its own command is `{pct}`")), "{notes:?}");
        }
        let refused = run(&engine, &name, &Act::Destroy, &Progress::default(), &mut Vec::new());
        let refused = refused.unwrap_err();
        assert!(format!("{refused:#}").contains("`pct destroy 101`"), "{refused:#}");
    }

    #[test]
    fn what_cannot_be_removed_does_not_keep_the_others_in_the_trash() {
        let dir = tempfile::tempdir().unwrap();
        let lxcpath = dir.path().join("lxc");
        std::fs::create_dir(dir.path().join("run")).unwrap();
        let engine = Engine::over(Lxcpath::open(&Host::below(dir.path()), &lxcpath));
        let ids = ["a", "b"].map(|it| {
            let name: Name = it.parse().unwrap();
            std::fs::create_dir_all(lxcpath.join(it)).unwrap();
            std::fs::write(lxcpath.join(it).join("config"), "").unwrap();
            engine.discard(&name).unwrap().unwrap().id
        });
        let gone = ["c@20261126-160312", "d@20261126-160312"].map(|it| it.parse().unwrap());
        let all = Act::RemoveTrashed([&gone[..], &ids[..]].concat());
        let mut notes = Vec::new();
        let name = "c".parse().unwrap();
        let failed = run(&engine, &name, &all, &Progress::default(), &mut notes).unwrap_err();
        assert!(format!("{failed:#}").contains("c@"), "{failed:#}");
        assert!(notes.len() == 1 && notes[0].contains("d@"), "{notes:?}");
        assert_eq!(read_trash(&engine), Ok(Vec::new()));
    }

    #[test]
    fn a_value_is_quoted_for_the_shell_if_it_must_be() {
        let set = |value: &str| {
            let act = Act::Set { file: "cpu.max".to_owned(), value: value.to_owned() };
            act.command_line("wharf", "web")
        };
        assert_eq!(set("50%"), "wharf cgroup web cpu.max 50%");
        assert_eq!(set("50000 100000"), "wharf cgroup web cpu.max '50000 100000'");
    }

    #[test]
    fn a_creation_says_what_it_started_from() {
        let dir = tempfile::tempdir().unwrap();
        let host = Host::keeping_in(dir.path());
        let engine = Engine::over(Lxcpath::open(&host, &dir.path().join("lxc")));
        let act = Act::Create { create: Create::default(), start: false };
        let create = |name: &str| {
            let mut notes = Vec::new();
            run(&engine, &name.parse().unwrap(), &act, &Progress::default(), &mut notes).unwrap();
            notes.join("; ")
        };
        assert_eq!(create("web"), "made from wharf's defaults");
        std::fs::create_dir_all(crate::engine::default_config(&host).parent().unwrap()).unwrap();
        std::fs::write(crate::engine::default_config(&host), "lxc.rootfs.path = nbd:/a\n").unwrap();
        let said = create("db");
        assert!(said.contains("default.conf, with wharf's defaults for what it"), "{said}");
        assert!(
            said.ends_with("left out, not supported yet: lxc.rootfs.path = nbd:/a (line 1)"),
            "{said}"
        );
    }
}

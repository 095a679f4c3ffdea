//! Every verb of the command line on a stopped, a running and a frozen container: it does what the
//! table of verbs says, or refuses with its words. As root.

use crate::support::{Lxcpath, can_run_containers, text, told};
use wharf::command::{self, CommandSpec, Verb};
use wharf::engine::State;

/// Puts the container, whatever its state, into `state`.
fn bring(lxcpath: &Lxcpath, name: &str, state: State) {
    lxcpath.wharf(&["stop", "-k", name]);
    if !lxcpath.path().join(name).exists() {
        lxcpath.ok(&["create", name]);
    }
    if state != State::Stopped {
        lxcpath.ok(&["start", name, "--", "/bin/sleep", "1000"]);
    }
    if state == State::Frozen {
        lxcpath.ok(&["freeze", name]);
    }
    assert_eq!(lxcpath.state(name), state.word());
}

/// Returns a command line of the verb, and the state of the container after it succeeds on one in
/// `state`.
fn line(verb: Verb, name: &str, state: State) -> Option<(Vec<&str>, State)> {
    let (args, after): (&[&str], State) = match verb {
        Verb::Info => (&["info", name], state),
        Verb::Processes => (&["ps", name], state),
        Verb::Start => (&["start", name, "--", "/bin/sleep", "1000"], State::Running),
        Verb::Execute => (&["execute", name, "--", "/bin/true"], State::Stopped),
        Verb::Stop => (&["stop", "-t", "20", name], State::Stopped),
        Verb::Restart => (&["restart", "-t", "20", name], State::Running),
        Verb::Freeze => (&["freeze", name], State::Frozen),
        Verb::Unfreeze => (&["unfreeze", name], State::Running),
        Verb::Destroy => (&["destroy", name], State::Stopped),
        Verb::Attach => (&["attach", name, "--", "/bin/true"], state),
        Verb::EditCgroup => (&["cgroup", name, "pids.max", "99"], state),
        Verb::Wait => (&["wait", name, "-s", "STOPPED|RUNNING|FROZEN", "-t", "0"], state),
        Verb::Signal => (&["signal", name, "CONT"], state),
        Verb::Snapshot => (&["snapshot", name], state),
        // They need CRIU, name no container or two, need a terminal or are not commands.
        Verb::Checkpoint
        | Verb::Restore
        | Verb::List
        | Verb::Look
        | Verb::ReadConsole
        | Verb::ReadCgroup
        | Verb::SetCgroup
        | Verb::KeepLimit
        | Verb::AddDevice
        | Verb::RemoveDevice
        | Verb::Create
        | Verb::Clone
        | Verb::Rename
        | Verb::Monitor
        | Verb::CheckConfig
        | Verb::ReadConfig
        | Verb::Autostart
        | Verb::Configure
        | Verb::LinkNames
        | Verb::Complete
        | Verb::WriteManual
        | Verb::RestoreTrashed
        | Verb::EmptyTrash
        | Verb::Top
        | Verb::Console => return None,
    };
    Some((args.to_vec(), after))
}

fn check(lxcpath: &Lxcpath, name: &str, command: &CommandSpec, state: State) {
    let Some((args, after)) = line(command.verb, name, state) else { return };
    bring(lxcpath, name, state);
    let what = format!("{} × {state}", command.name);
    let output = lxcpath.wharf(&args);
    match command.allowed(state) {
        Ok(()) => {
            assert!(output.status.success(), "{what}: {}", told(&output));
            let destroyed = command.verb == Verb::Destroy;
            assert_eq!(lxcpath.path().join(name).exists(), !destroyed, "{what}");
            assert!(destroyed || lxcpath.state(name) == after.word(), "{what}");
        }
        Err(refusal) => {
            let code = if matches!(args.first(), Some(&"stop" | &"restart")) { 2 } else { 1 };
            assert_eq!(output.status.code(), Some(code), "{what}: {}", told(&output));
            let said = text(&output.stderr);
            assert!(said.contains(refusal.why), "{what}: {said}");
            let first = refusal.first.and_then(command::of).map(|it| it.name);
            let advice = first.map_or_else(String::new, |it| format!("`wharf {it} {name}` first"));
            assert!(said.contains(&advice), "{what}: {said}");
            assert_eq!(lxcpath.state(name), state.word(), "{what}");
        }
    }
}

#[test]
fn every_verb_does_in_every_lasting_state_what_the_table_says() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("verbs");
    for command in command::COMMANDS {
        for state in [State::Stopped, State::Running, State::Frozen] {
            check(&lxcpath, &name, command, state);
        }
    }
}

#[test]
fn every_verb_names_a_container_that_is_not_there_in_the_same_way() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("none");
    for line in [
        "info",
        "ps",
        "start",
        "stop",
        "stop -k",
        "stop -r",
        "restart",
        "freeze",
        "unfreeze",
        "checkpoint -D NOWHERE",
        "restore -D NOWHERE",
        "destroy",
        "destroy --now",
        "destroy -f",
        "destroy --dry-run",
        "clone NAME other",
        "rename NAME other",
        "snapshot",
        "snapshot NAME list",
        "snapshot NAME restore snap0",
        "snapshot NAME delete snap0",
        "snapshot NAME delete all",
        "console",
        "attach",
        "cgroup NAME pids.max",
        "cgroup NAME pids.max 10 --keep",
        "signal NAME TERM",
        "logs",
        "logs -f",
        "config show",
        "config get NAME lxc.tty.max",
        "config set NAME lxc.tty.max 3",
        "config unset NAME lxc.tty.max",
        "config check",
        "config migrate",
    ] {
        let nowhere = lxcpath.path().join("nowhere").display().to_string();
        let words = if line.contains("NAME") { line.to_owned() } else { format!("{line} NAME") };
        let words = words.replace("NAME", &name).replace("NOWHERE", &nowhere);
        let output = lxcpath.wharf(&words.split(' ').collect::<Vec<_>>());
        let code = if line.starts_with("stop") || line == "restart" { 2 } else { 1 };
        let said = text(&output.stderr);
        let way =
            format!("`{name}`: there is no such container in {}; `", lxcpath.path().display());
        assert!(said.contains(&way), "{line}: {}", told(&output));
        assert_eq!(output.status.code(), Some(code), "{line}: {}", told(&output));
    }
    assert_eq!(crate::support::tree(lxcpath.path()), Vec::<std::path::PathBuf>::new());
}

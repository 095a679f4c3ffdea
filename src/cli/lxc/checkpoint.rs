//! `lxc-checkpoint`, which saves and restores.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::call::{LxcCall, LxcCommand, NameFrom, refused};
use super::getopt::{flag, value};
use crate::cli::watched::watched;
use crate::engine::checkpoint::{Checkpoint, Restore};
use crate::engine::start::Start;

/// LXC waits for ever; a checkpoint of much memory may take as long.
const PATIENCE: Duration = Duration::from_hours(1);

pub(super) const CHECKPOINT: LxcCommand = LxcCommand {
    name: "checkpoint",
    usage: "--name=NAME -D DIR [-r]",
    about: "saves the processes of the container NAME with CRIU, or restores them",
    options: &[
        flag("restore", Some('r'), "Restore it from DIR"),
        value("checkpoint-dir", Some('D'), "DIR", "Directory of the checkpoint"),
        flag("verbose", Some('v'), "Have CRIU log everything it does"),
        flag("stop", Some('s'), "Stop it when it is saved"),
        flag("pre-dump", Some('p'), "Save only its memory, while it runs"),
        value("predump-dir", None, "DIR", "What was saved so before; relative to the other"),
        value("action-script", Some('A'), "FILE", "Have CRIU run it at each of its stages"),
        flag("daemon", Some('d'), "Return once it is restored (default)"),
        flag("foreground", Some('F'), "Stay with what is restored, on this terminal"),
    ],
    named: NameFrom::Needed,
    parts: None,
    run: checkpoint,
};

fn checkpoint(call: &mut LxcCall<'_>) -> anyhow::Result<ExitCode> {
    let [restore, stop, in_advance] = ["restore", "stop", "pre-dump"].map(|it| call.has(it));
    let dir = call.value("checkpoint-dir").map(PathBuf::from);
    let ways = call.has("daemon") || call.has("foreground");
    let clash = match () {
        () if restore && stop => Some("-s not compatible with -r."),
        () if restore && in_advance => Some("-p not compatible with -r."),
        () if !restore && ways => Some("-d/-F not compatible with -r."),
        () => None,
    };
    if let Some(clash) = clash {
        return Err(refused(clash));
    }
    let dir = dir.ok_or_else(|| refused("-D is required."))?;
    let (name, state) = call.container()?;
    let action_script = call.value("action-script").map(PathBuf::from);
    let (verbose, patience) = (call.has("verbose"), PATIENCE);
    if !restore {
        if !state.is_active() {
            return Err(refused(format!("{name} not running, not checkpointing.")));
        }
        let previous = call.value("predump-dir").map(PathBuf::from);
        let how = Checkpoint { dir, stop, in_advance, previous, action_script, verbose, patience };
        watched(call.has("quiet"), None, |progress| {
            Ok(call.engine.checkpoint(&name, &how, progress)?)
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    if state.is_active() {
        return Err(refused(format!("{name} is running, not restoring.")));
    }
    let how = Restore { dir, action_script, verbose, patience };
    let last = call.given.options.iter().rfind(|it| matches!(it.0, "daemon" | "foreground"));
    if last.is_some_and(|it| it.0 == "foreground") {
        call.engine.restore_foreground(&name, &Start::default(), &how)?;
    } else {
        watched(call.has("quiet"), None, |progress| {
            Ok(call.engine.restore(&name, &Start::default(), &how, progress)?)
        })?;
    }
    Ok(ExitCode::SUCCESS)
}

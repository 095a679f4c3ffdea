//! `lxc-snapshot`.

use std::process::ExitCode;

use super::call::{LxcCall, LxcCommand, NameFrom, refused};
use super::getopt::{flag, value};
use crate::cli::watched::watched;
use crate::engine::Name;
use crate::engine::shown::shown;
use crate::engine::snapshot::Restored;

pub(super) const SNAPSHOT: LxcCommand = LxcCommand {
    name: "snapshot",
    usage: "--name=NAME [-P lxcpath] [-L [-C]] [-c commentfile] [-r snapname [-N newname]]",
    about: "snapshots a container",
    options: &[
        flag("list", Some('L'), "list all snapshots"),
        value("restore", Some('r'), "NAME", "restore snapshot NAME, e.g. 'snap0'"),
        value("newname", Some('N'), "NEWNAME", "NEWNAME for the restored container"),
        value(
            "destroy",
            Some('d'),
            "NAME",
            "destroy snapshot NAME, e.g. 'snap0'; ALL destroys all snapshots",
        ),
        value("comment", Some('c'), "FILE", "add FILE as a comment"),
        flag("showcomments", Some('C'), "show snapshot comments"),
    ],
    named: NameFrom::Needed,
    parts: None,
    run: snapshot,
};

fn snapshot(call: &mut LxcCall<'_>) -> anyhow::Result<ExitCode> {
    let name = call.name()?;
    // The last one of these says what is done.
    let last = call.given.options.iter().rfind(|it| matches!(it.0, "list" | "restore" | "destroy"));
    match last.cloned() {
        None => take(call, &name),
        Some(("list", _)) => list(call, &name),
        Some(("restore", Some(snap))) => restore(call, &name, &snap),
        Some((_, snap)) => delete(call, &name, &snap.unwrap_or_default()),
    }
}

fn take(call: &mut LxcCall<'_>, name: &Name) -> anyhow::Result<ExitCode> {
    let failed = |file: &str, why| refused(format!("Failed to read comment file '{file}': {why}"));
    // LXC finds out when the snapshot is there.
    let comment = call.value("comment");
    let comment = comment.map(|it| std::fs::read(it).map_err(|why| failed(it, why))).transpose()?;
    watched(call.has("quiet"), None, |progress| {
        Ok(call.engine.take_snapshot(name, comment.as_deref(), progress)?)
    })?;
    Ok(ExitCode::SUCCESS)
}

fn list(call: &mut LxcCall<'_>, name: &Name) -> anyhow::Result<ExitCode> {
    if !call.engine.is_defined(name) {
        return Err(refused(format!("Error: container {name} is not defined")));
    }
    let snapshots = call.engine.snapshots(name)?;
    if snapshots.all.is_empty() {
        writeln!(call.out, "No snapshots")?;
        return Ok(ExitCode::SUCCESS);
    }
    let dir = snapshots.dir.display().to_string();
    for it in &snapshots.all {
        let taken = it.taken.as_deref().unwrap_or("(null)");
        writeln!(call.out, "{} ({}) {}", it.name, shown(&dir), shown(taken))?;
        if call.has("showcomments")
            && let Some(comment) = &it.comment
        {
            // With its own line ends, and no others.
            for line in comment.split_inclusive('\n') {
                let (text, end) = line.strip_suffix('\n').map_or((line, ""), |it| (it, "\n"));
                write!(call.out, "{}{end}", shown(text))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn restore(call: &mut LxcCall<'_>, name: &Name, snap: &str) -> anyhow::Result<ExitCode> {
    let operand = match call.given.operands.as_slice() {
        [] => None,
        [only] => Some(only.as_str()),
        [..] => return Err(refused("Too many arguments")),
    };
    let new: Option<Name> = call.value("newname").or(operand).map(str::parse).transpose()?;
    let restored = match &new {
        Some(new) if new != name => Restored::As(new),
        Some(_) | None => Restored::AsLxc,
    };
    watched(call.has("quiet"), None, |progress| {
        Ok(call.engine.restore_snapshot(name, snap, restored, progress)?)
    })?;
    Ok(ExitCode::SUCCESS)
}

fn delete(call: &mut LxcCall<'_>, name: &Name, snap: &str) -> anyhow::Result<ExitCode> {
    // LXC compares only as much of the word as was given.
    if snap.is_empty() || !"ALL".starts_with(snap) {
        call.engine.delete_snapshot(name, snap)?;
        return Ok(ExitCode::SUCCESS);
    }
    let snapshots = call.engine.snapshots(name)?;
    if !snapshots.has_dir {
        return Err(refused("it has no snapshots"));
    }
    if snapshots.all.is_empty() {
        // What LXC leaves when the last one goes.
        _ = std::fs::remove_dir(&snapshots.dir);
    } else {
        call.engine.delete_snapshots(name)?;
    }
    Ok(ExitCode::SUCCESS)
}

//! `snapshot`.

use std::path::Path;
use std::process::ExitCode;

use clap::ArgMatches;
use serde_json::json;

use super::Subcommand;
use crate::cli::failure::Usage;
use crate::cli::invocation::{Invocation, named, no_more};
use crate::cli::watched::watched;
use crate::cli::{args, timeout};
use crate::command::Verb;
use crate::engine::Name;
use crate::engine::shown::shown;
use crate::engine::snapshot::{Restored, Snapshot};
use crate::format;

pub(super) const SNAPSHOT: Subcommand = Subcommand {
    name: "snapshot",
    arguments: |command| {
        command
            .arg(args::value(
                "comment",
                Some('c'),
                "TEXT",
                "What to remember with it: a text, or a file that contains it",
            ))
            .arg(timeout::option("Give up if taking or restoring takes longer"))
            .arg(args::json())
            .arg(args::format())
            .arg(args::name())
            .arg(args::operands(
                "NAME [ACTION] [SNAP] [NEWNAME]",
                "The container, then nothing, `list`, `restore SNAP [NEWNAME]` or `delete SNAP`",
            ))
    },
    run: snapshot,
    notes: "\
Keeps the state of a stopped container: its files, its configuration and the files beside it.
Snapshots are numbered, and LXC's lxc-snapshot knows them as well. Of an overlay only what the
container has changed is kept; on file systems that can share blocks (btrfs, XFS) a snapshot takes
no space until something changes.

  wharf snapshot NAME                 takes one, and prints what it is called
  wharf snapshot NAME list            lists them: name, time, size, comment
  wharf snapshot NAME restore SNAP    replaces the files and the configuration by those of SNAP
  wharf snapshot NAME restore SNAP NEW
                                      makes the container NEW of it, with addresses of its own
  wharf snapshot NAME delete SNAP     removes SNAP; `all` removes every one

Until a restored container is whole, the old one stays; then both are exchanged in one step, and
the old one is removed. A root outside of the container's directory stays where it is, unused.
Directories, logs and hidden files beside the configuration are in no snapshot, and stay as they
are.

Examples:
  wharf snapshot web -c 'before the upgrade'
  wharf snapshot web list
  wharf snapshot web restore snap0",
};

/// What can be done to a container's snapshots besides taking one.
pub(in crate::cli) const ACTIONS: [&str; 3] = ["list", "restore", "delete"];

fn snapshot(invocation: &mut Invocation<'_>, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let (name, rest) = named(matches)?;
    let words: Vec<&str> = rest.iter().map(String::as_str).collect();
    let does = words.first().copied();
    if does.is_some() && matches.contains_id("comment") {
        return Err(Usage("--comment goes with a snapshot that is taken".into()).into());
    }
    if does != Some("list") && (matches.get_flag(args::JSON) || matches.contains_id(args::FORMAT)) {
        return Err(Usage("--json and --format go with `list`".into()).into());
    }
    if matches!(does, Some("list" | "delete")) && timeout::is_given(matches) {
        return Err(Usage("--timeout goes with a snapshot that is taken or restored".into()).into());
    }
    match words.as_slice() {
        [] => take(invocation, matches, &name),
        ["list"] => list(invocation, matches, &name),
        ["restore", snap] => restore(invocation, matches, &name, snap, Restored::Same),
        ["restore", snap, new] => {
            restore(invocation, matches, &name, snap, Restored::As(&new.parse()?))
        }
        ["delete", "all"] => {
            let deleted = invocation.engine.delete_snapshots(&name)?;
            if !matches.get_flag(args::QUIET) {
                writeln!(invocation.out, "{name}: removed {}", counted(deleted.len()))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        ["delete", snap] => {
            invocation.engine.delete_snapshot(&name, snap)?;
            Ok(ExitCode::SUCCESS)
        }
        ["restore" | "delete"] => {
            Err(Usage("which snapshot? `wharf snapshot NAME list` lists them".into()).into())
        }
        ["list" | "restore" | "delete", ..] => {
            no_more(rest.get(if does == Some("restore") { 3 } else { 1 }..).unwrap_or_default())?;
            Err(Usage("too many operands".into()).into())
        }
        [other, ..] => Err(Usage(format!("`{other}` is not one of {}", ACTIONS.join(", "))).into()),
    }
}

fn take(
    invocation: &mut Invocation<'_>,
    matches: &ArgMatches,
    name: &Name,
) -> anyhow::Result<ExitCode> {
    let comment = matches.get_one::<String>("comment").map(|it| comment(it)).transpose()?;
    invocation.permit(Verb::Snapshot, name)?;
    let quiet = matches.get_flag(args::QUIET);
    let taken = watched(quiet, timeout::patience(matches)?, |progress| {
        Ok(invocation.engine.take_snapshot(name, comment.as_deref(), progress)?)
    })?;
    if !quiet {
        writeln!(invocation.out, "{taken}")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the content of the file that is named, or else the text.
fn comment(given: &str) -> anyhow::Result<Vec<u8>> {
    if !Path::new(given).is_file() {
        return Ok(format!("{given}\n").into_bytes());
    }
    std::fs::read(given).map_err(|error| anyhow::anyhow!("read {given}: {error}"))
}

fn restore(
    invocation: &mut Invocation<'_>,
    matches: &ArgMatches,
    name: &Name,
    snap: &str,
    restored: Restored<'_>,
) -> anyhow::Result<ExitCode> {
    if restored == Restored::Same {
        invocation.permit(Verb::Snapshot, name)?;
    }
    watched(matches.get_flag(args::QUIET), timeout::patience(matches)?, |progress| {
        Ok(invocation.engine.restore_snapshot(name, snap, restored, progress)?)
    })?;
    Ok(ExitCode::SUCCESS)
}

fn list(
    invocation: &mut Invocation<'_>,
    matches: &ArgMatches,
    name: &Name,
) -> anyhow::Result<ExitCode> {
    let snapshots = invocation.engine.snapshots(name)?;
    let objects = snapshots.all.iter().map(|it| in_json(it, snapshots.bytes(it)));
    if invocation.objects(matches, objects)? {
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<[String; 4]> =
        snapshots.all.iter().map(|it| row(it, snapshots.bytes(it))).collect();
    let heads = ["NAME", "TAKEN", "SIZE", "COMMENT"].map(str::to_owned);
    let rows = if rows.is_empty() { rows } else { [vec![heads], rows].concat() };
    let width = |at: usize| rows.iter().filter_map(|it| it.get(at)).map(String::len).max();
    let [names, times, sizes] = [0, 1, 2].map(|it| width(it).unwrap_or_default());
    for [name, taken, size, comment] in &rows {
        let line = format!("{name:<names$}  {taken:<times$}  {size:>sizes$}  {comment}");
        writeln!(invocation.out, "{}", line.trim_end())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn row(it: &Snapshot, bytes: Option<u64>) -> [String; 4] {
    let unknown = || "-".to_owned();
    let comment = it.comment.as_deref().unwrap_or_default();
    [
        it.name.to_string(),
        it.taken.as_deref().map_or_else(unknown, |it| shown(&format::lxc_time(it)).into_owned()),
        bytes.map_or_else(unknown, format::bytes),
        shown(comment.lines().next().unwrap_or_default()).into_owned(),
    ]
}

fn in_json(it: &Snapshot, bytes: Option<u64>) -> serde_json::Value {
    json!({
        "name": it.name.as_str(),
        "taken": it.taken.as_deref().map(format::lxc_time),
        "comment": it.comment,
        "bytes": bytes,
    })
}

fn counted(count: usize) -> String {
    if count == 1 { "1 snapshot".to_owned() } else { format!("{count} snapshots") }
}

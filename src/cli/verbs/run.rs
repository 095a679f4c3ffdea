//! `start`, `execute`, and the hidden `supervise` that becomes a started container's supervisor.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ArgMatches;

use super::Subcommand;
use crate::cli::chosen::{self, ChosenContainers, ExitCodes, report};
use crate::cli::failure::Usage;
use crate::cli::invocation::{
    Invocation, mention_proxmox, named, pairs, permit, text, user_or_group,
};
use crate::cli::{args, output, timeout};
use crate::command::Verb;
use crate::engine::attach;
use crate::engine::outline::StartPart;
use crate::engine::progress::Progress;
use crate::engine::proxmox::Pct;
use crate::engine::shown::shown;
use crate::engine::start::{SUPERVISE, Start};
use crate::engine::{Engine, Host, Lxcpath, MAPPED};

pub(super) const START: Subcommand = Subcommand {
    name: "start",
    arguments: |command| {
        let command = command
            .arg(args::flag(
                "foreground",
                Some('F'),
                "Stay in the foreground, with the container on this terminal",
            ))
            .arg(
                args::flag("daemon", Some('d'), "Return once it runs (the default)")
                    .conflicts_with("foreground"),
            )
            .arg(args::config())
            .arg(args::define())
            .args(shared())
            .arg(args::value(
                "console",
                Some('c'),
                "PATH",
                "Also show the console there: a terminal or a file",
            ))
            .arg(args::value("console-log", Some('L'), "FILE", "Write the console's output there"))
            .arg(
                timeout::option("Give up a start that takes longer")
                    .conflicts_with_all(["foreground", "dry-run"]),
            );
        chosen::changed(command)
            .mut_arg("dry-run", |it| it.help("Only print what it would do; needs no privilege"))
            .arg(args::command("The command to run as its pid 1"))
    },
    run: start,
    notes: "\
Several containers are started at the same time. Without COMMAND, pid 1 is `lxc.init.cmd` of the
configuration, or /sbin/init. If `lxc.execute.cmd` is the same, as in what `create` makes of the
host's files, the command is pid 2, and pid 1 is an init of wharf's own, which reaps, halts and
restarts.

Examples:
  wharf start web db
  wharf start 'web*'
  wharf start web -- /bin/sh -c 'exec sleep 1000'

Exit code: 0 once the container runs, 1 if it could not be started, or not in time. With -F, the
command's own, or 128+N if signal N ended it.",
};

pub(super) const EXECUTE: Subcommand = Subcommand {
    name: "execute",
    arguments: |command| {
        command
            .arg(args::config())
            .arg(args::define())
            .args(shared())
            .arg(args::value("uid", Some('u'), "UID", "User that runs the command"))
            .arg(args::value("gid", Some('g'), "GID", "Group that runs the command"))
            .arg(timeout::option("End the command when it runs longer"))
            .arg(args::name())
            .arg(args::operands("NAME -- COMMAND", "The container, and the command to run in it"))
    },
    run: execute,
    notes: "\
Pid 1 of the container is wharf's own init, which reaps zombies and passes signals on; COMMAND is
pid 2. A container that is not defined is made for the command and removed afterwards.

Exit code: the command's own; 126 if it cannot be executed, 127 if it does not exist, 128+N if
signal N ended it; 1 if the container could not be started, or the time of --timeout was over.

Examples:
  wharf execute build -s lxc.cgroup2.memory.max=2G -- make -j4
  wharf execute test --timeout 600 -- sh -c 'make check'",
};

fn start(invocation: &mut Invocation<'_>, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let chosen = ChosenContainers::read(invocation, matches, Verb::Start)?;
    let argv = matches.get_many::<OsString>(args::COMMAND).unwrap_or_default();
    let mut start = order(matches, argv.map(|it| text(it)).collect::<Result<_, _>>()?)?;
    for (id, key) in [("console", "lxc.console.path"), ("console-log", "lxc.console.logfile")] {
        if let Some(path) = matches.get_one::<String>(id) {
            // The supervisor has another working directory; `none` is not a path.
            let path = if path == "none" { path.into() } else { std::path::absolute(path)? };
            start.settings.push((key.to_owned(), path.to_string_lossy().into_owned()));
        }
    }
    if matches.get_flag("dry-run") {
        return outlines(invocation, &chosen, &start, matches.get_flag(args::QUIET));
    }
    let limit = timeout::patience(matches)?;
    if matches.get_flag("foreground") {
        let [name] = chosen.names.as_slice() else {
            let why = "-F shows one container on this terminal, but several are named; a command \
                       follows `--`";
            return Err(Usage(why.into()).into());
        };
        attach::seal();
        invocation.permit(Verb::Start, name)?;
        mention_proxmox(&invocation.engine, name, matches, Pct::Start);
        let exit = invocation.engine.start_foreground(name, &start)?;
        return Ok(ExitCode::from(exit.shell_code()));
    }
    chosen.each(invocation, matches, Verb::Start, &|engine, name| {
        permit(engine, Verb::Start, name)?;
        mention_proxmox(engine, name, matches, Pct::Start);
        let progress = Progress::within(limit);
        engine
            .start_watched(name, &start, &progress)
            .map_err(|error| timeout::explain(error.into(), &progress, limit))?;
        Ok(0)
    })
}

/// Prints what a start of each would do; of several, each under its name.
fn outlines(
    invocation: &mut Invocation<'_>,
    chosen: &ChosenContainers,
    start: &Start,
    quiet: bool,
) -> anyhow::Result<ExitCode> {
    if let [name] = chosen.names.as_slice() {
        let (parts, warnings) = invocation.engine.outline(name, start)?;
        invocation.out.write_all(outline(&parts, &warnings).as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut codes = ExitCodes::default();
    for name in &chosen.names {
        match invocation.engine.outline(name, start) {
            Ok((parts, warnings)) => {
                let text = outline(&parts, &warnings);
                write!(invocation.out, "{name}:\n{text}")?;
            }
            Err(error) => codes.add(report(&invocation.engine, error.into(), quiet)),
        }
    }
    Ok(codes.of_all())
}

/// Writes each part as a paragraph.
fn outline(parts: &[StartPart], warnings: &[String]) -> String {
    let paragraph = |place: &str, said: &[String]| {
        let said: Vec<_> = said.iter().map(|it| shown(it).into_owned()).collect();
        output::filled(&format!("{place}: {}", said.join("; ")))
    };
    let mut text: String = parts.iter().map(|it| paragraph(it.place, &it.steps)).collect();
    if !warnings.is_empty() {
        text += &paragraph("In vain", warnings);
    }
    text
}

fn execute(invocation: &mut Invocation<'_>, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let (name, argv) = named(matches)?;
    let mut start = order(matches, argv)?;
    for (id, key) in [("uid", "lxc.init.uid"), ("gid", "lxc.init.gid")] {
        if let Some(number) = user_or_group(matches, id)? {
            start.settings.push((key.to_owned(), number.to_string()));
        }
    }
    let limit = timeout::patience(matches)?;
    attach::seal();
    invocation.permit(Verb::Execute, &name)?;
    let exit = invocation.engine.execute(&name, &start, limit)?;
    Ok(ExitCode::from(exit.shell_code()))
}

/// Becomes the supervisor of a container: `wharf supervise LXCPATH NAME GIVEN`, which only
/// [`crate::engine::Engine::start`] runs, with the lxcpath as it opened it. Parses without clap,
/// whose tables would stay in the memory of every supervisor.
pub(in crate::cli) fn supervise(arguments: &[OsString]) -> Option<ExitCode> {
    let [_, verb, lxcpath, name, given] = arguments else { return None };
    if verb != SUPERVISE {
        return None;
    }
    let name = name.to_str()?.parse().ok()?;
    let lxcpath = Lxcpath::opened(&Host::this(), lxcpath, Path::new(given));
    let ended = Engine::over(lxcpath).supervise(&name);
    // The report has informed the caller; nobody reads this exit code.
    Some(ended.map_or(ExitCode::FAILURE, |exit| ExitCode::from(exit.shell_code())))
}

/// Does what an ordinary user's command has asked for: `wharf mapped`, which only that runs.
pub(in crate::cli) fn mapped(arguments: &[OsString]) -> Option<ExitCode> {
    let [_, verb] = arguments else { return None };
    if verb != MAPPED {
        return None;
    }
    crate::engine::mapped::serve(&Host::this());
    Some(ExitCode::SUCCESS)
}

/// The options that share a namespace: their name, its kind and their help.
const SHARED: [(&str, &str, &str); 4] = [
    ("share-net", "net", "Share the network of this container, pid or path"),
    ("share-ipc", "ipc", "Share its System V and POSIX message queues"),
    ("share-uts", "uts", "Share its host name"),
    ("share-pid", "pid", "Share its processes"),
];

fn shared() -> impl Iterator<Item = clap::Arg> {
    SHARED.into_iter().map(|(id, _, help)| args::value(id, None, "CONTAINER", help))
}

/// Reads the options that both have in common.
fn order(matches: &ArgMatches, argv: Vec<String>) -> anyhow::Result<Start> {
    let config = matches.get_one::<PathBuf>("config").cloned();
    let mut settings = pairs(matches, "define")?;
    for (id, kind, _) in SHARED {
        let from = matches.get_one::<String>(id);
        settings.extend(from.map(|it| (format!("lxc.namespace.share.{kind}"), it.clone())));
    }
    Ok(Start { argv, config, settings, tended: false, from: None })
}

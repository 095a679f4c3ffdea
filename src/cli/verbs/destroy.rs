//! `destroy`.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use clap::ArgMatches;

use super::Subcommand;
use super::trash::expire;
use crate::cli::args;
use crate::cli::chosen::{self, ChosenContainers, FORCE};
use crate::cli::confirm::{self, Consent};
use crate::cli::failure::Usage;
use crate::cli::invocation::{Invocation, exists, permit};
use crate::command::Verb;
use crate::engine::stop::Stop;
use crate::engine::{Engine, Error, ErrorKind, Name};

const NOW: &str = "now";

pub(super) const DESTROY: Subcommand = Subcommand {
    name: "destroy",
    arguments: |command| {
        let command = command
            .arg(args::flag(FORCE, Some('f'), "Kill what is running first"))
            .arg(args::flag(NOW, None, "Remove it for good, instead of moving it to the trash"))
            .arg(confirm::option());
        chosen::changed(command)
    },
    run: destroy,
    notes: "\
Moves LXCPATH/NAME to the trash, with the configuration, a root in it and its snapshots; `wharf trash
restore NAME` brings it back. A root elsewhere stays where it is, and so do the lower directories of
an overlay. Without -f, a running container is refused. Of patterns and --filter, those that run are
left out without -f, and the command asks on a terminal before it does anything, unless -y is given.

What is in the trash is removed after 7 days; the oldest goes earlier, after an hour at least, if all of
it takes more than a tenth of the file system; see `wharf help trash`. A move to the trash frees no
space. With --now nothing goes there: the files and their space are gone at once, and a container with
snapshots is refused.

`lxc.hook.destroy` runs when the container is destroyed, not when the trash is emptied; if it fails,
the container stays. What it did is not undone by a restore.

Examples:
  wharf destroy web
  wharf destroy -f 'test-*' --dry-run
  wharf destroy --now web",
};

/// How to destroy.
#[derive(Clone, Copy)]
struct Destruction {
    now: bool,
    force: bool,
    quiet: bool,
}

fn destroy(invocation: &mut Invocation<'_>, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let how = Destruction {
        now: matches.get_flag(NOW),
        force: matches.get_flag(FORCE),
        quiet: matches.get_flag(args::QUIET),
    };
    let chosen = ChosenContainers::read(invocation, matches, Verb::Destroy)?;
    if chosen::rehearses(matches) {
        return chosen.rehearse(invocation, matches, &|engine, name| how.would(engine, name));
    }
    if chosen.by_pattern && !chosen.names.is_empty() && !agreed(matches, &chosen, how)? {
        return Ok(ExitCode::FAILURE);
    }
    let code = each(invocation, matches, chosen, how)?;
    if !how.now {
        expire(&invocation.engine, how.quiet);
    }
    Ok(code)
}

/// Destroys all of them. One that others of them need is refused until those are gone.
fn each(
    invocation: &Invocation<'_>,
    matches: &ArgMatches,
    mut chosen: ChosenContainers,
    how: Destruction,
) -> anyhow::Result<ExitCode> {
    let several = chosen.names.len() > 1;
    let mut code = ExitCode::SUCCESS;
    let mut last = !several;
    loop {
        let again = Mutex::new(Vec::new());
        let this = chosen.each(invocation, matches, Verb::Destroy, &|engine, name| match how
            .act(engine, name)
        {
            Err(error) if !last && is_refused(&error) => {
                again.lock().unwrap_or_else(PoisonError::into_inner).push(name.clone());
                Ok(0)
            }
            done => done.map(|()| 0),
        })?;
        code = match (code == ExitCode::SUCCESS, this == ExitCode::SUCCESS) {
            (true, _) => this,
            (false, true) => code,
            (false, false) if code == this => code,
            (false, false) => ExitCode::FAILURE,
        };
        let again = again.into_inner().unwrap_or_else(PoisonError::into_inner);
        if again.is_empty() {
            return Ok(code);
        }
        last = again.len() == chosen.names.len();
        // One alone is reported like several.
        chosen = ChosenContainers { names: again, by_pattern: true };
    }
}

fn is_refused(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Error>().is_some_and(|it| it.kind == ErrorKind::Invalid)
}

/// Asks whether all that fits a pattern is meant.
fn agreed(
    matches: &ArgMatches,
    chosen: &ChosenContainers,
    how: Destruction,
) -> anyhow::Result<bool> {
    let names: Vec<&str> = chosen.names.iter().map(Name::as_str).collect();
    let does = if how.now { "Remove for good" } else { "Move to the trash" };
    match confirm::ask(matches, &format!("{does}: {}?", names.join(", ")))? {
        Consent::Refused => Ok(false),
        Consent::Unknown if how.now => {
            let words = "a pattern with --now needs -y where nobody can be asked";
            Err(Usage(words.into()).into())
        }
        Consent::Given | Consent::Unknown => Ok(true),
    }
}

impl Destruction {
    fn act(self, engine: &Engine, name: &Name) -> anyhow::Result<()> {
        let killed = self.force && self.kill(engine, name)?;
        if !engine.is_proxmox(name) {
            permit(engine, Verb::Destroy, name)?;
        }
        let destroyed =
            if self.now { engine.destroy(name).map(|()| None) } else { engine.discard(name) };
        let said = match destroyed {
            // It ran without being defined: all that there was of it is gone.
            Err(error) if killed && error.kind == ErrorKind::NotFound => {
                let said = "was killed; it is not defined, so that there were no files to remove";
                if !self.quiet {
                    // A closed stderr must not make a failure of it.
                    _ = writeln!(std::io::stderr(), "wharf: {name} {said}");
                }
                None
            }
            other => other?,
        };
        if let Some(trashed) = said.filter(|_| !self.quiet) {
            let id = trashed.id;
            let notes = trashed.notes.into_iter().map(|it| format!("{name}: {it}\n"));
            let wharf = engine.command_line();
            let said = format!(
                "{name}: moved to the trash; `{wharf} trash restore {id}` brings it back\n"
            );
            let said: String = std::iter::once(said).chain(notes).collect();
            // In one write, since others are destroyed at the same time.
            std::io::stdout().write_all(said.as_bytes())?;
        }
        Ok(())
    }

    /// Kills it if it runs, and nothing for what will be refused.
    fn kill(self, engine: &Engine, name: &Name) -> anyhow::Result<bool> {
        if !engine.state(name)?.is_active() {
            return Ok(false);
        }
        self.check(engine, name)?;
        match engine.stop(name, Stop::Kill) {
            // It ended by itself meanwhile.
            Err(error) if error.kind == ErrorKind::NotRunning => Ok(false),
            other => Ok(other.map(|()| true)?),
        }
    }

    fn check(self, engine: &Engine, name: &Name) -> anyhow::Result<()> {
        let checked =
            if self.now { engine.check_destroy(name) } else { engine.check_discard(name) };
        Ok(checked?)
    }

    fn would(self, engine: &Engine, name: &Name) -> anyhow::Result<String> {
        exists(engine, Verb::Destroy, name)?;
        let runs = engine.state(name)?.is_active();
        if !self.force {
            permit(engine, Verb::Destroy, name)?;
        }
        self.check(engine, name)?;
        let kill = if runs { "kill it and " } else { "" };
        Ok(if self.now {
            format!("{name}: would {kill}remove it for good\n")
        } else {
            format!("{name}: would {kill}move it to the trash\n")
        })
    }
}

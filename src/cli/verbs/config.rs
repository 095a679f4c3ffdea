//! `config`: shows, changes, checks and modernises a configuration, and explains its keys.

mod keys;
mod look;

use std::ffi::OsString;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ArgMatches;

use super::Subcommand;
use crate::cli::failure::Usage;
use crate::cli::invocation::{Invocation, operands, text};
use crate::cli::{args, diff};
use crate::engine::Name;
use crate::engine::configure::{ChangeFate, ConfigChange, ConfigFile, MigrationScope, SetHow};
use crate::engine::shown::shown;

pub(super) const CONFIG: Subcommand = Subcommand {
    name: "config",
    arguments: |command| {
        command
            .arg(args::json())
            .arg(args::format())
            .arg(args::flag("effective", None, "Show what counts, and the line that sets it"))
            .arg(args::flag("add", None, "Add a value to a key that has several"))
            .arg(args::flag("dry-run", None, "Only print what would change"))
            .arg(args::flag("yes", Some('y'), "Write without asking"))
            .arg(
                args::value("file", Some('f'), "FILE", "A file, instead of a container's own")
                    .value_parser(clap::value_parser!(PathBuf)),
            )
            .arg(args::name())
            // -1 is a value.
            .arg(
                args::operands("ACTION [NAME] [KEY] [VALUE]", "What to do, and with what")
                    .allow_negative_numbers(true),
            )
    },
    run: config,
    notes: "\
Actions:
  show NAME              print the configuration; with --effective each setting as it counts in
                         the end, with includes and defaults, and where it is from
  get NAME KEY           print what a key is set to, or its default; each value on a line
  set NAME KEY VALUE     set a key: its own line alone is changed, in the spelling that it has; a
                         key of several lines gets this value alone, or with --add one more
  unset NAME KEY [VALUE] take out the lines that set a key, or those with this value
  check [NAME …]         print each line that a start refuses, that has an earlier spelling or
                         changes nothing, as FILE:LINE; of every container if none is named
  migrate NAME           spell a configuration of LXC 0.x, 1.x or 2.x as today: shows the
                         difference, asks, and keeps the old one as config.backup
  keys [WORD]            explain the keys, or those whose names contain WORD

A change is checked as a start reads it, with all includes, and then made in one step; the file
keeps its owner and mode. A file that is a link is not changed. An empty VALUE clears what was
included.

Each key of `keys` has its meaning and what this host makes of it:
  works    it has its effect
  needs    the host lacks what it needs
  ignored  it is accepted and changes nothing
`*` stands for the free part of a key, N for the number of an interface.

Exit code: 0; 1 if it failed, `check` found a line that is refused, or `get` a key that is not
set.

Examples:
  wharf config set web lxc.start.auto 1
  wharf config set web --add lxc.group onboot
  wharf config show web --effective
  wharf config keys cgroup",
};

/// What can be done with a configuration.
pub(in crate::cli) const ACTIONS: [&str; 7] =
    ["show", "get", "set", "unset", "check", "migrate", "keys"];

/// One call: the file that is meant, and the operands after it.
struct ConfigCall {
    name: Option<Name>,
    file: Option<PathBuf>,
    rest: Vec<String>,
}

impl ConfigCall {
    fn of(matches: &ArgMatches, mut rest: Vec<String>) -> anyhow::Result<Self> {
        let file = matches.get_one::<PathBuf>("file").cloned();
        let given = matches.get_one::<OsString>(args::NAME);
        let name = match given {
            _ if file.is_some() => None,
            Some(name) => Some(text(name)?.parse()?),
            None if rest.is_empty() => {
                return Err(Usage("no container name given".into()).into());
            }
            None => Some(rest.remove(0).parse()?),
        };
        Ok(Self { name, file, rest })
    }

    fn file(&self) -> ConfigFile<'_> {
        match (&self.name, &self.file) {
            (Some(name), _) => ConfigFile::Of(name),
            (None, Some(file)) => ConfigFile::At(file),
            // One of them is always there.
            (None, None) => ConfigFile::At("".as_ref()),
        }
    }

    /// Returns the operands, of which there must be `N`.
    fn words<const N: usize>(&self, expected: &str) -> anyhow::Result<[&str; N]> {
        let words: Vec<&str> = self.rest.iter().map(String::as_str).collect();
        let wrong = |_words| Usage(format!("expected {expected}")).into();
        <[&str; N]>::try_from(words).map_err(wrong)
    }
}

fn config(invocation: &mut Invocation<'_>, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let mut rest = operands(matches)?;
    let action = rest.remove(0);
    match action.as_str() {
        "keys" if rest.len() > 1 => {
            return Err(Usage("expected `keys`, or `keys WORD`".into()).into());
        }
        "keys" => {
            let word = rest.first().map(String::as_str).unwrap_or_default();
            return keys::list(invocation, word, matches);
        }
        "check" => return check(invocation, matches, &rest),
        "show" | "get" | "set" | "unset" | "migrate" => (),
        other => {
            let all = ACTIONS.join(", ");
            return Err(Usage(format!("`{other}` is no action; expected one of {all}")).into());
        }
    }
    let call = ConfigCall::of(matches, rest)?;
    match action.as_str() {
        "show" => {
            let [] = call.words("`show NAME`")?;
            if matches.get_flag("effective") {
                look::effective(invocation, call.file(), matches)?;
            } else {
                look::text(invocation, call.file())?;
            }
        }
        "get" => {
            let [key] = call.words("`get NAME KEY`")?;
            return look::value(invocation, call.file(), key, matches);
        }
        "set" => {
            let [key, value] = call.words("`set NAME KEY VALUE`")?;
            let how = if matches.get_flag("add") { SetHow::Added } else { SetHow::Alone };
            let fate = fate(matches);
            let change = invocation.engine.config_set(call.file(), (key, value), how, fate)?;
            told(invocation, &call, &change, fate)?;
        }
        "unset" => {
            let (key, value) = match call.rest.as_slice() {
                [key] => (key, None),
                [key, value] => (key, Some(value.as_str())),
                _ => return Err(Usage("expected `unset NAME KEY [VALUE]`".into()).into()),
            };
            let fate = fate(matches);
            let change = invocation.engine.config_unset(call.file(), key, value, fate)?;
            told(invocation, &call, &change, fate)?;
        }
        _ => {
            let [] = call.words("`migrate NAME`")?;
            migrate(invocation, matches, &call)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn fate(matches: &ArgMatches) -> ChangeFate {
    if matches.get_flag("dry-run") { ChangeFate::Shown } else { ChangeFate::Written }
}

/// Prints what would change.
fn told(
    invocation: &mut Invocation<'_>,
    call: &ConfigCall,
    change: &ConfigChange,
    fate: ChangeFate,
) -> anyhow::Result<()> {
    if fate == ChangeFate::Shown {
        write!(invocation.out, "{}", difference(invocation, call, change))?;
    }
    Ok(())
}

fn difference(invocation: &Invocation<'_>, call: &ConfigCall, change: &ConfigChange) -> String {
    let lxcpath = invocation.engine.lxcpath().spelled();
    let own = |name: &Name| lxcpath.join(name.as_str()).join("config");
    let file = call.file.clone().or_else(|| call.name.as_ref().map(own)).unwrap_or_default();
    diff::unified(&file, &change.before, &change.after)
}

fn check(
    invocation: &mut Invocation<'_>,
    matches: &ArgMatches,
    names: &[String],
) -> anyhow::Result<ExitCode> {
    let file = matches.get_one::<PathBuf>("file");
    let given = matches.get_one::<OsString>(args::NAME).map(|it| it.to_string_lossy().into_owned());
    let names = given.iter().chain(names);
    let mut names = names.map(|it| it.parse()).collect::<Result<Vec<Name>, _>>()?;
    if names.is_empty() && file.is_none() {
        let all = invocation.engine.list()?.into_iter().map(|(name, _)| name);
        names = all.filter(|it| invocation.engine.is_defined(it)).collect();
    }
    let files = names.iter().map(ConfigFile::Of);
    let files: Vec<ConfigFile<'_>> = files.chain(file.map(|it| ConfigFile::At(it))).collect();
    look::findings(invocation, &files, matches)
}

fn migrate(
    invocation: &mut Invocation<'_>,
    matches: &ArgMatches,
    call: &ConfigCall,
) -> anyhow::Result<()> {
    let change = invocation.engine.config_migration(call.file(), MigrationScope::Settings)?;
    if change.before == change.after {
        return Ok(writeln!(invocation.out, "It is spelled as today.")?);
    }
    write!(invocation.out, "{}", difference(invocation, call, &change))?;
    if matches.get_flag("dry-run") {
        return Ok(());
    }
    invocation.out.flush()?;
    if !matches.get_flag("yes") {
        confirm()?;
    }
    let backup = invocation.engine.config_migrate(call.file(), &change, None)?;
    writeln!(invocation.out, "The old one is {}.", shown(&backup.to_string_lossy()))?;
    Ok(())
}

/// Asks whether to write, where somebody can answer.
fn confirm() -> anyhow::Result<()> {
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        anyhow::bail!("nothing was written: there is no terminal to ask on; --yes writes it");
    }
    io::stderr().write_all(b"Write this? [y/N] ")?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    anyhow::bail!("nothing was written")
}

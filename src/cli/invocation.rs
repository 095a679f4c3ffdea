//! What every verb of the command line works with: the engine, the output, the operands.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::ArgMatches;

use super::failure::Usage;
use super::{args, output};
use crate::command::{self, Verb};
use crate::engine::id::Id;
use crate::engine::proxmox::Pct;
use crate::engine::shown::shown_bytes;
use crate::engine::{Engine, Error, ErrorKind, Name, State};
use crate::format;

/// One run of the command line.
pub(super) struct Invocation<'a> {
    pub(super) engine: Engine,
    pub(super) out: &'a mut dyn Write,
    /// Builds the parser of the whole command line, for what explains it.
    pub(super) parser: fn() -> clap::Command,
}

impl<'a> Invocation<'a> {
    /// Opens the engine on the lxcpath that was named.
    pub(super) fn new(
        parser: fn() -> clap::Command,
        matches: &ArgMatches,
        out: &'a mut dyn Write,
    ) -> Self {
        let lxcpath = matches.get_one::<PathBuf>(args::LXCPATH);
        Self { engine: Engine::open(lxcpath.map(PathBuf::as_path)), out, parser }
    }

    /// Refuses what the table of verbs refuses in the container's state. A container that is neither
    /// defined nor running is refused, unless the verb can do without.
    pub(super) fn permit(&self, verb: Verb, name: &Name) -> anyhow::Result<()> {
        permit(&self.engine, verb, name)
    }

    /// Prints `value` as JSON and a newline.
    pub(super) fn json(&mut self, value: &serde_json::Value) -> anyhow::Result<()> {
        writeln!(self.out, "{}", output::safe_json(&serde_json::to_string_pretty(value)?))?;
        Ok(())
    }

    /// Prints a list as JSON, or a line for each by a template, if either was asked for; false:
    /// neither was.
    pub(super) fn objects(
        &mut self,
        matches: &ArgMatches,
        objects: impl Iterator<Item = serde_json::Value>,
    ) -> anyhow::Result<bool> {
        if let Some(template) = matches.get_one::<String>(args::FORMAT) {
            write!(self.out, "{}", output::formatted(template, objects)?)?;
        } else if matches.get_flag(args::JSON) {
            self.json(&objects.collect())?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }
}

/// Refuses what the table of verbs refuses in the container's state. A container that is neither
/// defined nor running is refused, unless the verb can do without.
pub(super) fn permit(engine: &Engine, verb: Verb, name: &Name) -> anyhow::Result<()> {
    let state = engine.state(name)?;
    if state == State::Stopped && !engine.is_defined(name) {
        // A file is enough for these, or less: the engine reports what they lack.
        let needs_none = matches!(verb, Verb::Start | Verb::Execute | Verb::Destroy);
        return if needs_none || engine.stranger(name).is_some() {
            Ok(())
        } else {
            Err(engine.no_such(verb, name).into())
        };
    }
    let Some(command) = command::of(verb) else { return Ok(()) };
    let Err(refusal) = command.allowed(state) else { return Ok(()) };
    // The caller may have seen it run only because a stranger said so.
    if let Some(stranger) = engine.stranger(name).filter(|_| state == State::Stopped) {
        return Err(Error::new(verb, name, ErrorKind::NotRunning, stranger).into());
    }
    if let Some(wait) = engine.restarts_in(name) {
        if verb == Verb::Restart {
            return Ok(());
        }
        let wait = format::duration_in_text(wait + Duration::from_secs(1));
        let reason = format!(
            "it keeps restarting itself, and waits {wait} for the next start; \
             `wharf stop {name}` ends that, `wharf stop -r {name}` starts it now"
        );
        return Err(Error::new(verb, name, ErrorKind::Running, reason).into());
    }
    let advice = match refusal.first.and_then(command::of) {
        Some(first) => format!("; `wharf {} {name}` first", first.name),
        None => String::new(),
    };
    let reason = refusal.sentence() + &advice;
    let kind = if state == State::Stopped { ErrorKind::NotRunning } else { ErrorKind::Running };
    Err(Error::new(verb, name, kind, reason).into())
}

/// Refuses a container that is neither defined nor running.
pub(super) fn exists(engine: &Engine, verb: Verb, name: &Name) -> anyhow::Result<()> {
    if engine.is_defined(name) || engine.state(name)?.is_active() {
        return Ok(());
    }
    Err(engine.no_such(verb, name).into())
}

/// Names Proxmox's own command where it owns the container.
pub(super) fn mention_proxmox(engine: &Engine, name: &Name, matches: &ArgMatches, does: Pct) {
    if matches.get_flag(args::QUIET) {
        return;
    }
    if let Some(told) = engine.proxmox_command(name, does) {
        // A closed stderr must not prevent what was asked for.
        _ = writeln!(std::io::stderr(), "wharf: {name}: {told}");
    }
}

/// Returns the container's name, from `-n` or else the first operand, and the operands left.
pub(super) fn named(matches: &ArgMatches) -> anyhow::Result<(Name, Vec<String>)> {
    let mut rest = operands(matches)?;
    let name = match matches.get_one::<OsString>(args::NAME) {
        Some(name) => text(name)?,
        None if rest.is_empty() => return Err(Usage("no container name given".into()).into()),
        None => rest.remove(0),
    };
    Ok((name.parse()?, rest))
}

/// Returns the container's name and refuses any further operand.
pub(super) fn only_named(matches: &ArgMatches) -> anyhow::Result<Name> {
    let (name, rest) = named(matches)?;
    no_more(&rest)?;
    Ok(name)
}

/// Refuses superfluous operands.
pub(super) fn no_more(rest: &[String]) -> anyhow::Result<()> {
    match rest.first() {
        None => Ok(()),
        Some(first) => Err(Usage(format!("unexpected operand `{first}`")).into()),
    }
}

/// Returns every operand as text.
pub(super) fn operands(matches: &ArgMatches) -> anyhow::Result<Vec<String>> {
    matches.get_many::<OsString>(args::OPERANDS).unwrap_or_default().map(|it| text(it)).collect()
}

/// Splits `KEY=VALUE` options (`-s`, `-v`).
pub(super) fn pairs(matches: &ArgMatches, id: &str) -> anyhow::Result<Vec<(String, String)>> {
    matches
        .get_many::<String>(id)
        .unwrap_or_default()
        .map(|it| {
            let (key, value) = it
                .split_once('=')
                .ok_or_else(|| Usage(format!("`{it}` is not of the form KEY=VALUE")))?;
            Ok((key.trim().to_owned(), value.trim_start().to_owned()))
        })
        .collect()
}

/// Parses an option's value as a number; the error names option and value.
pub(super) fn number<T>(matches: &ArgMatches, id: &str) -> anyhow::Result<Option<T>>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    matches
        .get_one::<String>(id)
        .map(|it| it.parse().with_context(|| format!("{id} `{it}` is not a valid number")))
        .transpose()
}

/// Parses an option's value as the number of a user or group.
pub(super) fn user_or_group(matches: &ArgMatches, option: &str) -> anyhow::Result<Option<Id>> {
    matches
        .get_one::<String>(option)
        .map(|it| it.parse().with_context(|| format!("{option} `{it}`")))
        .transpose()
}

/// Returns an operand as text.
pub(super) fn text(operand: &OsStr) -> anyhow::Result<String> {
    operand.to_str().map(str::to_owned).ok_or_else(|| {
        let bytes = std::os::unix::ffi::OsStrExt::as_bytes(operand);
        Usage(format!("`{}` is not valid UTF-8", shown_bytes(bytes))).into()
    })
}

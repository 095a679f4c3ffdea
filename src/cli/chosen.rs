//! Which containers a command acts on, named one by one or by a pattern, and acting on all of them
//! at the same time.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Mutex;

use anyhow::Context as _;
use clap::{ArgMatches, Command};

use super::failure::{ErrorReport, Usage};
use super::invocation::{self, Invocation, exists};
use super::{args, complain};
use crate::command::{self, Verb};
use crate::engine::{Engine, Error, ErrorKind, Name, State};

const FILTER: &str = "filter";
const DRY_RUN: &str = "dry-run";
/// What acts on a container in any state has this option.
pub(super) const FORCE: &str = "force";
/// The characters that make a word a pattern. No name has one.
const WILD: [char; 3] = ['*', '?', '['];
/// How many containers are acted on at the same time.
const AT_A_TIME: usize = 32;

/// Adds the names, the patterns and `--filter`.
pub(super) fn arguments(command: Command) -> Command {
    command.arg(filter()).arg(args::name()).arg(
        args::operands("NAME...", "The containers, or patterns such as 'web*'")
            // `--filter` may stand alone.
            .required(false),
    )
}

/// Adds `--filter` alone.
pub(super) fn filter() -> clap::Arg {
    args::value(FILTER, None, "REGEX", "Also those whose names match")
}

/// Returns whether `--filter` was given.
pub(super) fn filters(matches: &ArgMatches) -> bool {
    matches.contains_id(FILTER)
}

/// Adds the same, and `--dry-run`, to a command that changes what it finds.
pub(super) fn changed(command: Command) -> Command {
    arguments(command.arg(dry_run()))
}

/// `--dry-run`.
pub(super) fn dry_run() -> clap::Arg {
    args::flag(DRY_RUN, None, "Only print what it would act on")
}

/// The containers that a command was called for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ChosenContainers {
    /// Each once, in the order in which they were named; those of a pattern by name.
    pub(super) names: Vec<Name>,
    /// The operator did not write each of the names.
    pub(super) by_pattern: bool,
}

impl ChosenContainers {
    /// Reads the arguments. A pattern stands for the containers that `verb` can act on; names that
    /// do not exist are refused before anything is done, unless there is only one, about which
    /// the engine knows more to say.
    pub(super) fn read(
        invocation: &Invocation<'_>,
        matches: &ArgMatches,
        verb: Verb,
    ) -> anyhow::Result<Self> {
        let first = matches.get_one::<OsString>(args::NAME);
        let first = first.map(|it| invocation::text(it)).transpose()?;
        let words = first.into_iter().chain(invocation::operands(matches)?).collect();
        Self::of(invocation, matches, verb, words)
    }

    /// The same, for `words` instead of the operands.
    pub(super) fn of(
        invocation: &Invocation<'_>,
        matches: &ArgMatches,
        verb: Verb,
        words: Vec<String>,
    ) -> anyhow::Result<Self> {
        let filter = matches.get_one::<String>(FILTER);
        let (patterns, plain): (Vec<String>, Vec<String>) =
            words.into_iter().partition(|it| it.contains(WILD));
        if plain.is_empty() && patterns.is_empty() && filter.is_none() {
            return Err(Usage("no container name given".into()).into());
        }
        let mut names: Vec<Name> = plain.iter().map(|it| it.parse()).collect::<Result<_, _>>()?;
        let by_pattern = filter.is_some() || !patterns.is_empty();
        // One that does not exist can be waited for.
        if (names.len() > 1 || by_pattern) && verb != Verb::Wait {
            names.iter().try_for_each(|it| exists(&invocation.engine, verb, it))?;
        }
        if by_pattern {
            let there = invocation.engine.list()?;
            for it in &patterns {
                let pattern = glob::Pattern::new(it)
                    .with_context(|| format!("`{it}` is not a valid pattern"))?;
                let found = |name: &str| pattern.matches(name);
                names.extend(fitting(&there, it, verb, found, matches)?);
            }
            if let Some(it) = filter {
                let regex = args::regex(it)?;
                let found = |name: &str| regex.is_match(name);
                names.extend(fitting(&there, it, verb, found, matches)?);
            }
        }
        let mut seen = BTreeSet::new();
        names.retain(|it| seen.insert(it.clone()));
        Ok(Self { names, by_pattern })
    }

    /// Acts on each, on many at the same time, and returns the exit code: that of the failures, or
    /// 1 if they differ. With a single container a failure is the command's own; with several each
    /// is reported at once and ends nothing else.
    pub(super) fn each(
        &self,
        invocation: &Invocation<'_>,
        matches: &ArgMatches,
        verb: Verb,
        act: &(dyn Fn(&Engine, &Name) -> anyhow::Result<u8> + Sync),
    ) -> anyhow::Result<ExitCode> {
        let engine = &invocation.engine;
        if rehearses(matches) {
            return self.rehearse(invocation, matches, &|engine, name| {
                exists(engine, verb, name)?;
                invocation::permit(engine, verb, name)?;
                Ok(format!("would {} {name}\n", verb.act()))
            });
        }
        if let ([name], false) = (self.names.as_slice(), self.by_pattern) {
            return act(engine, name).map(Into::into);
        }
        let quiet = matches.get_flag(args::QUIET);
        let left = Mutex::new(self.names.iter());
        let codes = Mutex::new(ExitCodes::default());
        let work = || {
            // The lock is held only to take the next one.
            while let Some(name) = { lock(&left).next() } {
                let code = act(engine, name).unwrap_or_else(|error| report(engine, error, quiet));
                lock(&codes).add(code);
            }
        };
        // One that does not end must not keep another from being asked to.
        let asks = matches!(verb, Verb::Stop | Verb::Restart);
        let threads = self.names.len().min(if asks { usize::MAX } else { AT_A_TIME });
        std::thread::scope(|scope| {
            for _ in 1..threads {
                // Fewer do it as well.
                _ = std::thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
        Ok(lock(&codes).of_all())
    }

    /// Prints what would be done, as `would` says of each, and what would be refused.
    pub(super) fn rehearse(
        &self,
        invocation: &Invocation<'_>,
        matches: &ArgMatches,
        would: &dyn Fn(&Engine, &Name) -> anyhow::Result<String>,
    ) -> anyhow::Result<ExitCode> {
        let quiet = matches.get_flag(args::QUIET);
        let mut codes = ExitCodes::default();
        let mut said = Vec::new();
        for name in &self.names {
            match would(&invocation.engine, name) {
                Ok(would) => said.push(would),
                Err(error) => codes.add(report(&invocation.engine, error, quiet)),
            }
        }
        std::io::stdout().write_all(said.concat().as_bytes())?;
        Ok(codes.of_all())
    }
}

/// Returns whether nothing is to be done.
pub(super) fn rehearses(matches: &ArgMatches) -> bool {
    has(matches, DRY_RUN)
}

/// Returns whether the flag is given; a command may not have it. Whether it has, clap says only where
/// debug assertions are compiled in.
fn has(matches: &ArgMatches, flag: &str) -> bool {
    matches.try_get_one::<bool>(flag).ok().flatten().is_some_and(|it| *it)
}

/// The exit codes of what was done to several containers.
#[derive(Debug, Default)]
pub(super) struct ExitCodes(BTreeSet<u8>);

impl ExitCodes {
    pub(super) fn add(&mut self, code: u8) {
        self.0.insert(code);
    }

    /// Returns the code of the failures, or 1 if they differ.
    pub(super) fn of_all(&self) -> ExitCode {
        let mut failures = self.0.iter().filter(|it| **it != 0);
        match (failures.next(), failures.next()) {
            (None, _) => ExitCode::SUCCESS,
            (Some(only), None) => ExitCode::from(*only),
            (Some(_), Some(_)) => ExitCode::FAILURE,
        }
    }
}

/// Returns the containers of a pattern that `verb` can act on. A pattern of which nothing is left
/// is reported; one that fits no name at all is refused.
fn fitting(
    there: &[(Name, State)],
    pattern: &str,
    verb: Verb,
    found: impl Fn(&str) -> bool,
    matches: &ArgMatches,
) -> anyhow::Result<Vec<Name>> {
    let named: Vec<_> = there.iter().filter(|(name, _)| found(name.as_str())).collect();
    if named.is_empty() {
        let why = "no container has such a name; `wharf ls` lists them";
        return Err(Error::new(verb, pattern, ErrorKind::Invalid, why).into());
    }
    let allowed =
        |state| has(matches, FORCE) || command::of(verb).is_none_or(|it| it.allowed(state).is_ok());
    let fitting: Vec<Name> =
        named.iter().filter(|(_, state)| allowed(*state)).map(|(name, _)| name.clone()).collect();
    if let ([], Some((name, state))) = (fitting.as_slice(), named.first())
        && !matches.get_flag(args::QUIET)
    {
        let more = if named.len() > 1 { ", and so on" } else { "" };
        let state = state.to_string().to_lowercase();
        let count = named.len();
        let said = format!(
            "`{pattern}` fits {count}, but none to {}: {name} is {state}{more}",
            verb.act()
        );
        complain(&said);
    }
    Ok(fitting)
}

/// Reports one failure among several and returns its exit code.
pub(super) fn report(engine: &Engine, error: anyhow::Error, quiet: bool) -> u8 {
    let error = match error.downcast::<Error>() {
        Ok(refused) => engine.explain(refused).into(),
        Err(error) => error,
    };
    let report = ErrorReport::from(error);
    if !quiet && !report.message.is_empty() {
        complain(&report.message);
    }
    report.code
}

/// A thread that panicked has left nothing half done in these.
fn lock<T>(it: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    it.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

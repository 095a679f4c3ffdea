//! The verbs of the command line: one entry each, and the way from a word to it.

mod autostart;
mod cgroup;
mod check;
mod checkpoint;
mod clone;
mod completion;
mod config;
mod create;
mod destroy;
mod follow;
mod info;
mod inside;
mod link;
mod list;
mod logs;
mod man;
mod processes;
mod run;
mod screenshot;
mod signal;
mod snapshot;
mod stop;
mod top;
mod trash;
mod version;

use std::process::ExitCode;

use clap::{ArgMatches, Command};

pub(super) use completion::VARIABLE as COMPLETING;
pub(super) use config::ACTIONS as CONFIG_ACTIONS;
pub(super) use list::column_names;
pub(super) use run::{mapped, supervise};
pub(super) use snapshot::ACTIONS as SNAPSHOT_ACTIONS;
pub(super) use trash::ACTIONS as TRASH_ACTIONS;

use super::invocation::Invocation;

/// How one verb reads its arguments and what it does with them.
pub(super) struct Subcommand {
    pub(super) name: &'static str,
    pub(super) arguments: fn(Command) -> Command,
    pub(super) run: fn(&mut Invocation<'_>, &ArgMatches) -> anyhow::Result<ExitCode>,
    /// What `wharf help VERB` says below the options: meaning, exit codes, examples.
    pub(super) notes: &'static str,
}

/// Returns every verb.
pub(super) fn all() -> impl Iterator<Item = &'static Subcommand> {
    [
        &list::LS,
        &info::INFO,
        &processes::PS,
        &top::TOP,
        &check::CHECKCONFIG,
        &config::CONFIG,
        &autostart::AUTOSTART,
        &create::CREATE,
        &run::START,
        &run::EXECUTE,
        &stop::STOP,
        &stop::RESTART,
        &stop::FREEZE,
        &stop::UNFREEZE,
        &checkpoint::CHECKPOINT,
        &checkpoint::RESTORE,
        &destroy::DESTROY,
        &trash::TRASH,
        &clone::CLONE,
        &clone::RENAME,
        &snapshot::SNAPSHOT,
        &inside::CONSOLE,
        &inside::ATTACH,
        &cgroup::CGROUP,
        &signal::SIGNAL,
        &logs::LOGS,
        &follow::MONITOR,
        &follow::WAIT,
        &link::LINK,
        &completion::COMPLETION,
        &man::MAN,
        &screenshot::SCREENSHOT,
        &version::VERSION,
    ]
    .into_iter()
}

/// Returns the verb `name`.
pub(super) fn named(name: &str) -> Option<&'static Subcommand> {
    all().find(|it| it.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_has_examples_which_its_parser_takes() {
        for it in all() {
            let (_, examples) = it.notes.split_once("Example").unwrap_or_default();
            let lines = examples.lines().filter_map(|it| it.strip_prefix("  wharf "));
            // A remark is parted from the command by more than one blank.
            let lines: Vec<&str> =
                lines.map(|it| it.split("  ").next().unwrap_or_default()).collect();
            assert!(!lines.is_empty(), "`wharf help {}` has no example", it.name);
            for line in lines {
                let words = crate::engine::command_words(line).unwrap();
                assert_eq!(words.first().map(String::as_str), Some(it.name), "{line}");
                let ends = |it: &String| matches!(it.as_str(), ">" | "|" | "&&");
                let end = words.iter().position(ends).unwrap_or(words.len());
                let words = ["wharf".to_owned()].into_iter().chain(words.into_iter().take(end));
                let parsed = super::super::parser::command().try_get_matches_from(words);
                assert!(parsed.is_ok(), "{line}: {:?}", parsed.err());
            }
        }
    }
}

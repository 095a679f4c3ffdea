//! LXC's names as completion sees them: the words of a call that is not yet whole, and a parser that
//! knows the options. Runs nothing.

use std::path::PathBuf;

use super::getopt::{self, GivenWords, Opt, OptTakes};
use super::{COMMANDS, PREFIX};
use crate::cli::args;

/// What was typed of a call.
pub(in crate::cli) struct LxcWords {
    /// Knows the options, and has one kind of operands.
    pub(in crate::cli) parser: clap::Command,
    pub(in crate::cli) lxcpath: Option<PathBuf>,
    pub(in crate::cli) operands: Vec<String>,
    /// The container, where an option gives it.
    pub(in crate::cli) named: Option<String>,
}

/// Reads the words after `lxc-NAME`; none: there is no such command, or its words are not LXC's.
pub(in crate::cli) fn read_words(name: &str, words: &[String]) -> Option<LxcWords> {
    let command = COMMANDS.iter().find(|it| it.name == name)?;
    let options = command.all_options();
    let mut given = GivenWords::default();
    // The last option may still lack its value.
    _ = getopt::parse(&options, words, false, &mut given);
    let parser = clap::Command::new(format!("{PREFIX}{name}"))
        .disable_help_flag(true)
        .args(options.iter().map(option))
        .arg(args::optional("NAME", ""));
    Some(LxcWords {
        parser,
        lxcpath: given.value("lxcpath").map(PathBuf::from),
        named: given.value("name").map(str::to_owned),
        operands: given.operands,
    })
}

fn option(it: &Opt) -> clap::Arg {
    let arg = match it.takes {
        OptTakes::Nothing => args::flag(it.long, it.short, it.help),
        OptTakes::Value(name) => args::value(it.long, it.short, name, it.help),
        OptTakes::Optional(name) => {
            args::value(it.long, it.short, name, it.help).num_args(0..=1).require_equals(true)
        }
    };
    arg.action(clap::ArgAction::Append)
}

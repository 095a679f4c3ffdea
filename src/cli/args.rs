//! The arguments that several verbs share. No side effects.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction};
use regex::Regex;

pub(super) const LXCPATH: &str = "lxcpath";
pub(super) const QUIET: &str = "quiet";
pub(super) const READ_ONLY: &str = "read-only";
pub(super) const NAME: &str = "name";
pub(super) const OPERANDS: &str = "operands";
pub(super) const COMMAND: &str = "command";
pub(super) const FORMAT: &str = "format";
pub(super) const JSON: &str = "json";

/// The options that every verb takes.
pub(super) fn common() -> [Arg; 2] {
    [
        Arg::new(LXCPATH)
            .short('P')
            .long("lxcpath")
            .value_name("PATH")
            .value_parser(clap::value_parser!(PathBuf))
            .global(true)
            .help("Directory that holds the containers [default: LXC's own]"),
        Arg::new(QUIET)
            .short('q')
            .long("quiet")
            .action(ArgAction::SetTrue)
            .global(true)
            .help("Print no messages, only set the exit code"),
    ]
}

/// `-n NAME`, the other way to give the first operand.
pub(super) fn name() -> Arg {
    Arg::new(NAME)
        .short('n')
        .long("name")
        .value_name("NAME")
        .value_parser(ValueParser::os_string())
        .help("The container, instead of the first operand")
}

/// The operands; options may come between them, and `--` ends the options. A missing first operand
/// is reported by the verb, since `-n` may replace it.
pub(super) fn operands(value_name: &'static str, help: &'static str) -> Arg {
    let parser = clap::value_parser!(OsString);
    Arg::new(OPERANDS).value_name(value_name).num_args(1..).value_parser(parser).help(help)
}

/// Operands of a verb that works without any.
pub(super) fn optional(value_name: &'static str, help: &'static str) -> Arg {
    operands(value_name, help).num_args(0..)
}

/// The words after `--`, where more than one name may come before it.
pub(super) fn command(help: &'static str) -> Arg {
    let parser = clap::value_parser!(OsString);
    let arg = Arg::new(COMMAND).value_name("-- COMMAND").num_args(0..).last(true);
    arg.value_parser(parser).help(help)
}

/// `--json`.
pub(super) fn json() -> Arg {
    flag(JSON, None, "Print JSON")
}

/// `--format TEMPLATE`.
pub(super) fn format() -> Arg {
    value(FORMAT, None, "TEMPLATE", "Print a line for each, such as '{name} {state}'")
        .conflicts_with(JSON)
}

/// An option without a value.
pub(super) fn flag(id: &'static str, short: Option<char>, help: &'static str) -> Arg {
    let arg = Arg::new(id).long(id).action(ArgAction::SetTrue).help(help);
    short.into_iter().fold(arg, Arg::short)
}

/// An option with a value, as text; a negative number counts as a value, which the verb may refuse.
pub(super) fn value(
    id: &'static str,
    short: Option<char>,
    value_name: &'static str,
    help: &'static str,
) -> Arg {
    let arg = Arg::new(id).long(id).value_name(value_name).help(help).allow_negative_numbers(true);
    short.into_iter().fold(arg, Arg::short)
}

/// What `-B loop` makes.
pub(super) fn disk_image() -> [Arg; 2] {
    let size = "Size of the disk image of -B loop [default: 1G]";
    let kind = "Its file system: ext2, ext3 or ext4 [default: ext4]";
    [value("fssize", None, "SIZE", size), value("fstype", None, "TYPE", kind)]
}

/// `-f FILE`.
pub(super) fn config() -> Arg {
    value(
        "config",
        Some('f'),
        "FILE",
        "Configuration to use instead of the container's own, or a template",
    )
    .alias("rcfile")
    .value_parser(clap::value_parser!(PathBuf))
}

/// `-s KEY=VALUE`.
pub(super) fn define() -> Arg {
    value("define", Some('s'), "KEY=VALUE", "Configuration line that comes after the file's")
        .action(ArgAction::Append)
}

/// Compiles a regular expression. What is wrong with it is said in one line, without the picture that
/// the library draws.
pub(super) fn regex(text: &str) -> anyhow::Result<Regex> {
    Regex::new(text).map_err(|error| {
        let error = error.to_string();
        let why = error.lines().last().unwrap_or_default();
        let why = why.strip_prefix("error: ").unwrap_or(why);
        anyhow::anyhow!("`{text}` is not a regular expression: {why}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_regular_expression_is_one_line() {
        assert!(regex("^web[0-9]$").unwrap().is_match("web1"));
        let said = |text| regex(text).unwrap_err().to_string();
        assert_eq!(said("["), "`[` is not a regular expression: unclosed character class");
        let long = said("(?:a{1000}){1000}");
        assert!(long.contains("size limit") && !long.contains('\n'), "{long}");
    }
}

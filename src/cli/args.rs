//! The arguments of the command line and their help. No side effects.
//!
//! Names and help come from the table in [`crate::command`]; each verb adds its own options.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction};

use super::verbs;
use crate::command::{COMMANDS, Category, CommandSpec};

pub(super) const LXCPATH: &str = "lxcpath";
pub(super) const QUIET: &str = "quiet";
pub(super) const READ_ONLY: &str = "read-only";
pub(super) const NAME: &str = "name";
pub(super) const OPERANDS: &str = "operands";
pub(super) const JSON: &str = "json";

const VERB_TEMPLATE: &str = "\
{about}

{usage-heading} {usage}

{all-args}{after-help}";

/// Builds the parser of the whole command line.
pub(super) fn command() -> clap::Command {
    clap::Command::new("wharf")
        .bin_name("wharf")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A live full-screen manager for Linux containers")
        .override_help(overview())
        .disable_help_subcommand(true)
        .max_term_width(100)
        .args(common())
        .arg(flag(READ_ONLY, None, "Open the screen to look only, and change nothing"))
        .subcommands(verbs::all().map(verb))
        .subcommand(help())
}

/// Builds the parser of one verb.
fn verb(entry: &verbs::Subcommand) -> clap::Command {
    let command = clap::Command::new(entry.name).help_template(VERB_TEMPLATE);
    let command = (entry.arguments)(command).mut_args(|it| {
        // They are described with the usage.
        let hidden = it.is_positional() || it.is_hide_set();
        it.hide(hidden)
    });
    let Some(line) = COMMANDS.iter().find(|it| it.name == entry.name) else {
        return command.hide(true);
    };
    let usage = usage(line, &command);
    command
        .about(line.help)
        .override_usage(usage)
        .visible_aliases(line.aliases)
        .after_help(entry.notes)
}

/// Writes how the command is called, from its arguments, and the other words for it.
fn usage(line: &CommandSpec, command: &clap::Command) -> String {
    let mut usage = format!("wharf {} [OPTIONS]", line.name);
    let mut explained = String::new();
    let required = command.get_opts().filter(|it| it.is_required_set());
    for it in required.chain(command.get_positionals()) {
        let short = it.get_short().map(|it| format!(" -{it}")).unwrap_or_default();
        let value = it.get_value_names().and_then(<[_]>::first).map_or("", |it| it.as_str());
        let optional = it.get_num_args().is_some_and(|it| it.min_values() == 0);
        let value = if optional { format!("[{value}]") } else { value.to_owned() };
        // Writing to a String cannot fail.
        _ = write!(usage, "{short} {value}");
        if let (true, Some(help)) = (it.is_positional(), it.get_help()) {
            _ = write!(explained, "\n\nArguments:\n  {value}  {help}");
        }
    }
    if !line.aliases.is_empty() {
        _ = write!(usage, "\n\nAlso called: {}", line.aliases.join(", "));
    }
    usage + &explained
}

fn help() -> clap::Command {
    clap::Command::new("help")
        .about("Explain a command")
        .help_template(VERB_TEMPLATE)
        .override_usage("wharf help [COMMAND]")
        .arg(optional("COMMAND", "The command to explain"))
}

/// The options that every verb takes.
fn common() -> [Arg; 2] {
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

/// `--json`.
pub(super) fn json() -> Arg {
    flag(JSON, None, "Print JSON")
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

/// `-f FILE`.
pub(super) fn config() -> Arg {
    value("config", Some('f'), "FILE", "Configuration file to use instead of the container's own")
        .alias("rcfile")
        .value_parser(clap::value_parser!(PathBuf))
}

/// `-s KEY=VALUE`.
pub(super) fn define() -> Arg {
    value("define", Some('s'), "KEY=VALUE", "Configuration line that comes after the file's")
        .action(ArgAction::Append)
}

/// Writes the help of wharf as a whole.
fn overview() -> String {
    let mut text = String::from(
        "wharf: a live full-screen manager for Linux containers\n\n\
         Usage: wharf [-P PATH] [--read-only]   open the screen\n       \
         wharf COMMAND [OPTIONS] NAME …  run one command\n",
    );
    for category in Category::ALL {
        // Writing to a String cannot fail.
        _ = writeln!(text, "\n{}:", category.title());
        for it in COMMANDS.iter().filter(|it| it.category == category && verbs::is_verb(it.name)) {
            _ = writeln!(text, "  {:<12} {}", it.name, it.help);
        }
    }
    text.push_str(
        "\nEvery command takes:\n  \
         -P, --lxcpath PATH  directory that holds the containers [default: LXC's own]\n  \
         -q, --quiet         print no messages, only set the exit code\n  \
         -h, --help          explain the command\n\n\
         The screen reads ~/.config/wharf/config.toml, if there is one: theme, ascii, refresh.\n\
         `wharf help COMMAND` explains a command, `wharf version` prints the version.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Verb;

    #[test]
    fn the_parser_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn every_command_of_the_table_is_a_verb_by_each_of_its_names() {
        let root = command();
        // A restart is `stop -r`; signals are sent only from the screen.
        for line in COMMANDS.iter().filter(|it| !matches!(it.verb, Verb::Restart | Verb::Signal)) {
            for word in line.aliases.iter().chain([&line.name]) {
                let found = root.find_subcommand(word).map(clap::Command::get_name);
                assert_eq!(found, Some(line.name), "{word}");
            }
        }
    }

    #[test]
    fn usage_is_made_of_the_arguments() {
        for (name, expected) in [
            ("wait", "[OPTIONS] -s STATES NAME\n\nArguments:\n  NAME  The container"),
            ("ls", "[OPTIONS] [REGEX]\n\nAlso called: list\n\nArguments:\n  [REGEX]  Only"),
            ("checkconfig", "[OPTIONS]"),
        ] {
            let entry = verbs::all().find(|it| it.name == name).unwrap();
            let usage = verb(entry).render_usage().to_string();
            assert!(usage.starts_with(&format!("Usage: wharf {name} {expected}")), "{usage}");
        }
    }

    #[test]
    fn options_may_follow_operands_until_two_dashes() {
        let args = ["wharf", "start", "web", "-P", "/x", "--", "ls", "-F"];
        let matches = command().try_get_matches_from(args).unwrap();
        let (_, start) = matches.subcommand().unwrap();
        let operands: Vec<&OsString> = start.get_many(OPERANDS).unwrap().collect();
        assert_eq!(operands, ["web", "ls", "-F"]);
        assert!(!start.get_flag("foreground"));
        assert_eq!(matches.get_one::<PathBuf>(LXCPATH), Some(&PathBuf::from("/x")));
    }
}

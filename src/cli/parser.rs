//! The parser of the command line, with its help and its messages.
//!
//! Names and help come from the table in [`crate::command`]; each verb adds its own options.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::ArgMatches;

use super::failure::{EXIT_CODES, Usage};
use super::invocation::{self, Invocation};
use super::{args, verbs};
use crate::command::{self as table, COMMANDS, Category, CommandSpec};
use crate::engine::shown::shown;

/// The operand of `help` that is not a command.
const EXIT_CODES_TOPIC: &str = "exit-codes";

const VERB_TEMPLATE: &str = "\
{about}

{usage-heading} {usage}

{all-args}{after-help}";

/// Builds the parser of the whole command line.
pub(super) fn command() -> clap::Command {
    root(verbs::all().map(|it| completed(named(it))))
}

/// The same, in which only the verb that is called gets its arguments, when it is: to make those of
/// all costs more than many a command.
pub(super) fn lazy() -> clap::Command {
    root(verbs::all().map(|it| named(it).defer(completed)))
}

fn root(verbs: impl Iterator<Item = clap::Command>) -> clap::Command {
    clap::Command::new("wharf")
        .bin_name("wharf")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A live full-screen manager for Linux containers")
        .override_help(overview())
        .disable_help_subcommand(true)
        .max_term_width(100)
        .args(args::common())
        .arg(args::flag(args::READ_ONLY, None, "Open the screen to look only, and change nothing"))
        .subcommands(verbs)
        .subcommand(help())
}

/// Begins the parser of one verb: all that is needed to recognise it.
fn named(entry: &verbs::Subcommand) -> clap::Command {
    let command = clap::Command::new(entry.name);
    match COMMANDS.iter().find(|it| it.name == entry.name) {
        Some(line) => command.visible_aliases(line.aliases),
        None => command.hide(true),
    }
}

/// Completes it with its arguments and its help.
fn completed(command: clap::Command) -> clap::Command {
    let Some(entry) = verbs::named(command.get_name()) else { return command };
    let command = command.help_template(VERB_TEMPLATE);
    let command = (entry.arguments)(command).mut_args(|it| {
        // They are described with the usage.
        let hidden = it.is_positional() || it.is_hide_set();
        it.hide(hidden)
    });
    let Some(line) = COMMANDS.iter().find(|it| it.name == entry.name) else {
        return command;
    };
    let usage = usage(line, &command);
    command.about(line.help).override_usage(usage).after_help(entry.notes)
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
            let head = if explained.is_empty() { "\n\nArguments:" } else { "" };
            _ = write!(explained, "{head}\n  {value}  {help}");
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
        .arg(args::optional("COMMAND", "The command to explain"))
}

/// Writes the help of wharf as a whole.
fn overview() -> String {
    let mut text = String::from(
        "wharf: a live full-screen manager for Linux containers\n\n\
         Usage: wharf [-P PATH] [--read-only]   open the screen\n       \
         wharf COMMAND [OPTIONS] NAME …  run one command\n       \
         wharf lxc NAME [OPTIONS] …      run lxc-NAME as LXC has it\n",
    );
    for category in Category::ALL {
        // Writing to a String cannot fail.
        _ = writeln!(text, "\n{}:", category.title());
        for it in
            COMMANDS.iter().filter(|it| it.category == category && verbs::named(it.name).is_some())
        {
            _ = writeln!(text, "  {:<12} {}", it.name, it.help);
        }
    }
    text.push_str(
        "\nEvery command takes:\n  \
         -P, --lxcpath PATH  directory that holds the containers [default: LXC's own]\n  \
         -q, --quiet         print no messages, only set the exit code\n  \
         -h, --help          explain the command\n\n\
         The screen reads ~/.config/wharf/config.toml, if there is one: theme, ascii, refresh.\n\
         `wharf help COMMAND` explains a command, `wharf help exit-codes` the exit codes, and\n\
         `wharf version` prints the version.\n",
    );
    text
}

/// Explains the verb that the first operand names, or wharf as a whole.
pub(super) fn explain(
    invocation: &mut Invocation<'_>,
    matches: &ArgMatches,
) -> anyhow::Result<ExitCode> {
    let mut root = command();
    root.build();
    let operands = invocation::operands(matches)?;
    let text = match operands.first() {
        None => root.render_help(),
        Some(word) if word == EXIT_CODES_TOPIC => {
            write!(invocation.out, "{}", exit_codes())?;
            return Ok(ExitCode::SUCCESS);
        }
        Some(word) => {
            let name = table::named(word).map_or(word.as_str(), |it| it.name);
            let verb: Option<&mut clap::Command> = root.find_subcommand_mut(name);
            verb.ok_or_else(|| Usage(format!("no command `{word}`; `wharf help` lists them")))?
                .render_help()
        }
    };
    write!(invocation.out, "{text}")?;
    Ok(ExitCode::SUCCESS)
}

fn exit_codes() -> String {
    let mut text = String::from("Exit codes:\n");
    for (code, meaning) in EXIT_CODES {
        // Writing to a String cannot fail.
        _ = writeln!(text, "  {code:<6} {meaning}");
    }
    text + "\nOf several containers: the code of those that failed, or 1 if they differ. Called by LXC's\n\
            names, such as lxc-start, wharf returns LXC's codes.\n"
}

/// Says in one line what was wrong with the arguments, and in a second one where to find help.
pub(super) fn complaint(refusal: &clap::Error) -> String {
    let text = refusal.render().to_string();
    let mut parts = Vec::new();
    let mut verb = None;
    for line in text.lines().map(str::trim).filter(|it| !it.is_empty()) {
        if let Some(usage) = line.strip_prefix("Usage: wharf ") {
            verb = usage.split(' ').next().filter(|it| verbs::named(it).is_some());
            break;
        }
        let lacking = line.starts_with("--").then_some(line);
        let line = line.strip_prefix("error: ").or_else(|| line.strip_prefix("tip: ")).or(lacking);
        parts.extend(line.map(|it| shown(it).into_owned()));
    }
    let hint = verb.map_or_else(|| "wharf help".to_owned(), |it| format!("wharf help {it}"));
    format!("{}\nTry `{hint}`.", parts.join("; ").replace(":; ", ": "))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn the_parser_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn every_command_of_the_table_is_a_verb_by_each_of_its_names() {
        let root = command();
        for line in COMMANDS {
            for word in line.aliases.iter().chain([&line.name]) {
                let found = root.find_subcommand(word).map(clap::Command::get_name);
                assert_eq!(found, Some(line.name), "{word}");
            }
        }
    }

    #[test]
    fn usage_is_made_of_the_arguments() {
        for (name, expected) in [
            ("wait", "[OPTIONS] -s STATES NAME...\n\nArguments:\n  NAME...  The containers"),
            ("ls", "[OPTIONS] [REGEX]\n\nAlso called: list\n\nArguments:\n  [REGEX]  Only"),
            ("checkconfig", "[OPTIONS]"),
        ] {
            let usage = completed(clap::Command::new(name)).render_usage().to_string();
            assert!(usage.starts_with(&format!("Usage: wharf {name} {expected}")), "{usage}");
        }
    }

    #[test]
    fn options_may_follow_operands_until_two_dashes() {
        let args = ["wharf", "execute", "web", "-P", "/x", "--", "ls", "-F"];
        let matches = command().try_get_matches_from(args).unwrap();
        let (_, execute) = matches.subcommand().unwrap();
        let operands: Vec<&OsString> = execute.get_many(args::OPERANDS).unwrap().collect();
        assert_eq!(operands, ["web", "ls", "-F"]);
        assert_eq!(matches.get_one::<PathBuf>(args::LXCPATH), Some(&PathBuf::from("/x")));
    }
}

//! Completion: the words that fit where a shell's cursor is. Reads the containers, changes nothing,
//! and is silent about whatever it cannot read.

mod typed;
mod words;

use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Arg, Command, ValueHint};
use clap_complete::CompletionCandidate;
use clap_complete::engine::ArgValueCompleter;
use clap_complete::env::Shells;

use self::typed::TypedWords;
use super::{args, lxc, parser, verbs};

/// The word before LXC's names.
const LXC: &str = "lxc";

/// Answers if a shell asks, as the text of `wharf completion` lets it do.
pub(super) fn main(arguments: &[OsString]) -> Option<ExitCode> {
    let shell = std::env::var_os(verbs::COMPLETING)?;
    let builtins = Shells::builtins();
    let shell = builtins.completer(shell.to_str()?)?;
    // No command line begins so, and the variable alone must not change what one does.
    let (_program, [dashes, words @ ..]) = arguments.split_first()? else { return None };
    if dashes != "--" || words.is_empty() {
        return None;
    }
    let mut words = words.to_vec();
    let cursor = cursor(&words);
    if shell.name() == "bash" {
        join_values(&mut words, cursor);
    }
    if cursor == words.len() {
        words.push(OsString::new());
    }
    words.truncate(cursor + 1);
    let mut command = command(&words);
    let here = std::env::current_dir().ok();
    let mut text = Vec::new();
    // A shell that gets nothing completes nothing.
    _ = shell.write_complete(&mut command, words, here.as_deref(), &mut text);
    _ = io::stdout().write_all(&text);
    Some(ExitCode::SUCCESS)
}

/// Takes out what bash makes a word of its own before the cursor: the sign between an option and its
/// value. Another option stands there instead, as the shell has said by its number where the cursor is.
fn join_values(words: &mut [OsString], cursor: usize) {
    for at in 1..cursor.min(words.len()) {
        if let Some([option, sign]) = words.get_mut(at - 1..=at)
            && sign == "="
            && option.to_str().is_some_and(|it| it.starts_with("--"))
        {
            *sign = std::mem::replace(option, "--quiet".into());
        }
    }
}

/// Returns which word the cursor is in. fish passes no word after it.
fn cursor(words: &[OsString]) -> usize {
    let given = std::env::var("_CLAP_COMPLETE_INDEX").ok().and_then(|it| it.parse().ok());
    given.unwrap_or(words.len() - 1).min(words.len())
}

/// Builds the parser of what is being typed, in which each argument knows its words.
fn command(words: &[OsString]) -> Command {
    let words: Vec<&OsStr> = words.iter().map(OsString::as_os_str).collect();
    let [program, before @ .., current] = words.as_slice() else { return Command::new(LXC) };
    // Options are offered once a dash is typed, or where there is nothing else.
    let options = if current.is_empty() { Offer::IfNothingElse } else { Offer::Always };
    match lxc_name(program) {
        Some(name) => of_lxc(&name, before, options),
        None => of_wharf(before, options),
    }
}

/// When options are among the words that fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Offer {
    Always,
    IfNothingElse,
}

fn lxc_name(program: &OsStr) -> Option<String> {
    let base = Path::new(program).file_name()?.to_str()?;
    base.strip_prefix(lxc::PREFIX).map(str::to_owned)
}

fn of_lxc(name: &str, before: &[&OsStr], options: Offer) -> Command {
    let text: Vec<String> = before.iter().map(|it| it.to_string_lossy().into_owned()).collect();
    match lxc::read_words(name, &text) {
        Some(read) => {
            let (parser, typed) = TypedWords::of_lxc(name, read);
            with_words(parser, &Arc::new(typed), options)
        }
        None => Command::new(LXC),
    }
}

fn of_wharf(before: &[&OsStr], options: Offer) -> Command {
    let lxc = Command::new(LXC).about("Run lxc-NAME as LXC has it");
    let lxc = lxc.subcommands(lxc::names().map(Command::new));
    let root = offering(parser::command(), options);
    match before {
        [word, name, before @ ..] if *word == LXC => {
            let name = name.to_string_lossy().into_owned();
            let parser = of_lxc(name.strip_prefix(lxc::PREFIX).unwrap_or(&name), before, options);
            root.subcommand(Command::new(LXC).subcommand(parser.name(name)))
        }
        _ => match TypedWords::of_wharf(before) {
            Some(typed) => {
                let typed = Arc::new(typed);
                let verb = typed.verb.clone();
                root.mut_subcommand(verb, |it| with_words(it, &typed, options))
            }
            None => root.subcommand(lxc),
        },
    }
}

/// Hides the options where they are not to be offered beside other words.
fn offering(command: Command, options: Offer) -> Command {
    match options {
        Offer::Always => command,
        Offer::IfNothingElse => command.disable_help_flag(true).mut_args(|it| {
            let hidden = it.is_hide_set() || !it.is_positional();
            it.hide(hidden)
        }),
    }
}

/// Gives each argument the words that it takes.
fn with_words(command: Command, typed: &Arc<TypedWords>, options: Offer) -> Command {
    offering(command, options).mut_args(|arg| {
        let kind = kind(&arg, typed);
        if matches!(kind.as_str(), "PATH" | "DIR" | "IMAGE" | "TEMPLATE")
            || kind == "FILE" && !words::is_known(&kind, typed)
        {
            return arg.value_hint(ValueHint::AnyPath);
        }
        if !words::is_known(&kind, typed) {
            return arg;
        }
        let typed = Arc::clone(typed);
        let complete = move |current: &OsStr| -> Vec<CompletionCandidate> {
            current.to_str().map(|it| words::fitting(&kind, it, &typed)).unwrap_or_default()
        };
        arg.add(ArgValueCompleter::new(complete))
    })
}

/// Returns what kind of word an argument takes next: the name of its value, as help has it.
fn kind(arg: &Arg, typed: &TypedWords) -> String {
    let pattern = arg.get_value_names().and_then(<[_]>::first).map_or("", |it| it.as_str());
    if arg.get_id() == args::OPERANDS { typed.kind(pattern) } else { pattern.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_of_a_long_option_is_a_word_of_its_own() {
        for (words, cursor, joined) in [
            ("wharf wait --state = STO", 4, "wharf wait --quiet --state STO"),
            ("wharf wait --state STO", 3, "wharf wait --state STO"),
            ("wharf attach web = x", 4, "wharf attach web = x"),
            ("wharf wait --state = A w", 5, "wharf wait --quiet --state A w"),
        ] {
            let mut words: Vec<OsString> = words.split(' ').map(OsString::from).collect();
            join_values(&mut words, cursor);
            assert_eq!(words, joined.split(' ').map(OsString::from).collect::<Vec<_>>());
        }
    }
}

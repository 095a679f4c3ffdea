//! LXC's own command names: `lxc-start` and the others, called by a link of that name or as
//! `wharf lxc NAME`. They take LXC's options and give LXC's output and exit codes; what they do is
//! done by the same calls of the engine as wharf's own verbs.

mod apart;
mod autostart;
mod call;
mod cgroup;
mod checkconfig;
mod checkpoint;
mod completed;
mod config;
mod console;
mod copy;
mod create;
mod device;
mod ephemeral;
mod follow;
mod getopt;
mod info;
mod inside;
mod life;
mod list;
mod older;
mod processes;
mod snapshot;
mod state;
mod top;
mod used;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;

use self::call::{LxcCall, LxcCommand, LxcRefusal};
pub(super) use self::completed::{LxcWords, read_words};
use self::getopt::GivenWords;
use super::failure::{ErrorReport, UNWRITTEN};
use super::invocation;
use crate::engine::shown::shown;
use crate::engine::{Error, ErrorKind, Verb};

/// The version of LXC whose options, output and exit codes these are.
const VERSION: &str = "5.0.2";

/// What a link's name begins with.
pub(super) const PREFIX: &str = "lxc-";
/// The word for `wharf lxc NAME`.
const WORD: &str = "lxc";

/// Every command, by name.
const COMMANDS: &[&LxcCommand] = &[
    &inside::ATTACH,
    &autostart::AUTOSTART,
    &cgroup::CGROUP,
    &checkpoint::CHECKPOINT,
    &copy::CLONE,
    &console::CONSOLE,
    &copy::COPY,
    &create::CREATE,
    &life::DESTROY,
    &device::DEVICE,
    &life::EXECUTE,
    &state::FREEZE,
    &info::INFO,
    &apart::INIT,
    &older::KILL,
    &list::LS,
    &follow::MONITOR,
    &apart::NETSTAT,
    &cgroup::PRIORITY,
    &processes::PS,
    &older::RESTART,
    &older::SHUTDOWN,
    &snapshot::SNAPSHOT,
    &life::START,
    &life::STOP,
    &top::TOP,
    &state::UNFREEZE,
    &apart::UNSHARE,
    &apart::USERNSEXEC,
    &older::VERSION,
    &state::WAIT,
];

/// Those whose arguments have no common form, by name.
const APART: &[(&str, RunApart)] = &[
    ("checkconfig", checkconfig::run),
    ("config", config::config),
    ("update-config", config::update_config),
];

/// Runs a command, called so, with these words.
type RunApart = fn(&str, &[OsString]) -> ExitCode;

/// Returns the names of all commands, without `lxc-`.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let all = COMMANDS.iter().map(|it| it.name).chain(APART.iter().map(|it| it.0));
    all.collect::<BTreeSet<_>>().into_iter()
}

/// Runs the command if the arguments call one by LXC's name.
pub(super) fn main(arguments: &[OsString]) -> Option<ExitCode> {
    let (called, rest) = arguments.split_first()?;
    let base = Path::new(called).file_name()?.to_str()?;
    if let Some(name) = base.strip_prefix(PREFIX) {
        return Some(named(name, &called.to_string_lossy(), rest));
    }
    let (before, rest) = own_options(rest);
    let (word, rest) = rest.split_first()?;
    if word != WORD {
        return None;
    }
    let usage = || format!("Usage: wharf lxc COMMAND [OPTIONS]\n\n{}", known());
    let Some((name, rest)) = rest.split_first() else {
        say(&usage());
        return Some(ExitCode::FAILURE);
    };
    if name == "--help" || name == "-h" {
        let written = io::stdout().write_all(usage().as_bytes());
        return Some(if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let name = name.to_string_lossy();
    let name = name.strip_prefix(PREFIX).unwrap_or(&name);
    // Those apart take their words as they are.
    let before = if APART.iter().any(|it| it.0 == name) { Vec::new() } else { before };
    let rest: Vec<OsString> = before.iter().chain(rest).cloned().collect();
    Some(named(name, &format!("{PREFIX}{name}"), &rest))
}

/// Parts off the options that `wharf` itself takes before the word, as the commands spell them.
fn own_options(arguments: &[OsString]) -> (Vec<OsString>, &[OsString]) {
    let (mut own, mut rest) = (Vec::new(), arguments);
    while let Some((first, after)) = rest.split_first() {
        let Some((quiet, path)) = first.to_str().and_then(own_option) else { break };
        let (path, after) = match (path, after.split_first()) {
            (OwnPath::Attached(path), _) => (Some(path.into()), after),
            (OwnPath::Next, Some((path, after))) => (Some(path.clone()), after),
            (OwnPath::Next, None) => break,
            (OwnPath::None, _) => (None, after),
        };
        own.extend(quiet.then(|| OsString::from("--quiet")));
        own.extend(path.map(|it| {
            let mut option = OsString::from("--lxcpath=");
            option.push(it);
            option
        }));
        rest = after;
    }
    (own, rest)
}

/// Where the lxcpath is that a word of the command line names.
enum OwnPath<'a> {
    None,
    Attached(&'a str),
    Next,
}

/// Reads one word by the rules of `wharf` itself, where `-P=DIR` is `-P DIR`: whether it asks for
/// quiet, and the lxcpath. None: it is something else.
fn own_option(word: &str) -> Option<(bool, OwnPath<'_>)> {
    match word.strip_prefix("--") {
        Some("quiet") => return Some((true, OwnPath::None)),
        Some("lxcpath") => return Some((false, OwnPath::Next)),
        Some(long) => return Some((false, OwnPath::Attached(long.strip_prefix("lxcpath=")?))),
        None => (),
    }
    let letters = word.strip_prefix('-').filter(|it| !it.is_empty())?;
    let after = letters.trim_start_matches('q');
    let path = match after.strip_prefix('P') {
        None if after.is_empty() => OwnPath::None,
        None => return None,
        Some("") => OwnPath::Next,
        Some(path) => OwnPath::Attached(path.strip_prefix('=').unwrap_or(path)),
    };
    Some((letters.starts_with('q'), path))
}

fn named(name: &str, program: &str, rest: &[OsString]) -> ExitCode {
    if let Some((_, run)) = APART.iter().find(|it| it.0 == name) {
        return run(program, rest);
    }
    let Some(command) = COMMANDS.iter().find(|it| it.name == name) else {
        say(&format!("Unsupported command '{}'\n{}", shown(name), known()));
        return ExitCode::FAILURE;
    };
    run(command, program, rest)
}

fn known() -> String {
    names().fold("Known commands:\n".to_owned(), |text, it| text + "- " + it + "\n")
}

/// Writes to standard error in one piece.
fn say(text: &str) {
    // Nothing can be reported when stderr itself is gone.
    _ = io::stderr().write_all(text.as_bytes());
}

fn run(command: &'static LxcCommand, program: &str, rest: &[OsString]) -> ExitCode {
    let words = match rest.iter().map(|it| invocation::text(it)).collect::<Result<Vec<_>, _>>() {
        Ok(words) => words,
        Err(error) => {
            say(&format!("{}: {error}\n", shown(program)));
            return ExitCode::FAILURE;
        }
    };
    let parts = command.parts.and_then(|it| it(&words));
    let own = parts.as_ref().map_or(&words, |it| &it.own);
    let mut given = GivenWords::default();
    let parsed = getopt::parse(&command.all_options(), own, false, &mut given);
    if let Some(code) = answer(command, &given) {
        return code;
    }
    if let Err(message) = parsed {
        say(&format!("{}: {}\n{}", shown(program), shown(&message), command.help()));
        return ExitCode::FAILURE;
    }
    let mut out = BufWriter::new(io::stdout());
    let quiet = given.has("quiet");
    let mut call = match LxcCall::new(command, given, &mut out) {
        Ok(call) => call,
        Err(message) => {
            if !quiet {
                say(&format!("{message}\n"));
            }
            return ExitCode::FAILURE;
        }
    };
    call.others = parts.map(|it| it.others);
    let ended = (command.run)(&mut call).and_then(|code| {
        call.out.flush().context(UNWRITTEN)?;
        Ok(code)
    });
    ended.unwrap_or_else(|error| fail(&mut call, error))
}

/// Answers what is asked of the command itself.
fn answer(command: &LxcCommand, given: &GivenWords) -> Option<ExitCode> {
    let asked = given.options.iter().find(|it| matches!(it.0, "help" | "usage" | "version"))?;
    match asked.0 {
        "help" => say(&command.help()),
        "usage" => say(&command.short_usage()),
        _ => _ = writeln!(io::stdout(), "{VERSION}"),
    }
    let refused = asked.1.is_some();
    Some(if refused { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Reports a failure, and returns LXC's exit code for it.
fn fail(call: &mut LxcCall<'_>, error: anyhow::Error) -> ExitCode {
    // What was found before it failed is still valid.
    _ = call.out.flush();
    if let Some(refusal) = error.downcast_ref::<LxcRefusal>() {
        let (text, code) = (refusal.text.clone(), refusal.code);
        if !text.is_empty() {
            call.complain(&text);
        }
        return ExitCode::from(code);
    }
    let error = match error.downcast::<Error>() {
        Ok(refused) => {
            let refused = call.engine.explain(refused);
            call.complain(&refused.reason());
            return ExitCode::from(code_of(&refused));
        }
        Err(error) => error,
    };
    let report = ErrorReport::from(error);
    if !report.message.is_empty() {
        call.complain(&report.message);
    }
    ExitCode::from(report.code)
}

/// LXC cannot run a command in a new container: that is its own failure; in a running one it is the
/// command's, as in a shell.
const fn code_of(refused: &Error) -> u8 {
    const NEVER_RAN: u8 = 255;
    match (refused.verb, refused.kind) {
        (Verb::Execute, ErrorKind::NoCommand | ErrorKind::BadCommand) => NEVER_RAN,
        (Verb::Attach, ErrorKind::NoCommand) => 127,
        (Verb::Attach, ErrorKind::BadCommand) => 126,
        (Verb::Stop | Verb::Restart, ErrorKind::NotRunning | ErrorKind::NotFound) => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_and_every_option_is_there_once() {
        let names: Vec<&str> = names().collect();
        assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
        for command in COMMANDS {
            let mut short: Vec<char> =
                command.all_options().iter().filter_map(|it| it.short).collect();
            let all = short.len();
            short.sort_unstable();
            short.dedup();
            assert_eq!(short.len(), all, "lxc-{}", command.name);
        }
    }

    #[test]
    fn options_of_wharf_may_come_before_the_word() {
        let words = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        for (given, own, rest) in [
            ("-P /x -q lxc ls", "--lxcpath=/x --quiet", "lxc ls"),
            ("-P/x lxc ls", "--lxcpath=/x", "lxc ls"),
            ("-P=/x lxc ls", "--lxcpath=/x", "lxc ls"),
            ("-qP /x lxc ls", "--quiet --lxcpath=/x", "lxc ls"),
            ("-qqP=/x --quiet lxc ls", "--quiet --lxcpath=/x --quiet", "lxc ls"),
            ("--lxcpath=/x ls -P /y", "--lxcpath=/x", "ls -P /y"),
        ] {
            let given = words(given);
            let (before, after) = own_options(&given);
            assert_eq!((before, after.to_vec()), (words(own), words(rest)));
        }
        for none in ["ls -q", "-qx lxc ls", "-qP", "--lxcpath", "- lxc", "-- lxc", "--quiet=1 lxc"]
        {
            assert!(own_options(&words(none)).0.is_empty(), "{none}");
        }
    }

    #[test]
    fn help_has_the_layout_that_completion_reads() {
        let help = life::STOP.help();
        assert!(help.starts_with("Usage: lxc-stop --name=NAME\n\nlxc-stop "), "{help}");
        assert!(help.contains("\n  -k, --kill "), "{help}");
        assert!(help.contains("\nCommon options :\n"), "{help}");
        let usage = life::STOP.short_usage();
        let first =
            "Usage: lxc-stop [-r|--reboot] [-W|--nowait] [-t|--timeout=TIMEOUT] [-k|--kill] \n\t";
        assert!(usage.starts_with(first), "{usage}");
    }
}

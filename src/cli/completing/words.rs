//! The words of each kind, as the names of values in help call them.

use clap_complete::CompletionCandidate;

use super::typed::TypedWords;
use crate::cli::verbs;
use crate::command::{self, COMMANDS, Verb};
use crate::engine::shown::shown;
use crate::engine::{Name, State, keys, signal_names};

/// Returns whether there are words of this kind.
pub(super) fn is_known(kind: &str, typed: &TypedWords) -> bool {
    reader(kind, typed).is_some()
}

/// Returns the words of this kind that begin with `current`.
pub(super) fn fitting(kind: &str, current: &str, typed: &TypedWords) -> Vec<CompletionCandidate> {
    let Some(read) = reader(kind, typed) else { return Vec::new() };
    // Of a list only the last word is completed.
    let at = if kind == "COLUMNS" { current.rfind(',').map_or(0, |it| it + 1) } else { 0 };
    let (list, current) = current.split_at(at);
    let words = read(typed).into_iter().filter(|(word, _)| word.starts_with(current));
    let candidate = |(word, help): WordWithHelp| {
        // Comments and command lines are others' words, and shells print them.
        let help = Some(shown(&help).into_owned()).filter(|it| !it.is_empty());
        CompletionCandidate::new(format!("{list}{word}")).help(help.map(Into::into))
    };
    words.map(candidate).collect()
}

/// A word, and what it means.
type WordWithHelp = (String, String);

type ReadWords = fn(&TypedWords) -> Vec<WordWithHelp>;

fn reader(kind: &str, typed: &TypedWords) -> Option<ReadWords> {
    let verb = typed.line().map(|it| it.verb);
    Some(match kind {
        // The name of one that is to be made.
        "NAME" if verb == Some(Verb::Create) => return None,
        "NAME" => containers,
        "CONTAINER" | "NAMES" | "REGEX" => all_containers,
        "IMAGE" if typed.line().is_some() => all_containers,
        "KEY" => config_keys,
        "KEY=VALUE" => |typed| with_equals(config_keys(typed)),
        "STATES" | "STATE" | "SIGN" => |_typed| plain(State::ALL.map(State::word)),
        "COLUMNS" => |_typed| plain(verbs::column_names()),
        "SHELL" => |_typed| plain(["bash", "zsh", "fish"]),
        "SIGNAL" => |_typed| plain(signal_names()),
        "SNAP" => snapshots,
        "PID" => processes,
        "FILE" if verb == Some(Verb::EditCgroup) => cgroup_files,
        "COMMAND" if matches!(typed.verb.as_str(), "help" | "man") => commands,
        "ACTION" => actions,
        "ID" if verb == Some(Verb::RestoreTrashed) => trashed,
        _ => return None,
    })
}

fn plain(words: impl IntoIterator<Item = &'static str>) -> Vec<WordWithHelp> {
    words.into_iter().map(|it| (it.to_owned(), String::new())).collect()
}

fn with_equals(words: Vec<WordWithHelp>) -> Vec<WordWithHelp> {
    words.into_iter().map(|(word, help)| (word + "=", help)).collect()
}

fn all_containers(typed: &TypedWords) -> Vec<WordWithHelp> {
    let there = typed.engine.list().unwrap_or_default().into_iter();
    there.map(|(name, state)| (name.to_string(), state.word().to_lowercase())).collect()
}

/// Those that the command takes in their state, and that are not named yet.
fn containers(typed: &TypedWords) -> Vec<WordWithHelp> {
    let allowed = |state: State| typed.line().is_none_or(|it| it.allowed(state).is_ok());
    let fits = |(name, state): &(Name, State)| {
        allowed(*state) && !typed.operands.iter().any(|it| it == name.as_str())
    };
    let there = typed.engine.list().unwrap_or_default().into_iter().filter(fits);
    there.map(|(name, state)| (name.to_string(), state.word().to_lowercase())).collect()
}

/// Returns the container among the operands.
fn container(typed: &TypedWords) -> Option<Name> {
    typed.name()?.parse().ok()
}

fn config_keys(_typed: &TypedWords) -> Vec<WordWithHelp> {
    let all = keys::catalogue_lines().into_iter();
    // The first interface; what is free in a key is left to be typed.
    let usual = |key: String| key.replace(".N.", ".0.").trim_end_matches('*').to_owned();
    all.map(|it| (usual(it.key), it.meaning.to_owned())).collect()
}

fn snapshots(typed: &TypedWords) -> Vec<WordWithHelp> {
    let kept = container(typed).and_then(|it| typed.engine.snapshots(&it).ok());
    let first = |text: Option<&String>| {
        text.and_then(|it| it.lines().next()).unwrap_or_default().to_owned()
    };
    let all = kept.iter().flat_map(|it| &it.all);
    all.map(|it| (it.name.to_string(), first(it.comment.as_ref()))).collect()
}

fn trashed(typed: &TypedWords) -> Vec<WordWithHelp> {
    let all = typed.engine.trashed().unwrap_or_default().into_iter();
    all.map(|it| (it.id.to_string(), String::new())).collect()
}

fn processes(typed: &TypedWords) -> Vec<WordWithHelp> {
    let all = container(typed).and_then(|it| typed.engine.processes(&it).ok());
    all.into_iter().flatten().map(|it| (it.pid.to_string(), it.command)).collect()
}

fn cgroup_files(typed: &TypedWords) -> Vec<WordWithHelp> {
    let all = container(typed).and_then(|it| typed.engine.cgroup_files(&it).ok());
    let meaning = |file: &str| crate::engine::cgroup::knob::of(file).meaning.to_owned();
    all.into_iter().flatten().map(|it| (it.file.clone(), meaning(&it.file))).collect()
}

fn commands(_typed: &TypedWords) -> Vec<WordWithHelp> {
    COMMANDS.iter().map(|it| (it.name.to_owned(), it.help.to_owned())).collect()
}

fn actions(typed: &TypedWords) -> Vec<WordWithHelp> {
    match command::named(&typed.verb).map(|it| it.verb) {
        Some(Verb::Configure) => plain(verbs::CONFIG_ACTIONS),
        Some(Verb::Snapshot) => plain(verbs::SNAPSHOT_ACTIONS),
        Some(Verb::RestoreTrashed) => plain(verbs::TRASH_ACTIONS),
        _ => Vec::new(),
    }
}

//! What has been typed of a command line before the word that is to be completed. Pure but for the
//! engine, which it only opens.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::ArgMatches;

use crate::cli::lxc::LxcWords;
use crate::cli::{args, parser};
use crate::command::{self, CommandSpec};
use crate::engine::Engine;

/// The words that are whole.
pub(super) struct TypedWords {
    /// The command's name in the table, or LXC's.
    pub(super) verb: String,
    pub(super) engine: Engine,
    pub(super) operands: Vec<String>,
    /// The container, where an option gives it.
    named: Option<String>,
}

impl TypedWords {
    /// Reads the words after `wharf`; none: there is no command among them yet.
    pub(super) fn of_wharf(before: &[&OsStr]) -> Option<Self> {
        let words = [OsStr::new("wharf")].into_iter().chain(before.iter().copied());
        let partial = parser::command().ignore_errors(true).try_get_matches_from(words).ok()?;
        let (verb, matches) = partial.subcommand()?;
        let lxcpath: Option<PathBuf> = one(matches, args::LXCPATH);
        let operands = matches.try_get_many::<OsString>(args::OPERANDS).ok().flatten();
        let operands = operands.unwrap_or_default().map(|it| it.to_string_lossy().into_owned());
        Some(Self {
            verb: verb.to_owned(),
            engine: Engine::open(lxcpath.as_deref()),
            operands: operands.collect(),
            named: one::<OsString>(matches, args::NAME).map(|it| it.to_string_lossy().into_owned()),
        })
    }

    /// Takes the words after `lxc-NAME`, and returns the parser of its options, too.
    pub(super) fn of_lxc(name: &str, read: LxcWords) -> (clap::Command, Self) {
        let LxcWords { parser, lxcpath, operands, named } = read;
        let engine = Engine::open(lxcpath.as_deref().map(Path::new));
        (parser, Self { verb: name.to_owned(), engine, operands, named })
    }

    /// Returns the command's line in the table.
    pub(super) fn line(&self) -> Option<&'static CommandSpec> {
        command::named(&self.verb)
    }

    /// Returns the container that is meant, where it is the first operand if no option gives it.
    pub(super) fn name(&self) -> Option<&str> {
        self.named.as_deref().or_else(|| self.operands.first().map(String::as_str))
    }

    /// Returns what kind of word comes next by a pattern such as `NAME [FILE [VALUE]]`, in which
    /// the last may be repeated.
    pub(super) fn kind(&self, pattern: &str) -> String {
        let words = pattern.split_whitespace().map(|it| it.trim_matches(['[', ']']));
        let mut words: Vec<&str> = words.take_while(|it| *it != "--").collect();
        if self.named.is_some()
            && let Some(at) = words.iter().position(|it| *it == "NAME")
        {
            words.remove(at);
        }
        let first = self.operands.first().map(String::as_str);
        let next = words.get(self.operands.len()).or_else(|| words.last().filter(|it| many(it)));
        let kind = next.map(|it| it.trim_end_matches('.')).unwrap_or_default();
        match (self.verb.as_str(), first, self.operands.len()) {
            ("config", Some("keys"), 1) => "KEY",
            ("config", Some("keys" | "show" | "migrate"), 2..) => "",
            ("config", Some("check"), _) => "NAME",
            _ => kind,
        }
        .to_owned()
    }
}

fn many(word: &str) -> bool {
    word.ends_with("...")
}

/// Returns an option's value; none also where the command has no such option.
fn one<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, id: &str) -> Option<T> {
    matches.try_get_one::<T>(id).ok().flatten().cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(words: &[&str], pattern: &str) -> String {
        let words: Vec<&OsStr> = words.iter().map(OsStr::new).collect();
        TypedWords::of_wharf(&words).unwrap().kind(pattern)
    }

    #[test]
    fn the_kind_of_a_word_is_that_of_its_place() {
        const CGROUP: &str = "NAME [FILE [VALUE]]";
        assert_eq!(kind(&["cgroup"], CGROUP), "NAME");
        assert_eq!(kind(&["-P", "/x", "cgroup", "web"], CGROUP), "FILE");
        assert_eq!(kind(&["cgroup", "-n", "web"], CGROUP), "FILE");
        assert_eq!(kind(&["cgroup", "web", "memory.max", "1"], CGROUP), "");
        assert_eq!(kind(&["stop", "a", "b"], "NAME..."), "NAME");
        assert_eq!(kind(&["attach", "a"], "NAME [-- COMMAND]"), "");
        assert_eq!(kind(&["config", "keys"], "ACTION [NAME] [KEY] [VALUE]"), "KEY");
        // What is missing, such as -s of wait, may still come.
        assert_eq!(kind(&["wait"], "NAME..."), "NAME");
        assert_eq!(kind(&["thaw"], "NAME..."), "NAME");
    }
}

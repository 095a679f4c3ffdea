//! The table of everything wharf can be told to do: name, key, when it is allowed, help.
//!
//! The command line, the key map, the footer, the help screen and the palette all read it, so
//! that one word means one thing everywhere. It is data alone, and knows states, not screens.

pub mod action;
mod when;

pub use action::{Action, Column, Scope};
pub use when::{Refusal, When};

use crate::engine::State;

/// Everything the operator can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    List,
    Processes,
    Info,
    Create,
    Start,
    Execute,
    Stop,
    Restart,
    Freeze,
    Unfreeze,
    Console,
    Attach,
    EditCgroup,
    Monitor,
    Wait,
    Destroy,
    Signal,
    CheckConfig,
}

/// How much care a command asks for before it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Safety {
    /// Changes nothing, or can be undone.
    Free,
    /// Runs at once and can be cancelled for a moment.
    Soft,
    /// Asks first.
    Hard,
}

/// What a command is about; help lists commands under these heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    Look,
    Life,
    Inside,
    Follow,
}

impl Group {
    /// Every group in the order in which help shows them.
    pub const ALL: [Self; 4] = [Self::Look, Self::Life, Self::Inside, Self::Follow];

    /// Returns the head of the group.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Look => "Look",
            Self::Life => "Life cycle",
            Self::Inside => "Inside a container",
            Self::Follow => "Follow",
        }
    }
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Command {
    pub verb: Verb,
    /// The word on the command line and in the palette.
    pub name: &'static str,
    /// What it does to a container, as in "cannot ACT `web`".
    pub act: &'static str,
    /// Other words that find it.
    pub aliases: &'static [&'static str],
    pub group: Group,
    pub safety: Safety,
    pub when: When,
    /// One or two words for the footer.
    pub title: &'static str,
    /// One sentence without a stop.
    pub help: &'static str,
    /// What follows `wharf NAME` on the command line; none: not a command there.
    pub usage: Option<&'static str>,
}

impl Command {
    /// Tells whether a container in `state` allows it, or why not and what to do first.
    pub const fn allowed(&self, state: State) -> Result<(), Refusal> {
        self.when.allows(state)
    }
}

/// Returns the line of `verb`.
pub fn of(verb: Verb) -> Option<&'static Command> {
    COMMANDS.iter().find(|it| it.verb == verb)
}

/// Returns the line whose name or alias is `word`.
pub fn named(word: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|it| it.name == word || it.aliases.contains(&word))
}

/// Every command, in the order in which help shows them.
pub const COMMANDS: &[Command] = &[
    Command {
        verb: Verb::List,
        name: "ls",
        act: "list",
        aliases: &["list"],
        group: Group::Look,
        safety: Safety::Free,
        when: When::Anytime,
        title: "list",
        help: "List containers with their state and usage",
        usage: Some("[OPTIONS] [REGEX]"),
    },
    Command {
        verb: Verb::Info,
        name: "info",
        act: "show",
        aliases: &[],
        group: Group::Look,
        safety: Safety::Free,
        when: When::Anytime,
        title: "info",
        help: "Show the state, init, addresses and usage of a container",
        usage: Some("[-s] [-p] [-i] [-S] [-c KEY]... [-H] NAME"),
    },
    Command {
        verb: Verb::Processes,
        name: "ps",
        act: "list the processes of",
        aliases: &["processes"],
        group: Group::Look,
        safety: Safety::Free,
        when: When::Active,
        title: "processes",
        help: "List the processes of containers as a tree",
        usage: Some("[--forest] [NAME]..."),
    },
    Command {
        verb: Verb::Create,
        name: "create",
        act: "create",
        aliases: &["new"],
        group: Group::Life,
        safety: Safety::Free,
        when: When::Anytime,
        title: "new",
        help: "Create a container",
        usage: Some(
            "[-f FILE] [-t TEMPLATE | --dir PATH] [-s KEY=VALUE]... NAME [-- TEMPLATE-ARGS]",
        ),
    },
    Command {
        verb: Verb::Start,
        name: "start",
        act: "start",
        aliases: &["run"],
        group: Group::Life,
        safety: Safety::Free,
        when: When::Stopped,
        title: "start",
        help: "Start a container, with its command as pid 1",
        usage: Some("[-F] [-f FILE] [-s KEY=VALUE]... [-c PATH] [-L FILE] NAME [-- COMMAND]"),
    },
    Command {
        verb: Verb::Execute,
        name: "execute",
        act: "run a command in",
        aliases: &[],
        group: Group::Life,
        safety: Safety::Free,
        when: When::Stopped,
        title: "execute",
        help: "Run one command in a container of its own and return its exit code",
        usage: Some("[-f FILE] [-s KEY=VALUE]... [-u UID] [-g GID] NAME -- COMMAND"),
    },
    Command {
        verb: Verb::Stop,
        name: "stop",
        act: "stop",
        aliases: &["kill", "shutdown"],
        group: Group::Life,
        safety: Safety::Soft,
        when: When::Active,
        title: "stop",
        help: "Stop a container: ask, wait, then kill",
        usage: Some("[-k | [-r] [-W | -t SECONDS [--nokill]]] NAME"),
    },
    Command {
        verb: Verb::Restart,
        name: "restart",
        act: "restart",
        aliases: &["reboot"],
        group: Group::Life,
        safety: Safety::Soft,
        when: When::Alive,
        title: "restart",
        help: "Ask a container to restart; stop and start it if it does not",
        usage: None,
    },
    Command {
        verb: Verb::Freeze,
        name: "freeze",
        act: "freeze",
        aliases: &[],
        group: Group::Life,
        safety: Safety::Free,
        when: When::Alive,
        title: "freeze",
        help: "Freeze every process of a container",
        usage: Some("NAME"),
    },
    Command {
        verb: Verb::Unfreeze,
        name: "unfreeze",
        act: "unfreeze",
        aliases: &["thaw"],
        group: Group::Life,
        safety: Safety::Free,
        when: When::Alive,
        title: "thaw",
        help: "Let a frozen container continue",
        usage: Some("NAME"),
    },
    Command {
        verb: Verb::Destroy,
        name: "destroy",
        act: "destroy",
        aliases: &["delete", "rm"],
        group: Group::Life,
        safety: Safety::Hard,
        when: When::Dead,
        title: "destroy",
        help: "Remove a container and its files",
        usage: Some("[-f] NAME"),
    },
    Command {
        verb: Verb::Console,
        name: "console",
        act: "open the console of",
        aliases: &[],
        group: Group::Inside,
        safety: Safety::Free,
        when: When::Alive,
        title: "console",
        help: "Connect this terminal to a terminal of a container",
        usage: Some("[-t TTY] [-e PREFIX] NAME"),
    },
    Command {
        verb: Verb::Attach,
        name: "attach",
        act: "attach to",
        aliases: &["exec"],
        group: Group::Inside,
        safety: Safety::Free,
        when: When::Awake,
        title: "exec",
        help: "Run a command inside a running container",
        usage: Some("[-u UID] [-g GID] [-v NAME=VALUE]... [--keep-env] NAME [-- COMMAND]"),
    },
    Command {
        verb: Verb::EditCgroup,
        name: "cgroup",
        act: "read or change the limits of",
        aliases: &["limits"],
        group: Group::Inside,
        safety: Safety::Free,
        when: When::Alive,
        title: "limits",
        help: "Read or change a cgroup value of a running container",
        usage: Some("[--keep] NAME FILE [VALUE] | --again NAME"),
    },
    Command {
        verb: Verb::Signal,
        name: "signal",
        act: "signal a process of",
        aliases: &[],
        group: Group::Inside,
        safety: Safety::Soft,
        when: When::Alive,
        title: "signal",
        help: "Send a signal to a process of a container",
        usage: None,
    },
    Command {
        verb: Verb::Monitor,
        name: "monitor",
        act: "monitor",
        aliases: &["events"],
        group: Group::Follow,
        safety: Safety::Free,
        when: When::Anytime,
        title: "monitor",
        help: "Print what happens to containers, as it happens",
        usage: Some("[-n REGEX | REGEX]"),
    },
    Command {
        verb: Verb::Wait,
        name: "wait",
        act: "wait for",
        aliases: &[],
        group: Group::Follow,
        safety: Safety::Free,
        when: When::Anytime,
        title: "wait",
        help: "Wait until a container is in one of the given states",
        usage: Some("-s STATE[|STATE]... [-t SECONDS] NAME"),
    },
    Command {
        verb: Verb::CheckConfig,
        name: "checkconfig",
        act: "check",
        aliases: &[],
        group: Group::Look,
        safety: Safety::Free,
        when: When::Anytime,
        title: "host check",
        help: "Check what this host's kernel offers to containers",
        usage: Some(""),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_finds_one_command() {
        let words = COMMANDS.iter().flat_map(|it| it.aliases.iter().chain([&it.name]));
        let mut seen = std::collections::HashSet::new();
        for word in words {
            assert!(seen.insert(word), "{word} names two commands");
        }
    }

    #[test]
    fn a_refusal_says_what_the_container_does() {
        let start = of(Verb::Start).unwrap();
        assert_eq!(start.allowed(State::Stopped), Ok(()));
        let attach = of(Verb::Attach).unwrap();
        assert_eq!(attach.allowed(State::Frozen).unwrap_err().sentence(), "it is frozen");
        assert_eq!(named("thaw").map(|it| it.verb), Some(Verb::Unfreeze));
    }

    #[test]
    fn help_is_one_sentence_without_a_stop() {
        for it in COMMANDS {
            assert!(
                it.help.starts_with(char::is_uppercase) && !it.help.ends_with('.'),
                "{}",
                it.name
            );
        }
    }
}

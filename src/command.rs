//! The table of everything wharf can do: name, key, when it is allowed, help.
//!
//! The command line, the key map, the footer, the help screen and the palette all read it, so that
//! one word means one thing everywhere. It is only data, and knows states, not screens.

pub mod action;
pub mod topics;
mod when;

pub use action::{Action, Scope, SortKey};
pub use when::{Refusal, When};

pub use crate::engine::Verb;

use crate::engine::State;

/// What a command is about; help lists commands under these heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    Look,
    Life,
    Inside,
    Follow,
}

impl Category {
    /// Every category in the order in which help shows them.
    pub const ALL: [Self; 4] = [Self::Look, Self::Life, Self::Inside, Self::Follow];

    /// Returns the head of the category.
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
pub struct CommandSpec {
    pub verb: Verb,
    /// The word on the command line and in the palette.
    pub name: &'static str,
    /// Other words for it on the command line and in help.
    pub aliases: &'static [&'static str],
    pub category: Category,
    pub when: When,
    /// The reason for a container without configuration and processes; none: the engine decides.
    pub undefined: Option<&'static str>,
    /// One sentence without a stop.
    pub help: &'static str,
}

impl CommandSpec {
    /// Returns whether a container in `state` allows it, or why not and what to do first.
    pub const fn allowed(&self, state: State) -> Result<(), Refusal> {
        self.when.allows(state)
    }
}

/// Returns the line of `verb`.
pub fn of(verb: Verb) -> Option<&'static CommandSpec> {
    COMMANDS.iter().find(|it| it.verb == verb)
}

/// Returns the line whose name or alias is `word`.
pub fn named(word: &str) -> Option<&'static CommandSpec> {
    COMMANDS.iter().find(|it| it.name == word || it.aliases.contains(&word))
}

/// Every command, in the order in which help shows them.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        verb: Verb::List,
        name: "ls",
        aliases: &["list"],
        category: Category::Look,
        when: When::Anytime,
        undefined: None,
        help: "List containers with their state and usage",
    },
    CommandSpec {
        verb: Verb::Info,
        name: "info",
        aliases: &[],
        category: Category::Look,
        when: When::Anytime,
        undefined: None,
        help: "Show the state, init, addresses and usage of a container",
    },
    CommandSpec {
        verb: Verb::Processes,
        name: "ps",
        aliases: &["processes"],
        category: Category::Look,
        when: When::Active,
        undefined: None,
        help: "List the processes of containers as a tree",
    },
    CommandSpec {
        verb: Verb::Top,
        name: "top",
        aliases: &[],
        category: Category::Look,
        when: When::Anytime,
        undefined: None,
        help: "Print what containers use, again and again",
    },
    CommandSpec {
        verb: Verb::Create,
        name: "create",
        aliases: &["new"],
        category: Category::Life,
        when: When::Anytime,
        undefined: None,
        help: "Create a container",
    },
    CommandSpec {
        verb: Verb::Start,
        name: "start",
        aliases: &[],
        category: Category::Life,
        when: When::Stopped,
        undefined: Some("has no configuration to start from"),
        help: "Start a container in the background, or with -F in the foreground",
    },
    CommandSpec {
        verb: Verb::Autostart,
        name: "autostart",
        aliases: &[],
        category: Category::Life,
        when: When::Anytime,
        undefined: None,
        help: "Start the containers that belong to the machine's start, in their order",
    },
    CommandSpec {
        verb: Verb::Execute,
        name: "execute",
        aliases: &[],
        category: Category::Life,
        when: When::Stopped,
        undefined: None,
        help: "Run one command in a container of its own and return its exit code",
    },
    CommandSpec {
        verb: Verb::Stop,
        name: "stop",
        aliases: &["shutdown"],
        category: Category::Life,
        when: When::Active,
        undefined: None,
        help: "Stop a container: ask, wait, then kill",
    },
    CommandSpec {
        verb: Verb::Restart,
        name: "restart",
        aliases: &[],
        category: Category::Life,
        when: When::Alive,
        undefined: None,
        help: "Ask a container to restart; stop and start it if it does not",
    },
    CommandSpec {
        verb: Verb::Freeze,
        name: "freeze",
        aliases: &[],
        category: Category::Life,
        when: When::Alive,
        undefined: None,
        help: "Freeze every process of a container",
    },
    CommandSpec {
        verb: Verb::Unfreeze,
        name: "unfreeze",
        aliases: &["thaw"],
        category: Category::Life,
        when: When::Alive,
        undefined: None,
        help: "Let a frozen container continue",
    },
    CommandSpec {
        verb: Verb::Checkpoint,
        name: "checkpoint",
        aliases: &[],
        category: Category::Life,
        when: When::Awake,
        undefined: None,
        help: "Save the processes of a running container with CRIU",
    },
    CommandSpec {
        verb: Verb::Restore,
        name: "restore",
        aliases: &[],
        category: Category::Life,
        when: When::Stopped,
        undefined: Some("has no configuration to restore it by"),
        help: "Start a container from a checkpoint",
    },
    CommandSpec {
        verb: Verb::Destroy,
        name: "destroy",
        aliases: &["delete", "rm"],
        category: Category::Life,
        when: When::Dead,
        undefined: Some("has no files to destroy"),
        help: "Move a container to the trash, or remove it for good",
    },
    CommandSpec {
        verb: Verb::RestoreTrashed,
        name: "trash",
        aliases: &[],
        category: Category::Life,
        when: When::Anytime,
        undefined: None,
        help: "List what was destroyed, give it back, or empty the trash",
    },
    CommandSpec {
        verb: Verb::Clone,
        name: "clone",
        aliases: &["copy"],
        category: Category::Life,
        when: When::Dead,
        undefined: Some("has no files to copy"),
        help: "Copy a container",
    },
    CommandSpec {
        verb: Verb::Rename,
        name: "rename",
        aliases: &[],
        category: Category::Life,
        when: When::Dead,
        undefined: Some("has no files to rename"),
        help: "Give a container another name",
    },
    CommandSpec {
        verb: Verb::Snapshot,
        name: "snapshot",
        aliases: &["snapshots"],
        category: Category::Life,
        when: When::Dead,
        undefined: Some("has no files to keep"),
        help: "Keep the state of a container, list what is kept, or give it back",
    },
    CommandSpec {
        verb: Verb::Console,
        name: "console",
        aliases: &[],
        category: Category::Inside,
        when: When::Alive,
        undefined: None,
        help: "Connect this terminal to a terminal of a container",
    },
    CommandSpec {
        verb: Verb::Attach,
        name: "attach",
        aliases: &["exec"],
        category: Category::Inside,
        when: When::Awake,
        undefined: None,
        help: "Run a command inside a running container",
    },
    CommandSpec {
        verb: Verb::EditCgroup,
        name: "cgroup",
        aliases: &["limits"],
        category: Category::Inside,
        when: When::Alive,
        undefined: None,
        help: "Read or change a limit or another cgroup value of a container",
    },
    CommandSpec {
        verb: Verb::Signal,
        name: "signal",
        aliases: &[],
        category: Category::Inside,
        when: When::Alive,
        undefined: None,
        help: "Send a signal to a process of a container",
    },
    CommandSpec {
        verb: Verb::ReadConsole,
        name: "logs",
        aliases: &[],
        category: Category::Follow,
        when: When::Anytime,
        undefined: None,
        help: "Print what a container's console has printed",
    },
    CommandSpec {
        verb: Verb::Monitor,
        name: "monitor",
        aliases: &["events"],
        category: Category::Follow,
        when: When::Anytime,
        undefined: None,
        help: "Print what happens to containers, as it happens",
    },
    CommandSpec {
        verb: Verb::Wait,
        name: "wait",
        aliases: &[],
        category: Category::Follow,
        when: When::Anytime,
        undefined: None,
        help: "Wait until a container is in one of the given states",
    },
    CommandSpec {
        verb: Verb::CheckConfig,
        name: "checkconfig",
        aliases: &[],
        category: Category::Look,
        when: When::Anytime,
        undefined: None,
        help: "Check what this host's kernel offers to containers",
    },
    CommandSpec {
        verb: Verb::Configure,
        name: "config",
        aliases: &[],
        category: Category::Look,
        when: When::Anytime,
        undefined: None,
        help: "Show, change, check or modernise a configuration, or explain its keys",
    },
    CommandSpec {
        verb: Verb::LinkNames,
        name: "link",
        aliases: &[],
        category: Category::Look,
        when: When::Anytime,
        undefined: None,
        help: "Make LXC's command names, such as lxc-start, call wharf",
    },
    CommandSpec {
        verb: Verb::Complete,
        name: "completion",
        aliases: &[],
        category: Category::Look,
        when: When::Anytime,
        undefined: None,
        help: "Print what makes a shell complete command lines of wharf",
    },
    CommandSpec {
        verb: Verb::WriteManual,
        name: "man",
        aliases: &["manual"],
        category: Category::Look,
        when: When::Anytime,
        undefined: None,
        help: "Write the manual pages of all commands into a directory",
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

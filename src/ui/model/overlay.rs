//! Layers over the screen that have the keyboard: questions, help, palette, journal.

use crate::engine::Name;
use crate::engine::process::Process;
use crate::engine::snapshot::Snapshot;
use crate::engine::trash::InTrash;
use crate::ui::effect::Act;
use crate::ui::model::{PaneProgram, Way};
use crate::widgets::field::Input;

/// A layer over the screen.
#[derive(Clone, Debug, PartialEq)]
pub enum Overlay {
    /// Help or palette: the same table, searched.
    Find(Find),
    /// Yes or no to acts, which are stored as plain data; no leads back to the list, if there is one.
    Confirm { question: String, proposal: Proposal, yes: bool, back: Option<Box<Self>> },
    /// Yes or no to something else.
    Ask { question: String, ask: Ask, yes: bool },
    /// A word, the container's name, must be typed before the acts run.
    TypeName { word: String, typed: Input, proposal: Proposal },
    /// A command to run inside a container.
    Exec { name: Name, line: Input },
    /// The name that a copy gets, or the container itself.
    NewName { name: Name, naming: NameFor, line: Input },
    /// What was destroyed; none: it is being read.
    Trash { at: usize, found: Option<Result<Vec<InTrash>, String>> },
    /// A new snapshot of a container, or one that it has; none: they are being read.
    Snapshots { name: Name, at: usize, found: Option<Result<Vec<Snapshot>, String>> },
    /// Signals for one process.
    Signal { name: Name, process: Process, at: usize },
    /// What was done.
    Journal { at: usize },
    /// What happened to all containers.
    Events { at: usize },
    /// All that is known of one line of such a list, over that list or an open container.
    Whole { title: &'static str, text: String, first: usize, back: Option<Box<Self>> },
}

/// What a new name is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameFor {
    Clone,
    Rename,
}

/// What begins when the answer is yes.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// Quitting wharf with a command running in the pane.
    Quit,
    /// Another program in the pane, instead of a running command.
    Open(PaneProgram),
    /// Undoing or redoing an act that is not the last one.
    TakeBack(Way),
}

/// What a question is about.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    pub acts: Vec<(Name, Act)>,
    /// Text for each beside its name; none: only the names.
    pub labels: Vec<String>,
    /// How many of them the filter hides.
    pub hidden: usize,
    /// How many marked containers it does not concern, since they do not allow it now.
    pub spared: usize,
    /// The first row of names that is shown.
    pub first: usize,
}

impl Proposal {
    /// Returns the names of the containers, or the text for each.
    pub fn names(&self) -> Vec<&str> {
        if !self.labels.is_empty() {
            return self.labels.iter().map(String::as_str).collect();
        }
        self.acts.iter().map(|(name, _)| name.as_str()).collect()
    }
}

/// A searchable list of actions.
#[derive(Clone, Debug, PartialEq)]
pub struct Find {
    pub kind: FindKind,
    pub line: Input,
    pub at: usize,
}

/// Help explains, the palette is brief.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindKind {
    Help,
    Palette,
}

/// The signals offered, with the word for each.
pub const SIGNALS: &[(i32, &str, &str)] = &[
    (libc::SIGTERM, "TERM", "ask it to end"),
    (libc::SIGKILL, "KILL", "end it at once; it cannot clean up"),
    (libc::SIGINT, "INT", "as C-c does"),
    (libc::SIGHUP, "HUP", "hang up; many servers reload their configuration"),
    (libc::SIGQUIT, "QUIT", "end with a core dump"),
    (libc::SIGUSR1, "USR1", "up to the program"),
    (libc::SIGUSR2, "USR2", "up to the program"),
    (libc::SIGSTOP, "STOP", "stop it; CONT continues"),
    (libc::SIGCONT, "CONT", "continue after STOP"),
    (libc::SIGWINCH, "WINCH", "its terminal changed size"),
];

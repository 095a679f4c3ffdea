//! What the operator can do on the screen: one row per action, with its keys, scope and help.
//! What an action may do to a container, and when, stands in its verb's row.
//! It decides nothing: the key map, the footer, the help and the palette read it.

use super::Verb;
use crate::engine::process::Order;

/// Everything a key, the palette or the help screen can ask of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    Open,
    Start,
    Stop,
    Freeze,
    Restart,
    Console,
    Exec,
    Limits,
    Again,
    Log,
    New,
    Destroy,
    Mark,
    MarkAll,
    Invert,
    Filter,
    Sort(Column),
    Reverse,
    Peek,
    Signal,
    SortProcesses(Order),
    Fold,
    Unfold,
    Edit,
    AllFiles,
    Follow,
    Search,
    NextFound,
    PreviousFound,
    Tab(u8),
    PreviousContainer,
    NextContainer,
    NextPane,
    PreviousPane,
    Zoom,
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Undo,
    Redo,
    Keep,
    Journal,
    Copy,
    Hold,
    Mouse,
    Redraw,
    Suspend,
    GoContainers,
    GoEvents,
    Palette,
    Help,
    Back,
    Quit,
}

/// A column of the list that it can be sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Column {
    Name,
    State,
    Since,
    Cpu,
    Memory,
    Share,
    Psi,
    Pids,
}

/// Where on the screen an action is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    List,
    Processes,
    Cgroup,
    Text,
    /// Where a search found something.
    Found,
    Detail,
    /// Wherever a container is under the cursor.
    Container,
    Everywhere,
}

impl Scope {
    /// Returns the heading under which help lists the scope.
    pub const fn title(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Processes => "processes",
            Self::Cgroup => "cgroup",
            Self::Text => "log",
            Self::Found => "search",
            Self::Detail => "container",
            Self::Container => "act",
            Self::Everywhere => "everywhere",
        }
    }
}

/// One action: how to ask for it and what it does.
#[derive(Clone, Copy, Debug)]
pub struct Shortcut {
    pub action: Action,
    pub scope: Scope,
    /// Key sequences such as `s`, `C-l` and `g c`; the first is the one to show.
    pub keys: &'static [&'static str],
    /// One or two words, the same on every part of the screen.
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
}

impl Action {
    /// Returns the verb that the action asks of the engine; none: it only moves about the screen.
    pub const fn verb(self) -> Option<Verb> {
        match self {
            Self::Start => Some(Verb::Start),
            Self::Stop => Some(Verb::Stop),
            // Thaws what is frozen; the state decides which of the two verbs is meant.
            Self::Freeze => Some(Verb::Freeze),
            Self::Restart => Some(Verb::Restart),
            Self::Console => Some(Verb::Console),
            Self::Exec => Some(Verb::Attach),
            Self::Limits | Self::Edit | Self::Again => Some(Verb::EditCgroup),
            Self::New => Some(Verb::Create),
            Self::Destroy => Some(Verb::Destroy),
            Self::Signal => Some(Verb::Signal),
            Self::Open
            | Self::Log
            | Self::Mark
            | Self::MarkAll
            | Self::Invert
            | Self::Filter
            | Self::Sort(_)
            | Self::Reverse
            | Self::Peek
            | Self::SortProcesses(_)
            | Self::Fold
            | Self::Unfold
            | Self::AllFiles
            | Self::Follow
            | Self::Search
            | Self::NextFound
            | Self::PreviousFound
            | Self::Tab(_)
            | Self::PreviousContainer
            | Self::NextContainer
            | Self::NextPane
            | Self::PreviousPane
            | Self::Zoom
            | Self::Up
            | Self::Down
            | Self::PageUp
            | Self::PageDown
            | Self::First
            | Self::Last
            | Self::Undo
            | Self::Redo
            | Self::Keep
            | Self::Journal
            | Self::Copy
            | Self::Hold
            | Self::Mouse
            | Self::Redraw
            | Self::Suspend
            | Self::GoContainers
            | Self::GoEvents
            | Self::Palette
            | Self::Help
            | Self::Back
            | Self::Quit => None,
        }
    }

    /// Returns the row of the table for the action.
    pub fn shortcut(self) -> Option<&'static Shortcut> {
        SHORTCUTS.iter().find(|it| it.action == self)
    }

    /// Returns the key to show for the action; empty when it has none.
    pub fn key(self) -> &'static str {
        self.shortcut().and_then(|it| it.keys.first()).copied().unwrap_or_default()
    }
}

const fn row(
    action: Action,
    scope: Scope,
    keys: &'static [&'static str],
    name: &'static str,
    help: &'static str,
) -> Shortcut {
    Shortcut { action, scope, keys, name, help }
}

/// Every action of the screen, in the order in which help lists it.
#[rustfmt::skip]
pub const SHORTCUTS: &[Shortcut] = {
    use Action as A;
    use Scope::{Cgroup, Container, Detail, Everywhere, Found, List, Processes, Text};
    &[
        row(A::Open, List, &["Enter"], "open", "Opens the container: processes, limits, console, log."),
        row(A::Start, Container, &["s"], "start", "Starts the container in the background."),
        row(A::Stop, Container, &["S"], "stop", "Asks init to halt and kills what is left after 10 s; S again kills at once."),
        row(A::Freeze, Container, &["f"], "freeze", "Freezes every process, or thaws a frozen container."),
        row(A::Restart, Container, &["r"], "restart", "Asks the container to restart; stops and starts it if it does not."),
        row(A::Console, Container, &["c"], "console", "Opens the container's console in a pane; C-] c leaves it."),
        row(A::Exec, Container, &["x"], "exec", "Runs a command inside the container, in a pane."),
        row(A::Limits, Container, &["e"], "limits", "Opens the cgroup tab to change limits, those of all marked containers at once."),
        row(A::Again, Container, &["A"], "restore limits", "Restores the limits that wharf set and the kernel has lost."),
        row(A::Log, Container, &["l"], "log", "Shows the container's console log."),
        row(A::New, Container, &["n"], "new", "Creates a container."),
        row(A::Destroy, Container, &["D"], "destroy", "Removes a stopped container and its files, after its name is typed."),
        row(A::Mark, List, &["Spc"], "mark", "Marks the container; actions then apply to all that are marked."),
        row(A::MarkAll, List, &["a"], "mark all", "Marks every container that is shown."),
        row(A::Invert, List, &["*"], "invert marks", "Marks what is not marked, and unmarks the rest."),
        row(A::Filter, List, &["/"], "filter", "Narrows the list: text, ~regex, !not, state:frozen, mem:>80%."),
        row(A::Sort(Column::Name), List, &["o n"], "sort by name", "Sorts the list by name."),
        row(A::Sort(Column::State), List, &["o s"], "sort by state", "Sorts the list by state, running first."),
        row(A::Sort(Column::Since), List, &["o t"], "sort by time", "Sorts the list by the time in this state."),
        row(A::Sort(Column::Cpu), List, &["o c"], "sort by cpu", "Sorts the list by CPU use."),
        row(A::Sort(Column::Memory), List, &["o m"], "sort by memory", "Sorts the list by memory in use."),
        row(A::Sort(Column::Share), List, &["o u"], "sort by use", "Sorts the list by the share of the memory limit in use."),
        row(A::Sort(Column::Psi), List, &["o i"], "sort by pressure", "Sorts the list by the highest pressure."),
        row(A::Sort(Column::Pids), List, &["o p"], "sort by pids", "Sorts the list by the number of processes."),
        row(A::Reverse, List, &["O"], "reverse", "Reverses the order of the list."),
        row(A::Peek, List, &["p"], "peek", "Shows or hides the processes and graphs of the container under the cursor."),
        row(A::Signal, Processes, &["K"], "signal", "Sends a signal to the process under the cursor."),
        row(A::SortProcesses(Order::Pid), Processes, &["o p"], "processes by pid", "Sorts the processes of one parent by pid."),
        row(A::SortProcesses(Order::Cpu), Processes, &["o c"], "processes by cpu", "Sorts the processes of one parent by CPU use."),
        row(A::SortProcesses(Order::Memory), Processes, &["o m"], "processes by memory", "Sorts the processes of one parent by memory."),
        row(A::Fold, Processes, &["Left"], "fold", "Hides the children of the process."),
        row(A::Unfold, Processes, &["Right"], "unfold", "Shows the children of the process."),
        row(A::Edit, Cgroup, &["Enter"], "edit", "Edits the value in its row; Enter writes it, z undoes."),
        row(A::AllFiles, Cgroup, &["a"], "all files", "Shows every file of the cgroup, or only limits and counters."),
        row(A::Follow, Text, &["F"], "follow", "Stays at the end as new lines arrive."),
        row(A::Search, Text, &["/"], "search", "Finds text or a regular expression in the lines."),
        row(A::NextFound, Found, &["n"], "next match", "Goes to the next line that was found."),
        row(A::PreviousFound, Found, &["N"], "previous match", "Goes to the previous line that was found."),
        row(A::Tab(1), Detail, &["1"], "overview", "Shows processes, limits, console and log at once."),
        row(A::Tab(2), Detail, &["2"], "processes", "Shows the tree of processes."),
        row(A::Tab(3), Detail, &["3"], "cgroup", "Shows limits and counters, and changes them."),
        row(A::Tab(4), Detail, &["4"], "console tab", "Shows the console."),
        row(A::Tab(5), Detail, &["5"], "log tab", "Shows the console log."),
        row(A::Tab(6), Detail, &["6"], "events", "Shows what happened to the container."),
        row(A::Tab(7), Detail, &["7"], "config", "Shows the configuration file."),
        row(A::Tab(8), Detail, &["8"], "network", "Shows the network interfaces inside."),
        row(A::Tab(9), Detail, &["9"], "mounts", "Shows the mounts inside."),
        row(A::PreviousContainer, Container, &["["], "previous", "Goes to the container above in the list."),
        row(A::NextContainer, Container, &["]"], "next", "Goes to the container below in the list."),
        row(A::NextPane, Detail, &["Tab"], "next pane", "Moves the focus to the next pane."),
        row(A::PreviousPane, Detail, &["S-Tab"], "previous pane", "Moves the focus to the previous pane."),
        row(A::Zoom, Detail, &["+"], "zoom", "Gives the focused pane the whole screen, or only its part again."),
        row(A::Up, Everywhere, &["Up", "k"], "up", "Moves up."),
        row(A::Down, Everywhere, &["Down", "j"], "down", "Moves down."),
        row(A::PageUp, Everywhere, &["PgUp", "C-u"], "page up", "Moves up by a page."),
        row(A::PageDown, Everywhere, &["PgDn", "C-d"], "page down", "Moves down by a page."),
        row(A::First, Everywhere, &["Home", "g g"], "first", "Goes to the first row."),
        row(A::Last, Everywhere, &["End", "G"], "last", "Goes to the last row."),
        row(A::GoContainers, Everywhere, &["g c"], "go to containers", "Goes back to the list of containers."),
        row(A::GoEvents, Everywhere, &["g m"], "go to events", "Shows what happened to all containers."),
        row(A::Undo, Everywhere, &["z"], "undo", "Undoes the last change of a limit, freeze or thaw."),
        row(A::Redo, Everywhere, &["Z"], "redo", "Does again what was undone."),
        row(A::Keep, Everywhere, &["C-s"], "keep", "Writes the limit changed last to the configuration, for future starts."),
        row(A::Journal, Everywhere, &["J", "g j"], "journal", "Lists what was done, each with the command line that does the same."),
        row(A::Copy, Everywhere, &["y"], "copy", "Copies the name, process or value under the cursor to the clipboard."),
        row(A::Hold, Everywhere, &["P"], "hold", "Stops refreshing the screen, or resumes."),
        row(A::Mouse, Everywhere, &["m"], "mouse", "Gives the mouse to wharf, or back to the terminal."),
        row(A::Redraw, Everywhere, &["C-l"], "redraw", "Paints the whole screen again."),
        row(A::Suspend, Everywhere, &["C-z"], "suspend", "Gives the terminal back to the shell; fg returns."),
        row(A::Palette, Everywhere, &[":"], "all", "Finds any action by a few letters of its name."),
        row(A::Help, Everywhere, &["?"], "help", "Lists the keys; type to search, Enter runs the line."),
        row(A::Back, Everywhere, &["Esc"], "back", "Goes back one level."),
        row(A::Quit, Everywhere, &["q", "C-c"], "quit", "Quits wharf; containers keep running."),
    ]
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things_in_one_scope() {
        for (index, one) in SHORTCUTS.iter().enumerate() {
            for other in SHORTCUTS.iter().skip(index + 1).filter(|it| it.scope == one.scope) {
                let shared = one.keys.iter().find(|it| other.keys.contains(it));
                assert!(shared.is_none(), "{} and {}: {shared:?}", one.name, other.name);
            }
        }
    }

    #[test]
    fn what_the_screen_does_bears_the_name_of_its_verb() {
        for it in SHORTCUTS {
            let Some(verb) = it.action.verb().and_then(super::super::of) else { continue };
            let limits = matches!(it.action, Action::Limits | Action::Edit | Action::Again);
            let same = it.name == verb.title || limits;
            assert!(same, "{} is {} on the command line", it.name, verb.title);
        }
    }

    #[test]
    fn every_action_is_explained_in_a_sentence() {
        for it in SHORTCUTS {
            assert!(it.help.ends_with('.') && !it.name.is_empty(), "{}", it.name);
        }
    }
}

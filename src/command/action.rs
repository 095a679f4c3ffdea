//! What the operator can do on the screen: one row per action, with its keys, scope and help. What
//! an action may do to a container, and when, is in its verb's row. It decides nothing: the key
//! map, the footer, the help and the palette read it.

use super::Verb;
use crate::engine::process::ProcessOrder;

/// Everything a key, the palette or the help screen can ask of the screen. Each kind is carried out
/// in its own place, by an exhaustive match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    Act(Do),
    Move(Move),
    List(InList),
    Detail(InDetail),
    Shell(Anywhere),
}

/// What changes containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Do {
    Start,
    Stop,
    Freeze,
    Restart,
    Destroy,
    Clone,
    Rename,
    Snapshot,
    /// Restores the limits that were lost.
    Again,
    Undo,
    Redo,
    Keep,
}

/// What moves the cursor, or a text, in the part that has the keyboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Move {
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
}

/// What changes how the list is shown, or marks its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InList {
    Mark,
    MarkAll,
    Invert,
    Filter,
    Sort(SortKey),
    Reverse,
    Peek,
    PeekUp,
    PeekDown,
}

/// What opens one container, or moves around in an open one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InDetail {
    Open,
    Limits,
    Log,
    Console,
    Exec,
    Signal,
    Tab(u8),
    NextPane,
    PreviousPane,
    Zoom,
    NextContainer,
    PreviousContainer,
    SortProcesses(ProcessOrder),
    Fold,
    Unfold,
    Edit,
    AllFiles,
    Whole,
    Follow,
    Search,
    NextFound,
    PreviousFound,
}

/// What is asked of wharf itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Anywhere {
    New,
    Cancel,
    Copy,
    Hold,
    Mouse,
    Redraw,
    Suspend,
    Palette,
    Help,
    Journal,
    WholeMessage,
    GoContainers,
    GoEvents,
    GoTrash,
    Back,
    Quit,
}

/// A column of the list that it can be sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SortKey {
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
    Events,
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
            Self::Events => "events",
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
    /// Returns the engine's verb for the action; none: it only affects the screen.
    pub const fn verb(self) -> Option<Verb> {
        match self {
            Self::Act(act) => act.verb(),
            Self::Detail(action) => action.verb(),
            Self::Shell(Anywhere::New) => Some(Verb::Create),
            Self::Shell(
                Anywhere::Cancel
                | Anywhere::Copy
                | Anywhere::Hold
                | Anywhere::Mouse
                | Anywhere::Redraw
                | Anywhere::Suspend
                | Anywhere::Palette
                | Anywhere::Help
                | Anywhere::Journal
                | Anywhere::WholeMessage
                | Anywhere::GoContainers
                | Anywhere::GoEvents
                | Anywhere::GoTrash
                | Anywhere::Back
                | Anywhere::Quit,
            )
            | Self::Move(_)
            | Self::List(_) => None,
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

impl Do {
    /// Returns the engine's verb; none: the last act decides.
    pub const fn verb(self) -> Option<Verb> {
        match self {
            Self::Start => Some(Verb::Start),
            Self::Stop => Some(Verb::Stop),
            // Also thaws: the state decides which of the two verbs is meant.
            Self::Freeze => Some(Verb::Freeze),
            Self::Restart => Some(Verb::Restart),
            Self::Destroy => Some(Verb::Destroy),
            Self::Clone => Some(Verb::Clone),
            Self::Rename => Some(Verb::Rename),
            Self::Again => Some(Verb::EditCgroup),
            // It lists them first, whatever the container does.
            Self::Snapshot | Self::Undo | Self::Redo | Self::Keep => None,
        }
    }
}

impl InDetail {
    /// Returns the engine's verb; none: it only shows something.
    pub const fn verb(self) -> Option<Verb> {
        match self {
            Self::Console => Some(Verb::Console),
            Self::Exec => Some(Verb::Attach),
            Self::Signal => Some(Verb::Signal),
            Self::Limits | Self::Edit => Some(Verb::EditCgroup),
            Self::Open
            | Self::Log
            | Self::Tab(_)
            | Self::NextPane
            | Self::PreviousPane
            | Self::Zoom
            | Self::NextContainer
            | Self::PreviousContainer
            | Self::SortProcesses(_)
            | Self::Fold
            | Self::Unfold
            | Self::AllFiles
            | Self::Whole
            | Self::Follow
            | Self::Search
            | Self::NextFound
            | Self::PreviousFound => None,
        }
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
    use Scope::{Cgroup, Container, Detail, Events, Everywhere, Found, List, Processes, Text};
    &[
        row(A::Detail(InDetail::Open), List, &["Enter"], "open", "Opens the container: processes, limits, console, log."),
        row(A::Act(Do::Start), Container, &["s"], "start", "Starts the container in the background."),
        row(A::Act(Do::Stop), Container, &["S"], "stop", "Asks init to halt and kills what is left after 10 s; S again kills at once."),
        row(A::Act(Do::Freeze), Container, &["f"], "freeze", "Freezes every process, or thaws a frozen container."),
        row(A::Act(Do::Restart), Container, &["r"], "restart", "Asks the container to restart; stops and starts it if it does not."),
        row(A::Detail(InDetail::Console), Container, &["c"], "console", "Opens its console, or goes back to the pane."),
        row(A::Detail(InDetail::Exec), Container, &["x"], "exec", "Runs a command inside the container, in a pane."),
        row(A::Detail(InDetail::Limits), Container, &["e"], "limits", "Opens the cgroup tab to change limits, those of all marked containers at once."),
        row(A::Act(Do::Again), Container, &["A"], "restore limits", "Restores the limits that wharf set and the kernel has lost."),
        row(A::Detail(InDetail::Log), Container, &["l"], "log", "Shows the container's console log."),
        row(A::Shell(Anywhere::New), Container, &["n"], "new", "Creates a container."),
        row(A::Shell(Anywhere::Cancel), Everywhere, &["C-x"], "cancel", "Cancels the creation in progress; nothing of it is left."),
        row(A::Act(Do::Destroy), Container, &["D"], "destroy", "Moves a stopped container to the trash, after its name is typed; z brings it back."),
        row(A::Act(Do::Clone), Container, &["C"], "clone", "Copies a stopped container under a name that is asked for."),
        row(A::Act(Do::Rename), Container, &["R"], "rename", "Gives a stopped container another name."),
        row(A::Act(Do::Snapshot), Container, &["N"], "snapshot", "Lists the snapshots of a container; takes, restores or deletes one."),
        row(A::List(InList::Mark), List, &["Spc"], "mark", "Marks the container; actions then apply to all that are marked."),
        row(A::List(InList::MarkAll), List, &["a"], "mark all", "Marks every container that is shown."),
        row(A::List(InList::Invert), List, &["*"], "invert marks", "Marks what is not marked, and unmarks the rest."),
        row(A::List(InList::Filter), List, &["/"], "filter", "Narrows the list: text, ~regex, !not, state:frozen, mem:>80%."),
        row(A::List(InList::Sort(SortKey::Name)), List, &["o n"], "sort by name", "Sorts the list by name."),
        row(A::List(InList::Sort(SortKey::State)), List, &["o s"], "sort by state", "Sorts the list by state, running first."),
        row(A::List(InList::Sort(SortKey::Since)), List, &["o t"], "sort by time", "Sorts the list by the time in this state."),
        row(A::List(InList::Sort(SortKey::Cpu)), List, &["o c"], "sort by cpu", "Sorts the list by CPU use."),
        row(A::List(InList::Sort(SortKey::Memory)), List, &["o m"], "sort by memory", "Sorts the list by memory in use."),
        row(A::List(InList::Sort(SortKey::Share)), List, &["o u"], "sort by use", "Sorts the list by the share of the memory limit in use."),
        row(A::List(InList::Sort(SortKey::Psi)), List, &["o i"], "sort by pressure", "Sorts the list by the highest pressure."),
        row(A::List(InList::Sort(SortKey::Pids)), List, &["o p"], "sort by pids", "Sorts the list by the number of processes."),
        row(A::List(InList::Reverse), List, &["O"], "reverse", "Reverses the order of the list."),
        row(A::List(InList::Peek), List, &["p"], "peek", "Shows or hides the processes and graphs of the container under the cursor."),
        row(A::List(InList::PeekUp), List, &["{"], "peek up", "Scrolls the processes below or beside the list up."),
        row(A::List(InList::PeekDown), List, &["}"], "peek down", "Scrolls the processes below or beside the list down."),
        row(A::Detail(InDetail::Signal), Processes, &["K"], "signal", "Sends a signal to the process under the cursor."),
        row(A::Detail(InDetail::SortProcesses(ProcessOrder::Pid)), Processes, &["o p"], "processes by pid", "Sorts the processes of one parent by pid."),
        row(A::Detail(InDetail::SortProcesses(ProcessOrder::Cpu)), Processes, &["o c"], "processes by cpu", "Sorts the processes of one parent by CPU use."),
        row(A::Detail(InDetail::SortProcesses(ProcessOrder::Memory)), Processes, &["o m"], "processes by memory", "Sorts the processes of one parent by memory."),
        row(A::Detail(InDetail::Fold), Processes, &["Left"], "fold", "Hides the children of the process."),
        row(A::Detail(InDetail::Unfold), Processes, &["Right"], "unfold", "Shows the children of the process."),
        row(A::Detail(InDetail::Edit), Cgroup, &["Enter"], "edit", "Edits the value in its row; Enter writes it, z undoes."),
        row(A::Detail(InDetail::AllFiles), Cgroup, &["a"], "all files", "Shows every file of the cgroup, or only limits and counters."),
        row(A::Detail(InDetail::Whole), Events, &["Enter"], "full text", "Shows the event under the cursor in full; y copies it."),
        row(A::Detail(InDetail::Follow), Text, &["F"], "follow", "Stays at the end as new lines arrive."),
        row(A::Detail(InDetail::Search), Text, &["/"], "search", "Finds text or a regular expression in the lines."),
        row(A::Detail(InDetail::NextFound), Found, &["n"], "next match", "Goes to the next match."),
        row(A::Detail(InDetail::PreviousFound), Found, &["N"], "previous match", "Goes to the previous match."),
        row(A::Detail(InDetail::Tab(1)), Container, &["1"], "overview", "Shows processes, limits, console and log at once."),
        row(A::Detail(InDetail::Tab(2)), Container, &["2"], "processes", "Shows the tree of processes."),
        row(A::Detail(InDetail::Tab(3)), Container, &["3"], "cgroup", "Shows limits and counters, and changes them."),
        row(A::Detail(InDetail::Tab(4)), Container, &["4"], "console tab", "Shows the console."),
        row(A::Detail(InDetail::Tab(5)), Container, &["5"], "log tab", "Shows the console log."),
        row(A::Detail(InDetail::Tab(6)), Container, &["6"], "events", "Shows what happened to the container."),
        row(A::Detail(InDetail::Tab(7)), Container, &["7"], "config", "Shows the configuration file."),
        row(A::Detail(InDetail::Tab(8)), Container, &["8"], "network", "Shows the network interfaces inside."),
        row(A::Detail(InDetail::Tab(9)), Container, &["9"], "mounts", "Shows the mounts inside."),
        row(A::Detail(InDetail::PreviousContainer), Container, &["["], "previous", "Goes to the container above in the list."),
        row(A::Detail(InDetail::NextContainer), Container, &["]"], "next", "Goes to the container below in the list."),
        row(A::Detail(InDetail::NextPane), Detail, &["Tab"], "next pane", "Moves the focus to the next pane."),
        row(A::Detail(InDetail::PreviousPane), Detail, &["S-Tab"], "previous pane", "Moves the focus to the previous pane."),
        row(A::Detail(InDetail::Zoom), Detail, &["+"], "zoom", "Shows the focused pane on the whole screen, or restores its size."),
        row(A::Move(Move::Up), Everywhere, &["Up", "k"], "up", "Moves up."),
        row(A::Move(Move::Down), Everywhere, &["Down", "j"], "down", "Moves down."),
        row(A::Move(Move::PageUp), Everywhere, &["PgUp", "C-u"], "page up", "Moves up by a page."),
        row(A::Move(Move::PageDown), Everywhere, &["PgDn", "C-d"], "page down", "Moves down by a page."),
        row(A::Move(Move::First), Everywhere, &["Home", "g g"], "first", "Goes to the first row."),
        row(A::Move(Move::Last), Everywhere, &["End", "G"], "last", "Goes to the last row."),
        row(A::Shell(Anywhere::GoContainers), Everywhere, &["g c"], "go to containers", "Goes back to the list of containers."),
        row(A::Shell(Anywhere::GoEvents), Everywhere, &["g m"], "go to events", "Shows what happened to all containers."),
        row(A::Shell(Anywhere::GoTrash), Everywhere, &["g t"], "go to trash", "Lists what was destroyed; Enter brings it back."),
        row(A::Act(Do::Undo), Everywhere, &["z"], "undo", "Undoes the last change of a limit, freeze, thaw, new name or destruction; asks first if it is not the last thing done."),
        row(A::Act(Do::Redo), Everywhere, &["Z"], "redo", "Redoes what was undone."),
        row(A::Act(Do::Keep), Everywhere, &["C-s"], "keep", "Writes the limit changed last to the configuration, for future starts."),
        row(A::Shell(Anywhere::Journal), Everywhere, &["J", "g j"], "journal", "Lists what was done, each with its command line, and what was refused."),
        row(A::Shell(Anywhere::WholeMessage), Everywhere, &["w"], "full message", "Shows the message above the footer in full; y copies it."),
        row(A::Shell(Anywhere::Copy), Everywhere, &["y"], "copy", "Copies the name, process, event or value under the cursor to the clipboard."),
        row(A::Shell(Anywhere::Hold), Everywhere, &["P"], "hold", "Stops refreshing the screen, or resumes."),
        row(A::Shell(Anywhere::Mouse), Everywhere, &["m"], "mouse", "Gives the mouse back to the terminal, to select text, or takes it back."),
        row(A::Shell(Anywhere::Redraw), Everywhere, &["C-l"], "redraw", "Draws the whole screen again."),
        row(A::Shell(Anywhere::Suspend), Everywhere, &["C-z"], "suspend", "Gives the terminal back to the shell; fg returns."),
        row(A::Shell(Anywhere::Palette), Everywhere, &[":"], "all", "Finds any action by a few letters of its name."),
        row(A::Shell(Anywhere::Help), Everywhere, &["?"], "help", "Lists the keys; type to search, Enter runs the line."),
        row(A::Shell(Anywhere::Back), Everywhere, &["Esc"], "back", "Goes back one level; on the list clears the filter, then the marks."),
        row(A::Shell(Anywhere::Quit), Everywhere, &["q", "C-c"], "quit", "Quits wharf; containers keep running. Asks first if a command runs in the pane."),
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
            let Some(verb) = it.action.verb() else { continue };
            let limits = matches!(
                it.action,
                Action::Detail(InDetail::Limits | InDetail::Edit) | Action::Act(Do::Again)
            );
            let named = super::super::named(it.name).map(|it| it.verb);
            assert!(named == Some(verb) || limits, "{} is no word for {verb}", it.name);
        }
    }

    #[test]
    fn every_action_is_explained_in_a_sentence() {
        for it in SHORTCUTS {
            assert!(it.help.ends_with('.') && !it.name.is_empty(), "{}", it.name);
        }
    }
}

//! Everything the screen remembers between two frames. Calls nothing and reads no clock.

pub mod create;
pub mod detail;
pub mod filter;
pub mod history;
pub mod list;
pub mod overlay;
pub mod undo;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use create::CreateForm;
use detail::{DetailScreen, Tab};
use history::History;
use list::ListScreen;
use overlay::Overlay;

use super::Rights;
use super::effect::{Act, STOP_GRACE};
use crate::command::Scope;
use crate::engine::Name;
use crate::engine::event::Event;
use crate::engine::process::ProcessOrder;
use crate::engine::progress::Reached;
use crate::engine::sample::{Container, Sample};
use crate::engine::sampler::Interest;
use crate::engine::state::State;
use crate::widgets::look::Glyphs;

/// How many events and journal lines are kept.
pub const KEPT: usize = 500;
/// The time between two samples, unless the preferences say otherwise.
pub const REFRESH: Duration = Duration::from_secs(1);
/// After this many intervals without a sample the screen is stale, but never sooner than this.
const LATE: u32 = 2;
const LATE_FROM: Duration = Duration::from_secs(2);

/// The whole state of the screen.
#[derive(Debug)]
pub struct Model {
    /// Columns and rows of the terminal.
    pub size: (u16, u16),
    pub now: SystemTime,
    /// The time between two samples, and the age of the newest one.
    pub refresh: Duration,
    pub quiet: Duration,
    /// None: the first sample has not arrived yet.
    pub sample: Option<Arc<Sample>>,
    pub list: ListScreen,
    /// The open container; none: the list is shown.
    pub detail: Option<DetailScreen>,
    pub overlay: Option<Overlay>,
    /// The first entry that the layer on top shows.
    pub layer_first: usize,
    /// The form for a new container is on the screen.
    pub creating: bool,
    /// What is typed into it, kept when it is closed.
    pub draft: CreateForm,
    /// Keys of an unfinished sequence, joined by spaces.
    pub typed: String,
    pub histories: BTreeMap<Name, History>,
    pub jobs: BTreeMap<Name, Job>,
    /// Why the last start failed, until the next act.
    pub failures: BTreeMap<Name, String>,
    /// Newest last.
    pub events: VecDeque<Event>,
    pub journal: Vec<JournalEntry>,
    /// What undoes past acts, newest last, and what redoes them.
    pub undo: Vec<UndoStep>,
    pub redo: Vec<UndoStep>,
    /// Acts begun with one key, on any number of containers.
    pub batch: Batch,
    /// The limit changed last: container, file and value.
    pub changed: Option<(Name, String, String)>,
    pub notice: Option<Notice>,
    pub pane: Option<PaneScreen>,
    /// How many programs were opened in the pane.
    pub opened: u64,
    /// The log last read, and its container.
    pub log: Option<(Name, Result<String, String>)>,
    pub held: bool,
    pub rights: Rights,
    /// The mouse is wharf's; else the terminal's.
    pub mouse: bool,
    /// What the sampler was last told to read.
    pub interest: Interest,
    /// How processes are ordered, wherever they are shown.
    pub order: ProcessOrder,
    /// How to call this program in a shell for the same containers: `wharf`, or `wharf -P PATH`.
    pub program: String,
    /// The signs that are drawn: some are as wide as a word.
    pub glyphs: &'static Glyphs,
}

/// Work in progress on one container.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    pub act: Act,
    pub since: SystemTime,
    pub way: Way,
    /// The number of its batch.
    pub batch: u64,
    /// How far it is, if it says so.
    pub reached: Option<Reached>,
    /// The operator wants it to end without a result.
    pub cancelled: bool,
}

/// One act that undoes or redoes another; those of one batch belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct UndoStep {
    pub batch: u64,
    pub name: Name,
    pub act: Act,
}

/// Acts that were begun together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    pub number: u64,
    pub begun: usize,
    pub done: usize,
    /// The first that failed, and why.
    pub failed: Option<String>,
    pub failures: usize,
}

/// The origin of an act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The operator asked for it.
    Anew,
    /// It undoes another act.
    Back,
    /// It redoes an undone act.
    Again,
}

/// One entry of the journal.
#[derive(Clone, Debug, PartialEq)]
pub struct JournalEntry {
    pub at: SystemTime,
    pub noted: Noted,
}

/// What the journal keeps.
#[derive(Clone, Debug, PartialEq)]
pub enum Noted {
    /// What was done to a container.
    Done {
        name: Name,
        act: Act,
        /// None: still in progress. The error is in words.
        outcome: Option<Result<String, String>>,
    },
    /// What wharf refused to begin, and why.
    Refused(String),
}

/// The latest notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub text: String,
    pub tone: Tone,
    pub at: SystemTime,
    /// The batch that can be undone or redone from this notice.
    pub offers: Option<(Way, u64)>,
    /// Shown whole, in as many rows as it needs, until the next key or click.
    pub whole: bool,
}

/// Whether a notice is good, neutral or bad news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Good,
    Plain,
    Bad,
}

/// What a program in the pane is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    /// It views something that continues without it.
    Console,
    /// It ends with the pane.
    Command,
}

/// A program to run in the pane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaneProgram {
    pub name: Name,
    /// Its title in the pane's frame.
    pub what: String,
    /// The arguments of this executable for it.
    pub args: Vec<String>,
    pub kind: Runs,
}

/// A program on a terminal of its own, inside the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaneScreen {
    /// How many programs were opened in the pane up to this one.
    pub number: u64,
    pub name: Name,
    /// What runs there, such as `console` or the command.
    pub what: String,
    pub kind: Runs,
    /// Rows and columns.
    pub size: (u16, u16),
    /// The keys go to the program.
    pub typing: bool,
    /// The escape key was pressed: the next key is for wharf.
    pub escaped: bool,
    pub full: bool,
    /// How it ended, in words.
    pub ended: Option<String>,
}

impl Model {
    /// Makes the model of a screen of `size` without any data yet.
    pub fn new(size: (u16, u16), now: SystemTime) -> Self {
        Self {
            size,
            now,
            refresh: REFRESH,
            quiet: Duration::ZERO,
            sample: None,
            list: ListScreen::default(),
            detail: None,
            overlay: None,
            layer_first: 0,
            creating: false,
            draft: CreateForm::default(),
            typed: String::new(),
            histories: BTreeMap::new(),
            jobs: BTreeMap::new(),
            failures: BTreeMap::new(),
            events: VecDeque::new(),
            journal: Vec::new(),
            undo: Vec::new(),
            redo: Vec::new(),
            batch: Batch::default(),
            changed: None,
            notice: None,
            pane: None,
            opened: 0,
            log: None,
            held: false,
            rights: Rights::Full,
            mouse: true,
            interest: Interest::default(),
            order: ProcessOrder::default(),
            program: "wharf".to_owned(),
            glyphs: &Glyphs::UNICODE,
        }
    }

    /// Returns the time of all figures.
    pub fn seen(&self) -> SystemTime {
        self.sample.as_ref().map_or(self.now, |it| it.taken)
    }

    /// Returns for how long there has been no sample, if that is too long.
    pub fn stale(&self) -> Option<Duration> {
        let late = self.quiet > (self.refresh * LATE).max(LATE_FROM);
        (late && !self.held).then_some(self.quiet)
    }

    /// Returns every container, by name.
    pub fn containers(&self) -> &[Container] {
        self.sample.as_ref().map_or(&[], |it| &it.containers)
    }

    /// Returns the container called `name`.
    pub fn container(&self, name: &Name) -> Option<&Container> {
        let all = self.containers();
        all.binary_search_by(|it| it.name.cmp(name)).ok().and_then(|at| all.get(at))
    }

    /// Returns the shown containers in the order of the list.
    pub fn shown(&self) -> impl Iterator<Item = &Container> {
        let all = self.containers();
        self.list.order.iter().filter_map(|at| all.get(*at))
    }

    /// Returns the name of the container that actions apply to when nothing is marked.
    pub fn current_name(&self) -> Option<&Name> {
        self.detail.as_ref().map(|it| &it.name).or(self.list.cursor.as_ref())
    }

    /// Returns the container that actions apply to when nothing is marked.
    pub fn current(&self) -> Option<&Container> {
        self.container(self.current_name()?)
    }

    /// Returns the containers that an action applies to: the marked ones on the list, else the
    /// current one.
    pub fn targets(&self) -> Vec<&Container> {
        if self.detail.is_none() && !self.list.marks.is_empty() {
            return self.list.marks.iter().filter_map(|it| self.container(it)).collect();
        }
        self.current().into_iter().collect()
    }

    /// Counts the marked containers that the filter hides.
    pub fn hidden_marks(&self) -> usize {
        let shown = self.shown().filter(|it| self.list.marks.contains(&it.name)).count();
        self.list.marks.len() - shown
    }

    /// Returns the state to show: the one that work in progress leads to, else the actual one.
    pub fn state_shown(&self, container: &Container) -> State {
        let Some(job) = self.jobs.get(&container.name) else { return container.state };
        match (&job.act, container.state) {
            (Act::Start | Act::Restart, State::Stopped) => State::Starting,
            (Act::Stop | Act::Kill | Act::Restart, State::Running | State::Frozen) => {
                State::Stopping
            }
            (Act::Freeze, State::Running) => State::Freezing,
            (Act::Thaw, State::Frozen) => State::Thawed,
            (_, state) => state,
        }
    }

    /// Returns the scopes in which a key is looked up, the innermost first.
    pub fn scopes(&self) -> Vec<Scope> {
        let mut scopes = Vec::with_capacity(5);
        match &self.detail {
            None => scopes.push(Scope::List),
            Some(detail) => {
                match detail.focus {
                    Tab::Processes => scopes.push(Scope::Processes),
                    Tab::Cgroup => scopes.push(Scope::Cgroup),
                    Tab::Events => {
                        scopes.extend(detail.search.as_ref().map(|_| Scope::Found));
                        scopes.extend([Scope::Events, Scope::Text]);
                    }
                    Tab::Log | Tab::Config | Tab::Network | Tab::Mounts => {
                        scopes.extend(detail.search.as_ref().map(|_| Scope::Found));
                        scopes.push(Scope::Text);
                    }
                    Tab::Overview | Tab::Console => (),
                }
                scopes.push(Scope::Detail);
            }
        }
        scopes.extend([Scope::Container, Scope::Everywhere]);
        scopes
    }

    /// Shows `text` above the footer.
    pub fn say(&mut self, tone: Tone, text: impl Into<String>) {
        let (text, at) = (text.into(), self.now);
        self.notice = Some(Notice { text, tone, at, offers: None, whole: true });
    }

    /// Shows the latest notice in one row again.
    pub const fn fold_notice(&mut self) {
        if let Some(notice) = &mut self.notice {
            notice.whole = false;
        }
    }

    /// Shows above the footer why something is refused, and notes it in the journal.
    pub fn refuse(&mut self, text: impl Into<String>) {
        let text = text.into();
        self.note(Noted::Refused(text.clone()));
        self.say(Tone::Bad, text);
    }

    /// Adds to the journal. The same refusal again replaces the one before.
    pub fn note(&mut self, noted: Noted) {
        let again = |it: &mut JournalEntry| matches!(noted, Noted::Refused(_)) && it.noted == noted;
        self.journal.pop_if(again);
        self.journal.push(JournalEntry { at: self.now, noted });
        let excess = self.journal.len().saturating_sub(KEPT);
        self.journal.drain(..excess);
    }

    /// Returns the container that is being created or copied, the one begun first, and how far that is.
    pub fn creation(&self) -> Option<(&Name, &Job)> {
        let creates = self.jobs.iter().filter(|(_, it)| it.act.copies());
        creates.min_by_key(|(_, it)| (it.cancelled, it.since))
    }

    /// Returns a guest that was asked to halt, the one under the cursor first, and how long it has
    /// left.
    pub fn halting(&self) -> Option<(&Name, Duration)> {
        let halts = |(_, job): &(&Name, &Job)| matches!(job.act, Act::Stop | Act::Restart);
        let mut all = self.jobs.iter().filter(halts);
        let current = self.current_name().and_then(|it| self.jobs.get_key_value(it)).filter(halts);
        let (name, job) = current.or_else(|| all.next())?;
        let passed = self.now.duration_since(job.since).unwrap_or_default();
        Some((name, STOP_GRACE.saturating_sub(passed)))
    }
}

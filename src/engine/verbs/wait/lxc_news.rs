//! What LXC's own supervisors say of their containers, as events beside those of the journal: each
//! once, whoever reports it. Where nobody passes on what they say, what their states show.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use super::BEAT;
use crate::engine::running::command_socket::wire::MonitorMessage;
use crate::engine::running::event::{Event, What};
use crate::engine::running::monitord::Monitord;
use crate::engine::running::record::Record;
use crate::engine::{Exit, Lxcpath, Name, State};

/// How long after the journal has reported something LXC's daemon may say it, too.
const ECHO: Duration = Duration::from_secs(10);
/// How long a daemon may take to say what was written. On a busy machine it does not always run at
/// once.
const STUCK: Duration = Duration::from_secs(5);

/// What was heard so far.
#[derive(Debug)]
pub(super) struct LxcNews {
    lxcpath: Lxcpath,
    daemon: Option<Monitord>,
    /// What the journal has reported, which the daemon is told by wharf's supervisors.
    echoes: Vec<(Instant, Name, Told)>,
    /// The newest state of each that was reported.
    last: BTreeMap<Name, State>,
    /// What the states show, until it is sure that the daemon does not say it.
    held: Vec<Unconfirmed>,
}

/// A change of state that the daemon may be about to say.
#[derive(Debug)]
struct Unconfirmed {
    event: Event,
    /// Since when the daemon is silent about that container.
    since: Instant,
    /// The mark that was written once the change was seen. Before it comes back the daemon has not
    /// read all that the container's supervisor has written.
    mark: Option<i32>,
}

impl Unconfirmed {
    fn is_due(&self, now: Instant) -> bool {
        let patience = if self.mark.is_some() { STUCK } else { BEAT };
        now.duration_since(self.since) >= patience
    }
}

/// One message, in a form in which both can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    State(State),
    Exit,
}

impl LxcNews {
    /// Begins to listen to `daemon`, if there is one. `states` is how things are.
    pub(super) fn begin(
        lxcpath: &Lxcpath,
        daemon: Option<Monitord>,
        states: Vec<(Name, State)>,
    ) -> Self {
        Self {
            lxcpath: lxcpath.clone(),
            daemon,
            echoes: Vec::new(),
            last: states.into_iter().collect(),
            held: Vec::new(),
        }
    }

    /// Returns a descriptor that polls readable when LXC's daemon has said something.
    pub(super) fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.daemon.as_ref().map(AsFd::as_fd)
    }

    /// Returns what LXC's daemon has said since the last call.
    pub(super) fn take(&mut self) -> Vec<(Name, MonitorMessage)> {
        let Some(daemon) = &mut self.daemon else { return Vec::new() };
        let Ok(news) = daemon.news() else {
            // Somebody has ended it.
            self.daemon = Monitord::of(&self.lxcpath);
            return Vec::new();
        };
        let reached = daemon.reached();
        self.reach(reached);
        news.into_iter().filter_map(|(name, it)| Some((name.parse().ok()?, it))).collect()
    }

    /// The daemon has said all that was written before the mark `reached`.
    fn reach(&mut self, reached: i32) {
        let now = Instant::now();
        for it in self.held.iter_mut().filter(|it| it.mark.is_some_and(|mark| mark <= reached)) {
            // LXC answers no more before it says that a container has stopped.
            (it.mark, it.since) = (None, now);
        }
    }

    /// Makes events of what the daemon has `said`, as far as the journal has not. It must be given all
    /// that the journal had when the daemon had said that.
    pub(super) fn events(
        &mut self,
        said: Vec<(Name, MonitorMessage)>,
        journal: &[Event],
    ) -> Vec<Event> {
        let now = Instant::now();
        self.echoes.retain(|(at, _, _)| now.duration_since(*at) < ECHO);
        for it in journal {
            if let Some(state) = it.enters() {
                self.last.insert(it.name.clone(), state);
            }
            if let Some(told) = told_of(it).filter(|_| self.daemon.is_some()) {
                self.echoes.push((now, it.name.clone(), told));
            }
        }
        said.into_iter().filter_map(|(name, it)| self.event(&name, it)).collect()
    }

    fn event(&mut self, name: &Name, message: MonitorMessage) -> Option<Event> {
        let told = match message {
            MonitorMessage::State(state) => Told::State(state),
            MonitorMessage::Exit(_) => Told::Exit,
        };
        let echo = self.echoes.iter().position(|(_, of, it)| of == name && *it == told);
        if let Some(at) = echo {
            self.echoes.remove(at);
            return None;
        }
        // LXC's commands speak for any container that they freeze.
        let host = self.lxcpath.host();
        if Record::read(&self.lxcpath, name).is_some_and(|it| it.is_live(host)) {
            return None;
        }
        // What was seen is said now, or after more than this.
        let now = Instant::now();
        let is_said = |it: &Unconfirmed| Some(told) == it.event.enters().map(Told::State);
        self.held.retain(|it| it.event.name != *name || !is_said(it));
        let of_it = self.held.iter_mut().filter(|it| it.event.name == *name);
        of_it.for_each(|it| it.since = now);
        let what = match message {
            MonitorMessage::Exit(status) => {
                What::Exited { exit: Exit::from_wait_status(status).of_init() }
            }
            MonitorMessage::State(to) => {
                let from = self.last.insert(name.clone(), to).unwrap_or(State::Stopped);
                // LXC says twice that something is frozen or thawed.
                if from == to {
                    return None;
                }
                What::State { from, to }
            }
        };
        Some(Event::now(self.lxcpath.dir(), name, what))
    }

    /// Returns what the states show and the daemon does not say: `seen` since the last call, and
    /// how things are `now`. A container that is frozen by its cgroup's file is such a case.
    pub(super) fn sift(&mut self, seen: Vec<Event>, now: &[(Name, State)]) -> Vec<Event> {
        let time = Instant::now();
        let (mut states, mut events): (Vec<_>, Vec<_>) =
            seen.into_iter().partition(|it| it.enters().is_some());
        // Otherwise it would be news again after the next end.
        states.retain(|it| it.enters() != self.last.get(&it.name).copied());
        if !states.is_empty() {
            let mark = self.daemon.as_mut().and_then(Monitord::mark);
            self.held.extend(states.into_iter().map(|event| Unconfirmed {
                event,
                since: time,
                mark,
            }));
        }
        let alone = self.daemon.is_none();
        for Unconfirmed { mut event, .. } in self.held.extract_if(.., |it| alone || it.is_due(time))
        {
            let Some(to) = event.enters() else { continue };
            // It was over before it was told: either the daemon has said it, or it was as short as
            // what nobody sees who looks a few times a second.
            let is = now.iter().find(|(name, _)| *name == event.name);
            if is.map_or(State::Stopped, |(_, state)| *state) != to {
                continue;
            }
            let from = self.last.insert(event.name.clone(), to).unwrap_or(State::Stopped);
            if from != to {
                event.what = What::State { from, to };
                events.push(event);
            }
        }
        events
    }
}

/// Returns what wharf's supervisors tell the daemon when the journal reports `event`.
fn told_of(event: &Event) -> Option<Told> {
    let exited = matches!(event.what, What::Exited { .. }).then_some(Told::Exit);
    event.enters().map(Told::State).or(exited)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::path::Path;

    use super::*;
    use crate::engine::Engine;

    fn news() -> LxcNews {
        let dir = tempfile::tempdir().unwrap();
        let lxcpath = Engine::open(Some(dir.path())).lxcpath().clone();
        let (_, stream) = UnixStream::pair().unwrap();
        LxcNews {
            lxcpath,
            daemon: Some(Monitord::over(stream)),
            echoes: Vec::new(),
            last: BTreeMap::new(),
            held: Vec::new(),
        }
    }

    fn name() -> Name {
        "web".parse().unwrap()
    }

    #[test]
    fn what_lxc_says_is_an_event_once_and_what_the_journal_has_is_none() {
        let mut news = news();
        let dir = news.lxcpath.dir().to_path_buf();
        let state = |state| (name(), MonitorMessage::State(state));
        let what = What::State { from: State::Stopped, to: State::Starting };
        let ours = Event::now(&dir, &name(), what);
        let said = vec![state(State::Starting), state(State::Frozen), state(State::Frozen)];
        let events = news.events(said, std::slice::from_ref(&ours));
        let what: Vec<_> = events.iter().map(|it| &it.what).collect();
        assert_eq!(what, [&What::State { from: State::Starting, to: State::Frozen }]);
        let events = news.events(vec![(name(), MonitorMessage::Exit(0x300))], &[]);
        assert_eq!(events.first().unwrap().what, What::Exited { exit: Exit::Code(3) });
        // Its states show what was said.
        let said = What::State { from: State::Stopped, to: State::Frozen };
        assert!(news.sift(vec![Event::now(&dir, &name(), said)], &[]).is_empty());
        assert!(later(&mut news, State::Frozen).is_empty() && news.held.is_empty());
    }

    #[test]
    fn what_nobody_says_is_seen_a_moment_later() {
        let mut news = news();
        let dir = news.lxcpath.dir().to_path_buf();
        let seen = |to| Event::now(&dir, &name(), What::State { from: State::Stopped, to });
        assert!(news.sift(vec![seen(State::Running)], &[]).is_empty());
        assert_eq!(states(&later(&mut news, State::Running)), [(State::Stopped, State::Running)]);
        // Also soon after the daemon has spoken, but not before it had time to say more.
        assert!(news.sift(vec![seen(State::Frozen)], &[]).is_empty());
        news.held.iter_mut().for_each(|it| it.since -= BEAT);
        news.events(vec![(name(), MonitorMessage::State(State::Stopping))], &[]);
        assert!(news.sift(Vec::new(), &[(name(), State::Frozen)]).is_empty());
        assert_eq!(states(&later(&mut news, State::Frozen)), [(State::Stopping, State::Frozen)]);
    }

    #[test]
    fn what_is_seen_waits_until_the_daemon_has_said_what_was_written_before() {
        let mut news = news();
        let what = What::State { from: State::Stopped, to: State::Running };
        let event = Event::now(news.lxcpath.dir(), &name(), what);
        news.held = vec![Unconfirmed { event, since: Instant::now(), mark: Some(2) }];
        assert!(later(&mut news, State::Running).is_empty());
        news.reach(1);
        assert!(later(&mut news, State::Running).is_empty());
        // Then as long as any other.
        news.reach(2);
        assert!(news.sift(Vec::new(), &[(name(), State::Running)]).is_empty());
        assert_eq!(states(&later(&mut news, State::Running)), [(State::Stopped, State::Running)]);
    }

    #[test]
    fn what_was_seen_in_one_life_is_not_told_in_the_next() {
        let mut news = news();
        let dir = news.lxcpath.dir().to_path_buf();
        let running = || {
            let what = What::State { from: State::Stopped, to: State::Running };
            vec![Event::now(&dir, &name(), what)]
        };
        let says = |state| vec![(name(), MonitorMessage::State(state))];
        let now = [(name(), State::Running)];
        // The daemon says it before it is seen, or after.
        news.events(says(State::Running), &[]);
        assert!(news.sift(running(), &now).is_empty());
        news.events(says(State::Stopped), &[]);
        assert!(later(&mut news, State::Running).is_empty());
        assert!(news.sift(running(), &now).is_empty());
        news.events(says(State::Running), &[]);
        news.events(says(State::Stopped), &[]);
        assert!(later(&mut news, State::Running).is_empty());
    }

    #[test]
    fn the_end_of_a_container_that_exists_no_more_is_told() {
        let mut news = news();
        news.events(vec![(name(), MonitorMessage::State(State::Running))], &[]);
        let seen = |from, to| Event::now(Path::new("/lxc"), &name(), What::State { from, to });
        assert!(news.sift(vec![seen(State::Running, State::Stopped)], &[]).is_empty());
        news.held.iter_mut().for_each(|it| it.since -= BEAT);
        assert_eq!(states(&news.sift(Vec::new(), &[])), [(State::Running, State::Stopped)]);
    }

    #[test]
    fn a_daemon_that_goes_leaves_nothing_to_be_told_twice() {
        let mut news = news();
        let now = [(name(), State::Running)];
        news.events(vec![(name(), MonitorMessage::State(State::Running))], &[]);
        let what = What::State { from: State::Stopped, to: State::Running };
        assert!(news.sift(vec![Event::now(Path::new("/lxc"), &name(), what)], &now).is_empty());
        news.daemon = None;
        assert!(news.sift(Vec::new(), &now).is_empty() && news.held.is_empty());
        let what = What::State { from: State::Running, to: State::Frozen };
        let seen = vec![Event::now(Path::new("/lxc"), &name(), what)];
        let told = news.sift(seen, &[(name(), State::Frozen)]);
        assert_eq!(states(&told), [(State::Running, State::Frozen)]);
    }

    #[test]
    fn what_is_over_before_it_is_told_is_left_to_the_daemon() {
        let mut news = news();
        let what = What::State { from: State::Stopped, to: State::Starting };
        let seen = Event::now(news.lxcpath.dir(), &name(), what);
        assert!(news.sift(vec![seen], &[]).is_empty());
        assert!(later(&mut news, State::Running).is_empty());
    }

    /// What is told once the daemon has been silent for long enough, and the container is in `now`.
    fn later(news: &mut LxcNews, now: State) -> Vec<Event> {
        news.held.iter_mut().for_each(|it| it.since -= BEAT);
        news.sift(Vec::new(), &[(name(), now)])
    }

    fn states(events: &[Event]) -> Vec<(State, State)> {
        let state = |it: &Event| {
            let What::State { from, to } = it.what else { return None };
            Some((from, to))
        };
        events.iter().filter_map(state).collect()
    }
}

//! All that is said of the containers of one lxcpath: what wharf's supervisors and commands write into
//! the journal, and what LXC's supervisors tell LXC's daemon, each once.

use std::io;
use std::time::Duration;

use super::lxc_news::LxcNews;
use crate::engine::running::event::{self, Event, Follower};
use crate::engine::running::monitord::Monitord;
use crate::engine::running::record::Record;
use crate::engine::{Lxcpath, Name, State};

/// Where it was read up to.
#[derive(Debug)]
pub(super) struct Feed {
    lxcpath: Lxcpath,
    journal: Follower,
    lxc: LxcNews,
}

impl Feed {
    /// Begins with what is said from now on, about any container.
    pub(super) fn of_all(lxcpath: &Lxcpath, states: Vec<(Name, State)>) -> io::Result<Self> {
        let journal = event::follow(lxcpath.host())?;
        let lxc = LxcNews::begin(lxcpath, Monitord::of(lxcpath), states);
        Ok(Self { lxcpath: lxcpath.clone(), journal, lxc })
    }

    /// Begins with what is said from now on about `names`. Whoever waits for containers of wharf alone
    /// does not need LXC's daemon.
    pub(super) fn of(lxcpath: &Lxcpath, names: &[&Name]) -> io::Result<Self> {
        let journal = event::follow(lxcpath.host())?;
        let is_ours =
            |name: &&Name| Record::read(lxcpath, name).is_some_and(|it| it.is_live(lxcpath.host()));
        let others = !names.iter().all(is_ours);
        let daemon = others.then(|| Monitord::of(lxcpath)).flatten();
        Ok(Self {
            lxcpath: lxcpath.clone(),
            journal,
            lxc: LxcNews::begin(lxcpath, daemon, Vec::new()),
        })
    }

    /// Waits at most `patience` until something is said, and returns that with what follows immediately.
    pub(super) fn next(&mut self, patience: Duration) -> io::Result<Vec<Event>> {
        self.journal.wait(self.lxc.as_fd(), Some(patience))?;
        let said = self.lxc.take();
        // Read after that: the daemon repeats what wharf's supervisors have written before.
        let mut events = Vec::new();
        while let Some(event) = self.journal.next(Some(Duration::ZERO))? {
            events.push(event);
        }
        events.retain(|it| it.lxcpath == self.lxcpath.dir());
        let of_lxc = self.lxc.events(said, &events);
        events.extend(of_lxc);
        Ok(events)
    }

    /// Adds what the states show and nobody has said: `seen` since the last call, and how things are
    /// `now`.
    pub(super) fn sift(&mut self, seen: Vec<Event>, now: &[(Name, State)]) -> Vec<Event> {
        self.lxc.sift(seen, now)
    }
}

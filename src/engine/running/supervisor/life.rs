//! The state of the container: which may follow, and who is informed when it changes. The only
//! place that publishes states while the supervisor lives.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::claims::Claims;
use super::error::RunError;
use super::log::Log;
use crate::engine::cgroup::{Cgroup, Hierarchies, PlannedGroups};
use crate::engine::entry::host_steps::{self, HostSite, HostStep, HostStepError, RunEnd, Wires};
use crate::engine::host::Host;
use crate::engine::host::lxcpath::Lxcpath;
use crate::engine::running::command_socket::wire::{self, MonitorMessage};
use crate::engine::running::event::{self, What};
use crate::engine::running::monitord;
use crate::engine::running::oom::{Death, OomKill};
use crate::engine::running::record::{self, Record, SetLimit, now_ms};
use crate::engine::store::Store;
use crate::engine::terms::exit::Exit;
use crate::engine::terms::spec::At;
use crate::engine::terms::state::State;

/// How long a freeze may take before its result is checked.
const FREEZE: Duration = Duration::from_secs(1);
/// An end so soon after an OOM kill may be caused by it: at its limit of memory a shell may take
/// seconds to notice that its child was killed, as its own pages are read anew.
const AFTER_A_KILL: Duration = Duration::from_secs(5);

/// A run and its state.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) record: Record,
    pub(super) claims: Claims,
    pub(super) lxcpath: Lxcpath,
    /// Why the record could not be written the last time.
    unsaved: Option<io::Error>,
    /// When an unfinished freeze is checked.
    look_at_freeze: Option<Instant>,
    /// States left and entered, and not yet reported to the state clients.
    untold: Vec<(State, State)>,
    /// The time of the last OOM kill, and whether it killed init, if known.
    oom: Option<(Instant, Option<bool>)>,
    /// LXC's lxc-monitord listens here, if it runs.
    fifo: PathBuf,
    pub(super) log: Log,
    /// The namespaces of the container, if hooks at its end need them.
    namespaces: Vec<(&'static str, File)>,
}

/// What is known about the kills that are reported together.
#[derive(Debug)]
pub(super) struct Kills {
    /// How many there were since the container's start.
    pub(super) count: u64,
    /// The newest of them.
    pub(super) last: Option<OomKill>,
    /// Whether init was killed; none if the kernel's log does not name every process.
    pub(super) init: Option<bool>,
}

impl Life {
    /// Continues from `record`, whose state was not reported yet.
    pub(super) fn begin(record: Record, lxcpath: Lxcpath, log: Log) -> Self {
        let fifo = monitord::fifo(&lxcpath);
        let (unsaved, untold, namespaces) = (None, Vec::new(), Vec::new());
        let (look_at_freeze, oom, claims) = (None, None, Claims::default());
        let life = Self {
            record,
            claims,
            lxcpath,
            unsaved,
            look_at_freeze,
            untold,
            oom,
            fifo,
            log,
            namespaces,
        };
        life.publish(State::Stopped);
        life
    }

    /// Returns the present state.
    pub(super) const fn state(&self) -> State {
        self.record.state
    }

    /// Enters `next` and reports it. A state that cannot follow is refused.
    pub(super) fn enter(&mut self, next: State) -> bool {
        let from = self.record.state;
        if !from.may_become(next) {
            return false;
        }
        if next == State::Stopped {
            // While the record can still show that there is something to clean up.
            self.claims = Claims::default();
            self.record.restart_ms = None;
        }
        self.record.state = next;
        self.record.since_ms = now_ms();
        self.look_at_freeze = (next == State::Freezing).then(|| Instant::now() + FREEZE);
        if next == State::Running && self.record.started_ms.is_none() {
            self.record.started_ms = Some(self.record.since_ms);
        }
        self.save();
        self.publish(from);
        self.untold.push((from, next));
        true
    }

    /// Goes from the end of one run to the start of the next. The record never says STOPPED: a
    /// supervisor is alive, and nobody else may start the container.
    pub(super) fn begin_again(&mut self) {
        for next in [State::Stopped, State::Starting] {
            let from = std::mem::replace(&mut self.record.state, next);
            self.record.since_ms = now_ms();
            self.publish(from);
            self.untold.push((from, next));
        }
        self.record.forget_run();
        self.oom = None;
        self.save();
    }

    /// Follows a client that froze or thawed the container to `target`, in legal steps. LXC's
    /// commands report some states twice, and go back without a report when they fail.
    pub(super) fn follow_freezer(&mut self, target: State) {
        const CYCLE: [State; 4] = [State::Freezing, State::Frozen, State::Thawed, State::Running];
        if !CYCLE.contains(&target) {
            return;
        }
        // A second THAWED arrives when we are already RUNNING, only from LXC's tools.
        let steps = steps_between(self.state(), target);
        for state in steps {
            self.enter(state);
        }
    }

    /// Reports how init ended.
    pub(super) fn exited(&mut self, exit: Exit, status: i32) {
        self.record.exit = Some(exit);
        self.record.died_of_memory = self.died_of_memory(exit);
        self.tell(What::Exited { exit });
        self.tell_monitord(MonitorMessage::Exit(status));
    }

    /// Reports OOM kills in this run.
    pub(super) fn killed_for_memory(&mut self, kills: Kills) {
        let Kills { count, last, init } = kills;
        self.record.oom_kills = count;
        self.record.oom_last.clone_from(&last);
        self.oom = Some((Instant::now(), init));
        self.save();
        self.tell(What::OomKill { count, last });
    }

    /// Notes that init is among the killed, which the log did not say when they were reported.
    pub(super) fn memory_ended_init(&mut self, kill: OomKill) {
        self.record.oom_last = Some(kill);
        self.oom = Some((Instant::now(), Some(true)));
    }

    /// Returns whether `pid` is init.
    pub(super) fn is_init(&self, pid: i32) -> bool {
        self.record.init.is_some_and(|it| it.pid == pid)
    }

    /// Returns whether the dead process was one of the container's.
    pub(super) fn owns(&self, death: &Death) -> bool {
        self.record
            .cgroup
            .as_ref()
            .is_some_and(|it| it.paths().into_iter().any(|it| death.was_in(it)))
    }

    /// Returns whether an OOM kill ended init. A container may be killed by hand long after an OOM
    /// kill of some child.
    fn died_of_memory(&self, exit: Exit) -> bool {
        const KILLED: u8 = 128 + libc::SIGKILL as u8;
        let Some((at, init)) = self.oom else { return false };
        let just_now = at.elapsed() <= AFTER_A_KILL;
        match exit {
            // If the kernel's log does not say so, only the time can suggest it.
            Exit::Signal(libc::SIGKILL) => init.unwrap_or(just_now),
            // The process that init waited for was killed.
            Exit::Code(KILLED) => just_now,
            Exit::Signal(_)
            | Exit::Code(_)
            | Exit::Halted
            | Exit::Rebooted
            | Exit::Unheard(_)
            | Exit::Unmoved(_)
            | Exit::Saved => false,
        }
    }

    /// Reports limits that wharf had set and the kernel no longer has, once each.
    pub(super) fn miss(&mut self, lost: Vec<SetLimit>, cgroup: &Cgroup) {
        let files: Vec<String> = lost.iter().map(|it| it.file.clone()).collect();
        if files == self.record.lost_limits {
            return;
        }
        let known = std::mem::replace(&mut self.record.lost_limits, files);
        self.save();
        for SetLimit { file, kept, .. } in lost.into_iter().filter(|it| !known.contains(&it.file)) {
            let now = cgroup.get(&file).unwrap_or_default().trim().to_owned();
            let was = kept.unwrap_or_default();
            self.tell(What::LimitLost { file, was, now });
        }
    }

    /// Reports that the next start is delayed.
    pub(super) fn brakes(&mut self, restarts: u32, wait: Duration) {
        let wait_ms = wait.as_millis() as u64;
        self.record.restart_ms = Some(now_ms() + wait_ms);
        self.save();
        self.tell(What::Braked { restarts, wait_ms });
    }

    /// Reports what has no effect in its configuration, or failed at its end.
    pub(super) fn warn(&self, warnings: &[String]) {
        if warnings.is_empty() {
            return;
        }
        let said = warnings.join("; ");
        self.tell(What::Warned { said });
    }

    /// Reports why the container could not be started.
    pub(super) fn failed(&self, reason: String) {
        self.tell(What::Failed { reason });
    }

    /// Returns when an unfinished freeze must be checked.
    pub(super) const fn look_at_freeze(&self) -> Option<Instant> {
        self.look_at_freeze
    }

    /// Schedules another check of the freeze.
    pub(super) fn wait_again(&mut self) {
        self.look_at_freeze = Some(Instant::now() + FREEZE);
    }

    /// Ends the reports. The record stays for later commands, except for a container that is not
    /// defined, which nobody can ask for.
    pub(super) fn close(&self) {
        self.record.planned.as_ref().map(PlannedGroups::remove_above);
        let has_groups = self.has_groups();
        if !has_groups {
            record::forget_limits(&self.lxcpath, &self.record.name);
        }
        let left = !self.record.host_steps.is_empty() || has_groups;
        if !left && !Store::new(&self.lxcpath).exists(&self.record.name) {
            // The next clean-up tries again.
            _ = record::forget(&self.lxcpath, &self.record.name);
        }
    }

    /// Returns whether groups of the run are left, which only the record knows.
    fn has_groups(&self) -> bool {
        let Some(path) = &self.record.cgroup else { return false };
        let hierarchies = Hierarchies::discover(self.lxcpath.host()).unwrap_or_default();
        !Cgroup::open(&hierarchies, path).dirs().is_empty()
    }

    /// Carries out `steps` for the container whose init is `init`.
    pub(super) fn carry_out(
        &mut self,
        steps: Vec<At<HostStep>>,
        init: Option<i32>,
    ) -> Result<(), RunError> {
        let mut site = HostSite { init, wires: None };
        if let Some(init) = init {
            let recorded = self.record.host_steps.iter();
            if recorded.chain(steps.iter().map(|it| &it.value)).any(HostStep::ends_with_hook) {
                self.namespaces = open_namespaces(self.lxcpath.host(), init);
            }
            if steps.iter().any(|it| it.value.needs_wires()) {
                let wires = Wires::to(self.lxcpath.host(), init).map_err(RunError::Wires)?;
                site.wires = Some(wires);
            }
        }
        steps.into_iter().try_for_each(|it| self.carry_out_one(it, &site))
    }

    /// The record knows of the step before it is carried out.
    fn carry_out_one(&mut self, step: At<HostStep>, site: &HostSite) -> Result<(), RunError> {
        let At { value: mut step, place } = step;
        let failed = |error: HostStepError| RunError::Host(error.at(place.as_ref()));
        if !step.is_recorded() {
            return step.perform(site).map_err(failed);
        }
        self.record.host_steps.push(step.clone());
        self.save();
        self.saved()?;
        let done = step.perform(site).map_err(failed);
        self.record.host_steps.pop();
        self.record.host_steps.push(step);
        done
    }

    /// Undoes what was done on the host. The next command finds in the record what is left.
    /// `reboots`: the container is started again.
    pub(super) fn undo_host_steps(&mut self, reboots: bool) {
        if self.record.host_steps.is_empty() {
            return;
        }
        let path = |file: &File| format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
        let namespaces = self.namespaces.iter().map(|(name, it)| ((*name).to_owned(), path(it)));
        let end = RunEnd {
            reboots,
            init: self.record.init.map(|it| it.pid),
            namespaces: namespaces.collect(),
        };
        let mut steps = std::mem::take(&mut self.record.host_steps);
        _ = host_steps::undo_all(&mut steps, &end, &mut |left, failed| {
            self.record.host_steps = left.to_vec();
            self.save();
            let said: Vec<String> = failed.iter().map(ToString::to_string).collect();
            self.warn(&said);
        });
        self.record.host_steps = steps;
        self.namespaces.clear();
        self.save();
    }

    /// Writes the record; a full disk must not end a container that runs.
    pub(super) fn save(&mut self) {
        self.unsaved = self.record.write(self.lxcpath.host()).err();
    }

    /// Fails if the record was not written the last time: a start that could not be cleaned up must
    /// not continue.
    pub(super) fn saved(&mut self) -> Result<(), RunError> {
        self.unsaved.take().map_or(Ok(()), |error| Err(RunError::Record(error)))
    }

    /// Takes the changes of state, from and to, that must be reported to the state clients.
    pub(super) fn take_untold(&mut self) -> Vec<(State, State)> {
        std::mem::take(&mut self.untold)
    }

    fn publish(&self, from: State) {
        let to = self.record.state;
        self.tell(What::State { from, to });
        self.tell_monitord(MonitorMessage::State(to));
    }

    fn tell(&self, what: What) {
        self.log.tell(&self.record.name, &what);
        event::publish(&self.lxcpath, &self.record.name, what);
    }

    fn tell_monitord(&self, event: MonitorMessage) {
        // Without a daemon, or with one that does not read, nobody needs it.
        _ = monitord::write(&self.fifo, &wire::encode_event(self.record.name.as_str(), event));
    }
}

/// The namespaces of a container, in the order in which LXC lists them.
const NAMESPACES: [&str; 6] = ["mnt", "pid", "uts", "ipc", "net", "cgroup"];

/// Keeps the namespaces of init for the hooks at its end.
fn open_namespaces(host: &Host, init: i32) -> Vec<(&'static str, File)> {
    let open = |name: &'static str| {
        let file = File::open(host.of_process(init, &format!("ns/{name}")));
        file.ok().map(|it| (name, it))
    };
    NAMESPACES.into_iter().filter_map(open).collect()
}

/// Returns the shortest way from `from` to `target` within the freezer's cycle.
fn steps_between(from: State, target: State) -> Vec<State> {
    let next = |state| match state {
        State::Running => Some(State::Freezing),
        State::Freezing if target == State::Frozen => Some(State::Frozen),
        State::Freezing | State::Frozen => Some(State::Thawed),
        State::Thawed => Some(State::Running),
        State::Stopped | State::Starting | State::Stopping | State::Aborting => None,
    };
    let mut steps = Vec::new();
    let mut state = from;
    while state != target {
        // THAWED while it is running: as far as we know it was thawed before.
        let Some(step) = next(state).filter(|_| from != State::Running || target != State::Thawed)
        else {
            return Vec::new();
        };
        steps.push(step);
        state = step;
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::host::made_up::{MadeUp, SUPERVISOR};
    use crate::engine::terms::name::Name;

    #[test]
    fn lxcs_doubled_states_are_told_once() {
        let mut state = State::Running;
        let mut told = Vec::new();
        for heard in [
            State::Freezing,
            State::Frozen,
            State::Frozen,
            State::Thawed,
            State::Thawed,
            State::Running,
        ] {
            for step in steps_between(state, heard) {
                assert!(state.may_become(step));
                state = step;
                told.push(step);
            }
        }
        assert_eq!(told, [State::Freezing, State::Frozen, State::Thawed, State::Running]);
    }

    #[test]
    fn a_failed_freeze_goes_back_by_way_of_thawed() {
        assert_eq!(steps_between(State::Freezing, State::Running), [State::Thawed, State::Running]);
        assert!(steps_between(State::Running, State::Thawed).is_empty());
        assert!(steps_between(State::Stopping, State::Frozen).is_empty());
    }

    fn begun(machine: &MadeUp, word: &str) -> Life {
        let name: Name = word.parse().unwrap();
        let record = machine.record(&name, State::Starting);
        Life::begin(record, machine.lxcpath.clone(), Log::default())
    }

    #[test]
    fn record_and_journal_tell_of_every_state() {
        let machine = MadeUp::new();
        machine.process(SUPERVISOR);
        let mut life = begun(&machine, "web");
        let name = life.record.name.clone();
        machine.define(&name);
        assert!(life.enter(State::Running));
        assert!(!life.enter(State::Starting), "that cannot follow");
        let record = Record::read(&machine.lxcpath, &name).unwrap();
        assert!(record.is_live(&machine.host) && record.state == State::Running);
        assert!(life.enter(State::Stopping) && life.enter(State::Stopped));
        let told: Vec<_> = life.take_untold().into_iter().map(|(_, to)| to).collect();
        assert_eq!(told, [State::Running, State::Stopping, State::Stopped]);
        life.close();
        assert_eq!(Record::read(&machine.lxcpath, &name).unwrap().state, State::Stopped);
        let (events, _) = event::follow_with_past(&machine.host, usize::MAX, &|_| true).unwrap();
        let told: Vec<_> = events.iter().filter_map(event::Event::enters).collect();
        let all = [State::Starting, State::Running, State::Stopping, State::Stopped];
        assert_eq!(told, all);
        assert!(events.iter().all(|it| it.lxcpath == machine.lxcpath.dir()));
    }

    #[test]
    fn an_undefined_container_is_forgotten_once_nothing_is_left() {
        let machine = MadeUp::new();
        let mut life = begun(&machine, "web");
        let name = life.record.name.clone();
        machine.group(&name, &[("cgroup.procs", "78\n")]);
        life.save();
        life.close();
        assert!(Record::read(&machine.lxcpath, &name).is_some(), "its group is there");
        std::fs::remove_dir_all(machine.path("cgroup/lxc.payload.web")).unwrap();
        life.close();
        assert!(Record::read(&machine.lxcpath, &name).is_none());
    }

    #[test]
    fn a_record_that_cannot_be_written_is_told_and_does_not_end_the_run() {
        let machine = MadeUp::new();
        let mut life = begun(&machine, "web");
        // Something is in the way.
        machine.write(&format!("run/wharf/run/{}/web.json/x", machine.lxcpath.key()), "");
        assert!(life.enter(State::Running));
        assert!(matches!(life.saved(), Err(RunError::Record(_))));
        assert!(life.saved().is_ok(), "it is told once");
    }
}

//! The next run under the same supervisor: after a reboot inside, or because a restart was asked
//! for. Socket, signals and console viewers stay; everything else is created again.

use super::birth::{Born, bear};
use super::equipment::Opened;
use super::error::RunError;
use super::groups;
use super::guard::LimitGuard;
use super::log::Log;
use super::oom::Oom;
use super::ttys::Ttys;
use super::watch::Watch;
use super::{Run, abort, sweep};
use crate::engine::Verb;
use crate::engine::entry::plan::Payload;
use crate::engine::host::identity::Identity;
use crate::engine::running::command_socket::wire::Wish;
use crate::engine::terms::exit::Exit;
use crate::engine::terms::state::State;

/// Returns whether a container whose init ended by `exit` is to be started again. A restart of what
/// `execute` runs would run the command a second time, which was not requested.
pub(super) const fn is_wanted(watch: &Watch, exit: Exit, payload: Payload) -> bool {
    match (watch.wish, payload) {
        (Some(Wish::Stop | Wish::Unheard(_)), _) | (_, Payload::Application) => false,
        (Some(Wish::Restart(_)), Payload::System) => true,
        (None, Payload::System) => matches!(exit, Exit::Rebooted),
    }
}

/// Starts the container again, with its configuration as it is now. On failure nothing of the new
/// run is left, and the container is stopped.
pub(super) fn start(run: &mut Run, mut watch: Watch, exit: Exit) -> Result<Watch, RunError> {
    watch.server.begin_again();
    watch.desk.life.begin_again();
    match renew(run, &mut watch) {
        Ok(()) => Ok(watch),
        Err(error) => {
            let mut life = watch.desk.life;
            life.record.exit = Some(exit);
            Err(abort(life, error))
        }
    }
}

fn renew(run: &mut Run, watch: &mut Watch) -> Result<(), RunError> {
    // What restarts begins anew.
    run.start.from = None;
    let again = run.start.load(Verb::Start, &run.lxcpath, &run.name);
    (run.config, run.spec) = again.map_err(|it| RunError::Config(Box::new(it)))?;
    let opened = Opened::by(&run.spec)?;
    let steps = run.steps(&opened)?;
    let desk = &mut watch.desk;
    desk.life.log = Log::open(&run.spec)?;
    let hierarchies = std::mem::take(&mut desk.hierarchies);
    groups::fit(&mut run.spec, &hierarchies);
    let planned =
        desk.life.record.planned.clone().map(|it| it.again(&run.spec.groups, &hierarchies));
    desk.life.record.planned = planned.transpose().map_err(RunError::Cgroup)?;
    let Born { mut launched, cgroup, inner, oom, notifier, devices } =
        bear(run, &steps, &hierarchies, &mut desk.life)?;
    desk.life.record.init = Identity::of(run.lxcpath.host(), launched.pid);
    desk.life.enter(State::Running);
    let console = opened.console(launched.console.take(), &run.spec);
    let console = desk.life.saved().and_then(|()| console.map_err(RunError::Watch));
    let console = console.inspect_err(|_| _ = sweep(&cgroup))?;
    desk.console = match (desk.console.take(), console) {
        (Some(before), Some(next)) => Some(before.renew(next)),
        (_, next) => next,
    };
    desk.ttys = Ttys::new(std::mem::take(&mut launched.ttys));
    desk.init = launched.into();
    desk.config = run.config.clone();
    desk.stop_signal = run.spec.signals.stop;
    desk.filter = run.spec.filter.as_ref().map(|it| it.value.clone());
    desk.hierarchies = hierarchies;
    desk.devices = devices;
    desk.notifier = notifier;
    watch.halt = run.spec.signals.halt;
    watch.oom = oom.map(Oom::begin);
    watch.guard = Some(LimitGuard::begin());
    watch.desk.cgroup = cgroup;
    watch.desk.inner = inner;
    Ok(())
}

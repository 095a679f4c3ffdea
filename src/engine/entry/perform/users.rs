//! The steps into a user namespace.

use nix::fcntl::{OFlag, open};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::Mode;

use super::{Made, take_identity};
use crate::engine::entry::plan::UserStep;
use crate::engine::entry::report::Asker;

/// Carries out one step.
pub(super) fn perform(
    step: &UserStep,
    made: &mut Made,
    asker: Asker<'_>,
    reached: bool,
) -> nix::Result<()> {
    match step {
        UserStep::Map(_) | UserStep::Outside(_) => asker.ask(None),
        UserStep::OwnNetwork => unshare(CloneFlags::CLONE_NEWNET),
        UserStep::Become { owner, root } => {
            let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
            let opened = root.iter().map(|it| open(it.as_c_str(), flags, Mode::empty()));
            // What fails here fails again where the root is taken, which tells it.
            made.opened = opened.collect::<nix::Result<_>>().unwrap_or_default();
            take_identity(owner.uid, owner.gid, &[])?;
            nix::sys::prctl::set_dumpable(reached)
        }
    }
}

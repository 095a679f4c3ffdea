//! What a container claims for itself while it runs, from before its creation until its removal. A
//! supervisor that is killed releases all of it, but nobody takes an overlay from a container that is
//! still there, as a frozen one is.

use nix::sys::stat::{Mode, umask};

use super::Run;
use super::error::RunError;
use crate::engine::cgroup::{Hierarchies, Keep};
use crate::engine::entry::perform::make_layer;
use crate::engine::running::reclaim::outlives;
use crate::engine::store::{UpperClaim, claim_upper};
use crate::engine::terms::hook::Moment;
use crate::engine::terms::rootfs::{Layers, Storage};
use crate::engine::terms::spec::At;

/// Released on drop.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// Keeps the controllers of the container's group enabled.
    keep: Option<Keep>,
    /// Keeps others from its overlay.
    upper: Option<UpperClaim>,
}

impl Claims {
    /// Takes what `run` needs; a container that is started again has some of it.
    pub(super) fn take(&mut self, run: &Run, hierarchies: &Hierarchies) -> Result<(), RunError> {
        self.keep = self.keep.take().or_else(|| Keep::take(hierarchies));
        let Some(At { value: root, place }) = &run.spec.rootfs else { return Ok(()) };
        let Storage::Overlay(Layers { lower, upper }) = &root.storage else { return Ok(()) };
        let claimed = self.upper.as_ref().is_some_and(|it| it.is_to(upper));
        // Such a hook may make another one, where only the container sees it.
        let hooked = run.spec.hooks.all.iter().any(|it| it.value.moment == Moment::PreMount);
        if claimed || (hooked && !upper.exists()) {
            return Ok(());
        }
        // Its mode is not the supervisor's own, which has a single thread.
        let usual = umask(Mode::empty());
        let made = make_layer(upper, lower.first().map(AsRef::as_ref));
        umask(usual);
        if made.is_err() {
            // The mount will fail, and say why.
            return Ok(());
        }
        let claimed = claim_upper(&run.lxcpath, &run.name, upper, outlives);
        let claimed = claimed.map_err(RunError::Claim)?;
        self.upper = Some(claimed.map_err(|holder| RunError::SharedUpper {
            path: upper.clone(),
            holder,
            place: place.as_ref().map(|it| format!(" ({it})")).unwrap_or_default(),
        })?);
        Ok(())
    }
}

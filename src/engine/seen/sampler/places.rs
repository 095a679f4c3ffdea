//! Where groups are, found when it is first asked for: whoever looks at one stopped container needs
//! none of that.

use std::sync::OnceLock;

use super::counters::Sources;
use crate::engine::cgroup::Hierarchies;
use crate::engine::host::Host;

/// The hierarchies of a host, and what is counted in them.
#[derive(Debug)]
pub(super) struct GroupPlaces {
    host: Host,
    found: OnceLock<(Hierarchies, Sources)>,
}

impl GroupPlaces {
    pub(super) fn of(host: &Host) -> Self {
        Self { host: host.clone(), found: OnceLock::new() }
    }

    /// Returns the hierarchies. A host without cgroups still has containers to list.
    pub(super) fn hierarchies(&self) -> &Hierarchies {
        &self.found().0
    }

    pub(super) fn sources(&self) -> &Sources {
        &self.found().1
    }

    fn found(&self) -> &(Hierarchies, Sources) {
        self.found.get_or_init(|| {
            let hierarchies = Hierarchies::discover(&self.host).unwrap_or_default();
            let sources = Sources::of(&hierarchies);
            (hierarchies, sources)
        })
    }
}

//! What of the containers is of interest, so that nothing else is read.

use std::collections::BTreeSet;

use super::CounterSet;
use crate::engine::seen::process::ProcessOrder;
use crate::engine::terms::name::Name;

/// What is shown, and therefore worth reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interest {
    /// The rows on the screen.
    pub visible: Vec<Name>,
    /// What is read of these.
    pub rows: CounterSet,
    /// What is read of the others, since the rows may be sorted by it.
    pub others: CounterSet,
    /// The networks of the rows are looked at, too.
    pub networks: bool,
    /// Whether the configurations can be used.
    pub faults: bool,
    /// The container whose details are shown, and all its counters.
    pub detail: Option<DetailInterest>,
    /// The roots and the networks of these are shown, too.
    pub described: Described,
    /// The host's own figures.
    pub host: bool,
    /// How the processes of one parent are ordered.
    pub order: ProcessOrder,
}

/// What is shown of the container in detail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetailInterest {
    pub name: Name,
    pub processes: bool,
    /// The files of its cgroup.
    pub files: bool,
}

/// Which containers are described.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Described {
    #[default]
    None,
    These(BTreeSet<Name>),
    All,
}

impl Described {
    pub(super) fn has(&self, name: &Name) -> bool {
        match self {
            Self::None => false,
            Self::These(names) => names.contains(name),
            Self::All => true,
        }
    }
}

impl Interest {
    /// Returns which container is in detail.
    pub(super) fn in_detail(&self) -> Option<&Name> {
        self.detail.as_ref().map(|it| &it.name)
    }

    /// Nothing but names and states.
    pub fn in_states() -> Self {
        Self {
            visible: Vec::new(),
            rows: CounterSet::NONE,
            others: CounterSet::NONE,
            networks: false,
            faults: false,
            detail: None,
            described: Described::None,
            host: false,
            order: ProcessOrder::default(),
        }
    }
}

impl Default for Interest {
    /// What a screen without rows shows.
    fn default() -> Self {
        let (rows, others) = (CounterSet::ROW, CounterSet::CPU);
        Self { rows, others, faults: true, host: true, ..Self::in_states() }
    }
}

//! Which counters are read: each costs a file or two of every container it is wanted of.

/// A set of counters of one container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CounterSet(u8);

impl CounterSet {
    /// None.
    pub const NONE: Self = Self(0);
    /// The processor time used.
    pub const CPU: Self = Self(1);
    /// The memory in use, and how much of it is cache.
    pub const MEMORY: Self = Self(1 << 1);
    /// The number of tasks: processes and threads.
    pub const TASKS: Self = Self(1 << 2);
    /// The bytes read and written.
    pub const IO: Self = Self(1 << 3);
    /// The share of time in which tasks waited; see PSI in the kernel's documentation.
    pub const PRESSURE: Self = Self(1 << 4);
    /// The limits of processor time, memory and tasks.
    pub const LIMITS: Self = Self(1 << 5);
    /// How often limits were hit, and peaks.
    pub const HITS: Self = Self(1 << 6);

    /// What a row of the screen's list shows.
    pub const ROW: Self = Self(Self::HITS.0 - 1);
    pub const ALL: Self = Self::ROW.with(Self::HITS);

    /// Returns those of both sets.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns those that are in `other`, too.
    #[must_use]
    pub const fn of_both(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Returns whether all of `other` are in the set.
    pub const fn has_all(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns whether any of `other` is in the set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

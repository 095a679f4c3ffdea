//! Which users and groups of the host those of a container are. Plain data, already valid.

use std::fmt;

/// How many lines a map may have; see user_namespaces(7).
const MOST_RANGES: usize = 340;
/// A map is written at once, and must be shorter than a page of memory.
const MOST_BYTES: usize = 4095;

/// The map of a user namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdMap {
    users: Vec<IdRange>,
    groups: Vec<IdRange>,
}

/// What an id names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdKind {
    User,
    Group,
}

/// Successive ids of a container, and of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRange {
    pub inside: u32,
    pub outside: u32,
    pub count: u32,
}

/// The user and the group that something belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    pub uid: u32,
    pub gid: u32,
}

/// Why the kernel would refuse a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdMapError {
    #[error("the count must be at least 1")]
    Empty,
    #[error("its last id would be above 4294967294, the highest that the kernel has")]
    TooHigh,
    #[error("its ids inside overlap with those of `{kind} {with}`")]
    OverlapInside { kind: IdKind, with: IdRange },
    #[error("its ids on the host overlap with those of `{kind} {with}`")]
    OverlapOutside { kind: IdKind, with: IdRange },
    #[error("the kernel takes at most {MOST_RANGES} ranges with `{0}`")]
    TooMany(IdKind),
    #[error("the kernel takes at most {MOST_BYTES} bytes of ranges with `{0}`")]
    TooLong(IdKind),
    #[error("no line maps {words}; add one such as `lxc.idmap = {0} 0 100000 65536`", words = .0.words())]
    Missing(IdKind),
    #[error("no line maps {0} 0 (root), or the {0}id that lxc.init.{0}id gives")]
    NoRoot(IdKind),
}

impl IdMap {
    /// Adds a range, if the kernel would take it.
    pub fn add(&mut self, kind: IdKind, range: IdRange) -> Result<(), IdMapError> {
        if range.count == 0 {
            return Err(IdMapError::Empty);
        }
        let fits = |first: u32| first.checked_add(range.count).is_some();
        if !fits(range.inside) || !fits(range.outside) {
            return Err(IdMapError::TooHigh);
        }
        let overlap = |one: u32, other: u32, count: u32| {
            u64::from(one) < u64::from(other) + u64::from(count)
                && u64::from(other) < u64::from(one) + u64::from(range.count)
        };
        for it in self.ranges(kind) {
            if overlap(range.inside, it.inside, it.count) {
                return Err(IdMapError::OverlapInside { kind, with: *it });
            }
            if overlap(range.outside, it.outside, it.count) {
                return Err(IdMapError::OverlapOutside { kind, with: *it });
            }
        }
        match kind {
            IdKind::User => self.users.push(range),
            IdKind::Group => self.groups.push(range),
        }
        if self.ranges(kind).len() > MOST_RANGES {
            return Err(IdMapError::TooMany(kind));
        }
        if self.text(kind).len() > MOST_BYTES {
            return Err(IdMapError::TooLong(kind));
        }
        Ok(())
    }

    /// Reads what `/proc/PID/uid_map` and `gid_map` show. Lines that are none are left out.
    pub fn of_kernel(users: &str, groups: &str) -> Self {
        let ranges = |text: &str| text.lines().filter_map(range).collect();
        Self { users: ranges(users), groups: ranges(groups) }
    }

    /// Returns the lines for the kernel.
    pub fn text(&self, kind: IdKind) -> String {
        let lines: Vec<String> = self.ranges(kind).iter().map(ToString::to_string).collect();
        lines.join("\n")
    }

    /// Returns the host's id of an id inside, if it has one.
    pub fn outside(&self, kind: IdKind, inside: u32) -> Option<u32> {
        self.ranges(kind).iter().find_map(|it| {
            let at = inside.checked_sub(it.inside).filter(|at| *at < it.count)?;
            it.outside.checked_add(at)
        })
    }

    /// Returns the ids inside by which the container is set up: root's, or `other` where root has
    /// none.
    pub fn setup(&self, other: Owner) -> Result<Owner, IdMapError> {
        let one = |kind, other| {
            let mut candidates = [0, other].into_iter();
            let mapped = candidates.find(|it| self.outside(kind, *it).is_some());
            mapped.ok_or_else(|| match self.ranges(kind) {
                [] => IdMapError::Missing(kind),
                [_, ..] => IdMapError::NoRoot(kind),
            })
        };
        Ok(Owner { uid: one(IdKind::User, other.uid)?, gid: one(IdKind::Group, other.gid)? })
    }

    /// Returns whose the files of `inside` are on the host.
    pub fn owner(&self, inside: Owner) -> Option<Owner> {
        let uid = self.outside(IdKind::User, inside.uid)?;
        Some(Owner { uid, gid: self.outside(IdKind::Group, inside.gid)? })
    }

    /// Returns whether another maps the same ids, in whichever order.
    pub fn is_same(&self, other: &Self) -> bool {
        let sorted = |map: &Self, kind| {
            let mut ranges = map.ranges(kind).to_vec();
            ranges.sort_by_key(|it| it.inside);
            ranges
        };
        [IdKind::User, IdKind::Group].into_iter().all(|it| sorted(self, it) == sorted(other, it))
    }

    /// Returns the ranges, in their order.
    pub fn ranges(&self, kind: IdKind) -> &[IdRange] {
        match kind {
            IdKind::User => &self.users,
            IdKind::Group => &self.groups,
        }
    }
}

impl IdKind {
    /// Returns the program that maps them for an ordinary user; see newuidmap(1).
    pub const fn mapper(self) -> &'static str {
        match self {
            Self::User => "newuidmap",
            Self::Group => "newgidmap",
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::User => "users",
            Self::Group => "groups",
        }
    }
}

impl fmt::Display for IdKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "u",
            Self::Group => "g",
        })
    }
}

impl fmt::Display for IdRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.inside, self.outside, self.count)
    }
}

fn range(line: &str) -> Option<IdRange> {
    let mut numbers = line.split_ascii_whitespace().map(|it| it.parse().ok());
    let mut next = || numbers.next().flatten();
    Some(IdRange { inside: next()?, outside: next()?, count: next()? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROOT: Owner = Owner { uid: 0, gid: 0 };

    fn range(inside: u32, outside: u32, count: u32) -> IdRange {
        IdRange { inside, outside, count }
    }

    #[test]
    fn the_order_of_ranges_makes_no_other_map() {
        let of = IdMap::of_kernel;
        let map = of("0 100000 5\n5 7 1", "0 1 1");
        assert!(map.is_same(&of("5 7 1\n0 100000 5", "0 1 1")));
        assert!(!map.is_same(&of("0 100000 5", "0 1 1")));
        assert!(!map.is_same(&of("0 100000 5\n5 7 1", "0 2 1")));
    }

    fn users(ranges: &[IdRange]) -> Result<IdMap, IdMapError> {
        let mut map = IdMap::default();
        ranges.iter().try_for_each(|it| map.add(IdKind::User, *it))?;
        Ok(map)
    }

    #[test]
    fn what_the_kernel_would_refuse_is_refused() {
        let first = range(0, 100_000, 1000);
        let overlap = |it| users(&[first, it]).unwrap_err();
        let (kind, with) = (IdKind::User, first);
        assert_eq!(overlap(range(999, 5000, 1)), IdMapError::OverlapInside { kind, with });
        assert_eq!(overlap(range(1000, 99_999, 2)), IdMapError::OverlapOutside { kind, with });
        assert_eq!(users(&[range(0, 1, 0)]), Err(IdMapError::Empty));
        assert_eq!(users(&[range(0, u32::MAX, 1)]), Err(IdMapError::TooHigh));
        assert_eq!(users(&[range(7, 0, u32::MAX)]), Err(IdMapError::TooHigh));
        users(&[range(0, 0, u32::MAX)]).unwrap();
        users(&[first, range(1000, 101_000, 1)]).unwrap();
        let many: Vec<IdRange> = (0..=MOST_RANGES as u32).map(|it| range(it, it, 1)).collect();
        assert_eq!(users(&many), Err(IdMapError::TooMany(kind)));
        let long: Vec<IdRange> = (0..200).map(|it| range(it, 1_000_000_000 + it, 1_000)).collect();
        let long: Vec<IdRange> = long
            .into_iter()
            .map(|it| range(it.inside * 1000, 1_000_000_000 + it.inside * 1000, it.count))
            .collect();
        assert_eq!(users(&long), Err(IdMapError::TooLong(kind)));
    }

    #[test]
    fn the_container_is_set_up_by_its_root_or_by_whom_init_is() {
        let mut map = users(&[range(1000, 500, 1)]).unwrap();
        assert_eq!(map.setup(ROOT), Err(IdMapError::NoRoot(IdKind::User)));
        let other = Owner { uid: 1000, gid: 7 };
        assert_eq!(map.setup(other), Err(IdMapError::Missing(IdKind::Group)));
        map.add(IdKind::Group, range(0, 100, 10)).unwrap();
        assert_eq!(map.setup(other), Ok(Owner { uid: 1000, gid: 0 }));
        assert_eq!(map.owner(other), Some(Owner { uid: 500, gid: 107 }));
        assert_eq!(map.owner(ROOT), None);
        let said = IdMapError::Missing(IdKind::Group).to_string();
        assert_eq!(said, "no line maps groups; add one such as `lxc.idmap = g 0 100000 65536`");
    }

    proptest! {
        #[test]
        fn every_id_of_a_valid_map_has_one_place_on_the_host(
            ranges in prop::collection::vec((any::<u32>(), any::<u32>(), 0..5000_u32), 0..8),
            id in any::<u32>(),
        ) {
            let mut map = IdMap::default();
            for (inside, outside, count) in ranges {
                _ = map.add(IdKind::User, range(inside, outside, count));
            }
            let text = map.text(IdKind::User);
            prop_assert_eq!(&IdMap::of_kernel(&text, ""), &map);
            for it in &map.users {
                let last = it.inside + (it.count - 1);
                prop_assert_eq!(map.outside(IdKind::User, last), Some(it.outside + (it.count - 1)));
            }
            let holds = map.users.iter().any(|it| it.inside <= id && id - it.inside < it.count);
            prop_assert_eq!(map.outside(IdKind::User, id).is_some(), holds);
        }
    }
}

//! The verb `trash`: what was destroyed, given back or removed for good; by itself once it is older or
//! larger than the trash may get.

use std::time::{Duration, Instant, SystemTime};

use crate::engine::running::pending;
use crate::engine::running::removal::RemovalError;
pub use crate::engine::running::trashing::Trashed;
use crate::engine::running::trashing::{self, TrashingError};
pub use crate::engine::store::trash::TrashId;
use crate::engine::store::trash::{LimitsError, Trash, TrashError, TrashLimits};
use crate::engine::store::{RemoveError, Store, StoreError};
use crate::engine::terms::name::NameError;
use crate::engine::verbs::create::{CreateError, Original};
use crate::engine::{Engine, Error, ErrorKind, Name, Verb};

/// How long nothing goes because of its size: what has just been destroyed can be restored.
const AT_LEAST: Duration = Duration::from_hours(1);
/// How long a command that has done its own counts what is in the trash. What is not known by then does
/// not go because of its size.
const COUNTING: Duration = Duration::from_secs(2);

/// A container in the trash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InTrash {
    pub id: TrashId,
    /// How much space it takes; none: it cannot be read.
    pub bytes: Option<u64>,
    /// When it is removed because of its age; none: never.
    pub goes: Option<SystemTime>,
}

/// One that was given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BroughtBack {
    pub name: Name,
    pub id: TrashId,
    /// What is not as it was, in words.
    pub notes: Vec<String>,
}

/// One that was removed because of a limit of the trash, or is to be.
#[derive(Debug)]
pub struct Expired {
    pub id: TrashId,
    pub because: Because,
    /// Why it is still there.
    pub failed: Option<Error>,
}

/// Which limit of the trash that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// It was there for longer than this.
    Age(Duration),
    /// The trash was larger than these bytes.
    Size(u64),
}

/// Why the trash is not as was asked for.
#[derive(Debug, thiserror::Error)]
enum TrashVerbError {
    #[error(transparent)]
    Trash(#[from] TrashError),
    #[error("it is not in the trash{}", others(has))]
    Missing { has: Vec<TrashId> },
    #[error(transparent)]
    Name(NameError),
    #[error("Proxmox manages a container of that name; `--as NEWNAME` restores it under another")]
    Owned,
    #[error(transparent)]
    Limits(#[from] LimitsError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Pending(#[from] RemoveError),
    #[error(transparent)]
    Seat(#[from] CreateError),
    #[error(transparent)]
    Trashing(#[from] TrashingError),
    #[error(transparent)]
    Removal(#[from] RemovalError),
}

fn others(has: &[TrashId]) -> String {
    if has.is_empty() {
        return ", which is empty".to_owned();
    }
    let has: Vec<String> = has.iter().map(ToString::to_string).collect();
    format!("; that has {}", has.join(", "))
}

impl TrashVerbError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Missing { .. } => ErrorKind::NotFound,
            Self::Trashing(TrashingError::Taken(_)) => ErrorKind::Exists,
            Self::Store(StoreError::Busy(_)) => ErrorKind::Busy,
            Self::Seat(error) => error.kind(),
            Self::Removal(error) if error.is_refusal() => ErrorKind::Invalid,
            Self::Name(_)
            | Self::Owned
            | Self::Limits(LimitsError::Line { .. })
            | Self::Trashing(TrashingError::NoBase { .. } | TrashingError::Bound(_)) => {
                ErrorKind::Invalid
            }
            Self::Trash(_)
            | Self::Limits(LimitsError::Read { .. })
            | Self::Store(_)
            | Self::Pending(_)
            | Self::Trashing(_)
            | Self::Removal(_) => ErrorKind::Failed,
        }
    }

    fn of(self, verb: Verb, object: impl std::fmt::Display) -> Error {
        Error::new(verb, object, self.kind(), self)
    }
}

impl Engine {
    /// Lists what is in the trash, the oldest first. Looks at every file of what came since the last
    /// time.
    pub fn trashed(&self) -> Result<Vec<InTrash>, Error> {
        let failed = |error: TrashVerbError| error.of(Verb::List, "the trash");
        let limits = TrashLimits::load().map_err(|error| failed(error.into()))?;
        let trash = self.own_trash();
        let listed = trash.list().map_err(|error| failed(error.into()))?.into_iter();
        let seen = listed.map(|id| InTrash {
            bytes: trash.bytes(&id, None),
            goes: limits.age.and_then(|it| id.since().checked_add(it)),
            id,
        });
        Ok(seen.collect())
    }

    /// Returns all that is in the trash, the oldest first, and looks at no file of it.
    pub fn trash_ids(&self) -> Result<Vec<TrashId>, Error> {
        let listed = self.own_trash().list().map_err(TrashVerbError::from);
        listed.map_err(|error| error.of(Verb::List, "the trash"))
    }

    /// Returns those that `word` names: one by its id, or all that had a name, the oldest first.
    pub fn find_trashed(&self, word: &str) -> Result<Vec<TrashId>, Error> {
        find(&self.own_trash(), word).map_err(|error| error.of(Verb::EmptyTrash, word))
    }

    /// Gives back the container that `word` names, the newest of several, as `new` or else under the
    /// name that it had. A failure changes nothing.
    pub fn restore_trashed(&self, word: &str, new: Option<&Name>) -> Result<BroughtBack, Error> {
        let restored = self.try_bring_back(word, new);
        self.tidy();
        restored.map_err(|error| error.of(Verb::RestoreTrashed, word))
    }

    fn try_bring_back(
        &self,
        word: &str,
        new: Option<&Name>,
    ) -> Result<BroughtBack, TrashVerbError> {
        let store = &Store::new(&self.lxcpath);
        let trash = self.own_trash();
        let Some(id) = find(&trash, word)?.pop() else {
            return Err(TrashVerbError::Missing { has: Vec::new() });
        };
        let name = new.unwrap_or_else(|| id.name()).clone();
        if self.is_proxmox(&name) {
            return Err(TrashVerbError::Owned);
        }
        let locks = [store.lock(&name)?, trash.lock(&id)?];
        pending::settle(store, &name)?;
        if !trash.has(&id)? {
            // Another command was faster.
            return Err(TrashVerbError::Missing { has: trash.list()? });
        }
        if store.dir(&name).symlink_metadata().is_ok() {
            return Err(TrashingError::Taken(store.dir(&name)).into());
        }
        let _seat = Original { store, name: &name }.hold_still()?;
        let notes = trashing::bring_back(store, &id, &name, &locks)?;
        Ok(BroughtBack { name, id, notes })
    }

    /// Removes one for good. One whose files others in the trash show is refused.
    pub fn remove_trashed(&self, id: &TrashId) -> Result<(), Error> {
        let store = Store::new(&self.lxcpath);
        let trash = self.own_trash();
        let removed = (|| {
            let _lock = trash.lock(id)?;
            if !trash.has(id)? {
                return Err(TrashVerbError::Missing { has: trash.list()? });
            }
            Ok(trashing::remove(&store, id)?)
        })();
        removed.map_err(|error| error.of(Verb::EmptyTrash, id))
    }

    /// Completes what commands that were killed have begun in the trash; returns why something that
    /// was removed in part is still there.
    pub fn settle_trash(&self) -> Vec<Error> {
        let stays = self.own_trash().tidy().into_iter();
        let dir = self.own_trash();
        stays.map(|it| TrashVerbError::from(it).of(Verb::EmptyTrash, dir.dir().display())).collect()
    }

    /// Removes what is older than the trash keeps it and, the oldest first, what is too much and has been
    /// there for an hour. However large the newest is, it stays until it is too old.
    pub fn expire_trash(&self) -> Result<Vec<Expired>, Error> {
        let failed = |error: TrashVerbError| error.of(Verb::List, "the trash");
        let limits = TrashLimits::load().map_err(|error| failed(error.into()))?;
        let trash = self.own_trash();
        let there = trash.list().map_err(|error| failed(error.into()))?;
        let until = Some(Instant::now() + COUNTING);
        let sized = limits.size.is_some() && there.len() > 1;
        let bytes =
            |it: &TrashId| if sized { trash.bytes(it, until).unwrap_or_default() } else { 0 };
        let there: Vec<(TrashId, u64)> =
            there.into_iter().map(|it| (it.clone(), bytes(&it))).collect();
        let most = limits.bytes(trash.dir());
        let over = too_much(&there, limits.age, most, SystemTime::now()).into_iter();
        let removed = over.filter_map(|(id, because)| {
            let failed = self.remove_trashed(&id).err();
            // Another command is at it, or was faster.
            let done = |it: &Error| matches!(it.kind, ErrorKind::NotFound | ErrorKind::Busy);
            (!failed.as_ref().is_some_and(done)).then_some(Expired { id, because, failed })
        });
        Ok(removed.collect())
    }

    fn own_trash(&self) -> Trash {
        Trash::of(&Store::new(&self.lxcpath))
    }
}

fn find(trash: &Trash, word: &str) -> Result<Vec<TrashId>, TrashVerbError> {
    let has = trash.list()?;
    let found: Vec<TrashId> = if let Ok(id) = word.parse::<TrashId>() {
        has.iter().filter(|it| **it == id).cloned().collect()
    } else {
        let name: Name = word.parse().map_err(TrashVerbError::Name)?;
        has.iter().filter(|it| *it.name() == name).cloned().collect()
    };
    if found.is_empty() { Err(TrashVerbError::Missing { has }) } else { Ok(found) }
}

/// Chooses what goes of `there`, the oldest first with the bytes that each takes.
fn too_much(
    there: &[(TrashId, u64)],
    age: Option<Duration>,
    most_bytes: Option<u64>,
    now: SystemTime,
) -> Vec<(TrashId, Because)> {
    let mut left: u64 = there.iter().fold(0, |sum, it| sum.saturating_add(it.1));
    let newest = there.len().saturating_sub(1);
    let mut gone = Vec::new();
    for (at, (id, bytes)) in there.iter().enumerate() {
        // A clock that was put back makes nothing old.
        let old = now.duration_since(id.since()).unwrap_or_default();
        let because = match (age.filter(|it| old > *it), most_bytes.filter(|it| left > *it)) {
            (Some(age), _) => Because::Age(age),
            (None, Some(most)) if at < newest && old >= AT_LEAST => Because::Size(most),
            (None, _) => continue,
        };
        left = left.saturating_sub(*bytes);
        gone.push((id.clone(), because));
    }
    gone
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(there: &[(&str, u64)]) -> Vec<(TrashId, u64)> {
        there.iter().map(|(id, bytes)| (id.parse().unwrap(), *bytes)).collect()
    }

    #[test]
    fn the_oldest_go_first_and_the_newest_is_never_too_large() {
        let there = ids(&[
            ("a@20261101-000000", 5),
            ("b@20261120-000000", 5),
            ("c@20261126-000000", 5),
            ("d@20261127-000000", 500),
        ]);
        let now = there[3].0.since();
        let day = Duration::from_hours(24);
        let gone = |age, most| -> Vec<String> {
            let gone = too_much(&there, age, most, now).into_iter();
            gone.map(|(id, because)| format!("{} {because:?}", id.name())).collect()
        };
        assert!(gone(None, None).is_empty());
        assert_eq!(gone(Some(7 * day), None), ["a Age(604800s)"]);
        assert_eq!(gone(None, Some(505)), ["a Size(505)", "b Size(505)"]);
        assert_eq!(gone(Some(7 * day), Some(509)), ["a Age(604800s)", "b Size(509)"]);
        assert_eq!(gone(None, Some(0)), ["a Size(0)", "b Size(0)", "c Size(0)"]);
        let young = ids(&[("a@20261126-231000", u64::MAX), ("b@20261126-233000", u64::MAX)]);
        assert_eq!(too_much(&young, None, Some(1), now).len(), 0);
        assert_eq!(too_much(&young, None, Some(1), now + AT_LEAST).len(), 1);
        let later = now + 8 * day;
        assert_eq!(too_much(&there, Some(7 * day), Some(1000), later).len(), 4);
    }
}

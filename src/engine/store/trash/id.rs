//! How a container in the trash is called: by the name that it had, and when it was destroyed.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::engine::terms::name::Name;

/// How the moment is written, in UTC.
const MOMENT: &str = "%Y%m%d-%H%M%S";
const SEPARATOR: char = '@';

/// A container in the trash: several may have had the same name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrashId {
    /// When it was destroyed, in seconds since the epoch. The first field: they sort by age.
    pub(super) at: i64,
    pub(super) name: Name,
}

impl TrashId {
    /// Returns the name that the container had.
    pub const fn name(&self) -> &Name {
        &self.name
    }

    /// Returns when it was destroyed.
    pub fn since(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(u64::try_from(self.at).unwrap_or_default())
    }
}

impl fmt::Display for TrashId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = Timestamp::from_second(self.at).unwrap_or_default();
        f.pad(&format!("{}{SEPARATOR}{}", self.name, moment.strftime(MOMENT)))
    }
}

/// The text names no container in the trash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotTrashed;

impl FromStr for TrashId {
    type Err = NotTrashed;

    fn from_str(text: &str) -> Result<Self, NotTrashed> {
        let (name, moment) = text.rsplit_once(SEPARATOR).ok_or(NotTrashed)?;
        let name = name.parse().map_err(|_bad| NotTrashed)?;
        let moment = DateTime::strptime(MOMENT, moment).map_err(|_bad| NotTrashed)?;
        let at = TimeZone::UTC.to_timestamp(moment).map_err(|_bad| NotTrashed)?;
        let id = Self { at: at.as_second(), name };
        // Nothing else may name the same directory.
        if id.to_string() == text { Ok(id) } else { Err(NotTrashed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let id: TrashId = "a.b@20261127-160312".parse().unwrap();
        assert_eq!(id.name().as_str(), "a.b");
        assert_eq!(id.since(), UNIX_EPOCH + Duration::from_secs(1_795_795_392));
        assert_eq!(id.to_string(), "a.b@20261127-160312");
        for other in ["web", "web@", "web@2026", "@20261127-160312", "web@20261327-160312", ".."] {
            assert_eq!(other.parse::<TrashId>(), Err(NotTrashed), "{other}");
        }
        let sorts: TrashId = "z@20261127-160311".parse().unwrap();
        assert!(sorts < id);
    }
}

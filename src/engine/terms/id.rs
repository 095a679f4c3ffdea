//! The number of a user or group. Pure.

use std::fmt;
use std::str::FromStr;

/// A user or a group, by number: never the one that the kernel takes for "no change", which would
/// leave a process with the rights of root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Id(u32);

/// `(uid_t)-1` of setresuid(2).
const NO_CHANGE: u32 = u32::MAX;

/// Why a number or text is not an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    #[error("expected a numeric user or group id")]
    NoNumber,
    #[error("{NO_CHANGE} means \"no change\" to the kernel and is not a user or group")]
    NoChange,
}

impl Id {
    /// Returns the number, as the kernel takes it.
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Id {
    type Error = IdError;

    fn try_from(number: u32) -> Result<Self, IdError> {
        if number == NO_CHANGE { Err(IdError::NoChange) } else { Ok(Self(number)) }
    }
}

impl FromStr for Id {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        // FromStr of numbers accepts a sign.
        if !text.bytes().all(|it| it.is_ascii_digit()) {
            return Err(IdError::NoNumber);
        }
        let number: u32 = text.parse().map_err(|_no_number| IdError::NoNumber)?;
        number.try_into()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_no_change_value_is_not_a_user() {
        assert_eq!("4294967295".parse::<Id>(), Err(IdError::NoChange));
        assert_eq!(Id::try_from(u32::MAX), Err(IdError::NoChange));
        for text in ["-1", "+1", "", "root", "4294967296", "0x10", " 1"] {
            assert_eq!(text.parse::<Id>(), Err(IdError::NoNumber), "{text}");
        }
        assert_eq!("4294967294".parse::<Id>().map(Id::number), Ok(u32::MAX - 1));
    }
}

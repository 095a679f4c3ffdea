//! The states of a container, and the only place that defines which may follow which.

use std::fmt;
use std::str::FromStr;

/// A container's state, numbered as on LXC's command socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum State {
    Stopped = 0,
    Starting = 1,
    Running = 2,
    Stopping = 3,
    Aborting = 4,
    Freezing = 5,
    Frozen = 6,
    Thawed = 7,
}

impl State {
    /// Every state, in the order of its number.
    pub const ALL: [Self; 8] = [
        Self::Stopped,
        Self::Starting,
        Self::Running,
        Self::Stopping,
        Self::Aborting,
        Self::Freezing,
        Self::Frozen,
        Self::Thawed,
    ];

    /// Returns LXC's word for the state.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Stopped => "STOPPED",
            Self::Starting => "STARTING",
            Self::Running => "RUNNING",
            Self::Stopping => "STOPPING",
            Self::Aborting => "ABORTING",
            Self::Freezing => "FREEZING",
            Self::Frozen => "FROZEN",
            Self::Thawed => "THAWED",
        }
    }

    /// Returns the state with LXC's number, if there is one.
    pub fn from_number(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|it| *it as u64 == number)
    }

    /// Returns whether `next` may follow directly, by the life cycle of lxc(7) and its freezer.
    pub const fn may_become(self, next: Self) -> bool {
        match self {
            Self::Stopped => matches!(next, Self::Starting),
            Self::Starting => matches!(next, Self::Running | Self::Aborting),
            Self::Running => matches!(next, Self::Freezing | Self::Stopping),
            Self::Freezing => matches!(next, Self::Frozen | Self::Thawed | Self::Stopping),
            Self::Frozen => matches!(next, Self::Thawed | Self::Stopping),
            Self::Thawed => matches!(next, Self::Running | Self::Stopping),
            Self::Aborting => matches!(next, Self::Stopping),
            Self::Stopping => matches!(next, Self::Stopped),
        }
    }

    /// Returns whether processes of the container exist in this state.
    pub const fn is_active(self) -> bool {
        !matches!(self, Self::Stopped)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// A word that is not a state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a state; known: STOPPED STARTING RUNNING STOPPING ABORTING FREEZING FROZEN THAWED"
)]
pub struct UnknownState(pub String);

impl FromStr for State {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Self::ALL
            .into_iter()
            .find(|it| it.word().eq_ignore_ascii_case(text))
            .ok_or_else(|| UnknownState(text.to_owned()))
    }
}

impl serde::Serialize for State {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

impl<'de> serde::Deserialize<'de> for State {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers_name_the_same_state() {
        for state in State::ALL {
            assert_eq!(state.word().parse(), Ok(state));
            assert_eq!(State::from_number(state as u64), Some(state));
        }
        assert_eq!(State::from_number(8), None);
    }

    #[test]
    fn every_life_ends_stopped() {
        for state in State::ALL {
            let reaches = match state {
                State::Starting => State::Aborting,
                State::Stopped => State::Starting,
                State::Stopping => State::Stopped,
                State::Running
                | State::Aborting
                | State::Freezing
                | State::Frozen
                | State::Thawed => State::Stopping,
            };
            assert!(state.may_become(reaches), "{state} cannot become {reaches}");
        }
        assert!(!State::Stopped.may_become(State::Running));
    }
}

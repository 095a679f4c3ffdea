//! The name of a container, parsed once. Nothing else may turn a string into part of a path.

use std::fmt;
use std::str::FromStr;

/// Longest name accepted, in bytes.
pub const MAX_LEN: usize = 64;

/// A container name that is safe as a path component, a cgroup name and a socket name:
/// it starts with a letter or digit and holds only letters, digits, `.`, `_` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<str>);

impl Name {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text is not a container name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("a container name cannot be empty")]
    Empty,
    #[error("container name {0:?} is longer than {MAX_LEN} bytes")]
    TooLong(String),
    #[error("container name {0:?} must start with a letter or a digit")]
    Start(String),
    #[error(
        "container name {name:?} contains {found:?}; letters, digits, '.', '_' and '-' are allowed"
    )]
    Character { name: String, found: char },
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let first = text.chars().next().ok_or(NameError::Empty)?;
        if text.len() > MAX_LEN {
            return Err(NameError::TooLong(text.chars().take(MAX_LEN).collect()));
        }
        if let Some(found) = text.chars().find(|it| !allowed(*it)) {
            return Err(NameError::Character { name: text.to_owned(), found });
        }
        if !first.is_ascii_alphanumeric() {
            return Err(NameError::Start(text.to_owned()));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl serde::Serialize for Name {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Name {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

const fn allowed(it: char) -> bool {
    it.is_ascii_alphanumeric() || matches!(it, '.' | '_' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_pass() {
        for name in ["web", "web-01", "a.b_c", "9", &"x".repeat(MAX_LEN)] {
            assert_eq!(name.parse::<Name>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn names_that_could_leave_their_place_are_refused() {
        for name in [
            "",
            ".",
            "..",
            "../x",
            "a/b",
            "/abs",
            "-rf",
            "_a",
            "a b",
            "a\n",
            "\u{1b}[2J",
            "a\0b",
            "*",
            "é",
            &"x".repeat(MAX_LEN + 1),
        ] {
            assert!(name.parse::<Name>().is_err(), "{name:?} was accepted");
        }
    }
}

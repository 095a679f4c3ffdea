//! The words after `--` on a bench's command line: sizes such as `100x10`, choices such as
//! `views=list,open`, and numbers such as `rounds=5`.

use std::fmt;
use std::str::FromStr;

use super::Failure;

/// How many containers, and how many processes in each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) containers: usize,
    pub(crate) processes: usize,
}

impl FromStr for Size {
    type Err = Failure;

    /// `100x10`, or `0` for none.
    fn from_str(word: &str) -> Result<Self, Failure> {
        let (containers, processes) = word.split_once('x').unwrap_or((word, "1"));
        let size = Self { containers: containers.parse()?, processes: processes.parse()? };
        if size.processes == 0 {
            return Err("a container has a process at least".into());
        }
        Ok(size)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.containers {
            0 => write!(f, "0"),
            containers => write!(f, "{containers} x {}", self.processes),
        }
    }
}

/// What was asked for; the bench knows what it does without.
#[derive(Debug, Default)]
pub(crate) struct Words {
    sizes: Vec<Size>,
    given: Vec<(String, String)>,
}

impl Words {
    pub(crate) fn parse(words: &[String]) -> Result<Self, Failure> {
        let mut parsed = Self::default();
        // cargo adds `--bench`.
        for word in words.iter().filter(|it| !it.starts_with("--")) {
            if let Some((key, value)) = word.split_once('=') {
                parsed.given.push((key.to_owned(), value.to_owned()));
            } else {
                let size = word.parse().map_err(|it| format!("`{word}` is not a size: {it}"))?;
                parsed.sizes.push(size);
            }
        }
        Ok(parsed)
    }

    /// Returns the sizes, or those that `default` lists.
    pub(crate) fn sizes(&self, default: &[&str]) -> Result<Vec<Size>, Failure> {
        if self.sizes.is_empty() {
            return default.iter().map(|it| it.parse()).collect();
        }
        Ok(self.sizes.clone())
    }

    pub(crate) fn number(&self, key: &str, default: usize) -> Result<usize, Failure> {
        let Some(value) = self.value(key) else { return Ok(default) };
        value.parse().map_err(|it| format!("{key}={value}: {it}").into())
    }

    /// Returns whether `name` was chosen, as all are unless `key` is given.
    pub(crate) fn chosen(&self, key: &str, name: &str) -> bool {
        self.value(key).is_none_or(|it| it.split(',').any(|it| it == name))
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    fn value(&self, key: &str) -> Option<&str> {
        self.given.iter().rev().find(|(it, _)| it == key).map(|(_, value)| value.as_str())
    }
}

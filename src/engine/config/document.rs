//! A configuration file as text that can be changed: comments, order and blanks stay as they are.

use std::fmt;

use super::keys;
use super::lexer::{self, Line, PREFIX};

/// The lines of a file. What is not changed is written back byte for byte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// Each with its line ending, which the last one may lack.
    lines: Vec<String>,
}

/// A setting that must not be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    #[error("{0:?} is no key: keys start with lxc. and hold no blank, = or control character")]
    Key(String),
    #[error("the value of {key} holds a control character, which could add lines")]
    Value { key: String },
}

impl Document {
    /// Takes the text of a file, whatever it holds.
    pub fn parse(text: &str) -> Self {
        Self { lines: text.split_inclusive('\n').map(str::to_owned).collect() }
    }

    /// Makes `value` the key's only value: the last line that sets it is replaced, others go; a
    /// key that is not set gets a line at the end.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), DocumentError> {
        let line = setting(key, value)?;
        let last = self.lines.iter().rposition(|it| sets(it, key));
        match last.and_then(|at| self.lines.get_mut(at)) {
            Some(old) => *old = line,
            None => return self.append(key, value),
        }
        let mut at = 0;
        self.lines.retain(|it| {
            let keep = Some(at) == last || !sets(it, key);
            at += 1;
            keep
        });
        Ok(())
    }

    /// Adds a line at the end, for a key whose lines add up.
    pub fn append(&mut self, key: &str, value: &str) -> Result<(), DocumentError> {
        let line = setting(key, value)?;
        if let Some(last) = self.lines.last_mut()
            && !last.ends_with('\n')
        {
            last.push('\n');
        }
        self.lines.push(line);
        Ok(())
    }

    /// Removes every line that sets the key.
    pub fn unset(&mut self, key: &str) {
        self.lines.retain(|it| !sets(it, key));
    }

    /// Returns the values that the lines give the key, in order; `lxc.include` is not followed.
    pub fn values<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.lines.iter().filter_map(move |it| match lexer::line(it) {
            Line::Setting { key: found, value } if same_key(found, key) => Some(value),
            Line::Setting { .. } | Line::Nothing | Line::Foreign(_) | Line::NoValue(_) => None,
        })
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|it| f.write_str(it))
    }
}

/// Writes the line, if it reads back as the same key and value.
fn setting(key: &str, value: &str) -> Result<String, DocumentError> {
    let strange = |it: char| it.is_control() || it.is_whitespace() || it == '=';
    if !key.starts_with(PREFIX) || key.chars().any(strange) {
        return Err(DocumentError::Key(key.to_owned()));
    }
    if value.chars().any(|it| it.is_control() && it != '\t') {
        return Err(DocumentError::Value { key: key.to_owned() });
    }
    let plain = format!("{key} = {value}\n");
    // Blanks at the ends, or quotes of its own, would be taken off: quotes around keep them.
    let reads_back =
        matches!(lexer::line(&plain), Line::Setting { value: read, .. } if read == value);
    Ok(if reads_back { plain } else { format!("{key} = \"{value}\"\n") })
}

fn sets(line: &str, key: &str) -> bool {
    matches!(lexer::line(line), Line::Setting { key: found, .. } if same_key(found, key))
}

/// Tells whether two names mean the same key, be one of them an old one.
fn same_key(left: &str, right: &str) -> bool {
    left == right
        || match (keys::find(left), keys::find(right)) {
            (Some((left, free)), Some((right, other))) => left.name == right.name && free == other,
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "# mine\nlxc.utsname = a  \n\nlxc.tty=1\nlxc.tty.max = 2\n  # end";

    #[test]
    fn a_change_touches_only_its_own_lines() {
        let mut document = Document::parse(TEXT);
        document.set("lxc.tty.max", "4").unwrap();
        assert_eq!(document.to_string(), "# mine\nlxc.utsname = a  \n\nlxc.tty.max = 4\n  # end");
        document.set("lxc.uts.name", "b").unwrap();
        document.append("lxc.mount.entry", "/a b none bind").unwrap();
        assert_eq!(
            document.to_string(),
            "# mine\nlxc.uts.name = b\n\nlxc.tty.max = 4\n  # end\nlxc.mount.entry = /a b none bind\n"
        );
        document.unset("lxc.tty");
        assert_eq!(document.values("lxc.tty.max").count(), 0);
    }

    #[test]
    fn nothing_can_smuggle_in_a_line() {
        let mut document = Document::default();
        assert!(document.set("lxc.uts.name", "a\nlxc.idmap = u 0 0 1").is_err());
        assert!(document.set("lxc.uts.name", "a\0").is_err());
        assert!(document.set("lxc.a = b\nlxc.c", "x").is_err());
        assert!(document.set("uts", "x").is_err());
        assert_eq!(document.to_string(), "");
    }

    proptest! {
        #[test]
        fn untouched_text_is_written_back_as_it_was(text in "(?s).{0,200}") {
            prop_assert_eq!(Document::parse(&text).to_string(), text);
        }

        #[test]
        fn what_is_set_is_read_back(before in "(?s)[a-z=\n# .]{0,80}", value in "[^\\p{Cc}]{0,40}") {
            let mut document = Document::parse(&before);
            document.set("lxc.uts.name", &value).unwrap();
            let read: Vec<&str> = document.values("lxc.uts.name").collect();
            prop_assert_eq!(read, vec![value.as_str()]);
        }
    }
}

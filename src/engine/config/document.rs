//! A configuration file as text that can be changed: comments, order and blanks stay as they are.

use super::keys;
use super::lexer::{self, Line, PREFIX};

/// The lines of a file. Unchanged lines are written back byte for byte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct Document {
    /// Each with its line ending, which the last one may lack.
    lines: Vec<Vec<u8>>,
}

/// A setting that must not be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::engine) enum DocumentError {
    #[error(
        "{0:?} is not a key: keys start with lxc. and contain no blank, = or control character"
    )]
    Key(String),
    #[error("the value of {key} contains a control character, which could add lines")]
    Value { key: String },
}

impl Document {
    /// Takes the content of a file, whatever it contains.
    pub(in crate::engine) fn parse(content: impl AsRef<[u8]>) -> Self {
        let lines = content.as_ref().split_inclusive(|it| *it == b'\n');
        Self { lines: lines.map(<[u8]>::to_vec).collect() }
    }

    /// Returns the content to write.
    pub(in crate::engine) fn to_bytes(&self) -> Vec<u8> {
        self.lines.concat()
    }

    /// Makes `value` the key's only value: the last line that sets it is replaced and others are
    /// removed; an unset key gets a line at the end.
    pub(in crate::engine) fn set(&mut self, key: &str, value: &str) -> Result<(), DocumentError> {
        let line = setting(key, value)?;
        let last = self.lines.iter().rposition(|it| sets(it, key));
        match last.and_then(|at| self.lines.get_mut(at)) {
            Some(old) => *old = line.into_bytes(),
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
    pub(in crate::engine) fn append(
        &mut self,
        key: &str,
        value: &str,
    ) -> Result<(), DocumentError> {
        let line = setting(key, value)?;
        self.end_line();
        self.lines.push(line.into_bytes());
        Ok(())
    }

    /// Adds lines at the end that set nothing, such as comments.
    pub(in crate::engine) fn comment(&mut self, lines: &str) {
        self.end_line();
        self.lines.extend(lines.split_inclusive('\n').map(|it| it.as_bytes().to_vec()));
    }

    /// Adds a missing line ending to the last line.
    fn end_line(&mut self) {
        if let Some(last) = self.lines.last_mut()
            && !last.ends_with(b"\n")
        {
            last.push(b'\n');
        }
    }

    /// Replaces the values for which `change` returns others.
    pub(in crate::engine) fn rewrite(
        &mut self,
        change: impl Fn(&str, &str) -> Option<String>,
    ) -> Result<(), DocumentError> {
        for line in &mut self.lines {
            let Ok(text) = str::from_utf8(line) else { continue };
            let Line::Setting { key, value } = lexer::line(text) else { continue };
            if let Some(new) = change(key, value) {
                *line = setting(key, &new)?.into_bytes();
            }
        }
        Ok(())
    }

    /// Gives the key on line `number`, counted from 1, another value; its spelling and the blanks
    /// around it stay.
    pub(in crate::engine) fn put_value(
        &mut self,
        number: usize,
        value: &str,
    ) -> Result<(), DocumentError> {
        let Some((text, line)) = self.setting_at(number) else { return Ok(()) };
        let Some((key, rest)) = text.split_once('=') else { return Ok(()) };
        let blanks = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        let blanks = rest.get(..blanks).unwrap_or_default();
        let ending = text.len() - text.trim_end_matches(['\r', '\n']).len();
        let ending = text.get(text.len() - ending..).unwrap_or_default();
        let plain = setting(lexer::trim(key), value)?;
        let (_, written) = plain.trim_end_matches('\n').split_once("= ").unwrap_or_default();
        *line = format!("{key}={blanks}{written}{ending}").into_bytes();
        Ok(())
    }

    /// Spells the key on line `number` as `key`; all else stays.
    pub(in crate::engine) fn put_key(&mut self, number: usize, key: &str) {
        let Some((text, line)) = self.setting_at(number) else { return };
        let Some((old, rest)) = text.split_once('=') else { return };
        *line = format!("{}={rest}", old.replace(lexer::trim(old), key)).into_bytes();
    }

    fn setting_at(&mut self, number: usize) -> Option<(String, &mut Vec<u8>)> {
        let line = self.lines.get_mut(number.checked_sub(1)?)?;
        let text = str::from_utf8(line).ok()?.to_owned();
        matches!(lexer::line(&text), Line::Setting { .. }).then_some((text, line))
    }

    /// Removes the lines with these numbers, counted from 1.
    pub(in crate::engine) fn remove(&mut self, numbers: &[usize]) {
        let mut number = 0;
        self.lines.retain(|_| {
            number += 1;
            !numbers.contains(&number)
        });
    }

    /// Adds a line below line `number`.
    pub(in crate::engine) fn insert_below(
        &mut self,
        number: usize,
        key: &str,
        value: &str,
    ) -> Result<(), DocumentError> {
        if number >= self.lines.len() {
            return self.append(key, value);
        }
        self.lines.insert(number, setting(key, value)?.into_bytes());
        Ok(())
    }

    /// Lists the comments that are settings behind `#`: their numbers, keys and values.
    pub(in crate::engine) fn commented(&self) -> Vec<(usize, String, String)> {
        let texts = self.lines.iter().map(|it| str::from_utf8(it).unwrap_or_default());
        let found = (1..).zip(texts).filter_map(|(number, text)| {
            let bare = bare(text)?;
            let Line::Setting { key, value } = lexer::line(bare) else { return None };
            Some((number, key.to_owned(), value.to_owned()))
        });
        found.collect()
    }

    /// Puts another key and value into such a comment; what is around them stays.
    pub(in crate::engine) fn put_commented(&mut self, number: usize, new: (&str, &str)) {
        let Some(line) = number.checked_sub(1).and_then(|it| self.lines.get_mut(it)) else {
            return;
        };
        let Ok(text) = str::from_utf8(line) else { return };
        let Some((before, after)) = text.split_once('=') else { return };
        let (key, value) =
            (lexer::trim(before.trim_start_matches([' ', '\t', '#'])), lexer::trim(after));
        *line = format!("{}={}", before.replacen(key, new.0, 1), after.replacen(value, new.1, 1))
            .into();
    }

    /// Removes every line that sets the key.
    pub(in crate::engine) fn unset(&mut self, key: &str) {
        self.lines.retain(|it| !sets(it, key));
    }

    /// Returns the values that the lines give the key, in order; `lxc.include` is not followed.
    pub(in crate::engine) fn values<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        let lines = self.lines.iter().filter_map(|it| str::from_utf8(it).ok());
        lines.filter_map(move |it| match lexer::line(it) {
            Line::Setting { key: found, value } if same_key(found, key) => Some(value),
            Line::Setting { .. } | Line::Nothing | Line::Foreign(_) | Line::NoValue(_) => None,
        })
    }
}

/// Returns the text behind the `#` of a comment.
fn bare(text: &str) -> Option<&str> {
    let bare = text.trim_start_matches([' ', '\t', '#']);
    text.trim_start().starts_with('#').then_some(bare)
}

/// Returns the line, if it reads back as the same key and value.
fn setting(key: &str, value: &str) -> Result<String, DocumentError> {
    let strange = |it: char| it.is_control() || it.is_whitespace() || it == '=';
    if !key.starts_with(PREFIX) || key.chars().any(strange) {
        return Err(DocumentError::Key(key.to_owned()));
    }
    if value.chars().any(|it| it.is_control() && it != '\t') {
        return Err(DocumentError::Value { key: key.to_owned() });
    }
    let plain = format!("{key} = {value}\n");
    // Blanks or quotes at its ends would be stripped: quotes around the value keep them.
    let reads_back =
        matches!(lexer::line(&plain), Line::Setting { value: read, .. } if read == value);
    Ok(if reads_back { plain } else { format!("{key} = \"{value}\"\n") })
}

/// A line that is not text sets nothing.
fn sets(line: &[u8], key: &str) -> bool {
    let Ok(line) = str::from_utf8(line) else { return false };
    matches!(lexer::line(line), Line::Setting { key: found, .. } if same_key(found, key))
}

/// Returns whether two names mean the same key, even if one is an old name.
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

    fn text(document: &Document) -> String {
        String::from_utf8(document.to_bytes()).unwrap()
    }

    const TEXT: &str = "# mine\nlxc.utsname = a  \n\nlxc.tty=1\nlxc.tty.max = 2\n  # end";

    #[test]
    fn a_change_touches_only_its_own_lines() {
        let mut document = Document::parse(TEXT);
        document.set("lxc.tty.max", "4").unwrap();
        assert_eq!(text(&document), "# mine\nlxc.utsname = a  \n\nlxc.tty.max = 4\n  # end");
        document.set("lxc.uts.name", "b").unwrap();
        document.append("lxc.mount.entry", "/a b none bind").unwrap();
        assert_eq!(
            text(&document),
            "# mine\nlxc.uts.name = b\n\nlxc.tty.max = 4\n  # end\nlxc.mount.entry = /a b none bind\n"
        );
        document.unset("lxc.tty");
        assert_eq!(document.values("lxc.tty.max").count(), 0);
    }

    #[test]
    fn a_value_is_put_where_the_old_one_was() {
        let mut document = Document::parse("# a\n \tlxc.utsname\t=web \r\nlxc.tty  =   1");
        document.put_value(2, "db").unwrap();
        document.put_value(3, " 2 ").unwrap();
        document.put_value(1, "x").unwrap();
        document.put_key(3, "lxc.tty.max");
        let changed = "# a\n \tlxc.utsname\t=db\r\nlxc.tty.max  =   \" 2 \"";
        assert_eq!(text(&document), changed);
        assert!(document.put_value(2, "a\nb").is_err());
        document.insert_below(2, "lxc.group", "g").unwrap();
        document.remove(&[1, 4]);
        assert_eq!(text(&document), " \tlxc.utsname\t=db\r\nlxc.group = g\n");
    }

    #[test]
    fn bytes_that_are_not_text_stay() {
        let mut document = Document::parse(b"# caf\xe9\nlxc.tty.max = 1\n");
        document.set("lxc.tty.max", "2").unwrap();
        assert_eq!(document.to_bytes(), b"# caf\xe9\nlxc.tty.max = 2\n");
    }

    #[test]
    fn nothing_can_smuggle_in_a_line() {
        let mut document = Document::default();
        assert!(document.set("lxc.uts.name", "a\nlxc.idmap = u 0 0 1").is_err());
        assert!(document.set("lxc.uts.name", "a\0").is_err());
        assert!(document.set("lxc.a = b\nlxc.c", "x").is_err());
        assert!(document.set("uts", "x").is_err());
        assert_eq!(text(&document), "");
    }

    proptest! {
        #[test]
        fn untouched_text_is_written_back_as_it_was(text in "(?s).{0,200}") {
            prop_assert_eq!(Document::parse(&text).to_bytes(), text.into_bytes());
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

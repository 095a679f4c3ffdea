//! Goes through the lines of a configuration and of what it includes, gathering every error.

use std::path::Path;

use super::error::{ConfigError, ConfigErrors, Reason};
use super::include::{self, FileId, MAX_DEPTH};
use super::lexer::{self, Line, PREFIX};
use super::roots;
use super::settings::ConfigSettings;
use crate::engine::terms::rootfs::Storage;
use crate::engine::terms::spec::ConfigPlace;

/// The most lines that are read in all, which bounds files that include each other.
const MAX_LINES: usize = 10_000;

/// A line that sets a key, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct ReadLine {
    /// None: it is not in a file.
    pub(in crate::engine) place: Option<ConfigPlace>,
    /// As it is spelled.
    pub(in crate::engine) key: String,
    /// Today's name; none: it is no key.
    pub(in crate::engine) today: Option<String>,
    pub(in crate::engine) value: String,
}

/// A configuration being read.
#[derive(Debug, Default)]
pub(super) struct ConfigReader {
    pub(super) settings: ConfigSettings,
    pub(super) errors: Vec<ConfigError>,
    /// Lines that LXC silently ignores although they are not comments.
    pub(super) foreign: Vec<(ConfigPlace, String)>,
    /// Every line that sets a key, or tries to; none are kept unless they are asked for.
    pub(super) kept: Option<Vec<ReadLine>>,
    /// The files being read, outermost first.
    open: Vec<FileId>,
    depth: usize,
    lines: usize,
}

impl ConfigReader {
    /// Starts reading the file with this identity.
    pub(super) fn new(file: Option<FileId>) -> Self {
        Self { open: file.into_iter().collect(), ..Self::default() }
    }

    /// Reads every line of `content`, which is in `file`.
    pub(super) fn content(&mut self, content: &[u8], file: &Path) {
        for (at, line) in content.split(|it| *it == b'\n').enumerate() {
            self.lines += 1;
            let place = ConfigPlace { file: file.to_path_buf(), line: at + 1 };
            if self.lines > MAX_LINES {
                let reason = Reason::TooManyLines(MAX_LINES);
                self.errors.push(ConfigError::of_file(file, reason, None));
                return;
            }
            let Ok(text) = str::from_utf8(line) else {
                self.not_text(line, place);
                continue;
            };
            match lexer::line(text) {
                Line::Nothing => (),
                Line::Foreign(text) => self.foreign.push((place, text.to_owned())),
                Line::NoValue(text) => {
                    self.errors.push(ConfigError::of(text, "", Reason::NoValue, Some(&place)));
                }
                Line::Setting { key, value } => self.setting(key, value, Some(&place)),
            }
        }
    }

    /// A byte that is not UTF-8 matters only where a key or its value is read.
    fn not_text(&mut self, line: &[u8], place: ConfigPlace) {
        let text = String::from_utf8_lossy(line);
        match lexer::line(&text) {
            Line::Nothing => (),
            Line::Foreign(text) => self.foreign.push((place, text.to_owned())),
            Line::NoValue(key) | Line::Setting { key, .. } => {
                self.errors.push(ConfigError::of(key, "", Reason::NotText, Some(&place)));
            }
        }
    }

    /// Takes one `key = value`; place None: from the command line.
    pub(super) fn setting(&mut self, key: &str, value: &str, place: Option<&ConfigPlace>) {
        if !key.starts_with(PREFIX) {
            let reason = Reason::Expected("a key that starts with lxc.");
            self.errors.push(ConfigError::of(key, value, reason, place));
            return;
        }
        if let Some(kept) = &mut self.kept {
            let today = self.settings.today(key, value);
            let (key, value, place) = (key.to_owned(), value.to_owned(), place.cloned());
            kept.push(ReadLine { place, key, today, value });
        }
        match self.settings.set(key, value, place) {
            Err(reason) => {
                // An unknown key is the subject itself; its value would only blur the message.
                let about =
                    if matches!(reason, Reason::Unknown { what: "key", .. }) { "" } else { value };
                self.errors.push(ConfigError::of(key, about, reason, place));
            }
            Ok(()) if key == INCLUDE && !value.is_empty() => self.include(value, place),
            Ok(()) => (),
        }
    }

    /// Returns the settings, or every error.
    pub(super) fn finish(self) -> Result<ConfigSettings, ConfigErrors> {
        ConfigErrors::of(self.errors).map_or(Ok(self.settings), Err)
    }

    fn include(&mut self, value: &str, place: Option<&ConfigPlace>) {
        let path = Path::new(value);
        let files =
            self.check_include(path).and_then(|()| include::files(path, value.ends_with('/')));
        match files {
            Err(reason) => self.errors.push(ConfigError::of(INCLUDE, value, reason, place)),
            Ok(files) => {
                for file in files {
                    self.included(&file, place);
                }
            }
        }
    }

    fn check_include(&self, path: &Path) -> Result<(), Reason> {
        if self.depth >= MAX_DEPTH {
            return Err(Reason::TooDeep(MAX_DEPTH));
        }
        let storage = roots::storage(&self.settings);
        match storage.as_ref().and_then(Storage::changed) {
            // A file that the container itself can write must not decide how it is confined.
            Some(root) if root != Path::new("/") && path.starts_with(root) => {
                Err(Reason::InsideRootfs)
            }
            _ => Ok(()),
        }
    }

    fn included(&mut self, file: &Path, place: Option<&ConfigPlace>) {
        let outcome = include::read(file).and_then(|(content, identity)| {
            if self.open.contains(&identity) { Err(Reason::Cycle) } else { Ok((content, identity)) }
        });
        match outcome {
            Err(reason) => {
                let value = file.to_string_lossy();
                self.errors.push(ConfigError::of(INCLUDE, &value, reason, place));
            }
            Ok((content, identity)) => {
                self.open.push(identity);
                self.depth += 1;
                self.content(&content, file);
                self.depth -= 1;
                self.open.pop();
            }
        }
    }
}

const INCLUDE: &str = "lxc.include";

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> ConfigReader {
        let mut reader = ConfigReader::new(None);
        reader.content(text.as_bytes(), Path::new("c"));
        reader
    }

    #[test]
    fn every_bad_line_is_found_with_its_number() {
        let reader = read("lxc.tty.maxx = 1\nhello\nlxc.tty.max\nlxc.tty.max = x\n");
        let errors: Vec<String> = reader.errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            errors,
            [
                "unknown key lxc.tty.maxx; did you mean lxc.tty.max? (line 1 of c)",
                "lxc.tty.max: there is no `=` after the key (line 3 of c)",
                "lxc.tty.max x: expected a number that is not negative (line 4 of c)",
            ]
        );
        assert_eq!(reader.foreign.len(), 1);
    }

    #[test]
    fn an_unknown_key_cannot_control_the_terminal() {
        let said = read("lxc.\u{1b}]0;x = 1\n").errors[0].to_string();
        assert!(said.contains("lxc.\\x1b]0;x") && !said.contains('\u{1b}'), "{said}");
    }

    #[test]
    fn a_byte_that_is_not_text_matters_in_a_value_alone() {
        let mut reader = ConfigReader::new(None);
        let content = b"# caf\xe9\nlxc.tty.max = 1\nsome \xff\nlxc.uts.name = caf\xe9\n";
        reader.content(content, Path::new("c"));
        let errors: Vec<String> = reader.errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors, ["lxc.uts.name: the value is not valid UTF-8 (line 4 of c)"]);
        assert_eq!(reader.settings.number("lxc.tty.max"), 1);
    }

    #[test]
    fn includes_are_spliced_in_and_errors_name_the_inner_file() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("inner.conf");
        fs::write(&inner, "lxc.tty.max = 3\nlxc.bogus = 1\n").unwrap();
        let reader = read(&format!("lxc.tty.max = 1\nlxc.include = {}\n", inner.display()));
        assert_eq!(reader.settings.number("lxc.tty.max"), 3);
        let text = reader.errors.first().unwrap().to_string();
        assert!(text.contains(&format!("line 2 of {}", inner.display())), "{text}");
    }

    #[test]
    fn cycles_and_deep_nests_end() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("own.conf");
        fs::write(&own, format!("lxc.include = {}\n", own.display())).unwrap();
        let reader = read(&format!("lxc.include = {}\n", own.display()));
        assert!(matches!(reader.errors.first().unwrap().reason, Reason::Cycle));

        for level in 0..12 {
            let next = dir.path().join(format!("{}.conf", level + 1));
            let text = format!("lxc.include = {}\n", next.display());
            fs::write(dir.path().join(format!("{level}.conf")), text).unwrap();
        }
        let reader = read(&format!("lxc.include = {}\n", dir.path().join("0.conf").display()));
        assert!(matches!(reader.errors.first().unwrap().reason, Reason::TooDeep(MAX_DEPTH)));
    }

    #[test]
    fn a_container_cannot_bring_its_own_configuration() {
        let reader = read("lxc.rootfs.path = /srv/web\nlxc.include = /srv/web/etc/lxc.conf\n");
        assert!(matches!(reader.errors.first().unwrap().reason, Reason::InsideRootfs));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(lxc\\.[a-z.]{0,12} ?= ?.{0,20}\n|.{0,30}\n){0,8}") {
            // Only what the lines themselves say: an include would read files of the machine.
            let text = text.replace("lxc.include", "lxc.inc");
            _ = read(&text);
        }

        #[test]
        fn no_value_of_any_key_makes_it_panic(at in 0..super::super::keys::KEYS.len(), value in ".{0,30}") {
            let key = super::super::keys::KEYS[at].name;
            prop_assume!(key != INCLUDE);
            _ = read(&format!("{key}{} = {value}", if key.ends_with('.') { "x" } else { "" }));
        }
    }
}

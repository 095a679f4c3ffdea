//! The check of a configuration file: everything that is wrong with it, not only the first line.

use std::fmt;
use std::path::Path;

use super::build;
use super::read::ConfigReader;
use crate::engine::terms::shown::shown;
use crate::engine::terms::spec::ConfigPlace;

/// How serious a remark is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing; nothing fails.
    Note,
    /// The file is valid, but wharf refuses to start the container.
    Unsupported,
    /// Neither wharf nor LXC can use the file.
    Error,
}

/// One remark about a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    pub place: Option<ConfigPlace>,
    /// What and why, safe to show, with the place at its end.
    pub text: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Checks `text` as the content of `file`, and what it includes. Empty: there are no remarks.
pub fn check(text: &str, file: &Path) -> Vec<Diagnostic> {
    let mut reader = ConfigReader::new(None);
    reader.content(text.as_bytes(), file);
    let errors = reader.errors.iter().map(|it| (Severity::Error, it));
    let unsupported: Vec<_> = build::unsupported(&reader.settings).collect();
    let refused = unsupported.iter().map(|it| (Severity::Unsupported, it));
    let mut found: Vec<Diagnostic> = errors
        .chain(refused)
        .map(|(severity, it)| Diagnostic {
            severity,
            place: it.place.clone(),
            text: it.to_string(),
        })
        .collect();
    found.extend(reader.foreign.into_iter().map(|(place, line)| Diagnostic {
        severity: Severity::Note,
        text: format!("{}: ignored, for it does not start with lxc. ({place})", shown(&line)),
        place: Some(place),
    }));
    found.sort_by(|a, b| a.place.cmp(&b.place));
    found
}

//! What is wrong with a configuration, or spelled as LXC no longer does, each with its line.

use std::fmt;

use super::READ;
use crate::engine::config::{ConfigError, ConfigErrors, Survey};
use crate::engine::terms::shown::shown;
use crate::engine::terms::spec::ConfigPlace;
use crate::engine::verbs::draft::{ConfigFile, Draft};
use crate::engine::{Engine, Error};

/// One line that an operator should know of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// None: it is about the whole file.
    pub place: Option<ConfigPlace>,
    pub kind: FindingKind,
    /// Safe to show.
    pub text: String,
}

/// What is to be known about a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FindingKind {
    /// A start stops at it.
    Refused,
    /// It is spelled as in an earlier release of LXC.
    Old,
    /// It changes nothing.
    Ignored,
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Refused => "refused",
            Self::Old => "old spelling",
            Self::Ignored => "ignored",
        })
    }
}

impl Engine {
    /// Reads a configuration with all that it includes, and lists what is to be known of it: every
    /// line at which a start would stop, in the order in which they are read, and with them those
    /// with earlier spellings and those that change nothing.
    pub fn config_check(&self, file: ConfigFile<'_>) -> Result<Vec<Finding>, Error> {
        let draft = Draft::read(self, READ, file)?;
        let survey = draft.survey();
        let mut found: Vec<Finding> = survey.errors.iter().map(refused).collect();
        if found.is_empty() {
            found = unstartable(&draft);
        }
        for line in &survey.lines {
            let Some(today) = &line.today else { continue };
            let find = |kind, text| Finding { place: line.place.clone(), kind, text };
            if Survey::is_of_the_past(today) {
                let text = format!("LXC has no key {} since 2.1", shown(&line.key));
                found.push(find(FindingKind::Old, text));
            } else if let Some(why) = Survey::ignored(line) {
                found.push(find(FindingKind::Ignored, format!("{}: {why}", shown(&line.key))));
            } else if *today != line.key {
                let text = format!("{} is now {}", shown(&line.key), shown(today));
                found.push(find(FindingKind::Old, text));
            }
        }
        for (place, text) in &survey.foreign {
            let text = format!("{} is neither a setting nor a comment", shown(text));
            found.push(Finding { place: Some(place.clone()), kind: FindingKind::Ignored, text });
        }
        let order = |it: &Finding| {
            let place = it.place.as_ref();
            let is_own = place.is_none_or(|it| it.file == draft.file);
            (!is_own, place.map(|it| (it.file.clone(), it.line)), it.kind)
        };
        found.sort_by_key(order);
        Ok(found)
    }
}

/// Returns why what can be read cannot be started.
fn unstartable(draft: &Draft) -> Vec<Finding> {
    let config = match draft.config() {
        Ok(config) => config,
        Err(why) => return why.into_each().iter().map(refused).collect(),
    };
    let spec = config.spec().err().map(ConfigErrors::into_each).unwrap_or_default();
    let mut found: Vec<Finding> = spec.iter().map(refused).collect();
    for it in config.missing_links().iter().map(refused) {
        if !found.contains(&it) {
            found.push(it);
        }
    }
    found
}

fn refused(why: &ConfigError) -> Finding {
    Finding { place: why.place.clone(), kind: FindingKind::Refused, text: why.without_place() }
}

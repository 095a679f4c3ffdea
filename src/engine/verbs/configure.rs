//! The verb `config`: reads, changes, checks and modernises a configuration. Comments, order and
//! spelling of what is not changed stay, and a result that could not be read is not written.

mod findings;
mod migrate;

pub use findings::{Finding, FindingKind};
pub use migrate::MigrationScope;

use crate::engine::cgroup::spelling::of_key;
pub use crate::engine::config::ConfigLine;
use crate::engine::config::{self, DocumentError, Survey};
use crate::engine::store::Store;
use crate::engine::terms::shown::shown;
use crate::engine::terms::spec::ConfigPlace;
pub use crate::engine::verbs::draft::ConfigFile;
use crate::engine::verbs::draft::Draft;
use crate::engine::verbs::proxmox;
use crate::engine::{Engine, Error, ErrorKind, Name, Verb};

const READ: Verb = Verb::ReadConfig;
const CHANGE: Verb = Verb::Configure;

/// The text of a configuration before and after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigChange {
    pub before: Vec<u8>,
    pub after: Vec<u8>,
}

/// What becomes of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeFate {
    /// The file is replaced.
    Written,
    /// It is only shown.
    Shown,
}

/// How a value is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetHow {
    /// It replaces what the file says.
    Alone,
    /// It is added to what a key of several lines has.
    Added,
}

/// Why a configuration is not changed or read as asked.
#[derive(Debug, thiserror::Error)]
enum ConfigureError {
    #[error("there is no configuration key {}", shown(.0))]
    Unknown(String),
    #[error(
        "{} does not say which interface; name it by its number, as in lxc.net.0.link",
        shown(.0)
    )]
    Unnumbered(String),
    #[error("{0} has one value, to which none can be added")]
    NotList(String),
    #[error("{key} also has what {place} gives it, which no line can clear; --add adds to that")]
    Stays { key: String, place: ConfigPlace },
    #[error("{0} is not in it")]
    NotSet(String),
    #[error("{key} is not set to {} in it", shown(value))]
    NotSetTo { key: String, value: String },
    #[error("its configuration would not be valid: {0}")]
    Invalid(String),
    #[error(transparent)]
    Line(DocumentError),
    #[error("Proxmox rewrites its configuration from {} at each start; change it there", .0.display())]
    Owned(std::path::PathBuf),
    #[error("a copy of it could not be given a name beside it")]
    NoBackup,
    #[error("{0}")]
    Unlike(&'static str),
}

impl Engine {
    /// Returns the content of a configuration.
    pub fn config_text(&self, file: ConfigFile<'_>) -> Result<Vec<u8>, Error> {
        Draft::read(self, READ, file).map(|it| it.before().to_vec())
    }

    /// Returns each setting as it counts in the end, with all that the configuration includes, and
    /// the defaults of what no line sets. Lines that are refused are left out.
    pub fn config_lines(&self, file: ConfigFile<'_>) -> Result<Vec<ConfigLine>, Error> {
        Draft::read(self, READ, file).map(|it| it.survey().in_the_end())
    }

    /// Returns what a key is set to, or its default, each value of a list for itself; none: it is
    /// not set and has no default.
    pub fn config_values(&self, file: ConfigFile<'_>, key: &str) -> Result<Vec<String>, Error> {
        let draft = Draft::read(self, READ, file)?;
        let config = draft.config().map_err(|why| draft.failed(ErrorKind::Invalid, why))?;
        let today = named(&draft, key)?;
        let value = config.get(&today).unwrap_or_default();
        Ok(value.lines().map(str::to_owned).collect())
    }

    /// Returns one of LXC's settings for the whole host; none: it is not set.
    pub fn system_setting(&self, key: &str) -> Option<String> {
        config::system_setting(self.lxcpath.host(), key, self.lxcpath.given())
    }

    /// Sets a key, in the spelling in which the file has it.
    pub fn config_set(
        &self,
        file: ConfigFile<'_>,
        (key, value): (&str, &str),
        how: SetHow,
        fate: ChangeFate,
    ) -> Result<ConfigChange, Error> {
        let container = self.container_of(file);
        let file = meant(file, container.as_ref());
        self.change(file, fate, &|draft| match (file, of_key(key)) {
            // A limit may stand there for the other version of cgroups as well.
            (ConfigFile::Of(name), Some((_, limit)))
                if how == SetHow::Alone && !limit.starts_with("devices.") && !value.is_empty() =>
            {
                self.change_limit(draft, name, key, Some(value)).map(drop)
            }
            _ => self.is_ours(draft, file).and_then(|()| set(draft, key, value, how)),
        })
    }

    /// Takes every line that sets a key out of the file, or those that set it to `value`.
    pub fn config_unset(
        &self,
        file: ConfigFile<'_>,
        key: &str,
        value: Option<&str>,
        fate: ChangeFate,
    ) -> Result<ConfigChange, Error> {
        let container = self.container_of(file);
        let file = meant(file, container.as_ref());
        self.change(file, fate, &|draft| {
            self.is_ours(draft, file).and_then(|()| unset(draft, key, value))
        })
    }

    /// Returns the container whose configuration was named by its path.
    fn container_of(&self, file: ConfigFile<'_>) -> Option<Name> {
        match file {
            ConfigFile::At(path) => Store::new(&self.lxcpath).container_of(path),
            ConfigFile::Of(_) => None,
        }
    }

    /// Changes a configuration in one piece.
    fn change(
        &self,
        file: ConfigFile<'_>,
        fate: ChangeFate,
        change: &dyn Fn(&mut Draft) -> Result<(), Error>,
    ) -> Result<ConfigChange, Error> {
        let mut draft = match fate {
            ChangeFate::Written => Draft::open(self, CHANGE, file)?,
            ChangeFate::Shown => Draft::read(self, CHANGE, file)?,
        };
        change(&mut draft)?;
        let fresh = draft.new_errors();
        if !fresh.is_empty() {
            let why = ConfigureError::Invalid(fresh.join("; "));
            return Err(draft.failed(ErrorKind::Invalid, why));
        }
        let change =
            ConfigChange { before: draft.before().to_vec(), after: draft.document.to_bytes() };
        if fate == ChangeFate::Written {
            draft.write()?;
        }
        Ok(change)
    }

    /// Refuses what Proxmox would undo.
    fn is_ours(&self, draft: &Draft, file: ConfigFile<'_>) -> Result<(), Error> {
        let ConfigFile::Of(name) = file else { return Ok(()) };
        let owner = proxmox::owner(self.lxcpath.host(), name);
        owner.map_or(Ok(()), |it| {
            Err(draft.failed(ErrorKind::Invalid, ConfigureError::Owned(it.conf)))
        })
    }
}

/// Returns the file, as that of the container whose own it is.
fn meant<'a>(file: ConfigFile<'a>, container: Option<&'a Name>) -> ConfigFile<'a> {
    container.map_or(file, ConfigFile::Of)
}

/// Returns today's name of the key that a caller means.
fn named(draft: &Draft, key: &str) -> Result<String, Error> {
    Survey::today(key).ok_or_else(|| {
        let why = if key.starts_with("lxc.network.") {
            ConfigureError::Unnumbered(key.to_owned())
        } else {
            ConfigureError::Unknown(key.to_owned())
        };
        draft.failed(ErrorKind::Invalid, why)
    })
}

fn set(draft: &mut Draft, key: &str, value: &str, how: SetHow) -> Result<(), Error> {
    // What is no key gets a line, whose refusal says what may have been meant.
    let today = if key.starts_with("lxc.network.") {
        named(draft, key)?
    } else {
        Survey::today(key).unwrap_or_else(|| key.to_owned())
    };
    let failed = |draft: &Draft, why| draft.failed(ErrorKind::Invalid, why);
    let is_list = config::is_list(&today);
    if how == SetHow::Added && !is_list {
        return Err(failed(draft, ConfigureError::NotList(today)));
    }
    let lines = draft.survey().lines_of(&draft.file, &today);
    let done = match (how, lines.split_last()) {
        (SetHow::Added, _) if has(draft, &today, value) => return Ok(()),
        (SetHow::Added, Some((last, _))) => draft.document.insert_below(*last, key, value),
        (SetHow::Alone, Some((last, others))) => {
            let done = draft.document.put_value(*last, value);
            // An earlier line of a single value does not count, and stays.
            draft.document.remove(if is_list { others } else { &[] });
            done
        }
        (_, None) => draft.document.append(key, value),
    };
    done.map_err(|why| failed(draft, ConfigureError::Line(why)))?;
    match how {
        SetHow::Added => Ok(()),
        SetHow::Alone if is_list => stand_alone(draft, &today, value),
        SetHow::Alone => outlast(draft, &today, value),
    }
}

/// Clears what included files give to a key of several lines, so that it has this value alone.
fn stand_alone(draft: &mut Draft, today: &str, value: &str) -> Result<(), Error> {
    let included = |draft: &Draft| {
        let lines = draft.survey().in_the_end();
        let others = lines.into_iter().filter(|it| it.key == today).filter_map(|it| it.place);
        others.into_iter().find(|it| it.file != draft.file)
    };
    if value.is_empty() || included(draft).is_none() {
        return Ok(());
    }
    let ours = draft.survey().lines_of(&draft.file, today);
    draft.document.remove(&ours);
    for it in ["", value] {
        let added = draft.document.append(today, it);
        added.map_err(|why| draft.failed(ErrorKind::Invalid, ConfigureError::Line(why)))?;
    }
    match included(draft) {
        None => Ok(()),
        Some(place) => {
            let why = ConfigureError::Stays { key: today.to_owned(), place };
            Err(draft.failed(ErrorKind::Invalid, why))
        }
    }
}

/// Returns whether a line of the file sets the key to this value.
fn has(draft: &Draft, today: &str, value: &str) -> bool {
    let survey = draft.survey();
    let of_file =
        |it: &&config::ReadLine| it.place.as_ref().is_some_and(|it| it.file == draft.file);
    let mut lines = survey.lines.iter().filter(of_file);
    lines.any(|it| it.today.as_deref() == Some(today) && it.value == value)
}

/// Moves the line that sets the key to the end if a file that is included below it sets it, too.
fn outlast(draft: &mut Draft, today: &str, value: &str) -> Result<(), Error> {
    let survey = draft.survey();
    let mut of_key = survey.lines.iter().filter(|it| it.today.as_deref() == Some(today));
    let Some(last) = of_key.next_back() else { return Ok(()) };
    let ours = survey.lines_of(&draft.file, today).last().copied();
    if last.place.as_ref().is_none_or(|it| it.file == draft.file) {
        return Ok(());
    }
    let Some(line) = ours else { return Ok(()) };
    draft.document.remove(&[line]);
    let added = draft.document.append(today, value);
    added.map_err(|why| draft.failed(ErrorKind::Invalid, ConfigureError::Line(why)))
}

fn unset(draft: &mut Draft, key: &str, value: Option<&str>) -> Result<(), Error> {
    let survey = draft.survey();
    let today = Survey::today(key);
    // What is no key can be taken out, too.
    let is_meant = |it: &&config::ReadLine| {
        (it.key == key || (today.is_some() && it.today == today))
            && value.is_none_or(|value| it.value == value)
    };
    let meant: Vec<_> =
        survey.lines.iter().filter(is_meant).filter_map(|it| it.place.as_ref()).collect();
    let lines: Vec<usize> =
        meant.iter().filter(|it| it.file == draft.file).map(|it| it.line).collect();
    if lines.is_empty() {
        let key = shown(key).into_owned();
        let why = match (value, meant.last()) {
            (_, Some(place)) => {
                format!("{key} is set by {place}, which it includes; remove it there")
            }
            (Some(value), None) => {
                ConfigureError::NotSetTo { key, value: value.to_owned() }.to_string()
            }
            (None, None) => ConfigureError::NotSet(key).to_string(),
        };
        return Err(draft.failed(ErrorKind::Invalid, why));
    }
    draft.document.remove(&lines);
    Ok(())
}

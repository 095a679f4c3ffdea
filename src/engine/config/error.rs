//! Why a configuration is refused: which key and value, for what reason, on which line.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::engine::terms::error::words;
use crate::engine::terms::feature;

use crate::engine::terms::id::IdError;
use crate::engine::terms::idmap::IdMapError;
use crate::engine::terms::shown::{shown, shown_bytes};
use crate::engine::terms::spec::ConfigPlace;

/// A configuration that cannot be used. Prints as
/// `lxc.rootfs.path /srv/web: No such file or directory (line 3 of /var/lib/lxc/web/config)`.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError {
    /// The key with its value, or the file. Already safe to show.
    pub(in crate::engine) subject: String,
    pub(in crate::engine) reason: Reason,
    /// None: it was given on the command line, or the file itself is at fault.
    pub(in crate::engine) place: Option<ConfigPlace>,
}

impl ConfigError {
    /// Blames the value of a key.
    pub(super) fn of(key: &str, value: &str, reason: Reason, place: Option<&ConfigPlace>) -> Self {
        let subject = if value.is_empty() {
            shown(key).into_owned()
        } else {
            format!("{} {}", shown(key), shown(value))
        };
        Self { subject, reason, place: place.cloned() }
    }

    /// Blames a file.
    pub(super) fn of_file(path: &Path, reason: Reason, place: Option<&ConfigPlace>) -> Self {
        use std::os::unix::ffi::OsStrExt as _;
        let subject = shown_bytes(path.as_os_str().as_bytes());
        Self { subject, reason, place: place.cloned() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.without_place())?;
        self.place.as_ref().map_or(Ok(()), |it| write!(f, " ({it})"))
    }
}

impl ConfigError {
    /// Says what is wrong, but not where.
    pub(in crate::engine) fn without_place(&self) -> String {
        // An unknown key is both the subject and the reason; naming it once is enough.
        if matches!(&self.reason, Reason::Unknown { what: "key", word, .. } if shown(word) == self.subject)
        {
            return self.reason.to_string();
        }
        format!("{}: {}", self.subject, self.reason)
    }

    /// Returns the number of the network interface that is refused, if it is one.
    pub(in crate::engine) fn interface(&self) -> Option<u32> {
        self.subject.strip_prefix("lxc.net.")?.split('.').next()?.parse().ok()
    }

    /// Returns the network interface that the host lacks, if that is the reason.
    pub(in crate::engine) fn missing_link(&self) -> Option<&str> {
        let lacks = matches!(self.reason, Reason::NoLink(_) | Reason::NotBridge);
        self.subject.rsplit(' ').next().filter(|_| lacks)
    }

    /// Returns whether a profile of its own would confine the container, if the host could load one.
    pub(in crate::engine) const fn confines(&self) -> bool {
        matches!(self.reason, Reason::NoParser)
    }
}

/// Everything for which a configuration is refused, in the order of its lines; never empty.
#[derive(Debug, thiserror::Error)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// Gathers what was found; `None` for nothing.
    pub(in crate::engine) fn of(errors: Vec<ConfigError>) -> Option<Self> {
        (!errors.is_empty()).then_some(Self(errors))
    }

    /// Returns each of them.
    pub(in crate::engine) fn into_each(self) -> Vec<ConfigError> {
        self.0
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&said.join("; "))
    }
}

/// What is wrong with a value, a line or a file.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    #[error("unknown {what} {}{}", shown(word), suggestion(*nearest))]
    Unknown { what: &'static str, word: String, nearest: Option<&'static str> },
    #[error("there is no `=` after the key")]
    NoValue,
    #[error("a value is required")]
    Empty,
    #[error("only an empty value is allowed, which clears the whole group")]
    OnlyEmpty,
    #[error("expected {0}")]
    Expected(&'static str),
    #[error("the number is too large")]
    TooLarge,
    #[error(transparent)]
    Id(IdError),
    #[error(transparent)]
    IdMap(IdMapError),
    #[error("lxc.idmap does not map {0} {1}")]
    Unmapped(&'static str, u32),
    #[error("control characters are not allowed in a value")]
    ControlCharacter,
    #[error("it conflicts with {0}, which is also set")]
    Conflict(&'static str),
    #[error("it requires lxc.net.{index}.type = {kind} on a line above")]
    NetworkType { index: u32, kind: &'static str },
    #[error("there is no network interface yet: lxc.network.type must come first")]
    NoInterface,
    #[error("there is no such network interface{0}")]
    NoLink(String),
    #[error("it is not a bridge; `ip link add NAME type bridge` makes one")]
    NotBridge,
    #[error("it requires {0}")]
    Requires(String),
    #[error("it cannot name several interfaces, and {of} matches {}", shown(found))]
    Several { of: &'static str, found: String },
    #[error("the variable is not set in wharf's own environment")]
    NotInEnvironment,
    #[error("{}", feature::PROFILE_LOADER.refusal())]
    NoParser,
    #[error(
        "this kernel's AppArmor does not decide about mounts, so that a container can leave its \
         profile; lxc.apparmor.allow_incomplete = 1 starts it nevertheless"
    )]
    Incomplete,
    #[error("{0}")]
    Profile(String),
    #[error("{0}")]
    Storage(&'static str),
    #[error("{}: {}", shown_bytes(path.as_os_str().as_encoded_bytes()), words(source))]
    Missing { path: PathBuf, source: io::Error },
    #[error("this kernel's machine {0:?} is not one for which wharf can compile a profile")]
    Machine(String),
    #[error("includes are nested deeper than {0}")]
    TooDeep(usize),
    #[error("the file includes itself")]
    Cycle,
    #[error("the file lies inside the container's own root")]
    InsideRootfs,
    #[error("not a regular file")]
    NotRegular,
    #[error("not a directory")]
    NotDirectory,
    #[error("the file is longer than {0} bytes")]
    TooLong(u64),
    #[error("more than {0} lines")]
    TooManyLines(usize),
    #[error("the value is not valid UTF-8")]
    NotText,
    #[error("other users may write to the file (mode {0:o}); chmod go-w it first")]
    Writable(u32),
    #[error("the file belongs to uid {0}, not to root or to you")]
    Owner(u32),
    #[error("there is no such file, and no such template; wharf's templates are {0}")]
    NoTemplate(String),
    #[error("{}", words(.0))]
    Io(#[source] io::Error),
}

impl Reason {
    /// Returns whether the file does not exist.
    pub(super) fn is_missing_file(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |it| format!("; did you mean {it}?"))
}

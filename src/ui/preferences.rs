//! The operator's preferences: `wharf/config.toml` below `$XDG_CONFIG_HOME` or `~/.config`. Every
//! one is optional; an unknown word is an error, never ignored.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::model::REFRESH;
use super::theme::Theme;

/// Largest file that is read.
const MAX_BYTES: u64 = 64 * 1024;

/// The settings. None: decided by wharf.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preferences {
    pub theme: Option<Theme>,
    /// Draw only with ASCII.
    pub ascii: Option<bool>,
    /// Seconds between two samples.
    pub refresh: Option<f64>,
}

/// A shorter interval would measure wharf itself.
const SHORTEST: Duration = Duration::from_millis(100);
/// With a longer one the screen would always be stale.
const LONGEST: Duration = Duration::from_hours(1);

/// Preferences that could not be used.
#[derive(Debug, thiserror::Error)]
pub enum PreferencesError {
    #[error("read {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} is larger than {MAX_BYTES} bytes")]
    Large { path: PathBuf },
    #[error("{path}")]
    Parse { path: PathBuf, source: Box<toml::de::Error> },
}

impl Preferences {
    /// Reads the operator's file; none is not an error.
    pub fn load(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, PreferencesError> {
        Self::path(variable).map_or_else(|| Ok(Self::default()), |path| Self::read(&path))
    }

    /// Returns the time between two samples.
    pub fn interval(&self) -> Duration {
        let wanted = self.refresh.and_then(|it| Duration::try_from_secs_f64(it).ok());
        wanted.unwrap_or(REFRESH).clamp(SHORTEST, LONGEST)
    }

    /// Returns where the file belongs.
    pub fn path(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
        let set = |name: &str| variable(name).filter(|it| !it.is_empty()).map(PathBuf::from);
        let config = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))?;
        Some(config.join("wharf/config.toml"))
    }

    fn read(path: &Path) -> Result<Self, PreferencesError> {
        let fault = |source| PreferencesError::Read { path: path.to_path_buf(), source };
        match std::fs::metadata(path) {
            Ok(it) if it.len() > MAX_BYTES => {
                return Err(PreferencesError::Large { path: path.to_path_buf() });
            }
            // Another user's home, after su(1), is ignored.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
                ) =>
            {
                return Ok(Self::default());
            }
            Ok(_) | Err(_) => (),
        }
        let text = std::fs::read_to_string(path).map_err(fault)?;
        toml::from_str(&text).map_err(|source| PreferencesError::Parse {
            path: path.to_path_buf(),
            source: Box::new(source),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Result<Preferences, PreferencesError> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("wharf")).unwrap();
        std::fs::write(directory.path().join("wharf/config.toml"), text).unwrap();
        Preferences::load(|name| (name == "XDG_CONFIG_HOME").then(|| directory.path().into()))
    }

    #[test]
    fn preferences_are_read() {
        let preferences = at("theme = \"colour-blind\"\nascii = true\nrefresh = 0.5\n").unwrap();
        assert_eq!(preferences.theme, Some(Theme::ColourBlind));
        assert_eq!((preferences.ascii, preferences.refresh), (Some(true), Some(0.5)));
        assert_eq!(at("").unwrap(), Preferences::default());
    }

    #[test]
    fn every_theme_has_its_word() {
        for theme in Theme::ALL {
            assert_eq!(at(&format!("theme = {:?}", theme.word())).unwrap().theme, Some(theme));
        }
    }

    #[test]
    fn unknown_preferences_are_refused_with_their_place() {
        let error = at("colour = \"dark\"\n").unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("colour"), "{cause}");
    }

    #[test]
    fn no_file_and_no_home_are_no_error() {
        assert_eq!(Preferences::load(|_| None).unwrap(), Preferences::default());
        assert_eq!(
            Preferences::load(|_| Some("/nonexistent".into())).unwrap(),
            Preferences::default()
        );
    }
}

//! How long the trash keeps what is in it, and how much: `trash.age` and `trash.size` of
//! `/etc/wharf/wharf.conf` and of the user's own `wharf/wharf.conf`, which comes after it.

use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::statvfs::statvfs;
use nix::unistd::geteuid;

use crate::engine::terms::error::words;

/// The machine's file, and the user's own below `$XDG_CONFIG_HOME` or `~/.config`.
const SYSTEM: &str = "/etc/wharf/wharf.conf";
const OWN: &str = "wharf/wharf.conf";
/// What a key has that is to be without a limit.
const NONE: &str = "none";
const AGE: Duration = Duration::from_hours(7 * 24);
const PERCENT: u64 = 10;
const MOST_BYTES: u64 = 1024 * 1024;

/// The limits of the trash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) struct TrashLimits {
    /// None: it stays until somebody empties the trash.
    pub(in crate::engine) age: Option<Duration>,
    /// None: any size.
    pub(in crate::engine) size: Option<SizeLimit>,
}

/// How much space the trash may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum SizeLimit {
    Bytes(u64),
    /// Of the file system that it is on.
    Percent(u64),
}

/// A line that is not valid, or a file that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(in crate::engine) enum LimitsError {
    #[error("read {path}: {}", words(source))]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} line {line}: {what}")]
    Line { path: PathBuf, line: usize, what: String },
}

impl Default for TrashLimits {
    fn default() -> Self {
        Self { age: Some(AGE), size: Some(SizeLimit::Percent(PERCENT)) }
    }
}

impl TrashLimits {
    /// Reads the files that are there.
    pub(in crate::engine) fn load() -> Result<Self, LimitsError> {
        let set = |name| std::env::var_os(name).filter(|it| !it.is_empty()).map(PathBuf::from);
        let own = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")));
        let mut limits = Self::default();
        for path in [Some(PathBuf::from(SYSTEM)), own.map(|it| it.join(OWN))].into_iter().flatten()
        {
            match read_own(&path) {
                Ok(Some(text)) => limits.read(&path, &text)?,
                // Another user's home, after su(1) or sudo(8), is ignored.
                Ok(None) => (),
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::NotFound
                            | io::ErrorKind::NotADirectory
                            | io::ErrorKind::PermissionDenied
                    ) => {}
                Err(source) => return Err(LimitsError::Read { path, source }),
            }
        }
        Ok(limits)
    }

    /// Returns how many bytes the trash in `dir` may take; none: any number, or it cannot be told.
    pub(in crate::engine) fn bytes(&self, dir: &Path) -> Option<u64> {
        match self.size? {
            SizeLimit::Bytes(bytes) => Some(bytes),
            SizeLimit::Percent(percent) => {
                let found = statvfs(dir).ok()?;
                let all = found.blocks().saturating_mul(found.fragment_size());
                Some(all / 100 * percent)
            }
        }
    }

    fn read(&mut self, path: &Path, text: &str) -> Result<(), LimitsError> {
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            self.set(line).map_err(|what| LimitsError::Line {
                path: path.to_path_buf(),
                line: at + 1,
                what,
            })?;
        }
        Ok(())
    }

    fn set(&mut self, line: &str) -> Result<(), String> {
        let (key, value) = line.split_once('=').ok_or("not of the form KEY = VALUE")?;
        let (key, value) = (key.trim(), value.trim());
        match key {
            "trash.age" => {
                let wrong = || format!("`{value}` is not a valid age, such as 7d, 12h or {NONE}");
                let age = (value != NONE).then(|| age(value).ok_or_else(wrong));
                self.age = age.transpose()?;
            }
            "trash.size" => {
                let wrong = || format!("`{value}` is not a valid size, such as 10%, 20G or {NONE}");
                let size = (value != NONE).then(|| size(value).ok_or_else(wrong));
                self.size = size.transpose()?;
            }
            _ => return Err(format!("unknown key `{key}`; known are trash.age and trash.size")),
        }
        Ok(())
    }
}

/// Reads a file. None: it is another user's, and root would obey it.
fn read_own(path: &Path) -> io::Result<Option<String>> {
    let mut options = OpenOptions::new();
    // Waits for no pipe.
    let file = options.read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() || geteuid().is_root() && meta.uid() != 0 {
        return Ok(None);
    }
    io::read_to_string(file.take(MOST_BYTES)).map(Some)
}

fn age(value: &str) -> Option<Duration> {
    let (number, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    let seconds = match unit {
        "d" => 24 * 60 * 60,
        "h" => 60 * 60,
        "m" => 60,
        "s" => 1,
        _ => return None,
    };
    Some(Duration::from_secs(plain(number)?.checked_mul(seconds)?))
}

fn size(value: &str) -> Option<SizeLimit> {
    let (number, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    let shift = match unit {
        "%" => return plain(number).filter(|it| *it <= 100).map(SizeLimit::Percent),
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return plain(value).map(SizeLimit::Bytes),
    };
    plain(number)?.checked_mul(1 << shift).map(SizeLimit::Bytes)
}

fn plain(number: &str) -> Option<u64> {
    number.bytes().all(|it| it.is_ascii_digit()).then(|| number.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<TrashLimits, String> {
        let mut limits = TrashLimits::default();
        let read = limits.read(Path::new("/etc/wharf/wharf.conf"), text);
        read.map(|()| limits).map_err(|error| error.to_string())
    }

    #[test]
    fn each_key_changes_its_limit_and_the_last_one_counts() {
        assert_eq!(read("# x\n\n").unwrap(), TrashLimits::default());
        let read = |text| read(text).unwrap();
        assert_eq!(read("trash.age=12h\ntrash.age = 30d").age, Some(Duration::from_hours(720)));
        assert_eq!(read("trash.age = none").age, None);
        assert_eq!(read("trash.size = 20G").size, Some(SizeLimit::Bytes(20 << 30)));
        assert_eq!(read("trash.size = 5%").size, Some(SizeLimit::Percent(5)));
        assert_eq!(read("trash.size = 0").size, Some(SizeLimit::Bytes(0)));
        assert_eq!(read("trash.size = none").size, None);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, what) in [
            ("\ntrash.age = 7", "line 2: `7` is not a valid age"),
            ("trash.age = -1d", "`-1d` is not a valid age"),
            ("trash.age = ", "`` is not a valid age"),
            ("trash.size = 101%", "`101%` is not a valid size"),
            ("trash.size = 1P", "`1P` is not a valid size"),
            ("trash.size = 99999999999T", "is not a valid size"),
            ("trash.ages = 7d", "unknown key `trash.ages`; known are trash.age and trash.size"),
            ("trash.age 7d", "not of the form KEY = VALUE"),
        ] {
            let said = read(text).unwrap_err();
            assert!(said.contains(what), "{text}: {said}");
        }
    }

    #[test]
    fn a_share_is_one_of_the_file_system() {
        let limits = TrashLimits { age: None, size: Some(SizeLimit::Percent(50)) };
        assert!(limits.bytes(Path::new("/")).unwrap() > 0);
        assert_eq!(limits.bytes(Path::new("/no/such")), None);
    }
}

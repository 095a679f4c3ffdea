//! `lxc.log.*`. Opens nothing.

use std::path::PathBuf;

use super::settings::ConfigSettings;
use crate::engine::terms::spec::{LogLevel, LogSpec};

/// The numbers of syslog(3).
const DAEMON: u8 = 3;
const LOCAL0: u8 = 16;

pub(super) fn of(settings: &ConfigSettings) -> LogSpec {
    let value = |key| settings.last(key).map(|it| it.value.as_str());
    let level = |word: &str| LogLevel::ALL.into_iter().find(|it| it.word() == word);
    let facility = |word: &str| {
        let local = word.strip_prefix("local").and_then(|it| it.parse::<u8>().ok());
        local.map_or(DAEMON, |it| LOCAL0 + it)
    };
    LogSpec {
        file: value("lxc.log.file").map(PathBuf::from),
        level: value("lxc.log.level").and_then(level).unwrap_or_default(),
        facility: value("lxc.log.syslog").map(facility),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_has_a_level_and_a_facility() {
        let mut settings = ConfigSettings::default();
        assert_eq!(of(&settings), LogSpec::default());
        for (key, value) in [("lxc.loglevel", "2"), ("lxc.syslog", "local7"), ("lxc.logfile", "/l")]
        {
            settings.set(key, value, None).unwrap();
        }
        let file = Some(PathBuf::from("/l"));
        assert_eq!(of(&settings), LogSpec { file, level: LogLevel::Info, facility: Some(23) });
    }
}

//! `lxc-config` and `lxc-update-config`, which have arguments of their own kind.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;
use std::process::ExitCode;

use super::getopt::{GivenWords, flag, parse, value};
use crate::engine::configure::{ConfigFile, MigrationScope};
use crate::engine::shown::shown;
use crate::engine::{Engine, system_settings};

/// Prints LXC's settings for the whole host.
pub(super) fn config(_program: &str, words: &[OsString]) -> ExitCode {
    const USAGE: &str = "Usage: lxc-config -l: list all available configuration items\n       \
                         lxc-config item: print configuration item\n";
    let word = words.first().map(|it| it.to_string_lossy()).unwrap_or_default();
    if word == "-l" {
        return print(&system_settings().flat_map(|it| [it, "\n"]).collect::<String>());
    }
    if matches!(word.as_ref(), "" | "-" | "--" | "-h" | "--help") {
        super::say(USAGE);
        return ExitCode::SUCCESS;
    }
    // As LXC's, it takes the beginning of a name.
    let Some(key) = system_settings().find(|it| it.starts_with(word.as_ref())) else {
        print(&format!("Unknown configuration item: {}\n", shown(&word)));
        return ExitCode::FAILURE;
    };
    print(&match Engine::open(None).system_setting(key) {
        Some(value) => format!("{}\n", shown(&value)),
        None => format!("{key} is not set.\n"),
    })
}

/// Spells a configuration as LXC does since 2.1, in its comments too, and keeps the old one.
pub(super) fn update_config(program: &str, words: &[OsString]) -> ExitCode {
    let usage = format!(
        "{} -h|--help [-c|--config]\nconfig: the container configuration to update\n",
        shown(program)
    );
    let texts: Vec<String> = words.iter().map(|it| it.to_string_lossy().into_owned()).collect();
    let options = [value("config", Some('c'), "FILE", ""), flag("help", Some('h'), "")];
    let mut given = GivenWords::default();
    if let Err(message) = parse(&options, &texts, false, &mut given) {
        super::say(&format!("{}: {}\n", shown(program), shown(&message)));
        return ExitCode::FAILURE;
    }
    if words.is_empty() || given.has("help") {
        return print(&usage);
    }
    let Some(file) = given.value("config") else {
        super::say(&usage);
        return ExitCode::FAILURE;
    };
    // A name that is not UTF-8 is passed on as it is.
    let exact = words.iter().find(|it| it.to_string_lossy() == file).map(PathBuf::from);
    let file = exact.unwrap_or_else(|| PathBuf::from(file));
    let mut backup = file.as_os_str().as_bytes().to_vec();
    backup.extend(b".backup");
    let backup = PathBuf::from(OsString::from_vec(backup));
    let engine = Engine::open(None);
    let file = ConfigFile::At(&file);
    let done = engine
        .config_migration(file, MigrationScope::Comments)
        .and_then(|change| engine.config_migrate(file, &change, Some(backup)));
    match done {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            super::say(&format!("{}: {}\n", shown(program), shown(&format!("{error:#}"))));
            ExitCode::FAILURE
        }
    }
}

fn print(text: &str) -> ExitCode {
    let written = io::stdout().write_all(text.as_bytes());
    if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

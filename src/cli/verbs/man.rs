//! `man`: writes the manual pages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::ArgMatches;

use super::Subcommand;
use crate::cli::failure::Usage;
use crate::cli::invocation::{Invocation, operands};
use crate::cli::{args, manual};
use crate::command;
use crate::engine::shown::shown;

pub(super) const MAN: Subcommand = Subcommand {
    name: "man",
    arguments: |command| command.arg(args::operands("DIR", "The directory for man1 and man5")),
    run: man,
    notes: "\
Writes wharf(1), a page for each command such as wharf-start(1), and wharf.conf(5) into DIR/man1
and DIR/man5, which are made if they are missing; DIR must be there. The pages are made of what `wharf help` says, so
that those of another release are written anew.

Examples:
  wharf man /usr/local/share/man        for every user
  wharf man ~/.local/share/man          for one, where man-db looks as well
  man wharf-start",
};

fn man(invocation: &mut Invocation<'_>, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let words = operands(matches)?;
    let [dir] = words.as_slice() else {
        return Err(Usage("expected one directory for the pages".into()).into());
    };
    let dir = PathBuf::from(dir);
    if !dir.is_dir() {
        return Err(no_directory(&dir).into());
    }
    let pages = manual::pages((invocation.parser)())?;
    for it in &pages {
        let section = dir.join(format!("man{}", it.section));
        fs::create_dir_all(&section).with_context(|| failed("make", &section))?;
        let file = section.join(format!("{}.{}", it.name, it.section));
        fs::write(&file, &it.text).with_context(|| failed("write", &file))?;
    }
    if !matches.get_flag(args::QUIET) {
        let dir = dir.to_string_lossy();
        writeln!(invocation.out, "{} pages written below {}", pages.len(), shown(&dir))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Refuses what may be a command whose page is meant.
fn no_directory(dir: &Path) -> Usage {
    let word = dir.to_string_lossy();
    let advice = match command::named(&word) {
        Some(_) => format!("`wharf help {word}` explains the command"),
        None => "make it first".to_owned(),
    };
    Usage(format!("`{}` is not a directory; {advice}", shown(&word)))
}

fn failed(act: &str, path: &Path) -> String {
    format!("{act} {}", shown(&path.to_string_lossy()))
}

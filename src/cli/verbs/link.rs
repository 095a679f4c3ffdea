//! `link`: makes LXC's command names call wharf.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::ArgMatches;

use super::Subcommand;
use crate::cli::args;
use crate::cli::failure::Usage;
use crate::cli::invocation::{Invocation, operands};
use crate::cli::lxc;
use crate::engine::shown::shown;

pub(super) const LINK: Subcommand = Subcommand {
    name: "link",
    arguments: |command| {
        command
            .arg(args::flag("remove", None, "Remove the links instead"))
            .arg(args::operands("DIR", "The directory for the links"))
    },
    run: link,
    notes: "\
Makes DIR/lxc-start, DIR/lxc-ls and so on, each a symbolic link to this program, which then takes
LXC's options and gives LXC's output and exit codes. `wharf lxc NAME …` does the same without a
link. What is in DIR and is not such a link is left alone: then none is made, and --remove removes
the others and exits with 1. Any link to a program of this program's file name counts as such.

Examples:
  wharf link ~/bin             links there, before LXC's own in PATH
  wharf link --remove ~/bin    takes them away again",
};

/// What is at the place of a link.
enum AtPlace {
    Nothing,
    /// A link to this program.
    Ours,
    Foreign,
}

fn link(invocation: &mut Invocation<'_>, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let operands = operands(matches)?;
    let [dir] = operands.as_slice() else {
        return Err(Usage("expected one directory for the links".into()).into());
    };
    let dir = PathBuf::from(dir);
    let program = std::env::current_exe().context("find this program")?;
    let remove = matches.get_flag("remove");
    if !dir.is_dir() {
        anyhow::bail!("{}: there is no such directory", dir.display());
    }
    let places: Vec<PathBuf> =
        lxc::names().map(|it| dir.join(format!("{}{it}", lxc::PREFIX))).collect();
    let mut found = Vec::new();
    for place in places {
        let there = look(&place, &program).with_context(|| shown_path(&place))?;
        found.push((place, there));
    }
    let foreign: Vec<String> = found
        .iter()
        .filter(|it| matches!(it.1, AtPlace::Foreign))
        .map(|it| shown_path(&it.0))
        .collect();
    if !remove && !foreign.is_empty() {
        anyhow::bail!(
            "{} would be overwritten, and is no link to wharf; choose another directory, or move it \
             away first",
            foreign.join(", ")
        );
    }
    let mut changed = 0;
    for (place, there) in found {
        match there {
            AtPlace::Nothing if !remove => symlink(&program, &place),
            AtPlace::Ours if remove => fs::remove_file(&place),
            AtPlace::Nothing | AtPlace::Ours | AtPlace::Foreign => continue,
        }
        .with_context(|| shown_path(&place))?;
        changed += 1;
    }
    if !matches.get_flag(args::QUIET) {
        let did = if remove { "removed" } else { "made" };
        writeln!(invocation.out, "{changed} links {did} in {}", shown_path(&dir))?;
    }
    if remove && !foreign.is_empty() {
        invocation.out.flush()?;
        anyhow::bail!("{} left alone: no link to wharf", foreign.join(", "));
    }
    Ok(ExitCode::SUCCESS)
}

fn look(place: &Path, program: &Path) -> std::io::Result<AtPlace> {
    match fs::read_link(place) {
        // A program that was moved still is this one.
        Ok(target) if target.file_name() == program.file_name() => Ok(AtPlace::Ours),
        Ok(_) => Ok(AtPlace::Foreign),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(AtPlace::Nothing),
        // It is no link.
        Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(AtPlace::Foreign),
        Err(error) => Err(error),
    }
}

fn shown_path(path: &Path) -> String {
    shown(&path.to_string_lossy()).into_owned()
}

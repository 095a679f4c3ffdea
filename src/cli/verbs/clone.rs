//! `clone` and `rename`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgMatches, value_parser};

use super::Subcommand;
use super::create::{backing, image, of_overlay, told};
use crate::cli::failure::Usage;
use crate::cli::invocation::{Invocation, exists, named, no_more, pairs};
use crate::cli::watched::watched;
use crate::cli::{args, timeout};
use crate::command::Verb;
use crate::engine::Name;
use crate::engine::create::{Copy, CopyKind};

pub(super) const CLONE: Subcommand = Subcommand {
    name: "clone",
    arguments: |command| {
        command
            .arg(args::flag("snapshot", Some('S'), "Keep only what differs from that container"))
            .arg(args::value(
                "bdev",
                Some('B'),
                "TYPE",
                "How the root is stored: dir, loop, overlay or best",
            ))
            .args(args::disk_image())
            .arg(args::flag("keepname", Some('K'), "Keep the host name of that container"))
            .arg(args::flag("keepmac", Some('M'), "Keep its hardware addresses"))
            .arg(args::flag("allowrunning", Some('a'), "Copy it even while it runs"))
            .arg(
                args::value("newpath", Some('p'), "PATH", "Put the copy into this directory")
                    .value_parser(value_parser!(PathBuf)),
            )
            .arg(args::define())
            .arg(timeout::option("Give up the copy if it takes longer"))
            .arg(args::name())
            .arg(args::operands("NAME NEWNAME", "The container, and the name of the copy"))
    },
    run: clone,
    notes: "\
Copies a stopped container with its files, configuration and hooks. The copy gets its own host
name and hardware addresses, and the paths of files beside the configuration become its own. On
file systems that can share blocks (btrfs, XFS) the copy takes no space until one of both changes.
With -S the copy is an overlay over the container's files, which must stay: the container cannot
be destroyed while it has such copies. Hooks of `lxc.hook.clone` run on the copy; if one fails,
nothing is left.

With -a a running container is copied as its files are at that moment; programs inside may find in
the copy what they find after a power failure.

Examples:
  wharf clone web web2                         copies all files
  wharf clone web web2 --snapshot              shares the files of web that it does not change
  wharf clone web web2 -s lxc.cgroup2.memory.max=512M",
};

pub(super) const RENAME: Subcommand = Subcommand {
    name: "rename",
    arguments: |command| {
        command
            .arg(args::name())
            .arg(args::operands("NAME NEWNAME", "The container, and its new name"))
    },
    run: rename,
    notes: "\
Gives a stopped container another name: its directory, the paths of that in its configuration, and
its host name, also in /etc/hostname. No file is copied. One with snapshots, or on whose files
others are based, is refused. If the command is killed in the middle, the next one completes it.

Example:
  wharf rename web web-old",
};

fn clone(invocation: &mut Invocation<'_>, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let (from, to) = two_names(matches)?;
    let snapshot = matches.get_flag("snapshot") || of_overlay(matches);
    let image = image(matches)?;
    if snapshot && image.is_some() {
        let words =
            "--snapshot makes the root an overlay, -B loop a disk image; only one can be used";
        return Err(Usage(words.into()).into());
    }
    backing(matches, &["dir", "best", "loop", "overlay", "overlayfs"])?;
    let into = matches.get_one::<PathBuf>("newpath").map(std::path::absolute).transpose()?;
    let copy = Copy {
        kind: if snapshot { CopyKind::Overlay } else { CopyKind::Full },
        image,
        settings: pairs(matches, "define")?,
        keeps_name: matches.get_flag("keepname"),
        keeps_addresses: matches.get_flag("keepmac"),
        while_running: matches.get_flag("allowrunning"),
        into,
        ..Copy::of(from.clone())
    };
    exists(&invocation.engine, Verb::Clone, &from)?;
    if !copy.while_running {
        invocation.permit(Verb::Clone, &from)?;
    }
    let created =
        watched(matches.get_flag(args::QUIET), timeout::patience(matches)?, |progress| {
            Ok(invocation.engine.copy(&to, &copy, progress)?)
        })?;
    told(invocation, matches, &to, &created)
}

fn rename(invocation: &mut Invocation<'_>, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let (old, new) = two_names(matches)?;
    exists(&invocation.engine, Verb::Rename, &old)?;
    invocation.permit(Verb::Rename, &old)?;
    let notes = invocation.engine.rename(&old, &new)?;
    if !matches.get_flag(args::QUIET) {
        for it in notes {
            writeln!(invocation.out, "{new}: {it}")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the container and the name that goes with it.
fn two_names(matches: &ArgMatches) -> anyhow::Result<(Name, Name)> {
    let (name, rest) = named(matches)?;
    let Some((other, rest)) = rest.split_first() else {
        return Err(Usage("a second name is needed: that of the result".into()).into());
    };
    no_more(rest)?;
    Ok((name, other.parse()?))
}

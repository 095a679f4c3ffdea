//! `create` and `destroy`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgMatches, value_parser};

use super::Subcommand;
use crate::cli::failure::Usage;
use crate::cli::invocation::{Invocation, named, no_more, pairs};
use crate::cli::watched::watched;
use crate::cli::{args, timeout};
use crate::engine::Name;
use crate::engine::create::{Copy, CopyKind, Create, Created, NewImage, Purpose, RootfsSource};

pub(super) const CREATE: Subcommand = Subcommand {
    name: "create",
    arguments: |command| {
        command
            .arg(
                args::value(
                    "config",
                    Some('f'),
                    "FILE",
                    "Configuration to start from, or a template",
                )
                .value_parser(value_parser!(PathBuf)),
            )
            .arg(args::flag("system", None, "Let its root boot a system with an init of its own"))
            .arg(args::value(
                "template",
                Some('t'),
                "TEMPLATE",
                "Program that fills the root directory, or `none`",
            ))
            .arg(args::value(
                "bdev",
                Some('B'),
                "TYPE",
                "How the root is stored: dir, loop, best or none; overlay for a copy",
            ))
            .args(args::disk_image())
            .arg(
                args::value(
                    "dir",
                    None,
                    "PATH",
                    "Existing directory or disk image to use as the root",
                )
                .value_parser(value_parser!(PathBuf)),
            )
            .arg(args::value(
                "from",
                None,
                "IMAGE",
                "Container to copy, or image or archive to unpack",
            ))
            .arg(args::value("tag", None, "TAG", "Which of the images in IMAGE"))
            .arg(args::flag("snapshot", Some('S'), "Keep only what differs from that container"))
            .arg(args::define())
            .arg(timeout::long_option("Give up if it takes longer"))
            .arg(args::name())
            .arg(args::operands("NAME [-- TEMPLATE-ARGS]", "The container's name"))
    },
    run: create,
    notes: "\
Without -t, --dir or --from the container shares the host's files, to read and to write,
and runs a shell below an init of wharf's own.
Without -f the configuration starts from /etc/lxc/default.conf, if there is one, with wharf's own
defaults for what it does not set. What wharf does not support yet is left out, and listed, and so
is a network interface whose bridge this host does not have.
-f also takes a template of wharf's, for the network: complex, empty-netns, macvlan, no-netns,
phys, veth or vlan, with links and addresses to be changed in the copy or by -s. A file of such a
name is given as ./macvlan.
--system gives a root with an init, such as systemd or busybox, what that needs: the capabilities of
LXC's common.conf, its own cgroups, terminals and /run. Root in such a container can do more.
--from unpacks a root of the container's own: from a tar archive of one (plain, or compressed by
gzip, xz or zstd), or from a container image, with its command, environment, user and directory: an
OCI layout in a directory or an archive, what `docker save` writes, or docker://NAME by skopeo.
--from NAME of a stopped container copies that: its configuration with hardware addresses and a name
of its own, and its files; with --snapshot, the root is an overlay over the files of the container,
which can then be destroyed only after the copy. A file of such a name is given as ./NAME. A disk
image is copied whole. The container's lxc.hook.clone completes the copy before it becomes visible.
-B loop puts the files of -t or --from into a disk image of their own, LXCPATH/NAME/rootdev, made by
mkfs.ext4; --fssize takes 512M or 2G, and MiB without a unit.
A creation that fails or is interrupted leaves nothing behind.

Examples:
  wharf create deb --system --dir /srv/debian  boots the system in /srv/debian
  wharf create db --from postgres.tar          unpacks what docker save wrote
  wharf create web2 --from web --snapshot      shares the files of web that it does not change
  wharf create net -f macvlan -s lxc.net.0.link=eno1
  wharf create web                             shares the host's files
  wharf create web --dir /srv/web              uses /srv/web as its root
  wharf create web -s lxc.rootfs.path=overlay:/srv/base:/srv/web
                                               keeps its changes to /srv/base in /srv/web
  wharf create web -t busybox                  runs LXC's template lxc-busybox
  wharf create web -s lxc.cgroup2.memory.max=512M",
};

fn create(invocation: &mut Invocation<'_>, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let (name, rest) = named(matches)?;
    if let Some(copy) = copy(invocation, matches)? {
        no_more(&rest)?;
        let created =
            watched(matches.get_flag(args::QUIET), timeout::patience(matches)?, |progress| {
                Ok(invocation.engine.copy(&name, &copy, progress)?)
            })?;
        return told(invocation, matches, &name, &created);
    }
    let create = Create {
        source: source(matches, rest)?,
        config: matches.get_one::<PathBuf>("config").cloned(),
        purpose: if matches.get_flag("system") { Purpose::System } else { Purpose::Application },
        settings: pairs(matches, "define")?,
        image: image(matches)?,
    };
    let created =
        watched(matches.get_flag(args::QUIET), timeout::patience(matches)?, |progress| {
            Ok(invocation.engine.create_watched(&name, &create, progress)?)
        })?;
    told(invocation, matches, &name, &created)
}

/// Prints what the operator did not ask for explicitly.
pub(super) fn told(
    invocation: &mut Invocation<'_>,
    matches: &ArgMatches,
    name: &Name,
    created: &Created,
) -> anyhow::Result<ExitCode> {
    if !matches.get_flag(args::QUIET) {
        for line in created.notes() {
            writeln!(invocation.out, "{name}: {line}")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns what to copy, if `--from` names a container.
fn copy(invocation: &Invocation<'_>, matches: &ArgMatches) -> anyhow::Result<Option<Copy>> {
    let snapshot = matches.get_flag("snapshot") || of_overlay(matches);
    let from = matches.get_one::<String>("from").and_then(|it| it.parse::<Name>().ok());
    let is_file = |it: &Name| Path::new(it.as_str()).exists();
    let lxcpath = invocation.engine.lxcpath();
    if let Some(from) = from.as_ref().filter(|it| !invocation.engine.is_defined(it) && !is_file(it))
    {
        let lxcpath = lxcpath.spelled();
        anyhow::bail!("--from {from} is neither a container in {} nor a file", lxcpath.display());
    }
    let Some(from) = from.filter(|it| invocation.engine.is_defined(it)) else {
        if snapshot {
            let words = "--snapshot and -B overlay need --from with the name of a container";
            return Err(Usage(words.into()).into());
        }
        return Ok(None);
    };
    for option in ["config", "template", "dir", "tag"] {
        if matches.contains_id(option) {
            let words =
                format!("--from {from} copies a container; --{option} cannot be used with it");
            return Err(Usage(words).into());
        }
    }
    if matches.get_flag("system") {
        let words = format!("--from {from} copies a container, whose configuration decides that");
        return Err(Usage(words).into());
    }
    let image = image(matches)?;
    if snapshot && image.is_some() {
        return Err(Usage(
            "--snapshot makes the root an overlay, -B loop a disk image; only one can be used"
                .into(),
        )
        .into());
    }
    backing(matches, &["dir", "best", "loop", "overlay", "overlayfs"])?;
    let kind = if snapshot { CopyKind::Overlay } else { CopyKind::Full };
    Ok(Some(Copy { kind, image, settings: pairs(matches, "define")?, ..Copy::of(from) }))
}

/// Returns the disk image that is to keep the root.
pub(super) fn image(matches: &ArgMatches) -> anyhow::Result<Option<NewImage>> {
    let text = |id| matches.get_one::<String>(id).map(String::as_str);
    let (fstype, size) = (text("fstype"), text("fssize"));
    if text("bdev") != Some("loop") {
        let mut given = [("--fstype", fstype), ("--fssize", size)].into_iter();
        return match given.find(|it| it.1.is_some()) {
            Some((option, _)) => Err(Usage(format!("{option} needs -B loop")).into()),
            None => Ok(None),
        };
    }
    NewImage::of(fstype, size).map(Some).map_err(|why| Usage(why).into())
}

/// Refuses what wharf cannot keep a root in.
pub(super) fn backing(matches: &ArgMatches, known: &[&str]) -> anyhow::Result<()> {
    let bdev = matches.get_one::<String>("bdev").map(String::as_str);
    if let Some(other) = bdev.filter(|it| !known.contains(it)) {
        anyhow::bail!(
            "backing store `{other}` is not supported; best, dir and loop are, and overlay for a \
             copy; --dir takes a disk image, a block device or a subvolume that is there"
        );
    }
    Ok(())
}

pub(super) fn of_overlay(matches: &ArgMatches) -> bool {
    matches.get_one::<String>("bdev").is_some_and(|it| it == "overlay" || it == "overlayfs")
}

/// Decides where the files come from, and refuses options that exclude each other.
fn source(matches: &ArgMatches, args: Vec<String>) -> anyhow::Result<RootfsSource> {
    let text = |id| matches.get_one::<String>(id).map(String::as_str);
    let bdev = text("bdev");
    backing(matches, &["dir", "none", "best", "loop"])?;
    let program = text("template").filter(|it| *it != "none");
    let tag = text("tag").map(str::to_owned);
    if let Some(from) = text("from") {
        no_more(&args)?;
        if program.is_some() || matches.get_one::<PathBuf>("dir").is_some() {
            return Err(Usage("--from cannot be used together with -t or --dir".into()).into());
        }
        if from.starts_with("docker://") && tag.is_some() {
            return Err(Usage(
                "the tag of an image in a registry follows its name: NAME:TAG".into(),
            )
            .into());
        }
        return Ok(RootfsSource::Image { from: from.to_owned(), tag });
    }
    if tag.is_some() {
        return Err(Usage("--tag chooses among the images of --from".into()).into());
    }
    if bdev == Some("loop") && program.is_none() {
        return Err(Usage(
            "-B loop needs files for the image: -t TEMPLATE or --from; an image that is there is \
             given by --dir"
                .into(),
        )
        .into());
    }
    match (program, matches.get_one::<PathBuf>("dir")) {
        (Some(_), Some(_)) => {
            Err(Usage("-t TEMPLATE and --dir PATH cannot be used together yet".into()).into())
        }
        (Some(_), None) if bdev == Some("none") => {
            Err(Usage("-B none leaves no root for -t TEMPLATE to fill".into()).into())
        }
        (Some(program), None) => Ok(RootfsSource::Template { program: program.to_owned(), args }),
        (None, Some(dir)) => {
            no_more(&args)?;
            Ok(RootfsSource::Directory(std::path::absolute(dir)?))
        }
        (None, None) => {
            no_more(&args)?;
            Ok(RootfsSource::Host)
        }
    }
}

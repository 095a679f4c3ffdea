//! What the process does that an ordinary user's command has become root of his containers' users:
//! see `engine::host::mapped`.

use std::os::unix::fs::chown;
use std::path::Path;
use std::time::Duration;

use super::create::{self, ROOTFS, template};
use crate::engine::entry::script;
use crate::engine::host::Host;
use crate::engine::host::lxcpath::Lxcpath;
use crate::engine::host::mapped::{self, MappedDone, MappedJob, MappedUser, Removes};
use crate::engine::image::{self, Image, ImageError, hostname};
use crate::engine::store::{Store, remove_dir, take_away, trash};
use crate::engine::terms::error::words;
use crate::engine::terms::name::Name;
use crate::engine::terms::progress::Progress;

/// Does it and answers, as the hidden verb [`mapped::MAPPED`].
pub fn serve(host: &Host) {
    let entered = mapped::enter().map_err(|error| words(&error));
    let done = entered.and_then(|(job, user)| perform(host, job, user));
    // Whoever asked sees that there is no answer.
    _ = mapped::answer(&done);
}

fn perform(host: &Host, job: MappedJob, user: MappedUser) -> Result<MappedDone, String> {
    let progress = Progress::default();
    match job {
        MappedJob::Remove { lxcpath, name, removes } => {
            let lxcpath = Lxcpath::open(host, &lxcpath);
            let removed = match removes {
                Removes::Draft => remove_dir(&lxcpath, &name),
                Removes::Container => {
                    let name: Name =
                        name.parse().map_err(|_bad| "not a name of a container".to_owned())?;
                    take_away(&Store::new(&lxcpath), &name)
                }
            };
            removed.map(|()| MappedDone::default()).map_err(|error| error.to_string())
        }
        MappedJob::Move { from, to } => {
            let moved = trash::rename(&from, &to);
            moved.map(|()| MappedDone::default()).map_err(|errno| errno.desc().to_owned())
        }
        MappedJob::Unpack { from, tag, root, spare } => {
            owned_by_root(&root)?;
            let image = Image { path: &from, tag: tag.as_deref(), spare: &spare };
            let done = image::unpack(image, &root, &progress).map_err(|error| told(&error))?;
            Ok(MappedDone { settings: done.settings, notes: done.notes })
        }
        MappedJob::Copy { from, to, name } => {
            owned_by_root(&to)?;
            image::copy(&from, &to, &progress).map_err(|error| told(&error))?;
            let renamed = name.map_or(Ok(false), |it| hostname::rename(&to, &it));
            renamed.map(|_| MappedDone::default()).map_err(|error| words(&error))
        }
        MappedJob::Lay(overlay) => {
            let laid = create::lay(&overlay, &progress);
            laid.map(|()| MappedDone::default()).map_err(|error| error.to_string())
        }
        MappedJob::Hostname { root, name } => {
            let renamed = hostname::rename(&root, &name);
            renamed.map(|_| MappedDone::default()).map_err(|error| words(&error))
        }
        MappedJob::Fill { program, dir, name, mut args } => {
            owned_by_root(&dir.join(ROOTFS))?;
            let name: Name = name.parse().map_err(|_bad| "not a name of a container".to_owned())?;
            // By which templates give the user what is beside the root, as LXC tells them.
            let numbers = [("--mapped-uid", user.uid), ("--mapped-gid", user.gid)];
            args.extend(numbers.iter().flat_map(|(word, it)| [(*word).to_owned(), it.to_string()]));
            mapped::heed_cancellation(&progress);
            let filled = template::run(&program, &name, &dir, &args, &progress);
            filled.map(|()| MappedDone::default()).map_err(|error| error.to_string())
        }
        MappedJob::Run { line, environment, seconds } => {
            mapped::heed_cancellation(&progress);
            let patience = Duration::from_secs(seconds);
            let ran = script::run_line(&line, &environment, patience, &progress);
            ran.map(|()| MappedDone::default()).map_err(|error| words(&error))
        }
    }
}

fn owned_by_root(dir: &Path) -> Result<(), String> {
    chown(dir, Some(0), Some(0)).map_err(|error| format!("{}: {}", dir.display(), words(&error)))
}

/// An id that is not mapped is an invalid argument for the kernel.
fn told(error: &ImageError) -> String {
    let unmapped = match error {
        ImageError::Write { source, .. } => source.raw_os_error() == Some(libc::EINVAL),
        ImageError::Read { .. }
        | ImageError::Entry { .. }
        | ImageError::Layout { .. }
        | ImageError::Digest { .. }
        | ImageError::Skopeo(_)
        | ImageError::Cancelled => false,
    };
    if unmapped {
        format!("{error}; its owner is not one that lxc.idmap maps")
    } else {
        error.to_string()
    }
}

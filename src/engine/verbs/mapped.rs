//! What the process does that an ordinary user's command has become root of his containers' users:
//! see `engine::host::mapped`.

use std::os::unix::fs::chown;
use std::path::Path;

use crate::engine::host::Host;
use crate::engine::host::lxcpath::Lxcpath;
use crate::engine::host::mapped::{self, MappedDone, MappedJob, Removes};
use crate::engine::image::{self, Image, ImageError, hostname};
use crate::engine::store::{Store, remove_dir, take_away};
use crate::engine::terms::error::words;
use crate::engine::terms::name::Name;
use crate::engine::terms::progress::Progress;

/// Does it and answers, as the hidden verb [`mapped::MAPPED`].
pub fn serve(host: &Host) {
    let done = mapped::enter().map_err(|error| words(&error)).and_then(|it| perform(host, it));
    // Whoever asked sees that there is no answer.
    _ = mapped::answer(&done);
}

fn perform(host: &Host, job: MappedJob) -> Result<MappedDone, String> {
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
        MappedJob::Unpack { from, tag, root, spare } => {
            owned_by_root(&root)?;
            let image = Image { path: &from, tag: tag.as_deref(), spare: &spare };
            let done = image::unpack(image, &root, &progress).map_err(|error| told(&error))?;
            Ok(MappedDone { settings: done.settings, notes: done.notes })
        }
        MappedJob::Copy { from, to, name } => {
            owned_by_root(&to)?;
            image::copy(&from, &to, &progress).map_err(|error| told(&error))?;
            let renamed = hostname::rename(&to, &name);
            renamed.map(|_| MappedDone::default()).map_err(|error| words(&error))
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

//! Images: archives of a root, OCI layouts and what `docker save` writes, unpacked into a new root.
//! Whatever an image contains, nothing outside of that root is touched.

mod command;
mod copy;
mod environment;
mod flow;
pub(in crate::engine) mod hostname;
mod layer;
mod oci;
mod root;

use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::engine::terms::error::words;
use crate::engine::terms::progress::Progress;
use crate::engine::terms::shown::{shown, shown_bytes};
pub(in crate::engine) use copy::{copy, copy_file};
use oci::ImageLayout;
use root::NewRoot;

/// Why an image was not unpacked.
#[derive(Debug, thiserror::Error)]
pub(in crate::engine) enum ImageError {
    #[error("{}: {}", shown_path(path), shown(&words(source)))]
    Read { path: PathBuf, source: io::Error },
    #[error("write {}: {}", shown_path(path), shown(&words(source)))]
    Write { path: PathBuf, source: io::Error },
    #[error("{entry} in the image {fault}")]
    Entry { entry: String, fault: EntryFault },
    #[error("{}: {}", shown_path(path), shown(fault))]
    Layout { path: PathBuf, fault: String },
    #[error("{name} is damaged: its digest is {found}")]
    Digest { name: String, found: String },
    #[error("{0}")]
    Skopeo(String),
    #[error("cancelled; nothing is left")]
    Cancelled,
}

/// What is wrong with a part of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::engine) enum EntryFault {
    #[error("leads out of it by ..")]
    Leaves,
    #[error("contains a NUL byte")]
    Nul,
    #[error("is longer than a path can be")]
    TooLong,
    #[error("has no name")]
    NoName,
    #[error("is a hard link to nothing")]
    NoTarget,
    #[error("lies in something that is not a directory")]
    NotDirectory,
    #[error("is a sparse file of more than {} GiB", layer::MAX_SPARSE >> 30)]
    TooSparse,
    #[error("is a sparse file in the format of pax; archive it with tar --format=gnu")]
    PaxSparse,
    #[error(
        "is one of too many directories or removals in a layer, or of too many files of a layout"
    )]
    TooMany,
    #[error("lies too deep")]
    TooDeep,
    #[error("is malformed")]
    Malformed,
}

/// An image chooses the names of its parts, as what is quoted from it.
fn shown_path(path: &Path) -> String {
    shown_bytes(path.as_os_str().as_bytes())
}

impl ImageError {
    fn entry(path: &[u8], fault: EntryFault) -> Self {
        Self::Entry { entry: shown_bytes(path), fault }
    }
}

/// What came with the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct Unpacked {
    /// The image's command, environment, user and directory, as settings.
    pub(in crate::engine) settings: Vec<(String, String)>,
    /// What else the operator should know.
    pub(in crate::engine) notes: Vec<String>,
}

/// An image to unpack.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Image<'a> {
    pub(in crate::engine) path: &'a Path,
    /// Which image, where there are several.
    pub(in crate::engine) tag: Option<&'a str>,
    /// An empty directory for what has to be kept meanwhile.
    pub(in crate::engine) spare: &'a Path,
}

/// Unpacks `image` into the empty directory `root`.
pub(in crate::engine) fn unpack(
    image: Image<'_>,
    root: &Path,
    progress: &Progress,
) -> Result<Unpacked, ImageError> {
    let root = NewRoot::open(root)?;
    let done = match ImageLayout::open(image, progress)? {
        Some(layout) => layout.unpack(image.tag, &root, progress),
        None => unpack_archive(image.path, &root, progress),
    };
    match done {
        Err(_) if progress.is_cancelled() => Err(ImageError::Cancelled),
        done => done,
    }
}

fn unpack_archive(
    path: &Path,
    root: &NewRoot,
    progress: &Progress,
) -> Result<Unpacked, ImageError> {
    let failed = |source| ImageError::Read { path: path.to_path_buf(), source };
    let file = std::fs::File::open(path).map_err(failed)?;
    progress.begin("unpacking", file.metadata().map_err(failed)?.len());
    let stream = flow::plain(Box::new(flow::Counted::new(file, progress))).map_err(failed)?;
    let mut writer = layer::Writer::new(root, path, progress);
    layer::walk(stream, path, &mut |entry| writer.put(entry))?;
    let notes = writer.finish()?;
    Ok(Unpacked { settings: Vec::new(), notes })
}

/// Fetches what `reference` names from a registry into the directory `to`, by skopeo.
pub(in crate::engine) fn fetch(
    reference: &str,
    to: &Path,
    progress: &Progress,
) -> Result<(), ImageError> {
    command::fetch(reference, to, progress)
}

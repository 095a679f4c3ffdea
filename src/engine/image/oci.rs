//! Image layouts: those of OCI, and what `docker save` writes, in a directory or an archive. Every
//! digest is checked before anything is written.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::command::{self, ImageConfig};
use super::flow::{self, Counted, Hashed, Stream};
use super::layer::{self, Failing, Whiteout, Writer, walk};
use super::root::{NewRoot, parts};
use super::{Image, ImageError, Unpacked};
use crate::engine::terms::progress::Progress;
use crate::engine::terms::shown::shown;

/// Longest manifest or configuration that is read.
const MAX_JSON: u64 = 4 << 20;
/// An index may list others; more than this is a circle.
const MAX_DEPTH: usize = 4;
/// The annotation with an image's tag.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
const INDEX: &str = "index.json";
const LAYOUT: &str = "oci-layout";
const DOCKER: &str = "manifest.json";

/// A member of an archive, by its place in it.
#[derive(Clone, Debug)]
enum ArchiveMember {
    Bytes {
        at: u64,
        length: u64,
    },
    /// Another name of a member.
    Link(String),
}

/// Where the parts of an image are.
#[derive(Debug)]
enum Pieces {
    Directory(PathBuf),
    Archive { file: File, members: BTreeMap<String, ArchiveMember> },
}

/// An image layout.
#[derive(Debug)]
pub(super) struct ImageLayout {
    path: PathBuf,
    parts: Pieces,
}

#[derive(Clone, Debug, Deserialize)]
struct Descriptor {
    digest: String,
    #[serde(default, rename = "mediaType")]
    media_type: String,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    platform: Option<Platform>,
}

#[derive(Clone, Debug, Deserialize)]
struct Platform {
    os: String,
    architecture: String,
}

#[derive(Debug, Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Debug, Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct ImageFile {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    config: ImageConfig,
    rootfs: ImageFiles,
}

#[derive(Debug, Deserialize)]
struct ImageFiles {
    #[serde(default)]
    diff_ids: Vec<String>,
}

/// The parts of one image.
struct ChosenImage {
    config: Vec<u8>,
    /// Each with its digest, where the image names it.
    layers: Vec<(String, Option<String>)>,
}

impl ImageLayout {
    /// Opens `image`; none: it is an archive of a root.
    pub(super) fn open(image: Image<'_>, progress: &Progress) -> Result<Option<Self>, ImageError> {
        let path = image.path;
        let failed = |source| ImageError::Read { path: path.to_path_buf(), source };
        if std::fs::metadata(path).map_err(failed)?.is_dir() {
            let layout =
                Self { path: path.to_path_buf(), parts: Pieces::Directory(path.to_path_buf()) };
            let is_layout = [INDEX, DOCKER].iter().any(|it| path.join(it).is_file());
            let fault =
                "is neither an image layout nor an archive; `--dir` uses a directory as it is";
            return if is_layout { Ok(Some(layout)) } else { Err(layout.fault(fault)) };
        }
        let mut file = File::open(path).map_err(failed)?;
        let mut head = [0; 6];
        _ = file.read(&mut head).map_err(failed)?;
        file.rewind().map_err(failed)?;
        if !holds_layout(path, progress)? {
            return Ok(None);
        }
        if flow::is_compressed(&head) {
            file = decompressed(image, progress)?;
        }
        let members = members(&file, path)?;
        let is_layout = [INDEX, DOCKER].iter().any(|it| members.contains_key(*it));
        let parts = Pieces::Archive { file, members };
        Ok(is_layout.then(|| Self { path: path.to_path_buf(), parts }))
    }

    /// Unpacks the image that `tag` names, or the only one, into `root`.
    pub(super) fn unpack(
        &self,
        tag: Option<&str>,
        root: &NewRoot,
        progress: &Progress,
    ) -> Result<Unpacked, ImageError> {
        let chosen = if self.has(LAYOUT) && self.has(INDEX) {
            self.of_index(tag)?
        } else {
            self.of_docker(tag)?
        };
        let whole: ImageFile = self.json("its configuration", &chosen.config)?;
        if !["", "linux"].contains(&whole.os.as_str()) {
            return Err(self.fault(&format!("is an image for {}", shown(&whole.os))));
        }
        if whole.rootfs.diff_ids.len() != chosen.layers.len() {
            return Err(self.fault("does not have the layers that its configuration lists"));
        }
        let mut removed = Vec::new();
        for (layer, diff) in chosen.layers.iter().zip(&whole.rootfs.diff_ids) {
            removed.push(self.check(layer, diff, progress)?);
        }
        let mut writer = Writer::new(root, &self.path, progress);
        writer.layered = true;
        let checked = chosen.layers.iter().zip(&whole.rootfs.diff_ids).zip(&removed);
        for (((name, _), diff), whiteouts) in checked {
            layer::remove(root, whiteouts)?;
            let (stream, length) = self.part(name)?;
            progress.begin("unpacking", length);
            let stream = self.plain(Box::new(Counted::new(stream, progress)))?;
            let found = walk(stream, &self.path, &mut |entry| writer.put(entry))?;
            // Another user may own the files, and have changed them since they were checked.
            demand(name, diff, found)?;
            writer.finish_layer()?;
        }
        let mut notes = writer.finish()?;
        let machine = machine();
        if !whole.architecture.is_empty() && whole.architecture != machine {
            let theirs = shown(&whole.architecture).into_owned();
            notes.push(format!("it is an image for {theirs}, and this machine is {machine}"));
        }
        let settings = command::settings(&whole.config, root, &mut notes)
            .map_err(|fault| self.fault(&fault))?;
        Ok(Unpacked { settings, notes })
    }

    /// Checks a layer whole, and returns what it removes.
    fn check(
        &self,
        (name, digest): &(String, Option<String>),
        diff: &str,
        progress: &Progress,
    ) -> Result<Vec<Whiteout>, ImageError> {
        let failed = |source| ImageError::Read { path: self.path.clone(), source };
        let (stream, length) = self.part(name)?;
        progress.begin("checking", length);
        if let Some(digest) = digest {
            let mut hashed = Hashed::new(Counted::new(stream, progress));
            io::copy(&mut hashed, &mut io::sink()).map_err(failed)?;
            demand(name, digest, hashed.digest())?;
        }
        let (stream, length) = self.part(name)?;
        progress.begin("checking", length);
        let stream = self.plain(Box::new(Counted::new(stream, progress)))?;
        let (mut whiteouts, mut remembered) = (Vec::new(), 0);
        let found = walk(stream, &self.path, &mut |entry| {
            let path = entry.path_bytes();
            let blame = |fault| ImageError::entry(&path, fault);
            parts(&path).map_err(blame)?;
            let Some(whiteout) = layer::whiteout(&path).map_err(blame)? else { return Ok(()) };
            layer::remember(&mut remembered, &path)?;
            whiteouts.push(whiteout);
            Ok(())
        })?;
        demand(name, diff, found)?;
        Ok(whiteouts)
    }

    fn plain(&self, stream: Stream) -> Result<Stream, ImageError> {
        flow::plain(stream).map_err(|source| ImageError::Read { path: self.path.clone(), source })
    }

    fn fault(&self, fault: &str) -> ImageError {
        ImageError::Layout { path: self.path.clone(), fault: fault.to_owned() }
    }

    fn json<'a, T: Deserialize<'a>>(&self, what: &str, bytes: &'a [u8]) -> Result<T, ImageError> {
        serde_json::from_slice(bytes).map_err(|error| {
            self.fault(&format!("{what} is not valid: {}", shown(&error.to_string())))
        })
    }

    /// Chooses the manifest in an index, and in those that it lists.
    fn of_index(&self, tag: Option<&str>) -> Result<ChosenImage, ImageError> {
        let mut index: Index = self.json(INDEX, &self.small(INDEX)?)?;
        let mut tag = tag;
        for _ in 0..MAX_DEPTH {
            let chosen = self.choose(index.manifests, tag)?;
            let bytes = self.blob(&chosen)?;
            if chosen.media_type.contains("index") || chosen.media_type.contains("manifest.list") {
                index = self.json("an index", &bytes)?;
                tag = None;
                continue;
            }
            let manifest: Manifest = self.json("its manifest", &bytes)?;
            let config = self.blob(&manifest.config)?;
            let layers = manifest.layers.iter().map(|it| {
                let path = self.blob_path(&it.digest)?;
                Ok((path, Some(it.digest.clone())))
            });
            return Ok(ChosenImage { config, layers: layers.collect::<Result<_, ImageError>>()? });
        }
        Err(self.fault("its index lists indexes without end"))
    }

    fn choose(
        &self,
        manifests: Vec<Descriptor>,
        tag: Option<&str>,
    ) -> Result<Descriptor, ImageError> {
        let names: Vec<String> = manifests
            .iter()
            .filter_map(|it| it.annotations.get(REF_NAME).map(|it| shown(it).into_owned()))
            .collect();
        let fits = |it: &Descriptor| match &it.platform {
            Some(platform) => platform.os == "linux" && platform.architecture == machine(),
            None => true,
        };
        let is_tagged = |it: &Descriptor| {
            let name = it.annotations.get(REF_NAME);
            tag.is_none_or(|tag| {
                name.is_some_and(|it| it == tag || it.ends_with(&format!(":{tag}")))
            })
        };
        let count = manifests.len();
        let mut fitting = manifests.into_iter().filter(|it| fits(it) && is_tagged(it));
        match (fitting.next(), fitting.next()) {
            (Some(one), None) => Ok(one),
            (Some(_), Some(_)) => Err(self.fault(&format!(
                "contains several images; choose one with --tag: {}",
                names.join(", ")
            ))),
            (None, _) if tag.is_some() => Err(self.fault(&format!(
                "contains no image of that tag for {}; it has {}",
                machine(),
                names.join(", ")
            ))),
            (None, _) => {
                Err(self.fault(&format!("none of its {count} images is for {}", machine())))
            }
        }
    }

    fn of_docker(&self, tag: Option<&str>) -> Result<ChosenImage, ImageError> {
        let saved: Vec<Saved> = self.json(DOCKER, &self.small(DOCKER)?)?;
        let tags_of = |it: &Saved| it.repo_tags.clone().unwrap_or_default();
        let names: Vec<String> =
            saved.iter().flat_map(tags_of).map(|it| shown(&it).into_owned()).collect();
        let is_tagged = |it: &Saved| {
            tag.is_none_or(|tag| {
                tags_of(it).iter().any(|it| it == tag || it.ends_with(&format!(":{tag}")))
            })
        };
        let mut fitting = saved.into_iter().filter(is_tagged);
        let (Some(saved), None) = (fitting.next(), fitting.next()) else {
            return Err(self.fault(&format!("choose an image with --tag: {}", names.join(", "))));
        };
        let config = self.small(&saved.config)?;
        let name = saved.config.rsplit('/').next().unwrap_or_default();
        let hex = name.trim_end_matches(".json");
        if is_hex(hex) {
            demand("its configuration", &format!("sha256:{hex}"), digest_of(&config)?)?;
        }
        Ok(ChosenImage { config, layers: saved.layers.into_iter().map(|it| (it, None)).collect() })
    }

    /// Reads a part that a digest names, and checks it.
    fn blob(&self, it: &Descriptor) -> Result<Vec<u8>, ImageError> {
        let bytes = self.small(&self.blob_path(&it.digest)?)?;
        demand("a manifest", &it.digest, digest_of(&bytes)?)?;
        Ok(bytes)
    }

    fn blob_path(&self, digest: &str) -> Result<String, ImageError> {
        match digest.split_once(':') {
            Some(("sha256", hex)) if is_hex(hex) => Ok(format!("blobs/sha256/{hex}")),
            _ => Err(self.fault(&format!("{} is not a SHA-256 digest", shown(digest)))),
        }
    }

    fn has(&self, name: &str) -> bool {
        match &self.parts {
            Pieces::Directory(path) => path.join(name).is_file(),
            Pieces::Archive { members, .. } => members.contains_key(name),
        }
    }

    fn small(&self, name: &str) -> Result<Vec<u8>, ImageError> {
        let (stream, _) = self.part(name)?;
        let mut bytes = Vec::new();
        let read = stream.take(MAX_JSON + 1).read_to_end(&mut bytes);
        read.map_err(|source| ImageError::Read { path: self.path.clone(), source })?;
        let fits = bytes.len() as u64 <= MAX_JSON;
        if fits { Ok(bytes) } else { Err(self.fault(&format!("{} is too long", shown(name)))) }
    }

    /// Opens a part of the image, and returns its length.
    fn part(&self, name: &str) -> Result<(Stream, u64), ImageError> {
        let failed = |source| ImageError::Read { path: self.path.clone(), source };
        match &self.parts {
            Pieces::Directory(path) => {
                let below = parts(name.as_bytes())
                    .map_err(|fault| ImageError::entry(name.as_bytes(), fault))?;
                let below: PathBuf =
                    below.iter().map(|it| it.to_string_lossy().into_owned()).collect();
                let path = path.join(below);
                let failed = |source| ImageError::Read { path: path.clone(), source };
                let file = command::open_regular(&path).map_err(failed)?;
                let length = file.metadata().map_err(failed)?.len();
                Ok((Box::new(file), length))
            }
            Pieces::Archive { file, members } => {
                let mut found = members.get(name);
                if let Some(ArchiveMember::Link(to)) = found {
                    found = members.get(to);
                }
                let Some(ArchiveMember::Bytes { at, length }) = found else {
                    return Err(self.fault(&format!("lacks {}", shown(name))));
                };
                let file = file.try_clone().map_err(failed)?;
                let slice = Slice { file, at: *at, left: *length };
                Ok((Box::new(slice), *length))
            }
        }
    }
}

/// A part of a file, which others read as well.
struct Slice {
    file: File,
    at: u64,
    left: u64,
}

impl Read for Slice {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        use std::os::unix::fs::FileExt as _;
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read_at(buffer.get_mut(..room).unwrap_or_default(), self.at)?;
        self.at += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

/// Returns whether the archive's first entries are those of a layout, not of a root.
fn holds_layout(path: &Path, progress: &Progress) -> Result<bool, ImageError> {
    let failed = |source| ImageError::Read { path: path.to_path_buf(), source };
    let file = File::open(path).map_err(failed)?;
    progress.begin("reading", file.metadata().map_err(failed)?.len());
    let stream = flow::plain(Box::new(Counted::new(file, progress))).map_err(failed)?;
    let mut archive = tar::Archive::new(stream.take(MAX_JSON));
    let mut tops = archive.entries().map_err(failed)?.map(|entry| {
        let path = entry?.path_bytes().into_owned();
        let mut words = path.split(|it| *it == b'/').filter(|it| !it.is_empty() && *it != b".");
        io::Result::Ok(words.next().map(|it| String::from_utf8_lossy(it).into_owned()))
    });
    // The first may be the directory itself.
    let Some(first) = tops.find(|it| !matches!(it, Ok(None))) else {
        let fault = "is neither an archive nor an image layout".to_owned();
        return Err(ImageError::Layout { path: path.to_path_buf(), fault });
    };
    let top = first.map_err(failed)?.unwrap_or_default();
    let stem = top.split('.').next().unwrap_or_default();
    let known = [INDEX, DOCKER, LAYOUT, "blobs", "repositories"];
    Ok(known.contains(&top.as_str()) || is_hex(stem))
}

/// Decompresses an archive into a file without a name.
fn decompressed(image: Image<'_>, progress: &Progress) -> Result<File, ImageError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let read = |source| ImageError::Read { path: image.path.to_path_buf(), source };
    let write = |source| ImageError::Write { path: image.spare.to_path_buf(), source };
    let source = File::open(image.path).map_err(read)?;
    progress.begin("decompressing", source.metadata().map_err(read)?.len());
    let mut stream = flow::plain(Box::new(Counted::new(source, progress))).map_err(read)?;
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true).mode(0o600).custom_flags(libc::O_TMPFILE);
    let mut file = options.open(image.spare).map_err(write)?;
    let mut writing = Failing::new(&mut file, progress);
    if let Err(source) = io::copy(&mut stream, &mut writing) {
        return Err(if writing.failed { write(source) } else { read(source) });
    }
    file.seek(SeekFrom::Start(0)).map_err(write)?;
    Ok(file)
}

/// Lists the members of an archive that is not compressed.
fn members(file: &File, path: &Path) -> Result<BTreeMap<String, ArchiveMember>, ImageError> {
    let failed = |source| ImageError::Read { path: path.to_path_buf(), source };
    let stream: Stream =
        Box::new(Slice { file: file.try_clone().map_err(failed)?, at: 0, left: u64::MAX });
    let (mut members, mut remembered) = (BTreeMap::new(), 0);
    walk(stream, path, &mut |entry| {
        let path = entry.path_bytes().into_owned();
        layer::remember(&mut remembered, &path)?;
        let parts = parts(&path).map_err(|fault| ImageError::entry(&path, fault))?;
        let name = joined(&parts);
        let kind = entry.header().entry_type();
        if kind.is_file() {
            let (at, length) = (entry.raw_file_position(), entry.size());
            members.insert(name, ArchiveMember::Bytes { at, length });
        } else if kind.is_symlink() || kind.is_hard_link() {
            // Older ones say so that a layer is the same as another.
            let to = entry.link_name_bytes().unwrap_or_default().into_owned();
            let to = String::from_utf8_lossy(&to).trim_start_matches("../").to_owned();
            members.insert(name, ArchiveMember::Link(to));
        }
        Ok(())
    })?;
    Ok(members)
}

fn joined(parts: &[std::ffi::CString]) -> String {
    let parts: Vec<String> = parts.iter().map(|it| it.to_string_lossy().into_owned()).collect();
    parts.join("/")
}

fn is_hex(text: &str) -> bool {
    const DIGITS: usize = 64;
    text.len() == DIGITS && text.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'))
}

fn digest_of(bytes: &[u8]) -> Result<String, ImageError> {
    let mut hashed = Hashed::new(bytes);
    let read = io::copy(&mut hashed, &mut io::sink());
    read.map_err(|source| ImageError::Read { path: PathBuf::new(), source })?;
    Ok(hashed.digest())
}

fn demand(name: &str, expected: &str, found: String) -> Result<(), ImageError> {
    if expected == found {
        return Ok(());
    }
    Err(ImageError::Digest { name: shown(name).into_owned(), found })
}

/// This machine, as images name it.
const fn machine() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

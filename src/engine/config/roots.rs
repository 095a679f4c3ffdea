//! `lxc.rootfs.*`: where the container's files are, and how they are mounted.

use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use super::error::{ConfigError, Reason};
use super::mounts;
use super::settings::{ConfigSettings, Setting, blame};
use crate::engine::terms::hook::Moment;
use crate::engine::terms::rootfs::{Rootfs, Stage, Storage, StorageError};
use crate::engine::terms::spec::At;

pub(super) const PATH: &str = "lxc.rootfs.path";
/// The type by its earlier key.
pub(super) const BACKEND: &str = "lxc.rootfs.backend";
/// A value of that key which leaves the choice to LXC.
pub(super) const BEST: &str = "best";
/// Where a root is mounted until it becomes `/`, below the runtime directory.
const STAGE: &str = "root";

/// Splits `type:path`; none: there is no type. Only a word can be a type, so that a plain path may
/// hold a colon.
pub(super) fn split(value: &str) -> (Option<&str>, &str) {
    match value.split_once(':') {
        Some((kind, path)) if !kind.contains('/') => (Some(kind), path),
        _ => (None, value),
    }
}

/// Returns the directory that a value of `lxc.rootfs.path` names; none: it names something else.
pub(in crate::engine) fn root_directory(value: &str) -> Option<PathBuf> {
    let (kind, path) = split(value.trim());
    let directory = matches!(kind, None | Some("dir" | "btrfs")) && path.starts_with('/');
    directory.then(|| path.into())
}

/// Returns what the path names, as far as its text says it: without a type, a directory.
pub(super) fn storage(settings: &ConfigSettings) -> Option<Storage> {
    let entry = settings.last(PATH)?;
    typed(settings, entry)
        .unwrap_or_else(|| Ok(Storage::Directory(entry.value.as_str().into())))
        .ok()
}

/// Returns the value as people read it.
pub(super) fn written(settings: &ConfigSettings) -> Option<&str> {
    settings.last(PATH).map(|it| it.value.as_str())
}

fn typed(settings: &ConfigSettings, entry: &Setting) -> Option<Result<Storage, StorageError>> {
    let (kind, path) = split(&entry.value);
    let older = settings.last(BACKEND).map(|it| it.value.as_str()).filter(|it| *it != BEST);
    Some(Storage::of_type(kind.or(older)?, path))
}

/// Returns why the value cannot be used, whatever is on the host.
pub(super) fn refused(settings: &ConfigSettings) -> Option<ConfigError> {
    let entry = settings.last(PATH)?;
    let reason = match typed(settings, entry)?.err()? {
        StorageError::Type => Reason::Expected(
            "a path, alone or after dir:, btrfs:, overlay:, overlayfs:, loop:, lvm: or zfs:",
        ),
        StorageError::Absolute => Reason::Expected("an absolute path after the type"),
        StorageError::Layers => {
            Reason::Expected("overlay:LOWER:UPPER, or overlay:LOWER:LOWER:UPPER, of absolute paths")
        }
        StorageError::Dataset => Reason::Expected("the name of a dataset, such as zfs:tank/web"),
        StorageError::Attach(how) => Reason::Storage(how),
    };
    Some(blame(entry, reason))
}

/// Returns the root to start with; none is the host's.
pub(super) fn rootfs(settings: &ConfigSettings) -> Result<Option<At<Rootfs>>, ConfigError> {
    let Some(entry) = settings.last(PATH) else { return Ok(None) };
    let Some(storage) = found(settings, entry)? else { return Ok(None) };
    let stage = match (&storage, settings.last("lxc.rootfs.mount")) {
        (Storage::Directory(_), _) => Stage::Itself,
        (_, Some(configured)) if Path::new(&configured.value).is_dir() => {
            Stage::Configured(configured.value.as_str().into())
        }
        (_, Some(configured)) => return Err(blame(configured, Reason::NotDirectory)),
        (_, None) => Stage::Ours(STAGE.into()),
    };
    let data = match settings.last("lxc.rootfs.options") {
        Some(it) => mounts::alone(&it.value).map_err(|reason| blame(it, reason))?.data,
        None => String::new(),
    };
    let value = Rootfs { written: entry.value.clone(), storage, data, stage };
    Ok(Some(At { value, place: entry.place.clone() }))
}

/// Checks that what the path names is there. Hooks that run before it is needed may still make it.
fn found(settings: &ConfigSettings, entry: &Setting) -> Result<Option<Storage>, ConfigError> {
    let Some(storage) = typed(settings, entry).and_then(Result::ok) else {
        return untyped(settings, entry);
    };
    let (paths, is_right, wrong): (Vec<&Path>, fn(&std::fs::FileType) -> bool, Reason) =
        match &storage {
            Storage::Directory(path) => (vec![path], |it| it.is_dir(), Reason::NotDirectory),
            Storage::Overlay(layers) => {
                let lower = layers.lower.iter().map(AsRef::as_ref).collect();
                (lower, |it| it.is_dir(), Reason::Storage("a lower one is not a directory"))
            }
            Storage::Image(path) => (vec![path], |it| it.is_file(), Reason::NotRegular),
            Storage::Device(path) => {
                (vec![path], |it| it.is_block_device(), Reason::Storage("not a block device"))
            }
            Storage::Dataset(_) => return Ok(Some(storage)),
        };
    for path in paths {
        match std::fs::metadata(path) {
            Err(error) if is_to_come(settings, &error) => (),
            Err(error) => return Err(blame(entry, missing(path, &storage, error))),
            Ok(meta) if is_right(&meta.file_type()) => (),
            Ok(_) => return Err(blame(entry, wrong)),
        }
    }
    let is_hosts = storage.directory() == Some(Path::new("/"));
    // Without its own root, a container shares the host's.
    Ok((!is_hosts).then_some(storage))
}

/// Of several paths, the one that is missing is named.
fn missing(path: &Path, storage: &Storage, source: std::io::Error) -> Reason {
    match storage {
        Storage::Overlay(_) => Reason::Missing { path: path.to_path_buf(), source },
        Storage::Directory(_) | Storage::Image(_) | Storage::Device(_) | Storage::Dataset(_) => {
            Reason::Io(source)
        }
    }
}

/// A path without a type is what it leads to, as with LXC.
fn untyped(settings: &ConfigSettings, entry: &Setting) -> Result<Option<Storage>, ConfigError> {
    let path = Path::new(&entry.value);
    if !path.is_absolute() {
        return Err(blame(entry, Reason::Expected("an absolute path")));
    }
    let path = path.to_path_buf();
    let storage = match std::fs::metadata(&path) {
        Ok(meta) if meta.is_file() => Storage::Image(path),
        Ok(meta) if meta.file_type().is_block_device() => Storage::Device(path),
        Ok(meta) if !meta.is_dir() => return Err(blame(entry, Reason::NotDirectory)),
        Err(error) if !is_to_come(settings, &error) => {
            return Err(blame(entry, Reason::Io(error)));
        }
        Ok(_) if path == Path::new("/") => return Ok(None),
        Ok(_) | Err(_) => Storage::Directory(path),
    };
    Ok(Some(storage))
}

/// Returns whether a hook may make what does not exist yet.
fn is_to_come(settings: &ConfigSettings, error: &std::io::Error) -> bool {
    let before = |moment: Moment| settings.last(&format!("lxc.hook.{}", moment.word())).is_some();
    error.kind() == std::io::ErrorKind::NotFound
        && (before(Moment::PreStart) || before(Moment::PreMount))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn settings(lines: &[(&str, &str)]) -> ConfigSettings {
        let mut settings = ConfigSettings::default();
        for (key, value) in lines {
            settings.set(key, value, None).unwrap();
        }
        settings
    }

    fn read(value: &str) -> Result<Storage, String> {
        let settings = settings(&[(PATH, value)]);
        if let Some(error) = refused(&settings) {
            return Err(error.to_string());
        }
        match rootfs(&settings) {
            Ok(root) => Ok(root.unwrap().value.storage),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn a_path_without_a_type_is_what_it_leads_to() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        std::fs::create_dir(at("root")).unwrap();
        std::fs::write(at("image"), "").unwrap();
        symlink("image", at("link")).unwrap();
        assert_eq!(read(&at("root")), Ok(Storage::Directory(at("root").into())));
        assert_eq!(read(&at("link")), Ok(Storage::Image(at("link").into())));
        assert!(read(&at("none")).unwrap_err().contains("No such file"));
        assert!(read("/dev/null").unwrap_err().contains("not a directory"));
        assert!(read(&format!("loop:{}", at("root"))).unwrap_err().contains("not a regular file"));
        assert!(read(&format!("lvm:{}", at("image"))).unwrap_err().contains("not a block device"));
        assert!(read("relative").unwrap_err().contains("an absolute path"));
    }

    #[test]
    fn a_lower_directory_that_is_missing_is_named_and_an_upper_one_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        std::fs::create_dir(at("a")).unwrap();
        let read = |lower: &str| read(&format!("overlay:{}:{lower}:{}", at("a"), at("up")));
        assert!(matches!(read(&at("a")), Ok(Storage::Overlay(_))));
        let said = read(&at("b")).unwrap_err();
        assert!(said.contains(&format!("{}: No such file", at("b"))), "{said}");
        assert!(!Path::new(&at("up")).exists());
    }

    #[test]
    fn a_hook_may_make_what_is_missing() {
        for moment in ["pre-start", "pre-mount"] {
            let hook = format!("lxc.hook.{moment}");
            let settings = settings(&[(PATH, "loop:/no/such"), (&hook, "/bin/true")]);
            let root = rootfs(&settings).unwrap().unwrap().value;
            assert_eq!(root.storage, Storage::Image("/no/such".into()));
        }
    }

    #[test]
    fn the_earlier_key_gives_the_type_of_a_path_without_one() {
        let storage = |backend, path| storage(&settings(&[(BACKEND, backend), (PATH, path)]));
        assert!(matches!(storage("overlayfs", "/a:/b"), Some(Storage::Overlay(_))));
        assert!(matches!(storage("overlayfs", "overlayfs:/a:/b"), Some(Storage::Overlay(_))));
        assert!(matches!(storage("loop", "/a"), Some(Storage::Image(_))));
        assert!(matches!(storage("best", "/a"), Some(Storage::Directory(_))));
        assert!(refused(&settings(&[(BACKEND, "aufs"), (PATH, "/a:/b")])).is_some());
    }

    #[test]
    fn what_cannot_be_attached_is_refused_with_the_program_that_can() {
        assert!(read("nbd:/a.qcow2:1").unwrap_err().contains("qemu-nbd"));
        assert!(read("rbd:pool/a").unwrap_err().contains("`rbd map"));
        assert!(read("aufs:/a:/b").unwrap_err().contains("overlay:"));
        assert!(read("overlay:/a").unwrap_err().contains("LOWER:UPPER"));
    }

    #[test]
    fn a_mounted_root_has_its_place() {
        let stage = |lines: &[(&str, &str)]| {
            let lines = [&[(PATH, "zfs:tank/web"), ("lxc.rootfs.options", "ro,a=b")], lines];
            let root = rootfs(&settings(&lines.concat())).unwrap().unwrap().value;
            assert_eq!(root.data, "a=b");
            root.stage
        };
        assert_eq!(stage(&[]), Stage::Ours(STAGE.into()));
        let own = stage(&[("lxc.rootfs.mount", "/mnt")]);
        assert_eq!(own, Stage::Configured("/mnt".into()));
    }
}

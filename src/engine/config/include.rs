//! Reads configuration files safely: regular files of bounded length that no other user may write.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::engine::host::short::read_short;

use super::error::Reason;

/// Longest file that is read.
pub(super) const MAX_BYTES: u64 = 1024 * 1024;
/// Deepest nesting of includes.
pub(super) const MAX_DEPTH: usize = 8;
/// Shortest name that LXC takes from a directory: one letter and `.conf`.
const SHORTEST_NAME: usize = 6;

/// What identifies a file, for finding cycles.
pub(super) type FileId = (u64, u64);

/// Reads the file at `path`. A pipe or device does not block: it is refused unread.
pub(super) fn read(path: &Path) -> Result<(Vec<u8>, FileId), Reason> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC)
        .open(path)
        .map_err(Reason::Io)?;
    let identity = trusted(&file)?;
    let bytes = read_short(file, MAX_BYTES + 1).map_err(Reason::Io)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Reason::TooLong(MAX_BYTES));
    }
    Ok((bytes, identity))
}

/// Refuses a file that is not regular, or that others could have written.
fn trusted(file: &File) -> Result<FileId, Reason> {
    let meta = file.metadata().map_err(Reason::Io)?;
    if !meta.is_file() {
        return Err(Reason::NotRegular);
    }
    if meta.len() > MAX_BYTES {
        return Err(Reason::TooLong(MAX_BYTES));
    }
    let (us, our_group) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    if meta.uid() != 0 && meta.uid() != us {
        return Err(Reason::Owner(meta.uid()));
    }
    let strange_group = meta.gid() != 0 && meta.gid() != our_group;
    if meta.mode() & 0o002 != 0 || (meta.mode() & 0o020 != 0 && strange_group) {
        return Err(Reason::Writable(meta.mode() & 0o7777));
    }
    Ok((meta.dev(), meta.ino()))
}

/// Lists the files that an `lxc.include` refers to: the file, or a directory's `*.conf` by name. A
/// missing directory (its path ends in `/`) yields none; a missing file fails when it is read.
pub(super) fn files(path: &Path, is_directory: bool) -> Result<Vec<PathBuf>, Reason> {
    if !is_directory && !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Reason::Io(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Reason::Io)?;
        let name = entry.file_name();
        if name.len() >= SHORTEST_NAME && name.as_encoded_bytes().ends_with(b".conf") {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn strangers_files_and_devices_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.conf");
        fs::write(&file, "x").unwrap();
        assert!(read(&file).is_ok());
        fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(matches!(read(&file), Err(Reason::Writable(0o666))));

        let pipe = dir.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRUSR).unwrap();
        assert!(matches!(read(&pipe), Err(Reason::NotRegular)));
        assert!(matches!(read(Path::new("/dev/zero")), Err(Reason::NotRegular)));
        assert!(matches!(read(dir.path()), Err(Reason::NotRegular)));
    }

    #[test]
    fn long_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let long = dir.path().join("long");
        fs::write(&long, vec![b'#'; MAX_BYTES as usize + 1]).unwrap();
        assert!(matches!(read(&long), Err(Reason::TooLong(_))));
    }

    #[test]
    fn a_directory_gives_its_conf_files_by_name() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.conf", "a.conf", ".conf", "c.txt"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let names: Vec<PathBuf> = files(dir.path(), false).unwrap();
        assert_eq!(names, [dir.path().join("a.conf"), dir.path().join("b.conf")]);
        assert!(files(&dir.path().join("none"), true).unwrap().is_empty());
    }
}

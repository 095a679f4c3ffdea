//! `lxc.console.logfile`: the console's raw output on disk. Never writes below the container's
//! root, and never makes the container fail.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::socket::{MsgFlags, send};

use super::outside::{Last, Outside};

/// An open log.
#[derive(Debug)]
pub(super) struct LogFile {
    /// None: it is an output stream of this process.
    place: Option<Outside>,
    file: File,
    size: u64,
    /// Bytes after which it is rotated or emptied; 0 means no cap.
    cap: u64,
    /// Keeps one older file, `PATH.1`.
    rotate: bool,
}

impl LogFile {
    /// Opens `path` for appending.
    pub(super) fn open(
        path: &Path,
        cap: u64,
        rotate: bool,
        rootfs: Option<&Path>,
    ) -> io::Result<Self> {
        let place = Outside::find(path, Last::File)?;
        if place.lies_below(rootfs)? {
            return Err(io::Error::other("the log file lies inside the container's root"));
        }
        let file = place.open(OFlag::O_WRONLY)?;
        let size = file.metadata()?.len();
        Ok(Self { place: Some(place), file, size, cap, rotate })
    }

    /// Uses an output stream of this process as the log, if `path` names one. It has no cap: what
    /// is written there is up to the process that started wharf.
    pub(super) fn output(path: &Path) -> Option<io::Result<Self>> {
        let fd = match path.to_str()? {
            "/dev/stdout" | "/dev/fd/1" | "/proc/self/fd/1" => {
                io::stdout().as_fd().try_clone_to_owned()
            }
            "/dev/stderr" | "/dev/fd/2" | "/proc/self/fd/2" => {
                io::stderr().as_fd().try_clone_to_owned()
            }
            _ => return None,
        };
        let file = fd.and_then(unblocked);
        Some(file.map(|file| Self { place: None, file, size: 0, cap: 0, rotate: false }))
    }

    /// Returns whether it is a terminal.
    pub(super) fn is_terminal(&self) -> bool {
        self.file.is_terminal()
    }

    /// Appends `bytes`. With a full disk, or a reader that is too slow, only output is lost.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        if self.cap > 0 && self.size + bytes.len() as u64 > self.cap {
            // On failure it grows beyond its cap, which is better than losing output.
            _ = self.make_room();
        }
        if self.write(bytes).is_ok() {
            self.size += bytes.len() as u64;
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let is_socket = || self.file.metadata().is_ok_and(|it| it.file_type().is_socket());
        if self.place.is_none() && is_socket() {
            let how = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
            return Ok(send(self.file.as_raw_fd(), bytes, how).map(drop)?);
        }
        self.file.write_all(bytes)
    }

    fn make_room(&mut self) -> io::Result<()> {
        let Some(place) = &self.place else { return Ok(()) };
        if self.rotate {
            place.rotate()?;
            self.file = place.open(OFlag::O_WRONLY)?;
        } else {
            self.file.set_len(0)?;
        }
        self.size = 0;
        Ok(())
    }
}

/// Opens the file of `fd` again, non-blocking, so that no other process's descriptor changes. A
/// socket cannot be opened again, but can be written to without waiting.
fn unblocked(fd: OwnedFd) -> io::Result<File> {
    let file = File::from(fd);
    if file.metadata()?.file_type().is_socket() {
        return Ok(file);
    }
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    OpenOptions::new().append(true).custom_flags(flags).open(path)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_full_log_is_rotated_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = LogFile::open(&path, 8, true, None).unwrap();
        for piece in [b"12345", b"67890", b"abcde"] {
            log.append(piece);
        }
        assert_eq!(fs::read(&path).unwrap(), b"abcde");
        assert_eq!(fs::read(dir.path().join("log.1")).unwrap(), b"67890");
    }

    #[test]
    fn links_and_places_inside_the_root_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("/etc/hostname", &link).unwrap();
        assert!(LogFile::open(&link, 0, false, None).is_err());
        let inside = dir.path().join("inside");
        assert!(LogFile::open(&inside, 0, false, Some(dir.path())).is_err());
        assert!(!inside.exists());
    }
}

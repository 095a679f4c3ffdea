//! `lxc.console.logfile`: the console's output on disk, as it came. Never writes below the
//! container's root, never fails the container.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use nix::fcntl::OFlag;

use super::outside::{Last, Outside};

/// An open log.
#[derive(Debug)]
pub(super) struct LogFile {
    place: Outside,
    file: File,
    size: u64,
    /// Bytes after which it is rotated or emptied; 0 is no cap.
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
        Ok(Self { place, file, size, cap, rotate })
    }

    /// Appends `bytes`. A full disk loses output, and no more than that.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        if self.cap > 0 && self.size + bytes.len() as u64 > self.cap {
            // On failure it grows beyond its cap, which is better than to lose what it says.
            _ = self.make_room();
        }
        if self.file.write_all(bytes).is_ok() {
            self.size += bytes.len() as u64;
        }
    }

    fn make_room(&mut self) -> io::Result<()> {
        if self.rotate {
            self.place.rotate()?;
            self.file = self.place.open(OFlag::O_WRONLY)?;
        } else {
            self.file.set_len(0)?;
        }
        self.size = 0;
        Ok(())
    }
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

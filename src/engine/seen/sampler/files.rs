//! Files that are read repeatedly. Keeping them open halves the cost of a read, but takes a
//! descriptor and some kernel memory each, so there is a budget; beyond it they are opened each
//! time.

use std::fs::File;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::engine::host::short::read_short;

use nix::sys::resource::{Resource, getrlimit};

/// Descriptors left to the rest of the program: terminals, consoles, sockets.
const RESERVE: u64 = 256;
/// No more than this are kept, however high the limit: each takes about 5 KiB in the kernel.
const MOST: u64 = 8192;
const BUFFER: usize = 8192;
/// No counter file is longer; a longer one is cut.
const LONGEST: usize = 256 * 1024;

/// The budget, and the buffer that all reads share.
#[derive(Debug)]
pub(super) struct Files {
    left: usize,
    buffer: Vec<u8>,
}

impl Files {
    /// Takes what remains of the limit on open files.
    pub(super) fn new() -> Self {
        let soft = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _hard)| soft);
        let left = soft.saturating_sub(RESERVE).min(MOST);
        Self { left: usize::try_from(left).unwrap_or(0), buffer: vec![0; BUFFER] }
    }

    /// Keeps none open, for whoever reads each only once.
    pub(super) fn once() -> Self {
        Self { left: 0, buffer: vec![0; BUFFER] }
    }

    /// Reads the whole file from its beginning; None when it cannot be read.
    pub(super) fn read(&mut self, kept: &mut CachedFile) -> Option<&str> {
        let count = match &kept.file {
            Some(file) => fill(&mut self.buffer, file),
            None => self.open(kept),
        };
        if count.is_none() {
            self.release(kept);
        }
        std::str::from_utf8(self.buffer.get(..count?)?).ok()
    }

    /// Closes the file until it is read again.
    pub(super) fn release(&mut self, kept: &mut CachedFile) {
        if kept.file.take().is_some() {
            self.left += 1;
        }
    }

    fn open(&mut self, kept: &mut CachedFile) -> Option<usize> {
        let file = File::open(&kept.path).ok()?;
        let count = fill(&mut self.buffer, &file);
        if self.left > 0 {
            self.left -= 1;
            kept.file = Some(file);
        }
        count
    }
}

/// One file, open or not.
#[derive(Debug)]
pub(super) struct CachedFile {
    path: PathBuf,
    file: Option<File>,
}

impl CachedFile {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path, file: None }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

fn fill(buffer: &mut Vec<u8>, file: &File) -> Option<usize> {
    let mut end = 0;
    loop {
        let count = file.read_at(buffer.get_mut(end..)?, end as u64).ok()?;
        end += count;
        // For files of cgroups and proc, a short read is complete.
        if end < buffer.len() || buffer.len() >= LONGEST {
            return Some(end);
        }
        buffer.resize(buffer.len() * 2, 0);
    }
}

/// Reads at most the first `most` bytes of a file, once.
pub(super) fn start_of(path: &Path, most: u64) -> Option<String> {
    // A fifo instead of a file must not block the sampler.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path).ok()?;
    Some(String::from_utf8_lossy(&read_short(file, most).ok()?).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_budget_files_are_opened_anew() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = Files { left: 1, buffer: vec![0; 4] };
        let mut kept: Vec<CachedFile> =
            ["a", "b"].map(|it| CachedFile::new(dir.path().join(it))).into();
        for round in ["1", "22222222222", "3"] {
            for it in &mut kept {
                std::fs::write(&it.path, round).unwrap();
                assert_eq!(files.read(it), Some(round));
            }
        }
        assert_eq!(kept.iter().filter(|it| it.file.is_some()).count(), 1);
        for it in &mut kept {
            files.release(it);
        }
        assert_eq!(files.left, 1);
        assert_eq!(files.read(&mut CachedFile::new(dir.path().join("none"))), None);
    }
}

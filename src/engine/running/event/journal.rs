//! The journal file: one JSON line per event, appended with one write, rotated when it is full. It
//! trusts no line that it reads: lines that do not parse are skipped.
//!
//! Writers hold a shared lock on the file while they write, the one that rotates holds it
//! exclusively. So nothing is ever appended to a file that was moved away, and a follower that sees
//! a new file in its place only has to finish the old one.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::waker::Waker;
use super::{Event, What};

/// A full journal is moved to `journal.1`, whose predecessor is dropped.
const FULL_BYTES: u64 = 1 << 20;
/// Longer texts in an event (an error with all its causes) are cut, so that a line stays small.
const TEXT_BYTES: usize = 4096;
/// A line longer than this was not written by us.
const LINE_BYTES: usize = 64 * 1024;
/// How often, a millisecond apart, a writer retries while another process is rotating, which takes
/// microseconds. A process stopped in the middle of it must not block a container.
const LOCK_TRIES: u32 = 200;

/// The journal in one directory.
#[derive(Clone, Debug)]
pub struct Journal {
    dir: PathBuf,
    full_bytes: u64,
}

impl Journal {
    /// Returns the journal in `dir`, which must be private to the caller.
    pub const fn at(dir: PathBuf) -> Self {
        Self { dir, full_bytes: FULL_BYTES }
    }

    /// Appends one event.
    pub fn append(&self, event: &Event) -> io::Result<()> {
        let mut line = serde_json::to_vec(&shortened(event))?;
        line.push(b'\n');
        let mut file = self.open_current()?;
        // One write: lines of processes that write at the same time do not mix.
        if file.write(&line)? < line.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if file.metadata()?.len() >= self.full_bytes {
            self.rotate(&file)?;
        }
        Ok(())
    }

    /// Follows the journal from its present end.
    pub fn follow(&self) -> io::Result<Follower> {
        let waker = Waker::of(&self.dir)?;
        // Created if missing, so that there is always a file whose end is known.
        drop(self.open_current()?);
        let mut file = open_if_there(&self.current())?;
        if let Some(file) = &mut file {
            file.seek(SeekFrom::End(0))?;
        }
        Ok(Follower { journal: self.clone(), waker, file, pending: Vec::new(), queue: [].into() })
    }

    /// Follows the journal from its present end, and returns the newest `most` of the `wanted` events
    /// that it held before, oldest first. No event is returned twice, and none is missed between the
    /// two.
    pub fn follow_with_past(
        &self,
        most: usize,
        wanted: &dyn Fn(&Event) -> bool,
    ) -> io::Result<(Vec<Event>, Follower)> {
        let mut follower = self.follow()?;
        let mut past = Vec::new();
        let mut was_moved = false;
        if let Some(file) = &mut follower.file {
            let end = file.stream_position()?;
            let from = end.saturating_sub(self.most_bytes());
            file.seek(SeekFrom::Start(from))?;
            let mut text = Vec::new();
            file.take(end - from).read_to_end(&mut text)?;
            file.seek(SeekFrom::Start(end))?;
            past.extend(newest(&text).filter(wanted).take(most));
            was_moved = is_at(file, &self.previous());
        }
        // If it was moved away just now, it is the one that is followed.
        if past.len() < most && !was_moved {
            let text = self.tail(&self.previous()).unwrap_or_default();
            past.extend(newest(&text).filter(wanted).take(most - past.len()));
        }
        past.reverse();
        Ok((past, follower))
    }

    /// What is longer was not written by us.
    const fn most_bytes(&self) -> u64 {
        self.full_bytes + LINE_BYTES as u64
    }

    fn current(&self) -> PathBuf {
        self.dir.join("journal")
    }

    fn previous(&self) -> PathBuf {
        self.dir.join("journal.1")
    }

    /// Opens the file for appending and makes sure that it will not be moved away meanwhile.
    fn open_current(&self) -> io::Result<File> {
        let path = self.current();
        let mut tries = 0;
        loop {
            let file = OpenOptions::new()
                .append(true)
                .create(true)
                .mode(0o600)
                .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
                .open(&path)?;
            tries += 1;
            match file.try_lock_shared() {
                Ok(()) if is_at(&file, &path) => return Ok(file),
                Ok(()) => (),
                Err(TryLockError::WouldBlock) => {
                    _ = poll(&mut [], PollTimeout::from(1_u8));
                }
                Err(TryLockError::Error(error)) => return Err(error),
            }
            if tries >= LOCK_TRIES {
                return Ok(file);
            }
        }
    }

    /// Moves the full file away, unless another process writes or moves it now: then the next
    /// writer does it.
    fn rotate(&self, file: &File) -> io::Result<()> {
        match file.try_lock() {
            Ok(()) if is_at(file, &self.current()) => {
                std::fs::rename(self.current(), self.previous())
            }
            Ok(()) | Err(TryLockError::WouldBlock) => Ok(()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Reads the last part of a file; a file larger than a full journal is not ours.
    fn tail(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        if let Some(mut file) = open_if_there(path)? {
            let most = self.most_bytes();
            file.seek(SeekFrom::Start(file.metadata()?.len().saturating_sub(most)))?;
            file.take(most).read_to_end(&mut text)?;
        }
        Ok(text)
    }
}

/// A reader of the journal that waits for more.
#[derive(Debug)]
pub struct Follower {
    journal: Journal,
    waker: Waker,
    /// The file being read, at the place where reading goes on.
    file: Option<File>,
    /// The beginning of a line that was not complete yet.
    pending: Vec<u8>,
    queue: std::collections::VecDeque<Event>,
}

impl Follower {
    /// Returns the next event, waiting for it at most `timeout`; None waits for ever.
    pub fn next(&mut self, timeout: Option<Duration>) -> io::Result<Option<Event>> {
        let deadline = timeout.and_then(|it| Instant::now().checked_add(it));
        loop {
            // To look for more costs four calls of the kernel, and a journal holds thousands of events.
            if let Some(event) = self.queue.pop_front() {
                return Ok(Some(event));
            }
            self.fill()?;
            if !self.queue.is_empty() {
                continue;
            }
            let left = deadline.map(|it| it.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Ok(None);
            }
            self.wait(None, left)?;
        }
    }

    /// Waits at most `timeout` until there may be more, or `other` is readable; None waits for ever.
    pub(in crate::engine) fn wait(
        &self,
        other: Option<BorrowedFd<'_>>,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        let readable = |it| PollFd::new(it, PollFlags::POLLIN);
        let mut fds = vec![readable(self.waker.as_fd())];
        fds.extend(other.map(readable));
        let timeout = timeout.map_or(PollTimeout::NONE, |it| {
            // Rounded up, or the last part of a millisecond would be spent spinning.
            let ms = it.as_micros().div_ceil(1000);
            PollTimeout::try_from(ms).unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut fds, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Reads what is new and returns at once.
    fn fill(&mut self) -> io::Result<()> {
        // Emptied before reading: a write after this wakes the next wait.
        self.waker.rest();
        self.read_on()?;
        let path = self.journal.current();
        if self.file.as_ref().is_some_and(|it| is_at(it, &path)) {
            return Ok(());
        }
        // A new file took its place. The old one gets no more lines, but may have got some since.
        self.read_on()?;
        let previous = open_if_there(&self.journal.previous())?;
        if self.file.as_ref().is_some_and(|it| !is_at(it, &self.journal.previous())) {
            // Rotated twice since the last read: the file between would be missed.
            self.file = previous;
            self.read_on()?;
        }
        if let Some(next) = open_if_there(&path)? {
            self.file = Some(next);
            self.read_on()?;
        }
        Ok(())
    }

    /// Reads the rest of the file.
    fn read_on(&mut self) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        if file.metadata()?.len() < file.stream_position()? {
            // Somebody truncated it.
            file.seek(SeekFrom::Start(0))?;
            self.pending.clear();
        }
        let mut fresh = Vec::new();
        // More than a full journal at once is not ours.
        file.take(self.journal.most_bytes()).read_to_end(&mut fresh)?;
        self.take_in(&fresh);
        Ok(())
    }

    fn take_in(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        if let Some(end) = self.pending.iter().rposition(|&it| it == b'\n') {
            let rest = self.pending.split_off(end + 1);
            let lines = std::mem::replace(&mut self.pending, rest);
            self.queue.extend(lines.split(|&it| it == b'\n').filter_map(parse));
        } else if self.pending.len() > LINE_BYTES {
            self.pending.clear();
        }
    }
}

/// Yields the events of a text, the newest first: each is taken apart only when it is asked for.
fn newest(text: &[u8]) -> impl Iterator<Item = Event> {
    text.rsplit(|&it| it == b'\n').filter_map(parse)
}

fn parse(line: &[u8]) -> Option<Event> {
    if line.is_empty() || line.len() > LINE_BYTES {
        return None;
    }
    serde_json::from_slice(line).ok()
}

fn open_if_there(path: &Path) -> io::Result<Option<File>> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns whether `path` still names the open `file`.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::symlink_metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

fn shortened(event: &Event) -> Event {
    let mut event = event.clone();
    match &mut event.what {
        What::Failed { reason: text } | What::Warned { said: text } => shorten(text),
        What::OomKill { last: Some(last), .. } => last.group.iter_mut().for_each(shorten),
        What::LimitLost { file, was, now } => [file, was, now].into_iter().for_each(shorten),
        What::Cgroup { file, old, new } => [file, old, new].into_iter().for_each(shorten),
        What::State { .. }
        | What::Exited { .. }
        | What::Braked { .. }
        | What::SupervisorKilled
        | What::Created
        | What::Destroyed
        | What::Trashed
        | What::Restored
        | What::OomKill { last: None, .. }
        | What::Signal { .. } => (),
    }
    event
}

fn shorten(text: &mut String) {
    if text.len() > TEXT_BYTES {
        text.truncate(text.floor_char_boundary(TEXT_BYTES));
        text.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::State;

    fn scratch() -> (tempfile::TempDir, Journal) {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::at(dir.path().to_owned());
        (dir, journal)
    }

    fn oom(count: u64) -> Event {
        Event::now(Path::new("/lxc"), &"web".parse().unwrap(), What::OomKill { count, last: None })
    }

    fn counts(events: &[Event]) -> Vec<u64> {
        let count = |it: &Event| {
            let What::OomKill { count, .. } = it.what else { panic!("{it:?}") };
            count
        };
        events.iter().map(count).collect()
    }

    fn drain(follower: &mut Follower) -> Vec<Event> {
        std::iter::from_fn(|| follower.next(Some(Duration::ZERO)).unwrap()).collect()
    }

    #[test]
    fn every_kind_of_event_survives_the_file() {
        let (_dir, journal) = scratch();
        let mut follower = journal.follow().unwrap();
        let kinds = [
            What::State { from: State::Stopped, to: State::Starting },
            What::Exited { exit: crate::engine::Exit::Signal(9) },
            What::Braked { restarts: 5, wait_ms: 1000 },
            What::Warned { said: "unknown".to_owned() },
            What::Failed { reason: "mount: \u{1b}[2J\nno".to_owned() },
            What::SupervisorKilled,
            What::Created,
            What::Destroyed,
            What::Trashed,
            What::Restored,
            What::Cgroup { file: "memory.max".into(), old: "max".into(), new: "1".into() },
            What::LimitLost { file: "cpu.max".into(), was: "1 2".into(), now: String::new() },
            What::OomKill { count: 3, last: None },
            What::Signal { pid: 7, signal: 15 },
        ];
        let events = kinds.map(|it| Event::now(Path::new("/a b"), &"x".parse().unwrap(), it));
        for event in &events {
            journal.append(event).unwrap();
        }
        assert_eq!(drain(&mut follower), events);
        assert_eq!(journal.follow_with_past(usize::MAX, &|_| true).unwrap().0, events);
    }

    #[test]
    fn of_the_past_the_newest_that_are_wanted_come_from_both_files() {
        let (_dir, mut journal) = scratch();
        journal.full_bytes = 300;
        for count in 1..=9 {
            journal.append(&oom(count)).unwrap();
        }
        let odd = |it: &Event| matches!(it.what, What::OomKill { count, .. } if count % 2 == 1);
        let newest = |most| counts(&journal.follow_with_past(most, &odd).unwrap().0);
        let (all, three) = (newest(usize::MAX), newest(3));
        assert!(all.ends_with(&three) && three == [5, 7, 9], "{all:?} {three:?}");
        assert!(newest(0).is_empty());
        assert!(journal.previous().exists());
    }

    #[test]
    fn the_file_is_private_and_links_are_refused() {
        let (dir, journal) = scratch();
        journal.append(&oom(1)).unwrap();
        let mode = std::fs::metadata(journal.current()).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::remove_file(journal.current()).unwrap();
        std::os::unix::fs::symlink(dir.path().join("victim"), journal.current()).unwrap();
        assert!(journal.append(&oom(1)).is_err());
        assert!(!dir.path().join("victim").exists());
    }

    #[test]
    fn a_follower_starts_at_the_end_and_misses_nothing_across_rotations() {
        let (_dir, mut journal) = scratch();
        journal.full_bytes = 300;
        journal.append(&oom(0)).unwrap();
        let mut follower = journal.follow().unwrap();
        let mut seen = Vec::new();
        for count in 1..100 {
            journal.append(&oom(count)).unwrap();
            if count % 4 == 0 {
                seen.append(&mut drain(&mut follower));
            }
        }
        seen.append(&mut drain(&mut follower));
        assert_eq!(counts(&seen), (1..100).collect::<Vec<_>>());
        assert!(std::fs::metadata(journal.current()).map_or(0, |it| it.len()) < 600);
    }

    #[test]
    fn past_and_future_meet_without_a_gap() {
        let (_dir, mut journal) = scratch();
        journal.full_bytes = 500;
        (1..=10).for_each(|it| journal.append(&oom(it)).unwrap());
        let (past, mut follower) = journal.follow_with_past(usize::MAX, &|_| true).unwrap();
        journal.append(&oom(11)).unwrap();
        let past = counts(&past);
        assert!(past.is_sorted() && past.last() == Some(&10) && past.len() > 4, "{past:?}");
        assert_eq!(counts(&drain(&mut follower)), [11]);
    }

    #[test]
    fn concurrent_writers_lose_nothing() {
        let (_dir, mut journal) = scratch();
        // Rotated once: a reader may be late by one whole file, and no more.
        journal.full_bytes = 50 * 1024;
        let mut follower = journal.follow().unwrap();
        let mut seen: Vec<Event> = Vec::new();
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let (journal, counts) = (&journal, writer * 1000..writer * 1000 + 200);
                scope.spawn(move || counts.for_each(|it| journal.append(&oom(it)).unwrap()));
            }
            let patience = Some(Duration::from_secs(10));
            seen.extend(std::iter::from_fn(|| follower.next(patience).unwrap()).take(800));
        });
        let mut counts = counts(&seen);
        for writer in 0..4 {
            assert!(counts.iter().filter(|it| *it / 1000 == writer).is_sorted());
        }
        counts.sort_unstable();
        counts.dedup();
        assert_eq!(counts.len(), 800);
    }

    #[test]
    fn half_lines_wait_for_their_end_and_garbage_is_skipped() {
        let (_dir, journal) = scratch();
        journal.append(&oom(1)).unwrap();
        let mut follower = journal.follow().unwrap();
        let mut file = OpenOptions::new().append(true).open(journal.current()).unwrap();
        let line = serde_json::to_vec(&oom(2)).unwrap();
        file.write_all(b"not json\n{\"name\":\"../x\"}\n\xff\xfe\n\n").unwrap();
        file.write_all(&line[..10]).unwrap();
        assert_eq!(drain(&mut follower), []);
        file.write_all(&line[10..]).unwrap();
        file.write_all(b"\n").unwrap();
        assert_eq!(counts(&drain(&mut follower)), [2]);
        assert_eq!(counts(&journal.follow_with_past(usize::MAX, &|_| true).unwrap().0), [1, 2]);
    }

    #[test]
    fn long_texts_are_cut() {
        let (_dir, journal) = scratch();
        let what = What::Failed { reason: "é".repeat(1 << 20) };
        journal.append(&Event::now(Path::new("/"), &"x".parse().unwrap(), what)).unwrap();
        assert_eq!(journal.follow_with_past(usize::MAX, &|_| true).unwrap().0.len(), 1);
        assert!(std::fs::metadata(journal.current()).unwrap().len() < LINE_BYTES as u64);
    }
}

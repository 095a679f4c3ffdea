//! A full-screen program on a terminal of 200x50: what is on it, when that came, and what the
//! program costs meanwhile.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::process::Command;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use nix::sys::time::TimeValLike as _;
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

use super::Failure;
use super::terminal::{self, OnTerminal, WHERE_IS_THE_CURSOR};

const COLS: u16 = 200;
const ROWS: u16 = 50;

/// How long the screen may take to show what it is expected to show.
const PATIENCE: Duration = Duration::from_secs(20);

/// A program on a terminal.
pub(crate) struct Screen {
    on: OnTerminal,
    output: Receiver<(Instant, Vec<u8>)>,
    parser: vt100::Parser,
    /// Bytes that the program has written.
    pub(crate) bytes: usize,
}

/// What a program has used until now.
#[derive(Clone, Debug)]
pub(crate) struct Used {
    at: Instant,
    cpu_ms: f64,
    bytes: usize,
    threads: BTreeMap<String, f64>,
}

/// What a program uses in a second.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rate {
    pub(crate) cpu_ms: f64,
    pub(crate) bytes: f64,
    /// Processor time in ms by the name of the thread.
    pub(crate) threads: BTreeMap<String, f64>,
}

impl Screen {
    pub(crate) fn open(command: Command) -> Result<Self, Failure> {
        let on = terminal::spawn(command, COLS, ROWS)?;
        let mut reader = on.terminal.try_clone()?;
        let (sender, output) = mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            // EIO means that the slave has no holder any more.
            while let Ok(count @ 1..) = reader.read(&mut buffer)
                && let Some(bytes) = buffer.get(..count)
                && sender.send((Instant::now(), bytes.to_vec())).is_ok()
            {}
        });
        let (rows, cols) = (NonZeroU16::new(ROWS), NonZeroU16::new(COLS));
        let (rows, cols) = rows.zip(cols).ok_or("a terminal without cells")?;
        Ok(Self { on, output, parser: vt100::Parser::new(rows, cols, 0), bytes: 0 })
    }

    pub(crate) fn keys(&mut self, keys: &str) -> Result<(), Failure> {
        Ok(self.on.terminal.write_all(keys.as_bytes())?)
    }

    /// Takes what comes for so long.
    pub(crate) fn watch(&mut self, time: Duration) -> Result<(), Failure> {
        let end = Instant::now() + time;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            if let Ok((_, bytes)) = self.output.recv_timeout(left) {
                self.take(&bytes)?;
            }
        }
        Ok(())
    }

    /// Waits until `condition` holds of the rows on the screen, and returns when the bytes came that
    /// made it so.
    pub(crate) fn until(
        &mut self,
        what: &str,
        condition: impl Fn(&[String]) -> bool,
    ) -> Result<Instant, Failure> {
        let end = Instant::now() + PATIENCE;
        let mut came = Instant::now();
        while !condition(&self.rows()) {
            let left = end.saturating_duration_since(Instant::now());
            let Ok((at, bytes)) = self.output.recv_timeout(left) else {
                return Err(format!("never {what}:\n{}", self.rows().join("\n")).into());
            };
            self.take(&bytes)?;
            came = at;
        }
        Ok(came)
    }

    pub(crate) fn rows(&self) -> Vec<String> {
        self.parser.screen().rows(0, COLS).map(|it| it.trim_end().to_owned()).collect()
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.bytes += bytes.len();
        self.parser.process(bytes);
        if bytes.windows(WHERE_IS_THE_CURSOR.len()).any(|it| it == WHERE_IS_THE_CURSOR) {
            let (row, col) = self.parser.screen().cursor_position();
            self.keys(&format!("\x1b[{};{}R", row + 1, col + 1))?;
        }
        Ok(())
    }

    fn pid(&self) -> i32 {
        self.on.child.id().cast_signed()
    }

    /// Returns the processor time of all threads, also of those that have ended, in milliseconds.
    pub(crate) fn cpu_ms(&self) -> Result<f64, Failure> {
        let used = clock_getcpuclockid(Pid::from_raw(self.pid()))?.now()?;
        Ok(used.num_nanoseconds() as f64 / 1e6)
    }

    pub(crate) fn used(&self) -> Result<Used, Failure> {
        let mut threads = BTreeMap::new();
        for task in fs::read_dir(format!("/proc/{}/task", self.pid()))?.flatten() {
            let read = |file| fs::read_to_string(task.path().join(file)).unwrap_or_default();
            let spent = read("schedstat").split(' ').next().and_then(|it| it.parse::<f64>().ok());
            *threads.entry(read("comm").trim().to_owned()).or_default() +=
                spent.unwrap_or(0.0) / 1e6;
        }
        Ok(Used { at: Instant::now(), cpu_ms: self.cpu_ms()?, bytes: self.bytes, threads })
    }

    /// Returns the proportional share of memory, in MiB.
    pub(crate) fn memory(&self) -> Result<f64, Failure> {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid()))?;
        let line = rollup.lines().find_map(|it| it.strip_prefix("Pss:")).ok_or("no Pss")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
    }
}

impl Used {
    /// Returns what was used in a second since `before`.
    pub(crate) fn since(&self, before: &Self) -> Rate {
        let seconds = self.at.duration_since(before.at).as_secs_f64();
        let spent = |name: &str, now: f64| now - before.threads.get(name).copied().unwrap_or(0.0);
        let threads = self.threads.iter().map(|(name, it)| (name, spent(name, *it) / seconds));
        Rate {
            cpu_ms: (self.cpu_ms - before.cpu_ms) / seconds,
            bytes: (self.bytes - before.bytes) as f64 / seconds,
            threads: threads.map(|(name, it)| (name.clone(), it)).collect(),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        _ = self.on.child.kill();
        _ = self.on.child.wait();
    }
}

//! A script of the operator's: a hook of a container, or one of its network. Run by the shell, with
//! LXC's arguments and environment, and within bounded time.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::engine::host::identity;
use crate::engine::host::short::text_at_once;
use crate::engine::sys;
use crate::engine::terms::hook::Hook;
use crate::engine::terms::progress::Progress;
use crate::engine::terms::shown::shown;
use crate::engine::terms::spec::Hooks;

/// How long a script may run: a start must end.
pub(in crate::engine) const PATIENCE: Duration = Duration::from_secs(30);
/// How long one may run that works on all files of a container: it may pack or send them.
pub(in crate::engine) const HOUR: Duration = Duration::from_hours(1);
/// How often to check whether one was cancelled.
const LOOK: Duration = Duration::from_millis(100);
/// How much of its output is read, from its end.
const MOST: u64 = 64 * 1024;
/// The shell that runs it.
pub(in crate::engine) const SHELL: &str = "/bin/sh";

/// Which kind of script it is, in LXC's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::engine) enum Section {
    Container,
    Network,
}

impl Section {
    const fn word(self) -> &'static str {
        match self {
            Self::Container => "lxc",
            Self::Network => "net",
        }
    }
}

/// A command with its arguments and environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::engine) struct Script {
    /// For the shell.
    pub(in crate::engine) command: String,
    container: String,
    section: Section,
    moment: String,
    /// What follows in the arguments, if it gets any.
    pub(in crate::engine) about: Vec<String>,
    pub(in crate::engine) environment: Vec<(String, String)>,
    pub(in crate::engine) by_arguments: bool,
}

impl Script {
    /// Prepares `command` of the container called `container`.
    pub(in crate::engine) fn new(
        section: Section,
        moment: &str,
        command: &str,
        container: &str,
        hooks: &Hooks,
    ) -> Self {
        let mut environment = hooks.environment.clone();
        if !hooks.by_arguments {
            environment.push(("LXC_HOOK_SECTION".to_owned(), section.word().to_owned()));
            environment.push(("LXC_HOOK_TYPE".to_owned(), moment.to_owned()));
        }
        Self {
            command: command.to_owned(),
            container: container.to_owned(),
            section,
            moment: moment.to_owned(),
            about: Vec::new(),
            environment,
            by_arguments: hooks.by_arguments,
        }
    }

    /// Prepares a hook.
    pub(in crate::engine) fn of_hook(hook: &Hook, container: &str, hooks: &Hooks) -> Self {
        Self::new(Section::Container, hook.moment.word(), &hook.command, container, hooks)
    }

    /// Runs it on the host. On failure the error has its exit and the last line that it printed.
    pub(in crate::engine) fn run(&self) -> io::Result<()> {
        self.run_within(PATIENCE)
    }

    /// Runs it as [`Self::run`] does, for so long at most.
    pub(in crate::engine) fn run_within(&self, patience: Duration) -> io::Result<()> {
        run_line(&self.line(), &self.environment, patience, &Progress::default())
    }

    /// Runs it on the way to a start, which is given up once this process is asked to end.
    pub(in crate::engine) fn run_to_start(&self) -> io::Result<()> {
        let mut command = of_line(&self.line(), &self.environment);
        run_for(&mut command, PATIENCE, &is_asked_to_end)
    }

    /// What the shell executes.
    pub(in crate::engine) fn line(&self) -> String {
        let Self { command, container, moment, .. } = self;
        if !self.by_arguments {
            return format!("exec {command}");
        }
        let mut line = format!("exec {command} {container} {} {moment}", self.section.word());
        for word in &self.about {
            line.push(' ');
            line.push_str(&quoted(word));
        }
        line
    }
}

/// Returns `word` as one of the shell's. Root in a container names the interfaces that it has, and
/// an interface comes back with its name where nobody is left to restore that.
fn quoted(word: &str) -> String {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "_-.:/@+,=%".contains(it);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Has the shell run a line of a script, with these variables, until that ends or is cancelled.
pub(in crate::engine) fn run_line(
    line: &str,
    environment: &[(String, String)],
    patience: Duration,
    progress: &Progress,
) -> io::Result<()> {
    run_for(&mut of_line(line, environment), patience, &|| progress.is_cancelled())
}

fn of_line(line: &str, environment: &[(String, String)]) -> Command {
    let environment = environment.iter().map(|(key, value)| (key, value));
    let mut command = Command::new(SHELL);
    command.args(["-c", line]).envs(environment).stdin(Stdio::null());
    command
}

/// Returns whether a SIGTERM waits for this process, which blocks it.
pub(in crate::engine) fn is_asked_to_end() -> bool {
    const SIGTERM: u64 = 1 << (libc::SIGTERM - 1);
    let status = text_at_once("/proc/self/status").unwrap_or_default();
    let pending = status.lines().filter_map(|it| it.split_once(":\t"));
    let pending = pending.filter(|(key, _)| matches!(*key, "SigPnd" | "ShdPnd"));
    pending.filter_map(|(_, set)| u64::from_str_radix(set, 16).ok()).any(|it| it & SIGTERM != 0)
}

/// Runs a program on the host, within bounded time. On failure the error has its exit and the last
/// line that it printed.
pub(in crate::engine) fn run_to_its_end(command: &mut Command) -> io::Result<()> {
    run_for(command, PATIENCE, &|| false)
}

fn run_for(
    command: &mut Command,
    patience: Duration,
    cancelled: &dyn Fn() -> bool,
) -> io::Result<()> {
    let ended = said_within(command, Bounds { patience, grace: Duration::ZERO, cancelled })?;
    ended.map(drop).map_err(|Said { how, mut lines, is_late }| {
        if is_late && cancelled() {
            return io::Error::other("cancelled");
        }
        let last = lines.pop().map_or_else(String::new, |it| format!(": {it}"));
        io::Error::other(format!("{how}{last}"))
    })
}

/// How a program failed, and the end of what it printed.
#[derive(Debug)]
pub(in crate::engine) struct Said {
    pub(in crate::engine) how: String,
    /// Without blank ones.
    pub(in crate::engine) lines: Vec<String>,
    /// It took too long, or was cancelled.
    pub(in crate::engine) is_late: bool,
}

/// How long a program may run.
#[derive(Clone, Copy)]
pub(in crate::engine) struct Bounds<'a> {
    pub(in crate::engine) patience: Duration,
    /// How long it may take to end when it is asked to, before it is killed.
    pub(in crate::engine) grace: Duration,
    /// Whether its result is not wanted any more.
    pub(in crate::engine) cancelled: &'a dyn Fn() -> bool,
}

/// Runs a program on the host until that ends or is cancelled, within bounded time. Returns the lines
/// that it printed.
pub(in crate::engine) fn said_within(
    command: &mut Command,
    bounds: Bounds<'_>,
) -> io::Result<Result<Vec<String>, Said>> {
    said_by(command, bounds, &mut |_| ())
}

/// The same, and calls `begun` with its pid once it runs.
pub(in crate::engine) fn said_by(
    command: &mut Command,
    bounds: Bounds<'_>,
    begun: &mut dyn FnMut(i32),
) -> io::Result<Result<Vec<String>, Said>> {
    let output = ScriptOutput::new()?;
    command.stdout(output.0.try_clone()?).stderr(output.0.try_clone()?);
    let child = sys::with_default_signals(command).process_group(0).spawn()?;
    let child = child.id() as i32;
    let pidfd = sys::pidfd_open(child)?;
    begun(child);
    let ended = end_within(child, pidfd.as_fd(), bounds)?;
    Ok(output.judge(ended, bounds.patience).map(|()| output.lines()))
}

/// Waits for a child of this process; none: it took too long and was killed, with all that it has
/// started in its process group.
pub(in crate::engine) fn end_of(
    child: i32,
    pidfd: BorrowedFd<'_>,
) -> io::Result<Option<ExitStatus>> {
    let (patience, grace) = (PATIENCE, Duration::ZERO);
    end_within(child, pidfd, Bounds { patience, grace, cancelled: &|| false })
}

/// The same, within other bounds.
pub(in crate::engine) fn end_within(
    child: i32,
    pidfd: BorrowedFd<'_>,
    Bounds { patience, grace, cancelled }: Bounds<'_>,
) -> io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + patience;
    let left = || deadline.saturating_duration_since(Instant::now());
    let mut ended = identity::has_ended(pidfd, LOOK.min(left()))?;
    while !ended && !left().is_zero() && !cancelled() {
        ended = identity::has_ended(pidfd, LOOK.min(left()))?;
    }
    if !ended {
        // It is not reaped yet, so that the group is still its own.
        let group = Pid::from_raw(child);
        if !grace.is_zero() {
            _ = killpg(group, Signal::SIGTERM);
            _ = identity::has_ended(pidfd, grace)?;
        }
        _ = killpg(group, Signal::SIGKILL);
        sys::pidfd_send_signal(pidfd, libc::SIGKILL)?;
    }
    let status = ExitStatus::from_raw(sys::wait_for(pidfd)?);
    Ok(ended.then_some(status))
}

/// Says how a script failed, on a line of its own after its output.
pub(in crate::engine) fn last_words(status: Option<ExitStatus>) -> String {
    format!("\n{}\n", how(status, PATIENCE))
}

fn how(status: Option<ExitStatus>, patience: Duration) -> String {
    let late = || format!("did not end within {} s", patience.as_secs());
    status.map_or_else(late, |it| it.to_string())
}

/// What a script printed, in memory.
#[derive(Debug)]
pub(in crate::engine) struct ScriptOutput(File);

impl ScriptOutput {
    pub(in crate::engine) fn new() -> io::Result<Self> {
        Ok(Self(File::from(memfd_create(c"script", MFdFlags::MFD_CLOEXEC)?)))
    }

    pub(in crate::engine) fn file(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Says how a program failed, if it has; no status: it took too long.
    pub(in crate::engine) fn judge(
        &self,
        status: Option<ExitStatus>,
        patience: Duration,
    ) -> Result<(), Said> {
        if status.is_some_and(|it| it.success()) {
            return Ok(());
        }
        Err(Said { how: how(status, patience), lines: self.lines(), is_late: status.is_none() })
    }

    /// Returns how a script failed whose output ends with [`last_words`].
    pub(in crate::engine) fn reason(&self) -> String {
        let mut lines = self.lines();
        let how = lines.pop().unwrap_or_default();
        lines.pop().map_or_else(|| how.clone(), |last| format!("{how}: {last}"))
    }

    /// Returns what can be read of it, without blank lines.
    fn lines(&self) -> Vec<String> {
        let mut text = Vec::new();
        let mut file = &self.0;
        let size = file.metadata().map_or(0, |it| it.len());
        _ = file.seek(SeekFrom::Start(size.saturating_sub(MOST)));
        _ = file.take(MOST).read_to_end(&mut text);
        let text = String::from_utf8_lossy(&text);
        let lines = text.lines().filter(|it| !it.trim().is_empty());
        lines.map(|it| shown(it).into_owned()).collect()
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.section {
            Section::Container => write!(f, "lxc.hook.{} {}", self.moment, shown(&self.command)),
            Section::Network => write!(f, "run {}", shown(&self.command)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_a_script_is_about_is_data() {
        let hooks = Hooks { by_arguments: true, ..Hooks::default() };
        let mut script = Script::new(Section::Network, "up", "/etc/up \"$X\"", "web", &hooks);
        script.about = ["phys", "eth$(reboot)", "a'b;c", ""].map(str::to_owned).to_vec();
        assert_eq!(
            script.line(),
            r#"exec /etc/up "$X" web net up phys 'eth$(reboot)' 'a'\''b;c' ''"#
        );
    }

    #[test]
    fn of_much_output_the_end_is_told() {
        let output = ScriptOutput::new().unwrap();
        let mut file = &output.0;
        for number in 0..20_000 {
            writeln!(file, "line {number}").unwrap();
        }
        let said = output.judge(None, PATIENCE).unwrap_err();
        assert_eq!(said.lines.last().map(String::as_str), Some("line 19999"));
        file.write_all(last_words(None).as_bytes()).unwrap();
        assert_eq!(output.reason(), "did not end within 30 s: line 19999");
    }
}

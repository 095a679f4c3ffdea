//! What the benches share: containers that are taken away whatever ends the bench, what a command
//! costs, programs on a terminal, other engines. Measures nothing by itself.

#![allow(dead_code, reason = "each bench uses a part of this")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a bench reports on its output")]

#[path = "../tests/containers/support/leftovers.rs"]
pub(crate) mod leftovers;
pub(crate) mod peers;
pub(crate) mod price;
pub(crate) mod program;
pub(crate) mod screen;
pub(crate) mod table;
#[path = "../tests/containers/support/terminal.rs"]
pub(crate) mod terminal;
pub(crate) mod words;
pub(crate) mod yard;

use std::process::ExitCode;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use words::Words;
use yard::Yard;

pub(crate) type Failure = Box<dyn std::error::Error>;

/// Runs a bench with a place for its containers and with the words of its command line.
///
/// It runs in a process of its own. This one waits for its end, whatever that is, and then takes
/// away what it has left.
pub(crate) fn run(bench: fn(&Yard, &Words) -> Result<(), Failure>) -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match words.as_slice() {
        [word, dir, words @ ..] if word == yard::WORK => {
            Words::parse(words).and_then(|words| bench(&Yard::at(dir.as_ref()), &words))
        }
        words => guarded(words),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("failed: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Reports where containers cannot be run.
fn guarded(words: &[String]) -> Result<(), Failure> {
    Words::parse(words)?;
    let root = nix::unistd::geteuid().is_root();
    if !root || leftovers::cgroup_mounts().is_empty() || !cfg!(target_arch = "x86_64") {
        println!("skipped: needs root, a cgroup file system and an x86_64 machine");
        return Ok(());
    }
    keep_run_in_memory()?;
    let yard = Yard::lay_out()?;
    let ended = yard.guard(words);
    yard.clear();
    match ended? {
        it if it.success() => Ok(()),
        it => Err(it.to_string().into()),
    }
}

/// Mounts a `/run` of this process's own in memory, as every host with systemd has one: all engines
/// keep their state there.
fn keep_run_in_memory() -> Result<(), Failure> {
    if statfs("/run")?.filesystem_type() == TMPFS_MAGIC {
        return Ok(());
    }
    let none = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(none, "/", none, MsFlags::MS_PRIVATE | MsFlags::MS_REC, none)?;
    Ok(mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, none)?)
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

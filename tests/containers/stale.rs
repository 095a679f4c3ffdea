//! What the screen shows when the sampler's thread hangs.

use std::fs;

use crate::support::screen::{ENTER, ESCAPE, Screen};
use crate::support::{Lxcpath, can_run_containers};
use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

/// A thread that is stopped by a tracer, as in a debugger, until this is dropped.
struct Held(Pid);

impl Held {
    /// Stops only the thread of `process` that is called `name`.
    fn stop(process: i32, name: &str) -> Self {
        let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap().flatten();
        let is_called =
            |it: &fs::DirEntry| fs::read_to_string(it.path().join("comm")).unwrap().trim() == name;
        let task = tasks.into_iter().find(is_called).unwrap();
        let thread = Pid::from_raw(task.file_name().to_str().unwrap().parse().unwrap());
        ptrace::seize(thread, ptrace::Options::empty()).unwrap();
        ptrace::interrupt(thread).unwrap();
        waitpid(thread, Some(WaitPidFlag::__WALL)).unwrap();
        Self(thread)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // The screen may have ended meanwhile, if the test fails.
        _ = ptrace::detach(self.0, None);
    }
}

#[test]
fn a_hanging_sampler_is_reported_and_keys_still_work() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.start_sleeper("stale");
    for (cols, rows) in [(120, 36), (80, 24), (40, 10)] {
        let mut screen = Screen::spawn(lxcpath.command(&[]), cols, rows);
        screen.wait_until("the row", |it| it.contains("● ") && it.contains("RUNNING"));
        let held = Held::stop(screen.pid(), "sampler");
        screen.wait_for("no new data for");
        screen.wait_for(&format!("? {name}"));
        screen.keys(ENTER);
        screen.wait_for("Overview");
        screen.keys("?");
        screen.wait_for("type to search");
        screen.keys(ESCAPE);
        screen.wait_gone("type to search");
        // The clock keeps running.
        screen.wait_until("a banner that counts on", |it| {
            let (_, after) = it.split_once("no new data for ").unwrap_or_default();
            after.split(' ').next().unwrap().parse().is_ok_and(|it: u32| it > 4)
        });
        screen.keys("gc");
        drop(held);
        screen.wait_gone("no new data");
        screen.wait_until("the row", |it| it.contains("● ") && it.contains("RUNNING"));
        screen.keys("q");
        assert!(screen.exit().success(), "{cols}x{rows}");
        screen.assert_restored();
    }
}

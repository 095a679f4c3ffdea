//! What wharf may cost, in system calls: unlike times these do not depend on the machine's load, except
//! where it polls for an end. A bound is a little above what was counted when it was set, so that a
//! change that costs more is made knowingly. `benches/` measures the rest.

use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use crate::support::screen::{ENTER, Screen};
use crate::support::{Lxcpath, can_run_containers, counted, rootfs};

/// How often each is counted: what other tests do at the same time may only add to it.
const TIMES: usize = 3;

/// How long a screen is watched.
const SECONDS: Duration = Duration::from_secs(4);

/// Containers whose increase is counted; as many again are started for the second count.
const STEP: usize = 4;

/// Runs a test where `/run` and the network are its own, so that it finds no events and no sockets of
/// other tests. Its threads and children see that, too.
fn apart(test: fn(&Lxcpath)) {
    if !can_run_containers() {
        return;
    }
    let own = || {
        let none: Option<&str> = None;
        unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET).unwrap();
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), none).unwrap();
        test(&Lxcpath::new());
    };
    std::thread::scope(|scope| {
        if let Err(panic) = scope.spawn(own).join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Counts what a command of wharf takes.
fn count(lxcpath: &Lxcpath, args: &[&str]) -> usize {
    (0..TIMES).map(|_| counted::calls(&lxcpath.command(args))).min().unwrap()
}

/// What was counted, and how much it may be at most.
#[derive(Default)]
struct Bill(Vec<(String, usize, usize)>);

impl Bill {
    fn add(&mut self, what: &str, calls: usize, bound: usize) {
        println!("{what}: {calls} calls, at most {bound}");
        self.0.push((what.to_owned(), calls, bound));
    }

    /// Fails with all that costs too much.
    fn check(self) {
        let dear: Vec<_> = self.0.iter().filter(|(_, calls, bound)| calls > bound).collect();
        assert!(dear.is_empty(), "more calls than before, with the bound: {dear:#?}");
    }
}

/// Starts so many more containers.
fn start(lxcpath: &Lxcpath, first: usize) {
    let names: Vec<String> =
        (first..first + STEP).map(|it| lxcpath.name(&format!("{it}"))).collect();
    for name in &names {
        lxcpath.ok(&["create", name]);
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    lxcpath.ok(&[&["start"], &*names, &["--", "/bin/sleep", "1000"]].concat());
}

#[test]
fn a_list_reads_for_each_container_what_its_columns_need() {
    apart(|lxcpath| {
        let lists: [(&[&str], usize); 4] = [
            (&["ls", "-1"], 25),
            (&["lxc", "ls", "-1"], 25),
            (&["ls", "-F", "name,state,ram,cpu"], 37),
            (&["ls", "-F", ALL], 90),
        ];
        start(lxcpath, 0);
        let few = lists.map(|(list, _)| count(lxcpath, list));
        start(lxcpath, STEP);
        let mut bill = Bill::default();
        for ((list, bound), few) in lists.into_iter().zip(few) {
            let each = count(lxcpath, list).saturating_sub(few) / STEP;
            bill.add(&format!("{}, a container", list.join(" ")), each, bound);
        }
        bill.check();
    });
}

const ALL: &str =
    "name,state,since,pid,cpu,ram,max,pids,exit,rootfs,ipv4,ipv6,interface,origin,trouble";

#[test]
fn a_command_about_one_container_reads_little() {
    apart(|lxcpath| {
        let name = lxcpath.start_sleeper("one");
        let commands: [(&[&str], usize); 6] = [
            (&["info", "-s", &name], 190),
            (&["info", &name], 400),
            (&["wait", &name, "-s", "RUNNING"], 160),
            (&["freeze", &name], 250),
            (&["unfreeze", &name], 250),
            (&["attach", &name, "--", "/bin/true"], 750),
        ];
        let mut bill = Bill::default();
        for (command, bound) in commands {
            bill.add(&command.join(" "), count(lxcpath, command), bound);
        }
        bill.check();
    });
}

/// Creates a container with a root of its own, and returns its name and the setting of its root.
fn short(lxcpath: &Lxcpath) -> Option<(String, String)> {
    let name = lxcpath.name("short");
    let root = lxcpath.path().join("root");
    if !rootfs::busybox(&root) {
        return None;
    }
    let path = format!("lxc.rootfs.path=dir:{}", root.display());
    lxcpath.ok(&["create", &name, "-s", &path]);
    Some((name, path))
}

/// Its start, its end and the clean-up: the command, the supervisor, and what becomes init.
#[test]
fn a_container_that_ends_at_once_costs_little() {
    apart(|lxcpath| {
        let Some((name, _)) = short(lxcpath) else { return };
        let commands: [(&[&str], usize); 3] =
            [(&["start", "-F"], 1170), (&["start"], 1590), (&["execute"], 1240)];
        let mut bill = Bill::default();
        for (command, bound) in commands {
            let calls = count(lxcpath, &[command, &[&name, "--", "/bin/true"]].concat());
            bill.add(&format!("{} to exit", command.join(" ")), calls, bound);
        }
        bill.check();
    });
}

/// So many containers that it does not matter how often a run looks whether something has ended.
const BESIDE: usize = 20;

/// A run looks at its own container alone.
#[test]
fn a_run_costs_the_same_beside_many_containers() {
    apart(|lxcpath| {
        let Some((name, path)) = short(lxcpath) else { return };
        let runs: [&[&str]; 2] = [&["start", "-F", &name], &["execute", &name]];
        let counts = || runs.map(|it| count(lxcpath, &[it, &["--", "/bin/true"]].concat()));
        let alone = counts();
        for it in 0..BESIDE {
            lxcpath.ok(&["create", &lxcpath.name(&format!("{it}")), "-s", &path]);
        }
        let mut bill = Bill::default();
        for ((run, alone), calls) in runs.into_iter().zip(alone).zip(counts()) {
            let each = calls.saturating_sub(alone) / BESIDE;
            bill.add(&format!("{}, a container beside it", run.join(" ")), each, 5);
        }
        bill.check();
    });
}

#[test]
fn a_kill_costs_little() {
    apart(|lxcpath| {
        let name = lxcpath.start_sleeper("killed");
        let mut calls = Vec::new();
        for _ in 0..TIMES {
            calls.push(counted::calls(&lxcpath.command(&["stop", "-k", &name])));
            lxcpath.ok(&["start", &name, "--", "/bin/sleep", "1000"]);
        }
        let mut bill = Bill::default();
        // With room for what it reads while it waits for the end, longer on a busy machine.
        bill.add("stop -k", calls.into_iter().min().unwrap(), 900);
        bill.check();
    });
}

/// A second of the list, and of an open container, with nothing happening.
#[test]
fn a_screen_that_shows_nothing_new_reads_little() {
    apart(|lxcpath| {
        start(lxcpath, 0);
        let mut screen = Screen::spawn(lxcpath.command(&[]), 120, 36);
        screen.wait_for_row(&lxcpath.name("0"));
        let mut bill = Bill::default();
        for (keys, view, bound) in [("", "list", 150), (ENTER, "container", 900)] {
            screen.keys(keys);
            // What is read once is read then.
            screen.settle_for(SECONDS);
            let calls = counted::calls_of(screen.pid(), SECONDS) / SECONDS.as_secs() as usize;
            bill.add(&format!("{view}, a second"), calls, bound);
        }
        bill.check();
    });
}

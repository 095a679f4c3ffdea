//! Commands that get in each other's way, supervisors that do not answer, and readers that are slow:
//! nothing hangs, nothing breaks, and nothing is lost. As root.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Beside, Lxcpath, can_run_containers, finish, text, told, wait_until};

/// How long any command may take about a supervisor that does not answer, far below the patience of
/// [`finish`], after which one hangs: machines under load and emulated ones are slow.
const AT_ONCE: Duration = Duration::from_secs(20);

/// What each command is called with, `NAME` for the container and `NOWHERE` for a path that is not there. Those without a container are not here.
const COMMANDS: &[(&str, &str)] = &[
    ("ls", ""),
    ("info", "NAME"),
    ("ps", "NAME"),
    ("top", "-c 1"),
    ("create", "NAME"),
    ("start", "NAME"),
    ("autostart", "-L -a -A"),
    ("execute", "NAME -- true"),
    ("stop", "-t 1 NAME"),
    ("restart", "-t 1 NAME"),
    ("freeze", "NAME"),
    ("unfreeze", "NAME"),
    ("checkpoint", "NAME NOWHERE"),
    ("restore", "NAME NOWHERE"),
    ("destroy", "NAME"),
    ("trash", ""),
    ("clone", "NAME NAME-copy"),
    ("rename", "NAME NAME-new"),
    ("snapshot", "NAME"),
    ("console", "NAME"),
    ("attach", "NAME -- true"),
    ("cgroup", "NAME pids.max"),
    ("signal", "NAME 1 TERM"),
    ("logs", "NAME"),
    ("monitor", "-t 0.1"),
    ("wait", "-s STOPPED -t 0 NAME"),
    ("config", "get NAME lxc.tty.max"),
];
/// Those that have nothing to do with a container.
const WITHOUT: [&str; 4] = ["checkconfig", "link", "completion", "man"];
/// The same for LXC's names.
const OF_LXC: &[(&str, &str)] = &[
    ("attach", "-n NAME -- true"),
    ("cgroup", "-n NAME pids.max"),
    ("checkpoint", "-n NAME -D NOWHERE -s"),
    ("console", "-n NAME"),
    ("copy", "-n NAME -N NAME-copy"),
    ("destroy", "-n NAME"),
    ("device", "-n NAME add /dev/null"),
    ("execute", "-n NAME -- true"),
    ("freeze", "-n NAME"),
    ("info", "-n NAME"),
    ("ls", "-f"),
    ("netstat", "-n NAME"),
    ("priority", "-n NAME"),
    ("ps", "-n NAME"),
    ("snapshot", "-n NAME"),
    ("start", "-n NAME"),
    ("stop", "-n NAME -t 1"),
    ("unfreeze", "-n NAME"),
    ("wait", "-n NAME -s STOPPED -t 0"),
];

/// A container whose supervisor a signal has stopped; it continues when this is dropped.
struct Halted {
    supervisor: Pid,
}

impl Halted {
    fn start(lxcpath: &Lxcpath, name: &str) -> Self {
        let file = lxcpath.path().join("pid");
        let path = file.to_str().unwrap();
        lxcpath.ok(&["lxc", "start", "-n", name, "-p", path, "--", "/bin/sleep", "1000"]);
        let supervisor = fs::read_to_string(&file).unwrap().trim().parse().unwrap();
        fs::remove_file(&file).unwrap();
        let supervisor = Pid::from_raw(supervisor);
        kill(supervisor, Signal::SIGSTOP).unwrap();
        Self { supervisor }
    }
}

impl Drop for Halted {
    fn drop(&mut self) {
        // A command may have ended it.
        _ = kill(self.supervisor, Signal::SIGCONT);
    }
}

/// Runs a command whose words are separated by blanks, and returns how long it took.
fn timed(lxcpath: &Lxcpath, line: &str, name: &str) -> (Output, Duration) {
    let nowhere = lxcpath.path().join("nowhere").display().to_string();
    let line = line.replace("NAME", name).replace("NOWHERE", &nowhere);
    let words: Vec<&str> = line.split_whitespace().collect();
    let begun = Instant::now();
    let output = lxcpath.wharf(&words);
    (output, begun.elapsed())
}

#[test]
fn every_command_answers_about_a_supervisor_that_is_stopped_and_says_so() {
    if !can_run_containers() {
        return;
    }
    for it in wharf::command::COMMANDS {
        let listed = COMMANDS.iter().any(|(name, _)| *name == it.name);
        assert!(listed || WITHOUT.contains(&it.name), "{} is not tried", it.name);
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("halted");
    lxcpath.ok(&["create", &name]);
    let halted = Halted::start(&lxcpath, &name);
    let own = COMMANDS.iter().map(|(verb, rest)| format!("{verb} {rest}"));
    let of_lxc = OF_LXC.iter().map(|(verb, rest)| format!("lxc {verb} {rest}"));
    for line in own.chain(of_lxc) {
        let (output, took) = timed(&lxcpath, &line, &name);
        assert!(took < AT_ONCE, "{line} took {took:?}: {}", told(&output));
        let asks = ["stop", "restart", "freeze", "unfreeze", "console", "attach", "logs"];
        if asks.iter().any(|it| line.starts_with(it)) {
            let said = text(&output.stderr);
            let cure = format!("kill -CONT {}", halted.supervisor);
            assert!(!output.status.success() && said.contains(&cure), "{line}: {}", told(&output));
        }
    }
    assert_eq!(lxcpath.state(&name), "RUNNING", "nothing has harmed it");
    for line in ["stop -k NAME", "destroy -f --now NAME"] {
        let (output, took) = timed(&lxcpath, line, &name);
        assert!(output.status.success() && took < AT_ONCE, "{line} {took:?}: {}", told(&output));
        if line.starts_with("stop") {
            Halted::start(&lxcpath, &name);
        }
    }
}

/// Pairs of commands that are called at once, with what brings the container into the state for them.
/// The third says how many of both may succeed.
const PAIRS: &[(&[&str], &str, std::ops::RangeInclusive<usize>)] = &[
    (&[], "create NAME", 1..=1),
    (&["create NAME"], "start NAME -- /bin/sleep 1000", 1..=1),
    (&["create NAME"], "execute NAME -- /bin/sleep 0.2", 1..=2),
    (&["create NAME", "start NAME -- /bin/sleep 1000"], "stop -k NAME", 1..=2),
    (&["create NAME", "start NAME -- /bin/sleep 1000"], "freeze NAME", 1..=2),
    (&["create NAME", "start NAME -- /bin/sleep 1000", "freeze NAME"], "unfreeze NAME", 1..=2),
    (&["create NAME", "start NAME -- /bin/sleep 1000"], "restart -t 5 NAME", 1..=2),
    (&["create NAME", "start NAME -- /bin/sleep 1000"], "cgroup NAME pids.max 100", 1..=2),
    (&["create NAME"], "destroy --now NAME", 1..=1),
    (&["create NAME"], "destroy NAME", 1..=1),
    (&["create NAME", "destroy NAME"], "trash restore NAME", 1..=1),
    (&["create NAME"], "clone NAME NAME-2", 1..=1),
    (&["create NAME"], "rename NAME NAME-2", 1..=1),
    (&["create NAME"], "snapshot NAME", 1..=2),
    (&["create NAME", "snapshot NAME"], "snapshot NAME restore snap0", 1..=2),
    (&["create NAME", "snapshot NAME"], "snapshot NAME delete snap0", 1..=1),
    (&["create NAME"], "config set NAME lxc.tty.max 3", 1..=2),
];

/// How often each pair is tried; `$WHARF_ROUNDS` says otherwise.
const ROUNDS: usize = 3;

#[test]
fn of_two_of_a_command_at_once_one_wins_and_nothing_breaks() {
    if !can_run_containers() {
        return;
    }
    let rounds = std::env::var("WHARF_ROUNDS").ok().and_then(|it| it.parse().ok());
    let mut won = BTreeMap::new();
    for round in 0..rounds.unwrap_or(ROUNDS) {
        for (first, command, both) in PAIRS {
            let lxcpath = Lxcpath::new();
            let name = lxcpath.name("two");
            for line in *first {
                let output = timed(&lxcpath, line, &name).0;
                assert!(output.status.success(), "{line}: {}", told(&output));
            }
            let line = command.replace("NAME", &name);
            let words: Vec<&str> = line.split_whitespace().collect();
            let outputs = std::thread::scope(|scope| {
                let run = || lxcpath.wharf(&words);
                let other = scope.spawn(run);
                [run(), other.join().unwrap()]
            });
            let succeeded = outputs.iter().filter(|it| it.status.success()).count();
            let said = outputs.iter().map(told).collect::<Vec<_>>().join("and\n");
            assert!(both.contains(&succeeded), "round {round}, {line}: {said}");
            for it in outputs.iter().filter(|it| !it.status.success()) {
                // Never a panic, a signal, or nothing.
                let said = text(&it.stderr);
                assert!(
                    said.starts_with("wharf: ") && it.status.code().is_some(),
                    "{line}: {said}"
                );
            }
            *won.entry((*command, succeeded)).or_insert(0) += 1;
            // Whatever has won, the next command finds it in order; dropping it finds what is left.
            let listed = lxcpath.wharf(&["ls", "--json"]);
            assert!(listed.status.success(), "{line}: {}", told(&listed));
        }
    }
    println!("{won:?}");
}

/// How many states a container enters.
const CHANGES: usize = 4000;

#[test]
fn a_slow_reader_of_the_monitor_loses_and_doubles_nothing() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.start_sleeper("fast");
    let mut command = lxcpath.command(&["monitor", "--format", "{from} {to}", &name]);
    let command = command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut monitor = Beside(command.spawn().unwrap());
    let mut output = monitor.0.stdout.take().unwrap();
    // Nobody reads the pipe until all has happened, so that the monitor itself has to wait.
    let mut read = String::new();
    let mut piece = [0; 4096];
    wait_until("the monitor follows", || {
        lxcpath.ok(&["freeze", &name]);
        lxcpath.ok(&["unfreeze", &name]);
        let mut fds = [nix::poll::PollFd::new(
            std::os::fd::AsFd::as_fd(&output),
            nix::poll::PollFlags::POLLIN,
        )];
        nix::poll::poll(&mut fds, 100_u16).unwrap() > 0
    });
    let engine = wharf::engine::Engine::open(Some(lxcpath.path()));
    let parsed = name.parse().unwrap();
    let begun = Instant::now();
    for _ in 0..CHANGES / 4 {
        engine.freeze(&parsed).unwrap();
        engine.unfreeze(&parsed).unwrap();
    }
    let took = begun.elapsed();
    lxcpath.ok(&["stop", "-k", &name]);
    while !read.contains("STOPPING STOPPED") {
        let count = output.read(&mut piece).unwrap();
        assert!(count > 0, "the monitor ended before the container: {read}");
        read.push_str(&text(&piece[..count]));
    }
    kill(Pid::from_raw(monitor.0.id().cast_signed()), Signal::SIGINT).unwrap();
    drop(output);
    monitor.0.wait().unwrap();
    let changes: Vec<(&str, &str)> =
        read.lines().filter_map(|it| it.split_once(' ')).filter(|it| it.0 != "-").collect();
    // Each begins where the one before has ended: none is missing, and none is there twice.
    for pair in changes.windows(2) {
        assert_eq!(pair[0].1, pair[1].0, "{pair:?}");
    }
    let frozen = changes.iter().filter(|it| it.1 == "FROZEN").count();
    assert!(frozen >= CHANGES / 4, "{frozen}");
    println!("{CHANGES} changes in {took:?}");
}

#[test]
fn a_lock_that_is_held_is_reported_at_once() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let [name, copy] = ["from", "to"].map(|it| lxcpath.name(it));
    let hook = format!(
        "lxc.hook.clone=/bin/sh -c 'echo > {}/in; exec sleep 1000' --",
        lxcpath.path().display()
    );
    let root = lxcpath.path().join("root");
    fs::create_dir(&root).unwrap();
    lxcpath.ok(&["create", &name, "--dir", root.to_str().unwrap(), "-s", &hook]);
    let mut cloning = lxcpath.command(&["clone", &name, &copy]);
    let mut cloning = Beside(cloning.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    wait_until("the hook runs", || lxcpath.path().join("in").exists());
    for line in
        ["start NAME", "destroy NAME", "rename NAME NAME-2", "config set NAME lxc.tty.max 1"]
    {
        let (output, took) = timed(&lxcpath, line, &name);
        assert!(!output.status.success() && took < AT_ONCE, "{line} {took:?}: {}", told(&output));
    }
    kill(Pid::from_raw(cloning.0.id().cast_signed()), Signal::SIGINT).unwrap();
    assert!(!cloning.0.wait().unwrap().success());
    assert!(!lxcpath.path().join(&copy).exists());
    fs::remove_file(lxcpath.path().join("in")).unwrap();
    fs::remove_dir(&root).unwrap();
    let mut list = lxcpath.command(&["ls", "-1"]);
    list.stdin(Stdio::null());
    assert_eq!(text(&finish(list).stdout).trim(), name);
}

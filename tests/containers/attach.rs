//! Commands that are run in a container from outside, by `attach` and `execute`: their
//! surroundings, signals and output.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::screen::Screen;
use crate::support::{
    Lxcpath, can_run_containers, finish, leftovers, rootfs, text, told, wait_until,
};
use nix::pty::openpty;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A container with busybox in a root of its own.
struct Box {
    lxcpath: Lxcpath,
    name: String,
    root: tempfile::TempDir,
}

impl Box {
    /// None: this machine cannot run the test, which is reported.
    fn new(word: &str) -> Option<Self> {
        let root = tempfile::tempdir().unwrap();
        if !can_run_containers() || !rootfs::busybox(root.path()) {
            return None;
        }
        let lxcpath = Lxcpath::new();
        let name = lxcpath.name(word);
        lxcpath.ok(&["create", &name, "--dir", root.path().to_str().unwrap()]);
        Some(Self { lxcpath, name, root })
    }

    fn start(&self, settings: &[&str]) {
        let mut args = vec!["start", &self.name];
        args.extend(settings.iter().flat_map(|it| ["-s", it]));
        args.extend(["--", "/bin/sleep", "1000"]);
        self.lxcpath.ok(&args);
    }

    fn attach(&self, script: &str) -> Command {
        self.lxcpath.command(&["attach", &self.name, "--", "/bin/sh", "-c", script])
    }

    /// Runs it without a terminal and returns what it printed.
    fn says(&self, script: &str) -> String {
        let output = finish(self.attach(script));
        assert!(output.status.success(), "{script}: {}", told(&output));
        text(&output.stdout)
    }

    /// Counts the processes in the container.
    fn processes(&self) -> usize {
        self.lxcpath.ok(&["ps", &self.name]).lines().count()
    }
}

/// A script that prints which signal it got and exits with 9.
const TELL: &str = "for s in INT QUIT HUP TERM USR1 USR2; do trap \"echo got $s; exit 9\" $s; done
    echo ready; while :; do sleep 0.1; done";

/// Starts a command, waits until it is ready, sends it a signal and returns the rest and its code.
fn signalled(mut command: Command, signal: Signal) -> (String, Option<i32>) {
    let mut child: Child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    (rest, child.wait().unwrap().code())
}

const SIGNALS: [Signal; 6] = [
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGHUP,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
];

#[test]
fn the_command_receives_the_signals_of_its_client() {
    let Some(guest) = Box::new("signals") else { return };
    for signal in SIGNALS {
        let got = format!("got {}\n", signal.as_str().trim_start_matches("SIG"));
        let execute = guest.lxcpath.command(&["execute", &guest.name, "--", "/bin/sh", "-c", TELL]);
        assert_eq!(signalled(execute, signal), (got.clone(), Some(9)), "execute {signal}");
    }
    guest.start(&[]);
    let before = guest.processes();
    for signal in SIGNALS {
        let got = format!("got {}\n", signal.as_str().trim_start_matches("SIG"));
        assert_eq!(signalled(guest.attach(TELL), signal), (got, Some(9)), "attach {signal}");
        // A command without a handler dies of it, inside, too.
        let sleep = ["attach", &guest.name, "--", "/bin/sleep", "1234"];
        let mut client = guest.lxcpath.command(&sleep).spawn().unwrap();
        // Its process exists before it executes the command, with the client's command line.
        wait_until("the command", || {
            let shown = guest.lxcpath.ok(&["ps", &guest.name]);
            shown.lines().any(|it| it.contains("1234") && !it.contains("attach"))
        });
        kill(Pid::from_raw(client.id().cast_signed()), signal).unwrap();
        assert_eq!(client.wait().unwrap().code(), Some(128 + signal as i32), "{signal}");
    }
    assert_eq!(guest.processes(), before);
}

#[test]
fn a_window_has_its_size_when_the_command_starts() {
    let Some(guest) = Box::new("size") else { return };
    let size = ["/bin/stty", "size"];
    let check = |args: &[&str]| {
        for _ in 0..10 {
            let command = guest.lxcpath.command(&[args, &[&guest.name, "--"], &size].concat());
            let mut screen = Screen::spawn(command, 133, 41);
            screen.wait_for("41 133");
            screen.exit();
        }
    };
    check(&["execute"]);
    check(&["start", "-F"]);
    guest.start(&[]);
    check(&["attach"]);
}

#[test]
fn without_a_console_the_command_is_seen_all_the_same() {
    let Some(guest) = Box::new("none") else { return };
    let script = "tty; ls /dev/console; stty size; read word; echo got-$word; sleep 1000";
    let set = "lxc.console.path=none";
    for verb in [&["execute"][..], &["start", "-F"]] {
        let rest = [&guest.name, "-s", set, "--", "/bin/sh", "-c", script];
        let command = guest.lxcpath.command(&[verb, &rest].concat());
        let mut screen = Screen::spawn(command, 99, 33);
        screen.wait_for("33 99");
        // A terminal of the container's, never the operator's.
        assert!(screen.contents().contains("/dev/pts/0"), "{}", screen.contents());
        assert!(screen.contents().contains("/dev/console: No such file"), "{}", screen.contents());
        screen.keys_until("this\r", "got-this");
        guest.lxcpath.ok(&["stop", "-k", &guest.name]);
        screen.exit();
    }
    // In the background there is nobody to see it.
    guest.start(&[set]);
    let init = guest.lxcpath.ok(&["info", "-pH", &guest.name]);
    let input = fs::read_link(format!("/proc/{}/fd/0", init.trim())).unwrap();
    assert_eq!(input, Path::new("/dev/null"));
}

#[test]
fn what_a_command_leaves_in_the_background_outlives_it() {
    let Some(guest) = Box::new("daemon") else { return };
    let args =
        ["execute", &guest.name, "--", "/bin/sh", "-c", "(sleep 0.5; echo on > /on) & exit 3"];
    let check = |code| {
        assert_eq!(code, 3);
        let file = guest.root.path().join("on");
        assert_eq!(fs::read_to_string(&file).unwrap(), "on\n");
        fs::remove_file(file).unwrap();
    };
    let output = guest.lxcpath.command(&args).stdin(Stdio::null()).output().unwrap();
    check(output.status.code().unwrap());
    let mut screen = Screen::spawn(guest.lxcpath.command(&args), 80, 24);
    check(screen.exit().code().unwrap());
}

#[test]
fn a_key_that_stops_leaves_no_terminal_without_an_answer() {
    let Some(guest) = Box::new("stopped") else { return };
    let script = "trap 'exit 7' INT; echo ready; while :; do sleep 0.1; done";
    let args = ["execute", &guest.name, "--", "/bin/sh", "-c", script];
    let mut screen = Screen::spawn(guest.lxcpath.command(&args), 80, 24);
    screen.wait_for("ready");
    screen.keys("\x1a");
    screen.wait_for("^Z");
    screen.keys("\x03");
    assert_eq!(screen.exit().code(), Some(7));
}

#[test]
fn a_command_has_its_terminal_where_its_input_is_a_pipe() {
    let Some(guest) = Box::new("piped") else { return };
    let script = "read it; echo \"$it\" > /dev/tty";
    let args = ["execute", &guest.name, "--", "/bin/sh", "-c", script];
    let wharf = guest.lxcpath.command(&args);
    let mut shell = Command::new("sh");
    shell.args(["-c", "echo pip''ed | \"$@\"", "sh"]);
    shell.arg(wharf.get_program()).args(wharf.get_args());
    let mut screen = Screen::spawn(shell, 80, 24);
    screen.wait_for("piped");
    assert_eq!(screen.exit().code(), Some(0));
}

#[test]
fn what_a_terminal_echoes_is_not_what_a_command_says() {
    let Some(guest) = Box::new("echo") else { return };
    guest.start(&[]);
    let pty = openpty(None, None).unwrap();
    let mut attach = guest.attach("read a; echo got $a");
    attach.stdin(Stdio::from(pty.slave.try_clone().unwrap()));
    let mut operator = File::from(pty.master);
    operator.write_all(b"word\n").unwrap();
    let output = finish(attach);
    assert_eq!(text(&output.stdout), "got word\n", "{}", told(&output));
}

#[test]
fn the_containers_environment_reaches_what_is_attached() {
    let Some(guest) = Box::new("variables") else { return };
    guest.start(&["lxc.environment=FOO=bar", "lxc.environment=TWO=1", "lxc.environment=TWO=2"]);
    assert_eq!(guest.says("echo $FOO $TWO"), "bar 2\n");
    let mut given = guest.lxcpath.command(&["attach", &guest.name, "-v", "FOO=mine", "--"]);
    given.args(["/bin/sh", "-c", "echo $FOO"]);
    assert_eq!(text(&finish(given).stdout), "mine\n");
}

#[test]
fn no_number_that_means_no_change_is_a_user_or_group() {
    let Some(guest) = Box::new("nobody") else { return };
    let refused = |verb: &str| {
        for (option, none) in
            [("-u", "4294967295"), ("-g", "4294967295"), ("-u", "-1"), ("-g", "-1")]
        {
            let said =
                guest.lxcpath.refused(&[verb, option, none, &guest.name, "--", "/bin/id"], 1);
            assert!(said.contains("user or group"), "{said}");
        }
    };
    refused("execute");
    for key in ["lxc.init.uid", "lxc.init.gid"] {
        let setting = format!("{key}=4294967295");
        guest.lxcpath.refused(&["execute", &guest.name, "-s", &setting, "--", "/bin/id"], 1);
    }
    guest.start(&[]);
    refused("attach");
}

#[test]
fn nobody_waits_for_a_frozen_container() {
    let Some(guest) = Box::new("frozen") else { return };
    guest.start(&[]);
    let args = ["attach", &guest.name, "--", "/bin/touch", "/tmp/ran"];
    let refused = || {
        let said = guest.lxcpath.refused(&args, 1);
        assert!(said.contains("it is frozen") && said.contains("unfreeze"), "{said}");
    };
    guest.lxcpath.ok(&["freeze", &guest.name]);
    refused();
    guest.lxcpath.ok(&["unfreeze", &guest.name]);
    // By a process that its supervisor does not know about.
    let mut groups = leftovers::cgroups(&guest.name);
    groups.retain(|it| it.to_string_lossy().contains("lxc.payload."));
    let write = |file: &str, value: &str| -> bool {
        groups.iter().any(|it| it.join(file).exists() && fs::write(it.join(file), value).is_ok())
    };
    assert!(write("freezer.state", "FROZEN") || write("cgroup.freeze", "1"));
    refused();
    assert!(write("freezer.state", "THAWED") || write("cgroup.freeze", "0"));
    assert_eq!(guest.says("ls /tmp"), "");
}

#[test]
fn a_container_at_its_limit_of_processes_can_be_entered() {
    let Some(guest) = Box::new("full") else { return };
    guest.start(&["lxc.cgroup.pids.max=1", "lxc.cgroup2.pids.max=1"]);
    let hi = guest.lxcpath.ok(&["attach", &guest.name, "--", "/bin/echo", "hi"]);
    assert_eq!(hi, "hi\n");
    // The limit applies to what is in there.
    let output = finish(guest.attach("/bin/true; echo on"));
    assert!(text(&output.stderr).contains("fork"), "{}", told(&output));
    // Nothing was left outside of the container's groups.
    let groups = "cat /proc/self/cgroup";
    let full = guest.lxcpath.ok(&["attach", &guest.name, "--", "/bin/cat", "/proc/self/cgroup"]);
    guest.lxcpath.ok(&["cgroup", &guest.name, "pids.max", "100"]);
    assert_eq!(full, guest.says(groups));
}

#[test]
fn a_container_whose_init_makes_groups_of_its_own_can_be_entered() {
    let controllers = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
    if !controllers.contains("pids") {
        println!("skipped: no pure cgroup v2 here");
        return;
    }
    let Some(guest) = Box::new("groups") else { return };
    // As systemd does: it moves itself into a group below, and enables the controllers.
    let script = "mount -t cgroup2 none /tmp && mkdir /tmp/a && echo 0 > /tmp/a/cgroup.procs &&
        echo +pids > /tmp/cgroup.subtree_control && echo made > /made; exec sleep 1000";
    let powers = ["lxc.cap.drop=", "lxc.cap.drop=sys_module", "lxc.apparmor.profile=unconfined"];
    let powers = powers.map(|it| ["-s", it]).concat();
    let command = ["--", "/bin/sh", "-c", script];
    guest.lxcpath.ok(&[&["start", &guest.name], &powers[..], &command].concat());
    wait_until("the groups", || guest.root.path().join("made").exists());
    for _ in 0..2 {
        assert_eq!(guest.says("cat /proc/self/cgroup"), "0::/.lxc\n");
    }
    // Also when it is full.
    guest.lxcpath.ok(&["cgroup", &guest.name, "pids.max", "1"]);
    let cat = ["attach", &guest.name, "--", "/bin/cat", "/proc/self/cgroup"];
    assert_eq!(guest.lxcpath.ok(&cat), "0::/.lxc\n");
}

#[test]
fn an_init_of_ours_ignores_no_signal() {
    let Some(guest) = Box::new("ignored") else { return };
    let status = ["execute", &guest.name, "--", "/bin/cat", "/proc/1/status"];
    let status = guest.lxcpath.ok(&status);
    assert!(status.contains("SigIgn:\t0000000000000000"), "{status}");
    // Nothing of the operator's environment stays in it either.
    let mut execute = guest.lxcpath.command(&["execute", &guest.name]);
    execute.args(["-s", "lxc.cap.drop=", "-s", "lxc.cap.drop=sys_module", "--"]);
    execute.args(["/bin/cat", "/proc/1/environ"]).env("SECRET", "of-the-operator");
    let said = text(&finish(execute).stdout);
    assert!(!said.contains("of-the-operator"), "{said}");
}

#[test]
fn an_init_of_ours_shows_no_path_of_the_host() {
    let Some(guest) = Box::new("title") else { return };
    let lxcpath = guest.lxcpath.path().to_str().unwrap();
    let executed = ["execute", &guest.name, "--", "/bin/cat", "/proc/1/cmdline"];
    let sleep = ["lxc.execute.cmd=/bin/sleep 1000", "lxc.init.cmd=/bin/sleep 1000"];
    let shows = |shown: &str| {
        assert!(!shown.contains(lxcpath) && !shown.contains(&guest.name), "{shown:?}");
        assert_eq!(shown.trim_end_matches('\0'), "wharf-init");
    };
    shows(&guest.lxcpath.ok(&executed));
    guest.lxcpath.ok(&["start", &guest.name, "-s", sleep[0], "-s", sleep[1]]);
    shows(&guest.says("cat /proc/1/cmdline"));
    let tree = guest.lxcpath.ok(&["ps", &guest.name]);
    assert!(tree.lines().any(|it| it.ends_with(" wharf-init")), "{tree}");
    assert!(tree.lines().any(|it| it.ends_with("└─ /bin/sleep 1000")), "{tree}");
}

#[test]
fn what_runs_in_a_container_has_the_limits_of_its_caller_as_with_lxc() {
    let Some(guest) = Box::new("files") else { return };
    let limits = "ulimit -Sn; ulimit -Hn";
    let after = |args: &[&str]| {
        let mut shell = Command::new("/bin/sh");
        let wharf = guest.lxcpath.command(args);
        shell.args(["-c", "ulimit -Sn 77; exec \"$@\"", "sh"]);
        shell.arg(wharf.get_program()).args(wharf.get_args()).stdin(Stdio::null());
        text(&finish(shell).stdout)
    };
    let executed = after(&["execute", &guest.name, "--", "/bin/sh", "-c", limits]);
    assert_eq!(executed.lines().next(), Some("77"), "{executed}");
    guest.start(&[]);
    assert_eq!(after(&["attach", &guest.name, "--", "/bin/sh", "-c", limits]), executed);
}

#[test]
fn mounts_inside_are_shared_and_the_hosts_do_not_see_them() {
    let Some(guest) = Box::new("shared") else { return };
    guest.start(&[]);
    let table = guest.says("cat /proc/self/mountinfo");
    assert!(table.lines().any(|it| it.split(' ').nth(4) == Some("/")), "{table}");
    for line in table.lines() {
        assert!(line.contains(" shared:"), "{line}");
    }
}

#[test]
fn a_terminal_belongs_to_its_user_alone() {
    let Some(guest) = Box::new("owner") else { return };
    let look = "ls -lnL /dev/console";
    let args = ["execute", "-u", "7", "-g", "8", &guest.name, "--", "/bin/sh", "-c", look];
    let said = guest.lxcpath.ok(&args);
    assert!(said.starts_with("crw-------"), "{said}");
    assert_eq!(said.split_whitespace().nth(2), Some("7"), "{said}");
    guest.start(&[]);
    let args = ["attach", "-u", "7", &guest.name, "--", "/bin/sh", "-c", "ls -ln $(tty); echo end"];
    let mut screen = Screen::spawn(guest.lxcpath.command(&args), 80, 24);
    screen.wait_for("end");
    let seen = screen.contents();
    assert_eq!(seen.split_whitespace().nth(2), Some("7"), "{seen}");
    screen.exit();
}

#[test]
fn an_init_leaves_the_console_to_the_shell_that_it_starts() {
    let Some(guest) = Box::new("init") else { return };
    let etc = guest.root.path().join("etc/inittab");
    fs::write(etc, "console::respawn:-/bin/sh\n").unwrap();
    let busybox = guest.root.path().join("bin/busybox");
    rootfs::copy_program(busybox.to_str().unwrap(), &guest.root.path().join("sbin/init"));
    let command = guest.lxcpath.command(&["start", "-F", &guest.name, "--", "/sbin/init"]);
    let mut screen = Screen::spawn(command, 80, 24);
    screen.wait_for("#");
    screen.keys_until("tty < /dev/tty && echo job-$((40+2))\r", "job-42");
    assert!(!screen.contents().contains("job control turned off"), "{}", screen.contents());
    guest.lxcpath.ok(&["stop", "-k", &guest.name]);
    screen.exit();
}

#[test]
fn a_network_is_steered_only_by_who_administers_it() {
    let Some(guest) = Box::new("steer") else { return };
    let write = "echo 1 > /proc/sys/net/ipv4/ip_forward && echo written || echo refused";
    let execute = |settings: &[&str]| {
        let mut args = vec!["execute", &guest.name];
        args.extend(settings.iter().flat_map(|it| ["-s", it]));
        args.extend(["--", "/bin/sh", "-c", write]);
        text(&finish(guest.lxcpath.command(&args)).stdout)
    };
    assert_eq!(execute(&[]), "refused\n");
    assert_eq!(execute(&["lxc.cap.drop=", "lxc.cap.drop=sys_module"]), "written\n");
}

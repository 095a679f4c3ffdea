//! The console on the host: what `lxc.console.path` names shows it.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;

use crate::support::screen::Screen;
use crate::support::{self, Lxcpath, can_run_containers, wait_until};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::openpty;

/// Makes a container whose console is shown at `path`, and returns its name.
fn shown_at(lxcpath: &Lxcpath, word: &str, path: &str) -> String {
    let name = lxcpath.name(word);
    lxcpath.ok(&["create", &name, "-s", &format!("lxc.console.path={path}")]);
    name
}

#[test]
fn a_file_takes_what_the_console_says() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("console");
    let log = dir.path().join("log");
    let name = shown_at(&lxcpath, "file", path.to_str().unwrap());
    for word in ["once", "twice"] {
        let echo = format!("echo {word}");
        let log = log.to_str().unwrap();
        lxcpath.ok(&["start", &name, "-L", log, "--", "/bin/sh", "-c", &echo]);
        wait_until("its end", || lxcpath.state(&name) == "STOPPED");
    }
    for file in [&path, &log] {
        assert_eq!(fs::read_to_string(file).unwrap(), "once\r\ntwice\r\n");
    }
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_terminal_of_the_host_is_the_console() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let pty = openpty(None, None).unwrap();
    let path = nix::unistd::ttyname(&pty.slave).unwrap();
    let before = nix::sys::termios::tcgetattr(&pty.slave).unwrap();
    let name = shown_at(&lxcpath, "tty", path.to_str().unwrap());
    let script = "stty -echo; echo ready; read word; echo got-$word; read on";
    lxcpath.ok(&["start", &name, "--", "/bin/sh", "-c", script]);
    let mut operator = File::from(pty.master);
    let mut seen = String::new();
    let mut wait_for = |operator: &mut File, what: &str| {
        let mut piece = [0; 256];
        while !seen.contains(what) {
            let count = operator.read(&mut piece).unwrap();
            seen.push_str(&String::from_utf8_lossy(piece.get(..count).unwrap()));
        }
    };
    wait_for(&mut operator, "ready");
    operator.write_all(b"this\r").unwrap();
    wait_for(&mut operator, "got-this");
    operator.write_all(b"\r").unwrap();
    wait_until("its end", || lxcpath.state(&name) == "STOPPED");
    wait_until("the restored terminal", || {
        nix::sys::termios::tcgetattr(&pty.slave).unwrap() == before
    });
}

#[test]
fn who_logs_out_of_a_tty_stays_connected_to_it() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("tty");
    lxcpath.ok(&["create", &name, "-s", "lxc.tty.max=1"]);
    // Between two of them no process in the container has it open.
    let script = "for it in one two three; do
        { echo $it?; read word; } </dev/tty1 >/dev/tty1; sleep 0.1
    done; sleep 1000";
    lxcpath.ok(&["start", &name, "--", "/bin/sh", "-c", script]);
    let mut console = Screen::spawn(lxcpath.command(&["console", &name, "-t", "1"]), 80, 24);
    for it in ["one?", "two?", "three?"] {
        console.wait_for(it);
        console.keys("word\r");
    }
    lxcpath.ok(&["stop", "-k", &name]);
    assert!(console.exit().success());
}

#[test]
fn a_path_that_cannot_be_opened_refuses_the_start() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = shown_at(&lxcpath, "no", "/no/such/console");
    let said = lxcpath.refused(&["start", &name, "--", "/bin/sleep", "1000"], 1);
    assert!(said.contains("lxc.console.path /no/such/console"), "{said}");
    assert_eq!(lxcpath.state(&name), "STOPPED");
}

#[test]
fn no_link_or_second_name_in_a_directory_of_others_is_written_through() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let dir = tempfile::tempdir().unwrap();
    let (others, victim) = (dir.path().join("others"), dir.path().join("victim"));
    fs::create_dir(&others).unwrap();
    std::os::unix::fs::chown(&others, Some(65534), Some(65534)).unwrap();
    fs::create_dir(&victim).unwrap();
    fs::write(victim.join("file"), "mine").unwrap();
    std::os::unix::fs::symlink(&victim, others.join("logs")).unwrap();
    fs::hard_link(victim.join("file"), others.join("hard")).unwrap();
    for path in ["logs/new", "logs/file", "hard"] {
        let path = others.join(path);
        for key in ["lxc.console.logfile", "lxc.console.path"] {
            let name = lxcpath.name("log");
            lxcpath.ok(&["create", &name, "-s", &format!("{key}={}", path.display())]);
            lxcpath.refused(&["start", &name, "--", "/bin/echo", "theirs"], 1);
            lxcpath.ok(&["destroy", &name]);
        }
    }
    assert_eq!(fs::read_to_string(victim.join("file")).unwrap(), "mine");
    assert_eq!(fs::read_dir(&victim).unwrap().count(), 1);
}

#[test]
fn the_log_may_be_an_output_of_the_starting_process() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    for (path, is_stdout) in [("/dev/stdout", true), ("/dev/stderr", false)] {
        let name = lxcpath.name(path.rsplit('/').next().unwrap());
        lxcpath.ok(&["create", &name, "-s", &format!("lxc.console.logfile={path}")]);
        let say = ["--", "/bin/sh", "-c", "echo said > /dev/console"];
        let args = [&["start", "-F", &name][..], &say].concat();
        let output = lxcpath.wharf(&args);
        let expected = if is_stdout { ["said\r\n", ""] } else { ["", "said\r\n"] };
        let shown = support::told(&output);
        assert_eq!(
            [output.stdout, output.stderr].map(|it| support::text(&it)),
            expected,
            "{shown}"
        );
        // As for a systemd service: a socket.
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut command = lxcpath.command(&args);
        let theirs = std::os::fd::OwnedFd::from(theirs);
        if is_stdout {
            command.stdout(theirs)
        } else {
            command.stderr(theirs)
        };
        let mut child = command.spawn().unwrap();
        drop(command);
        let mut said = String::new();
        (&ours).read_to_string(&mut said).unwrap();
        assert!(child.wait().unwrap().success());
        assert_eq!(said, "said\r\n");
        // In the background there is nobody to read it.
        let args = [&["start", &name][..], &say].concat();
        assert_eq!(lxcpath.ok(&args), "");
        wait_until("its end", || lxcpath.state(&name) == "STOPPED");
    }
}

#[test]
fn the_shell_of_a_container_as_create_makes_it_controls_its_jobs() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let pty = openpty(None, None).unwrap();
    let path = nix::unistd::ttyname(&pty.slave).unwrap();
    let name = shown_at(&lxcpath, "jobs", path.to_str().unwrap());
    lxcpath.ok(&["start", &name]);
    let mut operator = File::from(pty.master);
    let mut seen = String::new();
    let mut answer = |typed: &str, what: &str| {
        operator.write_all(typed.as_bytes()).unwrap();
        let mut piece = [0; 256];
        while !seen.contains(what) {
            let mut fds = [PollFd::new(operator.as_fd(), PollFlags::POLLIN)];
            let ready = poll(&mut fds, PollTimeout::try_from(support::PATIENCE).unwrap()).unwrap();
            assert_eq!(ready, 1, "no {what} in {seen:?}");
            let count = operator.read(&mut piece).unwrap();
            seen.push_str(&String::from_utf8_lossy(piece.get(..count).unwrap()));
        }
    };
    // The awaited text does not occur in the typed, and echoed, text.
    answer("test $$ = 2 && tty > /dev/null && echo on-a-'tty'\r", "on-a-tty");
    // It starts no process: a shell whose child is stopped before its exec waits for that, and is
    // not stopped itself.
    let job = "trap 'echo re''sumed' CONT; echo be''gun; while :; do read line; done";
    answer(&format!("sh -c \"{job}\"\r"), "begun");
    answer("\x1a", "Stopped");
    // The second line ends a read that began after the signal, which would otherwise wait.
    answer("fg\r\r", "resumed");
    // The prompt says that the job has ended: until then it may read a part of what is typed next.
    answer("\x03", "^C\r\n# ");
    answer("echo af''ter-$?\r", "after-130");
    answer("exit 3\r", "exit 3");
    wait_until("its end", || lxcpath.state(&name) == "STOPPED");
    assert!(lxcpath.ok(&["info", &name]).contains("exit 3"));
}

//! The command line without containers: arguments, names, help, exit codes.

use std::fs;
use std::process::{Command, Output};

use crate::support::{Lxcpath, finish, text, told, tree};

/// Texts that are not container names, and would leave the lxcpath if they were used as one.
const BAD_NAMES: &[&str] = &[
    "",
    ".",
    "..",
    "../x",
    "a/b",
    "/abs",
    "a\nb",
    "\u{1b}[2J",
    "x\u{202e}y",
    "*",
    "a b",
    "$(id)",
    "é",
    "_a",
];

/// Each verb that takes a name, with what it needs besides.
const NAMED: &[(&str, &[&str])] = &[
    ("info", &[]),
    ("create", &[]),
    ("start", &[]),
    ("execute", &["--", "/bin/true"]),
    ("stop", &[]),
    ("freeze", &[]),
    ("unfreeze", &[]),
    ("destroy", &[]),
    ("console", &[]),
    ("attach", &["--", "/bin/true"]),
    ("cgroup", &["memory.max"]),
    ("wait", &["-s", "STOPPED", "-t", "0"]),
    ("ps", &[]),
];

fn wharf(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wharf"));
    command.args(args);
    finish(command)
}

#[test]
fn bad_names_are_refused_and_make_nothing() {
    let home = tempfile::tempdir().unwrap();
    let lxcpath = home.path().join("a/lxc");
    fs::create_dir_all(&lxcpath).unwrap();
    let before = tree(home.path());
    let long = "x".repeat(255);
    for name in BAD_NAMES.iter().copied().chain([long.as_str()]) {
        for (verb, rest) in NAMED {
            let path = lxcpath.to_str().unwrap();
            let args: Vec<&str> = [&["-P", path, verb, "-n", name], *rest].concat();
            let output = wharf(&args);
            let message = text(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{verb} {name:?}: {}", told(&output));
            assert!(message.starts_with("wharf: "), "{verb} {name:?}: {message}");
            assert!(!message.contains(['\u{1b}', '\u{202e}']), "{verb} {name:?}: {message:?}");
            assert_eq!(tree(home.path()), before, "{verb} {name:?} made something");
        }
    }
}

#[test]
fn a_name_that_looks_like_an_option_is_refused() {
    let lxcpath = Lxcpath::new();
    lxcpath.refused(&["create", "-rf"], 1);
    lxcpath.refused(&["destroy", "--", "-rf"], 1);
    assert!(tree(lxcpath.path()).is_empty());
}

#[test]
fn a_name_that_is_not_text_is_refused() {
    use std::os::unix::ffi::OsStrExt as _;
    let lxcpath = Lxcpath::new();
    let mut command = lxcpath.command(&["create"]);
    command.arg(std::ffi::OsStr::from_bytes(b"a\xff\x1b"));
    let output = finish(command);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("\\xff\\x1b"), "{}", told(&output));
}

#[test]
fn wrong_arguments_are_reported_in_one_line_with_a_hint() {
    for (args, part) in [
        (&["strat", "web"][..], "start"),
        (&["start"], "no container name"),
        (&["start", "web", "--bogus"], "--bogus"),
        (&["stop", "web", "-k", "--nokill"], "-k cannot be used with --nokill"),
        (&["stop", "web", "-t", "soon"], "soon"),
        (&["wait", "web"], "were not provided: --state <STATES>"),
        (&["wait", "web", "-s", "RUNING"], "RUNING"),
        (&["console", "web", "db"], "db"),
        (&["freeze", "web", "a/b"], "a/b"),
        (&["cgroup", "web", "a", "b", "c"], "NAME [FILE"),
        (&["execute", "web"], "no command"),
        (&["ls", "-F", "name,colour"], "colour"),
        (&["ls", "("], "regular expression"),
        (&["monitor", "("], "regular expression"),
        (&["console", "web", "-e", "^ab"], "^ab"),
        (&["create", "web", "-B", "zfs"], "zfs"),
        (&["create", "web", "-s", "novalue"], "KEY=VALUE"),
        (&["help", "fly"], "fly"),
    ] {
        let output = wharf(args);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {}", told(&output));
        assert!(message.starts_with("wharf: "), "{args:?}: {message}");
        assert!(message.contains(part), "{args:?}: {message}");
        assert!(message.lines().count() <= 2, "{args:?}: {message}");
        assert!(output.stdout.is_empty(), "{args:?}: {}", told(&output));
    }
}

#[test]
fn help_is_there_for_every_verb() {
    let overview = text(&wharf(&["--help"]).stdout);
    assert_eq!(text(&wharf(&["help"]).stdout), overview);
    for (verb, _) in NAMED {
        assert!(overview.contains(verb), "{verb}: {overview}");
        let output = wharf(&["help", verb]);
        assert!(output.status.success(), "{verb}: {}", told(&output));
        let help = text(&output.stdout);
        assert!(help.contains(&format!("wharf {verb} ")), "{verb}: {help}");
        assert!(help.contains("--name"), "{verb}: {help}");
    }
    assert!(!overview.contains("supervise"));
}

#[test]
fn other_words_for_a_verb_do_what_it_does_and_help_names_them() {
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("words");
    lxcpath.ok(&["new", &name]);
    assert!(lxcpath.ok(&["list"]).contains(&name));
    lxcpath.ok(&["rm", "--now", &name]);
    assert!(tree(lxcpath.path()).is_empty());
    let help = text(&wharf(&["help", "rm"]).stdout);
    assert!(help.contains("wharf destroy ") && help.contains("delete, rm"), "{help}");
}

#[test]
fn quiet_says_nothing_and_keeps_the_code() {
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("none");
    for args in [&["-q", "start", &name][..], &["start", "-q", &name]] {
        let output = lxcpath.wharf(args);
        assert_eq!(output.status.code(), Some(1), "{}", told(&output));
        assert!(output.stderr.is_empty() && output.stdout.is_empty(), "{}", told(&output));
    }
}

#[test]
fn a_container_that_does_not_exist_is_an_error() {
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("none");
    for args in [
        &["info", &name][..],
        &["start", &name],
        &["freeze", &name],
        &["destroy", &name],
        &["attach", &name, "--", "/bin/true"],
        &["cgroup", &name, "memory.max"],
        &["console", &name],
    ] {
        let message = lxcpath.refused(args, 1);
        assert!(message.contains(&name), "{args:?}: {message}");
    }
    lxcpath.refused(&["stop", &name], 2);
    lxcpath.ok(&["wait", &name, "-s", "STOPPED", "-t", "0"]);
    assert_eq!(lxcpath.wharf(&["wait", &name, "-s", "RUNNING", "-t", "0"]).status.code(), Some(1));
    assert!(tree(lxcpath.path()).is_empty());
}

#[test]
fn an_empty_lxcpath_lists_nothing() {
    let lxcpath = Lxcpath::new();
    assert_eq!(lxcpath.ok(&["ls"]), "");
    assert_eq!(lxcpath.ok(&["ls", "--json"]).trim(), "[]");
    let nowhere = lxcpath.path().join("nowhere");
    let output = wharf(&["-P", nowhere.to_str().unwrap(), "ls", "-1"]);
    assert!(output.status.success(), "{}", told(&output));
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let mut command = Command::new("/bin/sh");
    let line = format!("{WHARF} --help | true; {WHARF} help start | true");
    command.args(["-c", &line]);
    let output = finish(command);
    assert!(output.stderr.is_empty(), "{}", told(&output));
}

const WHARF: &str = env!("CARGO_BIN_EXE_wharf");

#[test]
fn output_that_cannot_be_written_is_an_error_that_says_so() {
    let version = ["lxc", "version"];
    for words in [&["help"][..], &["completion", "bash"], &version, &["ls", "--help"], &["-V"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wharf"));
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = command.args(words).stdout(full).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {said}");
        assert!(said.contains("cannot write the output: No space left"), "{words:?}: {said}");
    }
}

#[test]
fn an_error_is_one_write() {
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixDatagram;
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    for args in [&["info", "no-such-container"][..], &["wait", "x"], &["no-such-verb"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wharf"));
        command.args(args).stderr(OwnedFd::from(theirs.try_clone().unwrap()));
        assert_eq!(command.status().unwrap().code(), Some(1), "{args:?}");
        // Each write(2) is a datagram of its own.
        let mut bytes = [0; 4096];
        let count = ours.recv(&mut bytes).unwrap();
        let message = text(&bytes[..count]);
        assert!(message.starts_with("wharf: ") && message.ends_with('\n'), "{message:?}");
        assert!(ours.recv(&mut bytes).is_err(), "{args:?} wrote twice: {message:?}");
    }
}

#[test]
fn what_may_wait_ends_in_the_time_that_it_is_given() {
    if !crate::support::can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.start_sleeper("timed");
    // Without the option it never ends.
    lxcpath.ok(&["monitor", "--timeout", "0.2"]);
    lxcpath.refused(&["monitor", "--timeout", "-1"], 1);
    lxcpath.ok(&["freeze", "--timeout", "60", &name]);
    lxcpath.ok(&["unfreeze", "--timeout", "60", &name]);
    lxcpath.refused(&["freeze", "--timeout", "soon", &name], 1);
}

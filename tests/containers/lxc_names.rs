//! LXC's command names: options, output and exit codes as LXC's, without LXC.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::screen::Screen;
use crate::support::{Lxcpath, can_run_containers, finish, has_program, text, told, wait_until};

/// Links in a directory of their own.
struct Links {
    dir: tempfile::TempDir,
    lxcpath: Lxcpath,
}

impl Links {
    fn new() -> Self {
        let links = Self { dir: tempfile::tempdir().unwrap(), lxcpath: Lxcpath::new() };
        links.lxcpath.ok(&["link", links.dir.path().to_str().unwrap()]);
        links
    }

    fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(self.dir.path().join(program));
        command.arg("-P").arg(self.lxcpath.path()).args(args).stdin(Stdio::null());
        command
    }

    fn run(&self, program: &str, args: &[&str]) -> Output {
        finish(self.command(program, args))
    }

    /// Runs a command that is to fail with code 1 and to say this.
    fn refuses(&self, program: &str, args: &[&str], said: &str) {
        let output = self.run(program, args);
        assert_eq!(output.status.code(), Some(1), "{program} {args:?}: {}", told(&output));
        assert!(text(&output.stderr).contains(said), "{program} {args:?}: {}", told(&output));
    }

    /// Runs a command, and expects this exit code and this standard output.
    fn says(&self, program: &str, args: &[&str], code: i32, said: &str) {
        let output = self.run(program, args);
        assert_eq!(output.status.code(), Some(code), "{program} {args:?}: {}", told(&output));
        assert_eq!(text(&output.stdout), said, "{program} {args:?}: {}", told(&output));
    }
}

#[test]
fn links_are_made_once_and_taken_away() {
    let links = Links::new();
    let dir = links.dir.path();
    assert!(fs::read_link(dir.join("lxc-start")).is_ok());
    let dir_text = dir.to_str().unwrap();
    assert_eq!(links.lxcpath.ok(&["link", dir_text]), format!("0 links made in {dir_text}\n"));
    fs::remove_file(dir.join("lxc-ls")).unwrap();
    fs::write(dir.join("lxc-ls"), "mine").unwrap();
    let said = links.lxcpath.refused(&["link", dir_text], 1);
    assert!(said.contains("lxc-ls would be overwritten"), "{said}");
    fs::remove_file(dir.join("lxc-stop")).unwrap();
    std::os::unix::fs::symlink("/nosuch/wharf", dir.join("lxc-stop")).unwrap();
    let said = links.lxcpath.refused(&["link", "--remove", dir_text], 1);
    assert!(said.contains("lxc-ls left alone") && !said.contains("lxc-stop"), "{said}");
    let left: Vec<_> = fs::read_dir(dir).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(left, ["lxc-ls"]);
    assert_eq!(fs::read(dir.join("lxc-ls")).unwrap(), b"mine");
}

#[test]
fn top_prints_lines_for_files_and_draws_a_table_for_people() {
    if !can_run_containers() {
        return;
    }
    let links = Links::new();
    links.refuses("lxc-top", &[], "stdin is not a tty");
    links.refuses("lxc-top", &["-b", "-s", "x"], "could not parse command line");
    let name = links.lxcpath.start_sleeper("top");
    let mut top = links.command("lxc-top", &["-b", "-d", "60"]);
    let mut top = top.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(top.stdout.take().unwrap()).lines().take(2);
    let lines: Vec<String> = lines.map(Result::unwrap).collect();
    // Nobody reads its output any more.
    wait_until("its end", || top.try_wait().unwrap().is_some_and(|it| it.success()));
    assert!(lines[0].starts_with("time_ms,container,cpu_nanos,"), "{lines:?}");
    let fields: Vec<&str> = lines[1].split(',').collect();
    assert_eq!((fields.len(), fields[1]), (10, name.as_str()), "{lines:?}");
    let [cpu_ns, memory] = [2, 7].map(|it: usize| fields[it].parse::<u64>().unwrap());
    assert!(cpu_ns > 0 && memory > 0, "{lines:?}");

    let mut screen = Screen::spawn(links.command("lxc-top", &["-d", "60"]), 120, 20);
    screen.wait_for("TOTAL 1 of 1");
    screen.wait_for("Total(Read/Write)");
    screen.keys("q");
    assert!(screen.exit().success());
}

#[test]
fn what_is_not_there_is_said() {
    let lxcpath = Lxcpath::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_wharf"));
    command.args(["lxc", "nosuch", "-n", "x"]).current_dir(lxcpath.path());
    let output = finish(command);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.starts_with("Unsupported command 'nosuch'\nKnown commands:\n- attach\n"),
        "{said}"
    );
}

#[test]
fn the_word_lxc_has_a_help() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wharf"));
    command.args(["lxc", "--help"]);
    let output = finish(command);
    assert_eq!(output.status.code(), Some(0));
    let said = text(&output.stdout);
    assert!(said.starts_with("Usage: wharf lxc COMMAND ") && said.contains("\n- stop\n"), "{said}");
}

#[test]
fn what_is_not_supported_is_refused() {
    let links = Links::new();
    let name = links.lxcpath.name("plain");
    let n = name.as_str();
    links.lxcpath.ok(&["create", n]);
    links.refuses("lxc-info", &["--rcfile", "/x", n], "--rcfile");
    links.refuses("lxc-attach", &["-f", "/x", n], "--rcfile");
    links.refuses("lxc-console", &[n, "-t", "99999999999"], "no terminal with such a number");
    links.says("lxc-wait", &[n, "-s", "STOPPED|RUNNING|"], 0, "");
    links.refuses("lxc-wait", &[n, "-s", "|"], "no state to wait for");
    let snapshot = links.lxcpath.path().join(n).join("snaps/snap0");
    fs::create_dir_all(&snapshot).unwrap();
    links.refuses("lxc-destroy", &["-s", n], "it has snapshots in ");
    fs::remove_dir(&snapshot).unwrap();
    links.says("lxc-destroy", &["-s", n], 0, "");
    let crash = "Executing a container with no configuration file may crash the host";
    for daemon in [&[] as &[&str], &["-d"]] {
        links.refuses("lxc-execute", &[daemon, &["nosuch", "--", "true"]].concat(), crash);
    }
}

#[test]
fn names_that_are_left_to_lxc_are_not_there() {
    let links = Links::new();
    for n in ["_und", "sp ace"] {
        fs::create_dir(links.lxcpath.path().join(n)).unwrap();
        fs::write(links.lxcpath.path().join(n).join("config"), "").unwrap();
        links.says("lxc-stop", &["-n", n], 2, "");
        links.says("lxc-wait", &["-n", n, "-s", "STOPPED"], 0, "");
        links.says("lxc-wait", &["-n", n, "-s", "RUNNING", "-t", "0"], 1, "");
        links.says("lxc-unfreeze", &["-n", n], 0, "");
        links.refuses("lxc-info", &["-n", n], &format!("{n} doesn't exist\n"));
    }
    links.says("lxc-ls", &["-1"], 0, "");
    let said = text(&links.run("lxc-ls", &["-1"]).stderr);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("`_und`") && said.contains("`sp ace`"), "{said}");
}

#[test]
fn a_command_in_the_background_gets_its_words_unchanged() {
    if !can_run_containers() {
        return;
    }
    let links = Links::new();
    let name = links.lxcpath.name("words");
    links.lxcpath.ok(&["create", &name]);
    let file = links.lxcpath.path().join("words.txt");
    let script = "{ printf '%s\\n' $$ \"$@\"; echo .; } > \"$0\"; exec sleep 1000";
    let words = ["say \"hi\"", "a\" \"b", "", "d'e"];
    let command = ["-d", &name, "--", "sh", "-c", script, file.to_str().unwrap()];
    links.says("lxc-execute", &[&command as &[&str], &words].concat(), 0, "");
    let heard = || {
        let told = || fs::read_to_string(&file).unwrap_or_default();
        wait_until("its words", || told().ends_with(".\n"));
        let told = told();
        let (pid, rest) = told.split_once('\n').unwrap();
        assert_ne!(pid, "1", "it runs below an init");
        assert_eq!(rest, "say \"hi\"\na\" \"b\n\nd'e\n.\n");
    };
    heard();
    links.says("lxc-info", &["-sH", &name], 0, "RUNNING\n");
    fs::remove_file(&file).unwrap();
    // Its init restarts it when asked, below an init again.
    links.says("lxc-stop", &["-r", "-t", &i64::MAX.to_string(), &name], 0, "");
    heard();
    links.says("lxc-stop", &["-k", &name], 0, "");
}

#[test]
fn a_restart_kills_nothing_and_any_timeout_is_taken() {
    if !can_run_containers() {
        return;
    }
    let links = Links::new();
    let name = links.lxcpath.start_sleeper("again");
    let n = name.as_str();
    let init = text(&links.run("lxc-info", &["-pH", n]).stdout);
    let refused = links.run("lxc-stop", &["-r", "-t", "1", n]);
    assert_eq!(refused.status.code(), Some(1), "{}", told(&refused));
    assert!(!text(&refused.stderr).contains("nokill"), "{}", told(&refused));
    links.says("lxc-info", &["-pH", n], 0, &init);
    links.says("lxc-stop", &["-k", n], 0, "");
    let ready = links.lxcpath.path().join("ready");
    let script = "trap 'exit 0' PWR; : > \"$0\"; while :; do sleep 0.05; done";
    let longest = i64::MAX.to_string();
    for wharf in [false, true] {
        let file = ready.to_str().unwrap();
        links.says("lxc-start", &[n, "--", "/bin/sh", "-c", script, file], 0, "");
        wait_until("its init", || ready.exists());
        if wharf {
            links.lxcpath.ok(&["stop", "-t", &longest, n]);
        } else {
            links.says("lxc-stop", &["-t", &longest, n], 0, "");
        }
        fs::remove_file(&ready).unwrap();
    }
}

#[test]
fn a_pid_file_is_there_before_the_start() {
    if !can_run_containers() {
        return;
    }
    let links = Links::new();
    let name = links.lxcpath.name("pidfile");
    let n = name.as_str();
    links.lxcpath.ok(&["create", n]);
    links.refuses("lxc-start", &["-p", "/nosuch/pid", n, "--", "/bin/sleep", "1000"], "pidfile");
    assert_eq!(links.lxcpath.state(n), "STOPPED");
    let file = links.lxcpath.path().join("pid");
    let p = file.to_str().unwrap();
    links.says("lxc-start", &["-p", p, n, "--", "/bin/sleep", "1000"], 0, "");
    let pid: u32 = fs::read_to_string(&file).unwrap().parse().unwrap();
    assert!(Path::new(&format!("/proc/{pid}")).exists());
    links.says("lxc-stop", &["-k", n], 0, "");
    let seen = links.lxcpath.path().join("seen");
    let copy = ["-F", "-p", p, n, "--", "/bin/cp", p, seen.to_str().unwrap()];
    links.says("lxc-start", &copy, 0, "");
    assert!(fs::read_to_string(&seen).unwrap().parse::<u32>().is_ok());
    assert!(!file.exists());
    std::os::unix::fs::symlink("/dev/null", &file).unwrap();
    links.says("lxc-start", &["-F", "-p", p, n, "--", "/bin/true"], 0, "");
    assert!(file.symlink_metadata().is_ok(), "only what was made is removed");
}

#[test]
fn inside_is_as_lxc_makes_it() {
    if !can_run_containers() {
        return;
    }
    let links = Links::new();
    let name = links.lxcpath.start_sleeper("inside");
    let n = name.as_str();
    let variables = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let env = text(&links.run("lxc-attach", &[n, "--clear-env", "-v", "A=1", "--", "env"]).stdout);
    let mut env: Vec<&str> = env.lines().collect();
    env.sort_unstable();
    assert_eq!(env, ["A=1", variables, "container=lxc"]);
    let own = format!("/proc/{}", std::process::id());
    let here = links.lxcpath.path().to_str().unwrap();
    for (dir, inside) in [(here, here), (&own, "/")] {
        let mut command = links.command("lxc-attach", &[n, "-v", "LEFT", "--"]);
        command.args(["sh", "-c", "echo $(pwd)${LEFT-}"]).env("LEFT", "x").current_dir(dir);
        let output = finish(command);
        assert_eq!(text(&output.stdout), format!("{inside}\n"), "{}", told(&output));
    }
    if has_program("ps") {
        for options in [
            &["--lxc"] as &[&str],
            &["--lxc", "--", "aux"],
            &["-n", n, "--", "-o", "lstart,ppid,pid"],
        ] {
            let output = links.run("lxc-ps", options);
            let said = text(&output.stdout);
            let mut rows = said.lines();
            assert!(rows.next().is_some_and(|it| it.starts_with("CONTAINER ")), "{said}");
            let rows: Vec<&str> = rows.collect();
            assert!(rows.len() == 1 && rows.iter().all(|it| it.starts_with(n)), "{said}");
        }
        // Without a filter the host's processes are there, too.
        let said = text(&links.run("lxc-ps", &[]).stdout);
        let ours = said.lines().filter(|it| it.starts_with(n)).count();
        assert!(ours == 1 && said.lines().any(|it| it.starts_with("           ")), "{said}");
    }
}

#[test]
fn a_container_that_is_not_there_has_lxcs_codes() {
    let links = Links::new();
    links.says("lxc-ls", &[], 0, "");
    links.says("lxc-info", &["-n", "nosuch"], 1, "");
    links.says("lxc-stop", &["-n", "nosuch"], 2, "");
    links.says("lxc-start", &["nosuch"], 1, "");
    links.says("lxc-freeze", &["nosuch"], 1, "");
    links.says("lxc-unfreeze", &["nosuch"], 0, "");
    links.says("lxc-destroy", &["nosuch"], 1, "");
    links.says("lxc-wait", &["nosuch", "-s", "STOPPED", "-t", "0"], 0, "");
    links.says("lxc-wait", &["nosuch", "-s", "RUNNING", "-t", "0"], 1, "");
    links.says("lxc-wait", &["nosuch", "-s", "BOGUS"], 1, "");
    links.says("lxc-stop", &["--version"], 0, "5.0.2\n");
    let missing = links.run("lxc-stop", &[]);
    assert_eq!(text(&missing.stderr), "lxc-stop: No container name specified\n");
    let bad = text(&links.run("lxc-stop", &["--bogus"]).stderr);
    assert!(bad.contains(": unrecognized option '--bogus'\nUsage: lxc-stop "), "{bad}");
}

#[test]
fn a_life_is_told_as_lxc_tells_it() {
    if !can_run_containers() {
        return;
    }
    let links = Links::new();
    let name = links.lxcpath.name("life");
    links.lxcpath.ok(&["create", &name]);
    let n = name.as_str();
    let wide = name.len();
    links.says(
        "lxc-ls",
        &["-f", "-F", "name,state"],
        0,
        &format!("{:<wide$} STATE   \n{n} STOPPED \n", "NAME"),
    );
    links.says("lxc-start", &["-n", n, "--", "/bin/sleep", "1000"], 0, "");
    links.says("lxc-start", &["-n", n], 0, "");
    links.says("lxc-info", &["-n", n, "-sH"], 0, "RUNNING\n");
    links.says("lxc-info", &["-s", n], 0, "State:          RUNNING\n");
    links.says("lxc-info", &[n, "-c", "lxc.nosuch"], 0, "");
    links.says("lxc-ls", &["-1", "--active"], 0, &format!("{n}\n"));
    links.says("lxc-attach", &["-n", n, "--", "sh", "-c", "echo in; exit 7"], 7, "in\n");
    links.says("lxc-attach", &["-n", n, "--", "nosuchcmd"], 127, "");
    links.says("lxc-freeze", &[n], 0, "");
    links.says("lxc-wait", &[n, "-s", "FROZEN", "-t", "1"], 0, "");
    links.says("lxc-unfreeze", &[n], 0, "");
    links.says("lxc-destroy", &[n], 1, "");
    links.says("lxc-stop", &[n, "-k", "-t", "3"], 1, "");
    links.says("lxc-stop", &[n, "-k"], 0, "");
    links.says("lxc-stop", &[n], 2, "");
    links.says("lxc-execute", &[n, "--", "sh", "-c", "exit 3"], 3, "");
    links.says("lxc-execute", &[n, "--", "/nosuch"], 255, "");
    links.says("lxc-destroy", &[n], 0, "");
    assert!(!Path::new(links.lxcpath.path()).join(n).exists());
}

#[test]
fn an_argument_that_is_not_text_is_named() {
    use std::os::unix::ffi::OsStrExt as _;
    let links = Links::new();
    let strange = std::ffi::OsStr::from_bytes(b"caf\xe9");
    for (program, words) in [
        ("lxc-info", &["-n"][..]),
        ("lxc-start", &["-n", "x", "-f"]),
        ("lxc-execute", &["-n", "x", "--", "echo"]),
        ("lxc-ls", &[]),
    ] {
        let mut command = links.command(program, words);
        command.arg(strange);
        let output = finish(command);
        assert_eq!(output.status.code(), Some(1), "{program}: {}", told(&output));
        let said = text(&output.stderr);
        assert!(said.contains("`caf\\xe9` is not valid UTF-8"), "{program}: {said}");
    }
}

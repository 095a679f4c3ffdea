//! Hooks: `lxc.hook.*` on real containers.

use std::fs;
use std::path::Path;

use crate::support::{self, Lxcpath, can_run_containers, rootfs, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The hooks of the host's side, and of the new process while the host's root is there.
const OUTSIDE: [&str; 7] =
    ["pre-start", "pre-mount", "mount", "autodev", "start-host", "stop", "post-stop"];

/// Makes a container of busybox's with `lines` in its configuration; none if it could not start.
fn create(lxcpath: &Lxcpath, root: &Path, lines: &str) -> Option<String> {
    if !can_run_containers() || !rootfs::busybox(root) {
        return None;
    }
    let name = lxcpath.name("hooks");
    lxcpath.ok(&["create", &name, "--dir", root.to_str().unwrap()]);
    let file = lxcpath.path().join(&name).join("config");
    let before = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{before}{lines}\n")).unwrap();
    Some(name)
}

/// A hook that appends its arguments and what LXC's variables say to `log`.
fn script(log: &Path, to: &Path) {
    let log = log.display();
    let text = format!(
        "#!/bin/sh\n{{ echo \"== $*\"; env | grep ^LXC_ | sort; test -z \"$LXC_NET_NS\" || \
         test -e \"$LXC_NET_NS\" || echo no namespace; }} >> {log}\n"
    );
    rootfs::write_script(&text, to);
}

/// Reads what each hook has written: its words, and its variables.
fn told(log: &Path) -> Vec<(String, Vec<String>)> {
    let text = fs::read_to_string(log).unwrap_or_default();
    let parts = text.split("== ").skip(1);
    let part = |it: &str| {
        let mut lines = it.lines().map(str::to_owned);
        (lines.next().unwrap(), lines.collect())
    };
    parts.map(part).collect()
}

#[test]
fn every_hook_runs_at_its_moment_and_is_told_what_lxc_tells() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let (log, hook) = (lxcpath.path().join(".log"), lxcpath.path().join(".hook"));
    let mut lines = OUTSIDE.map(|it| format!("lxc.hook.{it} = {}", hook.display())).to_vec();
    lines.push("lxc.hook.start = /bin/sh -c 'echo \"$LXC_NAME $0 $*\" > /seen'".to_owned());
    let Some(name) = create(&lxcpath, root.path(), &lines.join("\n")) else { return };
    script(&log, &hook);
    lxcpath.ok(&["start", &name, "--", "/bin/sleep", "1000"]);
    let init = lxcpath.ok(&["info", "-p", "-H", &name]);
    // The words of version 0 are the arguments of the shell in the line.
    let inside = fs::read_to_string(root.path().join("seen")).unwrap();
    assert_eq!(inside.trim(), format!("{name} {name} lxc start"));
    lxcpath.ok(&["stop", "-k", &name]);
    wait_until("the last hook", || told(&log).len() == OUTSIDE.len());
    let all = told(&log);
    for (at, moment) in OUTSIDE.iter().enumerate() {
        let (words, variables) = &all[at];
        assert!(words.starts_with(&format!("{name} lxc {moment}")), "{words}");
        let has = |it: &str| variables.iter().any(|line| line == it);
        for expected in [
            format!("LXC_NAME={name}"),
            format!("LXC_CONFIG_FILE={}/{name}/config", lxcpath.path().display()),
            format!("LXC_ROOTFS_PATH={}", root.path().display()),
            format!("LXC_ROOTFS_MOUNT={}", root.path().display()),
            "LXC_HOOK_VERSION=0".to_owned(),
        ] {
            assert!(has(&expected), "{moment}: {expected} in {variables:?}");
        }
        let late = ["start-host", "stop", "post-stop"].contains(moment);
        assert_eq!(has(&format!("LXC_PID={}", init.trim())), late, "{moment}: {variables:?}");
        let ends = ["stop", "post-stop"].contains(moment);
        assert_eq!(has("LXC_TARGET=stop"), ends, "{moment}: {variables:?}");
        let opens = variables.iter().any(|it| it.starts_with("LXC_NET_NS=/proc/"));
        assert_eq!(opens, ends, "{moment}: {variables:?}");
        assert!(!has("no namespace"), "{moment}");
    }
    assert!(all[5].0.contains(" mnt:/proc/") && all[5].0.contains(" net:/proc/"), "{}", all[5].0);
}

#[test]
fn a_mount_hook_mounts_into_the_container_alone() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let lines = "lxc.hook.mount = mount -t tmpfs hooked $LXC_ROOTFS_MOUNT/tmp\n\
                 lxc.hook.version = 1\n\
                 lxc.hook.autodev = mknod $LXC_ROOTFS_MOUNT/dev/extra c 1 3";
    let Some(name) = create(&lxcpath, root.path(), lines) else { return };
    lxcpath.ok(&["start", &name, "--", "/bin/sleep", "1000"]);
    let mounts = lxcpath.ok(&["attach", &name, "--", "/bin/cat", "/proc/self/mounts"]);
    assert!(mounts.lines().any(|it| it.starts_with("hooked /tmp tmpfs")), "{mounts}");
    lxcpath.ok(&["attach", &name, "--", "/bin/sh", "-c", "test -c /dev/extra"]);
    let host = fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!host.contains("hooked"), "{host}");
}

#[test]
fn a_hook_that_fails_ends_the_start_with_what_it_said() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    if !can_run_containers() {
        return;
    }
    for moment in ["pre-start", "pre-mount", "mount", "autodev", "start-host", "start"] {
        let root = root.path().join(moment);
        fs::create_dir(&root).unwrap();
        let lines = format!("lxc.hook.{moment} = /bin/sh -c 'echo no such thing; exit 3'");
        let Some(name) = create(&lxcpath, &root, &lines) else { return };
        let said = lxcpath.refused(&["start", &name, "--", "/bin/sleep", "1000"], 1);
        let words =
            format!("lxc.hook.{moment} /bin/sh -c 'echo no such thing; exit 3': exit status: 3");
        assert!(said.contains(&words), "{said}");
        assert!(said.contains(": no such thing (line "), "{said}");
        assert_eq!(lxcpath.state(&name), "STOPPED");
        lxcpath.ok(&["destroy", &name]);
    }
}

#[test]
fn whoever_comes_after_a_kill_runs_the_last_hook() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let (log, hook) = (lxcpath.path().join(".log"), lxcpath.path().join(".hook"));
    let lines = format!("lxc.hook.post-stop = {}", hook.display());
    let Some(name) = create(&lxcpath, root.path(), &lines) else { return };
    script(&log, &hook);
    lxcpath.ok(&["start", &name, "--", "/bin/sleep", "1000"]);
    let init = lxcpath.ok(&["info", "-p", "-H", &name]);
    let status = fs::read_to_string(format!("/proc/{}/status", init.trim())).unwrap();
    let parent = status.lines().find_map(|it| it.strip_prefix("PPid:")).unwrap();
    for pid in [parent, &init] {
        _ = kill(Pid::from_raw(pid.trim().parse().unwrap()), Signal::SIGKILL);
    }
    wait_until("its end", || lxcpath.state(&name) == "STOPPED");
    lxcpath.wharf(&["stop", "-k", &name]);
    lxcpath.ok(&["start", &name, "--", "/bin/sleep", "1000"]);
    let words: Vec<String> = told(&log).into_iter().map(|(words, _)| words).collect();
    assert_eq!(words, [format!("{name} lxc post-stop")]);
    lxcpath.ok(&["stop", "-k", &name]);
    wait_until("the hook of the second run", || told(&log).len() == 2);
}

#[test]
fn a_restart_tells_its_hooks_so() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let (log, hook) = (lxcpath.path().join(".log"), lxcpath.path().join(".hook"));
    let hooks =
        ["pre-start", "stop", "post-stop"].map(|it| format!("lxc.hook.{it} = {}", hook.display()));
    let Some(name) = create(&lxcpath, root.path(), &hooks.join("\n")) else { return };
    script(&log, &hook);
    lxcpath.ok(&["start", &name, "--", "/bin/sleep", "1000"]);
    lxcpath.ok(&["stop", "-r", "-t", "0", &name]);
    wait_until("the next run", || told(&log).len() == 4);
    let all = told(&log);
    let words: Vec<&str> = all.iter().map(|it| it.0.split(' ').nth(2).unwrap()).collect();
    assert_eq!(words, ["pre-start", "stop", "post-stop", "pre-start"]);
    for (_, variables) in &all[1..3] {
        assert!(variables.iter().any(|it| it == "LXC_TARGET=reboot"), "{variables:?}");
    }
}

#[test]
fn a_hook_of_the_containers_has_its_filter_and_a_session_of_its_own() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let line = "lxc.hook.start = /bin/sh -c 'read -r pid name state parent group session rest < \
        /proc/self/stat; echo $pid $session > /seen; /bin/busybox grep -w Seccomp: \
        /proc/self/status >> /seen'";
    let Some(name) = create(&lxcpath, root.path(), line) else { return };
    // In the foreground the caller's terminal would be within its reach.
    lxcpath.ok(&["start", "-F", &name, "--", "/bin/true"]);
    let seen = fs::read_to_string(root.path().join("seen")).unwrap();
    let (ids, seccomp) = seen.split_once('\n').unwrap();
    let (pid, session) = ids.split_once(' ').unwrap();
    assert_eq!(pid, session);
    // SECCOMP_MODE_FILTER, by the profile that create has written.
    assert_eq!(seccomp.trim(), "Seccomp:\t2");
}

#[test]
fn a_hook_on_the_host_blocks_no_signal() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let seen = lxcpath.path().join(".seen");
    // What it leaves running must end when it is asked to.
    let line = format!("lxc.hook.pre-start = grep SigBlk: /proc/self/status > {}", seen.display());
    let Some(name) = create(&lxcpath, root.path(), &line) else { return };
    lxcpath.ok(&["start", &name, "-s", "lxc.hook.version=1", "--", "/bin/true"]);
    assert_eq!(fs::read_to_string(&seen).unwrap().trim(), "SigBlk:\t0000000000000000");
}

#[test]
fn a_hook_of_the_containers_learns_nothing_of_the_host() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let lines = "lxc.mount.auto = proc:rw\n\
        lxc.hook.version = 1\n\
        lxc.hook.mount = echo said on the host\n\
        lxc.hook.start = /bin/sh -c 'cat /proc/self/fd/1 > /seen; env >> /seen'";
    let Some(name) = create(&lxcpath, root.path(), lines) else { return };
    let mut command = lxcpath.command(&["start", "-F", &name, "--", "/bin/true"]);
    command.env("WHARF_SECRET", "of the host");
    assert!(support::finish(command).status.success());
    let seen = fs::read_to_string(root.path().join("seen")).unwrap();
    assert!(seen.contains(&format!("LXC_NAME={name}\n")) && seen.contains("\nPATH="), "{seen}");
    assert!(!seen.contains("of the host") && !seen.contains("on the host"), "{seen}");
}

#[test]
fn no_program_of_the_hosts_gets_what_an_image_may_have_set() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let seen = |moment: &str| lxcpath.path().join(format!(".{moment}"));
    let moments = ["pre-start", "mount", "start-host", "post-stop"];
    let hooks = moments.map(|it| {
        format!("lxc.hook.{it} = /bin/sh -c 'env > {}.new; mv {0}.new {0}'", seen(it).display())
    });
    let lines = format!(
        "{}\nlxc.environment = WHARF_WORD=x\nlxc.environment.runtime = WHARF_RUN=y",
        hooks.join("\n")
    );
    let Some(name) = create(&lxcpath, root.path(), &lines) else { return };
    lxcpath.ok(&["start", &name, "--", "/bin/sleep", "1000"]);
    let inside = lxcpath.ok(&["attach", &name, "--", "/bin/env"]);
    assert!(inside.contains("WHARF_WORD=x\n") && inside.contains("WHARF_RUN=y\n"), "{inside}");
    lxcpath.ok(&["stop", "-k", &name]);
    wait_until("the last hook", || seen("post-stop").exists());
    for moment in moments {
        let text = fs::read_to_string(seen(moment)).unwrap();
        assert_eq!(text.contains("WHARF_WORD"), moment == "mount", "{moment}: {text}");
        assert!(text.contains("LXC_NAME=") && !text.contains("WHARF_RUN"), "{moment}: {text}");
    }
}

/// How a hook that hangs is told.
const LATE: &str = "did not end within 30 s";

/// Makes a container whose hook of this moment hangs, and does what runs it.
fn hang(moment: &str) {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let (log, left) = (lxcpath.path().join(".log"), lxcpath.path().join(".left"));
    // What the shell has started must go, too.
    let hook = format!("sh -c 'sleep 4242 & echo $! > {}; wait' x", left.display());
    let line = format!("lxc.hook.{moment} = {hook}\nlxc.log.file = {}\n", log.display());
    let line = format!("{line}lxc.log.level = WARN");
    let Some(name) = create(&lxcpath, root.path(), &line) else { return };
    let start = ["start", &name, "--", "/bin/sleep", "1000"];
    let said = match moment {
        "stop" | "post-stop" => {
            lxcpath.ok(&start);
            lxcpath.ok(&["stop", "-k", &name]);
            wait_until("the hook's end", || {
                fs::read_to_string(&log).is_ok_and(|it| it.contains(LATE))
            });
            fs::read_to_string(&log).unwrap()
        }
        _ => lxcpath.refused(&start, 1),
    };
    assert!(said.contains(&format!("lxc.hook.{moment} sh -c")) && said.contains(LATE), "{said}");
    assert_eq!(lxcpath.state(&name), "STOPPED");
    // Inside the container, `left` is no path of the host's.
    if let Ok(pid) = fs::read_to_string(&left)
        && !["pre-mount", "mount", "autodev"].contains(&moment)
    {
        let line = format!("/proc/{}/cmdline", pid.trim());
        let runs = || fs::read(&line).is_ok_and(|it| it.starts_with(b"sleep\x004242"));
        wait_until("what it started ends", || !runs());
    }
    let config = lxcpath.path().join(&name).join("config");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{text}lxc.hook.{moment} =\n")).unwrap();
    lxcpath.ok(&["destroy", &name]);
}

#[test]
fn a_hook_of_a_run_that_hangs_ends_and_is_named() {
    if !can_run_containers() {
        return;
    }
    let all = [&OUTSIDE[..], &["start"]].concat();
    std::thread::scope(|scope| {
        for moment in all {
            scope.spawn(move || hang(moment));
        }
    });
}

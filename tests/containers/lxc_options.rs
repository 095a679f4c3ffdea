//! Options of LXC's commands beyond the common ones: what they do to a real container. As root.

use crate::support::screen::Screen;
use crate::support::{Beside, Lxcpath, can_run_containers, rootfs, text, told};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

/// Prints what an attached command has: capabilities, machine, number of processes, control groups and
/// namespaces.
const SEEN: &str = "grep CapBnd /proc/self/status; uname -m; ls -d /proc/[0-9]* | wc -l; \
                    echo $(cat /proc/self/cgroup); \
                    for it in mnt pid net; do readlink /proc/self/ns/$it; done";

/// Returns the control groups and the namespaces of a process, as [`SEEN`] prints them.
fn of_process(process: &str) -> Vec<String> {
    let groups = fs::read_to_string(format!("/proc/{process}/cgroup")).unwrap();
    let spaces = ["mnt", "pid", "net"].map(|it| {
        let path = fs::read_link(format!("/proc/{process}/ns/{it}")).unwrap();
        path.to_str().unwrap().to_owned()
    });
    [groups.lines().collect::<Vec<_>>().join(" ")].into_iter().chain(spaces).collect()
}

/// Makes a container with a root of its own, fewer capabilities and an empty network; none, with a
/// message, if there is nothing to make it of.
fn made(lxcpath: &Lxcpath, word: &str) -> Option<String> {
    let name = lxcpath.name(word);
    let dir = lxcpath.path().join(&name);
    if !can_run_containers() || !rootfs::busybox(&dir.join("rootfs")) {
        return None;
    }
    let root = dir.join("rootfs");
    let config = format!(
        "lxc.rootfs.path = dir:{}\nlxc.uts.name = {name}\nlxc.net.0.type = empty\n\
         lxc.mount.auto = proc:mixed sys:ro\nlxc.cap.drop = sys_module sys_time\n\
         lxc.init.cmd = /bin/sleep 1000\n",
        root.display()
    );
    fs::write(dir.join("config"), config).unwrap();
    Some(name)
}

fn seen(lxcpath: &Lxcpath, name: &str, options: &[&str]) -> Vec<String> {
    let args = [&["lxc", "attach", "-n", name], options, &["--", "/bin/sh", "-c", SEEN]].concat();
    let output = lxcpath.wharf(&args);
    assert!(output.status.success(), "{options:?}: {}", told(&output));
    text(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn attach_leaves_out_of_the_container_what_is_asked_for() {
    let lxcpath = Lxcpath::new();
    let Some(name) = made(&lxcpath, "attach") else { return };
    lxcpath.ok(&["start", &name]);
    let own = fs::read_to_string("/proc/self/status").unwrap();
    let own = own.lines().find(|it| it.starts_with("CapBnd")).unwrap().to_owned();
    let host = of_process("thread-self");
    let init = of_process(lxcpath.ok(&["info", "-p", "-H", &name]).trim());
    let inside = seen(&lxcpath, &name, &[]);
    assert_ne!(inside[0], own);
    assert_eq!(inside[4..], init[1..]);
    for options in [&["-eCAP"][..], &["-e"], &["--elevated-privileges=CAP|LSM"]] {
        let elevated = seen(&lxcpath, &name, options);
        assert_eq!((&elevated[0], &elevated[1]), (&own, &inside[1]), "{options:?}");
    }
    // Seen from the container, the groups of its caller are elsewhere.
    let in_callers_groups = seen(&lxcpath, &name, &["-eCGROUP"]);
    assert_eq!(in_callers_groups[0], inside[0]);
    assert_ne!(in_callers_groups[3], inside[3]);
    if cfg!(target_arch = "x86_64") {
        assert_eq!(seen(&lxcpath, &name, &["-a", "i686"])[1], "i686");
    }
    // The host's files and processes, and the container's network.
    let network = seen(&lxcpath, &name, &["-s", "NETWORK"]);
    assert_eq!(network[4..], [&host[1..3], &init[3..]].concat());
    let anew = seen(&lxcpath, &name, &["-s", "PID|NETWORK", "-R"]);
    let count: usize = anew[2].trim().parse().unwrap();
    assert!(count < 10, "only the container's processes: {anew:?}");
    assert_eq!(anew[5..], init[2..]);
    assert!(anew[4] != host[1] && anew[4] != init[1], "a mount namespace of its own: {anew:?}");
    refuses_what_it_does_not_know(&lxcpath, &name);
}

fn refuses_what_it_does_not_know(lxcpath: &Lxcpath, name: &str) {
    for (options, why) in [
        (&["-a", "bogus"][..], "not an architecture"),
        (&["-eBOGUS"], "CGROUP, CAP and LSM"),
        (&["-s", "BOGUS"], "could not parse"),
    ] {
        let args = [&["lxc", "attach", "-n", name], options, &["--", "true"]].concat();
        let output = lxcpath.wharf(&args);
        assert_eq!(output.status.code(), Some(1), "{options:?}");
        assert!(text(&output.stderr).contains(why), "{options:?}: {}", told(&output));
    }
}

#[test]
fn attach_writes_what_its_terminal_shows_to_a_file_too() {
    let lxcpath = Lxcpath::new();
    let Some(name) = made(&lxcpath, "logged") else { return };
    lxcpath.ok(&["start", &name]);
    let log = lxcpath.path().join("shown");
    let path = log.to_str().unwrap();
    let command = ["lxc", "attach", "-n", &name, "-L", path, "--", "/bin/echo", "on the terminal"];
    let mut screen = Screen::spawn(lxcpath.command(&command), 80, 24);
    screen.wait_for("on the terminal");
    assert!(screen.exit().success());
    assert_eq!(fs::read_to_string(&log).unwrap(), "on the terminal\r\n");
    fs::remove_file(log).unwrap();
}

#[test]
fn an_ephemeral_copy_keeps_in_memory_what_it_changes_or_over_what_is_mounted() {
    let lxcpath = Lxcpath::new();
    let Some(name) = made(&lxcpath, "copy") else { return };
    let copy = |word: &str, options: &[&str], script: &str| {
        let new = lxcpath.name(word);
        let args = [
            &["lxc", "copy", "-n", &name, "-e", "-N", &new],
            options,
            &["--", "/bin/sh", "-c", script],
        ];
        let output = lxcpath.wharf(&args.concat());
        assert!(output.status.success(), "{options:?}: {}", told(&output));
        assert!(!lxcpath.path().join(&new).exists(), "{new} is still there");
        text(&output.stdout)
    };
    let said =
        copy("memory", &["-t"], "cat /etc/hostname; echo x > /new && grep ' / ' /proc/mounts");
    assert!(said.contains("placed on tmpfs") && said.contains(&lxcpath.name("memory")), "{said}");
    assert!(said.contains("/overlay/delta"), "{said}");
    let files = lxcpath.path().join("files");
    fs::create_dir(&files).unwrap();
    fs::write(files.join("f"), "old\n").unwrap();
    let over = format!("overlay={}:/mnt", files.display());
    let said = copy("over", &["-m", &over], "cat /mnt/f; echo new > /mnt/f; cat /mnt/f");
    assert!(said.ends_with("old\nnew\n"), "{said}");
    assert_eq!(fs::read_to_string(files.join("f")).unwrap(), "old\n");
    fs::remove_dir_all(&files).unwrap();
    let refused = lxcpath.wharf(&["lxc", "copy", "-n", &name, "-e", "-t", "-D"]);
    assert!(text(&refused.stderr).contains("overlay storage driver"), "{}", told(&refused));
}

#[test]
fn hooks_get_the_words_behind_the_dashes() {
    let lxcpath = Lxcpath::new();
    let Some(name) = made(&lxcpath, "hooks") else { return };
    let (hook, said) = (lxcpath.path().join("hook"), lxcpath.path().join("said"));
    fs::write(&hook, format!("#!/bin/sh\nfor it; do echo \"$it\"; done > {}\n", said.display()))
        .unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    lxcpath.ok(&["config", "set", &name, "lxc.hook.clone", hook.to_str().unwrap()]);
    let new = lxcpath.name("copied");
    lxcpath.ok(&["lxc", "copy", "-n", &name, "-N", &new, "-B", "dir", "--", "one", "two three"]);
    assert_eq!(fs::read_to_string(&said).unwrap(), format!("{new}\nlxc\nclone\none\ntwo three\n"));
    fs::remove_file(hook).unwrap();
    fs::remove_file(said).unwrap();
}

#[test]
fn several_lxcpaths_are_shown_together() {
    let [first, second] = [Lxcpath::new(), Lxcpath::new()];
    if !can_run_containers() {
        return;
    }
    let names = [first.start_sleeper("a"), second.start_sleeper("b")];
    let path = |it: &Lxcpath| it.path().display().to_string();
    // Both before the word and behind it.
    let output = first.wharf(&["lxc", "ls", "-1"]);
    assert_eq!(text(&output.stdout).trim(), names[0]);
    let mut top = second.command(&["lxc", "top", "-b", "-P", &path(&first)]);
    let mut top = Beside(top.stdout(std::process::Stdio::piped()).spawn().unwrap());
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(top.0.stdout.take().unwrap()));
    let mut left: Vec<&String> = names.iter().collect();
    while !left.is_empty() {
        let line = lines.next().unwrap().unwrap();
        left.retain(|it| !line.contains(it.as_str()));
    }
}

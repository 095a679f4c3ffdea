//! What a container gets: no descriptor, variable, terminal, key or device of the host, and from
//! the kernel only what the default configuration allows.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::canary::Canary;
use crate::support::guest::{Guest, after};
use crate::support::screen::Screen;
use crate::support::{
    Lxcpath, can_run_containers, finish, has_program, probe, text, told, tree, wait_until,
};

const SECRET: &str = "secret-of-the-host";

/// Runs a probe by `execute` and returns what it printed.
fn probed(lxcpath: &Lxcpath, name: &str, settings: &[&str], word: &str) -> Vec<String> {
    let probe = probe::command(word);
    let mut args = vec!["execute", name];
    args.extend(settings.iter().flat_map(|it| ["-s", it]));
    args.push("--");
    args.extend(probe.iter().map(String::as_str));
    lxcpath.ok(&args).lines().map(str::to_owned).collect()
}

#[test]
fn no_descriptor_and_no_variable_of_the_host_gets_inside() {
    let Some(guest) = Guest::new() else { return };
    let before = format!(
        "exec 7< / 9< /etc/shadow; export SECRET={SECRET} PATH=\"$PATH:/{SECRET}\" LD_X={SECRET}"
    );
    let script = "for it in /proc/self/fd/* /proc/$$/fd/* /proc/1/fd/*; do
            [ -e \"$it\" ] && echo \"fd ${it##*/}\"
        done
        cat /proc/1/environ; echo; echo \"cwd $PWD\"; echo vars; env";
    for (way, found) in guest.every_way(&before, script) {
        assert!(!found.contains(SECRET), "{way}: {found}");
        let fds = found.lines().filter_map(|it| it.strip_prefix("fd "));
        assert!(found.contains("fd 0\n"), "{way}: the look sees nothing: {found}");
        let leaked: Vec<&str> = fds.filter(|it| !["0", "1", "2"].contains(it)).collect();
        assert!(leaked.is_empty(), "{way}: {leaked:?} in {found}");
        let variables = found.lines().skip_while(|it| *it != "vars").skip(1);
        let names = variables.filter_map(|it| it.split_once('=')).map(|(name, _)| name);
        let names: Vec<&str> = names.collect();
        assert!(names.contains(&"PATH"), "{way}: the look sees nothing: {found}");
        for name in names {
            let known = ["container", "PATH", "HOME", "TERM", "PWD", "OLDPWD", "SHLVL", "_"];
            assert!(known.contains(&name), "{way}: {name} in {found}");
        }
        assert!(found.contains("cwd /\n"), "{way}: {found}");
    }
}

#[test]
fn no_working_directory_leads_out_of_the_root() {
    let Some(guest) = Guest::new() else { return };
    let canary = Canary::new();
    let up = format!("../../../../../../../../..{}", canary.path().display());
    let script = format!("cat {up}/victim && echo x > {up}/planted; true");
    for fd in 3..=12 {
        for dir in [format!("/proc/self/fd/{fd}"), format!("/proc/1/fd/{fd}/..")] {
            let cwd = format!("lxc.init.cwd={dir}");
            let output = guest.lxcpath.wharf(&[
                "execute",
                &guest.name,
                "-s",
                &cwd,
                "--",
                "/bin/sh",
                "-c",
                &script,
            ]);
            assert!(!text(&output.stdout).contains("host"), "{cwd}: {}", told(&output));
        }
    }
    canary.assert_untouched("a command in a strange directory");
}

#[test]
fn what_a_container_types_never_reaches_the_operators_terminal() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("typist");
    lxcpath.ok(&["create", &name]);
    let probe = probe::command("type");
    let with_probe = |verb: &[&str]| {
        let mut args: Vec<String> = verb.iter().map(|it| (*it).to_owned()).collect();
        args.extend([name.clone(), "--".to_owned()]);
        args.extend(probe.clone());
        args
    };
    for redirected in ["", "< /dev/null", "< /dev/null > /dev/null 2>&1"] {
        the_operator_reads_only_himself(&lxcpath, &with_probe(&["execute"]), redirected, "");
        the_operator_reads_only_himself(&lxcpath, &with_probe(&["start", "-F"]), redirected, "");
    }
    // It types whenever somebody presses Enter at its console.
    let shown: Vec<String> = probe.iter().map(|it| format!("'{it}'")).collect();
    let script = format!("read -r it; {}; echo over; exec sleep 1000", shown.join(" "));
    lxcpath.ok(&["start", &name, "--", "/bin/sh", "-c", &script]);
    for redirected in ["", "< /dev/null", "< /dev/null > /dev/null 2>&1"] {
        the_operator_reads_only_himself(&lxcpath, &with_probe(&["attach"]), redirected, "");
    }
    let console = ["console", "-t", "0", &name].map(str::to_owned);
    the_operator_reads_only_himself(&lxcpath, &console, "", "over");
}

/// Runs wharf in an operator's shell, and checks that the shell then reads what the operator types
/// and nothing before it. With `awaited` the operator presses Enter until that appears, and leaves
/// the console.
fn the_operator_reads_only_himself(
    lxcpath: &Lxcpath,
    args: &[String],
    redirected: &str,
    awaited: &str,
) {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let wharf = lxcpath.command(&args);
    let script = format!(
        "\"$0\" \"$@\" {redirected}; echo wharf ended with $?; read -r line; echo \"read <$line>\""
    );
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(script).arg(wharf.get_program()).args(wharf.get_args());
    let mut screen = Screen::spawn(shell, 120, 24);
    if !awaited.is_empty() {
        screen.keys_until("\r", awaited);
        screen.keys("\x01q");
    }
    screen.wait_for("wharf ended with 0");
    screen.keys("typed\r");
    screen.wait_for("read <");
    screen.wait_for("read <typed>");
}

/// The capabilities that the default configuration leaves, by number: chown, dac_override, fowner,
/// fsetid, kill, setgid, setuid, setpcap, net_bind_service, sys_chroot, setfcap.
const CAPABILITIES: [u32; 11] = [0, 1, 3, 4, 5, 6, 7, 8, 10, 18, 31];

#[test]
fn a_container_has_the_eleven_capabilities_and_cannot_gain_more() {
    let Some(guest) = Guest::new() else { return };
    let script = "cat /proc/self/status /proc/1/status";
    let mask = CAPABILITIES.iter().fold(0_u64, |mask, it| mask | 1 << it);
    for (way, found) in guest.every_way("", script) {
        let values = |key: &str| -> Vec<String> {
            let lines = found.lines().filter_map(|it| it.strip_prefix(key));
            lines.map(|it| it.trim().to_owned()).collect()
        };
        for (key, wanted) in [
            ("CapInh:", 0),
            ("CapAmb:", 0),
            ("CapBnd:", mask),
            ("CapPrm:", mask),
            ("CapEff:", mask),
        ] {
            let wanted = format!("{wanted:016x}");
            assert_eq!(values(key), [wanted.clone(), wanted], "{way}: {key}");
        }
        assert_eq!(values("NoNewPrivs:"), ["1", "1"], "{way}");
        let ignored = values("SigIgn:");
        assert_eq!(ignored.first().map(|it| it.trim_matches('0')), Some(""), "{way}: {found}");
        assert!(values("Groups:").iter().all(String::is_empty), "{way}: {found}");
    }
}

#[test]
fn capabilities_that_an_operator_hands_on_stay_outside() {
    let Some(guest) = Guest::new() else { return };
    if !has_program("setpriv") {
        return;
    }
    let wrap = |args: &[&str]| {
        let wharf = guest.lxcpath.command(args);
        let mut command = Command::new("setpriv");
        command.args(["--inh-caps", "+net_raw", "--ambient-caps", "+net_raw"]);
        command.arg(wharf.get_program()).args(wharf.get_args()).stdin(Stdio::null());
        finish(command)
    };
    let status = ["--", "/bin/cat", "/proc/self/status"];
    let name = guest.name.as_str();
    let executed = wrap(&[&["execute", name][..], &status].concat());
    if text(&executed.stderr).starts_with("setpriv: ") {
        println!("skipped: {}", text(&executed.stderr).trim());
        return;
    }
    wrap(&["start", name, "--", "/bin/sleep", "1000"]);
    let attached = wrap(&[&["attach", name][..], &status].concat());
    let init = guest.lxcpath.ok(&["attach", name, "--", "/bin/cat", "/proc/1/status"]);
    for status in [text(&executed.stdout), text(&attached.stdout), init] {
        assert!(status.contains("CapInh:\t0000000000000000"), "{status}");
        assert!(status.contains("CapAmb:\t0000000000000000"), "{status}");
    }
}

/// Files that reveal or control the host, and that the default configuration hides.
const MASKED: [&str; 22] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kallsyms",
    "/proc/kcore",
    "/proc/keys",
    "/proc/kmsg",
    "/proc/kpagecgroup",
    "/proc/kpagecount",
    "/proc/kpageflags",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/vmallocinfo",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/bpf",
    "/sys/kernel/debug",
    "/sys/kernel/security",
    "/sys/kernel/tracing",
];

#[test]
fn information_about_the_host_is_masked() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("masked");
    let found = probed(&lxcpath, &name, &[], &format!("masked={}", MASKED.join(",")));
    for path in MASKED {
        let wanted = if Path::new(path).exists() { "masked" } else { "absent" };
        assert!(found.contains(&format!("{wanted} {path}")), "{path}: {found:?}");
    }
    // The probe is able to see what is not masked.
    let bare = ["lxc.mount.entry=", "lxc.mount.auto=proc:rw"];
    let found = probed(&lxcpath, &name, &bare, "masked=/proc/interrupts,/proc/version");
    assert!(found.contains(&"open /proc/interrupts".to_owned()), "{found:?}");
    assert!(found.contains(&"open /proc/version".to_owned()), "{found:?}");
}

/// Removes masks, and mounts what they cover a second time.
const UNCOVER: &str = "for it in /proc /proc/sys /proc/kallsyms /proc/kcore /sys /sys/firmware; do
    umount -l $it && echo uncovered $it
done 2> /dev/null
for it in /proc/sys /sys /sys/firmware; do
    mount -o remount,bind,rw $it && echo writable $it
done 2> /dev/null
mount -t proc none /mnt 2> /dev/null && echo a second proc
mount -t sysfs none /mnt 2> /dev/null && echo a second sysfs
echo end";

#[test]
fn no_mask_can_be_lifted_not_even_in_a_user_namespace() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("uncover");
    let found = lxcpath.ok(&["execute", &name, "--", "/bin/sh", "-c", UNCOVER]);
    assert_eq!(found, "end\n");
    if let Some(found) = in_user_namespace(&lxcpath, &name, UNCOVER) {
        assert_eq!(found, "end\n");
    }
}

/// Runs a script that ends with the word "end" in a container, as root of new namespaces of all
/// kinds. None: they are not available here, which is reported.
fn in_user_namespace(lxcpath: &Lxcpath, name: &str, script: &str) -> Option<String> {
    let wide = ["/usr/bin/env", "unshare", "-UrmnpfC", "/bin/sh", "-c", script];
    // LXC's profile would not allow unshare(1), nor would the container's seccomp profile.
    let settings = ["-s", "lxc.apparmor.profile=unconfined", "-s", "lxc.seccomp.profile="];
    let execute = [&["execute", name], &settings[..], &["--"]].concat();
    let output = lxcpath.wharf(&[&execute[..], &wide].concat());
    let said = text(&output.stdout);
    if !said.contains("end\n") {
        println!("skipped: no user namespace inside: {}", told(&output));
        return None;
    }
    Some(said)
}

/// The settings of a network, which a container that has one of its own may change.
const NETWORK: &str = "/proc/sys/net/";
/// Opened for writing by programs that want pressure notifications.
const PRESSURE: &str = "/proc/pressure/";

#[test]
fn no_switch_of_the_hosts_kernel_can_be_opened_for_writing() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("switches");
    let writable = |settings: &[&str]| -> Vec<String> {
        let found = probed(&lxcpath, &name, settings, "writable");
        assert!(found.contains(&"all seen".to_owned()), "{found:?}");
        found.iter().filter_map(|it| it.strip_prefix("writable ").map(str::to_owned)).collect()
    };
    // Only a container that administers its own network controls it.
    let found = writable(&[]);
    assert!(found.iter().all(|it| it.starts_with(PRESSURE)), "{found:#?}");
    let found = writable(&["lxc.cap.drop=", "lxc.cap.drop=sys_module"]);
    assert!(found.iter().any(|it| it.starts_with(NETWORK)), "the look sees nothing: {found:?}");
    let beyond: Vec<_> = found.iter().filter(|it| !it.starts_with(NETWORK)).collect();
    assert!(beyond.iter().all(|it| it.starts_with(PRESSURE)), "{beyond:#?}");

    // The settings of the host's network belong to the host, too.
    let found = writable(&["lxc.net.0.type=none"]);
    assert!(found.iter().all(|it| it.starts_with(PRESSURE)), "{found:#?}");
    let found = writable(&["lxc.net.0.type=none", "lxc.mount.auto=sys:mixed"]);
    assert!(found.iter().all(|it| it.starts_with(PRESSURE)), "{found:#?}");
}

/// Creates and opens devices that no container may have: memory, the kernel's log, disks, loop
/// devices, tun, fuse, kvm. Then those that every container has.
const DEVICES: &str = "cd /dev
while read -r node; do
    busybox mknod \"$node\" $node || continue
    echo made
    (: < \"$node\") && echo read \"$node\"
    (: >> \"$node\") && echo wrote \"$node\"
done <<END
c 1 1
c 1 4
c 1 11
c 10 200
c 10 229
c 10 232
b 7 0
b 8 0
b 254 0
END
for it in null zero full random urandom tty ptmx console; do (: <> $it) && echo good; done";

#[test]
fn devices_are_refused_even_to_a_container_that_may_make_nodes() {
    let Some(guest) = Guest::new() else { return };
    let config = guest.lxcpath.path().join(&guest.name).join("config");
    let closed = fs::read_to_string(&config).unwrap();
    fs::write(&config, closed.replace(" mknod ", " ")).unwrap();
    let may_make = ["cgroup", "cgroup2"]
        .map(|version| ["c", "b"].map(|kind| format!("lxc.{version}.devices.allow={kind} *:* m")));
    let may_make: Vec<&str> = may_make.as_flattened().iter().flat_map(|it| ["-s", it]).collect();
    for (settings, made) in [(&[][..], 0), (&may_make, 9)] {
        let mut args = vec!["execute", &guest.name];
        args.extend(settings);
        args.extend(["--", "/bin/sh", "-c", DEVICES]);
        let output = guest.lxcpath.wharf(&args);
        let said = text(&output.stdout);
        let count = |word: &str| said.lines().filter(|it| it.starts_with(word)).count();
        assert_eq!(count("good"), 8, "{}", told(&output));
        assert_eq!(count("made"), made, "{}", told(&output));
        assert_eq!((count("read"), count("wrote")), (0, 0), "{}", told(&output));
    }
}

/// Mounts every kind of cgroup file system on /mnt and controls the host with it: a program for the
/// host to run (by opening the file alone), rights to devices (one that it has), another limit.
const STEER: &str = r#"
try() { [ -e "/mnt/$1" ] && ($2 >> "/mnt/$1") 2> /dev/null && echo "steered $1"; }
for it in "cgroup2 none" "cgroup none -o devices" "cgroup none -o pids" "cgroup none -o memory" \
    "cgroup none -o freezer" "cgroup none -o none,name=systemd"; do
    mount -t $it /mnt 2> /dev/null || continue
    echo "mounted $it"
    try release_agent :
    try devices.allow "echo c 1:3 rw"
    try pids.max "echo max"
    umount /mnt
done
umount -l /sys 2> /dev/null && echo "found what lies below /sys"
find /sys -name release_agent -o -name devices.allow | sed "s/^/found /"
echo end
"#;

#[test]
fn cgroups_cannot_be_steered_from_inside() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("steer");
    let found = lxcpath.ok(&["execute", &name, "--", "/bin/sh", "-c", STEER]);
    assert_eq!(found, "end\n");
    // A user namespace of its own gives the power to mount, but none over the host.
    let Some(found) = in_user_namespace(&lxcpath, &name, STEER) else { return };
    for steered in ["steered release_agent", "steered devices.allow", "found"] {
        assert!(!found.contains(steered), "{found}");
    }
}

#[test]
fn the_supervisor_does_not_talk_to_a_container_that_shares_its_network() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.start_sleeper("asked");
    let own = lxcpath.name("asks");
    let host_network = ["lxc.net.0.type=none"];
    let ask = format!("ask={}", lxcpath.path().join(&name).display());
    let found = probed(&lxcpath, &own, &host_network, &ask);
    for asked in ["pid", "state", "console", "stop"] {
        let answer = found.iter().find(|it| it.starts_with(asked)).unwrap();
        assert!(answer.ends_with(" refused") && !answer.contains("not"), "{found:?}");
    }
    assert_eq!(lxcpath.state(&name), "RUNNING");
}

#[test]
fn no_key_of_the_operator_gets_inside() {
    if !can_run_containers() {
        return;
    }
    if let Err(error) = probe::add_key() {
        println!("skipped: no keyrings here: {error}");
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("keys");
    let command = probe::command("key");
    let mut outside = Command::new(&command[0]);
    outside.args(&command[1..]);
    let outside = finish(outside);
    assert!(text(&outside.stdout).contains("key done"), "{}", told(&outside));

    // The profile of a new container would deny the look.
    let unfiltered = "lxc.seccomp.profile=";
    let executed = probed(&lxcpath, &name, &[unfiltered], "key").join("\n");
    lxcpath.ok(&["create", &name, "-s", unfiltered]);
    let seen = lxcpath.path().join("seen");
    let script = format!("exec > {}; \"$0\" \"$@\"; exec sleep 1000", seen.display());
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    lxcpath.ok(&[&["start", &name, "--", "/bin/sh", "-c", &script][..], &words].concat());
    let attached = lxcpath.ok(&[&["attach", &name, "--"][..], &words].concat());
    let read = || fs::read_to_string(&seen).unwrap_or_default();
    wait_until("the end of the probe", || read().contains("test result"));
    for found in [executed, attached, read()] {
        assert!(found.contains("key Required key not available"), "{found}");
    }
}

#[test]
fn what_wharf_writes_is_its_owners_alone_and_what_a_container_writes_is_ordinary() {
    let Some(guest) = Guest::new() else { return };
    let log = guest.lxcpath.path().join("console.log");
    let config = guest.lxcpath.path().join(&guest.name).join("config");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{text}lxc.console.logfile = {}\n", log.display())).unwrap();
    for open in ["umask 0", "umask 777"] {
        for (way, found) in guest.every_way(open, "umask") {
            assert_eq!(found, "0022\nend\n", "{way} after {open}");
        }
    }
    let start = ["start", &guest.name, "--", "/bin/sleep", "1000"];
    assert!(finish(after("umask 0", &guest.lxcpath.command(&start))).status.success());
    let runtime = Path::new("/run/wharf");
    let mut private = tree(runtime);
    let ours = private.iter().filter(|it| it.to_string_lossy().contains(&guest.name)).count();
    assert!(ours > 0, "no record in {private:?}");
    private.extend([runtime.to_path_buf(), log]);
    for path in private {
        // Other tests' files come and go.
        let Ok(facts) = path.symlink_metadata() else { continue };
        let mode = facts.permissions().mode() & 0o7777;
        let wanted = if facts.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode, wanted, "{}: {mode:o}", path.display());
    }
    let made = tree(guest.lxcpath.path());
    for path in made.iter().filter(|it| !it.ends_with("console.log")) {
        let mode = path.symlink_metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o007, 0, "{}: {mode:o}", path.display());
    }
}

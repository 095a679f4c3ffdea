//! LXC and wharf start the same configuration on the same host, and what each gives to the container
//! is compared, from inside and from outside. Skipped without LXC.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::lxc::Lxc;
use crate::support::{Beside, rootfs, wait_until};

/// What the command reports: one fact on a line, which begins with its topic. When an interface has an
/// address for its link is up to the kernel, which gives it soon after it is up.
const PROBE: &str = r#"
PATH=/bin
said() { while read -r line; do echo "$1 $line"; done; }
{
    busybox grep -E '^(Cap|NoNew|Seccomp:|Groups|Uid|Gid|Umask)' /proc/$$/status | said status
    busybox grep SigBlk /proc/self/status | said status
    cat /proc/$$/uid_map /proc/$$/gid_map | said map
    busybox tr '\0' '\n' < /proc/$$/environ | said environment
    busybox tail -n +2 /proc/$$/limits | said limit
    busybox sed 's/^[^ ]* [^ ]* [^ ]* //; s/ - / /; s/ \(shared\|master\):[^ ]*//g' /proc/$$/mountinfo | said mount
    busybox awk '{ print ($1 == $6 ? "leader" : "member"); print ($7 ? "terminal" : "none") }' /proc/$$/stat | said session
    cat /proc/$$/oom_score_adj | said oom_score_adj
    cat /proc/$$/cgroup | said group
    hostname | said hostname
    busybox uname -m | said machine
    busybox ip -o addr | busybox grep -v fe80: | said address
    busybox ip route | said route
    busybox find /dev | while read -r file; do busybox stat -c '%n %F %a %u:%g %t:%T' $file; done | said dev
    cat /proc/sys/net/ipv4/ip_forward | said ip_forward
    for it in null zero full random; do busybox head -c 1 /dev/$it 2>&1 > /dev/zero | said $it; done
    busybox chroot / true 2>&1 | said chroot
    busybox mount -t tmpfs none /tmp 2>&1 | said tmpfs
    busybox mknod /tmp/node c 1 3 2>&1 | said mknod
    busybox rm -f /tmp/node
    busybox unshare -U true 2>&1 | said userspace
} > /seen.new 2>&1
busybox mv /seen.new /seen
while :; do sleep 1000; done
"#;

/// A hook, which notes its arguments and what LXC tells it: on the host in `HOME`, inside in the root.
/// Not compared is the place itself where the root is mounted: LXC has one, a root that is a directory
/// stays where it is with wharf.
const HOOK: &str = r#"#!/bin/sh
PATH=$PATH:/bin:/usr/bin
cd HOME 2> /dev/null || cd /
{
    echo "arguments $*"
    env | grep '^LXC_' | grep -v LXC_ROOTFS_MOUNT=
    case $3 in mount | autodev) test -e $LXC_ROOTFS_MOUNT/probe && echo finds the root;; esac
} | sed "s,/proc/[0-9]*/fd/[0-9]*,FD,g; s/LXC_PID=.*/LXC_PID=PID/; s/^/hook $3 /" >> hooks
"#;

/// A difference that is meant: the beginning of a line that only one of them has, and why. A line
/// that only LXC has begins with `-`, one that only wharf has with `+`; without either it may be both.
const MEANT: &[(&str, &str)] = &[
    ("environment PATH=", "PATH, HOME and TERM have defaults"),
    ("environment HOME=", "PATH, HOME and TERM have defaults"),
    ("environment TERM=", "PATH, HOME and TERM have defaults"),
    ("address 1: lo", "the loopback is up"),
    ("status Umask", "a container starts with 022, whatever the caller has"),
    ("mount ROOT / ", "device nodes in the root mean nothing"),
    ("mount /sys /proc/sys", "it keeps the flags that LXC's remount drops"),
    ("mount /sysrq-trigger /proc/", "it keeps the flags that LXC's remount drops"),
    ("mount / /sys r", "writable or not, it is as hardened as with sys:mixed"),
    ("+ session terminal", "a shell on the console has job control"),
    ("- session none", "a shell on the console has job control"),
    ("- session leader", "what the command of execute leaves behind is not hung up by its end"),
    ("+ session member", "what the command of execute leaves behind is not hung up by its end"),
    ("- dev /dev/console character special file", "others may not write to it, as with LXC 6"),
    ("+ dev /dev/console character special file 600", "others may not write to it, as with LXC 6"),
    ("- dev /dev/lxc/console character special file", "others may not write to it"),
    ("+ dev /dev/lxc/console character special file 600", "others may not write to it"),
    ("- dev /dev/pts/0 character special file", "others may not write to it, as with LXC 6"),
    ("+ dev /dev/pts/0 character special file 600", "others may not write to it, as with LXC 6"),
    ("mount / /dev/shm", "shared memory of its own"),
    ("mount / /dev/mqueue", "message queues of its own"),
    ("dev /dev/shm", "shared memory of its own"),
    ("dev /dev/mqueue", "message queues of its own"),
    ("dev /dev/ptmx", "a link, where LXC binds the same"),
    ("mount /ptmx /dev/ptmx", "a link, where LXC binds the same"),
];

fn is_meant(line: &str) -> bool {
    let fact = line.get(2..).unwrap_or_default();
    MEANT.iter().any(|(start, _)| line.starts_with(start) || fact.starts_with(start))
}

/// How a container is started.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Start,
    Execute,
}

/// One configuration.
struct Case<'a> {
    word: &'a str,
    settings: &'a [&'a str],
    verb: Verb,
    prepare: &'a dyn Fn(&Path),
}

/// Where it is tried.
struct Bench {
    lxc: Lxc,
    name: String,
    root: PathBuf,
    verb: Verb,
}

impl Case<'_> {
    fn bench(&self) -> Option<Bench> {
        let lxc = Lxc::new()?;
        let (name, root) = (lxc.lxcpath.name(self.word), lxc.lxcpath.path().join("root"));
        if !rootfs::busybox(&root) {
            return None;
        }
        let home = lxc.lxcpath.path().join(&name);
        fs::create_dir(&home).unwrap();
        fs::write(root.join("probe"), PROBE).unwrap();
        rootfs::write_script(&HOOK.replace("HOME", &home.to_string_lossy()), &root.join("hook"));
        (self.prepare)(&root);
        let mut config = format!("lxc.rootfs.path = dir:{}\n", root.display());
        for line in self.settings.iter().chain(&["lxc.init.cmd = /bin/sh /probe"]) {
            config.push_str(&line.replace("ROOT", &root.to_string_lossy()));
            config.push('\n');
        }
        fs::write(home.join("config"), config).unwrap();
        Some(Bench { lxc, name, root, verb: self.verb })
    }

    #[track_caller]
    fn assert_equal(&self) {
        let Some(bench) = self.bench() else { return };
        let (theirs, ours) = (bench.seen(Bench::start_theirs), bench.seen(Bench::start_ours));
        let lacks = theirs.difference(&ours).map(|it| format!("- {it}"));
        let more = ours.difference(&theirs).map(|it| format!("+ {it}"));
        let all: Vec<String> = lacks.chain(more).filter(|it| !is_meant(it)).collect();
        assert!(all.is_empty(), "LXC -, wharf +:\n{}", all.join("\n"));
    }
}

impl Bench {
    const COMMAND: [&str; 3] = ["--", "/bin/sh", "/probe"];

    fn start_theirs(&self) -> Option<Beside> {
        match self.verb {
            Verb::Start => self.lxc.start(&self.name),
            Verb::Execute => {
                let args = [&["-n", &self.name][..], &Self::COMMAND].concat();
                return Some(beside(self.lxc.inside("lxc-execute", &args)));
            }
        }
        None
    }

    fn start_ours(&self) -> Option<Beside> {
        let lxcpath = &self.lxc.lxcpath;
        match self.verb {
            Verb::Start => _ = lxcpath.ok(&["start", &self.name]),
            Verb::Execute => {
                let args = [&["execute", &self.name][..], &Self::COMMAND].concat();
                return Some(beside(lxcpath.command(&args)));
            }
        }
        None
    }

    /// Returns all facts about one run.
    fn seen(&self, start: impl Fn(&Self) -> Option<Beside>) -> BTreeSet<String> {
        let running = start(self);
        let report = self.root.join("seen");
        wait_until("the report", || report.exists());
        let mut facts = self.facts(&taken(&report));
        let lxcpath = &self.lxc.lxcpath;
        facts.extend(outside(lxcpath.ok(&["info", "-p", "-H", &self.name]).trim()));
        // An emulated machine may need longer for the hooks at the end than a stop waits for them.
        lxcpath.wharf(&["stop", "-k", &self.name]);
        wait_until("its end", || lxcpath.state(&self.name) == "STOPPED");
        facts.extend(self.hooks());
        drop(running);
        facts
    }

    /// Returns what the hooks have noted, and in which order they ran.
    fn hooks(&self) -> BTreeSet<String> {
        let home = self.lxc.lxcpath.path().join(&self.name);
        let (outside, inside) = (home.join("hooks"), self.root.join("hooks"));
        if !outside.exists() {
            return BTreeSet::new();
        }
        let read = || fs::read_to_string(&outside).unwrap();
        wait_until("the last hook", || read().contains("hook post-stop LXC_TARGET"));
        let noted = taken(&outside);
        let order = noted.lines().filter(|it| it.contains(" arguments "));
        let order: Vec<&str> = order.filter_map(|it| it.split(' ').nth(1)).collect();
        let mut facts = self.facts(&(noted.clone() + &taken(&inside)));
        facts.insert(format!("hooks in the order {}", order.join(" ")));
        facts
    }

    /// Splits a report into its lines, without what differs from one run to the next or is meant to.
    fn facts(&self, report: &str) -> BTreeSet<String> {
        let root = self.root.display().to_string();
        let line = |it: &str| {
            let it = it.replace(&root, "ROOT").replace(&self.name, "NAME");
            // wharf does not count its console against lxc.pty.max, and LXC 5 computes no broadcast
            // address.
            let options = |word: &str| {
                let all = word.split(',').filter(|it| !it.starts_with("max="));
                all.collect::<Vec<_>>().join(",")
            };
            let words = it.split_whitespace().map(options).collect::<Vec<_>>().join(" ");
            words.replace(" brd 0.0.0.255", "").replace(" brd 10.211.7.255", "")
        };
        report.lines().map(line).collect()
    }
}

fn beside(mut command: Command) -> Beside {
    Beside(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap())
}

fn taken(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    fs::remove_file(file).unwrap();
    text
}

/// What can be seen of the process `pid`, init, from the host.
fn outside(pid: &str) -> Vec<String> {
    let of = |pid: &str, kind: &str| fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
    let kinds = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];
    let spaces = kinds.into_iter().map(|kind| {
        let whose = if of(pid, kind) == of("self", kind) { "the host's" } else { "its own" };
        format!("namespace {kind} {whose}")
    });
    spaces.collect()
}

#[track_caller]
fn equal(word: &str, settings: &[&str]) {
    Case { word, settings, verb: Verb::Start, prepare: &|_| () }.assert_equal();
}

/// What every one of them says, to see something.
const COMMON: [&str; 3] =
    ["lxc.mount.auto = proc:mixed sys:mixed", "lxc.pty.max = 1024", "lxc.net.0.type = empty"];

#[test]
fn nothing_more_than_a_root() {
    equal("plain", &COMMON);
}

#[test]
fn limits_and_identity() {
    let settings = [
        "lxc.uts.name = inside",
        "lxc.cap.drop = sys_time mknod",
        "lxc.prlimit.nofile = 1000:2000",
        "lxc.prlimit.core = 0",
        "lxc.proc.oom_score_adj = 100",
        "lxc.environment = COLOUR=green",
        "lxc.sysctl.net.ipv4.ip_forward = 1",
        "lxc.no_new_privs = 1",
    ];
    equal("limits", &[&COMMON[..], &settings].concat());
}

#[test]
fn a_few_capabilities() {
    let settings = ["lxc.cap.keep = setuid setgid sys_chroot net_bind_service"];
    equal("caps", &[&COMMON[..], &settings].concat());
}

#[test]
fn groups_with_limits_and_rules_for_devices() {
    let unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let rules = [
        "pids.max = 77",
        "devices.deny = a",
        "devices.allow = c 1:3 rwm",
        "devices.allow = c 1:5 rw",
        "devices.allow = c 5:* rwm",
        "devices.allow = c 136:* rwm",
    ];
    let version = if unified { "2" } else { "" };
    let rules = rules.map(|it| format!("lxc.cgroup{version}.{it}"));
    equal("groups", &[&COMMON[..], &rules.each_ref().map(String::as_str)].concat());
}

#[test]
fn mounts_and_terminals() {
    let settings = [
        "lxc.tty.max = 2",
        "lxc.tty.dir = lxc",
        "lxc.mount.entry = none var tmpfs size=1m,nosuid 0 0",
        "lxc.mount.entry = /var/lib srv/share none bind,ro,create=dir 0 0",
        "lxc.mount.entry = /no/such/file srv/file none bind,optional,create=file 0 0",
        "lxc.autodev.tmpfs.size = 300000",
    ];
    equal("mounts", &[&COMMON[..], &settings].concat());
}

#[test]
fn kernel_file_systems_to_write() {
    let settings = ["lxc.mount.auto = proc:rw sys:rw cgroup:rw:force", "lxc.net.0.type = empty"];
    equal("writable", &[&settings[..], &["lxc.pty.max = 1024"]].concat());
}

#[test]
fn kernel_file_systems_to_read() {
    let settings = [
        "lxc.mount.auto = proc:mixed sys:ro cgroup:ro:force",
        "lxc.net.0.type = empty",
        "lxc.pty.max = 1024",
        "lxc.cap.drop = sys_admin",
    ];
    equal("readable", &settings);
}

#[test]
fn a_network_of_its_own() {
    let settings = [
        "lxc.mount.auto = proc sys",
        "lxc.pty.max = 1024",
        "lxc.net.0.type = veth",
        "lxc.net.0.flags = up",
        "lxc.net.0.hwaddr = 00:16:3e:01:02:03",
        "lxc.net.0.mtu = 1400",
        "lxc.net.0.ipv4.address = 10.211.7.2/24",
        "lxc.net.0.ipv4.gateway = 10.211.7.1",
    ];
    equal("network", &settings);
}

#[test]
fn users_of_its_own() {
    let settings = ["lxc.idmap = u 0 100000 65536", "lxc.idmap = g 0 100000 65536"];
    let settings = [&COMMON[..], &settings].concat();
    let prepare = |root: &Path| {
        let owner = ["-R", "100000:100000", root.to_str().unwrap()];
        assert!(Command::new("chown").args(owner).status().unwrap().success());
        // The container's root is nobody special in the directory of the test.
        fs::set_permissions(root.parent().unwrap(), fs::Permissions::from_mode(0o755)).unwrap();
    };
    let case = Case { word: "users", settings: &settings, verb: Verb::Start, prepare: &prepare };
    case.assert_equal();
}

#[test]
fn a_filter_of_system_calls() {
    let settings = ["lxc.seccomp.profile = /usr/share/lxc/config/common.seccomp"];
    if !Path::new("/usr/share/lxc/config/common.seccomp").exists() {
        println!("skipped: no profile of LXC's on this machine");
        return;
    }
    equal("filter", &[&COMMON[..], &settings].concat());
}

#[test]
fn hooks_in_their_order_with_what_they_are_told() {
    let host = ["pre-start", "pre-mount", "mount", "autodev", "start-host", "stop", "post-stop"];
    let mut hooks = host.map(|it| format!("lxc.hook.{it} = ROOT/hook")).to_vec();
    hooks.push("lxc.hook.start = /hook".to_owned());
    let hooks: Vec<&str> = hooks.iter().map(String::as_str).collect();
    equal("hooks", &[&COMMON[..], &hooks].concat());
}

#[test]
fn an_init_of_the_tools_own() {
    let case = Case { word: "execute", settings: &COMMON, verb: Verb::Execute, prepare: &|_| () };
    case.assert_equal();
}

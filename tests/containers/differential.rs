//! LXC and wharf start the same configuration on the same host, and what each gives to the container
//! is compared, from inside and from outside. Skipped without LXC.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::support::lxc::Lxc;
use crate::support::{rootfs, wait_until};

/// What pid 1 reports: one fact on a line, which begins with its topic.
const PROBE: &str = r#"
PATH=/bin
said() { while read -r line; do echo "$1 $line"; done; }
{
    busybox grep -E '^(Cap|NoNew|Seccomp:|Groups|Uid|Gid|SigBlk|Umask)' /proc/1/status | said status
    cat /proc/1/uid_map /proc/1/gid_map | said map
    busybox tr '\0' '\n' < /proc/1/environ | said environment
    busybox tail -n +2 /proc/1/limits | said limit
    busybox sed 's/^[^ ]* [^ ]* [^ ]* //; s/ - / /; s/ \(shared\|master\):[^ ]*//g' /proc/1/mountinfo | said mount
    cat /proc/1/oom_score_adj | said oom_score_adj
    hostname | said hostname
    busybox uname -m | said machine
    busybox ip -o addr | said address
    busybox ip route | said route
    busybox find /dev | while read -r file; do busybox stat -c '%n %F %a %u:%g %t:%T' $file; done | said dev
    cat /proc/sys/net/ipv4/ip_forward | said ip_forward
    busybox chroot / true 2>&1 | said chroot
    busybox mount -t tmpfs none /tmp 2>&1 | said tmpfs
    busybox mknod /tmp/node c 1 3 2>&1 | said mknod
    busybox unshare -U true 2>&1 | said userspace
} > /seen.new 2>&1
busybox mv /seen.new /seen
while :; do sleep 1000; done
"#;

/// A difference that is meant: the beginning of a line that only one of them has, and why.
const MEANT: &[(&str, &str)] = &[
    ("environment PATH=", "PATH, HOME and TERM have defaults"),
    ("environment HOME=", "PATH, HOME and TERM have defaults"),
    ("environment TERM=", "PATH, HOME and TERM have defaults"),
    ("address 1: lo", "the loopback is up"),
    ("status Umask", "a container starts with 022, whatever the caller has"),
    ("mount ROOT / ", "device nodes in the root mean nothing"),
    ("mount /sys /proc/sys ", "it keeps the flags that LXC's remount drops"),
    ("dev /dev/console", "others may not write to it"),
    ("dev /dev/lxc/console", "others may not write to it"),
    ("dev /dev/pts/0", "others may not write to it"),
    ("mount / /dev ", "it is nosuid and limited, and has another name"),
    ("mount / /dev/shm", "shared memory of its own"),
    ("mount / /dev/mqueue", "message queues of its own"),
    ("dev /dev/shm", "shared memory of its own"),
    ("dev /dev/mqueue", "message queues of its own"),
    ("dev /dev/ptmx", "a link, where LXC binds the same"),
    ("mount /ptmx /dev/ptmx", "a link, where LXC binds the same"),
    ("dev /dev/.lxc-boot-id", "the boot's id is the host's"),
    ("mount /.lxc-boot-id", "the boot's id is the host's"),
    ("limit Max open files", "the limit that select(2) can bear, whatever the caller has"),
];

/// Starts `settings` with both and returns what only one of them has: `-` LXC, `+` wharf.
fn differences(word: &str, settings: &[&str], prepare: impl Fn(&Path)) -> Option<Vec<String>> {
    let lxc = Lxc::new()?;
    let (name, root) = (lxc.lxcpath.name(word), lxc.lxcpath.path().join("root"));
    if !rootfs::busybox(&root) {
        return None;
    }
    fs::write(root.join("probe"), PROBE).unwrap();
    prepare(&root);
    let home = lxc.lxcpath.path().join(&name);
    fs::create_dir(&home).unwrap();
    let mut config = format!("lxc.rootfs.path = dir:{}\n", root.display());
    for line in settings.iter().chain(&["lxc.init.cmd = /bin/sh /probe"]) {
        config.push_str(line);
        config.push('\n');
    }
    fs::write(home.join("config"), config).unwrap();
    let seen = |start: &dyn Fn()| {
        start();
        let report = root.join("seen");
        wait_until("the report", || report.exists());
        let inside = fs::read_to_string(&report).unwrap();
        fs::remove_file(report).unwrap();
        let mut facts = facts(&inside, &name, &root);
        facts.extend(outside(lxc.lxcpath.ok(&["info", "-p", "-H", &name]).trim()));
        lxc.lxcpath.ok(&["stop", "-k", &name]);
        facts
    };
    let theirs = seen(&|| lxc.start(&name));
    let ours = seen(&|| _ = lxc.lxcpath.ok(&["start", &name]));
    let meant = |it: &&String| !MEANT.iter().any(|(start, _)| it.starts_with(start));
    let lacks = theirs.difference(&ours).filter(meant).map(|it| format!("- {it}"));
    let more = ours.difference(&theirs).filter(meant).map(|it| format!("+ {it}"));
    Some(lacks.chain(more).collect())
}

/// Splits a report into its lines, without what differs from one run to the next or is meant to.
fn facts(report: &str, name: &str, root: &Path) -> BTreeSet<String> {
    let root = root.display().to_string();
    let line = |it: &str| {
        let it = it.replace(&root, "ROOT").replace(name, "NAME");
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

/// What can be seen of pid 1 from the host.
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
fn equal(word: &str, settings: &[&str], prepare: impl Fn(&Path)) {
    let Some(differences) = differences(word, settings, prepare) else { return };
    assert!(differences.is_empty(), "LXC -, wharf +:\n{}", differences.join("\n"));
}

/// What every one of them says, to see something.
const COMMON: [&str; 3] =
    ["lxc.mount.auto = proc:mixed sys:mixed", "lxc.pty.max = 1024", "lxc.net.0.type = empty"];

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
    equal("limits", &[&COMMON[..], &settings].concat(), |_| ());
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
    equal("mounts", &[&COMMON[..], &settings].concat(), |_| ());
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
    equal("network", &settings, |_| ());
}

#[test]
fn users_of_its_own() {
    let settings = ["lxc.idmap = u 0 100000 65536", "lxc.idmap = g 0 100000 65536"];
    equal("users", &[&COMMON[..], &settings].concat(), |root| {
        let owner = ["-R", "100000:100000", root.to_str().unwrap()];
        assert!(Command::new("chown").args(owner).status().unwrap().success());
        // The container's root is nobody special in the directory of the test.
        fs::set_permissions(root.parent().unwrap(), fs::Permissions::from_mode(0o755)).unwrap();
    });
}

#[test]
fn a_filter_of_system_calls() {
    let settings = ["lxc.seccomp.profile = /usr/share/lxc/config/common.seccomp"];
    if !Path::new("/usr/share/lxc/config/common.seccomp").exists() {
        println!("skipped: no profile of LXC's on this machine");
        return;
    }
    equal("filter", &[&COMMON[..], &settings].concat(), |_| ());
}

//! The decision about every key, in every spelling: applied, and where, or ignored, or refused. A
//! key without a decision fails the test.

use std::fmt::Debug;
use std::fs;
use std::path::Path;

use super::Config;
use super::keys::{KEYS, Support};
use super::net;
use crate::engine::terms::nic::Nic;
use crate::engine::terms::spec::{At, Spec};

/// What becomes of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    /// The description of what is started changes.
    Applied,
    /// Only this reads it, or only on another host.
    ReadBy(&'static str),
    Ignored,
    /// The start is refused, with this reason.
    Refused(&'static str),
}

use Decision::{Applied, Ignored, ReadBy, Refused};

/// A key, what its free part is, and lines before it on which its effect depends.
struct Case {
    key: &'static str,
    free: &'static str,
    value: &'static str,
    before: &'static str,
    decision: Decision,
}

const fn case(key: &'static str, value: &'static str, decision: Decision) -> Case {
    Case { key, free: "", value, before: "", decision }
}

impl Case {
    const fn after(self, before: &'static str) -> Self {
        Self { before, ..self }
    }

    const fn free(self, free: &'static str) -> Self {
        Self { free, ..self }
    }
}

/// `DIR` stands for a directory with the files that some name.
const CASES: &[Case] = &[
    case("lxc.include", "DIR/two-ttys.conf", Applied),
    case("lxc.arch", "i686", Applied),
    case("lxc.uts.name", "web", Applied),
    case("lxc.ephemeral", "1", Applied),
    case("lxc.no_new_privs", "1", Applied),
    case("lxc.sched.core", "1", Applied),
    case("lxc.time.offset.boot", "10h", Applied),
    case("lxc.time.offset.monotonic", "-5s", Applied),
    case("lxc.keyring.session", "1", Applied),
    case("lxc.rootfs.path", "dir:DIR", Applied),
    case("lxc.rootfs.path", "nbd:/a.qcow2", Refused("qemu-nbd")),
    case("lxc.rootfs.path", "rbd:pool/a", Refused("rbd map")),
    case("lxc.rootfs.path", "aufs:/a:/b", Refused("expected a path")),
    case("lxc.rootfs.backend", "overlayfs", Applied).after("lxc.rootfs.path = DIR:DIR/up"),
    case("lxc.rootfs.mount", "DIR", Applied).after("lxc.rootfs.path = loop:DIR/image"),
    case("lxc.rootfs.options", "ro", Applied),
    case("lxc.rootfs.managed", "0", ReadBy("destroy")),
    case("lxc.pivotdir", "/mnt", Ignored),
    case("lxc.kmsg", "1", Ignored),
    case("lxc.mount.fstab", "DIR/fstab", Applied),
    case("lxc.mount.entry", "tmpfs tmp tmpfs rw 0 0", Applied),
    case("lxc.mount.auto", "proc:mixed sys:ro cgroup", Applied),
    case("lxc.cgroup.dir", "group", Applied),
    case("lxc.cgroup.dir.container", "a", Applied).after("lxc.cgroup.dir.monitor = b"),
    case("lxc.cgroup.dir.container", "a", Refused("it requires lxc.cgroup.dir.monitor")),
    case("lxc.cgroup.dir.container.inner", "in", Applied)
        .after("lxc.cgroup.dir.container = a\nlxc.cgroup.dir.monitor = b"),
    case("lxc.cgroup.dir.monitor", "b", Applied).after("lxc.cgroup.dir.container = a"),
    case("lxc.cgroup.dir.monitor.pivot", "c", Ignored),
    case("lxc.cgroup.relative", "1", Applied),
    case("lxc.cgroup.", "9", Applied).free("pids.max"),
    case("lxc.cgroup2.", "9", Applied).free("pids.max"),
    case("lxc.cap.drop", "sys_time 5", Applied),
    case("lxc.cap.keep", "none", Applied),
    case("lxc.cap.keep", "kill", Refused("it conflicts")).after("lxc.cap.drop = chown"),
    case("lxc.idmap", "u 0 100000 65536", Applied).after("lxc.idmap = g 0 100000 65536"),
    case("lxc.apparmor.profile", "unconfined", ReadBy("a host with AppArmor")),
    case("lxc.apparmor.allow_incomplete", "1", ReadBy("a host with AppArmor")),
    case("lxc.apparmor.allow_nesting", "1", ReadBy("a host with AppArmor")),
    case("lxc.apparmor.raw", "mount,", ReadBy("a host with AppArmor")),
    case("lxc.selinux.context", "a:b:c:s0", ReadBy("a host with SELinux")),
    case("lxc.selinux.context.keyring", "a:b:c:s0", ReadBy("a host with SELinux")),
    case("lxc.seccomp.profile", "DIR/profile", Applied).after("lxc.seccomp.allow_nesting = 1"),
    case("lxc.seccomp.allow_nesting", "1", ReadBy("a wharf that has a filter itself")),
    case("lxc.seccomp.notify.proxy", "unix:@proxy", Applied)
        .after("lxc.seccomp.allow_nesting = 1\nlxc.seccomp.profile = DIR/profile"),
    case("lxc.seccomp.notify.proxy", "tcp:1", Refused("unix:/PATH")),
    case("lxc.seccomp.notify.cookie", "cookie", Applied)
        .after("lxc.seccomp.allow_nesting = 1\nlxc.seccomp.profile = DIR/profile"),
    case("lxc.namespace.clone", "mnt pid", Applied),
    case("lxc.namespace.keep", "net", Applied),
    case("lxc.namespace.share.", "other", Applied).free("net"),
    case("lxc.namespace.share.", "other", Applied)
        .free("user")
        .after("lxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 65536"),
    case("lxc.namespace.share.", "other", Refused("it requires lxc.idmap")).free("user"),
    case("lxc.tty.max", "4", Applied),
    case("lxc.tty.dir", "lxc", Applied),
    case("lxc.pty.max", "16", Applied),
    case("lxc.console.path", "none", Applied),
    case("lxc.console.logfile", "/log", Applied),
    case("lxc.console.buffer.size", "64KB", Applied),
    case("lxc.console.size", "64KB", Applied),
    case("lxc.console.rotate", "0", Applied),
    case("lxc.autodev", "0", Applied),
    case("lxc.autodev.tmpfs.size", "65536", Applied),
    case("lxc.hook.version", "1", Applied),
    case("lxc.hook.pre-start", "/bin/true", Applied),
    case("lxc.hook.pre-mount", "/bin/true", Applied),
    case("lxc.hook.mount", "/bin/true", Applied),
    case("lxc.hook.autodev", "/bin/true", Applied),
    case("lxc.hook.start-host", "/bin/true", Applied),
    case("lxc.hook.start", "/bin/true", Applied),
    case("lxc.hook.stop", "/bin/true", Applied),
    case("lxc.hook.post-stop", "/bin/true", Applied),
    case("lxc.hook.clone", "/bin/true", ReadBy("create --from")),
    case("lxc.hook.destroy", "/bin/true", ReadBy("destroy")),
    case("lxc.init.cmd", "/bin/sh", Applied),
    case("lxc.execute.cmd", "/bin/sh", Applied).after("lxc.init.cmd = /bin/sh"),
    case("lxc.init.cwd", "/tmp", Applied),
    case("lxc.init.uid", "7", Applied),
    case("lxc.init.gid", "7", Applied),
    case("lxc.init.groups", "7,8", Applied),
    case("lxc.signal.halt", "SIGTERM", Applied),
    case("lxc.signal.halt", "999", Refused("a signal from 1 to 64")),
    case("lxc.signal.reboot", "SIGHUP", Applied),
    case("lxc.signal.stop", "SIGRTMIN+3", Applied),
    case("lxc.prlimit.", "64:128", Applied).free("nofile"),
    case("lxc.prlimit.", "64", Refused("a limit among")).free("files"),
    case("lxc.sysctl.", "1", Applied).free("net.ipv4.ip_forward"),
    case("lxc.proc.", "7", Applied).free("oom_score_adj"),
    case("lxc.environment", "A=b", Applied),
    case("lxc.environment", "WHARF_TEST_VARIABLE_THAT_IS_UNSET", Refused("not set in wharf's own")),
    case("lxc.environment.runtime", "A=b", Applied),
    case("lxc.environment.hooks", "A=b", Applied),
    case("lxc.start.auto", "1", ReadBy("autostart")),
    case("lxc.start.delay", "5", ReadBy("autostart")),
    case("lxc.start.order", "-1", ReadBy("autostart")),
    case("lxc.group", "onboot", ReadBy("autostart")),
    case("lxc.monitor.unshare", "1", Applied),
    case("lxc.monitor.unshare", "1", Refused("it conflicts with lxc.net.N.type = phys"))
        .after("lxc.net.0.type = phys\nlxc.net.0.link = lo"),
    case("lxc.monitor.signal.pdeath", "0", Applied),
    case("lxc.log.level", "DEBUG", Applied),
    case("lxc.log.file", "/log", Applied),
    case("lxc.log.syslog", "local7", Applied),
];

const VETH: &str = "lxc.net.0.type = veth";
const BRIDGED: &str = "lxc.net.0.type = veth\nlxc.net.0.link = br0";
const UP: &str = "lxc.net.0.type = veth\nlxc.net.0.flags = up\n\
    lxc.net.0.ipv4.address = 10.0.3.2/24\nlxc.net.0.ipv6.address = fd00::2/64";
const MACVLAN: &str = "lxc.net.0.type = macvlan\nlxc.net.0.link = lo";
const IPVLAN: &str = "lxc.net.0.type = ipvlan\nlxc.net.0.link = lo";

/// The parts of an interface.
const PARTS: &[Case] = &[
    case("type", "veth", Applied),
    case("type", "tap", Refused("unknown network type")),
    case("flags", "up", Applied).after(VETH),
    case("link", "lo", Applied).after("lxc.net.0.type = phys"),
    case("link", "none-such", Refused("no such network interface")).after(VETH),
    case("name", "lan", Applied).after(VETH),
    case("hwaddr", "00:16:3e:00:00:01", Applied).after(VETH),
    case("mtu", "1400", Applied).after(VETH),
    case("ipv4.address", "10.0.3.2/24", Applied).after(VETH),
    case("ipv4.gateway", "10.0.3.1", Applied).after(UP),
    case("ipv6.address", "fd00::2/64", Applied).after(VETH),
    case("ipv6.gateway", "fd00::1", Applied).after(UP),
    case("script.up", "/bin/true", Applied).after(VETH),
    case("script.down", "/bin/true", Applied).after(VETH),
    case("l2proxy", "1", Applied)
        .after("lxc.net.0.type = ipvlan\nlxc.net.0.link = lo\nlxc.net.0.ipvlan.mode = l3s"),
    case("veth.pair", "host0", Applied).after(VETH),
    case("veth.mode", "router", Applied).after("lxc.net.0.type = veth\nlxc.net.0.link = lo"),
    case("veth.ipv4.route", "10.0.4.0/24", Applied).after(VETH),
    case("veth.ipv6.route", "fd01::/64", Applied).after(VETH),
    case("veth.vlan.id", "7", Applied).after(BRIDGED),
    case("veth.vlan.tagged.id", "8", Applied).after(BRIDGED),
    case("veth.n_rxqueues", "2", Applied).after(VETH),
    case("veth.n_txqueues", "2", Applied).after(VETH),
    case("macvlan.mode", "bridge", Applied).after(MACVLAN),
    case("macvlan.mode", "bridge", Refused("it requires lxc.net.0.type = macvlan")),
    case("ipvlan.mode", "l2", Applied).after(IPVLAN),
    case("ipvlan.isolation", "private", Applied).after(IPVLAN),
    case("vlan.id", "7", Applied).after("lxc.net.0.type = vlan\nlxc.net.0.link = lo"),
];

fn parsed(text: &str) -> Result<Config, String> {
    let (name, lxcpath) = ("web".parse().unwrap(), Path::new("/lxc"));
    let config = super::parse(&name, lxcpath, text.as_bytes(), Path::new("config"), &[]);
    config.map_err(|it| it.to_string())
}

fn spec(text: &str) -> Result<Spec, String> {
    parsed(text)?.spec().map_err(|it| it.to_string())
}

/// The interfaces, whether or not this host has their links.
fn nics(text: &str) -> Result<Vec<At<Nic>>, String> {
    parsed(text)?.nics().map_err(|it| it.to_string())
}

/// A directory with the files that the cases name.
fn files() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (file, text) in [
        ("two-ttys.conf", "lxc.tty.max = 2\n"),
        ("fstab", "tmpfs tmp tmpfs rw 0 0\n"),
        ("profile", "2\ndenylist\nmount notify\n"),
        ("image", ""),
    ] {
        fs::write(dir.path().join(file), text).unwrap();
    }
    dir
}

impl Case {
    /// Tries it with the key spelled as `key`, after the lines `before`.
    fn check<T: Debug + PartialEq>(
        &self,
        key: &str,
        (before, dir): (&str, &Path),
        read: fn(&str) -> Result<T, String>,
    ) {
        let whole = |text: &str| text.replace("DIR", dir.to_str().unwrap());
        let before = whole(before);
        let line = format!("{key}{} = {}", self.free, whole(self.value));
        let with = read(&format!("{before}\n{line}\n"));
        let without = read(&before);
        match self.decision {
            Applied => assert_ne!(Some(with.unwrap()), without.ok(), "{line} has no effect"),
            ReadBy(_) | Ignored => {
                assert_eq!(with.unwrap(), without.unwrap(), "{line} has an effect");
            }
            Refused(why) => {
                let said = with.expect_err(&line);
                let place = format!("line {} of config", before.lines().count().max(1) + 1);
                assert!(said.contains(why), "{line}: {said}");
                assert!(said.contains(self.key) && said.contains(&place), "{line}: {said}");
            }
        }
    }
}

#[test]
fn every_key_is_applied_or_ignored_or_refused_in_every_spelling() {
    let dir = files();
    for key in KEYS {
        let cases: Vec<&Case> = CASES.iter().filter(|it| it.key == key.name).collect();
        assert!(!cases.is_empty(), "nothing is decided about {}", key.name);
        for case in cases {
            let is_ignored = matches!(key.support, Support::Ignored(_));
            assert_eq!(case.decision == Ignored, is_ignored, "{}", key.name);
            for name in std::iter::once(&key.name).chain(key.legacy) {
                case.check(name, (case.before, dir.path()), spec);
            }
        }
    }
    assert!(CASES.iter().all(|it| KEYS.iter().any(|key| key.name == it.key)));
}

#[test]
fn every_part_of_an_interface_is_applied_or_refused_in_every_spelling() {
    let dir = files();
    for net::InterfaceKey { name, legacy, .. } in net::parts() {
        let cases: Vec<&Case> = PARTS.iter().filter(|it| it.key == *name).collect();
        assert!(!cases.is_empty(), "nothing is decided about lxc.net.N.{name}");
        for case in cases {
            let (key, place) = (format!("lxc.net.0.{name}"), (case.before, dir.path()));
            if case.decision == Applied {
                case.check(&key, place, nics);
            } else {
                case.check(&key, place, spec);
            }
        }
        for case in PARTS.iter().filter(|it| it.key == *name && it.decision == Applied) {
            for prefix in ["lxc.network.", "lxc.network.0."] {
                let before = case.before.replace("lxc.net.0.", prefix);
                case.check(&format!("{prefix}{legacy}"), (&before, dir.path()), nics);
            }
        }
    }
}

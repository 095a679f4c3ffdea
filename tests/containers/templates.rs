//! The templates that wharf brings along: each is started, in a network namespace of the test's own
//! with the interfaces that the templates name. As root.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::screen::Screen;
use crate::support::{self, Lxcpath, can_run_containers, finish, has_program, told, wait_until};
use nix::sched::{CloneFlags, unshare};

/// Makes this thread's own network with a bridge and two more interfaces. None: this machine cannot
/// run the test, which is reported.
fn network() -> Option<Lxcpath> {
    if !can_run_containers() || !has_program("ip") {
        return None;
    }
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    for made in ["lo up", "br0 type bridge", "eth0 type veth peer name far0", "random0 type veth"] {
        let link = if made == "lo up" { "set" } else { "add" };
        if !ip(&format!("link {link} {made}")) {
            println!("skipped: this kernel does not make {made}");
            return None;
        }
    }
    for name in ["br0", "eth0", "far0"] {
        assert!(ip(&format!("link set {name} up")));
    }
    Some(Lxcpath::new())
}

fn ip(arguments: &str) -> bool {
    Command::new("ip").args(arguments.split(' ')).output().unwrap().status.success()
}

/// Template, and what `ip -o addr` shows in its container. The peers of the names of two interfaces
/// are in this namespace.
const SHOWN: [(&str, &[&str]); 6] = [
    ("complex", &["eth0    inet 10.2.3.5/24", "eth1    inet 10.2.3.4/24", "inet 10.2.3.6/24"]),
    ("empty-netns", &["lo    inet 127.0.0.1/8"]),
    ("macvlan", &["eth0    inet 10.2.3.4/24", "inet6 2003:db8:1:0:214:1234:fe0b:3596/64"]),
    ("no-netns", &[": br0: ", ": random0@"]),
    ("phys", &["eth0    inet 10.2.3.6/24"]),
    ("veth", &["eth0    inet 10.2.3.5/24", "inet6 2003:db8:1:0:214:1234:fe0b:3597/64"]),
];

#[test]
fn each_template_gives_the_network_that_it_is_named_for() {
    let Some(lxcpath) = network() else { return };
    for (template, lines) in SHOWN {
        let name = lxcpath.name(template);
        lxcpath.ok(&["create", &name, "-f", template]);
        let config = fs::read_to_string(lxcpath.path().join(&name).join("config")).unwrap();
        assert!(config.contains("lxc.no_new_privs = 1"), "{config}");
        assert!(!config.contains("= 4a:49:43:xx"), "{config}");
        let seen = lxcpath.ok(&["execute", &name, "--", "ip", "-o", "addr"]);
        let links = lxcpath.ok(&["execute", &name, "--", "ip", "-o", "link"]);
        for line in lines {
            let shown = seen.contains(line) || links.contains(line);
            assert!(shown, "{template}: no {line:?} in {seen}{links}");
        }
        // What was lent is back.
        assert!(ip("link show eth0") && ip("link show random0"), "{template}");
    }
}

#[test]
fn a_vlan_is_made_where_the_kernel_can() {
    let Some(lxcpath) = network() else { return };
    if !ip("link add link eth0 name trial type vlan id 7") {
        let run = ["execute", &lxcpath.name("x"), "-f", "vlan", "--", "true"];
        let refused = lxcpath.refused(&run, 1);
        assert!(
            refused.contains("does not support vlan; `modprobe 8021q` may load it"),
            "{refused}"
        );
        return;
    }
    let seen = lxcpath.ok(&["execute", &lxcpath.name("x"), "-f", "vlan", "--", "ip", "-o", "addr"]);
    assert!(seen.contains("eth0    inet 10.2.3.4/24"), "{seen}");
}

#[test]
fn a_template_serves_one_command_without_a_container() {
    let Some(lxcpath) = network() else { return };
    let name = lxcpath.name("foo");
    let seen = lxcpath.ok(&["execute", &name, "-f", "macvlan", "--", "ip", "-o", "addr"]);
    assert!(seen.contains("eth0    inet 10.2.3.4/24"), "{seen}");
    assert!(!lxcpath.path().join(&name).exists());
    // In the background the supervisor reads it, in another directory.
    lxcpath.ok(&["create", &name]);
    lxcpath.ok(&["start", &name, "-f", "veth", "--", "/bin/sleep", "1000"]);
    let seen = lxcpath.ok(&["attach", &name, "--", "ip", "-o", "addr"]);
    assert!(seen.contains("eth0    inet 10.2.3.5/24"), "{seen}");
}

/// The tree of lxc(7)'s example in `root`, with keys for one login, which are in `keys`.
fn sshd_tree(root: &Path, keys: &Path) {
    let script = "set -e
        mkdir -p $ROOT/bin $ROOT/dev/pts $ROOT/dev/shm $ROOT/etc/ssh $ROOT/lib $ROOT/proc $ROOT/sbin
        mkdir -p $ROOT/sys $ROOT/usr $ROOT/var/empty/sshd $ROOT/run/sshd $ROOT/tmp
        mkdir -m 700 $ROOT/root $ROOT/root/.ssh
        echo root:x:0:0:root:/root:/bin/sh > $ROOT/etc/passwd
        echo sshd:x:100:65534::/run/sshd:/usr/sbin/nologin >> $ROOT/etc/passwd
        printf 'root:x:0:\nnogroup:x:65534:\n' > $ROOT/etc/group
        ssh-keygen -q -t ed25519 -N '' -f $ROOT/etc/ssh/ssh_host_ed25519_key
        ssh-keygen -q -t ed25519 -N '' -f $KEYS/key
        cp $KEYS/key.pub $ROOT/root/.ssh/authorized_keys
        echo 10.2.3.4 $(cut -d' ' -f1-2 $ROOT/etc/ssh/ssh_host_ed25519_key.pub) > $KEYS/known
        echo 'UsePAM no' > $ROOT/etc/ssh/sshd_config
        for it in lib lib64 bin usr sbin; do
            [ ! -d /$it ] || { mkdir -p $ROOT/$it; echo /$it $ROOT/$it none ro,bind 0 0; }
        done > $KEYS/fstab";
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).env("ROOT", root).env("KEYS", keys);
    let output = finish(command);
    assert!(output.status.success(), "{}", told(&output));
}

#[test]
fn sshd_answers_on_a_macvlan_as_in_lxcs_manual() {
    let Some(lxcpath) = network() else { return };
    let sshd = "/usr/sbin/sshd";
    if !Path::new(sshd).exists() || !has_program("ssh") {
        println!("skipped: no sshd and ssh on this machine; install the package ssh");
        return;
    }
    assert!(ip("addr add 10.2.3.1/24 dev far0"));
    let (root, keys) = (lxcpath.path().join(".sshd"), tempfile::tempdir().unwrap());
    sshd_tree(&root, keys.path());
    let (name, file) = (lxcpath.name("sshd"), keys.path().join("config"));
    let template = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/templates/macvlan.conf");
    let own = format!(
        "lxc.uts.name = sshd\nlxc.rootfs.path = {}\nlxc.mount.fstab = {}\nlxc.mount.auto = proc sys\n",
        root.display(),
        keys.path().join("fstab").display()
    );
    fs::write(&file, fs::read_to_string(template).unwrap() + &own).unwrap();
    let file = file.to_str().unwrap();
    let mut served = Command::new(env!("CARGO_BIN_EXE_wharf"));
    served.args(["lxc", "execute", "-P"]).arg(lxcpath.path());
    served.args(["-n", &name, "-f", file, "--", sshd, "-D", "-e"]).stdin(Stdio::null());
    let mut served = served.spawn().unwrap();
    let login = |command: &str| {
        let mut ssh = Command::new("ssh");
        let [key, known] = ["key", "known"].map(|it| keys.path().join(it).display().to_string());
        ssh.args(["-F", "none", "-i", &key, "-o", "BatchMode=yes", "-o", "ConnectTimeout=5"]);
        ssh.args(["-o", &format!("UserKnownHostsFile={known}"), "root@10.2.3.4", command]);
        finish(ssh)
    };
    let mut said = String::new();
    wait_until("a login", || {
        let output = login("hostname; echo $SSH_CONNECTION");
        said = told(&output);
        output.status.success() || served.try_wait().unwrap().is_some()
    });
    assert!(said.contains("sshd\n10.2.3.1 ") && said.contains(" 10.2.3.4 22"), "{said}");
    lxcpath.ok(&["stop", "-k", &name]);
    served.wait().unwrap();
    assert!(!login("true").status.success());
}

#[test]
fn a_word_that_is_neither_file_nor_template_lists_the_templates() {
    let lxcpath = Lxcpath::new();
    let refused = lxcpath.refused(&["create", &lxcpath.name("x"), "-f", "macvlam"], 1);
    assert!(refused.contains("wharf's templates are complex, empty-netns, macvlan,"), "{refused}");
    let refused = lxcpath.refused(&["create", &lxcpath.name("x"), "-f", "./macvlan"], 1);
    assert!(!refused.contains("templates are"), "{refused}");
}

#[test]
fn a_template_that_asks_on_the_terminal_is_not_waited_for() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let (name, dir) = (lxcpath.name("asks"), tempfile::tempdir().unwrap());
    let program = dir.path().join("template");
    support::rootfs::write_script("#!/bin/sh\nread answer < /dev/tty\n", &program);
    let program = program.to_str().unwrap();
    let mut screen = Screen::spawn(lxcpath.command(&["create", &name, "-t", program]), 200, 10);
    screen.wait_for("asks a question on the terminal");
    assert!(!lxcpath.path().join(&name).exists());
}

//! The templates that wharf brings along: each is started, in a network namespace of the test's own
//! with the interfaces that the templates name. As root.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "tests tell their reader")]

mod support;

use std::fs;
use std::process::Command;

use nix::sched::{CloneFlags, unshare};
use support::screen::Screen;
use support::{Lxcpath, can_run_containers, has_program};

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
            assert!(seen.contains(line) || links.contains(line), "{template}: {seen}{links}");
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

//! Networks of containers, in a network namespace of the test's own: the host's is not touched. As
//! root.

use std::fs::{self, Permissions};
use std::io::Read as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::thread;

use crate::support::{Lxcpath, can_run_containers, finish, has_program, rootfs, wait_until};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A network namespace that this thread and its children are in, with a bridge.
struct Net {
    lxcpath: Lxcpath,
    /// The interfaces there are without a container.
    before: Vec<String>,
}

/// The bridge's own address, which is the host's for the containers.
const BRIDGE: &str = "10.77.0.1";

impl Net {
    /// None: this machine cannot run the test, which is reported.
    fn new() -> Option<Self> {
        if !can_run_containers() || !has_program("ip") {
            return None;
        }
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        ip("link set lo up");
        if !try_ip("link add br0 type bridge") {
            println!("skipped: this kernel makes no bridge");
            return None;
        }
        ip(&format!("addr add {BRIDGE}/24 dev br0"));
        ip("link set br0 up");
        Some(Self { lxcpath: Lxcpath::new(), before: links() })
    }

    /// The same, with two more interfaces of the host, connected to each other.
    fn with_cable() -> Option<Self> {
        let net = Self::new()?;
        ip("link add port type veth peer name far");
        ip("link set port up");
        Some(Self { before: links(), ..net })
    }

    /// Creates a container that sleeps in a root of its own.
    fn create(&self, word: &str, settings: &[&str]) -> Option<String> {
        let (name, root) = (self.lxcpath.name(word), self.lxcpath.path().join(word));
        if !rootfs::busybox(&root) {
            return None;
        }
        let root = format!("lxc.rootfs.path=dir:{}", root.display());
        let mut args = vec!["create", &name, "-s", &root, "-s", "lxc.init.cmd=/bin/sleep 1000"];
        args.extend(settings.iter().flat_map(|it| ["-s", *it]));
        self.lxcpath.ok(&args);
        Some(name)
    }

    fn start(&self, word: &str, settings: &[&str]) -> Option<String> {
        let name = self.create(word, settings)?;
        self.lxcpath.ok(&["start", &name]);
        Some(name)
    }

    fn inside(&self, name: &str, command: &str) -> String {
        self.lxcpath.ok(&["attach", name, "--", "/bin/sh", "-c", command])
    }

    /// Kills the supervisor, and with it the container.
    fn kill_supervisor(&self, name: &str) {
        let init = self.lxcpath.ok(&["info", "-p", "-H", name]);
        let status = fs::read_to_string(format!("/proc/{}/status", init.trim())).unwrap();
        let parent = status.lines().find_map(|it| it.strip_prefix("PPid:")).unwrap();
        kill(Pid::from_raw(parent.trim().parse().unwrap()), Signal::SIGKILL).unwrap();
        wait_until("the container's end", || self.lxcpath.state(name) == "STOPPED");
    }

    #[track_caller]
    fn is_as_before(&self) {
        assert_eq!(links(), self.before);
    }
}

const BRIDGED: [&str; 3] = ["lxc.net.0.type=veth", "lxc.net.0.link=br0", "lxc.net.0.flags=up"];

fn try_ip(arguments: &str) -> bool {
    Command::new("ip").args(arguments.split(' ')).status().unwrap().success()
}

#[track_caller]
fn ip(arguments: &str) {
    assert!(try_ip(arguments), "ip {arguments}");
}

/// Returns the names of this namespace's interfaces, each with what it is connected to.
fn links() -> Vec<String> {
    let output = Command::new("ip").args(["-o", "link"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut names: Vec<String> =
        text.lines().map(|it| it.split(": ").nth(1).unwrap().to_owned()).collect();
    names.sort();
    names
}

/// Takes one connection to the bridge's address, from what `ask` does with the port, and returns
/// what comes by it.
fn heard(ask: impl FnOnce(u16)) -> String {
    let listener = TcpListener::bind((BRIDGE, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        let mut said = String::new();
        listener.accept().unwrap().0.read_to_string(&mut said).unwrap();
        said
    });
    ask(port);
    server.join().unwrap()
}

#[test]
fn a_container_reaches_the_host_across_a_bridge_and_leaves_nothing() {
    let Some(net) = Net::new() else { return };
    let mut settings = BRIDGED.to_vec();
    settings.extend([
        "lxc.net.0.ipv4.address=10.77.0.2/24",
        "lxc.net.0.ipv4.gateway=auto",
        "lxc.net.0.hwaddr=00:16:3e:xx:xx:xx",
        "lxc.net.0.mtu=1400",
    ]);
    let Some(name) = net.start("web", &settings) else { return };
    let address = net.inside(&name, "busybox ip -o addr show");
    assert!(address.contains("inet 127.0.0.1/8"), "{address}");
    assert!(address.contains("inet 10.77.0.2/24 brd 10.77.0.255"), "{address}");
    let link = net.inside(&name, "busybox ip -o link show eth0");
    assert!(link.contains("mtu 1400") && link.contains("00:16:3e:"), "{link}");
    assert!(net.inside(&name, "busybox ip route").contains("default via 10.77.0.1 dev eth0"));
    // The digits left to chance were chosen when it was created.
    let config = fs::read_to_string(net.lxcpath.path().join(&name).join("config")).unwrap();
    let hwaddr = config.lines().find_map(|it| it.strip_prefix("lxc.net.0.hwaddr = ")).unwrap();
    assert!(!hwaddr.contains('x') && link.contains(hwaddr), "{hwaddr}: {link}");
    // It waits for the container's files only briefly.
    wait_until("the address", || net.lxcpath.ok(&["info", &name]).contains("10.77.0.2"));
    let said = heard(|port| {
        net.inside(&name, &format!("echo hello | busybox nc {BRIDGE} {port}"));
    });
    assert_eq!(said, "hello\n");
    assert_eq!(links().len(), net.before.len() + 1);
    net.lxcpath.ok(&["stop", "-k", &name]);
    net.is_as_before();
}

#[test]
fn a_port_of_open_vswitch_is_made_and_removed_by_its_own_program() {
    let Some(net) = Net::new() else { return };
    // Its program here knows one bridge, and writes down what it is asked.
    ip("link add ovs0 type veth peer name inside");
    let dir = tempfile::tempdir().unwrap();
    let (program, asked) = (dir.path().join("ovs-vsctl"), dir.path().join("asked"));
    let script = format!(
        "#!/bin/sh\n[ \"$1 $2\" = \"--timeout=10 --\" ] && shift 2 || exit 9\n\
         if [ $1 = br-exists ]; then [ \"$2\" = ovs0 ] || exit 2; exit 0; fi\n\
         echo \"$*\" >>{0}\n[ ! -e {0}.broken ] || {{ echo no room >&2; exit 1; }}\n",
        asked.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap());
    let wharf = |args: &[&str]| {
        let mut command = net.lxcpath.command(args);
        command.env("PATH", &path);
        finish(command)
    };
    let done = |args: &[&str]| assert!(wharf(args).status.success(), "{args:?}");
    let told = || fs::read_to_string(&asked).unwrap_or_default();
    let settings = [
        "lxc.net.0.type=veth",
        "lxc.net.0.link=ovs0",
        "lxc.net.0.veth.pair=port0",
        "lxc.net.0.veth.vlan.id=7",
        "lxc.net.0.veth.vlan.tagged.id=8",
        "lxc.net.0.veth.vlan.tagged.id=9",
    ];
    let Some(name) = net.create("switched", &settings) else { return };
    let before = links();
    // Without the program it is no bridge.
    let said = net.lxcpath.refused(&["start", &name], 1);
    assert!(said.contains("ovs0: it is not a bridge"), "{said}");
    let added = "--if-exists del-port ovs0 port0 -- add-port ovs0 port0 vlan_mode=native-untagged tag=7 trunks=8,9\n";
    let removed = "--if-exists del-port ovs0 port0\n";
    done(&["start", &name]);
    assert_eq!(told(), added);
    done(&["stop", "-k", &name]);
    wait_until("the port's end", || links() == before);
    assert_eq!(told(), [added, removed].concat());
    // Whoever comes after a kill removes it, too.
    fs::remove_file(&asked).unwrap();
    done(&["start", &name]);
    net.kill_supervisor(&name);
    fs::remove_file(&asked).unwrap();
    assert!(!wharf(&["stop", "-k", &name]).status.success());
    assert_eq!((told(), links()), (removed.to_owned(), before.clone()));
    // What the program says is the reason of the refusal, and nothing is left.
    fs::write(dir.path().join("asked.broken"), "").unwrap();
    let failed = wharf(&["start", &name]);
    let said = String::from_utf8_lossy(&failed.stderr);
    assert!(said.contains("connect eth0 to the bridge ovs0 with port0: "), "{said}");
    assert!(said.contains("no room") && said.contains("config)"), "{said}");
    fs::remove_file(dir.path().join("asked.broken")).unwrap();
    assert_eq!(wharf(&["stop", "-k", &name]).status.code(), Some(2));
    assert_eq!(links(), before);
}

#[test]
fn two_containers_see_each_other() {
    let Some(net) = Net::new() else { return };
    let old = |address: &str| {
        ["type=veth", "link=br0", "flags=up"]
            .map(|it| format!("lxc.network.{it}"))
            .into_iter()
            .chain([format!("lxc.network.ipv4={address}/24")])
            .collect::<Vec<_>>()
    };
    let settings = |all: &'static [String]| all.iter().map(String::as_str).collect::<Vec<_>>();
    let (first, second) = (old("10.77.0.2").leak(), old("10.77.0.3").leak());
    let Some(web) = net.start("web", &settings(first)) else { return };
    let Some(db) = net.start("db", &settings(second)) else { return };
    let mut server = net
        .lxcpath
        .command(&["attach", &db, "--", "/bin/busybox", "nc", "-l", "-p", "7000", "-e", "/bin/id"])
        .spawn()
        .unwrap();
    wait_until("the other's answer", || {
        let ask = ["attach", &web, "--", "/bin/busybox", "nc", "10.77.0.3", "7000"];
        let output = net.lxcpath.wharf(&ask);
        String::from_utf8_lossy(&output.stdout).starts_with("uid=0")
    });
    server.wait().unwrap();
    for name in [&web, &db] {
        net.lxcpath.ok(&["stop", "-k", name]);
    }
    net.is_as_before();
}

#[test]
fn a_bridge_that_is_not_there_is_named_before_anything_is_made() {
    let Some(net) = Net::new() else { return };
    let settings = ["lxc.net.0.type=veth", "lxc.net.0.link=nobridge"];
    let Some(name) = net.create("web", &settings) else { return };
    let said = net.lxcpath.refused(&["start", &name], 1);
    assert!(said.contains("lxc.net.0.link nobridge: there is no such network interface"), "{said}");
    assert!(said.contains("`ip link add nobridge type bridge` makes it (line "), "{said}");
    let settings = ["lxc.net.0.type=veth", "lxc.net.0.link=lo"];
    let Some(name) = net.create("lo", &settings) else { return };
    let said = net.lxcpath.refused(&["start", &name], 1);
    assert!(said.contains("lxc.net.0.link lo: it is not a bridge"), "{said}");
    net.is_as_before();
}

#[test]
fn a_start_that_fails_leaves_no_interface() {
    let Some(net) = Net::new() else { return };
    let Some(name) = net.create("web", &BRIDGED) else { return };
    net.lxcpath.refused(&["start", &name, "--", "/bin/nothing"], 1);
    net.is_as_before();
    // The second interface cannot be made.
    let mut settings = BRIDGED.to_vec();
    settings.extend(["lxc.net.1.type=veth", "lxc.net.1.veth.pair=br0"]);
    let Some(name) = net.create("pair", &settings) else { return };
    let said = net.lxcpath.refused(&["start", &name], 1);
    assert!(said.contains("an interface called br0 exists already (line "), "{said}");
    net.is_as_before();
}

#[test]
fn the_next_command_cleans_up_after_a_killed_supervisor() {
    let Some(net) = Net::with_cable() else { return };
    let mut settings = BRIDGED.to_vec();
    settings.extend(["lxc.net.1.type=phys", "lxc.net.1.link=port", "lxc.net.1.name=lan"]);
    // It may rename what it has.
    settings.push("lxc.cap.drop=");
    let Some(name) = net.start("web", &settings) else { return };
    assert!(!links().iter().any(|it| it.starts_with("port")));
    net.kill_supervisor(&name);
    net.lxcpath.ok(&["start", &name]);
    // The container may call it what it likes.
    net.inside(&name, "busybox ip link set lan down && busybox ip link set lan name other");
    net.kill_supervisor(&name);
    net.lxcpath.ok(&["destroy", "-f", &name]);
    net.is_as_before();
}

#[test]
fn an_interface_that_was_lent_comes_back_as_it_was() {
    let Some(net) = Net::with_cable() else { return };
    let settings = [
        "lxc.net.0.type=phys",
        "lxc.net.0.link=port",
        "lxc.net.0.mtu=1300",
        "lxc.net.0.hwaddr=00:16:3e:01:02:03",
        "lxc.net.0.flags=up",
        "lxc.net.0.ipv4.address=10.78.0.2/24",
    ];
    let shown = || {
        let output = Command::new("ip").args(["-o", "link", "show", "port"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let after = |word: &str| text.split_once(word).unwrap().1.split(' ').nth(1).unwrap();
        (after("mtu").to_owned(), after("link/ether").to_owned())
    };
    let before = shown();
    let Some(name) = net.start("web", &settings) else { return };
    let inside = net.inside(&name, "busybox ip -o link show port");
    assert!(inside.contains("mtu 1300") && inside.contains("00:16:3e:01:02:03"), "{inside}");
    net.lxcpath.ok(&["stop", "-k", &name]);
    assert_eq!(shown(), before);
    net.is_as_before();
}

#[test]
fn a_wildcard_lends_every_interface_whose_name_begins_so() {
    let Some(net) = Net::with_cable() else { return };
    ip("link add port2 type veth peer name far2");
    let settings = ["lxc.net.0.type=phys", "lxc.net.0.link=port+", "lxc.net.0.flags=up"];
    let Some(name) = net.start("web", &settings) else { return };
    let inside = net.inside(&name, "busybox ip -o link");
    assert!(inside.contains(": port@") && inside.contains(": port2@"), "{inside}");
    assert!(!links().iter().any(|it| it.starts_with("port")));
    net.lxcpath.ok(&["stop", "-k", &name]);
    ip("link del port2");
    net.is_as_before();
    let settings = ["lxc.net.0.type=phys", "lxc.net.0.link=none+"];
    let Some(name) = net.create("none", &settings) else { return };
    let said = net.lxcpath.refused(&["start", &name], 1);
    assert!(said.contains("lxc.net.0.link none+: there is no such network interface"), "{said}");
}

#[test]
fn a_macvlan_and_a_routed_pair_have_their_addresses() {
    let Some(net) = Net::with_cable() else { return };
    let settings = [
        "lxc.net.0.type=macvlan",
        "lxc.net.0.macvlan.mode=bridge",
        "lxc.net.0.link=port",
        "lxc.net.0.name=lan",
        "lxc.net.0.flags=up",
        "lxc.net.0.ipv4.address=192.168.78.2",
        "lxc.net.1.type=veth",
        "lxc.net.1.veth.mode=router",
        "lxc.net.1.flags=up",
        "lxc.net.1.ipv4.address=10.79.0.2/32",
        "lxc.net.1.ipv4.gateway=169.254.0.1",
        "lxc.net.1.veth.ipv4.route=10.80.0.0/24",
        "lxc.net.1.veth.pair=routed",
    ];
    let Some(name) = net.start("web", &settings) else { return };
    let address = net.inside(&name, "busybox ip -o addr show");
    // Without a prefix the class of the address decides.
    assert!(address.contains("inet 192.168.78.2/24"), "{address}");
    let routes = net.inside(&name, "busybox ip route");
    assert!(routes.contains("default via 169.254.0.1 dev eth0"), "{routes}");
    let output = Command::new("ip").arg("route").output().unwrap();
    let routes = String::from_utf8(output.stdout).unwrap();
    assert!(routes.contains("10.80.0.0/24 dev routed"), "{routes}");
    // The host answers for the gateway, and knows the way back.
    ip("route add default dev br0");
    let said = heard(|port| {
        net.inside(&name, &format!("echo routed | busybox nc {BRIDGE} {port}"));
    });
    assert_eq!(said, "routed\n");
    net.lxcpath.ok(&["stop", "-k", &name]);
    net.is_as_before();
}

#[test]
fn what_lies_on_an_interface_is_free_again_when_the_container_has_ended() {
    let Some(net) = Net::with_cable() else { return };
    let settings = [
        "lxc.net.0.type=macvlan",
        "lxc.net.0.macvlan.mode=bridge",
        "lxc.net.0.hwaddr=00:16:3e:01:02:03",
        "lxc.net.0.link=port",
        "lxc.net.0.flags=up",
        // It may rename what it has.
        "lxc.cap.drop=",
    ];
    let Some(name) = net.start("web", &settings) else { return };
    // The kernel removes a network some time after its end; what keeps it open makes that long.
    let keep = || {
        let init = net.lxcpath.ok(&["info", "-p", "-H", &name]);
        fs::File::open(format!("/proc/{}/ns/net", init.trim())).unwrap()
    };
    let first = keep();
    net.lxcpath.ok(&["restart", &name]);
    let second = keep();
    net.kill_supervisor(&name);
    net.lxcpath.ok(&["start", &name]);
    net.inside(&name, "busybox ip link set eth0 down && busybox ip link set eth0 name other");
    let third = keep();
    net.lxcpath.ok(&["stop", "-k", &name]);
    net.lxcpath.ok(&["start", &name]);
    drop((first, second, third));
    net.lxcpath.ok(&["stop", "-k", &name]);
    net.is_as_before();
}

#[test]
fn scripts_run_with_lxcs_arguments_or_environment() {
    let Some(net) = Net::new() else { return };
    let log = net.lxcpath.path().join("log");
    let script = net.lxcpath.path().join("script");
    let text = format!("echo \"$@\" $LXC_NAME $LXC_HOOK_TYPE $LXC_NET_PEER >> {}", log.display());
    fs::write(&script, text).unwrap();
    let (up, down) = ["up", "down"]
        .map(|it| format!("lxc.net.0.script.{it}=/bin/sh {}", script.display()))
        .into();
    let mut settings = BRIDGED.to_vec();
    settings.extend(["lxc.net.0.veth.pair=pair", &up, &down]);
    let Some(name) = net.start("web", &settings) else { return };
    net.lxcpath.ok(&["stop", "-k", &name]);
    let told = fs::read_to_string(&log).unwrap();
    let line = |it: &str| format!("{name} net {it} veth br0 pair {name}\n");
    assert_eq!(told, line("up") + &line("down"));
    settings.push("lxc.hook.version=1");
    let Some(name) = net.start("new", &settings) else { return };
    net.lxcpath.ok(&["stop", "-k", &name]);
    let told = fs::read_to_string(&log).unwrap();
    assert!(told.ends_with(&format!("{name} up pair\n{name} down pair\n")), "{told}");
    settings.push("lxc.net.0.script.up=/bin/sh -c 'echo no cable >&2; exit 3'");
    let Some(name) = net.create("bad", &settings) else { return };
    let said = net.lxcpath.refused(&["start", &name], 1);
    assert!(said.contains("exit status: 3: no cable"), "{said}");
    net.is_as_before();
}

#[test]
fn a_restart_makes_everything_anew() {
    let Some(net) = Net::new() else { return };
    let Some(name) = net.start("web", &BRIDGED) else { return };
    let first = links();
    net.lxcpath.ok(&["stop", "-r", &name]);
    wait_until("the second run", || {
        let now = links();
        now.len() == first.len() && now != first
    });
    assert!(net.inside(&name, "busybox ip -o link").contains("eth0"));
    net.lxcpath.ok(&["stop", "-k", &name]);
    net.is_as_before();
}

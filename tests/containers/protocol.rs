//! LXC's command socket: every number is answered as LXC's own supervisor answers it, and what its
//! tools do by them works on a container of wharf. Where LXC is not available, only wharf is asked.

use std::fs;
use std::io::{IoSliceMut, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::Path;
use std::time::Duration;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

use wharf::engine::State;

use crate::support::lxc::Lxc;
use crate::support::{Lxcpath, can_run_containers, finish, told};

/// What a supervisor sent: nothing, or a head, bytes behind it, and how many descriptors.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    result: Option<i32>,
    data: u64,
    payload: Vec<u8>,
    fds: usize,
    /// It then closed the connection.
    closes: bool,
}

/// Sends a request to the container's public socket.
fn ask(lxcpath: &Lxcpath, name: &str, number: i32, data: u64, payload: &[u8]) -> Said {
    let socket = format!("{}/{name}/command", lxcpath.path().display());
    let address = SocketAddr::from_abstract_name(&socket).unwrap();
    let mut stream = UnixStream::connect_addr(&address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let mut request = number.to_ne_bytes().to_vec();
    request.extend((payload.len() as i32).to_ne_bytes());
    request.extend(data.to_ne_bytes());
    stream.write_all(&request).unwrap();
    if !payload.is_empty() {
        stream.write_all(payload).unwrap();
    }
    hear(&mut stream)
}

fn hear(stream: &mut UnixStream) -> Said {
    let mut head = [0; 16];
    let mut room = nix::cmsg_space!([RawFd; 20]);
    let mut slices = [IoSliceMut::new(&mut head)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let got = recvmsg::<()>(stream.as_raw_fd(), &mut slices, Some(&mut room), flags);
    assert_ne!(got.as_ref().err(), Some(&nix::errno::Errno::EAGAIN), "no answer and no end");
    let (count, fds) = got.map_or((0, 0), |it| {
        let fds = it.cmsgs().unwrap().map(|it| {
            let ControlMessageOwned::ScmRights(fds) = it else { return 0 };
            for fd in &fds {
                nix::unistd::close(*fd).unwrap();
            }
            fds.len()
        });
        (it.bytes, fds.sum())
    });
    if count != 16 {
        return Said { result: None, data: 0, payload: Vec::new(), fds, closes: true };
    }
    let number = |at: usize| i32::from_ne_bytes(head.get(at..at + 4).unwrap().try_into().unwrap());
    let mut payload = vec![0; number(4).max(0) as usize];
    stream.read_exact(&mut payload).unwrap();
    let closes = stream.read(&mut [0]).is_ok_and(|it| it == 0);
    let data = u64::from_ne_bytes(head.get(8..16).unwrap().try_into().unwrap());
    Said { result: Some(number(0)), data, payload, fds, closes }
}

/// LXC's `struct device_item` for `c 10:229 rwm`.
fn device(allow: bool) -> Vec<u8> {
    let mut item = vec![b'c', 0, 0, 0];
    item.extend(10_i32.to_ne_bytes());
    item.extend(229_i32.to_ne_bytes());
    item.extend(b"rwm\0");
    item.extend(i32::from(allow).to_ne_bytes());
    item.resize(40, 0);
    item
}

/// LXC's `struct cgroup_fd` that asks for a controller.
fn group_of(controller: &str) -> Vec<u8> {
    let mut group = vec![0; 16];
    group.extend(controller.as_bytes());
    group.resize(80, 0);
    group
}

/// Every request whose answer is the same for two containers, and does not end either.
fn requests() -> Vec<(&'static str, i32, u64, Vec<u8>)> {
    let text = |it: &str| format!("{it}\0").into_bytes();
    let plain = |what, number| (what, number, 0, Vec::new());
    let wanted = |flags: [i32; 8]| flags.iter().flat_map(|it| it.to_ne_bytes()).collect();
    vec![
        ("a terminal that is not there", 0, 77, Vec::new()),
        plain("the console", 0),
        plain("window size", 1),
        plain("state", 3),
        ("config item", 7, 0, text("lxc.tty.max")),
        ("unknown config item", 7, 0, text("lxc.nosuch")),
        plain("lxcpath", 9),
        ("state client, at once", 10, 0, wanted([0, 0, 1, 0, 0, 0, 0, 0])),
        ("state client, later", 10, 0, wanted([1, 0, 2, 0, 0, 0, 0, 0])),
        ("state client without states", 10, 0, Vec::new()),
        ("console log without a buffer", 11, 0, vec![0; 24]),
        ("states of others", 12, 2, Vec::new()),
        ("no rule for devices", 14, 0, vec![1, 2]),
        ("a rule for devices", 14, 0, device(true)),
        plain("cgroup2", 17),
        plain("pidfd", 18),
        plain("cgroup2 of limits", 20),
        plain("terminals", 21),
        plain("filter's calls", 22),
        ("groups", 23, 0, vec![0; 96]),
        ("group without a name", 24, 0, vec![0; 80]),
        ("group of an unknown controller", 24, 0, group_of("nosuch")),
        ("group of processes", 24, 0, group_of("pids")),
        ("group of limits", 25, 0, group_of("pids")),
        ("group of an unknown controller, as a path", 6, 0, text("nosuch")),
        plain("systemd's scope", 26),
        plain("unknown", 27),
        plain("unknown and far", 999),
    ]
}

#[test]
fn every_number_is_answered_as_lxc_answers_it() {
    let Some(lxc) = Lxc::new() else { return };
    let (Some(ours), Some(theirs)) = (lxc.plain("ours"), lxc.plain("lxcs")) else {
        return;
    };
    lxc.lxcpath.ok(&["start", &ours, "--", "/bin/sleep", "1000"]);
    lxc.ok("lxc-start", &["-n", &theirs, "--", "/bin/sleep", "1000"]);
    let mut differ = Vec::new();
    for (what, number, data, payload) in requests() {
        let hear = |name: &str| ask(&lxc.lxcpath, name, number, data, &payload);
        let (mine, its) = (hear(&ours), hear(&theirs));
        // Where bytes follow, LXC sends the address at which it has them.
        let data = mine.data == its.data || !mine.payload.is_empty();
        // LXC leaves it to the client to close what is answered in full: the console's descriptor
        // is sent, or the state is reached already.
        let is_over = number == 0 || (number == 10 && mine.result == Some(State::Running as i32));
        let closes = mine.closes == its.closes || (is_over && mine.closes);
        let alike = (mine.result, mine.fds) == (its.result, its.fds) && closes && data;
        // The client fills in the numbers of descriptors, and LXC sends its own.
        let same = alike && (matches!(number, 23..=25) || mine.payload == its.payload);
        if !same || mine.payload.len() != its.payload.len() {
            differ.push(format!("{what} ({number}): wharf {mine:?}, LXC {its:?}"));
        }
    }
    lxc.lxcpath.ok(&["stop", "-k", &ours]);
    lxc.ok("lxc-stop", &["-n", &theirs, "-k"]);
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

#[test]
fn a_device_is_added_and_taken_away_by_lxc() {
    let Some(lxc) = Lxc::new() else { return };
    let Some(name) = lxc.plain("device") else { return };
    let n = name.as_str();
    let rules = "lxc.cgroup.devices.deny = a\nlxc.cgroup.devices.allow = c 1:3 rwm\n\
                 lxc.cgroup2.devices.deny = a\nlxc.cgroup2.devices.allow = c 1:3 rwm\n";
    let file = lxc.lxcpath.path().join(n).join("config");
    fs::write(&file, fs::read_to_string(&file).unwrap() + rules).unwrap();
    lxc.lxcpath.ok(&["start", n, "--", "/bin/sleep", "1000"]);
    let opens = |path: &str| {
        let script = format!(": < {path}");
        lxc.lxcpath.wharf(&["attach", n, "--", "/bin/sh", "-c", &script]).status.success()
    };
    assert!(opens("/dev/null"));
    for (program, change) in [("lxc-device", "/dev/urandom"), ("wharf", "/dev/full")] {
        let run = |verb: &str| {
            if program == "lxc-device" {
                return lxc.run(program, &["-n", n, verb, change]);
            }
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_wharf"));
            command.args(["lxc", "device", "-P"]).arg(lxc.lxcpath.path());
            command.args(["-n", n, verb, change]);
            finish(command)
        };
        assert!(!opens(change), "{change} before");
        let added = run("add");
        assert!(added.status.success(), "{}", told(&added));
        assert!(opens(change), "{change} added by {program}");
        let taken = run("del");
        assert!(taken.status.success(), "{}", told(&taken));
        assert!(!opens(change), "{change} taken by {program}");
    }
    assert!(opens("/dev/null"), "the other rules are as they were");
    assert!(Path::new("/dev/urandom").exists());
    lxc.lxcpath.ok(&["stop", "-k", n]);
}

#[test]
fn nonsense_is_refused_and_harms_nothing() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.start_sleeper("nonsense");
    for (number, payload) in
        [(14, vec![0xff; 40]), (14, vec![0; 8000]), (13, vec![1]), (-5, vec![])]
    {
        let said = ask(&lxcpath, &name, number, u64::MAX, &payload);
        assert!(said.result.is_none_or(|it| it < 0), "{number}: {said:?}");
    }
    assert_eq!(ask(&lxcpath, &name, 3, 0, &[]).data, 2, "it still answers");
    lxcpath.ok(&["stop", "-k", &name]);
}

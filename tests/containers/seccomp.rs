//! Seccomp profiles: what the kernel answers inside, and what becomes of faulty profiles. As root.

use std::fs;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;

use crate::support::calls::{self, Call};
use crate::support::lxc::Lxc;
use crate::support::{self, Lxcpath, can_run_containers, probe, text, told, wait_until};
use nix::sys::socket::{
    AddressFamily, Backlog, MsgFlags, SockFlag, SockType, UnixAddr, accept, bind, listen, recv,
    send, setsockopt, socket, sockopt::ReceiveTimeout,
};
use nix::sys::time::{TimeVal, TimeValLike as _};

/// A container that shares the host's files, with a profile of its own.
struct Filtered {
    lxcpath: Lxcpath,
    name: String,
    profile: PathBuf,
    _dir: tempfile::TempDir,
}

impl Filtered {
    /// None: this machine cannot run the test, which is reported.
    fn new(profile: &str) -> Option<Self> {
        if !can_run_containers() {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("profile");
        fs::write(&file, profile).unwrap();
        let lxcpath = Lxcpath::new();
        let name = lxcpath.name("filtered");
        let setting = format!("lxc.seccomp.profile={}", file.display());
        lxcpath.ok(&["create", &name, "-s", &setting]);
        Some(Self { lxcpath, name, profile: file, _dir: dir })
    }

    /// Makes `calls` inside by the verb and options in `way`, and returns the errors.
    fn answers(&self, way: &[&str], calls: &[Call]) -> Vec<i32> {
        let probe = probe::command(&calls::word(calls));
        let mut args = [way, &[&self.name, "--"]].concat();
        args.extend(probe.iter().map(String::as_str));
        let output = self.lxcpath.wharf(&args);
        assert!(output.status.success(), "{way:?}: {}", told(&output));
        let answers = calls::answers(&text(&output.stdout));
        assert_eq!(answers.len(), calls.len(), "{way:?}: {}", told(&output));
        answers
    }
}

const DENYING: &str = "\
2
denylist
# umount -f
reject_force_umount
[all]
keyctl errno 123
personality errno 124 [0,0x7777,==]
sysinfo errno 125
";
const CALLS: [Call; 6] = [
    Call::Own(libc::SYS_keyctl, 0, 0),
    Call::Own(libc::SYS_personality, 0x7777, 0),
    Call::Own(libc::SYS_personality, 0xffff_ffff, 0),
    Call::Own(libc::SYS_sysinfo, 0, 0),
    Call::Own(libc::SYS_umount2, 0, libc::MNT_FORCE as u64),
    Call::Own(libc::SYS_umount2, 0, 0),
];
const ANSWERS: [i32; 5] = [123, 124, 0, 125, libc::EACCES];

#[test]
fn a_denied_call_returns_its_error_in_every_way_to_run_something() {
    let Some(guest) = Filtered::new(DENYING) else { return };
    for way in [
        &["execute"][..],
        &["start", "-F"],
        &["start", "-F", "-s", "lxc.no_new_privs=0"],
        &["start", "-F", "-s", "lxc.no_new_privs=0", "-s", "lxc.init.uid=65534"],
        &["execute", "-s", "lxc.no_new_privs=0", "-s", "lxc.init.uid=65534"],
    ] {
        let answers = guest.answers(way, &CALLS);
        assert_eq!(answers[..5], ANSWERS, "{way:?}");
        assert_ne!(answers[5], libc::EACCES, "{way:?}");
    }
}

#[test]
fn programs_of_32_bits_are_filtered_too() {
    if !cfg!(target_arch = "x86_64") {
        println!("skipped: 32-bit calls are made on x86-64 alone");
        return;
    }
    // sysinfo, personality, umount2, and keyctl
    let calls = [
        Call::Narrow(116, 0, 0),
        Call::Narrow(136, 0x7777, 0),
        Call::Narrow(136, 0xffff_ffff, 0),
        Call::Narrow(52, 0, libc::MNT_FORCE as u32),
        Call::Narrow(288, 0, 0),
    ];
    let Some(guest) = Filtered::new(DENYING) else { return };
    let probe = probe::command(&calls::word(&calls));
    let mut args = vec!["execute", &guest.name, "-s", "lxc.seccomp.profile=", "--"];
    args.extend(probe.iter().map(String::as_str));
    if !guest.lxcpath.wharf(&args).status.success() {
        println!("skipped: this kernel runs no 32-bit programs");
        return;
    }
    let answers = guest.answers(&["execute"], &calls);
    assert_eq!(answers, [125, 124, 0, libc::EACCES, 123]);
}

#[test]
fn the_first_version_allows_calls_by_their_number() {
    let Some(guest) = Filtered::new("") else { return };
    let all: Vec<String> = (0..470).map(|it| it.to_string()).collect();
    fs::write(&guest.profile, format!("1\nallowlist\n{}\n", all.join("\n"))).unwrap();
    assert_eq!(guest.answers(&["execute"], &CALLS[2..3]), [0]);
}

#[test]
fn attach_is_filtered_as_init_is_whatever_became_of_the_profile() {
    let Some(guest) = Filtered::new(DENYING) else { return };
    let restart = |settings: &[&str]| {
        guest.lxcpath.wharf(&["stop", "-k", &guest.name]);
        let args = [&["start", &guest.name], settings, &["--", "/bin/sleep", "1000"]].concat();
        guest.lxcpath.ok(&args);
    };
    restart(&[]);
    fs::write(&guest.profile, "2\ndenylist\nsysinfo errno 5\n").unwrap();
    assert_eq!(guest.answers(&["attach"], &CALLS)[..5], ANSWERS);
    fs::remove_file(&guest.profile).unwrap();
    assert_eq!(guest.answers(&["attach"], &CALLS)[..5], ANSWERS);
    fs::write(&guest.profile, "2\ndenylist\nsysinfo errno 5\n").unwrap();
    restart(&["-s", "lxc.no_new_privs=0"]);
    assert_eq!(guest.answers(&["attach", "-u", "65534"], &CALLS[3..4]), [5]);
    restart(&["-s", "lxc.seccomp.profile="]);
    assert_eq!(guest.answers(&["attach"], &CALLS[3..4]), [libc::EFAULT]);
    // Longer than what a supervisor answers in one piece, and with calls that attach itself makes.
    let long: String = (0..100).fold(String::new(), |text, it| {
        text + &format!("sysinfo errno 5 [0,{},==][1,1,==][2,2,==]\n", it + 7)
    });
    let needed = "clone3 errno 38\nclose_range errno 38\n";
    fs::write(&guest.profile, format!("2\ndenylist\n{needed}{long}sysinfo errno 9 [0,0,==]\n"))
        .unwrap();
    restart(&[]);
    assert_eq!(guest.answers(&["attach"], &CALLS[3..4]), [9]);
}

#[test]
fn who_makes_a_call_that_kills_dies() {
    for action in ["kill", "trap"] {
        let profile = format!("2\ndenylist\nmkdir {action}\nmkdirat {action}\n");
        let Some(guest) = Filtered::new(&profile) else { return };
        let made = guest.profile.with_file_name("made");
        for verb in [&["execute"][..], &["start", "-F"]] {
            let mut args = verb.to_vec();
            args.extend([&guest.name, "--", "mkdir", made.to_str().unwrap()]);
            let output = guest.lxcpath.wharf(&args);
            assert_eq!(output.status.code(), Some(128 + libc::SIGSYS), "{}", told(&output));
            assert!(!made.exists());
        }
    }
}

#[test]
fn wharfs_own_init_is_filtered_like_what_it_runs() {
    let Some(guest) = Filtered::new(DENYING) else { return };
    let script = "while read -r it; do case $it in Seccomp:*) echo \"$it\"; esac; done \
        < /proc/1/status";
    let found = guest.lxcpath.ok(&["execute", &guest.name, "--", "/bin/sh", "-c", script]);
    assert_eq!(found.split_whitespace().last(), Some("2"), "{found}");
}

#[test]
fn a_faulty_profile_is_refused_with_its_line_and_leaves_nothing() {
    let Some(guest) = Filtered::new("2\ndenylist\n\n# why\nmount errno EPERM\n") else { return };
    let refused = |args: &[&str]| {
        let message = guest.lxcpath.refused(&[args, &[&guest.name, "--", "true"]].concat(), 1);
        assert_eq!(guest.lxcpath.state(&guest.name), "STOPPED");
        assert!(support::leftovers::cgroups(&guest.name).is_empty());
        message
    };
    let file = guest.profile.display().to_string();
    for verb in [&["start"][..], &["start", "-F"], &["execute"]] {
        let message = refused(verb);
        let expected = format!(
            "mount errno EPERM: expected a number up to 4095 after errno (line 5 of {file})"
        );
        assert!(message.contains(&expected), "{message}");
    }
    fs::remove_file(&guest.profile).unwrap();
    let message = refused(&["start"]);
    let line = fs::read_to_string(guest.lxcpath.path().join(&guest.name).join("config")).unwrap();
    let line = line.lines().position(|it| it.contains("lxc.seccomp.profile")).unwrap() + 1;
    let start = format!("lxc.seccomp.profile {file}: No such file or directory (line {line} of ");
    assert!(message.contains(&start), "{message}");
}

#[test]
fn what_a_profile_asks_for_in_vain_is_told_with_its_line() {
    let Some(guest) = Filtered::new("2\ndenylist\nno_such_call errno 1\n") else { return };
    let seen = guest.profile.with_file_name("events");
    let mut command = guest.lxcpath.command(&["monitor", &guest.name]);
    let file = fs::File::create(&seen).unwrap();
    let mut monitor = command.stdout(file).stderr(Stdio::null()).spawn().unwrap();
    let expected = format!(
        "'{}' warning: unknown system call no_such_call; the rule is ignored (line 3 of {})",
        guest.name,
        guest.profile.display()
    );
    // It may not follow yet when the first one runs.
    wait_until("the warning", || {
        guest.lxcpath.ok(&["execute", &guest.name, "--", "true"]);
        fs::read_to_string(&seen).unwrap().lines().any(|it| it == expected)
    });
    monitor.kill().unwrap();
    monitor.wait().unwrap();
}

#[test]
fn a_step_that_the_profile_denies_is_named_with_the_profile() {
    let Some(guest) = Filtered::new("2\ndenylist\nsetresuid errno 1\n") else { return };
    let message = guest.lxcpath.refused(&["start", &guest.name, "--", "true"], 1);
    assert!(message.contains("become uid 0"), "{message}");
    assert!(message.contains("its seccomp profile may deny that"), "{message}");
    fs::write(&guest.profile, "2\nallowlist\nread\n").unwrap();
    let message = guest.lxcpath.refused(&["start", &guest.name, "--", "true"], 1);
    assert!(message.contains("its own seccomp profile"), "{message}");
}

#[test]
fn root_in_a_new_container_makes_no_user_namespace_and_sees_no_keyring() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("fresh");
    lxcpath.ok(&["create", &name]);
    let profile = lxcpath.path().join(&name).join("seccomp");
    let guest = Filtered { profile, name, lxcpath, _dir: tempfile::tempdir().unwrap() };
    let calls = [
        Call::Own(libc::SYS_unshare, libc::CLONE_NEWUSER as u64, 0),
        Call::Own(libc::SYS_clone, libc::CLONE_NEWUSER as u64, 0),
        Call::Own(libc::SYS_clone3, 0, 0),
        Call::Own(libc::SYS_keyctl, 0, 0),
    ];
    let expected = [libc::EPERM, libc::EPERM, libc::ENOSYS, libc::ENOSYS];
    assert_eq!(guest.answers(&["execute"], &calls), expected);
    guest.lxcpath.ok(&["start", &guest.name, "--", "/bin/sleep", "1000"]);
    assert_eq!(guest.answers(&["attach"], &calls), expected);
    // The file is the container's own.
    guest.lxcpath.ok(&["stop", "-k", &guest.name]);
    fs::write(&guest.profile, "2\ndenylist\nkeyctl errno 7\n").unwrap();
    assert_eq!(guest.answers(&["execute"], &calls[3..]), [7]);
}

/// A socket for who decides about calls.
fn listening(path: &Path) -> OwnedFd {
    let flags = SockFlag::SOCK_CLOEXEC;
    let listener = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).unwrap();
    bind(listener.as_raw_fd(), &UnixAddr::new(path).unwrap()).unwrap();
    listen(&listener, Backlog::new(8).unwrap()).unwrap();
    // A start that fails before it connects must not keep the test waiting.
    let patience = TimeVal::seconds(support::PATIENCE.as_secs() as i64);
    setsockopt(&listener, ReceiveTimeout, &patience).unwrap();
    listener
}

/// Answers each call of one container with `error`, in LXC's form; returns how many there were.
fn decide(listener: &OwnedFd, error: i32) -> usize {
    const HEAD: usize = 32;
    let connection = accept(listener.as_raw_fd()).unwrap();
    let mut bytes = [0_u8; 4096];
    let mut count = 0;
    loop {
        let got = recv(connection, &mut bytes, MsgFlags::empty()).unwrap();
        if got == 0 {
            nix::unistd::close(connection).unwrap();
            return count;
        }
        let size = |at: usize| usize::from(u16::from_ne_bytes([bytes[at], bytes[at + 1]]));
        let (call, answer) = (size(16), size(18));
        assert_eq!(&bytes[HEAD + call + answer..got], b"for the test");
        let at = HEAD + call + 16;
        bytes[at..at + 4].copy_from_slice(&(-error).to_ne_bytes());
        send(connection, &bytes[..HEAD + call + answer], MsgFlags::empty()).unwrap();
        count += 1;
    }
}

#[test]
fn a_proxy_decides_about_calls_and_one_that_is_gone_holds_nothing_up() {
    // The process makes the second one itself before its program runs.
    let profile = "2\ndenylist\nsysinfo notify\nsetresuid notify\n";
    let Some(guest) = Filtered::new(profile) else { return };
    let path = guest.profile.with_file_name("proxy");
    let set = format!("lxc.seccomp.notify.proxy=unix:{}", path.display());
    let way = ["start", "-F", "-s", &set, "-s", "lxc.seccomp.notify.cookie=for the test"];
    let start = [&way[..], &[&guest.name, "--", "true"]].concat();
    let refused = guest.lxcpath.refused(&start, 1);
    assert!(refused.contains("lxc.seccomp.notify.proxy unix:"), "{refused}");
    let listener = listening(&path);
    let count = thread::scope(|it| {
        let proxy = it.spawn(|| decide(&listener, libc::EXDEV));
        let refused = guest.lxcpath.refused(&start, 1);
        assert!(refused.contains("become uid 0"), "{refused}");
        proxy.join().unwrap()
    });
    assert_eq!(count, 1);
    fs::write(&guest.profile, "2\ndenylist\nsysinfo notify\n").unwrap();
    thread::scope(|it| {
        it.spawn(|| decide(&listener, libc::EXDEV));
        assert_eq!(guest.answers(&way, &CALLS[3..4]), [libc::EXDEV]);
    });
    thread::scope(|it| {
        it.spawn(|| {
            nix::unistd::close(accept(listener.as_raw_fd()).unwrap()).unwrap();
            drop(listener);
        });
        assert_eq!(guest.answers(&way, &CALLS[3..4]), [libc::ENOSYS]);
    });
}

/// `lxc-attach` hands over where the calls of its own filter are received (command 13), and finds the
/// groups of the container (23).
#[test]
fn a_proxy_decides_about_what_lxc_attach_runs_in_a_container_of_wharf() {
    let Some(lxc) = Lxc::new() else { return };
    let name = lxc.lxcpath.name("asks");
    let dir = tempfile::tempdir().unwrap();
    let [profile, proxy] = ["profile", "proxy"].map(|it| dir.path().join(it));
    fs::write(&profile, "2\ndenylist\nsysinfo notify\n").unwrap();
    let set = [
        format!("lxc.seccomp.profile={}", profile.display()),
        format!("lxc.seccomp.notify.proxy=unix:{}", proxy.display()),
        "lxc.seccomp.notify.cookie=for the test".to_owned(),
    ];
    let listener = listening(&proxy);
    lxc.lxcpath.ok(&["create", &name, "-s", &set[0], "-s", &set[1], "-s", &set[2]]);
    lxc.lxcpath.ok(&["start", &name, "--", "/bin/sleep", "1000"]);
    thread::scope(|it| {
        let decided = it.spawn(|| decide(&listener, libc::EXDEV));
        let probe = probe::command(&calls::word(&CALLS[3..4]));
        let mut args = vec!["-n", &name, "--"];
        args.extend(probe.iter().map(String::as_str));
        let said = lxc.run("lxc-attach", &args);
        lxc.lxcpath.ok(&["stop", "-k", &name]);
        assert_eq!(calls::answers(&text(&said.stdout)), [libc::EXDEV], "{}", told(&said));
        assert_eq!(decided.join().unwrap(), 1);
    });
}

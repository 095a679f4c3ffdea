//! Containers that try to reach the host: its program file, its directories, its processes.
//! Whatever they do, the host stays unchanged.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::canary::Canary;
use crate::support::screen::Screen;
use crate::support::{
    self, Lxcpath, can_run_containers, finish, has_program, probe, rootfs, text, told, tree,
    wait_until,
};
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// How often a race is tried, and after how long that is enough.
const MANY: usize = 100;
const ENOUGH: Duration = Duration::from_secs(5);

/// Counts the tries: [`MANY`], or fewer on a slow machine.
fn tries() -> impl Iterator<Item = usize> {
    let begun = Instant::now();
    (0..MANY).take_while(move |_| begun.elapsed() < ENOUGH)
}

/// A container with its own root, in which a probe runs as pid 1, and a separate copy of wharf, so
/// that attacks on it do not affect other tests.
struct Lair {
    lxcpath: Lxcpath,
    name: String,
    root: tempfile::TempDir,
    copy: tempfile::TempDir,
}

impl Lair {
    /// None: this machine cannot run the test, which is reported.
    fn new() -> Option<Self> {
        let (root, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        if !can_run_containers() || !rootfs::busybox(root.path()) {
            return None;
        }
        rootfs::copy_program(env!("CARGO_BIN_EXE_wharf"), &copy.path().join("wharf"));
        let lxcpath = Lxcpath::new();
        let name = lxcpath.name("lair");
        let settings = rootfs::host_programs(root.path());
        let mut args = vec!["create", &name, "--dir", root.path().to_str().unwrap()];
        args.extend(settings.iter().flat_map(|it| ["-s", it]));
        lxcpath.ok(&args);
        Some(Self { lxcpath, name, root, copy })
    }

    fn wharf(&self) -> PathBuf {
        self.copy.path().join("wharf")
    }

    /// Starts the probe and waits until it is active.
    fn start(&self, word: &str) {
        let probe = probe::command_of(probe::INSIDE, word);
        let mut args = vec!["start", &self.name, "--"];
        args.extend(probe.iter().map(String::as_str));
        self.lxcpath.ok(&args);
        wait_until("the probe", || self.told().contains("begun"));
    }

    fn told(&self) -> String {
        let told = self.root.path().join(probe::TOLD.trim_start_matches('/'));
        fs::read_to_string(told).unwrap_or_default()
    }

    /// Enters with the copy of wharf; how the command ends does not matter.
    fn attach(&self, command: &[&str]) {
        let mut attach = Command::new(self.wharf());
        attach.arg("-P").arg(self.lxcpath.path()).args(["attach", &self.name, "--"]).args(command);
        attach.stdin(Stdio::null());
        finish(attach);
    }
}

#[test]
fn the_program_that_enters_cannot_be_overwritten_from_inside() {
    let Some(lair) = Lair::new() else { return };
    let shell = lair.root.path().join("bin/sh");
    fs::remove_file(&shell).unwrap();
    rootfs::write_script("#!/proc/self/exe\n", &shell);
    let inode = fs::metadata(lair.wharf()).unwrap().ino();
    lair.start(&format!("overwrite={inode}"));
    wait_until("the container holds the program", || {
        lair.attach(&["/bin/sh"]);
        lair.told().lines().count() > 1
    });
    for _ in tries() {
        lair.attach(&["/bin/sh"]);
    }
    assert!(!lair.told().contains("done"), "{}", lair.told());
    let same = fs::read(lair.wharf()).unwrap() == fs::read(env!("CARGO_BIN_EXE_wharf")).unwrap();
    assert!(same, "the program was changed");
}

#[test]
fn a_process_on_its_way_in_cannot_be_looked_into() {
    let Some(lair) = Lair::new() else { return };
    lair.start("look-in=busybox,true");
    wait_until("the container meets someone on the way in", || {
        lair.attach(&["/bin/busybox", "true"]);
        lair.told().lines().count() > 1
    });
    for _ in tries() {
        lair.attach(&["/bin/busybox", "true"]);
    }
    assert!(!lair.told().contains("done"), "{}", lair.told());
}

#[test]
fn a_process_on_its_way_in_holds_nothing_of_the_host() {
    const SECRET: &str = "secret-of-the-operator";
    let Some(lair) = Lair::new() else { return };
    // A container that may trace all processes that it sees.
    let config = lair.lxcpath.path().join(&lair.name).join("config");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{text}lxc.cap.drop =\nlxc.cap.drop = sys_module\n")).unwrap();
    lair.start(&format!("seize={SECRET}"));
    let enter = || {
        let mut attach = lair.lxcpath.command(&["attach", &lair.name, "--", "/bin/true"]);
        attach.env("SECRET", SECRET);
        // Half of them on a terminal of the operator.
        finish(attach);
        let mut attach = lair.lxcpath.command(&["attach", &lair.name, "--", "/bin/true"]);
        attach.env("SECRET", SECRET);
        Screen::spawn(attach, 80, 24).exit();
    };
    wait_until("the container stops someone on the way in", || {
        enter();
        lair.told().contains("seized wharf")
    });
    for _ in tries() {
        enter();
    }
    assert!(!lair.told().contains("host"), "{}", lair.told());
}

/// Paths in a root that a start mounts on, or parents of such paths.
const PLACES: [&str; 15] = [
    "dev",
    "dev/pts",
    "dev/console",
    "dev/null",
    "dev/ptmx",
    "dev/shm",
    "proc",
    "proc/sys",
    "sys",
    "mnt",
    "mnt/sub",
    "etc",
    "etc/hosts",
    "run",
    "tmp",
];

/// The mounts that are configured for the hostile roots.
const MOUNTS: [&str; 6] = [
    "tmpfs mnt/sub tmpfs rw,create=dir 0 0",
    "tmpfs mnt/sub/deeper tmpfs rw,create=dir 0 0",
    "/etc/passwd etc/hosts none bind,ro,create=file 0 0",
    "tmpfs run/a/b tmpfs rw,create=dir 0 0",
    "tmp opt/own none bind,relative,create=dir 0 0",
    "tmpfs tmp/new tmpfs rw,create=dir 0 0",
];

/// Writes wherever a link could have led.
const WRITE: &str = "echo begun
    for dir in /mnt /mnt/sub /mnt/sub/deeper /etc /run /run/a/b /opt/own /tmp /tmp/new \
        /dev /dev/shm /proc /proc/sys /sys; do \
    echo x > $dir/victim; echo x > $dir/planted; mkdir $dir/planted.d; done; \
    for file in /dev/null /dev/console /dev/ptmx /etc/hosts; do echo x > $file; done";

#[test]
fn a_root_full_of_links_to_the_host_changes_nothing_there() {
    let lxcpath = Lxcpath::new();
    let canary = Canary::new();
    let honest = tempfile::tempdir().unwrap();
    if !can_run_containers() || !rootfs::busybox(honest.path()) {
        return;
    }
    let output = run_in(&lxcpath, honest.path());
    assert!(output.contains("begun"), "not even an honest root starts: {output}");
    let up = format!("../../../../../../../..{}", canary.path().display());
    let victim = canary.victim();
    for place in PLACES {
        for to in [canary.path(), Path::new(&up), &victim] {
            let root = tempfile::tempdir().unwrap();
            rootfs::busybox(root.path());
            plant(root.path(), place, to);
            let output = run_in(&lxcpath, root.path());
            canary.assert_untouched(&format!("{place} -> {}: {output}", to.display()));
        }
    }
}

/// Replaces `place` in `root` by a link.
fn plant(root: &Path, place: &str, to: &Path) {
    let path = root.join(place);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    if path.is_dir() {
        fs::remove_dir_all(&path).unwrap();
    } else if path.exists() {
        fs::remove_file(&path).unwrap();
    }
    symlink(to, path).unwrap();
}

/// Runs [`WRITE`] in the root, if it can be started at all, and returns the result.
fn run_in(lxcpath: &Lxcpath, root: &Path) -> String {
    let name = lxcpath.name("evil");
    let mut settings = vec![format!("lxc.rootfs.path={}", root.display())];
    settings.extend(MOUNTS.iter().map(|it| format!("lxc.mount.entry={it}")));
    let mut args = vec!["execute", &name];
    args.extend(settings.iter().flat_map(|it| ["-s", it]));
    args.extend(["--", "/bin/busybox", "sh", "-c", WRITE]);
    told(&lxcpath.wharf(&args))
}

/// Exchanges two paths of the host as fast as it can while it lives.
struct Racer {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Racer {
    fn between(one: PathBuf, other: PathBuf) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let race = move || {
            while !stopped.load(Ordering::Relaxed) {
                // The paths may already be gone.
                _ = renameat2(AT_FDCWD, &one, AT_FDCWD, &other, RenameFlags::RENAME_EXCHANGE);
            }
        };
        Self { stop, thread: Some(thread::spawn(race)) }
    }
}

impl Drop for Racer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map(thread::JoinHandle::join);
    }
}

#[test]
fn a_mount_target_that_turns_into_a_link_meanwhile_leads_nowhere() {
    let lxcpath = Lxcpath::new();
    let canary = Canary::new();
    let root = tempfile::tempdir().unwrap();
    if !can_run_containers() || !rootfs::busybox(root.path()) {
        return;
    }
    let name = lxcpath.name("race");
    lxcpath.ok(&["create", &name, "--dir", root.path().to_str().unwrap()]);
    let place = root.path().join("srv/place");
    fs::create_dir_all(place.join("sub")).unwrap();
    symlink(canary.path(), root.path().join("srv/link")).unwrap();
    let entries = [
        "lxc.mount.entry=tmpfs srv/place/sub tmpfs rw 0 0",
        "lxc.mount.entry=tmpfs srv/place/sub/planted.d tmpfs rw,create=dir 0 0",
        "lxc.mount.entry=/etc/passwd srv/place/planted none bind,create=file 0 0",
    ];
    let mut args = vec!["execute", &name];
    args.extend(entries.iter().flat_map(|it| ["-s", it]));
    let write = "echo x > /srv/place/victim; echo x > /srv/place/sub/victim; true";
    args.extend(["--", "/bin/sh", "-c", write]);
    // It works without a race.
    lxcpath.ok(&args);
    let racer = Racer::between(place, root.path().join("srv/link"));
    let mut starts = 0;
    for _ in tries() {
        lxcpath.wharf(&args);
        starts += 1;
    }
    drop(racer);
    canary.assert_untouched(&format!("{starts} starts with a racing mount target"));
}

#[test]
fn destroy_goes_through_no_link_no_mount_and_no_hard_link() {
    let lxcpath = Lxcpath::new();
    let canary = Canary::new();
    if !can_run_containers() {
        return;
    }
    let name = lxcpath.name("traps");
    let trapped = trapped(&lxcpath, &name, canary.path());
    let bind = trapped.join("bind");
    fs::create_dir(&bind).unwrap();
    let none: Option<&str> = None;
    mount(Some(canary.path()), &bind, none, MsFlags::MS_BIND, none).unwrap();
    let message = lxcpath.refused(&["destroy", "--now", &name], 1);
    umount2(&bind, MntFlags::MNT_DETACH).unwrap();
    assert!(message.contains(bind.to_str().unwrap()) && message.contains("mount"), "{message}");
    assert!(trapped.join("link").symlink_metadata().is_ok(), "half of it is gone: {message}");
    canary.assert_untouched("a destroy that a mount is in the way of");
    lxcpath.ok(&["destroy", "--now", &name]);
    assert!(!lxcpath.path().join(&name).exists());
    canary.assert_untouched("destroy");
}

#[test]
fn destroy_follows_no_link_that_was_a_directory_a_moment_ago() {
    let lxcpath = Lxcpath::new();
    let canary = Canary::new();
    if !can_run_containers() {
        return;
    }
    // The moment is short: between the check of an entry and its opening.
    for _ in tries() {
        let name = lxcpath.name("moving");
        let trapped = trapped(&lxcpath, &name, canary.path());
        let racer = Racer::between(trapped.join("full"), trapped.join("link"));
        let output = lxcpath.wharf(&["destroy", "--now", &name]);
        drop(racer);
        if !output.status.success() {
            assert!(text(&output.stderr).starts_with("wharf: cannot destroy"), "{}", told(&output));
            lxcpath.ok(&["destroy", "--now", &name]);
        }
        canary.assert_untouched("destroy");
    }
}

/// Makes a container whose own root holds links of both kinds to the host's files; returns the
/// root.
fn trapped(lxcpath: &Lxcpath, name: &str, host: &Path) -> PathBuf {
    let root = lxcpath.path().join(name).join("rootfs");
    fs::create_dir_all(root.join("full/sub/deeper")).unwrap();
    fs::write(root.with_file_name("config"), format!("lxc.uts.name = {name}\n")).unwrap();
    for file in ["victim", "sub/victim", "sub/deeper/victim"] {
        fs::write(root.join("full").join(file), "the container's\n").unwrap();
    }
    symlink(host, root.join("link")).unwrap();
    symlink(host.join("victim"), root.join("file-link")).unwrap();
    fs::hard_link(host.join("victim"), root.join("hard-link")).unwrap();
    root
}

/// In a pid namespace of its own: starts the container, kills its supervisor and with it init,
/// reuses the pids of both, and lets wharf stop and destroy the container that seems to be running.
const REUSE: &str = r#"
wharf() { "$WHARF" -P "$LXCPATH" "$@"; }
init() { wharf info -p -H "$NAME"; }
take() {
    for try in 1 2 3 4 5 6 7 8 9; do
        echo $(($1 - 1)) > /proc/sys/kernel/ns_last_pid
        sleep 1000 &
        [ $! = "$1" ] && return
        kill -9 $!; wait $!
    done 2> /dev/null
    echo "pid $1 was not given out again"; exit 1
}
wharf start "$NAME" -- /bin/sleep 1000 || exit 1
init=$(init)
supervisor=$(sed -n 's/^PPid:\t//p' /proc/$init/status)
kill -9 $supervisor
while [ -e /proc/$init ] || [ -e /proc/$supervisor ]; do wait; done
take $init
take $supervisor
wharf stop -W "$NAME"
wharf stop -t 0 "$NAME"
wharf stop -k "$NAME"
wharf attach "$NAME" -- /bin/true
wharf freeze "$NAME"
wharf destroy -f "$NAME"
for pid in $init $supervisor; do
    state=$(sed -n 's/^State:\t\(.\).*/\1/p' /proc/$pid/status)
    case $state in S | R) ;; *) echo "victim $pid is gone or changed: $state"; exit 1 ;; esac
done
echo both live
"#;

#[test]
fn stop_never_hits_a_process_that_has_the_pid_of_a_dead_init() {
    if !can_run_containers() || !has_program("unshare") {
        return;
    }
    if !Path::new("/proc/sys/kernel/ns_last_pid").exists() {
        println!("skipped: this kernel has no /proc/sys/kernel/ns_last_pid");
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("reused");
    lxcpath.ok(&["create", &name]);
    let mut cell = Command::new("unshare");
    cell.args(["--pid", "--fork", "--kill-child", "--mount-proc", "/bin/sh", "-c", REUSE]);
    cell.env("WHARF", env!("CARGO_BIN_EXE_wharf")).env("LXCPATH", lxcpath.path());
    cell.env("NAME", &name).stdin(Stdio::null());
    let output = finish(cell);
    assert!(text(&output.stdout).contains("both live"), "{}", told(&output));
}

/// Invalid names: they lead elsewhere, look like options, or would reach a terminal.
const NAMES: [&[u8]; 19] = [
    b"",
    b".",
    b"..",
    b"../victim",
    b"../../victim",
    b"../path/../victim",
    b"a/b",
    b"victim/",
    b"-rf",
    b"--",
    b".hidden",
    b"a b",
    b"a\nb",
    b"\x1b[2Jx",
    b"x\xff\xfe",
    b"*",
    b"a;b",
    b"$(id)",
    "\u{e9}t\u{e9}".as_bytes(),
];

/// Verbs that create or remove something, and their operands after the name.
const VERBS: [(&str, &[&str]); 5] = [
    ("create", &[]),
    ("start", &["--", "/bin/true"]),
    ("execute", &["--", "/bin/true"]),
    ("stop", &[]),
    ("destroy", &[]),
];

#[test]
fn a_name_that_leads_elsewhere_makes_and_removes_nothing() {
    let outer = tempfile::tempdir().unwrap();
    let outer = outer.path();
    for dir in ["lxc/path", "lxc/victim", "victim"] {
        fs::create_dir_all(outer.join(dir)).unwrap();
        fs::write(outer.join(dir).join("config"), "lxc.uts.name = victim\n").unwrap();
    }
    let absolute = outer.join("victim");
    let (long, longer) = ("x".repeat(65), "x".repeat(300));
    let more = [absolute.as_os_str().as_bytes(), long.as_bytes(), longer.as_bytes()];
    let before = contents(outer);
    for name in NAMES.into_iter().chain(more).map(OsStr::from_bytes) {
        for (verb, operands) in VERBS {
            let mut wharf = Command::new(env!("CARGO_BIN_EXE_wharf"));
            wharf.arg(verb).arg("-P").arg(outer.join("lxc/path")).arg("-n").arg(name);
            wharf.args(operands).stdin(Stdio::null());
            let output = finish(wharf);
            assert!(!output.status.success(), "{verb} {name:?}: {}", told(&output));
            assert!(!output.stderr.is_empty(), "{verb} {name:?} fails without a word");
            assert_eq!(contents(outer), before, "{verb} {name:?}");
        }
    }
    assert!(support::leftovers::cgroups("victim").is_empty());
}

/// Returns every path below `dir` with what is in it.
fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    tree(dir).into_iter().map(|it| (it.clone(), fs::read(it).unwrap_or_default())).collect()
}

//! What a test does from inside a container: this test binary, run again there through the test
//! named [`ENTRY`]. It prints one fact per line, and only runs on request.

#![allow(unsafe_code, reason = "terminals and keyrings are reached by raw system calls")]

use std::ffi::CStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::{Path, PathBuf};

use wharf::engine::command_socket::address::name_of;
use wharf::engine::command_socket::wire::{HEAD, Request, Response, SocketCommand};

/// The test through which a container runs probes, by its full name.
const ENTRY: &str = "support::probe::this_binary_is_the_probe_inside_containers";

#[test]
fn this_binary_is_the_probe_inside_containers() {
    run_if_asked();
}

/// Where [`super::rootfs::host_programs`] shows this binary.
pub(crate) const INSIDE: &str = "/probe";

/// What a container types on every terminal that it can open.
pub(crate) const TYPED: &str = "typed-by-the-container";

/// A key that a test puts into its session keyring.
pub(crate) const KEY: &CStr = c"wharf-test-key";

/// Where a probe reports what it sees over time.
pub(crate) const TOLD: &str = "/told";

const MARK: &str = "probe:";

/// The command that runs the probe `word` in a container that sees the host's files.
pub(crate) fn command(word: &str) -> Vec<String> {
    let binary = std::env::current_exe().unwrap();
    command_of(binary.to_str().unwrap(), word)
}

/// The same for this binary at `path`.
pub(crate) fn command_of(path: &str, word: &str) -> Vec<String> {
    let word = format!("{MARK}{word}");
    [path, "--exact", "--nocapture", ENTRY, &word].map(str::to_owned).to_vec()
}

/// Runs the probe that the command line names, if it does.
fn run_if_asked() {
    let asked = std::env::args().find_map(|it| it.strip_prefix(MARK).map(str::to_owned));
    let Some(asked) = asked else { return };
    // The test harness has begun a line.
    println!();
    let (word, operand) = asked.split_once('=').unwrap_or((&asked, ""));
    match word {
        "type" => type_everywhere(),
        "writable" => writable(),
        "masked" => operand.split(',').for_each(masked),
        "key" => println!("key {}", outcome(find_key())),
        "ask" => ask(Path::new(operand)),
        "imposter" => super::imposter::run(operand),
        "overwrite" => overwrite(operand.parse().unwrap()),
        "look-in" => look_in(operand),
        "seize" => seize(operand),
        "calls" => super::calls::make(operand),
        other => panic!("no probe {other}"),
    }
}

fn outcome<T>(result: io::Result<T>) -> String {
    result.map_or_else(|error| error.to_string(), |_| "done".to_owned())
}

/// Puts a line into the input of every terminal that can be opened here.
fn type_everywhere() {
    let mut paths: Vec<PathBuf> =
        ["/dev/tty", "/dev/console", "/dev/stdin", "/dev/stdout", "/dev/stderr"]
            .map(Into::into)
            .to_vec();
    paths.extend(fs::read_dir("/dev/pts").unwrap().flatten().map(|it| it.path()));
    for path in paths {
        let flags = libc::O_NOCTTY | libc::O_NONBLOCK;
        let opened = OpenOptions::new().read(true).custom_flags(flags).open(&path);
        if let Ok(file) = opened {
            type_at(&file);
        }
    }
    println!("typed everywhere");
}

fn type_at(terminal: &File) {
    /// Pastes what the kernel's own console has selected; see ioctl_console(2).
    const PASTE: u8 = 3;
    for byte in TYPED.bytes().chain([b'\n']) {
        // SAFETY: the descriptor is open, and TIOCSTI reads one byte.
        _ = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSTI, &byte) };
    }
    // SAFETY: the descriptor is open, and TIOCLINUX reads one byte for this function.
    _ = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCLINUX, &PASTE) };
}

/// Names every file of /proc and /sys that opens for writing, except those of processes. Writes
/// nothing.
fn writable() {
    let mut pending = vec![PathBuf::from("/proc"), PathBuf::from("/sys")];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name();
            let process = name.as_encoded_bytes().iter().all(u8::is_ascii_digit);
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && !(process && dir == Path::new("/proc")) => {
                    pending.push(path);
                }
                Ok(kind) if kind.is_file() && opens_for_writing(&path) => {
                    println!("writable {}", path.display());
                }
                _ => (),
            }
        }
    }
    println!("all seen");
}

/// Opens a regular file with a write permission: root can open others too, to no effect.
fn opens_for_writing(path: &Path) -> bool {
    const ANYBODY_WRITES: u32 = 0o222;
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_NOFOLLOW;
    let opened = OpenOptions::new().write(true).custom_flags(flags).open(path);
    opened
        .and_then(|it| it.metadata())
        .is_ok_and(|it| it.is_file() && it.mode() & ANYBODY_WRITES != 0)
}

/// Returns whether something can be read from the file or directory, or written there.
fn masked(path: &str) {
    let Ok(facts) = fs::symlink_metadata(path) else { return println!("absent {path}") };
    let open = if facts.is_dir() {
        let listed = match fs::read_dir(path) {
            // A security module says so.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => false,
            listed => listed.unwrap().count() > 0,
        };
        listed || File::create(Path::new(path).join("new")).is_ok()
    } else {
        let mut byte = [0];
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
        let read = opened.and_then(|mut it| it.read(&mut byte));
        read.is_ok_and(|it| it > 0) || opens_for_writing(Path::new(path))
    };
    println!("{} {path}", if open { "open" } else { "masked" });
}

/// Makes a session keyring for this thread, with a key in it.
pub(crate) fn add_key() -> io::Result<()> {
    const JOIN_SESSION: libc::c_int = 1;
    const SESSION: libc::c_int = -3;
    let none = std::ptr::null::<libc::c_char>();
    // SAFETY: no name asks for an anonymous keyring, see keyctl(2).
    let joined = unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION, none) };
    nix::errno::Errno::result(joined)?;
    let (kind, value) = (c"user", b"secret");
    // SAFETY: the strings end in NUL, and the value has the given length.
    let added = unsafe {
        libc::syscall(
            libc::SYS_add_key,
            kind.as_ptr(),
            KEY.as_ptr(),
            value.as_ptr(),
            value.len(),
            SESSION,
        )
    };
    nix::errno::Errno::result(added)?;
    Ok(())
}

/// Looks for the key of [`add_key`] as a process finds keys: in its keyrings.
pub(crate) fn find_key() -> io::Result<()> {
    let (kind, none) = (c"user", std::ptr::null::<libc::c_char>());
    // SAFETY: the strings end in NUL; without call-out information nothing is asked of programs.
    let found =
        unsafe { libc::syscall(libc::SYS_request_key, kind.as_ptr(), KEY.as_ptr(), none, 0) };
    nix::errno::Errno::result(found)?;
    Ok(())
}

/// Asks the supervisor of the container at `dir` for everything that would help an attacker.
fn ask(dir: &Path) {
    let name = dir.file_name().unwrap().to_str().unwrap();
    let address = SocketAddr::from_abstract_name(name_of(dir.parent().unwrap(), name)).unwrap();
    for (word, command) in [
        ("pid", SocketCommand::GetInitPid),
        ("state", SocketCommand::GetState),
        ("console", SocketCommand::GetTtyFd),
        ("stop", SocketCommand::Stop),
    ] {
        let mut stream = UnixStream::connect_addr(&address).unwrap();
        let request = Request { command: command as i32, payload_len: 0, data: 0 };
        // A client that is refused at once may have already got the answer.
        _ = stream.write_all(&request.encode());
        let mut head = [0; HEAD];
        let answered = stream.read_exact(&mut head).is_ok();
        let refused = answered && Response::decode(&head).result == -libc::EPERM;
        println!("{word} {}", if refused { "refused" } else { "not refused" });
    }
}

/// Keeps writing into the program file `inode`, through any process that runs it.
fn overwrite(inode: u64) {
    const HELD: usize = 32;
    let mut journal = Journal::begin();
    let mut held: Vec<File> = Vec::new();
    loop {
        for pid in others() {
            let exe =
                OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(pid.join("exe"));
            if let Ok(exe) = exe
                && held.len() < HELD
                && exe.metadata().is_ok_and(|it| it.ino() == inode)
            {
                held.push(exe);
            }
        }
        for exe in &held {
            let path = format!("/proc/self/fd/{}", exe.as_raw_fd());
            let opened = OpenOptions::new().write(true).open(path);
            journal.tell(&outcome(opened.and_then(|mut it| it.write_all(TYPED.as_bytes()))));
        }
    }
}

/// Inspects every process that is neither this one nor runs one of the `harmless` programs.
fn look_in(harmless: &str) {
    let mut journal = Journal::begin();
    let own = fs::read_to_string("/proc/self/comm").unwrap();
    let foreign = |pid: &Path| {
        let name = fs::read_to_string(pid.join("comm")).unwrap_or_default();
        !name.is_empty() && name != own && !harmless.split(',').any(|it| it == name.trim())
    };
    let parts = ["fd/0", "fd/3", "fdinfo", "root", "cwd", "mem", "environ", "maps"];
    loop {
        for (pid, part) in others().flat_map(|pid| parts.map(|part| (pid.clone(), part))) {
            if !foreign(&pid) {
                continue;
            }
            let opened = File::open(pid.join(part));
            // A success counts if the process was still entering then.
            if opened.is_err() || foreign(&pid) {
                journal.tell(&format!("{part}: {}", outcome(opened)));
            }
        }
    }
}

/// Stops every process as soon as it appears, and checks whether it has something of the host's,
/// including `secret` in its environment or memory.
fn seize(secret: &str) {
    let mut journal = Journal::begin();
    loop {
        for dir in others() {
            let pid: i32 = dir.file_name().unwrap().to_str().unwrap().parse().unwrap();
            let pid = nix::unistd::Pid::from_raw(pid);
            let options = nix::sys::ptrace::Options::empty();
            if nix::sys::ptrace::seize(pid, options).is_err() {
                continue;
            }
            // A process that ends meanwhile has nothing left.
            _ = nix::sys::ptrace::interrupt(pid);
            _ = nix::sys::wait::waitpid(pid, Some(nix::sys::wait::WaitPidFlag::__WALL));
            for what in held_by(&dir, secret) {
                journal.tell(&format!("host: {what}"));
            }
            let name = fs::read_to_string(dir.join("comm")).unwrap_or_default();
            journal.tell(&format!("seized {}", name.trim()));
            _ = nix::sys::ptrace::detach(pid, None);
        }
    }
}

/// Names what the process has that no process in this container should have.
fn held_by(dir: &Path, secret: &str) -> Vec<String> {
    let mut found = Vec::new();
    let place = |path: &Path| fs::metadata(path).map(|it| (it.dev(), it.ino())).ok();
    if let Some(root) = place(&dir.join("root"))
        && Some(root) != place(Path::new("/"))
    {
        found.push("root".to_owned());
    }
    let environment = fs::read(dir.join("environ")).unwrap_or_default();
    if environment.windows(secret.len()).any(|it| it == secret.as_bytes()) {
        found.push("environment".to_owned());
    }
    let allowed = capabilities(Path::new("/proc/self")).unwrap();
    if capabilities(dir).is_some_and(|it| it & !allowed != 0) {
        found.push("capabilities".to_owned());
    }
    let ours = fs::metadata("/dev/pts").unwrap().dev();
    for fd in fs::read_dir(dir.join("fd")).into_iter().flatten().flatten() {
        let Ok(facts) = fs::metadata(fd.path()) else { continue };
        let kind = facts.mode() & libc::S_IFMT;
        let terminal = kind == libc::S_IFCHR && libc::major(facts.rdev()) == 136;
        if kind == libc::S_IFDIR || terminal && facts.dev() != ours {
            found.push(format!("{:?}", fs::read_link(fd.path())));
        }
    }
    found
}

fn capabilities(dir: &Path) -> Option<u64> {
    let status = fs::read_to_string(dir.join("status")).ok()?;
    let line = status.lines().find_map(|it| it.strip_prefix("CapPrm:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

fn others() -> impl Iterator<Item = PathBuf> {
    let own = std::process::id().to_string();
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pid = move |name: &str| name != own && name.bytes().all(|it| it.is_ascii_digit());
    entries.filter(move |it| it.file_name().to_str().is_some_and(&pid)).map(|it| it.path())
}

/// Reports each line once.
struct Journal {
    file: File,
    told: Vec<String>,
}

impl Journal {
    fn begin() -> Self {
        let mut file = File::create(TOLD).unwrap();
        file.write_all(b"begun\n").unwrap();
        Self { file, told: Vec::new() }
    }

    fn tell(&mut self, line: &str) {
        if !self.told.iter().any(|it| it == line) {
            self.told.push(line.to_owned());
            self.file.write_all(format!("{line}\n").as_bytes()).unwrap();
        }
    }
}

//! A process that listens on a container's command socket without being its supervisor: this test
//! binary, run again as another user or in a container, with given answers.

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdout, Command, Stdio};

use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr};
use nix::sys::socket::{bind, connect, listen, socket};
use wharf::engine::State;
use wharf::engine::command_socket::wire::{self, HEAD, Request, Response};

use super::{probe, rootfs};

/// How an imposter treats its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Answers with lies.
    Lies,
    /// The same, by another process than the one that listened, which has ended.
    LiesByAChild,
    /// Listens, and accepts no connection.
    Silent,
    /// Listens, and its queue is full.
    Full,
    /// Has bound the name, and does not listen.
    Deaf,
}

/// An imposter's answers, in one word for its command line.
#[derive(Clone, Debug)]
pub(crate) struct Lies<'a> {
    /// The abstract name, `LXCPATH/NAME/command`.
    pub(crate) socket: &'a str,
    pub(crate) init: i32,
    pub(crate) cgroup: &'a str,
}

/// The imposter, ended when this is dropped.
pub(crate) struct Imposter {
    child: Child,
    _told: BufReader<ChildStdout>,
    _dir: tempfile::TempDir,
}

impl Imposter {
    /// Runs one as the user `uid`, and returns once it has the name.
    pub(crate) fn of_user(uid: u32, manner: Manner, lies: &Lies<'_>) -> Self {
        // A place where that user can execute it.
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        let copy = dir.path().join("imposter");
        rootfs::copy_program(std::env::current_exe().unwrap().to_str().unwrap(), &copy);
        let mut command = argv(copy.to_str().unwrap(), manner, lies);
        command.current_dir("/").uid(uid).gid(uid);
        let (child, told) = begin(command);
        Self { child, _told: told, _dir: dir }
    }

    /// Runs one by `command`, which runs [`Self::argv`] somewhere.
    pub(crate) fn by(command: Command) -> Self {
        let (child, told) = begin(command);
        Self { child, _told: told, _dir: tempfile::tempdir().unwrap() }
    }

    /// Returns the command line of an imposter.
    pub(crate) fn argv(manner: Manner, lies: &Lies<'_>) -> Vec<String> {
        probe::command(&word(manner, lies))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Imposter {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn word(manner: Manner, lies: &Lies<'_>) -> String {
    format!("imposter={manner:?},{},{},{}", lies.init, lies.cgroup, lies.socket)
}

fn argv(binary: &str, manner: Manner, lies: &Lies<'_>) -> Command {
    let argv = probe::command_of(binary, &word(manner, lies));
    let mut command = Command::new(&argv[0]);
    command.args(&argv[1..]);
    command
}

fn begin(mut command: Command) -> (Child, BufReader<ChildStdout>) {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut told = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    // The test harness of a parent that ends may be in the middle of a line.
    while !line.trim().ends_with("up") {
        line.clear();
        assert_ne!(told.read_line(&mut line).unwrap(), 0, "the imposter has ended: {command:?}");
    }
    (child, told)
}

/// Runs as the imposter that `operand` describes, until it is killed.
pub(crate) fn run(operand: &str) {
    let parts: Vec<&str> = operand.splitn(4, ',').collect();
    let [manner, init, cgroup, name] = parts[..] else { panic!("no imposter: {operand}") };
    let (init, socket_name) = (init.parse().unwrap(), name);
    if manner == "Child" {
        // Whoever spawned this put the listening socket there.
        let input = std::io::stdin().as_fd().try_clone_to_owned();
        let listener = UnixListener::from(input.unwrap());
        println!("up");
        serve(&listener, init, cgroup, socket_name);
    }
    let address = SocketAddr::from_abstract_name(socket_name).unwrap();
    match manner {
        "Lies" => {
            let listener = UnixListener::bind_addr(&address).unwrap();
            println!("up");
            serve(&listener, init, cgroup, socket_name);
        }
        "LiesByAChild" => {
            let listener = UnixListener::bind_addr(&address).unwrap();
            let word = format!("imposter=Child,{operand}").replacen("LiesByAChild,", "", 1);
            let argv = probe::command(&word);
            let mut child = Command::new(&argv[0]);
            child.args(&argv[1..]).stdin(Stdio::from(std::os::fd::OwnedFd::from(listener)));
            // It is not reaped: this process must be gone.
            drop(child.spawn().unwrap());
        }
        "Silent" => {
            let _held = UnixListener::bind_addr(&address).unwrap();
            println!("up");
            wait_for_ever();
        }
        "Full" | "Deaf" => {
            let fd = stream();
            let name = UnixAddr::new_abstract(socket_name.as_bytes()).unwrap();
            bind(fd.as_raw_fd(), &name).unwrap();
            let mut held = Vec::new();
            if manner == "Full" {
                listen(&fd, Backlog::new(0).unwrap()).unwrap();
                let connected =
                    || Some(stream()).filter(|it| connect(it.as_raw_fd(), &name).is_ok());
                held.extend(std::iter::from_fn(connected));
            }
            println!("up");
            wait_for_ever();
        }
        other => panic!("no imposter is {other}"),
    }
}

fn stream() -> std::os::fd::OwnedFd {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    socket(AddressFamily::Unix, SockType::Stream, flags, None).unwrap()
}

fn wait_for_ever() -> ! {
    loop {
        std::thread::park();
    }
}

/// Answers all clients, one after the other, as a supervisor would.
fn serve(listener: &UnixListener, init: i32, cgroup: &str, socket: &str) -> ! {
    let mut held = Vec::new();
    loop {
        let Ok((mut stream, _)) = listener.accept() else { continue };
        if answer(&mut stream, init, cgroup, socket).is_none() {
            continue;
        }
        held.push(stream);
        held.drain(..held.len().saturating_sub(64));
    }
}

/// Answers one request; the connection is kept for clients that wait for more.
fn answer(stream: &mut UnixStream, init: i32, cgroup: &str, socket: &str) -> Option<()> {
    let mut head = [0; HEAD];
    stream.read_exact(&mut head).ok()?;
    let request = Request::decode(&head);
    let mut payload = vec![0; usize::try_from(request.payload_len).ok()?.min(wire::MAX_PAYLOAD)];
    stream.read_exact(&mut payload).ok()?;
    let (dir, name) = socket.strip_suffix("/command")?.rsplit_once('/')?;
    let number = |data: u64| (Response { data, ..Response::default() }, Vec::new());
    let said = |text: &str| {
        let text = wire::encode_text(text);
        (Response { payload_len: text.len() as i32, ..Response::default() }, text)
    };
    let ((head, payload), keep) = match request.command {
        3 => (number(State::Running as u64), false),
        4 => (number(init as u64), false),
        5 => (number(0), false),
        6 | 19 => (said(cgroup), false),
        // The halt signal, and any other request.
        7 => (said("9"), false),
        8 => (said(name), false),
        9 => (said(dir), false),
        10 => ((Response { result: 8, data: 8, payload_len: 0 }, Vec::new()), true),
        11 | 1000 => (said("said by the stranger"), true),
        2 => return Some(()),
        _ => ((Response { result: -1, ..Response::default() }, Vec::new()), false),
    };
    stream.write_all(&head.encode()).ok()?;
    stream.write_all(&payload).ok()?;
    keep.then_some(())
}

//! Runs a program of the host in namespaces without a container: new ones, those of other users, or the
//! network of a container that runs. Nothing of it is recorded or supervised.

use std::ffi::{CString, OsString};
use std::io::{self, BufRead as _, BufReader, PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Command, ExitStatus, Stdio};

use netlink_packet_route::link::LinkAttribute;
use nix::errno::Errno;
use nix::mount::{MsFlags, mount, umount};
use nix::sched::{CloneFlags, setns};
use nix::unistd::{Gid, Uid, execvp, getpid, setgroups, sethostname, setresgid, setresuid, setuid};

use super::attach::AttachTarget;
use crate::engine::entry::init;
use crate::engine::entry::launch::map_users;
use crate::engine::host::links::Netlink;
use crate::engine::host::subids::SubIds;
use crate::engine::sys::{self, OwnActions, Side};
use crate::engine::terms::idmap::{IdKind, IdMap, IdRange};
use crate::engine::terms::shown::shown;
use crate::engine::terms::space::Space;
use crate::engine::{Engine, Error, ErrorKind, Exit, Name, Verb};

/// What has to be mounted anew in a mount namespace of its own: type and place.
const MOUNTS: [(&str, &str); 3] =
    [("proc", "/proc"), ("tmpfs", "/dev/shm"), ("mqueue", "/dev/mqueue")];
/// The exit code of what could not be run.
const FAILED: i32 = 1;

/// A program in namespaces of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unshared {
    /// Program and arguments, found by PATH.
    pub argv: Vec<OsString>,
    pub spaces: Vec<Space>,
    /// The user that it becomes.
    pub uid: Option<u32>,
    pub hostname: Option<String>,
    /// Interfaces of the host that are moved into its network.
    pub interfaces: Vec<String>,
    /// Mounts `/proc`, `/dev/shm` and `/dev/mqueue` anew.
    pub remount: bool,
    /// Does not wait for its end.
    pub daemon: bool,
}

/// How a program ended, and what of its surroundings failed without ending it.
#[derive(Debug)]
pub struct ApartEnd {
    pub exit: Exit,
    pub said: Vec<String>,
}

/// Why a program could not be run.
#[derive(Debug, thiserror::Error)]
pub enum ApartError {
    #[error("an argument contains a NUL byte")]
    Nul,
    #[error("create its namespaces: {0}")]
    Clone(Errno),
    #[error("map its users: {0}")]
    Map(io::Error),
    #[error("wait for it: {0}")]
    Wait(Errno),
    #[error("{0}")]
    Pipe(#[from] io::Error),
    #[error(
        "it must be the first process of a container, and is process {0}; `lxc-execute` starts a \
         container with such an init"
    )]
    NotFirst(i32),
    #[error("take the signals: {0}")]
    Signals(Errno),
}

impl Unshared {
    /// Runs the program to its end. The caller must be single-threaded, since this forks.
    pub fn run(&self) -> Result<ApartEnd, ApartError> {
        let argv = words(&self.argv)?;
        let (hears, tells) = io::pipe()?;
        let flags = self.spaces.iter().fold(0, |flags, it| flags | it.flag());
        match sys::clone3(flags as u64, None).map_err(ApartError::Clone)? {
            Side::Child => {
                drop(tells);
                let ready = self.prepare(hears);
                execute(ready, &argv)
            }
            Side::Parent { pid, pidfd } => {
                drop(hears);
                self.serve(pid, &pidfd, tells)
            }
        }
    }

    /// The host's side: it maps the user and moves the interfaces.
    fn serve(
        &self,
        pid: i32,
        pidfd: &OwnedFd,
        mut tells: PipeWriter,
    ) -> Result<ApartEnd, ApartError> {
        if let Some(uid) = self.uid.filter(|_| self.spaces.contains(&Space::User)) {
            let line = format!("{uid} {} 1\n", Uid::current());
            std::fs::write(format!("/proc/{pid}/uid_map"), line).map_err(ApartError::Map)?;
        }
        let said = self.interfaces.iter().filter_map(|it| {
            let moved = hand_over(it, pid);
            moved.err().map(|why| format!("failed to move the interface {it}: {why}"))
        });
        let said = said.collect();
        // If it has ended, that is seen below.
        _ = tells.write_all(&[0]);
        drop(tells);
        if self.daemon {
            return Ok(ApartEnd { exit: Exit::Code(0), said });
        }
        let status = sys::wait_for(pidfd.as_fd()).map_err(ApartError::Wait)?;
        Ok(ApartEnd { exit: Exit::from_wait_status(status), said })
    }

    /// The program's side.
    fn prepare(&self, mut hears: PipeReader) -> Result<(), String> {
        // Nothing comes if the other side has failed.
        hears.read_exact(&mut [0]).map_err(|_closed| String::new())?;
        if self.spaces.contains(&Space::Mnt) {
            let none: Option<&str> = None;
            let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
            mount(none, "/", none, flags, none).map_err(|it| format!("make / private: {it}"))?;
            if self.remount {
                mount_anew();
            }
        }
        if let Some(name) = &self.hostname {
            sethostname(name).map_err(|it| format!("set the host name {name}: {it}"))?;
        }
        if let Some(uid) = self.uid {
            setuid(Uid::from_raw(uid)).map_err(|it| format!("become user {uid}: {it}"))?;
        }
        Ok(())
    }
}

/// As LXC does it: what fails is left as it is.
fn mount_anew() {
    for (kind, place) in MOUNTS {
        _ = umount(place);
        _ = std::fs::create_dir(place);
        _ = mount(Some(kind), place, Some(kind), MsFlags::empty(), None::<&str>);
    }
}

fn hand_over(name: &str, pid: i32) -> io::Result<()> {
    let host = Netlink::here()?;
    let link = host.get(name)?;
    host.change(link.index, vec![LinkAttribute::NetNsPid(pid.cast_unsigned())])
}

/// Runs a program as `uid` and `gid` of new users, in a mount namespace of its own.
pub fn run_mapped(
    map: &IdMap,
    (uid, gid): (u32, u32),
    argv: &[OsString],
) -> Result<Exit, ApartError> {
    let argv = words(argv)?;
    let (mut hears, mut tells) = io::pipe()?;
    let flags = libc::CLONE_NEWUSER | libc::CLONE_NEWNS;
    match sys::clone3(flags as u64, None).map_err(ApartError::Clone)? {
        Side::Child => {
            drop(tells);
            let mapped = hears.read_exact(&mut [0]).map_err(|_closed| String::new());
            execute(mapped.and_then(|()| become_mapped(uid, gid)), &argv)
        }
        Side::Parent { pid, pidfd } => {
            drop(hears);
            map_users(pid, map).map_err(ApartError::Map)?;
            // If it has ended, that is seen below.
            _ = tells.write_all(&[0]);
            let status = sys::wait_for(pidfd.as_fd()).map_err(ApartError::Wait)?;
            Ok(Exit::from_wait_status(status))
        }
    }
}

fn become_mapped(uid: u32, gid: u32) -> Result<(), String> {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |errno: Errno| format!("{what}: {errno}")
    };
    match setgroups(&[]) {
        // Where the map of groups is the user's own, the kernel leaves them.
        Ok(()) | Err(Errno::EPERM) => (),
        Err(errno) => return Err(failed("drop its groups")(errno)),
    }
    let (user, group) = (Uid::from_raw(uid), Gid::from_raw(gid));
    setresgid(group, group, group).map_err(failed("become its group"))?;
    setresuid(user, user, user).map_err(failed("become its user"))?;
    let (none, flags): (Option<&str>, _) = (None, MsFlags::MS_REC | MsFlags::MS_SLAVE);
    mount(none, "/", none, flags, none).map_err(failed("part its mounts from the host's"))
}

/// Returns the first range of users and of groups that the host allots to this process's user, from 0
/// on inside; none: it allots none.
pub fn first_allotted() -> Option<IdMap> {
    let whole = SubIds::ours().whole();
    let mut map = IdMap::default();
    for kind in [IdKind::User, IdKind::Group] {
        let first = whole.ranges(kind).first()?;
        map.add(kind, IdRange { inside: 0, ..*first }).ok()?;
    }
    Some(map)
}

/// Runs a program as pid 1 of a container runs it: reaps what is left to it, passes signals on, and
/// ends as the program did, once everything has ended.
pub fn tend(argv: &[OsString]) -> Result<std::convert::Infallible, ApartError> {
    let own = getpid().as_raw();
    if own != 1 {
        // It would signal every process of the host.
        return Err(ApartError::NotFirst(own));
    }
    let argv = words(argv)?;
    init::hold_signals(None, OwnActions::ALL).map_err(ApartError::Signals)?;
    match sys::fork().map_err(ApartError::Clone)? {
        None => {
            OwnActions::ALL.reset();
            execute(Ok(()), &argv)
        }
        Some(command) => init::run(command, None),
    }
}

impl Engine {
    /// Runs a program of the host in the network of a running container, by its name and arguments, and
    /// gives each line that it prints to `print`, since the container may have chosen what is in it. The
    /// caller must be single-threaded.
    pub fn in_network(
        &self,
        name: &Name,
        (program, args): (&str, &[String]),
        print: &mut dyn FnMut(&str) -> io::Result<()>,
    ) -> Result<Exit, Error> {
        let failed = |kind, why: String| Error::new(Verb::Attach, name, kind, why);
        let target = AttachTarget::find(self.lxcpath(), name)
            .map_err(|why| failed(why.kind(), why.to_string()))?;
        let network = target.namespace("net").map_err(|why| failed(why.kind(), why.to_string()))?;
        setns(&network, CloneFlags::CLONE_NEWNET)
            .map_err(|errno| failed(ErrorKind::Denied, format!("enter its network: {errno}")))?;
        let status = run_printing(Command::new(program).args(args), print).map_err(|why| {
            let missing = why.kind() == io::ErrorKind::NotFound;
            let kind = if missing { ErrorKind::NoCommand } else { ErrorKind::Failed };
            failed(kind, format!("{program}: {why}"))
        })?;
        Ok(Exit::from_wait_status(std::os::unix::process::ExitStatusExt::into_raw(status)))
    }
}

/// Runs a command to its end, and gives each line that it prints to `print`; a failure of that ends it.
fn run_printing(
    command: &mut Command,
    print: &mut dyn FnMut(&str) -> io::Result<()>,
) -> io::Result<ExitStatus> {
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let output = child.stdout.take().map(BufReader::new);
    let mut lines = output.into_iter().flat_map(|it| it.split(b'\n'));
    let printed = lines.try_for_each(|line| print(&String::from_utf8_lossy(&line?)));
    if printed.is_err() {
        child.kill()?;
    }
    let status = child.wait()?;
    printed.map(|()| status)
}

fn words(argv: &[OsString]) -> Result<Vec<CString>, ApartError> {
    let words = argv.iter().map(|it| CString::new(it.as_bytes()));
    words.collect::<Result<_, _>>().map_err(|_nul| ApartError::Nul)
}

/// Executes the program, if everything is ready; else says why not, and ends.
fn execute(ready: Result<(), String>, argv: &[CString]) -> ! {
    let why = match (ready, argv.first()) {
        (Err(why), _) => why,
        (Ok(()), None) => "there is no program to run".to_owned(),
        (Ok(()), Some(program)) => {
            // It only returns with an error.
            let errno = execvp(program, argv).err().unwrap_or(Errno::UnknownErrno);
            format!("{}: {errno}", program.to_string_lossy())
        }
    };
    if !why.is_empty() {
        // Nobody hears it if standard error is gone.
        _ = writeln!(io::stderr(), "cannot run it: {}", shown(&why));
    }
    sys::exit_now(FAILED)
}

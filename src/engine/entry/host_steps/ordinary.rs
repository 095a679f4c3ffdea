//! The network of an ordinary user's container: its interfaces are made by LXC's setuid program, and
//! set up over a socket that a process opened which entered the container's users and network, as
//! the supervisor itself never does.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use netlink_packet_route::link::LinkAttribute;
use nix::errno::Errno;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::network::{Wires, address};
use crate::engine::entry::report::{self, StepPart};
use crate::engine::entry::script::run_to_its_end;
use crate::engine::host::Host;
use crate::engine::host::links::Netlink;
use crate::engine::host::usernet;
use crate::engine::sys;
use crate::engine::terms::nic::Nic;
use crate::engine::terms::space::Space;

/// The exit of a process that panics.
const FAILED: i32 = 1;

/// A veth that the program makes. It ends with the container's network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::engine) struct GrantedPair {
    pub(super) nic: Nic,
    lxcpath: PathBuf,
    container: String,
}

impl GrantedPair {
    pub(super) fn new(nic: &Nic, lxcpath: &Path, container: &str) -> Self {
        Self { nic: nic.clone(), lxcpath: lxcpath.to_path_buf(), container: container.to_owned() }
    }

    /// Has it made for the container whose init is `init`.
    pub(super) fn perform(&self, init: Option<i32>, wires: &Wires) -> io::Result<()> {
        let init = init.ok_or(io::ErrorKind::NotConnected)?.to_string();
        let lacks = || io::Error::other(format!("{} is not installed", usernet::PROGRAM));
        let mut command = Command::new(usernet::program().ok_or_else(lacks)?);
        let link = self.nic.link.as_deref().unwrap_or_default();
        command.arg("create").arg(&self.lxcpath);
        command.args([&self.container, &init, "veth", link, &self.nic.name]);
        run_to_its_end(command.stdin(Stdio::null()))?;
        let changes: Vec<LinkAttribute> = (self.nic.mtu.map(LinkAttribute::Mtu).into_iter())
            .chain(self.nic.hwaddr.map(address))
            .collect();
        if changes.is_empty() {
            return Ok(());
        }
        wires.inside.change(wires.inside.get(&self.nic.name)?.index, changes)
    }
}

/// Opens a socket in the network of the process `pid`, whose users are others. The caller must be
/// single-threaded.
pub(super) fn inside(host: &Host, pid: i32) -> io::Result<Netlink> {
    let users = File::open(host.of_process(pid, "ns/user"))?;
    let network = File::open(host.of_process(pid, "ns/net"))?;
    let (ours, theirs) = report::pair()?;
    let Some(helper) = sys::fork()? else {
        sys::die_of_panics(FAILED);
        _ = set_pdeathsig(Signal::SIGKILL);
        let entered = sys::setns(users.as_fd(), Space::User.flag())
            .and_then(|()| sys::setns(network.as_fd(), Space::Net.flag()));
        let errno = |it: io::Error| Errno::from_raw(it.raw_os_error().unwrap_or(libc::EIO));
        let opened = entered.and_then(|()| Netlink::here().map_err(errno));
        let opened = opened.map(|it| Some(it.pass())).map_err(|errno| (StepPart::Whole, errno));
        // Without an answer it has failed.
        _ = report::answer(theirs.as_fd(), opened);
        sys::exit_now(0)
    };
    drop(theirs);
    let opened = report::answered(ours.as_fd());
    waitpid(Pid::from_raw(helper), None)?;
    let opened = opened.map_err(|(_, errno)| errno)?.ok_or(Errno::EPROTO)?;
    Ok(Netlink::passed(opened))
}

//! Which processes a client trusts.
//!
//! An abstract socket belongs to the first process that binds its name, of any user of the host or
//! of a container that shares the host's network. So no answer is trusted before the kernel has
//! shown which process listens and answers: one of root or this user, in our own pid and user
//! namespaces, and for a container of ours the very supervisor that its record names. If the
//! lxcpath is another user's, that user is trusted too, about his own processes and groups.
//!
//! The process that listened may have ended since (LXC's monitors listen before they go into the
//! background), and then its pid is useless. The process that answers is alive: it is identified by
//! a first answer, and trusted if it is still the same after the next.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::sys::socket::{UnixCredentials, getsockopt, sockopt};
use nix::unistd::geteuid;

use super::error::{SocketError, Stranger};
use crate::engine::cgroup::{Cgroup, Hierarchies};
use crate::engine::host::Host;
use crate::engine::host::identity::Stat;
use crate::engine::host::identity::{self, Identity};
use crate::engine::host::lxcpath::Lxcpath;
use crate::engine::running::record::Record;
use crate::engine::sys;
use crate::engine::terms::name::Name;

/// The namespaces that a trusted process shares with us.
const SHARED: [&str; 2] = ["pid", "user"];

/// Which processes may speak for a container.
#[derive(Clone, Debug)]
pub(super) struct Judge {
    host: Host,
    of: String,
    /// For a running container of ours: its supervisor.
    supervisor: Option<Identity>,
    /// The owner of the lxcpath, if that is another user.
    owner: Option<u32>,
}

/// A process that answered and may speak for the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Speaker {
    identity: Identity,
    /// Another user, who is trusted only about his own processes and groups.
    limited_to: Option<u32>,
}

impl Judge {
    /// Judges for `name` by its record and the owner of its directory.
    pub(super) fn about(lxcpath: &Lxcpath, name: &Name) -> Self {
        let record = Record::read(lxcpath, name).filter(|it| it.is_live(lxcpath.host()));
        Self {
            supervisor: record.map(|it| it.supervisor),
            ..Self::nameless(lxcpath, name.as_str())
        }
    }

    /// Judges for a socket of which only the directory is known, called `of`.
    pub(super) fn nameless(lxcpath: &Lxcpath, of: &str) -> Self {
        let owner = fs::metadata(lxcpath.dir()).map(|it| it.uid()).ok();
        let owner = owner.filter(|it| *it != 0 && geteuid().is_root());
        Self { host: lxcpath.host().clone(), of: of.to_owned(), supervisor: None, owner }
    }

    /// Checks the listener: a process of the wrong user need not be asked.
    pub(super) fn admit(&self, stream: &UnixStream) -> Result<UnixCredentials, Stranger> {
        let listener = getsockopt(stream, sockopt::PeerCredentials).ok();
        let admitted = listener.filter(|it| it.pid() > 0 && self.may_speak(it.uid()));
        admitted.ok_or_else(|| self.stranger(listener))
    }

    /// Returns the process that the record names, which needs no further check.
    pub(super) fn expected(&self) -> Option<Speaker> {
        self.supervisor.map(|identity| Speaker { identity, limited_to: None })
    }

    /// Returns the process that should answer if a signal has stopped it, so that it cannot: the
    /// supervisor of the record, or else who listens, as far as that is known.
    pub(super) fn halted(&self, speaker: Option<Speaker>, stream: &UnixStream) -> Option<i32> {
        let listener = || {
            let it = getsockopt(stream, sockopt::PeerCredentials).ok()?;
            self.may_hold(it.pid(), it.uid()).then_some(it.pid())
        };
        let known = self.supervisor.or_else(|| speaker.map(|it| it.identity));
        let pid = known.map(|it| it.pid).or_else(listener).filter(|it| *it > 0)?;
        let stat = Stat::read(&self.host, pid).filter(|it| it.state == identity::STOPPED)?;
        known.is_none_or(|it| it == stat.identity).then_some(pid)
    }

    /// Identifies the sender of an answer. That is certain once it has answered again.
    pub(super) fn identify(&self, sender: Option<UnixCredentials>) -> Result<Speaker, SocketError> {
        let Some(it) = sender.filter(|it| it.pid() > 0 && self.may_speak(it.uid())) else {
            return Err(self.stranger(sender).into());
        };
        let identity = Identity::of(&self.host, it.pid()).ok_or(SocketError::Closed)?;
        if !SHARED.iter().all(|kind| shares(&self.host, it.pid(), kind)) {
            return Err(self.stranger(sender).into());
        }
        if Identity::of(&self.host, it.pid()) != Some(identity) {
            return Err(SocketError::Closed);
        }
        let own = it.uid() == 0 || it.uid() == geteuid().as_raw();
        Ok(Speaker { identity, limited_to: (!own).then_some(it.uid()) })
    }

    /// Checks that an answer was sent by `speaker`, which was identified before.
    pub(super) fn confirm(
        &self,
        speaker: Speaker,
        sender: Option<UnixCredentials>,
    ) -> Result<(), SocketError> {
        if sender.map(|it| it.pid()) != Some(speaker.identity.pid) {
            return Err(self.stranger(sender).into());
        }
        match Identity::of(&self.host, speaker.identity.pid) {
            Some(now) if now == speaker.identity => Ok(()),
            Some(_) | None => Err(SocketError::Closed),
        }
    }

    /// Returns the machine.
    pub(super) const fn host(&self) -> &Host {
        &self.host
    }

    /// Returns whether `pid`, which holds the socket, may be the supervisor.
    pub(super) fn may_hold(&self, pid: i32, uid: u32) -> bool {
        self.may_speak(uid) && SHARED.iter().all(|kind| shares(&self.host, pid, kind))
    }

    /// Returns whether `pid`, which the caller holds, is a process of the container that `speaker`
    /// runs: a child of its supervisor, as every init is.
    pub(super) fn has_child(&self, speaker: Speaker, pid: i32) -> bool {
        let stat = Stat::read(&self.host, pid);
        let child = stat.is_some_and(|it| it.parent == speaker.identity.pid);
        let owned = |owner| is_owned(&self.host, pid, owner).unwrap_or(false);
        child && speaker.limited_to.is_none_or(owned)
    }

    /// Returns whether `speaker` is trusted about the control group `path`.
    pub(super) fn may_name_group(&self, speaker: Speaker, path: &str) -> bool {
        let Some(owner) = speaker.limited_to else { return true };
        let Ok(hierarchies) = Hierarchies::discover(&self.host) else { return false };
        let dirs = Cgroup::open(&hierarchies, &path.into()).dirs();
        let owned = |dir: Option<&Path>| {
            dir.and_then(|it| fs::metadata(it).ok()).is_some_and(|it| it.uid() == owner)
        };
        !dirs.is_empty() && dirs.iter().all(|it| owned(Some(it)) || owned(it.parent()))
    }

    pub(super) fn stranger(&self, who: Option<UnixCredentials>) -> Stranger {
        Stranger {
            of: self.of.clone(),
            pid: who.map(|it| it.pid()).filter(|it| *it > 0),
            uid: who.map(|it| it.uid()),
        }
    }

    fn may_speak(&self, uid: u32) -> bool {
        uid == 0 || uid == geteuid().as_raw() || self.owner == Some(uid)
    }
}

impl Speaker {
    /// Returns the process.
    pub(super) const fn identity(self) -> Identity {
        self.identity
    }

    /// Returns whether the speaker is trusted only about a user's own processes.
    pub(super) const fn is_limited(self) -> bool {
        self.limited_to.is_some()
    }
}

/// Returns whether a process is in this process's namespace of a `kind`.
fn shares(host: &Host, pid: i32, kind: &str) -> bool {
    let identity = |path: PathBuf| fs::metadata(path).map(|it| (it.dev(), it.ino()));
    match identity(host.of_process(pid, "ns").join(kind)) {
        Ok(theirs) => identity(host.proc().join("self/ns").join(kind)).ok() == Some(theirs),
        // We may not read it, as an ordinary user may not for root's processes. Everybody may read
        // how many pids it has; in a user namespace of its own it would hardly be root for us.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => has_one_pid(host, pid),
        Err(_) => false,
    }
}

fn has_one_pid(host: &Host, pid: i32) -> bool {
    let status = fs::read_to_string(host.of_process(pid, "status")).unwrap_or_default();
    let pids = status.lines().find_map(|it| it.strip_prefix("NSpid:"));
    pids.is_some_and(|it| it.split_ascii_whitespace().count() == 1)
}

/// Returns whether the process is `owner`'s: it runs as that user, or in a user namespace that the
/// user created.
fn is_owned(host: &Host, pid: i32, owner: u32) -> io::Result<bool> {
    let identity = |it: &OwnedFd| nix::sys::stat::fstat(it).map(|it| (it.st_dev, it.st_ino));
    let ours: OwnedFd = File::open(host.proc().join("self/ns/user"))?.into();
    let mut theirs: OwnedFd = File::open(host.of_process(pid, "ns/user"))?.into();
    if identity(&theirs)? == identity(&ours)? {
        let status = fs::read_to_string(host.of_process(pid, "status"))?;
        let uids = status.lines().find_map(|it| it.strip_prefix("Uid:")).unwrap_or_default();
        let mut uids = uids.split_ascii_whitespace().map(str::parse);
        return Ok(uids.next() == Some(Ok(owner)) && uids.all(|it| it == Ok(owner)));
    }
    loop {
        let parent = sys::namespace_parent(theirs.as_fd())?;
        if identity(&parent)? == identity(&ours)? {
            return Ok(sys::namespace_owner(theirs.as_fd())? == owner);
        }
        theirs = parent;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge() -> Judge {
        Judge { host: Host::this(), of: "web".to_owned(), supervisor: None, owner: Some(4711) }
    }

    #[test]
    fn this_process_is_believed_and_no_other_user() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        assert!(judge().admit(&ours).is_ok());
        let me = UnixCredentials::new();
        let speaker = judge().identify(Some(me)).unwrap();
        assert!(!speaker.is_limited());
        assert!(judge().confirm(speaker, Some(me)).is_ok());
        assert!(judge().confirm(speaker, None).is_err());
        for (uid, believed) in [(0, true), (4711, true), (65534, false)] {
            assert_eq!(judge().may_speak(uid), believed, "{uid}");
        }
    }

    #[test]
    fn a_process_other_than_the_recorded_supervisor_is_a_stranger() {
        let me = UnixCredentials::new();
        let identity = Identity::of(&Host::this(), me.pid()).unwrap();
        let other = Identity { pid: 1, start_time: identity.start_time };
        let recorded = Judge { supervisor: Some(other), ..judge() };
        let expected = recorded.expected().unwrap();
        let error = recorded.confirm(expected, Some(me)).unwrap_err();
        assert!(matches!(error, SocketError::Stranger(_)), "{error}");
        // A process with our pid and another start time is not the one that answered.
        let later = Identity { start_time: identity.start_time + 1, ..identity };
        let speaker = Speaker { identity: later, limited_to: None };
        assert!(matches!(judge().confirm(speaker, Some(me)), Err(SocketError::Closed)));
    }

    #[test]
    fn a_process_belongs_to_its_user() {
        let me = std::process::id() as i32;
        let host = Host::this();
        assert!(is_owned(&host, me, geteuid().as_raw()).unwrap());
        assert!(!is_owned(&host, me, geteuid().as_raw() + 1).unwrap());
        assert!(shares(&host, me, "pid") && has_one_pid(&host, me));
    }
}

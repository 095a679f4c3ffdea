//! The part of a supervisor's record that the sampler needs, as it lies on disk.

use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::engine::command_socket::address::fnv64;
use crate::engine::exit::Exit;
use crate::engine::name::Name;
use crate::engine::process::{Identity, Stat};
use crate::engine::state::State;
use crate::engine::store;

const LONGEST: u64 = 64 * 1024;

/// One run of a container; kept after its end.
#[derive(Clone, Debug, serde::Deserialize)]
pub(super) struct Record {
    lxcpath: PathBuf,
    name: Name,
    pub(super) supervisor: Recorded,
    pub(super) init: Option<Recorded>,
    pub(super) cgroup: Option<String>,
    pub(super) state: State,
    pub(super) since_ms: u64,
    pub(super) exit: Option<Exit>,
}

/// A process of the run.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
pub(super) struct Recorded {
    pub(super) pid: i32,
    start_time: u64,
}

impl Record {
    /// Reads the record of the present or the last run.
    pub(super) fn read(lxcpath: &Path, name: &Name) -> Option<Self> {
        let hash = fnv64(lxcpath.as_os_str().as_bytes());
        let path = store::runtime_dir().join(format!("run/{hash:016x}/{name}.json"));
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let file = std::fs::File::options().read(true).custom_flags(flags).open(path).ok()?;
        let mut text = Vec::new();
        file.take(LONGEST).read_to_end(&mut text).ok()?;
        let record: Self = serde_json::from_slice(&text).ok()?;
        // The directory is a hash of the lxcpath, which two could share.
        (record.lxcpath == lxcpath && record.name == *name).then_some(record)
    }
}

impl Recorded {
    /// Tells whether it is still the same process and no zombie.
    pub(super) fn lives(self) -> bool {
        let stat = std::fs::read(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        let same = Identity { pid: self.pid, start_time: self.start_time };
        Stat::parse(&stat).is_some_and(|it| it.identity == same && it.state != 'Z')
    }
}

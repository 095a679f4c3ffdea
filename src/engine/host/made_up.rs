//! A machine for tests: files below a temporary directory, with cgroup v2 and nothing on it yet.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use super::Host;
use crate::engine::host::identity::Identity;
use crate::engine::host::lxcpath::Lxcpath;
use crate::engine::running::record::Record;
use crate::engine::terms::name::Name;
use crate::engine::terms::state::State;

/// The pids of a container's supervisor and its init there.
pub(in crate::engine) const SUPERVISOR: i32 = 77;
pub(in crate::engine) const INIT: i32 = 78;
/// When every process there began.
const START: u64 = 4711;

/// The machine, gone when this is dropped.
pub(in crate::engine) struct MadeUp {
    dir: tempfile::TempDir,
    pub(in crate::engine) host: Host,
    pub(in crate::engine) lxcpath: Lxcpath,
}

impl MadeUp {
    pub(in crate::engine) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let host = Host::below(dir.path());
        let lxcpath = Lxcpath::open(&host, &dir.path().join("lx"));
        let made = Self { dir, host, lxcpath };
        made.write("run/lxc/.keep", "");
        made.write("cgroup/cgroup.controllers", "cpu memory pids\n");
        let device = fs::metadata(made.path("cgroup")).unwrap().dev();
        let (major, minor) = (libc::major(device), libc::minor(device));
        let mount = made.path("cgroup");
        let line = format!("30 1 {major}:{minor} / {} rw - cgroup2 cgroup2 rw\n", mount.display());
        made.write("proc/self/mountinfo", &line);
        made.write("proc/self/cgroup", "0::/\n");
        made.write("proc/net/unix", "Num RefCount Protocol Flags Type St Inode Path\n");
        made.write("proc/uptime", "1000.00 900.00\n");
        made
    }

    pub(in crate::engine) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub(in crate::engine) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Makes the process exist.
    pub(in crate::engine) fn process(&self, pid: i32) {
        let stat = format!("{pid} (it) S 1 7 7 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 {START} 4096 2 0\n");
        self.write(&format!("proc/{pid}/stat"), &stat);
    }

    /// Defines the container.
    pub(in crate::engine) fn define(&self, name: &Name) {
        self.write(&format!("lx/{name}/config"), "lxc.uts.name = x\n");
    }

    /// Writes files of the container's group.
    pub(in crate::engine) fn group(&self, name: &Name, files: &[(&str, &str)]) {
        for (file, text) in files {
            self.write(&format!("cgroup/lxc.payload.{name}/{file}"), text);
        }
    }

    /// Returns the record of a run under [`SUPERVISOR`], which is not written yet.
    pub(in crate::engine) fn record(&self, name: &Name, state: State) -> Record {
        // The runtime directory is private, as the real one is.
        self.host.checked_runtime_dir().unwrap();
        let mut record = Record::begin(&self.lxcpath, name);
        record.supervisor = Identity { pid: SUPERVISOR, start_time: START };
        record.init = Some(Identity { pid: INIT, start_time: START });
        record.cgroup = Some(format!("/lxc.payload.{name}").as_str().into());
        record.state = state;
        record
    }
}

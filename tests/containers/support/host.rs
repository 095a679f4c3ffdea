//! A host with systemd as pid 1 and pure cgroup v2, and a container there whose init is systemd.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Lxcpath, can_run_containers, finish, text, told, tree, wait_until};

/// Held by the running test. They check global state of the machine, and an emulated machine is too
/// slow for two at once.
static TURN: Mutex<()> = Mutex::new(());

/// Waits for its turn on such a host. None: this is not such a host, which is reported.
pub(crate) fn host_with_systemd() -> Option<MutexGuard<'static, ()>> {
    is_a_host_with_systemd().then(|| TURN.lock().unwrap_or_else(PoisonError::into_inner))
}

fn is_a_host_with_systemd() -> bool {
    let init = fs::read_to_string("/proc/1/comm").unwrap_or_default();
    if init.trim() != "systemd" {
        println!("skipped: pid 1 is {}, not systemd", init.trim());
        return false;
    }
    if !Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        println!("skipped: /sys/fs/cgroup is not cgroup v2 alone");
        return false;
    }
    can_run_containers()
}

/// Runs a program of the host to its successful end and returns what it printed.
pub(crate) fn host(program: &str, args: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(args);
    let output = finish(command);
    assert!(output.status.success(), "{program} {args:?}: {}", told(&output));
    text(&output.stdout)
}

/// Where the images contain a root directory with systemd.
const DEBIAN: &str = "/srv/debian";

/// Who is root in a container with a map of ids.
pub(crate) const MAPPED: u32 = 100_000;

/// An overlay's upper directory, and its mount point; unmounted at the end.
pub(crate) struct Overlay(tempfile::TempDir);

impl Overlay {
    fn over(lower: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().display();
        for part in ["upper", "work", "root"] {
            fs::create_dir(dir.path().join(part)).unwrap();
        }
        // A file whose owner changes is not copied as a whole.
        let options =
            format!("lowerdir={lower},upperdir={path}/upper,workdir={path}/work,metacopy=on");
        host("mount", &["-t", "overlay", "wharf-test", "-o", &options, &format!("{path}/root")]);
        Self(dir)
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.0.path().join("root")
    }

    /// Gives every file to the owner that a container with this first id outside sees as it is now.
    fn shift(&self, first: u32) {
        let root = self.root();
        for path in tree(&root).iter().chain([&root]) {
            let is = fs::symlink_metadata(path).unwrap();
            lchown(path, Some(first + is.uid()), Some(first + is.gid())).unwrap();
            // The kernel takes away what would now be another's privilege.
            if is.mode() & 0o6000 != 0 && !is.is_symlink() {
                fs::set_permissions(path, is.permissions()).unwrap();
            }
        }
        // The container's root comes as far as to its own files.
        fs::set_permissions(self.0.path(), fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// A root with systemd that can be changed, over the image's. None: there is none, which is
/// reported.
pub(crate) fn debian() -> Option<Overlay> {
    let there = Path::new(DEBIAN).exists();
    if !there {
        println!("skipped: there is no root with systemd at {DEBIAN}");
    }
    there.then(|| Overlay::over(DEBIAN))
}

impl Drop for Overlay {
    fn drop(&mut self) {
        // A container that cannot be ended keeps it busy; the test already fails for that.
        _ = nix::mount::umount2(&self.root(), nix::mount::MntFlags::MNT_DETACH);
    }
}

/// A container whose init is systemd, which LXC's loaded profiles cripple. The fields go in this
/// order: container, root, turn.
pub(crate) struct Machine {
    pub(crate) lxcpath: Lxcpath,
    pub(crate) name: String,
    pub(crate) root: Overlay,
    _turn: MutexGuard<'static, ()>,
}

impl Machine {
    /// None: this machine cannot run the test, which is reported.
    pub(crate) fn start() -> Option<Self> {
        let machine = Self::create()?;
        machine.boot();
        Some(machine)
    }

    /// Starts it and waits for its systemd.
    pub(crate) fn boot(&self) {
        self.lxcpath.ok(&["start", &self.name]);
        self.wait_until_up();
    }

    /// Without a configuration.
    fn bare() -> Option<Self> {
        let turn = host_with_systemd()?;
        let root = debian()?;
        let lxcpath = Lxcpath::new();
        let name = lxcpath.name("box");
        Some(Self { lxcpath, name, root, _turn: turn })
    }

    /// With the configuration that LXC's own `lxc-create` gives it, and what is common to LXC's
    /// containers of every distribution.
    pub(crate) fn of_lxc() -> Option<Self> {
        let machine = Self::bare()?;
        machine.create_by_lxc(&[], "lxc.include = /usr/share/lxc/config/common.conf\n");
        Some(machine)
    }

    /// The same with a map of ids, and what undoes for it what only real root may do.
    pub(crate) fn of_lxc_with_map() -> Option<Self> {
        let machine = Self::bare()?;
        let file = machine.lxcpath.path().join("mapped.conf");
        let config = format!(
            "{}lxc.idmap = u 0 {MAPPED} 65536\nlxc.idmap = g 0 {MAPPED} 65536\n",
            fs::read_to_string("/etc/lxc/default.conf").unwrap()
        );
        fs::write(&file, config).unwrap();
        let includes = ["common", "userns"]
            .map(|it| format!("lxc.include = /usr/share/lxc/config/{it}.conf\n"))
            .concat();
        machine.create_by_lxc(&["-f", file.to_str().unwrap()], &includes);
        fs::remove_file(file).unwrap();
        machine.root.shift(MAPPED);
        Some(machine)
    }

    fn create_by_lxc(&self, arguments: &[&str], includes: &str) {
        let (path, name) = (self.lxcpath.path(), self.name.as_str());
        let create = ["-P", path.to_str().unwrap(), "-n", name, "-t", "none"];
        host("lxc-create", &[&create[..], arguments].concat());
        let file = path.join(name).join("config");
        let config = format!(
            "{}{includes}lxc.arch = amd64\nlxc.uts.name = {name}\nlxc.rootfs.path = dir:{}\n",
            fs::read_to_string(&file).unwrap(),
            self.root.root().display()
        );
        fs::write(file, config).unwrap();
        // Its root passes through here to its files.
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn create() -> Option<Self> {
        let machine = Self::bare()?;
        let config = format!(
            "lxc.uts.name = box\nlxc.rootfs.path = dir:{}\nlxc.net.0.type = empty\n\
             lxc.tty.max = 0\nlxc.pty.max = 1024\nlxc.cgroup2.pids.max = 500\n\
             lxc.mount.auto = cgroup:mixed proc:mixed sys:mixed\n\
             lxc.cap.drop = mac_admin mac_override sys_time sys_module sys_rawio\n\
             lxc.apparmor.profile = generated\nlxc.apparmor.allow_nesting = 1\n",
            machine.root.root().display()
        );
        let home = machine.lxcpath.path().join(&machine.name);
        fs::create_dir(&home).unwrap();
        fs::write(home.join("config"), config).unwrap();
        Some(machine)
    }

    pub(crate) fn wait_until_up(&self) {
        wait_until("the systemd inside is up", || {
            let output = self.attach("systemctl is-system-running");
            ["running", "degraded"].contains(&text(&output.stdout).trim())
        });
    }

    pub(crate) fn attach(&self, script: &str) -> Output {
        self.lxcpath.wharf(&["attach", &self.name, "--", "/bin/sh", "-c", script])
    }

    pub(crate) fn init(&self) -> String {
        self.lxcpath.ok(&["info", "-p", "-H", &self.name])
    }
}

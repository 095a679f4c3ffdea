//! What this machine may lack for containers, in words: what is lost without it, and how to get it on
//! Debian. Plain data: `checkconfig` tries each of them, and whoever meets a lack says it so.

/// A feature of the kernel or an installed program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    pub name: &'static str,
    /// Says that it is missing, as a part of a sentence.
    pub lack: &'static str,
    /// What does not work without it.
    pub loss: &'static str,
    pub remedy: &'static str,
}

impl Feature {
    /// Says why something is refused for the lack of it, and how to get it.
    pub(in crate::engine) fn refusal(&self) -> String {
        format!("{}; {}", self.lack, self.remedy)
    }
}

const fn feature(
    name: &'static str,
    lack: &'static str,
    loss: &'static str,
    remedy: &'static str,
) -> Feature {
    Feature { name, lack, loss, remedy }
}

const OTHER_KERNEL: &str = "another kernel has it, as Debian's linux-image-amd64";
const NOT_CONFINED: &str = "run wharf outside of what confines it: a container, a unit's settings";

pub(in crate::engine) const CRIU: Feature = feature(
    "CRIU",
    "criu is not installed",
    "no checkpoint, no restore",
    "it saves and restores the processes: Debian 12 has it as the package criu (`apt install criu`)",
);

/// For what all containers need, and for each kind of namespaces.
pub(in crate::engine) const MOUNTS: Feature = feature(
    "mount namespaces",
    "this process cannot make mount namespaces",
    "no container starts",
    NOT_CONFINED,
);
pub(in crate::engine) const PROCESSES: Feature = feature(
    "pid namespaces",
    "this process cannot make pid namespaces",
    "no container starts, except with lxc.namespace.keep = pid",
    NOT_CONFINED,
);
pub(in crate::engine) const HOST_NAMES: Feature = feature(
    "uts namespaces",
    "this process cannot make uts namespaces",
    "no container starts, except with lxc.namespace.keep = uts",
    NOT_CONFINED,
);
pub(in crate::engine) const QUEUES: Feature = feature(
    "ipc namespaces",
    "this process cannot make ipc namespaces",
    "no container starts, except with lxc.namespace.keep = ipc",
    NOT_CONFINED,
);
pub(in crate::engine) const NETWORKS: Feature = feature(
    "network namespaces",
    "this process cannot make network namespaces",
    "no container starts, except with lxc.net.0.type = none",
    NOT_CONFINED,
);
pub(in crate::engine) const GROUP_VIEWS: Feature = feature(
    "cgroup namespaces",
    "this process cannot make cgroup namespaces",
    "containers see their place among the host's cgroups",
    OTHER_KERNEL,
);
pub(in crate::engine) const USERS: Feature = feature(
    "user namespaces",
    "this kernel has no user namespaces",
    "no lxc.idmap, and no containers without root",
    "`sysctl -w user.max_user_namespaces=15000`, or another kernel: with CONFIG_USER_NS",
);
pub(in crate::engine) const CLOCKS: Feature = feature(
    "time namespaces",
    "this kernel has no time namespaces",
    "no lxc.time.offset.*",
    "Linux 5.6 or later has them",
);
pub(in crate::engine) const PRIVILEGES: Feature = feature(
    "root's capabilities",
    "root lacks capabilities here",
    "no container starts",
    "remove CapabilityBoundingSet= from the unit, or run wharf outside of the container that removed them",
);

/// For containers of ordinary users.
pub(in crate::engine) const USERS_FOR_ALL: Feature = feature(
    "users without root",
    "this host does not let ordinary users make user namespaces",
    "no containers without root",
    "as root: sysctl -w kernel.unprivileged_userns_clone=1 (or \
     kernel.apparmor_restrict_unprivileged_userns=0, or user.max_user_namespaces=15000)",
);
pub(in crate::engine) const MAP_USERS: Feature = feature(
    "newuidmap",
    "newuidmap is not installed, without which only root maps users",
    "no containers without root",
    "install the package uidmap",
);
pub(in crate::engine) const MAP_GROUPS: Feature = feature(
    "newgidmap",
    "newgidmap is not installed, without which only root maps users",
    "no containers without root",
    "install the package uidmap",
);
pub(in crate::engine) const OWN_IDS: Feature = feature(
    "ids for this user",
    "this user has no ids for containers in /etc/subuid and /etc/subgid",
    "no containers without root",
    "as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER (ids that no \
     other user has there)",
);

pub(in crate::engine) const USER_NIC: Feature = feature(
    "lxc-user-nic",
    "an ordinary user's veth needs lxc-user-nic, which is not installed",
    "no lxc.net.N.type = veth for ordinary users",
    "install the package lxc",
);

/// For files.
pub(in crate::engine) const DETACHED_MOUNTS: Feature = feature(
    "mount API",
    "this kernel has no mount_setattr",
    "no container starts",
    "Linux 5.12 or later has it",
);
pub(in crate::engine) const SAFE_PATHS: Feature = feature(
    "openat2",
    "this kernel has no openat2",
    "no image is unpacked (create --from)",
    "Linux 5.6 or later has it",
);
pub(in crate::engine) const MAPPED_TMPFS: Feature = feature(
    "idmapped tmpfs",
    "this kernel cannot show the files of a tmpfs as another user's",
    "no idmap=container for mounts of tmpfs",
    "Linux 6.3 or later has it",
);
pub(in crate::engine) const MAPPED_FILES: Feature = feature(
    "idmapped roots",
    "this kernel cannot show the files of its file system as another user's",
    "no lxc.rootfs.options = idmap=container for roots there",
    "remove idmap= from its options and give the files to the container's users, or keep them on \
     ext4, xfs or btrfs",
);
pub(in crate::engine) const OVERLAY: Feature = feature(
    "overlay",
    "this kernel has no file system type `overlay`",
    "no overlay roots, and so no create --snapshot",
    "`modprobe overlay` may load it",
);
pub(in crate::engine) const LOOP: Feature = feature(
    "loop devices",
    "this kernel has no loop devices",
    "no roots in image files",
    "`modprobe loop` may load them",
);
pub(in crate::engine) const EXT4: Feature = feature(
    "ext4",
    "this kernel has no file system type `ext4`",
    "no roots on disks and images with ext2 to ext4",
    "`modprobe ext4` may load it",
);
pub(in crate::engine) const XFS: Feature = feature(
    "xfs",
    "this kernel has no file system type `xfs`",
    "no roots on disks and images with xfs",
    "`modprobe xfs` may load it",
);
pub(in crate::engine) const BTRFS: Feature = feature(
    "btrfs",
    "this kernel has no file system type `btrfs`",
    "no roots on disks and images with btrfs",
    "`modprobe btrfs` may load it",
);
pub(in crate::engine) const SQUASHFS: Feature = feature(
    "squashfs",
    "this kernel has no file system type `squashfs`",
    "no roots in squashfs images",
    "`modprobe squashfs` may load it",
);
pub(in crate::engine) const EROFS: Feature = feature(
    "erofs",
    "this kernel has no file system type `erofs`",
    "no roots in erofs images",
    "`modprobe erofs` may load it",
);

/// For networks.
pub(in crate::engine) const VETH: Feature = feature(
    "veth",
    "this kernel does not support veth",
    "no lxc.net.N.type = veth, and so no bridges for containers",
    "`modprobe veth` may load it",
);
pub(in crate::engine) const BRIDGE: Feature = feature(
    "bridge",
    "this kernel does not support bridge",
    "no bridge such as lxcbr0 for lxc.net.N.link",
    "`modprobe bridge` may load it",
);
pub(in crate::engine) const MACVLAN: Feature = feature(
    "macvlan",
    "this kernel does not support macvlan",
    "no lxc.net.N.type = macvlan",
    "`modprobe macvlan` may load it",
);
pub(in crate::engine) const IPVLAN: Feature = feature(
    "ipvlan",
    "this kernel does not support ipvlan",
    "no lxc.net.N.type = ipvlan",
    "`modprobe ipvlan` may load it",
);
pub(in crate::engine) const VLAN: Feature = feature(
    "vlan",
    "this kernel does not support vlan",
    "no lxc.net.N.type = vlan",
    "`modprobe 8021q` may load it",
);

/// Returns the feature that a type of interfaces is, if this machine may lack it.
pub(in crate::engine) fn of_interface(kind: &str) -> Option<Feature> {
    [VETH, BRIDGE, MACVLAN, IPVLAN, VLAN].into_iter().find(|it| it.name == kind)
}

/// Returns the feature that a type of file system is, if it is one that is tried.
pub(in crate::engine) fn of_file_system(kind: &str) -> Option<Feature> {
    [OVERLAY, EXT4, XFS, BTRFS, SQUASHFS, EROFS].into_iter().find(|it| it.name == kind)
}

/// For confinement.
pub(in crate::engine) const FILTERS: Feature = feature(
    "seccomp",
    "this kernel has no filters of system calls",
    "no lxc.seccomp.profile, and so not what `create` writes",
    "another kernel has them: with CONFIG_SECCOMP_FILTER",
);
pub(in crate::engine) const NOTIFYING_FILTERS: Feature = feature(
    "seccomp notify",
    "this kernel has no filters that ask another process, or one such filter is in force already",
    "no lxc.seccomp.notify.proxy",
    "Linux 5.0 or later has them",
);
pub(in crate::engine) const APPARMOR: Feature = feature(
    "AppArmor",
    "this kernel does not use AppArmor",
    "lxc.apparmor.* has no effect",
    "install the package apparmor, and start the kernel without apparmor=0",
);
pub(in crate::engine) const PROFILE_LOADER: Feature = feature(
    "AppArmor profiles",
    "it requires apparmor_parser, which is not installed",
    "no lxc.apparmor.profile = generated, as in Debian's default configuration",
    "install the package apparmor",
);
pub(in crate::engine) const SELINUX: Feature = feature(
    "SELinux",
    "this kernel does not use SELinux",
    "lxc.selinux.* has no effect",
    "install the package selinux-basics, and run selinux-activate",
);
pub(in crate::engine) const KEYRINGS: Feature = feature(
    "keyrings",
    "this kernel has no keyrings",
    "containers get none of their own, and have none of the host's to be kept from",
    "another kernel has them: with CONFIG_KEYS",
);
pub(in crate::engine) const CORES: Feature = feature(
    "core scheduling",
    "this kernel cannot keep other processes off a core",
    "no lxc.sched.core",
    "Linux 5.14 or later has it, with CONFIG_SCHED_CORE",
);

/// For processes.
pub(in crate::engine) const PIDFDS: Feature = feature(
    "pidfd",
    "this kernel has no pidfd",
    "no container starts",
    "Linux 5.3 or later has it",
);
pub(in crate::engine) const OLD_PROGRAMS: Feature = feature(
    "32-bit programs",
    "this kernel runs no 32-bit programs",
    "no containers with a root for lxc.arch = i686",
    "start the kernel with ia32_emulation=1, or another one: with CONFIG_IA32_EMULATION",
);

/// For groups.
pub(in crate::engine) const GROUPS: Feature = feature(
    "cgroups",
    "this process cannot make cgroups",
    "no limits, no figures, no freeze",
    "root: mount cgroup v2 at /sys/fs/cgroup; others need systemd with cgroup v2 alone, and a login \
     session (packages libpam-systemd and dbus-user-session)",
);
pub(in crate::engine) const CPU: Feature = feature(
    "cgroup cpu",
    "there is no cpu controller here",
    "no CPU weights and quotas",
    DELEGATED,
);
pub(in crate::engine) const CPUSET: Feature = feature(
    "cgroup cpuset",
    "there is no cpuset controller here",
    "containers cannot be bound to processors",
    DELEGATED,
);
pub(in crate::engine) const MEMORY: Feature = feature(
    "cgroup memory",
    "there is no memory controller here",
    "no memory limits and no memory figures",
    "start the kernel with cgroup_enable=memory; others than root need Delegate=memory in a drop-in \
     of user@.service",
);
pub(in crate::engine) const IO: Feature =
    feature("cgroup io", "there is no io controller here", "no disk I/O limits", DELEGATED);
pub(in crate::engine) const PIDS: Feature = feature(
    "cgroup pids",
    "there is no pids controller here",
    "a fork bomb inside a container can take down the host",
    DELEGATED,
);
const DELEGATED: &str = "start the kernel without cgroup_disable=; others than root need `Delegate=cpu \
     cpuset io memory pids` in a drop-in of user@.service (`systemctl edit user@.service`)";
pub(in crate::engine) const DEVICES: Feature = feature(
    "device rules",
    "there is neither the devices controller nor BPF for it here",
    "no lxc.cgroup.devices.* and lxc.cgroup2.devices.*",
    "another kernel has them: with CONFIG_CGROUP_BPF",
);
pub(in crate::engine) const FREEZER: Feature = feature(
    "freezer",
    "this host has no freezer: neither the freezer of cgroup v1 nor cgroup v2",
    "no freeze",
    "mount cgroup v2, or v1 with the freezer",
);
pub(in crate::engine) const KILL: Feature = feature(
    "cgroup.kill",
    "this kernel cannot kill a cgroup at once",
    "processes are killed one by one",
    "Linux 5.14 or later has it, with cgroup v2",
);
pub(in crate::engine) const BORN_IN: Feature = feature(
    "clone into a cgroup",
    "this kernel cannot create a process in a cgroup",
    "no container starts in cgroups of v2",
    "Linux 5.7 or later has it, with cgroup v2",
);
pub(in crate::engine) const PRESSURE: Feature = feature(
    "pressure (PSI)",
    "this kernel measures no pressure",
    "no pressure figures",
    "start the kernel with psi=1",
);
pub(in crate::engine) const FILE_WATCHES: Feature = feature(
    "inotify",
    "this kernel has no inotify, or this user's programs and containers have used it up",
    "changes are shown late, and systemd does not start in containers without users of their own",
    "`sysctl fs.inotify.max_user_instances=1024` allows more, and a file in /etc/sysctl.d keeps that",
);

/// Programs of others.
pub(in crate::engine) const REGISTRIES: Feature = feature(
    "skopeo",
    "images of a registry are fetched by skopeo, which is not installed",
    "no create --from docker://NAME",
    "install the package skopeo, or give a file that another machine has fetched",
);
pub(in crate::engine) const FIGURES: Feature = feature(
    "lxcfs",
    "lxcfs does not run",
    "containers see the host's memory, processors and load in /proc",
    "install the package lxcfs",
);
pub(in crate::engine) const TEMPLATES: Feature = feature(
    "LXC's templates",
    "LXC's templates are not installed",
    "no create -t NAME",
    "install the package lxc-templates",
);

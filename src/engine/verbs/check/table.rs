//! The one table of what is tried on a host: a row for each feature. Tries nothing itself.

use std::io;

use super::groups::{self, GroupTrial};
use super::{files, links, processes, programs, users};
use crate::engine::Lxcpath;
use crate::engine::terms::feature::{self as words, Feature};

/// A feature, and how it is tried.
pub(super) struct Row {
    pub(super) feature: Feature,
    pub(super) need: NeededBy,
    /// What is tried, for the report.
    pub(super) what: &'static str,
    pub(super) trial: Attempt,
}

/// Whose containers do not start without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NeededBy {
    All,
    Root,
    Others,
    Nobody,
}

impl NeededBy {
    pub(super) const fn is_required(self, root: bool) -> bool {
        match self {
            Self::All => true,
            Self::Root => root,
            Self::Others => !root,
            Self::Nobody => false,
        }
    }
}

/// How a feature is tried, always by a process of its own.
pub(super) enum Attempt {
    /// By root, or by an ordinary user as the root of a user namespace.
    AsRoot(fn(&Lxcpath) -> io::Result<()>),
    /// By the host's root alone, whom it takes.
    OfRoot(fn(&Lxcpath) -> io::Result<()>),
    /// By whoever asks.
    AsIs(fn(&Lxcpath) -> io::Result<()>),
    /// By an ordinary user alone; root has no use for it.
    OfOthers(fn(&Lxcpath) -> io::Result<()>),
    /// In a cgroup that is made for it.
    InGroup(GroupTrial),
    /// The same, by root alone.
    InGroupOfRoot(GroupTrial),
}

use Attempt::{AsIs, AsRoot, InGroup, InGroupOfRoot, OfOthers, OfRoot};
use NeededBy::{All, Nobody, Others, Root};

const fn row(feature: Feature, need: NeededBy, what: &'static str, trial: Attempt) -> Row {
    Row { feature, need, what, trial }
}

pub(super) const TABLE: &[Row] = &[
    row(words::MOUNTS, All, "make one", AsRoot(files::own_mounts)),
    row(words::PROCESSES, All, "be pid 1 in one", AsRoot(processes::be_the_first)),
    row(words::HOST_NAMES, All, "name the host in one", AsRoot(processes::name_the_host)),
    row(words::QUEUES, All, "make one", AsRoot(processes::own_queues)),
    row(words::NETWORKS, All, "bring the loopback up in one", AsRoot(links::own_network)),
    row(words::GROUP_VIEWS, Nobody, "make one", AsRoot(processes::own_group_view)),
    row(words::USERS, Others, "be root in one", AsIs(users::be_root_in_one)),
    row(words::CLOCKS, Nobody, "set the clock of one", AsRoot(processes::set_clock)),
    row(words::PRIVILEGES, Root, "have them", OfRoot(processes::have_capabilities)),
    row(words::USERS_FOR_ALL, Others, "be root in one as nobody", AsIs(users::without_root)),
    row(words::MAP_USERS, Others, "run it", AsIs(programs::newuidmap)),
    row(words::MAP_GROUPS, Others, "run it", AsIs(programs::newgidmap)),
    row(words::OWN_IDS, Others, "map them", OfOthers(users::map_own_ids)),
    row(words::USER_NIC, Nobody, "find it", AsIs(programs::lxc_user_nic)),
    row(words::DETACHED_MOUNTS, All, "change a detached tmpfs", AsRoot(files::change_mount)),
    row(words::SAFE_PATHS, Nobody, "open / by it", AsIs(files::open_safely)),
    row(words::MAPPED_TMPFS, Nobody, "map one", AsRoot(files::map_tmpfs)),
    row(words::MAPPED_FILES, Nobody, "map the containers' directory", OfRoot(files::map_files)),
    row(words::OVERLAY, Nobody, "make one", OfRoot(files::make_overlay)),
    row(words::LOOP, Nobody, "make one", OfRoot(files::make_loop)),
    row(words::EXT4, Nobody, "open its driver", OfRoot(|_| files::driver(c"ext4"))),
    row(words::XFS, Nobody, "open its driver", OfRoot(|_| files::driver(c"xfs"))),
    row(words::BTRFS, Nobody, "open its driver", OfRoot(|_| files::driver(c"btrfs"))),
    row(words::SQUASHFS, Nobody, "open its driver", OfRoot(|_| files::driver(c"squashfs"))),
    row(words::EROFS, Nobody, "open its driver", OfRoot(|_| files::driver(c"erofs"))),
    row(words::VETH, Nobody, "make a pair", OfRoot(links::veth)),
    row(words::BRIDGE, Nobody, "make one", OfRoot(links::bridge)),
    row(words::MACVLAN, Nobody, "make one", OfRoot(links::macvlan)),
    row(words::IPVLAN, Nobody, "make one", OfRoot(links::ipvlan)),
    row(words::VLAN, Nobody, "make one", OfRoot(links::vlan)),
    row(words::FILTERS, Nobody, "load a filter", AsIs(processes::load_filter)),
    row(words::NOTIFYING_FILTERS, Nobody, "load a filter", AsIs(processes::load_notifier)),
    row(words::APPARMOR, Nobody, "is enabled", AsIs(programs::apparmor)),
    row(words::PROFILE_LOADER, Nobody, "load and unload one", OfRoot(programs::load_profile)),
    row(words::SELINUX, Nobody, "is enabled", AsIs(programs::selinux)),
    row(words::KEYRINGS, Nobody, "make one", AsIs(processes::make_keyring)),
    row(words::CORES, Nobody, "have a core alone", AsIs(processes::own_core)),
    row(words::PIDFDS, All, "signal by one", AsIs(processes::signal_by_pidfd)),
    row(words::OLD_PROGRAMS, Nobody, "run one", AsIs(programs::run_32_bit)),
    row(words::GROUPS, Nobody, "make a group", InGroup(groups::places)),
    row(words::CPU, Nobody, "set a weight", InGroup(groups::cpu)),
    row(words::CPUSET, Nobody, "set processors", InGroup(groups::cpuset)),
    row(words::MEMORY, Nobody, "set a limit", InGroup(groups::memory)),
    row(words::IO, Nobody, "set a limit", InGroup(groups::io)),
    row(words::PIDS, Nobody, "set a limit", InGroup(groups::pids)),
    row(words::DEVICES, Nobody, "set rules", InGroupOfRoot(groups::devices)),
    row(words::FREEZER, Nobody, "freeze and thaw a process", InGroup(groups::freeze)),
    row(words::KILL, Nobody, "kill a process", InGroup(groups::kill)),
    row(words::BORN_IN, Nobody, "create a process in one", InGroup(groups::born)),
    row(words::PRESSURE, Nobody, "read the CPU's", AsIs(processes::read_pressure)),
    row(words::FILE_WATCHES, Nobody, "have an instance", AsIs(processes::watch_files)),
    row(words::REGISTRIES, Nobody, "run it", AsIs(programs::skopeo)),
    row(words::FIGURES, Nobody, "read its uptime", AsIs(programs::lxcfs)),
    row(words::TEMPLATES, Nobody, "find them", AsIs(programs::templates)),
];

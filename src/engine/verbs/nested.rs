//! Containers inside containers, as the host sees them: what their files and groups show. Nothing is
//! run inside, nobody there is asked, and no path leads out of the container.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use nix::dir::Dir;
use nix::fcntl::OFlag;

use crate::engine::cgroup::{Cgroup, Hierarchies};
use crate::engine::config::{self, Document};
use crate::engine::host::identity;
use crate::engine::running::command_socket::Client;
use crate::engine::running::groups::{self, Holding};
use crate::engine::terms::group_path::GroupPath;
use crate::engine::terms::groups::payload;
use crate::engine::{Engine, Host, Name, State, sys};

/// The most names that are looked at: a container decides how many there are, and its root may be one
/// that it is in itself.
const MOST: usize = 4096;
/// The most bytes of a configuration that are read.
const CONFIG_BYTES: u64 = 1 << 20;

/// A container that is defined inside another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NestedContainer {
    pub name: Name,
    /// As its group shows it.
    pub state: State,
    /// What its own configuration says; files that it includes are not read.
    pub autostart: bool,
    pub groups: Vec<String>,
    pub unprivileged: bool,
    /// Those inside it.
    pub nested: Vec<Self>,
}

/// A container as a place in which others may be.
struct Outer {
    root: File,
    /// Its group, if it runs.
    group: Option<GroupPath>,
}

impl Engine {
    /// Lists the containers that are defined inside `name`, below the path that is the lxcpath out here,
    /// `depth` levels deep. None where its root is not a directory, or may not be looked at.
    pub fn nested(&self, name: &Name, depth: usize) -> Vec<NestedContainer> {
        if depth == 0 {
            return Vec::new();
        }
        let Some(outer) = self.outer(name) else { return Vec::new() };
        let mut walk = Walk { host: self.lxcpath.host(), lxcpath: self.lxcpath(), left: MOST };
        walk.nested_in(&outer, depth)
    }

    fn outer(&self, name: &Name) -> Option<Outer> {
        let host = self.lxcpath.host();
        if let Ok(Some(client)) = Client::connect(&self.lxcpath, name) {
            let init = client.init().ok()?;
            let root = open_root(&host.of_process(init.pid, "root"))?;
            // Otherwise the number may be another process's by now.
            if identity::has_ended(init.pidfd.as_fd(), Duration::ZERO).unwrap_or(true) {
                return None;
            }
            let found = groups::find(&self.lxcpath, name, Some(&client), Holding::Processes);
            let group = found.ok().flatten().map(|it| it.path().clone());
            return Some(Outer { root, group });
        }
        let value = self.config_item(name, "lxc.rootfs.path").ok().flatten()?;
        Some(Outer { root: open_root(&config::root_directory(&value)?)?, group: None })
    }
}

fn open_root(path: &Path) -> Option<File> {
    let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
    File::options().read(true).custom_flags(flags).open(path).ok()
}

/// What is looked for below one container, and how much of it still may be.
struct Walk<'a> {
    host: &'a Host,
    lxcpath: &'a Path,
    left: usize,
}

impl Walk<'_> {
    fn nested_in(&mut self, outer: &Outer, depth: usize) -> Vec<NestedContainer> {
        let Some(depth) = depth.checked_sub(1) else { return Vec::new() };
        let names = self.names(&outer.root);
        names.into_iter().filter_map(|name| self.nested(name, outer, depth)).collect()
    }

    /// Lists the names that may be those of containers, sorted.
    fn names(&mut self, root: &File) -> Vec<Name> {
        let opened = sys::open_inside(root, self.lxcpath, OFlag::O_RDONLY | OFlag::O_DIRECTORY);
        let Ok(mut dir) = opened.and_then(Dir::from_fd) else { return Vec::new() };
        let entries: Vec<_> = dir.iter().take(self.left).filter_map(Result::ok).collect();
        self.left -= entries.len();
        let name = |it: &nix::dir::Entry| it.file_name().to_str().ok()?.parse().ok();
        let mut names: Vec<Name> = entries.iter().filter_map(name).collect();
        names.sort();
        names
    }

    fn nested(&mut self, name: Name, outer: &Outer, depth: usize) -> Option<NestedContainer> {
        let config = self.lxcpath.join(name.as_str()).join("config");
        let config = Document::parse(sys::read_inside(&outer.root, &config, CONFIG_BYTES).ok()?);
        let last = |key| config.values(key).last().unwrap_or_default().trim();
        let group = outer.group.as_ref().map(|it| it.join(&payload(&name)));
        let state = group.as_ref().map_or(State::Stopped, |it| state_of(self.host, it));
        let root = || {
            let path = config::root_directory(last("lxc.rootfs.path"))?;
            let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
            sys::open_inside(&outer.root, &path, flags).ok().map(File::from)
        };
        let group = group.filter(|_| state.is_active());
        let nested = root().map(|root| self.nested_in(&Outer { root, group }, depth));
        Some(NestedContainer {
            state,
            autostart: !matches!(last("lxc.start.auto"), "" | "0"),
            groups: groups_of(&config),
            unprivileged: config.values("lxc.idmap").next().is_some(),
            nested: nested.unwrap_or_default(),
            name,
        })
    }
}

/// An empty value takes away those before it.
fn groups_of(config: &Document) -> Vec<String> {
    let mut groups = Vec::new();
    for value in config.values("lxc.group").map(str::trim) {
        if value.is_empty() {
            groups.clear();
        } else {
            groups.push(value.to_owned());
        }
    }
    groups
}

fn state_of(host: &Host, group: &GroupPath) -> State {
    let Ok(hierarchies) = Hierarchies::discover(host) else { return State::Stopped };
    let group = Cgroup::open(&hierarchies, group);
    match (group.populated(), group.frozen()) {
        (false, _) => State::Stopped,
        (true, Some(true)) => State::Frozen,
        (true, _) => State::Running,
    }
}

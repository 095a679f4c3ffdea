//! `lxc.net.N.script.up` and `.down`, run on the host with LXC's arguments and environment.

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

use super::HostSite;
use crate::engine::entry::script::{Script, Section};
use crate::engine::terms::nic::{Nic, NicKind};
use crate::engine::terms::spec::Spec;

/// The variable that names the host's end of a pair.
const PEER: &str = "LXC_NET_PEER";

/// The scripts of one interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::engine) struct NetScript {
    up: Option<Script>,
    down: Option<Script>,
    /// The end in the container of a pair whose other end gets its name only when it is made.
    #[serde(default)]
    pair: Option<String>,
}

impl NetScript {
    /// Returns those of `nic`, if it has any; `peer` is the host's end of a pair, if that is known.
    pub(super) fn of(nic: &Nic, peer: Option<String>, spec: &Spec) -> Option<Self> {
        let script = |moment, command: &String| {
            let container = spec.name.as_str();
            let mut script = Script::new(Section::Network, moment, command, container, &spec.hooks);
            let about = [Some(nic.type_name().to_owned()), nic.link.clone(), peer.clone()];
            script.about = about.into_iter().flatten().collect();
            if !spec.hooks.by_arguments {
                script.environment.extend(described(nic, peer.clone()));
            }
            script
        };
        let up = nic.script_up.as_ref().map(|it| script("up", it));
        let down = nic.script_down.as_ref().map(|it| script("down", it));
        let is_pair = matches!(nic.kind, NicKind::Veth(_));
        let pair = (is_pair && peer.is_none()).then(|| nic.name.clone());
        (up.is_some() || down.is_some()).then_some(Self { up, down, pair })
    }

    /// Runs the first, and lets both know the host's end of a pair.
    pub(super) fn run_up(&mut self, site: &HostSite) -> io::Result<()> {
        if let (Some(pair), Some(wires)) = (self.pair.take(), &site.wires) {
            let peer = wires.host_end(&pair)?;
            for script in [&mut self.up, &mut self.down].into_iter().flatten() {
                script.about.push(peer.clone());
                let told = (!script.by_arguments).then(|| (PEER.to_owned(), peer.clone()));
                script.environment.extend(told);
            }
        }
        self.up.as_ref().map_or(Ok(()), |it| super::with_init(it, site.init).run_to_start())
    }

    pub(super) fn run_down(&self, init: Option<i32>) -> io::Result<()> {
        self.down.as_ref().map_or(Ok(()), |it| super::with_init(it, init).run())
    }
}

/// Returns the variables that describe an interface, which scripts of version 1 get.
fn described(nic: &Nic, peer: Option<String>) -> Vec<(String, String)> {
    let has_parent = matches!(nic.kind, NicKind::Veth(_) | NicKind::Macvlan(_) | NicKind::Phys);
    let parent = has_parent.then(|| nic.link.clone().unwrap_or_default());
    let all = [
        ("LXC_NET_TYPE", Some(nic.type_name().to_owned())),
        ("LXC_NET_PARENT", parent),
        (PEER, peer),
    ];
    all.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

impl fmt::Display for NetScript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.up, &self.down) {
            (Some(up), _) => up.fmt(f),
            (None, Some(down)) => write!(f, "{down} at the end"),
            (None, None) => Ok(()),
        }
    }
}

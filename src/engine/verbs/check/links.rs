//! Trials of interfaces, in a network of its own that goes with them.

use std::io;

use netlink_packet_route::link::{InfoData, InfoKind, InfoVlan, LinkAttribute, LinkInfo};
use nix::sched::{CloneFlags, unshare};

use crate::engine::Lxcpath;
use crate::engine::host::links::Netlink;
use crate::engine::sys;

/// What the interfaces are called, in a network where nothing else is.
const FIRST: &str = "first";
const SECOND: &str = "second";

pub(super) fn own_network(_: &Lxcpath) -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    Ok(sys::loopback_up()?)
}

pub(super) fn veth(lxcpath: &Lxcpath) -> io::Result<()> {
    pair(lxcpath).map(drop)
}

pub(super) fn bridge(lxcpath: &Lxcpath) -> io::Result<()> {
    own_network(lxcpath)?;
    make(&Netlink::here()?, FIRST, InfoKind::Bridge, Vec::new(), None)
}

pub(super) fn macvlan(lxcpath: &Lxcpath) -> io::Result<()> {
    upon_another(lxcpath, InfoKind::MacVlan, Vec::new())
}

pub(super) fn ipvlan(lxcpath: &Lxcpath) -> io::Result<()> {
    upon_another(lxcpath, InfoKind::IpVlan, Vec::new())
}

pub(super) fn vlan(lxcpath: &Lxcpath) -> io::Result<()> {
    let number = LinkInfo::Data(InfoData::Vlan(vec![InfoVlan::Id(1)]));
    upon_another(lxcpath, InfoKind::Vlan, vec![number])
}

fn pair(lxcpath: &Lxcpath) -> io::Result<Netlink> {
    own_network(lxcpath)?;
    let links = Netlink::here()?;
    make(&links, FIRST, InfoKind::Veth, Vec::new(), None)?;
    Ok(links)
}

/// Makes an interface that lies on another one.
fn upon_another(lxcpath: &Lxcpath, kind: InfoKind, more: Vec<LinkInfo>) -> io::Result<()> {
    let links = pair(lxcpath)?;
    let below = links.get(FIRST)?.index;
    make(&links, SECOND, kind, more, Some(below))
}

fn make(
    links: &Netlink,
    name: &str,
    kind: InfoKind,
    more: Vec<LinkInfo>,
    below: Option<u32>,
) -> io::Result<()> {
    let mut infos = vec![LinkInfo::Kind(kind)];
    infos.extend(more);
    let mut attributes = vec![LinkAttribute::IfName(name.to_owned())];
    attributes.extend(below.map(LinkAttribute::Link));
    attributes.push(LinkAttribute::LinkInfo(infos));
    links.create(attributes)
}

//! Interfaces of a container that lie on one of the host: macvlan, ipvlan, vlan.

use std::io;
use std::path::{Path, PathBuf};

use netlink_packet_route::link::{
    InfoData, InfoIpVlan, InfoKind, InfoMacVlan, InfoVlan, IpVlanFlags, IpVlanMode, LinkAttribute,
    LinkInfo, MacVlanMode,
};
use serde::{Deserialize, Serialize};

use super::network::{Wires, address, explain, held, unless_gone};
use crate::engine::terms::nic::{IpvlanIsolation, IpvlanMode, MacvlanMode, Nic, NicKind};

/// An interface of the container on top of its link. It is removed at the end: the kernel removes it
/// with the container's network, but some time later, and until then nothing else on the link can
/// have its hardware address, its addresses or its VLAN, not even the same container's next run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::engine) struct Stacked {
    pub(super) nic: Nic,
    /// Where the container's network is kept.
    hold: PathBuf,
    /// Its number in the container, which may rename it.
    index: Option<u32>,
}

impl Stacked {
    pub(super) fn new(nic: &Nic, hold: &Path) -> Self {
        Self { nic: nic.clone(), hold: hold.to_path_buf(), index: None }
    }

    pub(super) fn perform(&mut self, wires: &Wires) -> io::Result<()> {
        let nic = &self.nic;
        let link = wires.host.get(nic.link.as_deref().unwrap_or_default())?;
        let Some((kind, data)) = kind_and_data(&nic.kind) else { return Ok(()) };
        // Linux 6.12 refuses a name that the host has too, although the interface is not for it.
        let draft = format!("wh{}n{}", std::process::id(), nic.index);
        let mut attributes = wires.place(&draft).to_vec();
        attributes.push(LinkAttribute::Link(link.index));
        attributes.extend(nic.hwaddr.map(address));
        attributes.extend(nic.mtu.map(LinkAttribute::Mtu));
        attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind), LinkInfo::Data(data)]));
        wires.host.create(attributes).map_err(|error| explain(error, nic, []))?;
        let index = wires.inside.get(&draft)?.index;
        self.index = Some(index);
        let named = wires.inside.change(index, vec![LinkAttribute::IfName(nic.name.clone())]);
        named.map_err(|error| explain(error, nic, [(&wires.inside, &nic.name)]))
    }

    /// Removes it, if the container still has it.
    pub(super) fn undo(&self) -> io::Result<()> {
        let Some((kind, _)) = kind_and_data(&self.nic.kind) else { return Ok(()) };
        match held(&self.hold, self.index, &self.nic.name)? {
            Some((inside, link)) if link.kind == Some(kind) => {
                unless_gone(inside.delete(link.index))
            }
            Some(_) | None => Ok(()),
        }
    }
}

fn kind_and_data(kind: &NicKind) -> Option<(InfoKind, InfoData)> {
    match kind {
        NicKind::Macvlan(mode) => {
            let mode = match mode {
                MacvlanMode::Private => MacVlanMode::Private,
                MacvlanMode::Vepa => MacVlanMode::Vepa,
                MacvlanMode::Bridge => MacVlanMode::Bridge,
                MacvlanMode::Passthru => MacVlanMode::Passthrough,
            };
            Some((InfoKind::MacVlan, InfoData::MacVlan(vec![InfoMacVlan::Mode(mode)])))
        }
        NicKind::Ipvlan(mode, isolation) => {
            let mode = match mode {
                IpvlanMode::L2 => IpVlanMode::L2,
                IpvlanMode::L3 => IpVlanMode::L3,
                IpvlanMode::L3s => IpVlanMode::L3S,
            };
            let flags = match isolation {
                IpvlanIsolation::Bridge => IpVlanFlags::empty(),
                IpvlanIsolation::Private => IpVlanFlags::Private,
                IpvlanIsolation::Vepa => IpVlanFlags::Vepa,
            };
            let data = vec![InfoIpVlan::Mode(mode), InfoIpVlan::Flags(flags)];
            Some((InfoKind::IpVlan, InfoData::IpVlan(data)))
        }
        NicKind::Vlan(id) => Some((InfoKind::Vlan, InfoData::Vlan(vec![InfoVlan::Id(*id)]))),
        NicKind::Empty | NicKind::Veth(_) | NicKind::Phys => None,
    }
}

//! The network interfaces of one network namespace: looked up and changed over rtnetlink(7), one
//! request at a time. Decides nothing.

use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, IntoRawFd as _, OwnedFd};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{
    AfSpecBridge, BridgeVlanInfo, BridgeVlanInfoFlags, InfoBridge, InfoData, InfoKind,
    LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage,
};
use netlink_packet_route::route::{
    RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use nix::sched::{CloneFlags, setns};

use crate::engine::sys;
use crate::engine::terms::nic::{Family, Mac, NicAddress, Subnet};

/// The network namespace of this process.
pub(in crate::engine) const OWN_NAMESPACE: &str = "/proc/self/ns/net";

/// A socket to the kernel's routing, which stays in the namespace that it was opened in.
#[derive(Debug)]
pub(in crate::engine) struct Netlink(Socket);

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Link {
    pub(in crate::engine) index: u32,
    pub(in crate::engine) is_up: bool,
    pub(in crate::engine) kind: Option<InfoKind>,
    /// A bridge's: whether its ports are in VLANs, and in which one by default; 0 is none.
    pub(in crate::engine) filters_vlans: bool,
    pub(in crate::engine) default_vlan: u16,
    pub(in crate::engine) mac: Option<Mac>,
    pub(in crate::engine) mtu: Option<u32>,
    /// The number of the interface that it lies on, or of the other end of a pair, where that is.
    pub(in crate::engine) other: Option<u32>,
}

impl Netlink {
    /// Opens those of this process's own namespace.
    pub(in crate::engine) fn here() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        Ok(Self(socket))
    }

    /// Opens those of `namespace`. The process enters it for a moment, so it must be
    /// single-threaded.
    pub(in crate::engine) fn of(namespace: impl AsFd) -> io::Result<Self> {
        let own = File::open(OWN_NAMESPACE)?;
        setns(namespace, CloneFlags::CLONE_NEWNET)?;
        let opened = Self::here();
        setns(own, CloneFlags::CLONE_NEWNET)?;
        opened
    }

    /// Takes a socket that another process has opened in its namespace.
    pub(in crate::engine) fn passed(fd: OwnedFd) -> Self {
        Self(sys::netlink(fd))
    }

    /// Gives up the socket, for another process.
    pub(in crate::engine) fn pass(self) -> OwnedFd {
        sys::own_fd(self.0.into_raw_fd())
    }

    /// Lists the names of all interfaces.
    pub(in crate::engine) fn names(&self) -> io::Result<Vec<String>> {
        let all = self.ask(RouteNetlinkMessage::GetLink(LinkMessage::default()), NLM_F_DUMP)?;
        Ok(all.into_iter().filter_map(name).collect())
    }

    /// Looks an interface up by its name.
    pub(in crate::engine) fn find(&self, name: &str) -> io::Result<Option<Link>> {
        self.look_up(0, vec![LinkAttribute::IfName(name.to_owned())])
    }

    /// Looks an interface up by its number.
    pub(in crate::engine) fn at(&self, index: u32) -> io::Result<Option<Link>> {
        self.look_up(index, Vec::new())
    }

    /// Returns the name of the interface with this number.
    pub(in crate::engine) fn name_of(&self, index: u32) -> io::Result<Option<String>> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        let answers = self.ask(RouteNetlinkMessage::GetLink(message), 0)?;
        Ok(answers.into_iter().find_map(name))
    }

    /// Looks up an interface that must exist.
    pub(in crate::engine) fn get(&self, name: &str) -> io::Result<Link> {
        self.find(name)?.ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))
    }

    /// Makes an interface.
    pub(in crate::engine) fn create(&self, attributes: Vec<LinkAttribute>) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.attributes = attributes;
        self.make(RouteNetlinkMessage::NewLink(message))
    }

    /// Changes an interface.
    pub(in crate::engine) fn change(
        &self,
        index: u32,
        attributes: Vec<LinkAttribute>,
    ) -> io::Result<()> {
        self.set(index, attributes, LinkFlags::empty(), LinkFlags::empty())
    }

    /// Brings an interface up.
    pub(in crate::engine) fn up(&self, index: u32) -> io::Result<()> {
        self.set(index, Vec::new(), LinkFlags::Up, LinkFlags::Up)
    }

    /// Takes an interface down.
    pub(in crate::engine) fn down(&self, index: u32) -> io::Result<()> {
        self.set(index, Vec::new(), LinkFlags::empty(), LinkFlags::Up)
    }

    /// Removes an interface.
    pub(in crate::engine) fn delete(&self, index: u32) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        self.ask(RouteNetlinkMessage::DelLink(message), 0).map(drop)
    }

    /// Puts a bridge's port into a VLAN.
    pub(in crate::engine) fn join_vlan(
        &self,
        index: u32,
        id: u16,
        flags: BridgeVlanInfoFlags,
    ) -> io::Result<()> {
        self.ask(RouteNetlinkMessage::SetLink(port(index, id, flags)), 0).map(drop)
    }

    /// Takes a bridge's port out of a VLAN.
    pub(in crate::engine) fn leave_vlan(&self, index: u32, id: u16) -> io::Result<()> {
        let message = port(index, id, BridgeVlanInfoFlags::empty());
        self.ask(RouteNetlinkMessage::DelLink(message), 0).map(drop)
    }

    /// Gives an interface an address.
    pub(in crate::engine) fn add_address(&self, index: u32, it: NicAddress) -> io::Result<()> {
        let Subnet { address, prefix } = it.network;
        let mut message = AddressMessage::default();
        message.header.family = family(address);
        message.header.prefix_len = prefix;
        message.header.index = index;
        message.attributes =
            vec![AddressAttribute::Local(address), AddressAttribute::Address(address)];
        message.attributes.extend(it.broadcast.map(AddressAttribute::Broadcast));
        self.make(RouteNetlinkMessage::NewAddress(message))
    }

    /// Returns the first address of an interface that others can reach.
    pub(in crate::engine) fn address(
        &self,
        index: u32,
        family: Family,
    ) -> io::Result<Option<IpAddr>> {
        let request = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        let all = self.ask(request, NLM_F_DUMP)?;
        let here = all.into_iter().filter_map(|it| {
            let RouteNetlinkMessage::NewAddress(it) = it else { return None };
            if it.header.index == index { local_address(&it) } else { None }
        });
        Ok(here.into_iter().find(|it| family.has(*it) && !is_of_one_link(*it)))
    }

    /// Routes packets for `to`, or those that no other route matches, through an interface to
    /// `via`.
    pub(in crate::engine) fn add_route(
        &self,
        index: u32,
        to: Option<Subnet>,
        via: Option<IpAddr>,
        among: Family,
    ) -> io::Result<()> {
        self.make(RouteNetlinkMessage::NewRoute(route(index, to, via, among)))
    }

    /// Removes such a route.
    pub(in crate::engine) fn remove_route(&self, index: u32, to: Subnet) -> io::Result<()> {
        let among = if to.address.is_ipv4() { Family::V4 } else { Family::V6 };
        let message = route(index, Some(to), None, among);
        self.ask(RouteNetlinkMessage::DelRoute(message), 0).map(drop)
    }

    /// Has the host answer on an interface for an address behind another.
    pub(in crate::engine) fn answer_for(&self, index: u32, address: IpAddr) -> io::Result<()> {
        self.make(RouteNetlinkMessage::NewNeighbour(proxy(index, address)))
    }

    /// Stops answering.
    pub(in crate::engine) fn stop_answering(&self, index: u32, address: IpAddr) -> io::Result<()> {
        self.ask(RouteNetlinkMessage::DelNeighbour(proxy(index, address)), 0).map(drop)
    }

    fn look_up(&self, index: u32, attributes: Vec<LinkAttribute>) -> io::Result<Option<Link>> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.attributes = attributes;
        match self.ask(RouteNetlinkMessage::GetLink(message), 0) {
            Ok(answers) => Ok(answers.into_iter().find_map(link)),
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn set(
        &self,
        index: u32,
        attributes: Vec<LinkAttribute>,
        flags: LinkFlags,
        mask: LinkFlags,
    ) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.header.flags = flags;
        message.header.change_mask = mask;
        message.attributes = attributes;
        self.ask(RouteNetlinkMessage::SetLink(message), 0).map(drop)
    }

    fn make(&self, message: RouteNetlinkMessage) -> io::Result<()> {
        self.ask(message, NLM_F_CREATE | NLM_F_EXCL).map(drop)
    }

    /// Sends one request and returns everything that the kernel answers to it.
    fn ask(
        &self,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> io::Result<Vec<RouteNetlinkMessage>> {
        let mut packet = NetlinkMessage::from(message);
        packet.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        packet.finalize();
        let mut bytes = vec![0; packet.buffer_len()];
        packet.serialize(&mut bytes);
        self.0.send_to(&bytes, &SocketAddr::new(0, 0), 0)?;
        let mut answers = Vec::new();
        loop {
            let (datagram, _) = self.0.recv_from_full()?;
            if take(&datagram, &mut answers)? {
                return Ok(answers);
            }
        }
    }
}

/// Takes the messages of one datagram; returns whether they were the last.
fn take(datagram: &[u8], answers: &mut Vec<RouteNetlinkMessage>) -> io::Result<bool> {
    let mut rest = datagram;
    while !rest.is_empty() {
        let packet = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let length = (packet.header.length as usize).next_multiple_of(size_of::<u32>());
        rest = rest.get(length..).unwrap_or_default();
        if let NetlinkPayload::InnerMessage(it) = packet.payload {
            answers.push(it);
        } else if let NetlinkPayload::Error(it) = &packet.payload
            && it.code.is_some()
        {
            return Err(it.to_io());
        } else if matches!(packet.payload, NetlinkPayload::Error(_) | NetlinkPayload::Done(_)) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn name(message: RouteNetlinkMessage) -> Option<String> {
    let RouteNetlinkMessage::NewLink(message) = message else { return None };
    message
        .attributes
        .into_iter()
        .find_map(|it| if let LinkAttribute::IfName(name) = it { Some(name) } else { None })
}

fn link(message: RouteNetlinkMessage) -> Option<Link> {
    let RouteNetlinkMessage::NewLink(message) = message else { return None };
    let attributes = message.attributes;
    let infos = attributes.iter().find_map(|it| {
        if let LinkAttribute::LinkInfo(infos) = it { Some(infos.as_slice()) } else { None }
    });
    let infos = infos.unwrap_or_default();
    let kind = infos
        .iter()
        .find_map(|it| if let LinkInfo::Kind(kind) = it { Some(kind.clone()) } else { None });
    let bridge = infos.iter().find_map(|it| {
        if let LinkInfo::Data(InfoData::Bridge(it)) = it { Some(it.clone()) } else { None }
    });
    let mac = attributes.iter().find_map(|it| {
        let LinkAttribute::Address(bytes) = it else { return None };
        bytes.as_slice().try_into().ok().map(Mac)
    });
    let mtu = attributes
        .iter()
        .find_map(|it| if let LinkAttribute::Mtu(mtu) = it { Some(*mtu) } else { None });
    let bridge = bridge.unwrap_or_default();
    let filters_vlans = bridge.iter().any(|it| matches!(it, InfoBridge::VlanFiltering(true)));
    let default_vlan = bridge
        .iter()
        .find_map(|it| if let InfoBridge::VlanDefaultPvid(id) = it { Some(*id) } else { None });
    let default_vlan = default_vlan.unwrap_or_default();
    let other = attributes
        .iter()
        .find_map(|it| if let LinkAttribute::Link(index) = it { Some(*index) } else { None });
    let index = message.header.index;
    let is_up = message.header.flags.contains(LinkFlags::Up);
    Some(Link { index, is_up, kind, filters_vlans, default_vlan, mac, mtu, other })
}

fn port(index: u32, vid: u16, flags: BridgeVlanInfoFlags) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.interface_family = AddressFamily::Bridge;
    message.header.index = index;
    let vlan = AfSpecBridge::VlanInfo(BridgeVlanInfo { flags, vid });
    message.attributes = vec![LinkAttribute::AfSpecBridge(vec![vlan])];
    message
}

fn local_address(message: &AddressMessage) -> Option<IpAddr> {
    use AddressAttribute::{Address, Local};
    message
        .attributes
        .iter()
        .find_map(|it| if let Local(it) | Address(it) = it { Some(*it) } else { None })
}

fn route(index: u32, to: Option<Subnet>, via: Option<IpAddr>, among: Family) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header = RouteHeader {
        address_family: match among {
            Family::V4 => AddressFamily::Inet,
            Family::V6 => AddressFamily::Inet6,
        },
        destination_prefix_length: to.map_or(0, |it| it.prefix),
        table: RouteHeader::RT_TABLE_MAIN,
        protocol: RouteProtocol::Boot,
        scope: if via.is_some() { RouteScope::Universe } else { RouteScope::Link },
        kind: RouteType::Unicast,
        ..RouteHeader::default()
    };
    message.attributes.extend(to.map(|it| RouteAttribute::Destination(it.address.into())));
    message.attributes.extend(via.map(|it| RouteAttribute::Gateway(it.into())));
    message.attributes.push(RouteAttribute::Oif(index));
    message
}

fn proxy(index: u32, address: IpAddr) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = family(address);
    message.header.ifindex = index;
    message.header.flags = NeighbourFlags::Proxy;
    let destination = match address {
        IpAddr::V4(it) => NeighbourAddress::Inet(it),
        IpAddr::V6(it) => NeighbourAddress::Inet6(it),
    };
    message.attributes = vec![NeighbourAttribute::Destination(destination)];
    message
}

const fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

const fn is_of_one_link(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(it) => it.is_unicast_link_local(),
    }
}

//! Makes and removes the interfaces of a container, from outside: nothing of this runs in it.

use std::fs::{self, File};
use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use netlink_packet_route::link::{
    BridgeVlanInfoFlags, InfoData, InfoKind, InfoVeth, LinkAttribute, LinkInfo, LinkMessage,
};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};

use super::settings::{demand, write, write_if_there};
use super::switch;
use crate::engine::host::Host;
use crate::engine::host::links::{Link, Netlink, OWN_NAMESPACE};
use crate::engine::host::ovs;
use crate::engine::terms::feature;
use crate::engine::terms::nic::{Family, Gateway, Mac, Nic, NicKind, Subnet, Veth};

/// Both sides of a container's network.
#[derive(Debug)]
pub(in crate::engine) struct Wires {
    pub(super) host: Netlink,
    pub(super) inside: Netlink,
    /// The container's namespace.
    namespace: File,
    path: PathBuf,
}

impl Wires {
    /// Reaches into the network of the process `pid`. The caller must be single-threaded.
    pub(in crate::engine) fn to(host: &Host, pid: i32) -> io::Result<Self> {
        let path = host.of_process(pid, "ns/net");
        let namespace = File::open(&path)?;
        let inside = if geteuid().is_root() {
            Netlink::of(&namespace)?
        } else {
            super::ordinary::inside(host, pid)?
        };
        Ok(Self { host: Netlink::here()?, inside, namespace, path })
    }

    /// Returns the name of the host's end of the pair whose other end is `name` in the container.
    pub(super) fn host_end(&self, name: &str) -> io::Result<String> {
        let other = self.inside.get(name)?.other;
        let found = other.map(|it| self.host.name_of(it)).transpose()?.flatten();
        found.ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))
    }

    /// Returns the attributes that put an interface into the container under `name`.
    pub(super) fn place(&self, name: &str) -> [LinkAttribute; 2] {
        let namespace = LinkAttribute::NetNsFd(self.namespace.as_raw_fd());
        [LinkAttribute::IfName(name.to_owned()), namespace]
    }
}

/// A veth: the host's end is recognised by its name and its hardware address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::engine) struct Pair {
    pub(super) nic: Nic,
    pub(super) host: String,
    mac: Mac,
    /// CRIU makes both ends.
    #[serde(default)]
    made: bool,
}

/// How many digits LXC appends to the name of a host's end.
const NAME_DIGITS: usize = 6;

impl Pair {
    /// Takes the digits of made-up names and addresses from `random`.
    pub(super) fn new(nic: &Nic, veth: &Veth, random: &mut impl Iterator<Item = char>) -> Self {
        let mut next = || random.next().filter(char::is_ascii_hexdigit).unwrap_or('0');
        let made_up: String = (0..NAME_DIGITS).map(|_| next()).collect();
        let host = veth.pair.clone().unwrap_or_else(|| format!("veth{made_up}"));
        let mut byte = || {
            let high = next().to_digit(16).unwrap_or_default();
            (high << 4 | next().to_digit(16).unwrap_or_default()) as u8
        };
        // A bridge takes the lowest address of its ports, which must not be this one.
        let mac = Mac([0xfe, byte(), byte(), byte(), byte(), byte()]);
        Self { nic: nic.clone(), host, mac, made: false }
    }

    /// Has only the host's end connected: both are there.
    pub(super) fn made(self) -> Self {
        Self { made: true, ..self }
    }

    pub(super) fn perform(&self, wires: &Wires) -> io::Result<()> {
        let NicKind::Veth(veth) = &self.nic.kind else { return Ok(()) };
        let link = self.nic.link.as_ref().map(|it| wires.host.get(it)).transpose()?;
        self.create(wires, veth, link.as_ref())?;
        let own = wires.host.get(&self.host)?;
        if let (false, Some(bridge)) = (veth.routed, &link) {
            self.attach(wires, veth, &own, bridge)?;
        }
        wires.host.up(own.index)?;
        for route in &veth.routes {
            wires.host.add_route(own.index, Some(*route), None, family_of(route.address))?;
        }
        if veth.routed { self.route(wires, &own) } else { Ok(()) }
    }

    fn create(&self, wires: &Wires, veth: &Veth, link: Option<&Link>) -> io::Result<()> {
        if self.made {
            return wires.host.change(wires.host.get(&self.host)?.index, vec![address(self.mac)]);
        }
        let mtu = self.nic.mtu.or_else(|| link?.mtu).map(LinkAttribute::Mtu);
        let queues = [
            veth.rx_queues.map(LinkAttribute::NumRxQueues),
            veth.tx_queues.map(LinkAttribute::NumTxQueues),
        ];
        let common = || queues.iter().cloned().chain([mtu.clone()]).flatten();
        let mut inner = LinkMessage::default();
        inner.attributes = wires.place(&self.nic.name).into_iter().chain(common()).collect();
        inner.attributes.extend(self.nic.hwaddr.map(address));
        let infos = vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(inner))),
        ];
        let mut outer = vec![LinkAttribute::IfName(self.host.clone()), address(self.mac)];
        outer.extend(common());
        outer.push(LinkAttribute::LinkInfo(infos));
        let names = [(&wires.host, &self.host), (&wires.inside, &self.nic.name)];
        wires.host.create(outer).map_err(|error| explain(error, &self.nic, names))
    }

    fn attach(&self, wires: &Wires, veth: &Veth, own: &Link, bridge: &Link) -> io::Result<()> {
        // The port must not get an address by which the host can be reached.
        write_if_there(&format!("ipv6/conf/{}/disable_ipv6", self.host), "1")?;
        if let Some(switch) = self.switch(bridge) {
            return switch::add_port(switch, &self.host, veth);
        }
        wires.host.change(own.index, vec![LinkAttribute::Controller(bridge.index)])?;
        if veth.vlan.is_none() && veth.tagged.is_empty() {
            return Ok(());
        }
        if !bridge.filters_vlans {
            let name = self.nic.link.as_deref().unwrap_or_default();
            let advice = format!("`ip link set {name} type bridge vlan_filtering 1` enables it");
            return Err(io::Error::other(format!("{name} does not filter VLANs; {advice}")));
        }
        join_vlans(&wires.host, veth, own, bridge)
    }

    /// The host is the gateway, and gets a route to every address.
    fn route(&self, wires: &Wires, own: &Link) -> io::Result<()> {
        for gateway in &self.nic.gateways {
            let Some(address) = resolved(wires, &self.nic, *gateway)? else { continue };
            match family_of(address) {
                Family::V4 => write(&format!("ipv4/conf/{}/forwarding", self.host), "1")?,
                Family::V6 => {
                    demand("ipv6/conf/all/forwarding")?;
                    write(&format!("ipv6/conf/{}/forwarding", self.host), "1")?;
                    write(&format!("ipv6/conf/{}/proxy_ndp", self.host), "1")?;
                }
            }
            wires.host.answer_for(own.index, address)?;
        }
        for it in &self.nic.addresses {
            let to = Subnet::host(it.network.address);
            wires.host.add_route(own.index, Some(to), None, family_of(to.address))?;
        }
        Ok(())
    }

    /// Returns the bridge to which it is connected, if that is one of Open vSwitch.
    fn switch(&self, bridge: &Link) -> Option<&str> {
        let name = self.nic.link.as_deref().filter(|_| bridge.kind != Some(InfoKind::Bridge));
        name.filter(|it| ovs::has_bridge(it))
    }

    /// Removes the host's end, and the other with it. Open vSwitch keeps a port whose interface is gone.
    pub(super) fn undo(&self) -> io::Result<()> {
        let links = Netlink::here()?;
        let found = links.find(&self.host)?;
        let is_own = |it: &Link| it.kind == Some(InfoKind::Veth) && it.mac == Some(self.mac);
        if found.as_ref().is_some_and(|it| !is_own(it)) {
            return Ok(());
        }
        let bridge = self.nic.link.as_ref().map(|it| links.find(it)).transpose()?.flatten();
        let switch = bridge.as_ref().and_then(|it| self.switch(it));
        let removed = switch.map_or(Ok(()), |it| switch::remove_port(it, &self.host));
        // Also where Open vSwitch does not answer.
        found.map_or(Ok(()), |it| unless_gone(links.delete(it.index)))?;
        removed
    }
}

fn join_vlans(links: &Netlink, veth: &Veth, own: &Link, bridge: &Link) -> io::Result<()> {
    let tagged = BridgeVlanInfoFlags::empty();
    if let Some(vlan) = veth.vlan {
        let default = bridge.default_vlan;
        if default != 0 && default != vlan {
            links.leave_vlan(own.index, default)?;
        }
        if vlan != 0 {
            let untagged = BridgeVlanInfoFlags::Pvid | BridgeVlanInfoFlags::Untagged;
            links.join_vlan(own.index, vlan, untagged)?;
        }
    }
    veth.tagged.iter().try_for_each(|it| links.join_vlan(own.index, *it, tagged))
}

/// An interface of the host that is lent to the container until its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::engine) struct Loan {
    pub(super) nic: Nic,
    /// Where the container's network is kept.
    hold: PathBuf,
    /// Its hardware address and its MTU on the host.
    was: Option<(Option<Mac>, Option<u32>)>,
    /// Its number in the container, which may rename it.
    index: Option<u32>,
}

impl Loan {
    pub(super) fn new(nic: &Nic, hold: &Path) -> Self {
        Self { nic: nic.clone(), hold: hold.to_path_buf(), was: None, index: None }
    }

    pub(super) fn perform(&mut self, wires: &Wires) -> io::Result<()> {
        let link = wires.host.get(self.link())?;
        self.was = Some((link.mac, link.mtu));
        let place = wires.place(&self.nic.name).to_vec();
        let moved = wires.host.change(link.index, place);
        let names = [(&wires.inside, &self.nic.name)];
        moved.map_err(|error| explain(error, &self.nic, names))?;
        let inside = wires.inside.get(&self.nic.name)?;
        self.index = Some(inside.index);
        let changes: Vec<_> = (self.nic.mtu.map(LinkAttribute::Mtu).into_iter())
            .chain(self.nic.hwaddr.map(address))
            .collect();
        if changes.is_empty() { Ok(()) } else { wires.inside.change(inside.index, changes) }
    }

    /// Takes it back, if the container has it.
    pub(super) fn undo(&self) -> io::Result<()> {
        let Some((inside, link)) = held(&self.hold, self.index, &self.nic.name)? else {
            return Ok(());
        };
        inside.down(link.index)?;
        let own = File::open(OWN_NAMESPACE)?;
        let back = |name: &str| {
            let place = LinkAttribute::NetNsFd(own.as_raw_fd());
            inside.change(link.index, vec![LinkAttribute::IfName(name.to_owned()), place])
        };
        // Restored before the move, after which it may have another name and number.
        if let Some((mac, mtu)) = self.was {
            let changes: Vec<_> = mac
                .filter(|it| link.mac != Some(*it))
                .map(address)
                .into_iter()
                .chain(mtu.filter(|it| link.mtu != Some(*it)).map(LinkAttribute::Mtu))
                .collect();
            if !changes.is_empty() {
                inside.change(link.index, changes)?;
            }
        }
        match back(self.link()) {
            // Another interface has taken its name.
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => back("eth%d"),
            done => done,
        }
    }

    fn link(&self) -> &str {
        self.nic.link.as_deref().unwrap_or_default()
    }
}

/// Mounts the container's network on `file`, so that it outlives its processes.
pub(super) fn hold(file: &Path, wires: &Wires) -> io::Result<()> {
    File::create(file)?;
    let none: Option<&str> = None;
    Ok(mount(Some(&wires.path), file, none, MsFlags::MS_BIND, none)?)
}

/// Reaches into the network that is kept at `file`, for the interface with this number, or this name
/// while its number is not known. None: it is not there, no network was kept, or the machine has
/// restarted since.
pub(super) fn held(
    file: &Path,
    index: Option<u32>,
    name: &str,
) -> io::Result<Option<(Netlink, Link)>> {
    let Ok(inside) = File::open(file).and_then(|it| Netlink::of(&it)) else { return Ok(None) };
    let found = index.map_or_else(|| inside.find(name), |it| inside.at(it))?;
    Ok(found.map(|it| (inside, it)))
}

/// Stops keeping the network.
pub(super) fn release(file: &Path) -> io::Result<()> {
    // This fails if it was not mounted yet.
    _ = umount2(file, MntFlags::MNT_DETACH);
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Gives an interface in the container its addresses, brings it up, and sets the default routes.
pub(super) fn configure(wires: &Wires, nic: &Nic) -> io::Result<()> {
    let links = &wires.inside;
    let index = links.get(&nic.name)?.index;
    for address in &nic.addresses {
        links.add_address(index, *address)?;
    }
    if !nic.up {
        return Ok(());
    }
    links.up(index)?;
    for gateway in &nic.gateways {
        let family = gateway.family();
        let via = resolved(wires, nic, *gateway)?;
        let led = links.add_route(index, None, via, family);
        match (led, via) {
            (Err(_), Some(via)) => {
                // The gateway is in another network than the container, but on the same link.
                links.add_route(index, Some(Subnet::host(via)), None, family)?;
                links.add_route(index, None, Some(via), family)?;
            }
            (led, _) => led?,
        }
    }
    Ok(())
}

/// Returns the gateway's address; none: it is the interface itself.
fn resolved(wires: &Wires, nic: &Nic, gateway: Gateway) -> io::Result<Option<IpAddr>> {
    let family = match gateway {
        Gateway::Address(address) => return Ok(Some(address)),
        Gateway::Device(_) => return Ok(None),
        Gateway::Auto(family) => family,
    };
    let name = nic.link.as_deref().unwrap_or_default();
    let address = wires.host.address(wires.host.get(name)?.index, family)?;
    let lacks = || io::Error::other(format!("{name} has no address that could be the gateway"));
    address.ok_or_else(lacks).map(Some)
}

/// Has the host answer on `link`, which must forward, for `addresses`.
pub(super) fn answer(
    wires: &Wires,
    link: &str,
    addresses: &[IpAddr],
    by_loopback: bool,
) -> io::Result<()> {
    for address in addresses {
        match family_of(*address) {
            Family::V4 => demand(&format!("ipv4/conf/{link}/forwarding"))?,
            Family::V6 => {
                demand(&format!("ipv6/conf/{link}/proxy_ndp"))?;
                demand(&format!("ipv6/conf/{link}/forwarding"))?;
            }
        }
    }
    let index = wires.host.get(link)?.index;
    for address in addresses {
        wires.host.answer_for(index, *address)?;
        if by_loopback {
            let to = Subnet::host(*address);
            wires.host.add_route(LOOPBACK, Some(to), None, family_of(*address))?;
        }
    }
    Ok(())
}

/// Stops answering.
pub(super) fn stop_answering(
    link: &str,
    addresses: &[IpAddr],
    by_loopback: bool,
) -> io::Result<()> {
    let links = Netlink::here()?;
    let Some(link) = links.find(link)? else { return Ok(()) };
    for address in addresses {
        unless_gone(links.stop_answering(link.index, *address))?;
        if by_loopback {
            unless_gone(links.remove_route(LOOPBACK, Subnet::host(*address)))?;
        }
    }
    Ok(())
}

/// The number of the loopback in every network.
const LOOPBACK: u32 = 1;

pub(super) fn unless_gone(done: io::Result<()>) -> io::Result<()> {
    const GONE: [i32; 4] = [libc::ENODEV, libc::ESRCH, libc::ENOENT, libc::EADDRNOTAVAIL];
    match done {
        Err(error) if error.raw_os_error().is_some_and(|it| GONE.contains(&it)) => Ok(()),
        done => done,
    }
}

/// Says which name is taken, or that the kernel does not have the type.
pub(super) fn explain<'a>(
    error: io::Error,
    nic: &Nic,
    names: impl IntoIterator<Item = (&'a Netlink, &'a String)>,
) -> io::Error {
    match error.raw_os_error() {
        Some(libc::EEXIST) => {
            let taken =
                |(links, name): &(&Netlink, &String)| matches!(links.find(name), Ok(Some(_)));
            let taken = names.into_iter().find(taken);
            taken.map_or(error, |(_, name)| {
                io::Error::other(format!("an interface called {name} exists already"))
            })
        }
        Some(libc::EOPNOTSUPP) => {
            let lacking = feature::of_interface(nic.type_name());
            lacking.map_or(error, |it| io::Error::other(it.refusal()))
        }
        _ => error,
    }
}

pub(super) fn address(mac: Mac) -> LinkAttribute {
    LinkAttribute::Address(mac.0.to_vec())
}

const fn family_of(address: IpAddr) -> Family {
    if address.is_ipv4() { Family::V4 } else { Family::V6 }
}

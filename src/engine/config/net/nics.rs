//! Turns the lines of each interface into a [`Nic`]. Looks on the host only for what the lines
//! name.

use std::collections::BTreeSet;
use std::path::Path;

use netlink_packet_route::link::InfoKind;

use super::{InterfaceConfig, InterfacePart, Interfaces, destination, ipv4_address, ipv6_address};
use crate::engine::config::error::{ConfigError, Reason};
use crate::engine::host::links::{Link, Netlink};
use crate::engine::host::ovs;
use crate::engine::terms::nic::{
    Family, Gateway, IpvlanIsolation, IpvlanMode, MacvlanMode, Nic, NicAddress, NicKind, Subnet,
    Veth,
};
use crate::engine::terms::shown::shown;
use crate::engine::terms::spec::At;

/// Lists the lines that name an interface which this host does not have, or which is not a bridge.
pub(in crate::engine::config) fn missing(interfaces: &Interfaces) -> Vec<ConfigError> {
    let linked = interfaces.by_index.iter().filter_map(|(index, it)| {
        let needs = it.kind.is_some_and(|it| !["none", "empty"].contains(&it));
        it.all("link").last().filter(|_| needs).map(|link| (*index, it, link))
    });
    let linked: Vec<_> = linked.collect();
    if linked.is_empty() {
        return Vec::new();
    }
    // Without an answer the start itself reports what is wrong.
    let Ok(links) = Netlink::here() else { return Vec::new() };
    let faults = linked.into_iter().filter_map(|(index, it, link)| {
        if let Some(prefix) = wildcard(it) {
            let lacks = matching(prefix, &links.names().unwrap_or_default()).is_empty();
            let advice = advice(&link.value, false);
            return lacks.then(|| blame(index, link, Reason::NoLink(advice)));
        }
        let found = links.find(&link.value).ok()?;
        fault(it, &link.value, found.as_ref()).map(|reason| blame(index, link, reason))
    });
    faults.collect()
}

fn fault(interface: &InterfaceConfig, name: &str, found: Option<&Link>) -> Option<Reason> {
    let bridged = interface.kind == Some("veth") && !is_routed(interface);
    match found {
        None => Some(Reason::NoLink(advice(name, bridged))),
        Some(link) if bridged && link.kind != Some(InfoKind::Bridge) => {
            (!ovs::has_bridge(name)).then_some(Reason::NotBridge)
        }
        Some(_) => None,
    }
}

/// The bridge that LXC's own service makes.
const LXC_BRIDGE: &str = "lxcbr0";

fn advice(name: &str, bridged: bool) -> String {
    let name = shown(name);
    if !bridged {
        return "; `ip link` lists those of this host".to_owned();
    }
    let own = format!("`ip link add {name} type bridge` makes it");
    if name == LXC_BRIDGE && Path::new("/lib/systemd/system/lxc-net.service").exists() {
        return format!("; `systemctl start lxc-net` or {own}");
    }
    format!("; {own}")
}

/// Describes every interface that has to be made, each with its name. `host` lists those of the
/// host.
pub(in crate::engine::config) fn nics(
    interfaces: &Interfaces,
    host: impl Fn() -> Vec<String>,
) -> Result<Vec<At<Nic>>, ConfigError> {
    let mut nics = Vec::new();
    for (index, it) in &interfaces.by_index {
        let Some(kind) = it.kind.filter(|it| *it != "none") else { continue };
        let reader = Reader { index: *index, interface: it };
        let nic = reader.nic(kind)?;
        let all = match wildcard(it) {
            Some(prefix) => reader.each(&nic, &matching(prefix, &host()))?,
            None => vec![nic],
        };
        nics.extend(all.into_iter().map(|value| At { value, place: it.place.clone() }));
    }
    name_all(&mut nics);
    Ok(nics)
}

/// Returns the prefix of the names of the interfaces that `link = NAME+` lends to the container.
fn wildcard(interface: &InterfaceConfig) -> Option<&str> {
    let link = interface.all("link").last().filter(|_| interface.kind == Some("phys"))?;
    link.value.strip_suffix('+')
}

fn matching(prefix: &str, host: &[String]) -> Vec<String> {
    // Every network namespace has a loopback of its own, which stays.
    let host = host.iter().map(String::as_str).filter(|it| *it != "lo");
    host.filter(|it| it.starts_with(prefix)).map(str::to_owned).collect()
}

/// What LXC writes for the first free `ethN`.
const ANY_NAME: &str = "eth%d";

/// Gives each interface without a name the first free one. One of the host's keeps its name.
fn name_all(nics: &mut [At<Nic>]) {
    let mut nics: Vec<&mut Nic> = nics.iter_mut().map(|it| &mut it.value).collect();
    for nic in nics.iter_mut().filter(|it| it.name.is_empty() && it.kind == NicKind::Phys) {
        nic.name = nic.link.clone().unwrap_or_default();
    }
    let mut taken: BTreeSet<String> = nics.iter().map(|it| it.name.clone()).collect();
    for nic in nics.iter_mut().filter(|it| it.name.is_empty() || it.name == ANY_NAME) {
        let mut free = (0..).map(|it| format!("eth{it}")).filter(|it| !taken.contains(it));
        nic.name = free.next().unwrap_or_default();
        taken.insert(nic.name.clone());
    }
}

/// Reads one interface.
struct Reader<'a> {
    index: u32,
    interface: &'a InterfaceConfig,
}

impl Reader<'_> {
    fn nic(&self, kind: &str) -> Result<Nic, ConfigError> {
        let nic = Nic {
            index: self.index,
            kind: self.kind(kind)?,
            link: self.text("link"),
            name: self.text("name").unwrap_or_default(),
            hwaddr: self.read("hwaddr", |it| it.parse().map_err(|_no_mac| MAC))?,
            mtu: self.read("mtu", |it| it.trim().parse().map_err(|_no_number| MTU))?,
            up: self.part("flags").is_some(),
            addresses: self.addresses()?,
            gateways: self.gateways()?,
            l2proxy: self.text("l2proxy").is_some_and(|it| it == "1"),
            script_up: self.text("script.up"),
            script_down: self.text("script.down"),
        };
        self.check(&nic)?;
        Ok(nic)
    }

    /// Repeats `nic` for each of `links`.
    fn each(&self, nic: &Nic, links: &[String]) -> Result<Vec<Nic>, ConfigError> {
        if links.len() > 1 && !nic.name.is_empty() {
            let reason = Reason::Several { of: "link", found: links.join(", ") };
            return Err(self.blame("name", reason));
        }
        let of = |link: &String| Nic { link: Some(link.clone()), ..nic.clone() };
        Ok(links.iter().map(of).collect())
    }

    fn kind(&self, kind: &str) -> Result<NicKind, ConfigError> {
        Ok(match kind {
            "veth" => NicKind::Veth(self.veth()?),
            "macvlan" => NicKind::Macvlan(match self.text("macvlan.mode").as_deref() {
                Some("vepa") => MacvlanMode::Vepa,
                Some("bridge") => MacvlanMode::Bridge,
                Some("passthru") => MacvlanMode::Passthru,
                _ => MacvlanMode::Private,
            }),
            "ipvlan" => {
                let mode = match self.text("ipvlan.mode").as_deref() {
                    Some("l2") => IpvlanMode::L2,
                    Some("l3s") => IpvlanMode::L3s,
                    _ => IpvlanMode::L3,
                };
                NicKind::Ipvlan(
                    mode,
                    match self.text("ipvlan.isolation").as_deref() {
                        Some("private") => IpvlanIsolation::Private,
                        Some("vepa") => IpvlanIsolation::Vepa,
                        _ => IpvlanIsolation::Bridge,
                    },
                )
            }
            "vlan" => {
                let id = self.number("vlan.id").ok_or_else(|| self.lacks("vlan.id"))?;
                NicKind::Vlan(id)
            }
            "phys" => NicKind::Phys,
            _ => NicKind::Empty,
        })
    }

    fn veth(&self) -> Result<Veth, ConfigError> {
        let routes = ["veth.ipv4.route", "veth.ipv6.route"].into_iter();
        let routes = routes.flat_map(|it| self.interface.all(it));
        let routes: Result<Vec<Subnet>, ConfigError> = routes
            .map(|it| destination(&it.given).map_err(|reason| blame(self.index, it, reason)))
            .collect();
        let vlan = self.text("veth.vlan.id").map(|it| it.parse().unwrap_or_default());
        let tagged = self.interface.all("veth.vlan.tagged.id");
        Ok(Veth {
            pair: self.text("veth.pair"),
            routed: is_routed(self.interface),
            routes: routes?,
            vlan,
            tagged: tagged.filter_map(|it| it.value.parse().ok()).collect(),
            rx_queues: self.number("veth.n_rxqueues"),
            tx_queues: self.number("veth.n_txqueues"),
        })
    }

    fn addresses(&self) -> Result<Vec<NicAddress>, ConfigError> {
        let mut all = Vec::new();
        for (name, read) in ADDRESSES {
            for part in self.interface.all(name) {
                all.push(read(&part.given).map_err(|reason| blame(self.index, part, reason))?);
            }
        }
        Ok(all)
    }

    fn gateways(&self) -> Result<Vec<Gateway>, ConfigError> {
        let mut gateways = Vec::new();
        for (name, family) in [("ipv4.gateway", Family::V4), ("ipv6.gateway", Family::V6)] {
            let gateway = self.read(name, |it| match it {
                "auto" => Ok(Gateway::Auto(family)),
                "dev" => Ok(Gateway::Device(family)),
                address => address
                    .parse()
                    .map(Gateway::Address)
                    .map_err(|_no_address| Reason::Expected("an address, auto or dev")),
            })?;
            gateways.extend(gateway);
        }
        Ok(gateways)
    }

    /// Refuses what cannot work, as LXC does when it starts.
    fn check(&self, nic: &Nic) -> Result<(), ConfigError> {
        let needs_link = match &nic.kind {
            NicKind::Empty => false,
            NicKind::Veth(veth) => veth.vlan.is_some() || !veth.tagged.is_empty(),
            NicKind::Macvlan(_) | NicKind::Ipvlan(..) | NicKind::Vlan(_) | NicKind::Phys => true,
        };
        let auto = nic.gateways.iter().any(|it| matches!(it, Gateway::Auto(_)));
        if nic.link.is_none() && (needs_link || auto || nic.l2proxy) {
            return Err(self.lacks("link"));
        }
        for gateway in &nic.gateways {
            let (key, addresses) = match gateway.family() {
                Family::V4 => ("ipv4.gateway", "ipv4.address"),
                Family::V6 => ("ipv6.gateway", "ipv6.address"),
            };
            let lacks = |what: &str| {
                let reason = Reason::Requires(format!("lxc.net.{}.{what}", self.index));
                self.blame(key, reason)
            };
            if !nic.up {
                return Err(lacks("flags = up"));
            }
            if !nic.addresses.iter().any(|it| gateway.family().has(it.network.address)) {
                return Err(lacks(addresses));
            }
        }
        self.check_kind(nic)
    }

    fn check_kind(&self, nic: &Nic) -> Result<(), ConfigError> {
        let own = |what: &str| Reason::Requires(format!("lxc.net.{}.{what}", self.index));
        let auto = nic.gateways.iter().find(|it| matches!(it, Gateway::Auto(_)));
        if let (Some(gateway), false) =
            (auto, matches!(nic.kind, NicKind::Veth(_) | NicKind::Macvlan(_)))
        {
            let key = match gateway.family() {
                Family::V4 => "ipv4.gateway",
                Family::V6 => "ipv6.gateway",
            };
            return Err(self.blame(key, own("type = veth or macvlan")));
        }
        match &nic.kind {
            NicKind::Veth(veth) if veth.routed && veth.vlan.is_some() => {
                Err(self.blame("veth.vlan.id", own("veth.mode = bridge")))
            }
            NicKind::Veth(veth) if veth.routed && !veth.tagged.is_empty() => {
                Err(self.blame("veth.vlan.tagged.id", own("veth.mode = bridge")))
            }
            NicKind::Ipvlan(mode, _) if nic.l2proxy && *mode != IpvlanMode::L3s => {
                Err(self.blame("l2proxy", own("ipvlan.mode = l3s")))
            }
            NicKind::Empty
            | NicKind::Veth(_)
            | NicKind::Macvlan(_)
            | NicKind::Ipvlan(..)
            | NicKind::Vlan(_)
            | NicKind::Phys => Ok(()),
        }
    }

    fn part(&self, name: &str) -> Option<&InterfacePart> {
        self.interface.parts.iter().rev().find(|it| it.name == name)
    }

    fn text(&self, name: &str) -> Option<String> {
        self.part(name).map(|it| it.value.clone())
    }

    /// Reads a number that was checked when its line was read.
    fn number<N: std::str::FromStr>(&self, name: &str) -> Option<N> {
        self.part(name).and_then(|it| it.value.parse().ok())
    }

    fn read<T>(
        &self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, Reason>,
    ) -> Result<Option<T>, ConfigError> {
        let read =
            |it: &InterfacePart| parse(&it.value).map_err(|reason| blame(self.index, it, reason));
        self.part(name).map(read).transpose()
    }

    /// Blames the line of `name`, or that of the type.
    fn blame(&self, name: &str, reason: Reason) -> ConfigError {
        match self.part(name) {
            Some(part) => blame(self.index, part, reason),
            None => self.of_type(reason),
        }
    }

    fn lacks(&self, name: &str) -> ConfigError {
        self.of_type(Reason::Requires(format!("lxc.net.{}.{name}", self.index)))
    }

    fn of_type(&self, reason: Reason) -> ConfigError {
        let key = format!("lxc.net.{}.type", self.index);
        let kind = self.interface.kind.unwrap_or_default();
        ConfigError::of(&key, kind, reason, self.interface.place.as_ref())
    }
}

const MAC: Reason = Reason::Expected("a hardware address, such as 00:16:3e:xx:xx:xx");
const MTU: Reason = Reason::Expected("a number of bytes, such as 1500");

type ReadAddress = fn(&str) -> Result<NicAddress, Reason>;

const ADDRESSES: [(&str, ReadAddress); 2] =
    [("ipv4.address", ipv4_address), ("ipv6.address", ipv6_address)];

fn is_routed(interface: &InterfaceConfig) -> bool {
    interface.all("veth.mode").last().is_some_and(|it| it.value == "router")
}

fn blame(index: u32, part: &InterfacePart, reason: Reason) -> ConfigError {
    let key = format!("lxc.net.{index}.{}", part.name);
    ConfigError::of(&key, &part.given, reason, part.place.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Result<Vec<At<Nic>>, ConfigError> {
        let mut interfaces = Interfaces::default();
        for line in lines {
            let (key, value) = line.split_once('=').unwrap();
            interfaces.set(&format!("lxc.{key}"), value, None).unwrap().unwrap();
        }
        nics(&interfaces, || ["lo", "lan0", "lan1", "wan"].map(str::to_owned).into())
    }

    fn refusal(lines: &[&str]) -> String {
        read(lines).unwrap_err().to_string()
    }

    #[test]
    fn an_interface_is_what_its_lines_say_in_old_and_new_names() {
        let old = read(&[
            "network.type=veth",
            "network.flags=up",
            "network.link=br0",
            "network.ipv4=10.0.3.2/24",
            "network.ipv4.gateway=10.0.3.1",
        ]);
        let new = read(&[
            "net.0.type=veth",
            "net.0.flags=up",
            "net.0.link=br0",
            "net.0.ipv4.address=10.0.3.2/24",
            "net.0.ipv4.gateway=10.0.3.1",
        ]);
        let nics = new.unwrap();
        assert_eq!(nics, old.unwrap());
        let [At { value: nic, .. }] = nics.as_slice() else { panic!("{nics:?}") };
        assert_eq!((nic.name.as_str(), nic.link.as_deref(), nic.up), ("eth0", Some("br0"), true));
        assert_eq!(nic.gateways, [Gateway::Address("10.0.3.1".parse().unwrap())]);
    }

    #[test]
    fn names_that_are_given_are_not_given_again() {
        let lines = ["net.0.type=veth", "net.1.type=veth", "net.1.name=eth0", "net.2.type=phys"];
        let nics = read(&[&lines[..], &["net.2.link=lan", "net.3.type=empty"]].concat()).unwrap();
        let names: Vec<&str> = nics.iter().take(3).map(|it| it.value.name.as_str()).collect();
        assert_eq!(names, ["eth1", "eth0", "lan"]);
    }

    #[test]
    fn a_wildcard_lends_each_interface_whose_name_begins_so() {
        let nics = read(&["net.0.type=phys", "net.0.link=lan+", "net.0.flags=up"]).unwrap();
        let names: Vec<&str> = nics.iter().map(|it| it.value.name.as_str()).collect();
        assert_eq!(names, ["lan0", "lan1"]);
        assert!(
            nics.iter().all(|it| it.value.up && it.value.link.as_ref() == Some(&it.value.name))
        );
        let all = read(&["net.0.type=phys", "net.0.link=+"]).unwrap();
        assert_eq!(all.len(), 3, "the loopback stays");
        assert_eq!(
            refusal(&["net.0.type=phys", "net.0.link=lan+", "net.0.name=inside"]),
            "lxc.net.0.name inside: it cannot name several interfaces, and link matches lan0, lan1"
        );
        let one = read(&["net.0.type=phys", "net.0.link=wa+", "net.0.name=inside"]).unwrap();
        assert_eq!(one.first().unwrap().value.name, "inside");
    }

    #[test]
    fn what_cannot_work_is_refused_with_what_it_lacks() {
        assert_eq!(
            refusal(&["net.0.type=macvlan"]),
            "lxc.net.0.type macvlan: it requires lxc.net.0.link"
        );
        assert!(refusal(&["net.0.type=vlan", "net.0.link=a"]).contains("lxc.net.0.vlan.id"));
        let gateway = ["net.0.type=veth", "net.0.ipv4.gateway=10.0.0.1"];
        assert!(refusal(&gateway).contains("requires lxc.net.0.flags = up"));
        let gateway = [&gateway[..], &["net.0.flags=up"]].concat();
        assert!(refusal(&gateway).contains("requires lxc.net.0.ipv4.address"));
        let vlan = ["net.0.type=veth", "net.0.veth.mode=router", "net.0.veth.vlan.id=3"];
        assert!(refusal(&[&vlan[..], &["net.0.link=b"]].concat()).contains("veth.mode = bridge"));
        assert!(refusal(&["net.0.type=veth", "net.0.hwaddr=me"]).contains("a hardware address"));
        assert!(refusal(&["net.0.type=veth", "net.0.veth.ipv4.route=10.0.0.0"]).contains("/24"));
    }
}

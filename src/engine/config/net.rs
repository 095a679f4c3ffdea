//! Subnet interfaces: `lxc.net.N.*`, and the older `lxc.network.*` where each `type` opens one.

mod hwaddr;
mod nics;
mod today;
mod words;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::error::Reason;
use super::nearest::nearest;
use super::values;
use crate::engine::terms::nic::{NicAddress, Subnet};
use crate::engine::terms::spec::ConfigPlace;
pub(in crate::engine) use hwaddr::fill_lines;
pub(super) use nics::{missing, nics};
pub(super) use today::is_list;
pub(super) use words::words;

/// Every key, for suggestions.
pub(super) const NAMES: [&str; 8] = [
    "lxc.net",
    "lxc.net.0.type",
    "lxc.net.0.flags",
    "lxc.net.0.link",
    "lxc.net.0.name",
    "lxc.net.0.hwaddr",
    "lxc.network.type",
    "lxc.network.link",
];

pub(super) const TYPES: [&str; 7] = ["none", "empty", "veth", "macvlan", "ipvlan", "vlan", "phys"];

/// One part of an interface's configuration.
pub(super) struct InterfaceKey {
    pub(super) name: &'static str,
    pub(super) legacy: &'static str,
    /// The type that must have been set before, if only one has the part.
    pub(super) of: Option<&'static str>,
    list: bool,
    check: fn(&str) -> Result<String, Reason>,
    pub(super) meaning: &'static str,
}

const fn part(
    name: &'static str,
    of: Option<&'static str>,
    list: bool,
    check: fn(&str) -> Result<String, Reason>,
    meaning: &'static str,
) -> InterfaceKey {
    InterfaceKey { name, legacy: name, of, list, check, meaning }
}

const fn renamed(
    name: &'static str,
    legacy: &'static str,
    check: fn(&str) -> Result<String, Reason>,
    meaning: &'static str,
) -> InterfaceKey {
    InterfaceKey { name, legacy, of: None, list: true, check, meaning }
}

#[rustfmt::skip]
const PARTS: &[InterfaceKey] = &[
    part("type", None, false, kind, "what kind of interface it is"),
    part("flags", None, false, up, "up: it is switched on"),
    part("link", None, false, interface, "the host's interface or bridge that it uses"),
    part("name", None, false, interface, "its name in the container"),
    part("hwaddr", None, false, hardware, "its hardware address; each x is random"),
    part("mtu", None, false, text, "the largest packet, in bytes"),
    renamed("ipv4.address", "ipv4", ipv4, "an IPv4 address"),
    part("ipv4.gateway", None, false, gateway4, "the IPv4 gateway; auto: the link's address"),
    renamed("ipv6.address", "ipv6", ipv6, "an IPv6 address"),
    part("ipv6.gateway", None, false, gateway6, "the IPv6 gateway; auto: the link's address"),
    part("script.up", None, false, text, "a program to run when it is made"),
    part("script.down", None, false, text, "a program to run when it goes"),
    part("l2proxy", None, false, flag, "1: the host answers for its addresses"),
    part("veth.pair", Some("veth"), false, interface, "the name of its end on the host"),
    part("veth.mode", Some("veth"), false, veth_mode, "bridge, or router: the host routes to it"),
    part("veth.ipv4.route", Some("veth"), true, text, "a network that the host reaches through it"),
    part("veth.ipv6.route", Some("veth"), true, text, "a network that the host reaches through it"),
    part("veth.vlan.id", Some("veth"), false, veth_vlan, "the bridge's VLAN of its untagged packets"),
    part("veth.vlan.tagged.id", Some("veth"), true, vlan, "a VLAN of the bridge that it may tag"),
    part("veth.n_rxqueues", Some("veth"), false, positive, "how many queues receive"),
    part("veth.n_txqueues", Some("veth"), false, positive, "how many queues send"),
    part("macvlan.mode", Some("macvlan"), false, macvlan_mode, "what reaches the others on the link"),
    part("ipvlan.mode", Some("ipvlan"), false, ipvlan_mode, "on which layer it is separated"),
    part("ipvlan.isolation", Some("ipvlan"), false, ipvlan_isolation, "what reaches the others on the link"),
    part("vlan.id", Some("vlan"), false, vlan16, "its VLAN on the link"),
];

/// One interface: its type and what else is set, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct InterfaceConfig {
    pub(super) kind: Option<&'static str>,
    pub(super) place: Option<ConfigPlace>,
    parts: Vec<InterfacePart>,
}

/// One line of an interface's configuration.
#[derive(Clone, Debug)]
struct InterfacePart {
    name: &'static str,
    /// As LXC shows it.
    value: String,
    given: String,
    place: Option<ConfigPlace>,
}

/// Every interface, by its index.
#[derive(Clone, Debug, Default)]
pub(super) struct Interfaces {
    pub(super) by_index: BTreeMap<u32, InterfaceConfig>,
    /// The interface that `lxc.network.*` without an index refers to.
    current: Option<u32>,
}

impl Interfaces {
    /// Takes one line whose key starts with `lxc.net`. None: it is not a network key.
    pub(super) fn set(
        &mut self,
        key: &str,
        value: &str,
        place: Option<&ConfigPlace>,
    ) -> Option<Result<(), Reason>> {
        let (rest, legacy) = match key.strip_prefix("lxc.network") {
            Some(rest) => (rest, true),
            None => (key.strip_prefix("lxc.net")?, false),
        };
        if rest.is_empty() {
            return Some(self.clear(value));
        }
        let rest = rest.strip_prefix('.')?;
        let (first, name) = rest.split_once('.').unwrap_or((rest, ""));
        match first.parse::<u32>() {
            Ok(index) if name.is_empty() => Some(self.remove(index, value)),
            Ok(index) => Some(self.part(index, name, value, place)),
            Err(_) if legacy => Some(self.unnumbered(rest, value, place)),
            Err(_) => None,
        }
    }

    /// Returns a part's value as LXC shows it; None when there is no such key or interface.
    pub(super) fn get(&self, key: &str) -> Option<String> {
        let rest = key.strip_prefix("lxc.network").or_else(|| key.strip_prefix("lxc.net"))?;
        if rest.is_empty() {
            let kinds = self.by_index.values().map(|it| it.kind.unwrap_or("none"));
            return Some(kinds.flat_map(|it| [it, "\n"]).collect());
        }
        let (index, name) = rest.strip_prefix('.')?.split_once('.')?;
        let interface = self.by_index.get(&index.parse().ok()?)?;
        let part = find(name)?;
        if part.of.is_some() && part.of != interface.kind {
            return None;
        }
        if part.name == "type" {
            return Some(interface.kind.unwrap_or_default().to_owned());
        }
        let shown: Vec<&str> = interface.all(part.name).map(|it| it.value.as_str()).collect();
        Some(if shown.is_empty() {
            default_of(part.name, interface.kind).to_owned()
        } else {
            shown.join("\n")
        })
    }

    fn clear(&mut self, value: &str) -> Result<(), Reason> {
        if !value.is_empty() {
            return Err(Reason::OnlyEmpty);
        }
        *self = Self::default();
        Ok(())
    }

    fn remove(&mut self, index: u32, value: &str) -> Result<(), Reason> {
        if !value.is_empty() {
            return Err(Reason::OnlyEmpty);
        }
        self.by_index.remove(&index);
        Ok(())
    }

    /// `lxc.network.NAME`: a type opens a new interface, anything else refers to the last one.
    fn unnumbered(
        &mut self,
        name: &str,
        value: &str,
        place: Option<&ConfigPlace>,
    ) -> Result<(), Reason> {
        self.current = self.unnumbered_index(name, value);
        let index = self.current.ok_or(Reason::NoInterface)?;
        self.part(index, name, value, place)
    }

    fn part(
        &mut self,
        index: u32,
        name: &str,
        value: &str,
        place: Option<&ConfigPlace>,
    ) -> Result<(), Reason> {
        let Some(part) = find(name) else {
            return Err(Reason::Unknown {
                what: "network key",
                word: name.to_owned(),
                nearest: nearest(name, PARTS.iter().map(|it| it.name)),
            });
        };
        let interface = self.by_index.entry(index).or_default();
        if part.name == "type" {
            // A type line discards what was set for the interface before.
            *interface = InterfaceConfig { place: place.cloned(), ..InterfaceConfig::default() };
            interface.kind = kind_of(value)?;
            return Ok(());
        }
        if let Some(kind) = part.of
            && interface.kind != Some(kind)
        {
            return Err(Reason::NetworkType { index, kind });
        }
        let checked = if value.is_empty() { None } else { Some((part.check)(value)?) };
        if !part.list || checked.is_none() {
            interface.parts.retain(|it| it.name != part.name);
        }
        let (name, given, place) = (part.name, value.to_owned(), place.cloned());
        interface.parts.extend(checked.map(|value| InterfacePart { name, value, given, place }));
        Ok(())
    }
}

impl InterfaceConfig {
    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a InterfacePart> {
        self.parts.iter().filter(move |it| it.name == name)
    }
}

/// What LXC shows for a part that no line sets.
fn default_of(part: &str, kind: Option<&str>) -> &'static str {
    match (part, kind) {
        ("l2proxy" | "veth.vlan.id", _) => "0",
        ("veth.mode", _) => "bridge",
        ("macvlan.mode", _) => "private",
        ("name", Some("empty")) => "lo",
        _ => "",
    }
}

/// Lists the parts.
pub(super) fn parts() -> std::slice::Iter<'static, InterfaceKey> {
    PARTS.iter()
}

fn find(name: &str) -> Option<&'static InterfaceKey> {
    PARTS.iter().find(|it| it.name == name || it.legacy == name)
}

fn one_of(value: &str, words: &[&str], expected: &'static str) -> Result<String, Reason> {
    if words.contains(&value) { Ok(value.to_owned()) } else { Err(Reason::Expected(expected)) }
}

fn kind_of(value: &str) -> Result<Option<&'static str>, Reason> {
    if value.is_empty() {
        return Ok(None);
    }
    TYPES.into_iter().find(|it| *it == value).map(Some).ok_or_else(|| Reason::Unknown {
        what: "network type",
        word: value.to_owned(),
        nearest: nearest(value, TYPES),
    })
}

fn kind(value: &str) -> Result<String, Reason> {
    kind_of(value).map(|it| it.unwrap_or_default().to_owned())
}

#[expect(clippy::unnecessary_wraps, reason = "it stands in the table beside those that refuse")]
fn up(_value: &str) -> Result<String, Reason> {
    Ok("up".to_owned())
}

#[expect(clippy::unnecessary_wraps, reason = "it stands in the table beside those that refuse")]
fn hardware(value: &str) -> Result<String, Reason> {
    Ok(hwaddr::filled(value))
}

#[expect(clippy::unnecessary_wraps, reason = "it stands in the table beside those that refuse")]
fn text(value: &str) -> Result<String, Reason> {
    Ok(value.to_owned())
}

/// Interface names end at 15 bytes; LXC cuts longer ones with a log line.
fn interface(value: &str) -> Result<String, Reason> {
    const LONGEST: usize = libc::IFNAMSIZ - 1;
    if value.contains('/') || value == "." || value == ".." || value.contains(char::is_whitespace) {
        return Err(Reason::Expected("the name of a network interface"));
    }
    let end = value.floor_char_boundary(LONGEST);
    Ok(value.get(..end).unwrap_or(value).to_owned())
}

fn flag(value: &str) -> Result<String, Reason> {
    values::boolean(value).map(|it| u8::from(it).to_string())
}

fn positive(value: &str) -> Result<String, Reason> {
    match values::signed(value)? {
        number if number > 0 => Ok(number.to_string()),
        _ => Err(Reason::Expected("a number above 0")),
    }
}

fn vlan(value: &str) -> Result<String, Reason> {
    const LAST: u64 = 4094;
    match values::unsigned(value)? {
        number if number <= LAST => Ok(number.to_string()),
        _ => Err(Reason::Expected("a VLAN from 0 to 4094")),
    }
}

fn vlan16(value: &str) -> Result<String, Reason> {
    let number = u16::try_from(values::unsigned(value)?).map_err(|_overflow| Reason::TooLarge)?;
    Ok(number.to_string())
}

fn veth_vlan(value: &str) -> Result<String, Reason> {
    if value == "none" { Ok(value.to_owned()) } else { vlan(value) }
}

fn veth_mode(value: &str) -> Result<String, Reason> {
    one_of(value, &["bridge", "router"], "bridge or router")
}

fn macvlan_mode(value: &str) -> Result<String, Reason> {
    const MODES: &[&str] = &["private", "vepa", "bridge", "passthru"];
    one_of(value, MODES, "private, vepa, bridge or passthru")
}

fn ipvlan_mode(value: &str) -> Result<String, Reason> {
    one_of(value, &["l3", "l3s", "l2"], "l3, l3s or l2")
}

fn ipvlan_isolation(value: &str) -> Result<String, Reason> {
    one_of(value, &["bridge", "private", "vepa"], "bridge, private or vepa")
}

fn ipv4(value: &str) -> Result<String, Reason> {
    ipv4_address(value).map(|it| it.network.to_string())
}

fn ipv6(value: &str) -> Result<String, Reason> {
    ipv6_address(value).map(|it| it.network.to_string())
}

/// `a.b.c.d[/prefix] [broadcast]`; without a prefix the address's class gives it.
fn ipv4_address(value: &str) -> Result<NicAddress, Reason> {
    const EXPECTED: Reason = Reason::Expected("an IPv4 address, such as 10.0.3.2/24");
    const BITS: u8 = 32;
    let mut fields = value.split_ascii_whitespace();
    let (address, prefix) = split_prefix(fields.next().unwrap_or_default());
    let address: Ipv4Addr = address.parse().map_err(|_no_address| EXPECTED)?;
    let prefix = match prefix {
        Some(text) => text.parse().ok().filter(|it| *it <= BITS).ok_or(EXPECTED)?,
        None => match address.octets() {
            [0..=127, ..] => 8,
            [128..=191, ..] => 16,
            [192..=223, ..] => 24,
            _ => BITS,
        },
    };
    let broadcast = match fields.next() {
        Some(given) => Some(given.parse().map_err(|_no_address| EXPECTED)?),
        // A network of one or two addresses has no broadcast address.
        None if prefix >= BITS - 1 => None,
        None => Some(Ipv4Addr::from_bits(address.to_bits() | u32::MAX >> prefix)),
    };
    Ok(NicAddress { network: Subnet { address: address.into(), prefix }, broadcast })
}

fn ipv6_address(value: &str) -> Result<NicAddress, Reason> {
    const EXPECTED: Reason = Reason::Expected("an IPv6 address, such as 2001:db8::2/64");
    const BITS: u8 = 128;
    let (address, prefix) = split_prefix(value);
    let address: Ipv6Addr = address.parse().map_err(|_no_address| EXPECTED)?;
    let prefix: u8 = prefix.unwrap_or("64").parse().map_err(|_no_number| EXPECTED)?;
    if prefix > BITS {
        return Err(EXPECTED);
    }
    Ok(NicAddress { network: Subnet { address: address.into(), prefix }, broadcast: None })
}

/// A destination of the host's routes; LXC demands a prefix.
fn destination(value: &str) -> Result<Subnet, Reason> {
    const EXPECTED: Reason = Reason::Expected("a network, such as 10.0.4.0/24 or 2001:db8:1::/64");
    let (address, prefix) = value.split_once('/').ok_or(EXPECTED)?;
    let address: IpAddr = address.parse().map_err(|_no_address| EXPECTED)?;
    let prefix = prefix.parse().ok().filter(|it| *it <= Subnet::host(address).prefix);
    Ok(Subnet { address, prefix: prefix.ok_or(EXPECTED)? })
}

fn split_prefix(value: &str) -> (&str, Option<&str>) {
    match value.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (value, None),
    }
}

fn gateway4(value: &str) -> Result<String, Reason> {
    let known = ["auto", "dev"].contains(&value) || value.parse::<Ipv4Addr>().is_ok();
    known.then(|| value.to_owned()).ok_or(Reason::Expected("an IPv4 address, auto or dev"))
}

fn gateway6(value: &str) -> Result<String, Reason> {
    let known = ["auto", "dev"].contains(&value) || value.parse::<Ipv6Addr>().is_ok();
    known.then(|| value.to_owned()).ok_or(Reason::Expected("an IPv6 address, auto or dev"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[(&str, &str)]) -> Result<Interfaces, Reason> {
        let mut all = Interfaces::default();
        for (key, value) in lines {
            all.set(key, value, None).unwrap()?;
        }
        Ok(all)
    }

    #[test]
    fn a_type_line_starts_the_interface_anew() {
        let all = read(&[
            ("lxc.net.0.flags", "up"),
            ("lxc.net.0.type", "veth"),
            ("lxc.net.0.link", "br0"),
        ])
        .unwrap();
        assert_eq!(all.get("lxc.net.0.flags").unwrap(), "");
        assert_eq!(all.get("lxc.net.0.link").unwrap(), "br0");
        assert_eq!(all.get("lxc.net").unwrap(), "veth\n");
    }

    #[test]
    fn old_lines_speak_of_the_interface_opened_last() {
        let all = read(&[
            ("lxc.network.type", "veth"),
            ("lxc.network.ipv4", "10.2.3.5/24 10.2.3.255"),
            ("lxc.network.type", "macvlan"),
            ("lxc.network.macvlan.mode", "vepa"),
        ])
        .unwrap();
        assert_eq!(all.get("lxc.net.0.ipv4.address").unwrap(), "10.2.3.5/24");
        assert_eq!(all.get("lxc.net.1.macvlan.mode").unwrap(), "vepa");
        assert!(matches!(read(&[("lxc.network.link", "br0")]), Err(Reason::NoInterface)));
    }

    #[test]
    fn parts_of_one_type_need_that_type_first() {
        assert!(matches!(
            read(&[("lxc.net.1.veth.pair", "a")]),
            Err(Reason::NetworkType { index: 1, kind: "veth" })
        ));
    }

    #[test]
    fn an_empty_value_drops_interfaces_and_a_full_one_does_not() {
        let mut all = read(&[("lxc.net.0.type", "empty"), ("lxc.net.1.type", "none")]).unwrap();
        all.set("lxc.net.0", "", None).unwrap().unwrap();
        assert_eq!(all.by_index.len(), 1);
        assert!(all.set("lxc.net", "x", None).unwrap().is_err());
        all.set("lxc.net", "", None).unwrap().unwrap();
        assert!(all.by_index.is_empty());
    }

    #[test]
    fn addresses_get_their_prefix() {
        assert_eq!(ipv4("10.1.2.3").unwrap(), "10.1.2.3/8");
        assert_eq!(ipv4("192.168.0.2").unwrap(), "192.168.0.2/24");
        assert_eq!(ipv6("2001:db8::2").unwrap(), "2001:db8::2/64");
        assert!(ipv4("10.1.2.3/33").is_err());
        let broadcast = |it| ipv4_address(it).unwrap().broadcast.map(|it| it.to_string());
        assert_eq!(broadcast("10.1.2.3/24").unwrap(), "10.1.2.255");
        assert_eq!(broadcast("10.1.2.3/24 10.1.3.255").unwrap(), "10.1.3.255");
        assert_eq!(broadcast("10.1.2.3/31"), None);
        assert!(ipv6("10.1.2.3").is_err());
    }

    #[test]
    fn interface_names_are_cut_and_never_paths() {
        assert_eq!(interface("abcdefghijklmnopqr").unwrap(), "abcdefghijklmno");
        assert!(interface("../../x").is_err());
    }
}

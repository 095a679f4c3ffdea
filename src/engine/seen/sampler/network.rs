//! The network interfaces of a container, as `/proc/INIT/net` shows them from the outside.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use super::files::start_of;
use crate::engine::seen::sample::Interface;

/// A container can make as many interfaces and routes as it likes.
const LONGEST: u64 = 256 * 1024;
const LOOPBACK: &str = "lo";

/// Lists the interfaces in the network namespace of the process whose `/proc` directory is `init`.
pub(super) fn interfaces(init: &Path) -> Vec<Interface> {
    let mut interfaces: Vec<Interface> = read(init, "dev").lines().filter_map(interface).collect();
    for (owner, address) in addresses(init, &routes(init)) {
        if let Some(it) = interfaces.iter_mut().find(|it| it.name == owner) {
            it.addresses.push(address.to_string());
        }
    }
    interfaces
}

/// Returns how many bytes came in and went out there, over all interfaces but the loopback.
pub(super) fn traffic(init: &Path) -> Option<(u64, u64)> {
    let text = start_of(&init.join("net/dev"), LONGEST)?;
    let others = text.lines().filter_map(interface).filter(|it| it.name != LOOPBACK);
    let bytes = others.filter_map(|it| Some((it.rx_bytes?, it.tx_bytes?)));
    Some(bytes.fold((0, 0), |(received, sent), (rx, tx)| {
        (u64::saturating_add(received, rx), u64::saturating_add(sent, tx))
    }))
}

/// Returns the address under which others reach it: of the interface that leads out, if one does,
/// and IPv4 before IPv6.
pub(super) fn address(init: &Path) -> Option<IpAddr> {
    let routes = routes(init);
    let out = routes.iter().find(|it| it.mask == 0).map(|it| it.interface.as_str());
    let global = addresses(init, &routes).into_iter().filter(|(_, it)| is_global(*it));
    // False comes before true.
    let order = |(owner, it): &(String, IpAddr)| (Some(owner.as_str()) != out, it.is_ipv6());
    global.min_by_key(order).map(|(_, it)| it)
}

fn read(init: &Path, name: &str) -> String {
    start_of(&init.join("net").join(name), LONGEST).unwrap_or_default()
}

fn routes(init: &Path) -> Vec<Route> {
    read(init, "route").lines().filter_map(Route::parse).collect()
}

/// Lists the addresses there, each with its interface.
fn addresses(init: &Path, routes: &[Route]) -> Vec<(String, IpAddr)> {
    let old = local_addresses(&read(init, "fib_trie")).into_iter();
    let old = old.map(|it| (owner(it, routes).unwrap_or_default().to_owned(), it.into()));
    let new = read(init, "if_inet6");
    let new = new.lines().filter_map(inet6).map(|(owner, it)| (owner.to_owned(), it.into()));
    old.chain(new).collect()
}

/// Returns whether others than those on the same link can reach it.
const fn is_global(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(it) => !it.is_loopback() && !it.is_link_local() && !it.is_unspecified(),
        IpAddr::V6(it) => !it.is_loopback() && !it.is_unicast_link_local(),
    }
}

/// Reads a line `eth0: bytes packets …` of `dev`; the headings have no colon.
fn interface(line: &str) -> Option<Interface> {
    let (name, numbers) = line.split_once(':')?;
    let number = |index| numbers.split_ascii_whitespace().nth(index)?.parse().ok();
    Some(Interface {
        name: name.trim().to_owned(),
        addresses: Vec::new(),
        rx_bytes: number(0),
        tx_bytes: number(8),
    })
}

/// A network that is reached without a gateway, or all of them (with no mask), through one.
#[derive(Debug)]
struct Route {
    interface: String,
    network: u32,
    mask: u32,
}

impl Route {
    /// Reads a line `eth0 0003000A 00000000 … mask …` of `route`, whose numbers are in the
    /// network's byte order.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let interface = words.next()?.to_owned();
        let hex = |word: Option<&str>| u32::from_str_radix(word?, 16).ok().map(u32::from_be);
        let (network, gateway, mask) = (hex(words.next())?, hex(words.next())?, hex(words.nth(4))?);
        (gateway == 0 || mask == 0).then_some(Self { interface, network, mask })
    }
}

/// Returns the interface of one of its own addresses, which the kernel's table does not contain:
/// the one with a route to its network.
fn owner(address: Ipv4Addr, routes: &[Route]) -> Option<&str> {
    if address.is_loopback() {
        return Some(LOOPBACK);
    }
    let bits = address.to_bits();
    let leads = routes.iter().filter(|it| it.mask != 0 && bits & it.mask == it.network);
    leads.max_by_key(|it| it.mask).map(|it| it.interface.as_str())
}

/// Finds the addresses followed by a line `/32 host LOCAL`, each once.
fn local_addresses(trie: &str) -> Vec<Ipv4Addr> {
    let mut found = Vec::new();
    let mut last = None;
    for line in trie.lines() {
        if let Some((_, address)) = line.split_once("|-- ") {
            last = address.trim().parse().ok();
        } else if line.trim() == "/32 host LOCAL" {
            found.extend(last.take().filter(|it| !found.contains(it)));
        }
    }
    found
}

/// Reads a line `address index length scope flags name` of `if_inet6`.
fn inet6(line: &str) -> Option<(&str, Ipv6Addr)> {
    let mut words = line.split_ascii_whitespace();
    let address = Ipv6Addr::from_bits(u128::from_str_radix(words.next()?, 16).ok()?);
    Some((words.nth(4)?, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEV: &str = "Inter-|   Receive\n face |bytes\n    lo: 10 1 0 0 0 0 0 0 11 1 0 0 0 0 0 0\n  eth0: 1200 9 0 0 0 0 0 0 3400 8 0 0 0 0 0 0\n";
    const ROUTE: &str = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\neth0 00000000 0103000A 0003 0 0 0 00000000 0 0 0\neth0 0003000A 00000000 0001 0 0 0 00FFFFFF 0 0 0\n";
    const TRIE: &str = "Local:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.0.3.11\n        /32 host LOCAL\n     |-- 10.0.3.255\n        /32 link BROADCAST\n     |-- 127.0.0.1\n        /32 host LOCAL\nMain:\n     |-- 10.0.3.11\n        /32 host LOCAL\n";
    const INET6: &str = "00000000000000000000000000000001 01 80 10 80       lo\nfe800000000000000216e3fffe000001 02 40 20 80     eth0\n";

    /// Makes a process whose network is described by these files.
    fn init(files: &[(&str, &str)]) -> tempfile::TempDir {
        let init = tempfile::tempdir().unwrap();
        std::fs::create_dir(init.path().join("net")).unwrap();
        for (name, text) in files {
            std::fs::write(init.path().join("net").join(name), text).unwrap();
        }
        init
    }

    #[test]
    fn interfaces_are_found_with_their_addresses() {
        let init = init(&[("dev", DEV), ("route", ROUTE), ("fib_trie", TRIE), ("if_inet6", INET6)]);
        let found = interfaces(init.path());
        assert_eq!(
            found,
            [
                Interface {
                    name: "lo".into(),
                    addresses: vec!["127.0.0.1".into(), "::1".into()],
                    rx_bytes: Some(10),
                    tx_bytes: Some(11),
                },
                Interface {
                    name: "eth0".into(),
                    addresses: vec!["10.0.3.11".into(), "fe80::216:e3ff:fe00:1".into()],
                    rx_bytes: Some(1200),
                    tx_bytes: Some(3400),
                },
            ]
        );
    }

    #[test]
    fn the_address_shown_is_the_reachable_one_and_not_a_bridge_inside() {
        let route = format!("{ROUTE}br0 000011AC 00000000 0001 0 0 0 0000FFFF 0 0 0\n");
        let two = TRIE.replace("Main:", "     |-- 172.17.0.1\n        /32 host LOCAL\nMain:");
        let two = two.replace("10.0.3.11\n", "192.168.3.11\n");
        let route = route.replace("0003000A 0", "0003A8C0 0");
        let all = [("dev", DEV), ("route", route.as_str()), ("fib_trie", two.as_str())];
        assert_eq!(address(init(&all).path()), Some("192.168.3.11".parse().unwrap()));
        // An address without a network is as reachable as others.
        assert_eq!(address(init(&[("fib_trie", TRIE)]).path()), Some("10.0.3.11".parse().unwrap()));
    }

    #[test]
    fn addresses_of_one_link_alone_are_not_named() {
        assert_eq!(address(init(&[("if_inet6", INET6)]).path()), None);
        let new = format!("{INET6}20010db8000000000000000000000011 02 40 00 80     eth0\n");
        let only_new = init(&[("if_inet6", new.as_str())]);
        assert_eq!(address(only_new.path()), Some("2001:db8::11".parse().unwrap()));
        let both = init(&[("route", ROUTE), ("fib_trie", TRIE), ("if_inet6", new.as_str())]);
        assert_eq!(address(both.path()), Some("10.0.3.11".parse().unwrap()));
    }

    #[test]
    fn loopback_is_not_traffic() {
        let dev = format!("{DEV}  eth1: 30 9 0 0 0 0 0 0 4 8 0 0 0 0 0 0\n");
        assert_eq!(traffic(init(&[("dev", dev.as_str())]).path()), Some((1230, 3404)));
    }

    #[test]
    fn a_namespace_that_is_gone_has_none() {
        let gone = Path::new("/nonexistent");
        assert_eq!(interfaces(gone), []);
        assert_eq!((address(gone), traffic(gone)), (None, None));
    }
}

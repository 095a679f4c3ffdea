//! The network interfaces of a container, as `/proc/INIT/net` shows them from the outside.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

use crate::engine::seen::sample::Interface;

/// Lists the interfaces in the network namespace of the process whose `/proc` directory is `init`.
pub(super) fn interfaces(init: &Path) -> Vec<Interface> {
    let read =
        |name: &str| std::fs::read_to_string(init.join("net").join(name)).unwrap_or_default();
    let mut interfaces: Vec<Interface> = read("dev").lines().filter_map(interface).collect();
    let routes: Vec<Route> = read("route").lines().filter_map(Route::parse).collect();
    for address in local_addresses(&read("fib_trie")) {
        let owner = owner(address, &routes);
        if let Some(it) = interfaces.iter_mut().find(|it| Some(it.name.as_str()) == owner) {
            it.addresses.push(address.to_string());
        }
    }
    for line in read("if_inet6").lines() {
        let Some((name, address)) = inet6(line) else { continue };
        if let Some(it) = interfaces.iter_mut().find(|it| it.name == name) {
            it.addresses.push(address);
        }
    }
    interfaces
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

/// A network that is reached without a gateway.
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
        (gateway == 0 && mask != 0).then_some(Self { interface, network, mask })
    }
}

/// Returns the interface that an own address belongs to, which the kernel's table does not say:
/// the one that leads to its network.
fn owner(address: Ipv4Addr, routes: &[Route]) -> Option<&str> {
    if address.is_loopback() {
        return Some("lo");
    }
    let bits = address.to_bits();
    let leads = routes.iter().filter(|it| bits & it.mask == it.network);
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
fn inet6(line: &str) -> Option<(&str, String)> {
    let mut words = line.split_ascii_whitespace();
    let address = Ipv6Addr::from_bits(u128::from_str_radix(words.next()?, 16).ok()?);
    Some((words.nth(4)?, address.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_found_with_their_addresses() {
        let init = tempfile::tempdir().unwrap();
        let net = init.path().join("net");
        std::fs::create_dir(&net).unwrap();
        let write = |name: &str, text: &str| std::fs::write(net.join(name), text).unwrap();
        write(
            "dev",
            "Inter-|   Receive\n face |bytes\n    lo: 10 1 0 0 0 0 0 0 11 1 0 0 0 0 0 0\n  eth0: 1200 9 0 0 0 0 0 0 3400 8 0 0 0 0 0 0\n",
        );
        write(
            "route",
            "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\neth0 00000000 0103000A 0003 0 0 0 00000000 0 0 0\neth0 0003000A 00000000 0001 0 0 0 00FFFFFF 0 0 0\n",
        );
        write(
            "fib_trie",
            "Local:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.0.3.11\n        /32 host LOCAL\n     |-- 10.0.3.255\n        /32 link BROADCAST\n     |-- 127.0.0.1\n        /32 host LOCAL\nMain:\n     |-- 10.0.3.11\n        /32 host LOCAL\n",
        );
        write(
            "if_inet6",
            "00000000000000000000000000000001 01 80 10 80       lo\nfe800000000000000216e3fffe000001 02 40 20 80     eth0\n",
        );
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
    fn a_namespace_that_is_gone_has_none() {
        assert_eq!(interfaces(Path::new("/nonexistent")), []);
    }
}

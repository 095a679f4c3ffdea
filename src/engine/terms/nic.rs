//! A network interface of a container, as its configuration describes it. Plain data, already
//! valid.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One `lxc.net.N`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nic {
    /// The number N.
    pub index: u32,
    pub kind: NicKind,
    /// The interface of the host that it is attached to or stacked on, or that it is.
    pub link: Option<String>,
    /// Its name in the container.
    pub name: String,
    pub hwaddr: Option<Mac>,
    pub mtu: Option<u32>,
    pub up: bool,
    pub addresses: Vec<NicAddress>,
    pub gateways: Vec<Gateway>,
    /// The host answers for its addresses on `link`.
    pub l2proxy: bool,
    pub script_up: Option<String>,
    pub script_down: Option<String>,
}

/// How it is connected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NicKind {
    /// The loopback alone, for which scripts can be run.
    Empty,
    Veth(Veth),
    Macvlan(MacvlanMode),
    Ipvlan(IpvlanMode, IpvlanIsolation),
    Vlan(u16),
    Phys,
}

impl NicKind {
    /// Returns whether it is an interface of the host, or lies on one.
    pub(in crate::engine) const fn uses_host_interface(&self) -> bool {
        match self {
            Self::Empty | Self::Veth(_) => false,
            Self::Macvlan(_) | Self::Ipvlan(..) | Self::Vlan(_) | Self::Phys => true,
        }
    }
}

/// A pair of interfaces, one of which stays on the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Veth {
    /// The name of the host's end; none: one is made up.
    pub pair: Option<String>,
    /// The host routes to it; else its end is a port of the bridge `link`.
    pub routed: bool,
    pub routes: Vec<Subnet>,
    /// The VLAN of untagged frames at the bridge; 0 is none.
    pub vlan: Option<u16>,
    pub tagged: Vec<u16>,
    pub rx_queues: Option<u32>,
    pub tx_queues: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MacvlanMode {
    Private,
    Vepa,
    Bridge,
    Passthru,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IpvlanMode {
    L2,
    L3,
    L3s,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IpvlanIsolation {
    Bridge,
    Private,
    Vepa,
}

/// An address of the container and the network it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NicAddress {
    pub network: Subnet,
    /// IPv4 only; none: the last address of the network, if it has one.
    pub broadcast: Option<std::net::Ipv4Addr>,
}

/// An address with the length of its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    pub address: IpAddr,
    pub prefix: u8,
}

/// Where the default route leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Gateway {
    Address(IpAddr),
    /// The first address that the host has on `link`.
    Auto(Family),
    /// The interface itself.
    Device(Family),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Family {
    V4,
    V6,
}

/// A hardware address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mac(pub [u8; 6]);

impl Nic {
    /// Returns LXC's word for its type.
    pub const fn type_name(&self) -> &'static str {
        match self.kind {
            NicKind::Empty => "empty",
            NicKind::Veth(_) => "veth",
            NicKind::Macvlan(_) => "macvlan",
            NicKind::Ipvlan(..) => "ipvlan",
            NicKind::Vlan(_) => "vlan",
            NicKind::Phys => "phys",
        }
    }
}

impl Gateway {
    /// Returns which protocol it is for.
    pub const fn family(self) -> Family {
        match self {
            Self::Address(IpAddr::V4(_)) => Family::V4,
            Self::Address(IpAddr::V6(_)) => Family::V6,
            Self::Auto(family) | Self::Device(family) => family,
        }
    }
}

impl Family {
    /// Returns whether `address` belongs to it.
    pub const fn has(self, address: IpAddr) -> bool {
        match self {
            Self::V4 => address.is_ipv4(),
            Self::V6 => address.is_ipv6(),
        }
    }
}

impl Subnet {
    /// Returns the address alone, as a network of its own.
    pub const fn host(address: IpAddr) -> Self {
        let prefix = if address.is_ipv4() { 32 } else { 128 };
        Self { address, prefix }
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02x}", if at == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

/// The text is not a hardware address.
#[derive(Debug)]
pub struct NotMac;

impl FromStr for Mac {
    type Err = NotMac;

    fn from_str(text: &str) -> Result<Self, NotMac> {
        let mut mac = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut mac {
            let part = parts.next().filter(|it| matches!(it.len(), 1 | 2)).ok_or(NotMac)?;
            if !part.bytes().all(|it| it.is_ascii_hexdigit()) {
                return Err(NotMac);
            }
            *byte = u8::from_str_radix(part, 16).map_err(|_digits| NotMac)?;
        }
        if parts.next().is_some() { Err(NotMac) } else { Ok(Self(mac)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hardware_address_is_read_as_it_is_shown() {
        let mac: Mac = "00:16:3E:a:0b:ff".parse().unwrap();
        assert_eq!(mac.to_string(), "00:16:3e:0a:0b:ff");
        for text in
            ["", "00:16:3e:aa:bb", "00:16:3e:aa:bb:cc:dd", "00:16:3e:xx:bb:cc", "+1:2:3:4:5:6"]
        {
            assert!(text.parse::<Mac>().is_err(), "{text}");
        }
    }
}

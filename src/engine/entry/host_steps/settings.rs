//! The kernel's settings of the host's network: written for an interface of wharf's, and only read where
//! they concern others.

use std::fs;
use std::io;

/// The settings of the network that this process is in.
const SETTINGS: &str = "/proc/sys/net";

pub(super) fn write(setting: &str, value: &str) -> io::Result<()> {
    let path = format!("{SETTINGS}/{setting}");
    fs::write(&path, value)
        .map_err(|error| io::Error::new(error.kind(), format!("write {path}: {error}")))
}

/// A kernel without IPv6 has none of its settings.
pub(super) fn write_if_there(setting: &str, value: &str) -> io::Result<()> {
    match write(setting, value) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Fails unless the setting of the host is 1.
pub(super) fn demand(setting: &str) -> io::Result<()> {
    let value = fs::read_to_string(format!("{SETTINGS}/{setting}")).unwrap_or_default();
    if value.trim() == "1" {
        return Ok(());
    }
    let name = sysctl_name(setting);
    Err(io::Error::other(format!(
        "net.{name} must be 1 on the host; `sysctl -w net.{name}=1` sets it"
    )))
}

/// Spells a path as sysctl(8) does, where a dot in the name of an interface is a slash.
fn sysctl_name(path: &str) -> String {
    let turned = |it| match it {
        '/' => '.',
        '.' => '/',
        it => it,
    };
    path.chars().map(turned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_in_an_interface_is_no_separator() {
        assert_eq!(sysctl_name("ipv4/conf/eth0.5/forwarding"), "ipv4.conf.eth0/5.forwarding");
    }
}

//! The ports of bridges that belong to Open vSwitch: made and removed by its own program.

use std::io;

use crate::engine::entry::script::run_to_its_end;
use crate::engine::host::ovs;
use crate::engine::terms::nic::Veth;

/// Makes the interface `name` a port of `bridge`, with its VLANs. Open vSwitch keeps its ports in a
/// file, so that one of this name may be left from before the machine lost its power.
pub(super) fn add_port(bridge: &str, name: &str, veth: &Veth) -> io::Result<()> {
    let mut command = ovs::program();
    command.args(["--", "--if-exists", "del-port", bridge, name]);
    command.args(["--", "add-port", bridge, name]).args(vlans(veth)?);
    run_to_its_end(&mut command)
}

/// Removes the port, if there is one.
pub(super) fn remove_port(bridge: &str, name: &str) -> io::Result<()> {
    let mut command = ovs::program();
    command.args(["--", "--if-exists", "del-port", bridge, name]);
    run_to_its_end(&mut command)
}

/// Returns the settings of a port by which it is in the VLANs of `veth`, as with LXC.
fn vlans(veth: &Veth) -> io::Result<Vec<String>> {
    let own = veth.vlan.filter(|it| *it != 0);
    let mode = match (own, veth.tagged.is_empty()) {
        (None, true) if veth.vlan.is_none() => return Ok(Vec::new()),
        (None, true) => {
            let why = "Open vSwitch takes veth.vlan.id = none only with a veth.vlan.tagged.id";
            return Err(io::Error::other(why));
        }
        (Some(_), true) => "access",
        (None, false) => "trunk",
        (Some(_), false) => "native-untagged",
    };
    let mut settings = vec![format!("vlan_mode={mode}")];
    settings.extend(own.map(|it| format!("tag={it}")));
    let tagged: Vec<String> = veth.tagged.iter().map(ToString::to_string).collect();
    settings.extend((!tagged.is_empty()).then(|| format!("trunks={}", tagged.join(","))));
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_in_the_vlans_that_it_is_in_at_a_bridge() {
        let of = |vlan: Option<u16>, tagged: &[u16]| {
            let veth = Veth { vlan, tagged: tagged.to_vec(), ..Veth::default() };
            vlans(&veth).map(|it| it.join(" ")).map_err(|it| it.to_string())
        };
        assert_eq!(of(None, &[]).unwrap(), "");
        assert_eq!(of(Some(7), &[]).unwrap(), "vlan_mode=access tag=7");
        assert_eq!(of(None, &[8, 9]).unwrap(), "vlan_mode=trunk trunks=8,9");
        assert_eq!(of(Some(0), &[8]).unwrap(), "vlan_mode=trunk trunks=8");
        assert_eq!(of(Some(7), &[8]).unwrap(), "vlan_mode=native-untagged tag=7 trunks=8");
        assert!(of(Some(0), &[]).unwrap_err().contains("veth.vlan.tagged.id"));
    }
}

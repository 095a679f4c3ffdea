//! What an ordinary user lacks for a container, with the command that gives it. It changes nothing.

use crate::engine::config::Config;
use crate::engine::host::Host;
use crate::engine::host::subids::{self, SubIds};
use crate::engine::host::usernet;
use crate::engine::terms::nic::{Nic, NicKind};
use crate::engine::terms::spec::{ConfigPlace, Spec};

/// Returns what is missing; none: nothing.
pub(super) fn missing(host: &Host, config: &Config, spec: &Spec) -> Option<String> {
    let Some(map) = &spec.idmap else {
        return Some(match SubIds::ours().lines() {
            Ok(lines) => {
                let lines: Vec<String> =
                    lines.iter().map(|(key, value)| format!("`{key} = {value}`")).collect();
                format!(
                    "without root a container needs a user namespace; add {} to {}",
                    lines.join(" and "),
                    config.file().display()
                )
            }
            Err(why) => format!("without root a container needs a user namespace: {why}"),
        });
    };
    if let Some(why) = subids::barred(host.proc()) {
        return Some(why);
    }
    let at = |why: String, place: Option<&ConfigPlace>| {
        place.map_or_else(|| why.clone(), |place| format!("{why} ({place})"))
    };
    if let Some(why) = SubIds::ours().refusal(&map.value) {
        return Some(at(format!("lxc.idmap {why}"), map.place.as_ref()));
    }
    spec.nics.iter().find_map(|it| {
        let index = it.value.index;
        let (what, why) = lack(&it.value)?;
        Some(at(format!("lxc.net.{index}.{what} {why}"), it.place.as_ref()))
    })
}

/// What interfaces such a user has.
const OWN_TYPES: &str = "an ordinary user has `empty`, `none` and `veth`";
const OWN_VETH: &str = "an ordinary user's veth is a port of a bridge, and no more";

/// Returns why an ordinary user cannot use the key `lxc.net.N.PART`.
pub(in crate::engine) fn barred_part(part: &str) -> Option<String> {
    let has = match part {
        "veth.pair" => return usernet::refusal(None),
        "l2proxy" => OWN_VETH,
        _ if part.starts_with("veth.") => OWN_VETH,
        _ if ["macvlan.", "ipvlan.", "vlan."].iter().any(|it| part.starts_with(it)) => OWN_TYPES,
        _ => return None,
    };
    Some(format!("needs root; {has}"))
}

/// Returns which values of `lxc.net.N.type` such a user cannot use, and why.
pub(in crate::engine) fn barred_types() -> String {
    let veth = usernet::refusal(None).map(|why| format!("; no veth: {why}")).unwrap_or_default();
    format!("the others need root; {OWN_TYPES}{veth}")
}

/// Returns which key of an interface only root can have, and why.
fn lack(nic: &Nic) -> Option<(String, String)> {
    let of_type = || format!("type = {}", nic.type_name());
    let needs_root = |what: String, has: &str| Some((what, format!("needs root; {has}")));
    let veth = match &nic.kind {
        NicKind::Empty => return None,
        NicKind::Veth(veth) => veth,
        NicKind::Macvlan(_) | NicKind::Ipvlan(..) | NicKind::Vlan(_) | NicKind::Phys => {
            return needs_root(of_type(), OWN_TYPES);
        }
    };
    let only_roots = [
        (veth.routed, "veth.mode"),
        (!veth.routes.is_empty(), "veth.ipv4.route or veth.ipv6.route"),
        (veth.vlan.is_some(), "veth.vlan.id"),
        (!veth.tagged.is_empty(), "veth.vlan.tagged.id"),
        (veth.rx_queues.or(veth.tx_queues).is_some(), "veth.n_rxqueues or veth.n_txqueues"),
        (nic.l2proxy, "l2proxy"),
    ];
    if let Some((_, key)) = only_roots.into_iter().find(|it| it.0) {
        return needs_root(key.to_owned(), OWN_VETH);
    }
    let Some(bridge) = &nic.link else {
        return needs_root(format!("{} without a link", of_type()), OWN_VETH);
    };
    usernet::refusal(Some(bridge)).map(|why| (format!("{} on {bridge}:", of_type()), why))
}

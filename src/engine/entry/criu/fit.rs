//! Which containers CRIU can save, as far as their configuration says. Pure.

use crate::engine::terms::nic::NicKind;
use crate::engine::terms::space::Space;
use crate::engine::terms::spec::{At, ConfigPlace, Spec};

/// Returns why the container can be neither saved nor made again; none: nothing is known against it.
pub(in crate::engine) fn refusal(spec: &Spec) -> Option<String> {
    if spec.rootfs.is_none() {
        return Some(
            "it has no root of its own (lxc.rootfs.path), only the host's files".to_owned(),
        );
    }
    if spec.tty_max > 0 {
        return Some(format!(
            "lxc.tty.max is {}, and CRIU cannot restore terminals whose other end the supervisor \
             has; set lxc.tty.max = 0 and restart it",
            spec.tty_max
        ));
    }
    nic(spec).or_else(|| namespace(spec)).or_else(|| others(spec))
}

fn nic(spec: &Spec) -> Option<String> {
    let refused = spec.nics.iter().find(|it| match it.value.kind {
        NicKind::Empty | NicKind::Veth(_) | NicKind::Macvlan(_) => false,
        NicKind::Ipvlan(..) | NicKind::Vlan(_) | NicKind::Phys => true,
    })?;
    let At { value: nic, place } = refused;
    Some(format!(
        "CRIU does not restore an interface of type {} (lxc.net.{}{}); veth and macvlan it does",
        nic.type_name(),
        nic.index,
        at(place.as_ref())
    ))
}

fn namespace(spec: &Spec) -> Option<String> {
    if let Some((space, from)) = spec.namespaces.shared().next() {
        return Some(format!(
            "it shares the {} namespace of {}{}, which is not its own to save",
            space.word(),
            from.value,
            at(from.place.as_ref())
        ));
    }
    let kept = [Space::Mnt, Space::Pid, Space::Ipc, Space::Uts].into_iter();
    let mut kept = kept.filter(|it| spec.namespaces.keeps(*it));
    if let Some(space) = kept.next() {
        let word = space.word();
        return Some(format!("it has the host's {word} namespace (lxc.namespace.keep)"));
    }
    let map = spec.idmap.as_ref()?;
    let place = at(map.place.as_ref());
    Some(format!("it has users of its own (lxc.idmap{place}), which wharf cannot restore yet"))
}

fn others(spec: &Spec) -> Option<String> {
    if spec.notify.is_some() {
        return Some(
            "its seccomp profile leaves calls to lxc.seccomp.notify.proxy, which CRIU cannot \
             connect again"
                .to_owned(),
        );
    }
    spec.init.tended.then(|| {
        "its pid 1 is wharf's own (lxc.init.cmd is the same as lxc.execute.cmd), whose program is not \
         in the container"
            .to_owned()
    })
}

fn at(place: Option<&ConfigPlace>) -> String {
    place.map_or_else(String::new, |it| format!(", {it}"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::engine::config;

    fn told(lines: &str) -> Option<String> {
        let (name, file) = ("web".parse().unwrap(), Path::new("/lxc/web/config"));
        let text = format!("lxc.rootfs.path = dir:/srv\n{lines}");
        let config = config::parse(&name, Path::new("/lxc"), text.as_bytes(), file, &[]).unwrap();
        let mut spec = config.spec().unwrap();
        spec.nics = config.nics().unwrap();
        refusal(&spec)
    }

    #[test]
    fn what_criu_cannot_save_is_refused_with_the_line() {
        let accepted = "lxc.net.0.type = veth\nlxc.net.1.type = macvlan\nlxc.net.1.link = lo\n";
        assert_eq!(told(accepted), None);
        for (lines, expected) in [
            ("lxc.tty.max = 4\n", "lxc.tty.max is 4"),
            (
                "lxc.net.0.type = vlan\nlxc.net.0.link = lo\nlxc.net.0.vlan.id = 3\n",
                "type vlan (lxc.net.0, line 2",
            ),
            ("lxc.net.0.type = ipvlan\nlxc.net.0.link = lo\n", "type ipvlan"),
            ("lxc.net.0.type = phys\nlxc.net.0.link = lo\n", "type phys"),
            ("lxc.namespace.share.net = db\n", "shares the net namespace of db"),
            ("lxc.namespace.keep = ipc\n", "the host's ipc namespace"),
            ("lxc.init.cmd = /a\nlxc.execute.cmd = /a\n", "its pid 1 is wharf's own"),
        ] {
            let told = told(lines).unwrap_or_default();
            assert!(told.contains(expected), "{lines}: {told}");
        }
    }
}

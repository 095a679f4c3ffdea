//! What networks a configuration asks for, in a few words each.

use super::Interfaces;

/// Describes each network, in order.
pub(in crate::engine::config) fn words(interfaces: &Interfaces) -> Vec<String> {
    let all = interfaces.by_index.values().filter_map(|it| {
        let kind = it.kind?;
        let mut links = it.parts.iter().rev().filter(|part| part.name == "link");
        Some(match (kind, links.next()) {
            ("none", _) => "the host's network".to_owned(),
            ("empty", _) => "only a loopback".to_owned(),
            ("phys", Some(link)) => format!("the host's {}", link.value),
            (kind, Some(link)) => format!("{kind} on {}", link.value),
            (kind, None) => format!("{kind} without a link"),
        })
    });
    all.collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::engine::config::parse;

    #[test]
    fn networks_are_named_with_their_links() {
        let read = |text: &str| {
            let (name, lxcpath) = ("web".parse().unwrap(), Path::new("/lxc"));
            parse(&name, lxcpath, text.as_bytes(), Path::new("x"), &[]).unwrap().networks()
        };
        assert_eq!(read("lxc.net.0.type = none"), ["the host's network"]);
        assert_eq!(
            read(
                "lxc.net.1.type = veth\nlxc.net.1.link = br0\nlxc.net.1.link = lxcbr0\n\
                 lxc.net.0.type = empty\nlxc.net.2.type = phys\nlxc.net.2.link = eth1\n\
                 lxc.net.3.type = veth"
            ),
            ["only a loopback", "veth on lxcbr0", "the host's eth1", "veth without a link"]
        );
    }
}

//! What today's keys say of the interfaces, however a configuration spells them.

use super::{InterfacePart, Interfaces, find};
use crate::engine::terms::spec::ConfigPlace;

impl Interfaces {
    /// Returns today's name of `key`, which the next line sets to `value`. None: it is no key of an
    /// interface, or names none. `lxc.network.*` without an index depends on the lines before it.
    pub(in crate::engine::config) fn today(&self, key: &str, value: &str) -> Option<String> {
        let (rest, legacy) = match key.strip_prefix("lxc.network") {
            Some(rest) => (rest, true),
            None => (key.strip_prefix("lxc.net")?, false),
        };
        if rest.is_empty() {
            return Some("lxc.net".to_owned());
        }
        let rest = rest.strip_prefix('.')?;
        let (first, name) = rest.split_once('.').unwrap_or((rest, ""));
        let (index, name) = match first.parse::<u32>() {
            Ok(index) if name.is_empty() => return Some(format!("lxc.net.{index}")),
            Ok(index) => (index, name),
            Err(_) if legacy => (self.unnumbered_index(rest, value)?, rest),
            Err(_) => return None,
        };
        Some(format!("lxc.net.{index}.{}", find(name)?.name))
    }

    /// Returns the interface that a line without an index is about.
    pub(super) fn unnumbered_index(&self, name: &str, value: &str) -> Option<u32> {
        if name == "type" && !value.is_empty() {
            let last = self.by_index.keys().next_back();
            return Some(last.map_or(0, |it| it.saturating_add(1)));
        }
        self.current
    }

    /// Lists what is set, by today's names.
    pub(in crate::engine::config) fn lines(
        &self,
    ) -> impl Iterator<Item = (String, &str, Option<&ConfigPlace>)> {
        self.by_index.iter().flat_map(|(index, it)| {
            let key = move |name: &str| format!("lxc.net.{index}.{name}");
            let kind = it.kind.map(|kind| (key("type"), kind, it.place.as_ref()));
            let part = move |it: &'_ InterfacePart| key(it.name);
            let parts =
                it.parts.iter().map(move |it| (part(it), it.given.as_str(), it.place.as_ref()));
            kind.into_iter().chain(parts)
        })
    }
}

/// Returns whether the lines of `key`, by today's name, add up.
pub(in crate::engine::config) fn is_list(key: &str) -> bool {
    let name = key.strip_prefix("lxc.net.").and_then(|it| it.split_once('.'));
    name.and_then(|(_, it)| find(it)).is_some_and(|it| it.list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_todays_name() {
        let mut interfaces = Interfaces::default();
        let mut names = Vec::new();
        for (key, value) in [
            ("lxc.network.link", "a"),
            ("lxc.network.type", "veth"),
            ("lxc.network.ipv4", "10.0.0.2/24"),
            ("lxc.network.type", "empty"),
            ("lxc.network.7.ipv6", "fd00::1"),
            ("lxc.net.0.ipv4", "10.0.0.3/24"),
            ("lxc.network.flags", "up"),
            ("lxc.network", ""),
            ("lxc.net.4", ""),
            ("lxc.net.0.bogus", "1"),
            ("lxc.net.x.type", "veth"),
        ] {
            names.push(interfaces.today(key, value));
            _ = interfaces.set(key, value, None);
        }
        let names: Vec<&str> = names.iter().map(|it| it.as_deref().unwrap_or("-")).collect();
        assert_eq!(
            names,
            [
                "-",
                "lxc.net.0.type",
                "lxc.net.0.ipv4.address",
                "lxc.net.1.type",
                "lxc.net.7.ipv6.address",
                "lxc.net.0.ipv4.address",
                "lxc.net.1.flags",
                "lxc.net",
                "lxc.net.4",
                "-",
                "-"
            ]
        );
        assert!(is_list("lxc.net.3.ipv4.address") && !is_list("lxc.net.3.link"));
    }
}

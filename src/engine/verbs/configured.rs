//! What a container is configured with, and what its supervisor has made of it. Changes nothing.

use crate::engine::config;
use crate::engine::running::command_socket::Client;
use crate::engine::running::record::Record;
use crate::engine::{Engine, Error, ErrorKind, Name, Verb};

/// The host's end of one of a container's interfaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostLink {
    pub name: String,
    pub from_container_bytes: u64,
    pub to_container_bytes: u64,
}

impl Engine {
    /// Returns what `key` is for the container: the value that its supervisor uses, or else the one
    /// in its configuration file. `None`: there is no such key.
    pub fn config_item(&self, name: &Name, key: &str) -> Result<Option<String>, Error> {
        if let Ok(Some(supervisor)) = Client::connect(&self.lxcpath, name)
            && let Ok(Some(value)) = supervisor.config_item(key)
        {
            return Ok(Some(value));
        }
        let config = config::load(name, &self.lxcpath, None, &[])
            .map_err(|errors| Error::new(Verb::Info, name, ErrorKind::Invalid, errors))?;
        Ok(config.get(key))
    }

    /// Lists the host's ends of the interfaces of a running container, and the links of those that
    /// have no such end, in the order of its configuration.
    pub fn host_links(&self, name: &Name) -> Vec<HostLink> {
        let Ok(Some(supervisor)) = Client::connect(&self.lxcpath, name) else { return Vec::new() };
        let item = |key: String| {
            let value = supervisor.config_item(&key).ok().flatten();
            value.map(|it| it.trim().to_owned()).filter(|it| !it.is_empty())
        };
        let mut links = Vec::new();
        for index in 0_u32.. {
            let Some(kind) = item(format!("lxc.net.{index}.type")) else { break };
            let key = if kind == "veth" { "veth.pair" } else { "link" };
            let Some(link) = item(format!("lxc.net.{index}.{key}")) else { break };
            let count = |file: &str| {
                let path = format!("/sys/class/net/{link}/statistics/{file}");
                let text = std::fs::read_to_string(path).ok();
                text.and_then(|it| it.trim().parse().ok()).unwrap_or(0)
            };
            links.push(HostLink {
                from_container_bytes: count("rx_bytes"),
                to_container_bytes: count("tx_bytes"),
                name: link,
            });
        }
        links
    }

    /// Returns the pid of the container's supervisor, if wharf runs it.
    pub fn supervisor_pid(&self, name: &Name) -> Option<i32> {
        let record = Record::read(&self.lxcpath, name)?;
        record.is_live(self.lxcpath.host()).then_some(record.supervisor.pid)
    }
}

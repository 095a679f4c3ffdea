//! Lets device nodes be made in a group for a while. CRIU makes those of a container's /dev anew, when
//! its rules for devices, which often forbid that, are in force already. To use a node takes what they
//! allow, all the while.

use super::{Cgroup, CgroupError, LoadedDevices};

const ALLOW: &str = "devices.allow";
const DENY: &str = "devices.deny";
const LIST: &str = "devices.list";
/// Making any node, and no more.
pub(super) const MAKING: [&str; 2] = ["c *:* m", "b *:* m"];

impl Cgroup {
    /// Lets any node be made, until [`Self::forbid_nodes`]. `loaded`: the rules, if they are no file.
    /// Returns which lines were added, for that.
    pub(in crate::engine) fn allow_nodes(
        &self,
        loaded: Option<&mut LoadedDevices>,
    ) -> Result<Vec<&'static str>, CgroupError> {
        if self.v1("devices").is_none() {
            return loaded.map_or(Ok(Vec::new()), |it| it.allow_nodes().map(|()| Vec::new()));
        }
        let list = self.get(LIST)?;
        let allows = |rule: &str| {
            let of_all = rule.trim_end_matches('m');
            list.lines()
                .any(|it| it.starts_with("a ") || (it.starts_with(of_all) && it.ends_with('m')))
        };
        let added: Vec<_> = MAKING.into_iter().filter(|it| !allows(it)).collect();
        for rule in &added {
            self.write(ALLOW, rule, rule)?;
        }
        Ok(added)
    }

    /// Puts back what the rules say about that.
    pub(in crate::engine) fn forbid_nodes(
        &self,
        loaded: Option<&mut LoadedDevices>,
        added: &[&str],
    ) -> Result<(), CgroupError> {
        added.iter().try_for_each(|it| self.write(DENY, it, it))?;
        loaded.map_or(Ok(()), LoadedDevices::forbid_nodes)
    }
}

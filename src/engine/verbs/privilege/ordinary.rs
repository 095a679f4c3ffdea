//! What an ordinary user lacks for a container, with the command that gives it. It changes nothing.

use crate::engine::config::Config;
use crate::engine::host::Host;
use crate::engine::host::subids::{self, SubIds};
use crate::engine::terms::nic::NicKind;
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
    let nic = spec.nics.iter().find(|it| it.value.kind != NicKind::Empty)?;
    let why = format!(
        "lxc.net.{}.type = {} needs root; an ordinary user has `empty` and `none`",
        nic.value.index,
        nic.value.type_name()
    );
    Some(at(why, nic.place.as_ref()))
}

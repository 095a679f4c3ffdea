//! `lxc.selinux.*`: the contexts of a container and its session keyring.

use super::settings::ConfigSettings;
use crate::engine::host::selinux;
use crate::engine::terms::label::{Label, SecurityModule};
use crate::engine::terms::spec::At;

/// The context that changes nothing, as with LXC.
const UNCONFINED: &str = "unconfined_t";

/// Returns the context of its processes, and that of its keyring. As with LXC, they mean nothing to
/// a kernel that does not use SELinux.
pub(super) fn of(settings: &ConfigSettings) -> (Option<At<Label>>, Option<String>) {
    if !selinux::is_enabled() {
        return (None, None);
    }
    let context = settings.last("lxc.selinux.context").filter(|it| it.value != UNCONFINED);
    let keyring = settings.last("lxc.selinux.context.keyring").or(context);
    let label = context.map(|it| At {
        value: Label { module: SecurityModule::SeLinux, name: it.value.clone() },
        place: it.place.clone(),
    });
    (label, keyring.map(|it| it.value.clone()))
}

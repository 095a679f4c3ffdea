//! `lxc-device`.

use std::path::Path;
use std::process::ExitCode;

use super::call::{LxcCall, LxcCommand, NameFrom, refused};

pub(super) const DEVICE: LxcCommand = LxcCommand {
    name: "device",
    usage: "--name=NAME -- add|del DEV [DST]",
    about: "gives a running container a device or an interface of the host, or takes it away",
    options: &[],
    named: NameFrom::Needed,
    parts: None,
    run: device,
};

fn device(call: &mut LxcCall<'_>) -> anyhow::Result<ExitCode> {
    let (name, state) = call.container()?;
    if !state.is_active() {
        return Err(refused(format!("Container {name} is not running")));
    }
    let (verb, device, other) = match call.given.operands.as_slice() {
        [verb, device] => (verb, device, device),
        [verb, device, other, ..] => (verb, device, other),
        [_] | [] => {
            return Err(refused("Error: no command given (Please see --help output)"));
        }
    };
    let (device, other) = (Path::new(device), Path::new(other));
    // The start of a word is enough, as with LXC.
    if "add".starts_with(verb.as_str()) {
        call.engine.add_device(&name, device, other)?;
    } else if "del".starts_with(verb.as_str()) {
        call.engine.remove_device(&name, device, other)?;
    } else {
        return Err(refused("Error: Please use add or del (Please see --help output)"));
    }
    Ok(ExitCode::SUCCESS)
}

//! `lxc-create`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::call::{LxcCall, LxcCommand, NameFrom, refused};
use super::getopt::value;
use crate::cli::watched::watched;
use crate::engine::create::{Create, NewImage, RootfsSource};
use crate::engine::default_config;

pub(super) const CREATE: LxcCommand = LxcCommand {
    name: "create",
    usage: "--name=NAME [--template=TEMPLATE] [OPTION...] [-- template-options]",
    about: "creates the container NAME",
    options: &[
        value("config", Some('f'), "CONFIG", "Configuration to start from"),
        value("template", Some('t'), "TEMPLATE", "Program that fills its root; none: the host's"),
        value("bdev", Some('B'), "BDEV", "How the root is stored: dir, loop, best or none"),
        value("dir", None, "DIR", "Directory to use as its root; only with -t none"),
        value("fstype", None, "TYPE", "File system of -B loop (default: ext4)"),
        value("fssize", None, "SIZE[U]", "Its size, in M without a unit (default: 1G)"),
    ],
    named: NameFrom::Needed,
    parts: None,
    run: create,
};

fn create(call: &mut LxcCall<'_>) -> anyhow::Result<ExitCode> {
    let name = call.name()?;
    if call.engine.is_defined(&name) {
        return Err(refused("Container already exists"));
    }
    // Without a template, which LXC has needed since 0.8, it shares the host's files.
    let template = call.value("template").map(str::to_owned);
    let bare = template.is_none();
    let template = template.unwrap_or_else(|| "none".to_owned());
    // LXC compares only as much of the word as was given.
    let none = !template.is_empty() && "none".starts_with(&template);
    let args = call.given.operands.clone();
    let source = match (none, call.value("dir")) {
        (true, None) => RootfsSource::Host,
        (true, Some(dir)) => RootfsSource::Directory(std::path::absolute(dir)?),
        (false, None) => RootfsSource::Template { program: template, args },
        (false, Some(_)) => return Err(refused("--dir needs -t none")),
    };
    let bdev = call.value("bdev").unwrap_or("dir");
    let image = match bdev {
        "dir" | "best" | "none" => None,
        "loop" => Some(NewImage::of(call.value("fstype"), call.value("fssize")).map_err(refused)?),
        other => return Err(refused(format!("backing store {other} is not supported"))),
    };
    if image.is_none() && (call.has("fstype") || call.has("fssize")) {
        return Err(refused("--fstype and --fssize need -B loop"));
    }
    // LXC adds nothing of its own to the host's configuration.
    let config = call.value("config").map(PathBuf::from);
    let config = config.unwrap_or_else(|| default_config(call.engine.lxcpath().host()));
    let config = Some(config).filter(|it| call.has("config") || !bare && it.exists());
    let create = Create { source, config, image, ..Create::default() };
    watched(call.has("quiet"), None, |progress| {
        Ok(call.engine.create_watched(&name, &create, progress)?)
    })?;
    Ok(ExitCode::SUCCESS)
}

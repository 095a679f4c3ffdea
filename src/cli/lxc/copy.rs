//! `lxc-copy`, and `lxc-clone`, which older versions have.

use std::process::ExitCode;

use super::call::{LxcCall, LxcCommand, NameFrom, refused};
use super::ephemeral;
use super::getopt::{flag, value};
use crate::cli::watched::watched;
use crate::engine::Name;
use crate::engine::create::{Copy, CopyKind, NewImage};

pub(super) const COPY: LxcCommand = LxcCommand {
    name: "copy",
    usage: "--name=NAME [-P lxcpath] -N newname [-p newpath] [-B backingstorage] [-s] [-K] [-M]",
    about: "copies the container NAME, or renames it (-R), or starts an ephemeral copy (-e)",
    options: &[
        value("newname", Some('N'), "NEWNAME", "Name of the copy"),
        value("newpath", Some('p'), "NEWPATH", "Directory that is to hold the copy"),
        flag("rename", Some('R'), "Rename the container"),
        flag("snapshot", Some('s'), "Keep only what the copy changes"),
        flag("allowrunning", Some('a'), "Copy it even while it runs"),
        flag("foreground", Some('F'), "With -e: stay, with this terminal as its console"),
        flag("daemon", Some('d'), "With -e: return once it runs (default)"),
        flag("ephemeral", Some('e'), "Start the copy, and remove it when it stops"),
        value("mount", Some('m'), "MOUNT", "With -e: {bind,overlay}=SRC[:DST][:ro|rw] to mount"),
        value("backingstorage", Some('B'), "TYPE", "How the root is stored: dir, loop or overlay"),
        flag("tmpfs", Some('t'), "With -e: keep what it changes in memory"),
        value("fssize", Some('L'), "SIZE", "Size of the image of -B loop (default: 1G)"),
        flag("keepdata", Some('D'), "With -e: keep the copy when it stops"),
        flag("keepname", Some('K'), "Keep the host name of the container"),
        flag("keepmac", Some('M'), "Keep its hardware addresses"),
    ],
    named: NameFrom::Needed,
    parts: None,
    run: copy,
};

pub(super) const CLONE: LxcCommand = LxcCommand {
    name: "clone",
    usage: "[-s] [-B backingstore] [-L size] [-K] [-M] [-H] [-p lxcpath] [-P newlxcpath] -o ORIG -n NEW",
    about: "copies the container ORIG as NEW",
    options: &[
        value("orig", Some('o'), "ORIG", "The container to copy"),
        value("new", Some('n'), "NEW", "Name of the copy"),
        flag("snapshot", Some('s'), "Keep only what the copy changes"),
        value("backingstore", Some('B'), "TYPE", "How the root is stored: dir, loop or overlay"),
        value("fssize", Some('L'), "SIZE", "Size of the image of -B loop (default: 1G)"),
        flag("copyhooks", Some('H'), "Copy its hooks, too (always so)"),
        flag("keepname", Some('K'), "Keep the host name of the container"),
        flag("keepmac", Some('M'), "Keep its hardware addresses"),
        flag("rename", Some('R'), "Rename the container"),
        value("lxcpath", Some('p'), "PATH", "Directory that holds the container"),
        value("newpath", Some('P'), "PATH", "Directory that is to hold the copy"),
    ],
    named: NameFrom::Free,
    parts: None,
    run: clone,
};

/// What the names of ephemeral copies end with.
const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
const RANDOM_LETTERS: usize = 6;

fn copy(call: &mut LxcCall<'_>) -> anyhow::Result<ExitCode> {
    let name = call.name()?;
    let new = call.value("newname").map(str::parse::<Name>).transpose()?;
    let ephemeral = call.has("ephemeral");
    if new.is_none() && !ephemeral {
        return Err(refused("Error: You must provide a NEWNAME for the clone"));
    }
    if !call.engine.is_defined(&name) {
        return Err(refused(format!("Error: container {name} is not defined")));
    }
    if let (true, Some(new)) = (call.has("rename"), &new) {
        return rename(call, &name, new);
    }
    let mut copy = what(call, &name, call.value("backingstorage"))?;
    let Some(new) = new.filter(|_| !ephemeral) else {
        let new = call.value("newname").map_or_else(|| random(&name), |it| Ok(it.parse()?))?;
        return ephemeral::run(call, &name, &new, copy);
    };
    copy.while_running = call.has("allowrunning");
    watched(call.has("quiet"), None, |progress| Ok(call.engine.copy(&new, &copy, progress)?))?;
    Ok(ExitCode::SUCCESS)
}

fn clone(call: &mut LxcCall<'_>) -> anyhow::Result<ExitCode> {
    let mut operands = call.given.operands.iter();
    let orig = call.value("orig").or_else(|| operands.next().map(String::as_str));
    let new = call.value("new").or_else(|| operands.next().map(String::as_str));
    let (Some(orig), Some(new)) = (orig, new) else {
        return Err(refused("Error: both a container and a new name are needed (-o, -n)"));
    };
    let (orig, new): (Name, Name) = (orig.parse()?, new.parse()?);
    call.name = Some(orig.to_string());
    if !call.engine.is_defined(&orig) {
        return Err(refused(format!("Error: container {orig} is not defined")));
    }
    if call.has("rename") {
        return rename(call, &orig, &new);
    }
    let copy = what(call, &orig, call.value("backingstore"))?;
    watched(call.has("quiet"), None, |progress| Ok(call.engine.copy(&new, &copy, progress)?))?;
    writeln!(call.out, "Created container {new} as copy of {orig}")?;
    Ok(ExitCode::SUCCESS)
}

fn rename(call: &LxcCall<'_>, old: &Name, new: &Name) -> anyhow::Result<ExitCode> {
    call.engine.rename(old, new)?;
    Ok(ExitCode::SUCCESS)
}

/// Reads what both have in common.
fn what(call: &LxcCall<'_>, name: &Name, storage: Option<&str>) -> anyhow::Result<Copy> {
    let snapshot = call.has("snapshot") || call.has("ephemeral");
    // LXC compares only as much of a type as was given.
    let known = ["overlay", "overlayfs", "dir", "loop"];
    let storage = match storage {
        None => None,
        Some(given) => {
            let found = known.into_iter().find(|it| !given.is_empty() && it.starts_with(given));
            Some(found.ok_or_else(|| refused(format!("Error: {given} is not a valid type")))?)
        }
    };
    let size = call.value("fssize");
    let image = match storage {
        Some("loop") => Some(NewImage::of(None, size).map_err(refused)?),
        Some(_) | None => None,
    };
    let kind = match (snapshot, storage) {
        (true, None | Some("overlay" | "overlayfs")) => CopyKind::Overlay,
        (true, Some(it)) => return Err(refused(format!("-s cannot make a snapshot of type {it}"))),
        (false, Some("overlay" | "overlayfs")) => {
            return Err(refused("-B overlay needs -s: an overlay keeps only what is changed"));
        }
        (false, _) => CopyKind::Full,
    };
    Ok(Copy {
        kind,
        image,
        keeps_name: call.has("keepname"),
        keeps_addresses: call.has("keepmac"),
        into: call.value("newpath").map(std::path::absolute).transpose()?,
        hook_arguments: if call.command.name == "copy" {
            call.given.operands.clone()
        } else {
            Vec::new()
        },
        ..Copy::of(name.clone())
    })
}

/// Makes up a name as LXC does: NAME_XXXXXX.
fn random(name: &Name) -> anyhow::Result<Name> {
    use std::hash::{BuildHasher as _, RandomState};
    let mut seed = RandomState::new().hash_one(std::process::id());
    let mut text = format!("{name}_");
    let letters = LETTERS.len() as u64;
    for _ in 0..RANDOM_LETTERS {
        let at = usize::try_from(seed % letters).unwrap_or_default();
        text.push(LETTERS.get(at).copied().map_or('x', char::from));
        seed /= letters;
    }
    Ok(text.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ephemeral_name_is_one_that_a_container_can_have() {
        let name = random(&"web".parse().unwrap()).unwrap();
        assert!(name.as_str().starts_with("web_") && name.as_str().len() == 10, "{name}");
    }
}

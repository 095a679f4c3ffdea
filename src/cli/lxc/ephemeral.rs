//! `lxc-copy -e`: a copy that runs, and is gone when it stops.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::call::{LxcCall, bad_arguments, refused};
use crate::cli::watched::watched;
use crate::engine::attach::{self, Attach};
use crate::engine::create::{Copy, CopyKind};
use crate::engine::start::Start;
use crate::engine::stop::Stop;
use crate::engine::{Name, State};

/// Makes the copy, starts it, and runs the given command in it until that has ended.
pub(super) fn run(
    call: &mut LxcCall<'_>,
    name: &Name,
    new: &Name,
    mut copy: Copy,
) -> anyhow::Result<ExitCode> {
    attach::seal();
    if !call.has("keepdata") {
        copy.settings.push(("lxc.ephemeral".to_owned(), "1".to_owned()));
    }
    let mut extras = Extras::in_dir(call.engine.lxcpath().spelled().join(new.as_str()));
    for it in call.given.values("mount") {
        for spec in it.split(',') {
            let entry = mount_entry(spec, &mut extras).ok_or_else(bad_arguments)?;
            copy.settings.push(("lxc.mount.entry".to_owned(), entry));
        }
    }
    if call.has("tmpfs") {
        if copy.kind != CopyKind::Overlay || call.has("keepdata") {
            return Err(refused(
                "A container can only be placed on a tmpfs when the overlay storage driver is used",
            ));
        }
        let hook = extras.in_memory(new, copy.keeps_name);
        copy.settings.push(("lxc.hook.pre-mount".to_owned(), hook));
    }
    if copy.into.is_some() {
        return Err(refused("wharf starts an ephemeral copy only in the container's lxcpath"));
    }
    copy.while_running = call.has("allowrunning");
    watched(call.has("quiet"), None, |progress| Ok(call.engine.copy(new, &copy, progress)?))?;
    if let Err(why) = extras.make() {
        // The first error is the one to report.
        _ = call.engine.destroy(new);
        return Err(refused(format!("{}: {why}", extras.dir.display())));
    }
    if !call.has("quiet") {
        writeln!(call.out, "Created {new} as clone of {name}")?;
        if call.has("tmpfs") {
            writeln!(call.out, "{ON_TMPFS}")?;
        }
        call.out.flush()?;
    }
    start(call, new)
}

const ON_TMPFS: &str =
    "Container is placed on tmpfs.\nRebooting will cause all changes made to it to be lost!";

/// What an ephemeral copy has in its directory besides.
struct Extras {
    dir: PathBuf,
    /// Directories for what is changed of what is mounted.
    dirs: Vec<PathBuf>,
    script: Option<(PathBuf, String)>,
}

impl Extras {
    const fn in_dir(dir: PathBuf) -> Self {
        Self { dir, dirs: Vec::new(), script: None }
    }

    /// Adds a pair of directories for an overlay, and returns them.
    fn overlay(&mut self) -> [PathBuf; 2] {
        let number = self.dirs.len() / 2;
        let pair = ["delta", "work"].map(|it| self.dir.join(format!("{it}.{number}")));
        self.dirs.extend(pair.clone());
        pair
    }

    /// Adds a script that mounts a file system in memory where the copy keeps what it changes, and
    /// returns the command that runs it.
    fn in_memory(&mut self, new: &Name, keeps_name: bool) -> String {
        let path = self.dir.join("pre-mount-tmpfs");
        let quoted = |it: &Path| format!("'{}'", it.display().to_string().replace('\'', r"'\''"));
        let over = self.dir.join("overlay");
        let [delta, work] = ["delta", "work"].map(|it| quoted(&over.join(it)));
        let mut text = format!(
            "#!/bin/sh\nmount -n -t tmpfs -o mode=0755 none {} && mkdir {delta} {work} || exit\n",
            quoted(&over)
        );
        if !keeps_name {
            let etc = quoted(&over.join("delta/etc"));
            // Writing to a String cannot fail.
            _ = writeln!(text, "mkdir {etc} && echo {new} >{etc}/hostname");
        }
        let command = quoted(&path);
        self.script = Some((path, text));
        command
    }

    fn make(&self) -> std::io::Result<()> {
        for it in &self.dirs {
            fs::DirBuilder::new().mode(0o700).create(it)?;
        }
        let Some((path, text)) = &self.script else { return Ok(()) };
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o755).open(path)?;
        file.write_all(text.as_bytes())
    }
}

/// Starts the copy, and runs the given command in it until that has ended.
fn start(call: &mut LxcCall<'_>, new: &Name) -> anyhow::Result<ExitCode> {
    let argv = call.given.operands.clone();
    let started = if call.has("foreground") && argv.is_empty() {
        call.engine.start_foreground(new, &Start::default()).map(drop)
    } else {
        call.engine.start(new, &Start::default())
    };
    if let Err(error) = started {
        if !call.has("keepdata") && call.engine.is_defined(new) {
            // The first error is the one to report.
            _ = call.engine.destroy(new);
        }
        return Err(error.into());
    }
    if !argv.is_empty() {
        let attach = Attach { argv, clear_environment: true, bare: true, ..Attach::default() };
        // LXC does not tell how the command ended, and waits for ever for an init that hears nothing.
        let attached = call.engine.attach(new, &attach);
        let gently = Stop::Gently { timeout: None, then_kill: true };
        if call.engine.state(new)? != State::Stopped {
            call.engine.stop(new, gently)?;
        }
        attached?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads `bind=SRC[:DST][:ro|rw]` or `overlay=SRC[:DST]` as a line of the configuration; none: it is no
/// such.
fn mount_entry(spec: &str, extras: &mut Extras) -> Option<String> {
    let (kind, rest) = spec.split_once('=')?;
    let mut parts: Vec<&str> = rest.split(':').collect();
    let mode = parts.pop_if(|it| kind == "bind" && matches!(*it, "ro" | "rw")).unwrap_or("rw");
    let (source, target) = match parts.as_slice() {
        [source] => (*source, *source),
        [source, target] => (*source, *target),
        [..] => return None,
    };
    let source = std::path::absolute(Path::new(source)).ok()?;
    let create = if source.is_dir() { "dir" } else { "file" };
    let target = target.trim_start_matches('/').replace(' ', "\\040");
    if target.is_empty() {
        return None;
    }
    let escaped = |it: &Path| Some(it.to_str()?.replace(' ', "\\040"));
    let source = escaped(&source)?;
    match kind {
        "bind" => Some(format!("{source} {target} none bind,optional,{mode},create={create} 0 0")),
        "overlay" => {
            let [upper, work] = extras.overlay();
            let (upper, work) = (escaped(&upper)?, escaped(&work)?);
            Some(format!(
                "{source} {target} overlay lowerdir={source},upperdir={upper},workdir={work},create=dir 0 0"
            ))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_read_as_lxc_writes_it() {
        let mut extras = Extras::in_dir("/lxc/x y".into());
        let mut mount_entry = |spec: &str| mount_entry(spec, &mut extras);
        assert_eq!(
            mount_entry("bind=/etc:/mnt:ro").unwrap(),
            "/etc mnt none bind,optional,ro,create=dir 0 0"
        );
        let file = "/etc/passwd etc/passwd none bind,optional,rw,create=file 0 0";
        assert_eq!(mount_entry("bind=/etc/passwd").unwrap(), file);
        let over = "/etc mnt overlay lowerdir=/etc,upperdir=/lxc/x\\040y/delta.0,\
                    workdir=/lxc/x\\040y/work.0,create=dir 0 0";
        assert_eq!(mount_entry("overlay=/etc:/mnt").unwrap(), over);
        for wrong in ["overlay=/a:/b:ro", "bind", "bind=/a:/b:/c", "bogus=/a", "bind=/a:/"] {
            assert_eq!(mount_entry(wrong), None, "{wrong}");
        }
    }
}

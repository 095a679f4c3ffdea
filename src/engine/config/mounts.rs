//! Mount tables: lines of fstab(5) with LXC's own options, and the words of `lxc.mount.auto`.

use std::path::{Component, Path, PathBuf};

use libc::c_ulong;

use super::error::Reason;
use crate::engine::terms::spec::{Mount, MountUsers, TargetKind};

/// Options that set or clear flags of mount(2).
const FLAGS: &[(&str, bool, c_ulong)] = &[
    ("async", false, libc::MS_SYNCHRONOUS),
    ("atime", false, libc::MS_NOATIME),
    ("bind", true, libc::MS_BIND),
    ("defaults", true, 0),
    ("dev", false, libc::MS_NODEV),
    ("diratime", false, libc::MS_NODIRATIME),
    ("dirsync", true, libc::MS_DIRSYNC),
    ("exec", false, libc::MS_NOEXEC),
    ("lazytime", true, libc::MS_LAZYTIME),
    ("mand", true, libc::MS_MANDLOCK),
    ("noatime", true, libc::MS_NOATIME),
    ("nodev", true, libc::MS_NODEV),
    ("nodiratime", true, libc::MS_NODIRATIME),
    ("noexec", true, libc::MS_NOEXEC),
    ("nomand", false, libc::MS_MANDLOCK),
    ("norelatime", false, libc::MS_RELATIME),
    ("nostrictatime", false, libc::MS_STRICTATIME),
    ("nosuid", true, libc::MS_NOSUID),
    ("rbind", true, libc::MS_BIND | libc::MS_REC),
    ("relatime", true, libc::MS_RELATIME),
    ("remount", true, libc::MS_REMOUNT),
    ("ro", true, libc::MS_RDONLY),
    ("rw", false, libc::MS_RDONLY),
    ("strictatime", true, libc::MS_STRICTATIME),
    ("suid", false, libc::MS_NOSUID),
    ("sync", true, libc::MS_SYNCHRONOUS),
];

/// Options of fstab(5) that tell mount(8) when to mount something and who may, and that no file
/// system knows.
const FOR_MOUNT_ALONE: &[&str] =
    &["_netdev", "auto", "group", "noauto", "nofail", "nouser", "owner", "user", "users"];

/// Options that change how mount events spread.
const PROPAGATION: &[(&str, c_ulong)] = &[
    ("private", libc::MS_PRIVATE),
    ("rprivate", libc::MS_PRIVATE | libc::MS_REC),
    ("shared", libc::MS_SHARED),
    ("rshared", libc::MS_SHARED | libc::MS_REC),
    ("slave", libc::MS_SLAVE),
    ("rslave", libc::MS_SLAVE | libc::MS_REC),
    ("unbindable", libc::MS_UNBINDABLE),
    ("runbindable", libc::MS_UNBINDABLE | libc::MS_REC),
];

/// Reads one line of a mount table. The target stays as it is written: see [`below_root`].
pub(super) fn entry(line: &str) -> Result<Mount, Reason> {
    const FIELDS: Reason = Reason::Expected("source, target, type and options, as in fstab(5)");
    let mut fields = line.split_ascii_whitespace().map(unescape);
    let (Some(source), Some(target), Some(fstype)) = (fields.next(), fields.next(), fields.next())
    else {
        return Err(FIELDS);
    };
    let options = fields.next().unwrap_or_default();
    let mut mount = Mount { source, target: checked_target(target)?, fstype, ..Mount::default() };
    for option in options.split(',').filter(|it| !it.is_empty()) {
        apply(option, &mut mount)?;
    }
    Ok(mount)
}

/// Reads options alone.
pub(super) fn alone(options: &str) -> Result<Mount, Reason> {
    if options.contains(|it: char| it.is_ascii_whitespace()) {
        return Err(Reason::Expected("options separated by commas, without blanks"));
    }
    entry(&format!("none / none {options}"))
}

/// Returns the lines of a mount table that are neither blank nor comments, with their numbers.
pub(super) fn table(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

fn apply(option: &str, mount: &mut Mount) -> Result<(), Reason> {
    if let Some((_, sets, flag)) = FLAGS.iter().find(|(name, ..)| *name == option) {
        mount.flags = if *sets { mount.flags | flag } else { mount.flags & !flag };
        return Ok(());
    }
    if let Some((_, propagation)) = PROPAGATION.iter().find(|(name, _)| *name == option) {
        mount.propagation = *propagation;
        return Ok(());
    }
    match option {
        "optional" => mount.optional = true,
        "relative" => mount.relative = true,
        "create=dir" => mount.create = Some(TargetKind::Dir),
        "create=file" => mount.create = Some(TargetKind::File),
        _ if option.starts_with("create=") => {
            return Err(Reason::Expected("create=dir or create=file"));
        }
        _ if option.starts_with("idmap=") => mount.users = Some(users(option)?),
        _ if FOR_MOUNT_ALONE.contains(&option) || option.starts_with("x-") => (),
        _ => {
            if !mount.data.is_empty() {
                mount.data.push(',');
            }
            mount.data.push_str(option);
        }
    }
    Ok(())
}

/// Reads `idmap=`.
fn users(option: &str) -> Result<MountUsers, Reason> {
    match option.strip_prefix("idmap=") {
        Some("container") => Ok(MountUsers::Container),
        Some(path) if path.starts_with('/') => Ok(MountUsers::Namespace(path.into())),
        Some(_) | None => {
            Err(Reason::Expected("idmap=container or idmap= and the path of a user namespace"))
        }
    }
}

/// Refuses a target with `..`.
fn checked_target(target: String) -> Result<PathBuf, Reason> {
    let target = PathBuf::from(target);
    if target.components().any(|it| it == Component::ParentDir) {
        return Err(Reason::Expected("a mount target without .."));
    }
    Ok(target)
}

/// Makes a target relative to the container's root. `rootfs` is that root as configured: targets
/// below it, absolute ones and relative ones all end up below the container's root.
pub(super) fn below_root(target: &Path, rootfs: Option<&Path>) -> PathBuf {
    let inside = rootfs.and_then(|it| target.strip_prefix(it).ok()).unwrap_or(target);
    inside.components().filter(|it| matches!(it, Component::Normal(_))).collect()
}

/// Decodes the octal escapes that getmntent(3) decodes: blank, tab, newline, backslash.
fn unescape(field: &str) -> String {
    if !field.contains('\\') {
        return field.to_owned();
    }
    field.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_after_a_blank_are_not_lost() {
        assert!(matches!(alone("ro, nosuid"), Err(Reason::Expected(_))));
        assert_eq!(alone("ro,nosuid").unwrap().flags, libc::MS_RDONLY | libc::MS_NOSUID);
    }

    fn read(line: &str) -> Mount {
        entry(line).unwrap()
    }

    #[test]
    fn targets_always_end_up_below_the_root() {
        for target in ["mnt/a", "/mnt/a", "/srv/web/mnt/a", "./mnt//a/"] {
            let mount = read(&format!("/src {target} none bind"));
            let below = below_root(&mount.target, Some(Path::new("/srv/web")));
            assert_eq!(below, Path::new("mnt/a"), "{target}");
        }
        assert!(entry("/src ../a none bind").is_err());
        assert!(entry("/src /srv/web/../a none bind").is_err());
    }

    #[test]
    fn options_are_told_apart() {
        let mount =
            read("tmpfs run tmpfs ro,nosuid,size=4k,rw,optional,create=dir,rslave,mode=755 0 0");
        assert_eq!(mount.flags, libc::MS_NOSUID);
        assert_eq!(mount.propagation, libc::MS_SLAVE | libc::MS_REC);
        assert_eq!(mount.data, "size=4k,mode=755");
        assert_eq!((mount.optional, mount.relative), (true, false));
        assert_eq!(mount.create, Some(TargetKind::Dir));
    }

    #[test]
    fn what_is_for_mount_alone_reaches_no_file_system() {
        let mount = read("sysfs /sys sysfs noauto,nofail,x-systemd.automount,user,ro 0 0");
        assert_eq!((mount.data.as_str(), mount.flags), ("", libc::MS_RDONLY));
    }

    #[test]
    fn escapes_of_fstab_are_decoded() {
        assert_eq!(read("/a\\040b c none bind").source, "/a b");
        assert!(entry("/a b").is_err());
    }

    #[test]
    fn the_owners_of_files_are_those_of_a_user_namespace() {
        let users = |it: &str| entry(&format!("/a b none bind,idmap={it}")).map(|it| it.users);
        assert_eq!(users("container").unwrap(), Some(MountUsers::Container));
        let path = MountUsers::Namespace("/proc/7/ns/user".into());
        assert_eq!(users("/proc/7/ns/user").unwrap(), Some(path));
        assert!(users("7").is_err() && users("").is_err());
    }
}
